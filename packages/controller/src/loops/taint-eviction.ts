import { ApiError } from '@podwire/kube/status';
import { setCondition } from './conditions.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, recorderFor, startQueue, writeStatus } from './loop.ts';
import type { Node, Pod, Taint } from './objects.ts';
import { isPodFinished, isTerminating } from './pod-state.ts';
import { tolerates } from './tolerations.ts';

/**
 * Deletes pods from nodes with NoExecute taints that they do not tolerate, or no longer. Source: pkg/controller/tainteviction.
 */
export function startTaintEvictionController(context: LoopContext): Loop {
  const { api, clock, log } = context;
  const events = recorderFor(context, 'taint-eviction-controller');
  const queue = startQueue(context, 'taint-eviction-controller', reconcile);
  /** When each NoExecute taint of each node was first seen: the taint itself tells whole seconds only. */
  const sinceMs = new Map<string, Map<string, number>>();

  const stopNodes = api.watch<Node>('nodes', ({ type, object }) => {
    const { name } = object.metadata;
    const taints = type === 'DELETED' ? [] : noExecuteTaints(object);
    const before = sinceMs.get(name);
    if (taints.length === 0) sinceMs.delete(name);
    else {
      const started = taints.map(
        (taint) => [taintId(taint), before?.get(taintId(taint)) ?? startOf(taint)] as const,
      );
      sinceMs.set(name, new Map(started));
    }
    if (taints.length === 0 && before === undefined) return;
    for (const pod of api.list<Pod>('pods')) if (pod.spec.nodeName === name) queue.add(keyOf(pod.metadata));
  });
  const stopPods = api.watch<Pod>('pods', ({ type, object }) => {
    const { nodeName } = object.spec;
    if (type !== 'DELETED' && nodeName && sinceMs.has(nodeName)) queue.add(keyOf(object.metadata));
  });

  function startOf(taint: Taint): number {
    const nowMs = clock.nowMs();
    const addedMs = taint.timeAdded === undefined ? nowMs : Date.parse(taint.timeAdded);
    // A time within the second just begun is this moment, told in whole seconds.
    return nowMs - addedMs < 1000 ? nowMs : addedMs;
  }

  async function reconcile(key: string): Promise<number | undefined> {
    const { namespace, name } = splitKey(key);
    const pod = api.get<Pod>('pods', namespace, name);
    if (pod === undefined || isTerminating(pod) || isPodFinished(pod) || !pod.spec.nodeName) return undefined;
    const node = api.get<Node>('nodes', '', pod.spec.nodeName);
    const atMs = node === undefined ? Infinity : evictionTimeMs(pod, node, sinceMs.get(pod.spec.nodeName));
    if (atMs === Infinity) return undefined;
    const waitMs = atMs - clock.nowMs();
    if (waitMs > 0) return waitMs;
    await evict(pod);
    return undefined;
  }

  async function evict(pod: Pod): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    events.record(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${namespace}/${name}`);
    const condition = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'DeletionByTaintManager',
      message: 'Taint manager: deleting due to NoExecute taint',
    };
    const conditions = setCondition(pod.status?.conditions, condition, clock.nowMs());
    try {
      await writeStatus(api, 'pods', pod, { ...pod.status, conditions });
    } catch (error) {
      log.debug({ pod: keyOf(pod.metadata), err: error }, 'disruption condition not written');
    }
    try {
      await api.delete('pods', namespace!, name, { preconditions: { uid } });
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  }

  return loopOf(queue, stopNodes, stopPods);
}

function noExecuteTaints(node: Node): Taint[] {
  return (node.spec?.taints ?? []).filter((taint) => taint.effect === 'NoExecute');
}

function taintId(taint: Taint): string {
  return `${taint.key}=${taint.value ?? ''}`;
}

/** When a pod has to leave its node; Infinity when it may stay. */
export function evictionTimeMs(
  pod: Pod,
  node: Node,
  sinceMs: ReadonlyMap<string, number> | undefined,
): number {
  let atMs = Infinity;
  for (const taint of noExecuteTaints(node)) {
    const startMs = sinceMs?.get(taintId(taint)) ?? 0;
    const matching = (pod.spec.tolerations ?? []).filter((toleration) => tolerates(toleration, taint));
    if (matching.length === 0) return startMs;
    for (const { tolerationSeconds } of matching) {
      if (tolerationSeconds === undefined) continue;
      atMs = Math.min(atMs, startMs + Math.max(0, tolerationSeconds) * 1000);
    }
  }
  return atMs;
}
