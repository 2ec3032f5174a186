import { jsonEquals } from '@podwire/kube/object';
import { ApiError } from '@podwire/kube/status';
import { setCondition } from './conditions.ts';
import type { EventRecorder } from './events.ts';
import { type Loop, type LoopContext, loopOf, recorderFor, writeStatus } from './loop.ts';
import type { Namespace, Node, Pod } from './objects.ts';
import { isPodFinished, isTerminating, podCondition } from './pod-state.ts';
import { ClusterState } from './scheduling/cluster-state.ts';
import { podContext, type Refusal, refuse, unschedulableMessage } from './scheduling/filters.ts';
import { bestNode } from './scheduling/score.ts';
import { backoffMs } from './work-queue.ts';

const SCHEDULER_NAME = 'default-scheduler';
/** Pods placed before other work gets its turn. */
const BATCH = 100;

/**
 * Finds a node for each pod, one pod after the other against a picture of the cluster that already holds the pods placed before,
 * while their bindings are being written. Source: pkg/scheduler. Not done: preemption, volumes, extenders.
 */
export function startScheduler(context: LoopContext): Loop {
  return new Scheduler(context);
}

class Scheduler implements Loop {
  readonly #context: LoopContext;
  readonly #events: EventRecorder;
  readonly #state = new ClusterState();
  /** Pods to be placed, by uid. */
  readonly #waiting = new Map<string, Pod>();
  /** Pods no node would take, until something changes that may help. */
  readonly #unschedulable = new Map<string, Pod>();
  readonly #lastMessage = new Map<string, string>();
  readonly #failures = new Map<string, number>();
  readonly #watches: Loop;
  #runQueued = false;
  #stopped = false;

  constructor(context: LoopContext) {
    this.#context = context;
    this.#events = recorderFor(context, SCHEDULER_NAME);
    const { api } = context;
    const stopNodes = api.watch<Node>('nodes', ({ type, object }) => {
      if (type === 'DELETED') this.#state.removeNode(object.metadata.name);
      else this.#state.setNode(object);
      this.#reconsider();
    });
    const stopPods = api.watch<Pod>('pods', ({ type, object }) => this.#observe(type, object));
    this.#watches = loopOf(stopNodes, stopPods);
  }

  stop(): void {
    this.#stopped = true;
    this.#watches.stop();
  }

  #observe(type: string, pod: Pod): void {
    const { uid } = pod.metadata;
    if (type === 'DELETED') {
      this.#forget(uid);
      this.#lastMessage.delete(uid);
      this.#failures.delete(uid);
      this.#state.remove(uid);
      if (pod.spec.nodeName) this.#reconsider();
      return;
    }
    if (pod.spec.nodeName) {
      this.#forget(uid);
      const known = this.#state.find(uid)?.pod;
      this.#state.place(pod, pod.spec.nodeName);
      const same = known !== undefined && jsonEquals(known.metadata.labels, pod.metadata.labels);
      if (!same || isPodFinished(pod)) this.#reconsider();
      return;
    }
    // A binding that is on its way is not to be repeated.
    if (this.#state.find(uid) !== undefined) return;
    const mine = (pod.spec.schedulerName ?? SCHEDULER_NAME) === SCHEDULER_NAME;
    if (!mine || isTerminating(pod) || isPodFinished(pod)) {
      this.#forget(uid);
      return;
    }
    if (this.#unschedulable.has(uid) && this.#hasOnlyStatusChanged(uid, pod)) {
      this.#unschedulable.set(uid, pod);
      return;
    }
    this.#unschedulable.delete(uid);
    this.#waiting.set(uid, pod);
    this.#queueRun();
  }

  #hasOnlyStatusChanged(uid: string, pod: Pod): boolean {
    const before = this.#unschedulable.get(uid)!;
    return (
      JSON.stringify([before.spec, before.metadata.labels]) ===
      JSON.stringify([pod.spec, pod.metadata.labels])
    );
  }

