import { matchesLabelSelector, matchesSelectorMap } from '@podwire/kube/selectors';
import { findCondition, removeCondition, setCondition } from './conditions.ts';
import { claim, controllerOf, isControlledBy } from './controller-ref.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, recorderFor, startQueue, writeStatus } from './loop.ts';
import type { Condition, LabelSelector, Labels, Pod, ReplicaSet } from './objects.ts';
import { availableInMs, isPodActive, isPodReady, mostRestarts } from './pod-state.ts';
import { podFromTemplate } from './pod-template.ts';

/**
 * Keeps as many pods as each ReplicaSet wants, and likewise for each ReplicationController, which differs only in its plain
 * selector. Source: pkg/controller/replicaset/replica_set.go.
 */
export function startReplicaSetController(context: LoopContext): Loop {
  return startReplicaLoop(context, {
    resource: 'replicasets.apps',
    kind: 'ReplicaSet',
    component: 'replicaset-controller',
    selects: (selector, labels) => matchesLabelSelector(selector as LabelSelector, labels),
  });
}

export function startReplicationController(context: LoopContext): Loop {
  return startReplicaLoop(context, {
    resource: 'replicationcontrollers',
    kind: 'ReplicationController',
    component: 'replication-controller',
    selects: (selector, labels) => matchesSelectorMap(selector as Record<string, string>, labels),
  });
}

interface Flavour {
  resource: string;
  kind: string;
  component: string;
  selects: (selector: unknown, labels: Labels) => boolean;
}

function startReplicaLoop(context: LoopContext, flavour: Flavour): Loop {
  const { api, clock } = context;
  const { resource, selects } = flavour;
  const events = recorderFor(context, flavour.component);
  const queue = startQueue(context, flavour.component, reconcile);

  const stopSets = api.watch<ReplicaSet>(resource, ({ object }) => queue.add(keyOf(object.metadata)));
  const stopPods = api.watch<Pod>('pods', ({ object, previous }) => {
    const owner = controllerOf(object);
    const before = previous && controllerOf(previous);
    const namespace = object.metadata.namespace!;
    if (owner?.kind === flavour.kind) queue.add(`${namespace}/${owner.name}`);
    if (before?.kind === flavour.kind && before.uid !== owner?.uid) queue.add(`${namespace}/${before.name}`);
    if (owner !== undefined) return;
    for (const set of api.list<ReplicaSet>(resource, { namespace })) {
      if (selects(set.spec.selector, object.metadata.labels)) queue.add(keyOf(set.metadata));
    }
  });

  async function reconcile(key: string): Promise<number | undefined> {
    const { namespace, name } = splitKey(key);
    let set = api.get<ReplicaSet>(resource, namespace, name);
    if (set === undefined) return undefined;
    const candidates = api
      .list<Pod>('pods', { namespace })
      .filter(
        (pod) => isPodActive(pod) && (controllerOf(pod)?.uid ?? set!.metadata.uid) === set!.metadata.uid,
      );
    let pods = await claim({
      api,
      resource: 'pods',
      owner: set,
      candidates,
      selects: (labels) => selects(set!.spec.selector, labels),
    });

    let failure: { reason: string; error: Error } | undefined;
    if (set.metadata.deletionTimestamp === undefined) {
      const outcome = await scale(set, pods);
      failure = outcome.failure;
      pods = outcome.pods;
    }

    set = api.get<ReplicaSet>(resource, namespace, name);
    if (set === undefined) return undefined;
    await writeStatus(api, resource, set, statusOf(set, pods, failure, clock.nowMs()));
    if (failure !== undefined) throw failure.error;
    return nextAvailableMs(pods, set.spec.minReadySeconds ?? 0, clock.nowMs());
  }

  async function scale(
    set: ReplicaSet,
    pods: Pod[],
  ): Promise<{ pods: Pod[]; failure?: { reason: string; error: Error } }> {
    const missing = set.spec.replicas - pods.length;
    if (missing > 0) {
      const created: Pod[] = [];
      let error: Error | undefined;
      // After a failure one pod is tried before the rest, so that a quota refuses once and not a thousand times.
      let batch = findCondition(set.status?.conditions, 'ReplicaFailure') ? 1 : missing;
      while (created.length < missing && error === undefined) {
        const count = Math.min(batch, missing - created.length);
        batch *= 2;
        const drafts = Array.from({ length: count }, () => podFromTemplate(set.spec.template, set));
        const results = await Promise.allSettled(drafts.map((draft) => api.create('pods', draft)));
        for (const result of results) {
          if (result.status === 'rejected') error ??= result.reason as Error;
          else created.push(result.value as Pod);
        }
      }
      for (const pod of created) {
        events.record(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
      }
      if (error === undefined) return { pods: [...pods, ...created] };
      // Without the name generated for the attempt, so that each further one raises the count of the same Event.
      const why = error.message.replaceAll(new RegExp(`("${set.metadata.name}-)[a-z0-9]{5}"`, 'g'), '$1"');
      events.record(set, 'Warning', 'FailedCreate', `Error creating: ${why}`);
      return { pods: [...pods, ...created], failure: { reason: 'FailedCreate', error } };
    }
    if (missing === 0) return { pods };
    const doomed = new Set(podsToDelete(set, pods, -missing));
    let error: Error | undefined;
    await Promise.all(
      [...doomed].map(async (pod) => {
        try {
          await api.delete('pods', pod.metadata.namespace!, pod.metadata.name, {
            preconditions: { uid: pod.metadata.uid },
          });
          events.record(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
        } catch (caught) {
          error ??= caught as Error;
        }
      }),
    );
    const rest = pods.filter((pod) => !doomed.has(pod));
    return error === undefined ? { pods: rest } : { pods: rest, failure: { reason: 'FailedDelete', error } };
  }

  /** The pods one would miss least; of equals, those whose node has more pods of the same owner. */
  function podsToDelete(set: ReplicaSet, pods: readonly Pod[], count: number): Pod[] {
    if (count >= pods.length) return [...pods];
    const perNode = new Map<string, number>();
    for (const pod of relatedPods(set)) {
      const node = pod.spec.nodeName ?? '';
      perNode.set(node, (perNode.get(node) ?? 0) + 1);
    }
    const rank = (pod: Pod) => perNode.get(pod.spec.nodeName ?? '') ?? 0;
    return [...pods].sort((a, b) => comparePodsForDeletion(a, b, rank)).slice(0, count);
  }

  /** Active pods of all sets with the same owner: those of a Deployment's other revisions count as well. */
  function relatedPods(set: ReplicaSet): Pod[] {
    const namespace = set.metadata.namespace!;
    const owner = controllerOf(set);
    const related = api
      .list<ReplicaSet>(resource, { namespace })
      .filter((other) => other === set || (owner !== undefined && controllerOf(other)?.uid === owner.uid));
    return api
      .list<Pod>('pods', { namespace })
      .filter((pod) => isPodActive(pod) && related.some((other) => isControlledBy(pod, other)));
  }

  return loopOf(queue, stopSets, stopPods);
}

const PHASE_ORDER: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 };

/**
 * Below zero when `a` is to go before `b`: unassigned, pending, not ready, cheaper by annotation, on a crowded node, ready for less
 * time, restarted more, younger.
 */
export function comparePodsForDeletion(a: Pod, b: Pod, rank: (pod: Pod) => number): number {
  const phase = (pod: Pod) => PHASE_ORDER[pod.status?.phase ?? 'Pending'] ?? 0;
  return (
    Number(Boolean(a.spec.nodeName)) - Number(Boolean(b.spec.nodeName)) ||
    phase(a) - phase(b) ||
    Number(isPodReady(a)) - Number(isPodReady(b)) ||
    deletionCost(a) - deletionCost(b) ||
    rank(b) - rank(a) ||
    compareText(readySince(b), readySince(a)) ||
    mostRestarts(b) - mostRestarts(a) ||
    compareText(b.metadata.creationTimestamp, a.metadata.creationTimestamp) ||
    compareText(b.metadata.uid, a.metadata.uid)
  );
}

function deletionCost(pod: Pod): number {
  const cost = Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0);
  return Number.isInteger(cost) ? cost : 0;
}

