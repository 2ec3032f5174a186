import { matchesLabelSelector } from '@podwire/kube/selectors';
import { matchesNodeAffinity } from '../node-affinity.ts';
import type { LabelSelector, Labels, Pod, TopologySpreadConstraint } from '../objects.ts';
import { findUntolerated, SCHEDULING_EFFECTS } from '../tolerations.ts';
import type { ClusterState, NodeState } from './cluster-state.ts';

/** Topology spread constraints (plugins/podtopologyspread). */

/** Matching pods by topology value, over the nodes a constraint looks at. */
export interface Spread {
  constraint: TopologySpreadConstraint;
  counts: Map<string, number>;
  /** Whether the pod counts itself where it goes. */
  selfMatches: boolean;
}

/** The constraints of a pod of one kind: 'DoNotSchedule' or 'ScheduleAnyway'. */
export function constraintsOf(pod: Pod, whenUnsatisfiable: string): TopologySpreadConstraint[] {
  return (pod.spec.topologySpreadConstraints ?? []).filter(
    (each) => each.whenUnsatisfiable === whenUnsatisfiable,
  );
}

export function spreadOf(
  constraint: TopologySpreadConstraint,
  pod: Pod,
  state: ClusterState,
  allKeys: readonly string[],
): Spread {
  const selects = podSelector(constraint, pod);
  const counts = new Map<string, number>();
  for (const nodeState of state.nodes.values()) {
    if (!isConsidered(constraint, pod, nodeState, allKeys)) continue;
    const value = nodeState.node.metadata.labels![constraint.topologyKey];
    let count = counts.get(value) ?? 0;
    for (const placed of nodeState.pods.values()) {
      const { metadata } = placed.pod;
      if (metadata.namespace !== pod.metadata.namespace || metadata.deletionTimestamp !== undefined) continue;
      if (selects(metadata.labels)) count++;
    }
    counts.set(value, count);
  }
  return { constraint, counts, selfMatches: selects(pod.metadata.labels) };
}

function isConsidered(
  constraint: TopologySpreadConstraint,
  pod: Pod,
  { node }: NodeState,
  allKeys: readonly string[],
): boolean {
  const labels = node.metadata.labels;
  if (allKeys.some((key) => labels?.[key] === undefined)) return false;
  if (constraint.nodeAffinityPolicy !== 'Ignore' && !matchesNodeAffinity(pod.spec, node)) return false;
  if (constraint.nodeTaintsPolicy !== 'Honor') return true;
  return findUntolerated(node.spec?.taints, pod.spec.tolerations, SCHEDULING_EFFECTS) === undefined;
}

function podSelector(constraint: TopologySpreadConstraint, pod: Pod): (labels: Labels) => boolean {
  const selector = withLabelKeys(constraint.labelSelector, constraint.matchLabelKeys, pod);
  return (labels) => matchesLabelSelector(selector, labels);
}

function withLabelKeys(
  selector: LabelSelector | undefined,
  keys: readonly string[] | undefined,
  pod: Pod,
): LabelSelector | undefined {
  if (selector === undefined || !keys?.length) return selector;
  const matchLabels = { ...selector.matchLabels };
  for (const key of keys) {
    const value = pod.metadata.labels?.[key];
    if (value !== undefined) matchLabels[key] = value;
  }
  return { ...selector, matchLabels };
}

const NOT_MATCHED = "node(s) didn't match pod topology spread constraints";

/** Why a node breaks a hard constraint, or ''. */
export function spreadProblem(spreads: readonly Spread[], { node }: NodeState): string {
  for (const { constraint, counts, selfMatches } of spreads) {
    const value = node.metadata.labels?.[constraint.topologyKey];
    if (value === undefined) return `${NOT_MATCHED} (missing required label)`;
    const enough = counts.size >= (constraint.minDomains ?? 1);
    const least = enough ? Math.min(...counts.values()) : 0;
    const skew = (counts.get(value) ?? 0) + Number(selfMatches) - least;
    if (skew > constraint.maxSkew) return NOT_MATCHED;
  }
  return '';
}

/** How crowded a node's topologies are; lower is better. Fewer domains of a key weigh its counts less. */
export function crowding(spreads: readonly Spread[], { node }: NodeState): number {
  let sum = 0;
  for (const { constraint, counts } of spreads) {
    const value = node.metadata.labels?.[constraint.topologyKey];
    if (value === undefined) continue;
    sum += (counts.get(value) ?? 0) * Math.log(counts.size + 2) + (constraint.maxSkew - 1);
  }
  return sum;
}
