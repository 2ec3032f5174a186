import type { ContainerStatus, Pod, PodStatus } from 'kubernetes-types/core/v1.d.ts';
import type { Stored } from '../object.ts';
import { AGE, ageOf, NAME, type Printer, printer, text, timeSince, wide } from './columns.ts';

/** Pods as `kubectl get pods` shows them (pkg/printers/internalversion/printers.go, printPod). */
export const pods: Printer = printer<Stored<Pod>>(
  [
    NAME,
    text('Ready', 'The aggregate readiness state of this pod for accepting traffic.'),
    text('Status', 'The aggregate status of the containers in this pod.'),
    text(
      'Restarts',
      'The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.',
    ),
    AGE,
    ...wide(text('IP'), text('Node'), text('Nominated Node'), text('Readiness Gates')),
  ],
  (pod, nowMs) => {
    const { ready, total, reason, restarts, lastRestart } = summarize(pod);
    const restartText =
      restarts > 0 && lastRestart !== ''
        ? `${restarts} (${timeSince(lastRestart, nowMs)} ago)`
        : `${restarts}`;
    const { status } = pod;
    return [
      pod.metadata.name,
      `${ready}/${total}`,
      reason,
      restartText,
      ageOf(pod, nowMs),
      status?.podIPs?.[0]?.ip || status?.podIP || '<none>',
      pod.spec?.nodeName || '<none>',
      status?.nominatedNodeName || '<none>',
      readinessGates(pod),
    ];
  },
);

interface Summary {
  ready: number;
  total: number;
  reason: string;
  restarts: number;
  /** '' when nothing has restarted. */
  lastRestart: string;
}

/** Counts and restarts of a pod, and the one word that tells most about its state. */
function summarize(pod: Stored<Pod>): Summary {
  const { spec, status } = pod;
  const sidecars = new Set(
    (spec?.initContainers ?? [])
      .filter(({ restartPolicy }) => restartPolicy === 'Always')
      .map(({ name }) => name),
  );
  const summary: Summary = {
    ready: 0,
    total: (spec?.containers.length ?? 0) + sidecars.size,
    reason: status?.reason || status?.phase || '',
    restarts: 0,
    lastRestart: '',
  };
  if (
    status?.conditions?.some(({ type, reason }) => type === 'PodScheduled' && reason === 'SchedulingGated')
  ) {
    summary.reason = 'SchedulingGated';
  }
  const initializing = summarizeInit(pod, sidecars, summary);
  if (!initializing || hasCondition(status, 'Initialized')) summarizeContainers(status, sidecars, summary);
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (status?.reason === 'NodeLost') summary.reason = 'Unknown';
    else if (status?.phase !== 'Succeeded' && status?.phase !== 'Failed') summary.reason = 'Terminating';
  }
  return summary;
}

/** Tells of the first init container that is not done; false when all are. */
function summarizeInit(pod: Stored<Pod>, sidecars: ReadonlySet<string>, summary: Summary): boolean {
  const statuses = pod.status?.initContainerStatuses ?? [];
  for (const [i, container] of statuses.entries()) {
    addRestarts(container, summary);
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecars.has(container.name) && container.started) {
      if (container.ready) summary.ready++;
      continue;
    }
    if (terminated !== undefined) summary.reason = `Init:${exitReason(terminated)}`;
    else if (waiting?.reason && waiting.reason !== 'PodInitializing')
      summary.reason = `Init:${waiting.reason}`;
    else summary.reason = `Init:${i}/${pod.spec?.initContainers?.length ?? 0}`;
    return true;
  }
  return false;
}

function summarizeContainers(
  status: Stored<Pod>['status'],
  sidecars: ReadonlySet<string>,
  summary: Summary,
): void {
  // Once the containers run, only init containers that run beside them count.
  summary.restarts = 0;
  summary.lastRestart = '';
  for (const container of status?.initContainerStatuses ?? []) {
    if (sidecars.has(container.name)) addRestarts(container, summary);
  }
  let anyRunning = false;
  for (const container of (status?.containerStatuses ?? []).toReversed()) {
    addRestarts(container, summary);
    const { waiting, terminated, running } = container.state ?? {};
    if (waiting?.reason) summary.reason = waiting.reason;
    else if (terminated !== undefined) summary.reason = exitReason(terminated);
    else if (container.ready && running !== undefined) {
      anyRunning = true;
      summary.ready++;
    }
  }
  if (summary.reason === 'Completed' && anyRunning) {
    summary.reason = hasCondition(status, 'Ready') ? 'Running' : 'NotReady';
  }
}

function exitReason({
  reason,
  signal,
  exitCode,
}: {
  reason?: string;
  signal?: number;
  exitCode: number;
}): string {
  return reason || (signal ? `Signal:${signal}` : `ExitCode:${exitCode}`);
}

function addRestarts({ restartCount, lastState }: ContainerStatus, summary: Summary): void {
  summary.restarts += restartCount;
  const finishedAt = lastState?.terminated?.finishedAt ?? '';
  if (finishedAt > summary.lastRestart) summary.lastRestart = finishedAt;
}

function hasCondition(status: PodStatus | Stored<Pod>['status'], wanted: string): boolean {
  return status?.conditions?.some((each) => each.type === wanted && each.status === 'True') ?? false;
}

function readinessGates({ spec, status }: Stored<Pod>): string {
  const gates = spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  return `${gates.filter(({ conditionType }) => hasCondition(status, conditionType)).length}/${gates.length}`;
}
