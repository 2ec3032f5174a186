/**
 * What a pod's status says, worked out from what its containers do. Pure.
 * Sources: upstream pkg/kubelet/kubelet_pods.go (getPhase) and pkg/kubelet/status/generate.go.
 */
import type { Container, ContainerStatus, Pod, PodCondition, PodStatus } from 'kubernetes-types/core/v1.js';

export type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

/** An init container that goes on running beside the others. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

/**
 * The phase of a pod.
 * @param terminal whether the pod is being stopped for good, so that nothing restarts any more
 */
export function podPhase(pod: Pod, statuses: ReadonlyMap<string, ContainerStatus>, terminal: boolean): Phase {
  const restartPolicy = pod.spec?.restartPolicy ?? 'Always';
  let pendingInitialization = 0;
  let failedInitialization = 0;
  for (const container of pod.spec?.initContainers ?? []) {
    const status = statuses.get(container.name);
    const state = status?.state;
    if (isSidecar(container)) {
      if (state?.running === undefined ? state?.terminated === undefined : status?.started !== true) {
        pendingInitialization += 1;
      }
    } else if (state?.terminated !== undefined) {
      if (state.terminated.exitCode !== 0) failedInitialization += 1;
    } else if (state?.waiting !== undefined && status?.lastState?.terminated !== undefined) {
      if (status.lastState.terminated.exitCode !== 0) failedInitialization += 1;
    } else {
      pendingInitialization += 1;
    }
  }
  if (failedInitialization > 0 && restartPolicy === 'Never') return 'Failed';

  let unknown = 0;
  let running = 0;
  let waiting = 0;
  let stopped = 0;
  let succeeded = 0;
  for (const container of pod.spec?.containers ?? []) {
    const status = statuses.get(container.name);
    if (status?.state?.running !== undefined) running += 1;
    else if (status?.state?.terminated !== undefined) {
      stopped += 1;
      if (status.state.terminated.exitCode === 0) succeeded += 1;
    } else if (status?.state?.waiting !== undefined) {
      if (status.lastState?.terminated !== undefined) stopped += 1;
      else waiting += 1;
    } else unknown += 1;
  }
  if (pendingInitialization > 0 && running === 0 && stopped === 0) {
    return terminal && failedInitialization > 0 ? 'Failed' : 'Pending';
  }
  if (failedInitialization > 0 && running === 0 && stopped === 0) return terminal ? 'Failed' : 'Pending';
  if (waiting > 0) return terminal && running === 0 ? 'Failed' : 'Pending';
  if (running > 0 && unknown === 0) return 'Running';
  if (running === 0 && stopped > 0 && unknown === 0) {
    if (terminal) return stopped === succeeded ? 'Succeeded' : 'Failed';
    if (restartPolicy === 'Always') return 'Running';
    if (stopped === succeeded) return 'Succeeded';
    return restartPolicy === 'Never' ? 'Failed' : 'Running';
  }
  return 'Pending';
}

type ConditionStatus = Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>;

const TRUE = (type: string): ConditionStatus => ({ type, status: 'True' });

