import { matchesLabelSelector } from '@podwire/kube/selectors';
import type { Api } from '../api.ts';
import { setCondition } from './conditions.ts';
import { controllerOf } from './controller-ref.ts';
import { scaledValue } from './int-or-percent.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, startQueue, writeStatus } from './loop.ts';
import type { AnyObject, Condition, IntOrPercent, LabelSelector, Pod } from './objects.ts';
import { isPodActive, isPodReady } from './pod-state.ts';

interface DisruptionBudget extends AnyObject {
  spec?: { minAvailable?: IntOrPercent; maxUnavailable?: IntOrPercent; selector?: LabelSelector };
  status?: {
    observedGeneration?: number;
    currentHealthy: number;
    desiredHealthy: number;
    expectedPods: number;
    disruptionsAllowed: number;
    disruptedPods?: Record<string, string>;
    conditions?: Condition[];
  };
}

const BUDGETS = 'poddisruptionbudgets.policy';
/** An eviction that has not shown in the pod by then has not happened. */
const EVICTION_MS = 120_000;

/** Workloads that own pods, and how their kind is told from a controller reference. */
const WORKLOADS: Readonly<Record<string, string>> = {
  ReplicaSet: 'replicasets.apps',
  ReplicationController: 'replicationcontrollers',
  StatefulSet: 'statefulsets.apps',
};

/** Says in each PodDisruptionBudget how many pods may be evicted. Source: pkg/controller/disruption. */
export function startDisruptionController(context: LoopContext): Loop {
  const { api, clock } = context;
  const queue = startQueue(context, 'disruption-controller', reconcile);
  const enqueueFor = (pod: Pod) => {
    for (const budget of api.list<DisruptionBudget>(BUDGETS, { namespace: pod.metadata.namespace! })) {
      if (matchesLabelSelector(budget.spec?.selector, pod.metadata.labels)) queue.add(keyOf(budget.metadata));
    }
  };
  const stopBudgets = api.watch<DisruptionBudget>(BUDGETS, ({ object }) => queue.add(keyOf(object.metadata)));
  const stopPods = api.watch<Pod>('pods', ({ object, previous }) => {
    enqueueFor(object);
    if (previous !== undefined) enqueueFor(previous);
  });

  async function reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key);
    const budget = api.get<DisruptionBudget>(BUDGETS, namespace, name);
    if (budget === undefined) return;
    const pods = api
      .list<Pod>('pods', { namespace })
      .filter((pod) => isPodActive(pod) && matchesLabelSelector(budget.spec?.selector, pod.metadata.labels));
    const nowMs = clock.nowMs();
    const disrupted = Object.fromEntries(
      Object.entries(budget.status?.disruptedPods ?? {}).filter(
        ([pod, time]) =>
          pods.some(({ metadata }) => metadata.name === pod) && Date.parse(time) + EVICTION_MS > nowMs,
      ),
    );
    const healthy = pods.filter(
      (pod) => isPodReady(pod) && disrupted[pod.metadata.name] === undefined,
    ).length;
    const { expected, desired } = wanted(api, budget, pods);
    const allowed = expected > 0 ? Math.max(0, healthy - desired) : 0;
    const condition = {
      type: 'DisruptionAllowed',
      status: allowed > 0 ? 'True' : 'False',
      reason: allowed > 0 ? 'SufficientPods' : 'InsufficientPods',
      message: '',
      observedGeneration: budget.metadata.generation,
    };
    await writeStatus(api, BUDGETS, budget, {
      observedGeneration: budget.metadata.generation,
      currentHealthy: healthy,
      desiredHealthy: desired,
      expectedPods: expected,
      disruptionsAllowed: allowed,
      ...(Object.keys(disrupted).length > 0 ? { disruptedPods: disrupted } : {}),
      conditions: setCondition(budget.status?.conditions, condition, nowMs),
    });
  }

  return loopOf(queue, stopBudgets, stopPods);
}

/** How many pods there should be, and how many of them must stay healthy. */
function wanted(
  api: Api,
  { spec }: DisruptionBudget,
  pods: readonly Pod[],
): { expected: number; desired: number } {
  const { minAvailable, maxUnavailable } = spec ?? {};
  if (maxUnavailable !== undefined) {
    const expected = wantedByOwners(api, pods);
    return { expected, desired: Math.max(0, expected - scaledValue(maxUnavailable, expected, 'up')) };
  }
  if (typeof minAvailable === 'string') {
    const expected = wantedByOwners(api, pods);
    return { expected, desired: scaledValue(minAvailable, expected, 'up') };
  }
  return { expected: pods.length, desired: minAvailable ?? 1 };
}

/** Sum of the sizes of the workloads the pods belong to; a pod of none counts for itself. */
function wantedByOwners(api: Api, pods: readonly Pod[]): number {
  const sizes = new Map<string, number>();
  for (const pod of pods) {
    const owner = controllerOf(pod);
    const resource = owner && WORKLOADS[owner.kind];
    const workload =
      resource && api.get<{ spec: { replicas?: number } }>(resource, pod.metadata.namespace!, owner!.name);
    if (workload) sizes.set(owner!.uid, workload.spec.replicas ?? 1);
    else sizes.set(pod.metadata.uid, 1);
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
