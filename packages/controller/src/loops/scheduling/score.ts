import { matchesLabelSelector, matchesSelectorMap } from '@podwire/kube/selectors';
import type { Api } from '../../api.ts';
import { controllerOf } from '../controller-ref.ts';
import { preferenceWeight } from '../node-affinity.ts';
import type { LabelSelector, Pod, Service, TopologySpreadConstraint } from '../objects.ts';
import { tolerates } from '../tolerations.ts';
import type { ClusterState, NodeState } from './cluster-state.ts';
import type { PodContext } from './filters.ts';
import { affinityScore } from './pod-affinity.ts';
import { podRequestsForScoring } from './resources.ts';
import { constraintsOf, crowding, type Spread, spreadOf } from './topology-spread.ts';

/**
 * Points of each node that could take a pod, with upstream's weights. Left out: image locality and balanced allocation, which mean
 * nothing where images are built in and nodes are alike.
 */
const WEIGHTS = { taints: 3, nodeAffinity: 2, spread: 2, podAffinity: 2, leastAllocated: 1 };
const MOST_POINTS = 100;

/** The best node; of equals the one with the fewest pods, then one by chance. */
export function bestNode(
  context: PodContext,
  candidates: readonly NodeState[],
  state: ClusterState,
  api: Api,
  random32: () => number,
): NodeState {
  if (candidates.length === 1) return candidates[0];
  const { pod, affinity } = context;
  const spreads = softSpreads(pod, state, api);
  const points = candidates.map(() => 0);
  const rate = (weight: number, raw: (node: NodeState) => number, normalize: (raw: number[]) => number[]) => {
    normalize(candidates.map(raw)).forEach((value, i) => {
      points[i] += weight * value;
    });
  };
  rate(WEIGHTS.taints, (node) => intolerable(pod, node), lowIsBest);
  rate(WEIGHTS.nodeAffinity, (node) => preferenceWeight(pod.spec, node.node), highIsBest);
  rate(
    WEIGHTS.leastAllocated,
    (node) => leastAllocated(pod, node),
    (raw) => raw,
  );
  if (spreads.length > 0) rate(WEIGHTS.spread, (node) => crowding(spreads, node), lowIsBestWithFloor);
  if (affinity !== undefined) rate(WEIGHTS.podAffinity, (node) => affinityScore(affinity, node), minToMax);

  let best: number[] = [];
  for (let i = 0; i < candidates.length; i++) {
    const order =
      best.length === 0
        ? 1
        : Math.round(points[i]) - Math.round(points[best[0]]) ||
          candidates[best[0]].pods.size - candidates[i].pods.size;
    if (order > 0) best = [i];
    else if (order === 0) best.push(i);
  }
  return candidates[best[random32() % best.length]];
}

function intolerable(pod: Pod, { node }: NodeState): number {
  const soft = (node.spec?.taints ?? []).filter((taint) => taint.effect === 'PreferNoSchedule');
  return soft.filter((taint) => !pod.spec.tolerations?.some((each) => tolerates(each, taint))).length;
}

function leastAllocated(pod: Pod, { allocatable, scoring }: NodeState): number {
  const wanted = podRequestsForScoring(pod.spec);
  const share = (name: 'cpu' | 'memory') => {
    const capacity = allocatable.get(name) ?? 0;
    const used = scoring[name] + wanted[name];
    return capacity <= 0 || used > capacity ? 0 : ((capacity - used) * MOST_POINTS) / capacity;
  };
  return (share('cpu') + share('memory')) / 2;
}

function highIsBest(raw: number[]): number[] {
  const most = Math.max(...raw);
  return raw.map((value) => (most === 0 ? 0 : (value * MOST_POINTS) / most));
}

function lowIsBest(raw: number[]): number[] {
  const most = Math.max(...raw);
  return raw.map((value) => (most === 0 ? MOST_POINTS : MOST_POINTS - (value * MOST_POINTS) / most));
}

function lowIsBestWithFloor(raw: number[]): number[] {
  const most = Math.max(...raw);
  const least = Math.min(...raw);
  return raw.map((value) => (most === 0 ? MOST_POINTS : (MOST_POINTS * (most + least - value)) / most));
}

function minToMax(raw: number[]): number[] {
  const most = Math.max(...raw);
  const least = Math.min(...raw);
  return raw.map((value) => (most === least ? 0 : (MOST_POINTS * (value - least)) / (most - least)));
}

/** A pod's own soft constraints, or the defaults every pod of a Service or workload has. */
function softSpreads(pod: Pod, state: ClusterState, api: Api): Spread[] {
  const own = constraintsOf(pod, 'ScheduleAnyway');
  if (own.length > 0 || (pod.spec.topologySpreadConstraints?.length ?? 0) > 0) {
    const keys = own.map((each) => each.topologyKey);
    return own.map((each) => spreadOf(each, pod, state, keys));
  }
  const selector = groupSelector(pod, api);
  if (selector === undefined) return [];
  const defaults: TopologySpreadConstraint[] = [
    { maxSkew: 3, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' },
    { maxSkew: 5, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' },
  ];
  return defaults.map((each) =>
    spreadOf({ ...each, labelSelector: selector }, pod, state, [each.topologyKey]),
  );
}

const WORKLOADS: Readonly<Record<string, string>> = {
  ReplicaSet: 'replicasets.apps',
  StatefulSet: 'statefulsets.apps',
};

/** The pods a pod is one of: those its Services and its workload select, all at once. */
function groupSelector(pod: Pod, api: Api): LabelSelector | undefined {
  const namespace = pod.metadata.namespace!;
  const matchLabels: Record<string, string> = {};
  let matchExpressions: LabelSelector['matchExpressions'] = [];
  for (const service of api.list<Service>('services', { namespace })) {
    if (matchesSelectorMap(service.spec.selector, pod.metadata.labels)) {
      Object.assign(matchLabels, service.spec.selector);
    }
  }
  const owner = controllerOf(pod);
  const resource = owner && WORKLOADS[owner.kind];
  if (resource !== undefined) {
    const workload = api.get<{ spec: { selector: LabelSelector } }>(resource, namespace, owner!.name);
    if (workload !== undefined && matchesLabelSelector(workload.spec.selector, pod.metadata.labels)) {
      Object.assign(matchLabels, workload.spec.selector.matchLabels);
      matchExpressions = workload.spec.selector.matchExpressions ?? [];
    }
  }
  if (Object.keys(matchLabels).length === 0 && matchExpressions.length === 0) return undefined;
  return { matchLabels, matchExpressions };
}