/** Condition Initialized: every init container is done, and every sidecar has started. */
export function initializedCondition(
  pod: Pod,
  statuses: ReadonlyMap<string, ContainerStatus>,
  phase: Phase,
): ConditionStatus {
  const inits = pod.spec?.initContainers ?? [];
  if (phase === 'Succeeded') return { type: 'Initialized', status: 'True', reason: 'PodCompleted' };
  // Once an ordinary container runs, initialization is over for good, whatever a sidecar does later.
  const begun = (pod.spec?.containers ?? []).some((container) => {
    const status = statuses.get(container.name);
    return status?.state?.running !== undefined || status?.lastState?.terminated !== undefined;
  });
  if (begun || inits.length === 0) return TRUE('Initialized');
  const incomplete = inits
    .filter((container) => {
      const status = statuses.get(container.name);
      if (isSidecar(container)) return status?.started !== true;
      return status?.state?.terminated?.exitCode !== 0;
    })
    .map((container) => container.name);
  if (incomplete.length === 0) return TRUE('Initialized');
  return {
    type: 'Initialized',
    status: 'False',
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${incomplete.join(' ')}]`,
  };
}

/** Condition ContainersReady: every container, and every sidecar, is ready. */
export function containersReadyCondition(
  pod: Pod,
  statuses: ReadonlyMap<string, ContainerStatus>,
  phase: Phase,
): ConditionStatus {
  const type = 'ContainersReady';
  if (phase === 'Succeeded') return { type, status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { type, status: 'False', reason: 'PodFailed' };
  const unknown: string[] = [];
  const unready: string[] = [];
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar);
  for (const container of [...sidecars, ...(pod.spec?.containers ?? [])]) {
    const status = statuses.get(container.name);
    if (status === undefined) unknown.push(container.name);
    else if (!status.ready) unready.push(container.name);
  }
  const messages: string[] = [];
  if (unknown.length > 0) messages.push(`containers with unknown status: [${unknown.join(' ')}]`);
  if (unready.length > 0) messages.push(`containers with unready status: [${unready.join(' ')}]`);
  if (messages.length === 0) return TRUE(type);
  return { type, status: 'False', reason: 'ContainersNotReady', message: messages.join(', ') };
}

/** Condition Ready: the containers are, and every readiness gate's own condition is True. */
export function readyCondition(pod: Pod, containersReady: ConditionStatus): ConditionStatus {
  if (containersReady.status !== 'True') return { ...containersReady, type: 'Ready' };
  const messages: string[] = [];
  for (const { conditionType } of pod.spec?.readinessGates ?? []) {
    const gate = pod.status?.conditions?.find((condition) => condition.type === conditionType);
    if (gate === undefined) {
      messages.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`);
    } else if (gate.status !== 'True') {
      messages.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`);
    }
  }
  if (messages.length === 0) return TRUE('Ready');
  return { type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady', message: messages.join(', ') };
}

/** Upstream pkg/apis/core/v1/helper/qos: from requests and limits of cpu and memory. */
export function qosClass(pod: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  let any = false;
  let guaranteed = true;
  for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
    for (const name of ['cpu', 'memory']) {
      const limit = container.resources?.limits?.[name];
      const request = container.resources?.requests?.[name] ?? limit;
      if (limit !== undefined || request !== undefined) any = true;
      if (limit === undefined || request !== limit) guaranteed = false;
    }
  }
  if (!any) return 'BestEffort';
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

/** What the agent itself knows of a pod, beside its containers. */
export interface PodFacts {
  readonly podIPs: readonly string[];
  readonly hostIPs: readonly string[];
  readonly startTime: string;
  readonly statuses: ReadonlyMap<string, ContainerStatus>;
  readonly sandboxReady: boolean;
  /** Nothing is restarted any more. */
  readonly terminal: boolean;
  /** Set when the pod as a whole was ended: Evicted, DeadlineExceeded … */
  readonly ended?: { readonly reason: string; readonly message: string };
}

/**
 * The whole status. `previous` is the last one reported: a condition keeps its lastTransitionTime while its status
 * stays the same. Conditions of others (readiness gates) are kept as the pod object has them.
 */
export function podStatus(
  pod: Pod,
  facts: PodFacts,
  previous: PodStatus | undefined,
  nowIso: string,
): PodStatus {
  const phase = facts.ended !== undefined ? 'Failed' : podPhase(pod, facts.statuses, facts.terminal);
  const containersReady = containersReadyCondition(pod, facts.statuses, phase);
  const own: ConditionStatus[] = [
    { type: 'PodReadyToStartContainers', status: facts.sandboxReady ? 'True' : 'False' },
    initializedCondition(pod, facts.statuses, phase),
    readyCondition(pod, containersReady),
    containersReady,
    TRUE('PodScheduled'),
  ];
  const before = [...(previous?.conditions ?? []), ...(pod.status?.conditions ?? [])];
  const conditions = own.map((condition) => {
    const old = before.find((other) => other.type === condition.type);
    const since = old?.status === condition.status ? old.lastTransitionTime : undefined;
    return {
      ...condition,
      lastProbeTime: null,
      lastTransitionTime: since ?? nowIso,
    } as unknown as PodCondition;
  });
  const ofKind = (containers: readonly { name: string }[] | undefined) =>
    (containers ?? []).flatMap(({ name }) => facts.statuses.get(name) ?? []);
  const status: PodStatus = {
    phase,
    conditions,
    hostIP: facts.hostIPs[0],
    hostIPs: facts.hostIPs.map((ip) => ({ ip })),
    startTime: facts.startTime,
    containerStatuses: ofKind(pod.spec?.containers),
    qosClass: qosClass(pod),
  };
  if (facts.podIPs.length > 0) {
    status.podIP = facts.podIPs[0];
    status.podIPs = facts.podIPs.map((ip) => ({ ip }));
  }
  if ((pod.spec?.initContainers ?? []).length > 0) {
    status.initContainerStatuses = ofKind(pod.spec?.initContainers);
  }
  if ((pod.spec?.ephemeralContainers ?? []).length > 0) {
    status.ephemeralContainerStatuses = ofKind(pod.spec?.ephemeralContainers);
  }
  if (facts.ended !== undefined) {
    status.reason = facts.ended.reason;
    status.message = facts.ended.message;
  }
  return status;
}
