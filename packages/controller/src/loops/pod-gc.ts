import { ApiError } from '@podwire/kube/status';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, startQueue } from './loop.ts';
import { isUnreachable } from './node-state.ts';
import type { Node, Pod } from './objects.ts';
import { isPodFinished, isTerminating } from './pod-state.ts';

/** How long a pod that names a node nobody knows may wait for it. */
const UNKNOWN_NODE_MS = 5_000;

export interface PodGcOptions {
  /** Finished pods beyond this number go, oldest first. */
  mostFinishedPods?: number;
  /**
   * Whether a node that is not heard from is known to run nothing any more, as upstream's out-of-service taint says. By default it
   * is: the processes of an emulated node end together.
   */
  isDead?: (node: Node) => boolean;
}

/**
 * Removes pods that no agent will ever report as ended: those of nodes that are gone or dead, and those being deleted before they
 * got a node. Source: pkg/controller/podgc.
 */
export function startPodGcController(context: LoopContext, options: PodGcOptions = {}): Loop {
  const { api } = context;
  const isDead = options.isDead ?? isUnreachable;
  const mostFinishedPods = options.mostFinishedPods ?? 12_500;
  const queue = startQueue(context, 'pod-garbage-collector', reconcile);
  let finished = 0;

  const stopPods = api.watch<Pod>('pods', ({ type, object, previous }) => {
    finished += Number(type !== 'DELETED' && isPodFinished(object));
    finished -= Number(previous !== undefined && isPodFinished(previous));
    if (type === 'DELETED') {
      if (previous === undefined && isPodFinished(object)) finished--;
      return;
    }
    const key = keyOf(object.metadata);
    if (isTerminating(object)) queue.add(key);
    else if (object.spec.nodeName && !findNode(object)) queue.addAfter(key, UNKNOWN_NODE_MS);
    if (finished > mostFinishedPods) removeOldestFinished();
  });
  const stopNodes = api.watch<Node>('nodes', ({ type, object }) => {
    if (type !== 'DELETED' && !isDead(object)) return;
    for (const pod of api.list<Pod>('pods')) {
      if (pod.spec.nodeName === object.metadata.name) queue.add(keyOf(pod.metadata));
    }
  });

  function findNode(pod: Pod): Node | undefined {
    return api.get<Node>('nodes', '', pod.spec.nodeName!);
  }

  async function reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key);
    const pod = api.get<Pod>('pods', namespace, name);
    if (pod === undefined || !isAbandoned(pod)) return;
    await remove(pod);
  }

  function isAbandoned(pod: Pod): boolean {
    if (!pod.spec.nodeName) return isTerminating(pod);
    const node = findNode(pod);
    if (node === undefined) return true;
    return isTerminating(pod) && isDead(node);
  }

  function removeOldestFinished(): void {
    const oldest = api
      .list<Pod>('pods')
      .filter((pod) => isPodFinished(pod) && !isTerminating(pod))
      .sort((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1));
    for (const pod of oldest.slice(0, Math.max(0, oldest.length - mostFinishedPods))) void remove(pod);
  }

  async function remove({ metadata: { namespace, name, uid } }: Pod): Promise<void> {
    try {
      await api.delete('pods', namespace!, name, { gracePeriodSeconds: 0, preconditions: { uid } });
    } catch (error) {
      if (!(error instanceof ApiError && (error.code === 404 || error.code === 409))) throw error;
    }
  }

  return loopOf(queue, stopPods, stopNodes);
}
