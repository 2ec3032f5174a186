import { formatTime, jsonEquals } from '@podwire/kube/object';
import { findCondition, setCondition } from './conditions.ts';
import { type Loop, type LoopContext, loopOf, recorderFor, startQueue, writeStatus } from './loop.ts';
import { readiness } from './node-state.ts';
import type { Condition, Lease, Node, Pod, Taint } from './objects.ts';
import { isPodFinished, isPodReady, podCondition } from './pod-state.ts';

export interface NodeLifecycleOptions {
  /** How long a node may be silent. */
  graceMs: number;
  /** The same for nodes that were there when this process started: their agents first have to find it again. */
  startupGraceMs: number;
  /** When each node was last heard of, where someone keeps that in memory; without it Leases are watched. */
  lastHeartbeatMs?: (nodeName: string) => number;
}

export interface NodeLifecycle extends Loop {
  /** A sign of life from a node's agent. */
  heartbeat(nodeName: string): void;
}

const NODES = 'nodes';
const PODS = 'pods';
const LEASE_NAMESPACE = 'kube-node-lease';
const NOT_READY = 'node.kubernetes.io/not-ready';
const UNREACHABLE = 'node.kubernetes.io/unreachable';
/** Marks a pod's Ready condition as set for its node, to be taken back when the node returns. */
const POD_REASON = 'NodeNotReady';

/** Conditions an agent reports, which nobody knows any more when it is silent. */
const REPORTED_CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];

/** Taints that follow from conditions: [condition, status, taint key]. */
const CONDITION_TAINTS: readonly [string, string, string][] = [
  ['MemoryPressure', 'True', 'node.kubernetes.io/memory-pressure'],
  ['DiskPressure', 'True', 'node.kubernetes.io/disk-pressure'],
  ['PIDPressure', 'True', 'node.kubernetes.io/pid-pressure'],
  ['NetworkUnavailable', 'True', 'node.kubernetes.io/network-unavailable'],
];
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';
const OWN_TAINTS: ReadonlySet<string> = new Set([
  NOT_READY,
  UNREACHABLE,
  UNSCHEDULABLE,
  ...CONDITION_TAINTS.map(([, , key]) => key),
]);

/**
 * Notices silent nodes, taints nodes by their conditions, and takes the pods of a lost node out of service.
 * Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go.
 */