function readySince(pod: Pod): string {
  return (isPodReady(pod) && findCondition(pod.status?.conditions, 'Ready')?.lastTransitionTime) || '';
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function statusOf(
  set: ReplicaSet,
  pods: readonly Pod[],
  failure: { reason: string; error: Error } | undefined,
  nowMs: number,
): ReplicaSet['status'] {
  const templateLabels = set.spec.template.metadata?.labels ?? {};
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  const ready = pods.filter(isPodReady);
  const status: NonNullable<ReplicaSet['status']> = {
    replicas: pods.length,
    observedGeneration: set.metadata.generation,
  };
  // Counts of zero are left out, as in upstream's JSON.
  const labeled = pods.filter((pod) => hasLabels(pod, templateLabels)).length;
  const available = ready.filter((pod) => availableInMs(pod, minReadySeconds, nowMs) === 0).length;
  if (labeled > 0) status.fullyLabeledReplicas = labeled;
  if (ready.length > 0) status.readyReplicas = ready.length;
  if (available > 0) status.availableReplicas = available;

  let conditions: Condition[] = set.status?.conditions ?? [];
  if (failure === undefined) conditions = removeCondition(conditions, 'ReplicaFailure');
  else if (findCondition(conditions, 'ReplicaFailure') === undefined) {
    const { reason, error } = failure;
    const condition = { type: 'ReplicaFailure', status: 'True', reason, message: error.message };
    conditions = setCondition(conditions, condition, nowMs);
  }
  if (conditions.length > 0) status.conditions = conditions;
  return status;
}

function hasLabels(pod: Pod, labels: Record<string, string>): boolean {
  return Object.entries(labels).every(([key, value]) => pod.metadata.labels?.[key] === value);
}

/** When the next ready pod becomes available; undefined when none is waiting for that. */
export function nextAvailableMs(
  pods: readonly Pod[],
  minReadySeconds: number,
  nowMs: number,
): number | undefined {
  let next = Infinity;
  for (const pod of pods) {
    const waitMs = availableInMs(pod, minReadySeconds, nowMs);
    if (waitMs > 0) next = Math.min(next, waitMs);
  }
  return Number.isFinite(next) ? next : undefined;
}