  #forget(uid: string): void {
    this.#waiting.delete(uid);
    this.#unschedulable.delete(uid);
  }

  #reconsider(): void {
    if (this.#unschedulable.size === 0) return;
    for (const [uid, pod] of this.#unschedulable) this.#waiting.set(uid, pod);
    this.#unschedulable.clear();
    this.#queueRun();
  }

  #queueRun(): void {
    if (this.#runQueued || this.#stopped || this.#waiting.size === 0) return;
    this.#runQueued = true;
    queueMicrotask(() => this.#run());
  }

  #run(): void {
    this.#runQueued = false;
    if (this.#stopped) return;
    const batch = [...this.#waiting.values()].sort(byUrgency).slice(0, BATCH);
    for (const pod of batch) {
      this.#waiting.delete(pod.metadata.uid);
      this.#place(pod);
    }
    if (this.#waiting.size > 0) {
      this.#runQueued = true;
      this.#context.clock.setTimer(() => this.#run(), 0);
    }
  }

  #place(pod: Pod): void {
    const { api, clock } = this.#context;
    if ((pod.spec.schedulingGates?.length ?? 0) > 0) {
      this.#unschedulable.set(pod.metadata.uid, pod);
      void this.#note(pod, 'SchedulingGated', 'Scheduling is blocked due to non-empty scheduling gates');
      return;
    }
    const findNamespace = (name: string) => api.get<Namespace>('namespaces', '', name);
    const podInContext = podContext(pod, this.#state, findNamespace);
    const refusals: Refusal[] = [];
    const candidates = [];
    for (const node of this.#state.nodes.values()) {
      const refusal = refuse(podInContext, node);
      if (refusal === undefined) candidates.push(node);
      else refusals.push(refusal);
    }
    if (candidates.length === 0) {
      this.#unschedulable.set(pod.metadata.uid, pod);
      void this.#refuse(pod, unschedulableMessage(refusals, pod));
      return;
    }
    const { node } = bestNode(podInContext, candidates, this.#state, api, clock.random32);
    this.#state.place(pod, node.metadata.name);
    void this.#bind(pod, node.metadata.name);
  }

  async #bind(pod: Pod, nodeName: string): Promise<void> {
    const { api, clock, log } = this.#context;
    const { namespace, name, uid } = pod.metadata;
    try {
      await api.update(
        'pods',
        { metadata: { namespace, name, uid }, spec: { nodeName } },
        { subresource: 'binding' },
      );
      this.#failures.delete(uid);
      this.#lastMessage.delete(uid);
      const message = `Successfully assigned ${namespace}/${name} to ${nodeName}`;
      this.#events.record(pod, 'Normal', 'Scheduled', message);
    } catch (error) {
      this.#state.remove(uid);
      const newest = api.get<Pod>('pods', namespace!, name);
      if (this.#stopped || newest === undefined || newest.metadata.uid !== uid) return;
      if (newest.spec.nodeName) this.#state.place(newest, newest.spec.nodeName);
      if (newest.spec.nodeName || isTerminating(newest)) return;
      const failures = this.#failures.get(uid) ?? 0;
      this.#failures.set(uid, failures + 1);
      if (!(error instanceof ApiError && error.code === 409)) {
        log.warn({ pod: `${namespace}/${name}`, nodeName, err: error }, 'binding failed');
      }
      clock.setTimer(
        () => {
          const again = api.get<Pod>('pods', namespace!, name);
          if (again !== undefined) this.#observe('MODIFIED', again);
        },
        backoffMs(failures, clock.random32),
      );
    }
  }

  async #refuse(pod: Pod, message: string): Promise<void> {
    if (this.#lastMessage.get(pod.metadata.uid) === message) return;
    this.#lastMessage.set(pod.metadata.uid, message);
    this.#events.record(pod, 'Warning', 'FailedScheduling', message);
    await this.#note(pod, 'Unschedulable', message);
  }

  async #note(pod: Pod, reason: string, message: string): Promise<void> {
    const { api, clock, log } = this.#context;
    const { namespace, name, uid } = pod.metadata;
    const newest = api.get<Pod>('pods', namespace!, name);
    if (newest === undefined || newest.metadata.uid !== uid || newest.spec.nodeName) return;
    const old = podCondition(newest, 'PodScheduled');
    if (old?.status === 'False' && old.reason === reason && old.message === message) return;
    const condition = { type: 'PodScheduled', status: 'False', reason, message, lastProbeTime: null };
    const conditions = setCondition(newest.status?.conditions, condition, clock.nowMs());
    try {
      await writeStatus(api, 'pods', newest, { ...newest.status, conditions });
    } catch (error) {
      log.debug({ pod: `${namespace}/${name}`, err: error }, 'scheduling condition not written');
    }
  }
}

/** Higher priority first, then older first. */
function byUrgency(a: Pod, b: Pod): number {
  const priority = (b.spec.priority ?? 0) - (a.spec.priority ?? 0);
  if (priority !== 0) return priority;
  const [x, y] = [a.metadata, b.metadata];
  if (x.creationTimestamp !== y.creationTimestamp) return x.creationTimestamp < y.creationTimestamp ? -1 : 1;
  return Number(BigInt(x.resourceVersion || 0) - BigInt(y.resourceVersion || 0));
}