export function startNodeLifecycleController(
  context: LoopContext,
  options: NodeLifecycleOptions,
): NodeLifecycle {
  const { api, clock, log } = context;
  const events = recorderFor(context, 'node-controller');
  const queue = startQueue(context, 'node-lifecycle-controller', reconcile);
  /** When each node counts as lost unless it is heard from. */
  const deadlineMs = new Map<string, number>();
  const tickMs = Math.min(1000, Math.max(50, options.graceMs / 10));
  let starting = true;

  const stopNodes = api.watch<Node>(NODES, ({ type, object, previous }) => {
    const { name } = object.metadata;
    if (type === 'DELETED') {
      deadlineMs.delete(name);
      events.record(
        object,
        'Normal',
        'RemovingNode',
        `Node ${name} event: Removing Node ${name} from Controller`,
      );
      return;
    }
    if (type === 'ADDED') {
      deadlineMs.set(name, clock.nowMs() + (starting ? options.startupGraceMs : options.graceMs));
      if (!starting) {
        const message = `Node ${name} event: Registered Node ${name} in Controller`;
        events.record(object, 'Normal', 'RegisteredNode', message);
      }
    } else if (previous !== undefined && heartbeatTime(object) !== heartbeatTime(previous)) heard(name);
    if (previous !== undefined && readiness(previous) === 'True' && readiness(object) === 'False') {
      void markPods(name);
    }
    // What is done about one silent node depends on whether any other is left.
    if (previous === undefined || readiness(previous) !== readiness(object)) {
      for (const node of api.list<Node>(NODES)) queue.add(node.metadata.name);
    }
    queue.add(name);
  });
  const stopLeases = api.watch<Lease>('leases.coordination.k8s.io', ({ type, object, previous }) => {
    if (options.lastHeartbeatMs !== undefined) return;
    if (object.metadata.namespace !== LEASE_NAMESPACE || type === 'DELETED') return;
    if (object.spec?.renewTime !== previous?.spec?.renewTime) heard(object.metadata.name);
  });
  // Pods placed on, or reported from, a node that is already lost.
  const stopPods = api.watch<Pod>(PODS, ({ type, object }) => {
    const { nodeName } = object.spec;
    if (type === 'DELETED' || !nodeName || !isPodReady(object)) return;
    const node = api.get<Node>(NODES, '', nodeName);
    if (node !== undefined && readiness(node) === 'Unknown') queue.add(nodeName);
  });
  starting = false;

  let timer = clock.setTimer(tick, tickMs);
  function tick(): void {
    for (const name of deadlineMs.keys()) {
      const node = api.get<Node>(NODES, '', name);
      if (node !== undefined && isSilent(name) !== (readiness(node) === 'Unknown')) queue.add(name);
    }
    timer = clock.setTimer(tick, tickMs);
  }

  function heard(name: string): void {
    const before = deadlineMs.get(name);
    if (before === undefined) return;
    const wasSilent = isSilent(name);
    deadlineMs.set(name, Math.max(before, clock.nowMs() + options.graceMs));
    if (wasSilent) queue.add(name);
  }

  function isSilent(name: string): boolean {
    const lastMs = options.lastHeartbeatMs?.(name) ?? -Infinity;
    const atMs = Math.max(deadlineMs.get(name) ?? Infinity, lastMs + options.graceMs);
    return clock.nowMs() > atMs;
  }

  async function reconcile(name: string): Promise<undefined> {
    let node = api.get<Node>(NODES, '', name);
    if (node === undefined) return;
    if (isSilent(name) && readiness(node) !== 'Unknown') node = await markUnknown(node);
    else if (!isSilent(name) && wasMarkedUnknown(node)) node = await markReadyAgain(node);
    const status = readiness(node);
    await Promise.all([
      taint(node),
      status === 'Unknown' ? markPods(name) : status === 'True' ? unmarkPods(name) : undefined,
    ]);
  }

  async function markUnknown(node: Node): Promise<Node> {
    const { name } = node.metadata;
    log.info({ node: name }, 'node is silent');
    let conditions: Condition[] = [...(node.status?.conditions ?? [])];
    for (const type of REPORTED_CONDITIONS) {
      const old = findCondition(conditions, type);
      const never = old === undefined;
      const condition = {
        ...old,
        type,
        status: 'Unknown',
        reason: never ? 'NodeStatusNeverUpdated' : 'NodeStatusUnknown',
        message: never ? 'Kubelet never posted node status.' : 'Kubelet stopped posting node status.',
      };
      conditions = setCondition(conditions, condition, clock.nowMs());
    }
    const [written] = await Promise.all([
      writeStatus(api, NODES, node, { ...node.status, conditions }),
      markPods(name),
    ]);
    events.record(node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
    return written;
  }

  /** An agent that was only slow does not report a condition that, to its knowledge, never changed. */
  function markReadyAgain(node: Node): Promise<Node> {
    let conditions: Condition[] = [...(node.status?.conditions ?? [])];
    for (const type of REPORTED_CONDITIONS) {
      const old = findCondition(conditions, type);
      if (old?.reason !== 'NodeStatusUnknown') continue;
      const condition =
        type === 'Ready'
          ? { ...old, status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
          : { ...old, status: 'False', reason: 'KubeletHasNoPressure', message: 'kubelet has no pressure' };
      conditions = setCondition(conditions, condition, clock.nowMs());
    }
    return writeStatus(api, NODES, node, { ...node.status, conditions });
  }

  async function taint(node: Node): Promise<void> {
    const taints = node.spec?.taints ?? [];
    const wanted = wantedTaints(node, isAnyReady());
    const now = formatTime(clock.nowMs());
    const kept = taints.filter(
      (taint) => !OWN_TAINTS.has(taint.key) || wanted.some((each) => sameTaint(each, taint)),
    );
    const added = wanted
      .filter((each) => !taints.some((taint) => sameTaint(each, taint)))
      .map((each) => (each.effect === 'NoExecute' ? { ...each, timeAdded: now } : each));
    const next = [...kept, ...added];
    if (jsonEquals(taints, next)) return;
    const spec = { ...node.spec };
    if (next.length > 0) spec.taints = next;
    else delete spec.taints;
    await api.update<Node>(NODES, { ...node, spec });
  }

  /** With no node left ready the fault is rather here, and moving pods would help nobody. */
  function isAnyReady(): boolean {
    return api.list<Node>(NODES).some((node) => readiness(node) === 'True');
  }

  function podsOn(nodeName: string): Pod[] {
    return api.list<Pod>(PODS).filter((pod) => pod.spec.nodeName === nodeName && !isPodFinished(pod));
  }

  async function markPods(nodeName: string): Promise<void> {
    await Promise.all(
      podsOn(nodeName)
        .filter(isPodReady)
        .map((pod) => {
          events.record(pod, 'Warning', 'NodeNotReady', 'Node is not ready');
          return setReady(pod, { status: 'False', reason: POD_REASON, message: 'Node is not ready' });
        }),
    );
  }

  async function unmarkPods(nodeName: string): Promise<void> {
    await Promise.all(
      podsOn(nodeName)
        .filter((pod) => {
          const ready = podCondition(pod, 'Ready');
          const gates = (pod.spec.readinessGates ?? []).map((gate) => gate.conditionType);
          return (
            ready?.status === 'False' &&
            ready.reason === POD_REASON &&
            ['ContainersReady', ...gates].every((type) => podCondition(pod, type)?.status === 'True')
          );
        })
        .map((pod) => setReady(pod, { status: 'True' })),
    );
  }

  async function setReady(pod: Pod, ready: Omit<Condition, 'type'>): Promise<void> {
    const { lastProbeTime = null } = podCondition(pod, 'Ready') ?? {};
    const condition = { type: 'Ready', lastProbeTime, ...ready };
    const conditions = setCondition(pod.status?.conditions, condition, clock.nowMs());
    try {
      await writeStatus(api, PODS, pod, { ...pod.status, conditions });
    } catch (error) {
      // Changed or gone in between: the change is another reason to look at the node.
      log.debug({ pod: pod.metadata.name, err: error }, 'pod readiness not written');
      if (api.get(PODS, pod.metadata.namespace!, pod.metadata.name) !== undefined) {
        queue.addAfter(pod.spec.nodeName!, 10);
      }
    }
  }

  return {
    ...loopOf(queue, stopNodes, stopLeases, stopPods, () => timer.close()),
    heartbeat: heard,
  };
}

function heartbeatTime(node: Node): string | undefined {
  return findCondition(node.status?.conditions, 'Ready')?.lastHeartbeatTime;
}

function wasMarkedUnknown(node: Node): boolean {
  const ready = findCondition(node.status?.conditions, 'Ready');
  return ready?.status === 'Unknown' && ready.reason === 'NodeStatusUnknown';
}

function wantedTaints(node: Node, anyReady: boolean): Taint[] {
  const taints: Taint[] = [];
  const status = readiness(node);
  if (status !== 'True') {
    const key = status === 'Unknown' ? UNREACHABLE : NOT_READY;
    taints.push({ key, effect: 'NoSchedule' });
    if (anyReady) taints.push({ key, effect: 'NoExecute' });
  }
  for (const [type, bad, key] of CONDITION_TAINTS) {
    if (findCondition(node.status?.conditions, type)?.status === bad)
      taints.push({ key, effect: 'NoSchedule' });
  }
  if (node.spec?.unschedulable) taints.push({ key: UNSCHEDULABLE, effect: 'NoSchedule' });
  return taints;
}

function sameTaint(a: Taint, b: Taint): boolean {
  return a.key === b.key && a.effect === b.effect;
}
