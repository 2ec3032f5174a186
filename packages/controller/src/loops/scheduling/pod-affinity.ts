import { matchesLabelSelector } from '@podwire/kube/selectors';
import type { Namespace, Node, Pod, PodAffinity, PodAffinityTerm } from '../objects.ts';
import type { ClusterState, NodeState, PlacedPod } from './cluster-state.ts';

/** Affinity between pods (plugins/interpodaffinity). */

/** Topology values, as `key=value`, and how many pods in them answer to a set of terms. */
type Topologies = Map<string, number>;

export interface AffinityState {
  /** For each required term of the pod, where pods are that it matches. */
  affinity: { term: PodAffinityTerm; where: Topologies }[];
  antiAffinity: { term: PodAffinityTerm; where: Topologies }[];
  /** Where pods are whose own anti-affinity forbids this pod. */
  forbidden: Topologies;
  /** Sum of weights by topology value, of this pod's preferences and of those other pods have about it. */
  preferred: Topologies;
  /** The pod may be the first of a group that wants to be together. */
  selfMatches: boolean;
}

export type FindNamespace = (name: string) => Namespace | undefined;

/** Undefined when no pod has anything to say. */
export function affinityState(
  pod: Pod,
  state: ClusterState,
  findNamespace: FindNamespace,
): AffinityState | undefined {
  const own = pod.spec.affinity;
  const result: AffinityState = {
    affinity: requiredTerms(own?.podAffinity).map((term) => ({ term, where: new Map() })),
    antiAffinity: requiredTerms(own?.podAntiAffinity).map((term) => ({ term, where: new Map() })),
    forbidden: new Map(),
    preferred: new Map(),
    selfMatches: requiredTerms(own?.podAffinity).every((term) => matches(term, pod, pod, findNamespace)),
  };
  let relevant = own?.podAffinity !== undefined || own?.podAntiAffinity !== undefined;
  for (const placed of state.pods()) {
    const node = state.nodes.get(placed.nodeName)?.node;
    if (node === undefined) continue;
    if (own !== undefined) countFor(pod, own, result, placed, node, findNamespace);
    const theirs = placed.pod.spec.affinity;
    if (theirs?.podAffinity === undefined && theirs?.podAntiAffinity === undefined) continue;
    relevant = true;
    for (const term of requiredTerms(theirs.podAntiAffinity)) {
      if (matches(term, placed.pod, pod, findNamespace)) raise(result.forbidden, term, node, 1);
    }
    // A pod that must be near others is a mild reason for those others to come near it.
    for (const term of requiredTerms(theirs.podAffinity)) {
      if (matches(term, placed.pod, pod, findNamespace)) raise(result.preferred, term, node, 1);
    }
    for (const { weight, podAffinityTerm } of preferredTerms(theirs.podAffinity)) {
      if (matches(podAffinityTerm, placed.pod, pod, findNamespace)) {
        raise(result.preferred, podAffinityTerm, node, weight);
      }
    }
    for (const { weight, podAffinityTerm } of preferredTerms(theirs.podAntiAffinity)) {
      if (matches(podAffinityTerm, placed.pod, pod, findNamespace)) {
        raise(result.preferred, podAffinityTerm, node, -weight);
      }
    }
  }
  return relevant ? result : undefined;
}

function countFor(
  pod: Pod,
  own: { podAffinity?: PodAffinity; podAntiAffinity?: PodAffinity },
  result: AffinityState,
  placed: PlacedPod,
  node: Node,
  findNamespace: FindNamespace,
): void {
  // A pod matches only if all required terms do, so that they mean one group of pods.
  if (result.affinity.every(({ term }) => matches(term, pod, placed.pod, findNamespace))) {
    for (const { term, where } of result.affinity) raise(where, term, node, 1);
  }
  for (const { term, where } of result.antiAffinity) {
    if (matches(term, pod, placed.pod, findNamespace)) raise(where, term, node, 1);
  }
  for (const { weight, podAffinityTerm } of preferredTerms(own.podAffinity)) {
    if (matches(podAffinityTerm, pod, placed.pod, findNamespace)) {
      raise(result.preferred, podAffinityTerm, node, weight);
    }
  }
  for (const { weight, podAffinityTerm } of preferredTerms(own.podAntiAffinity)) {
    if (matches(podAffinityTerm, pod, placed.pod, findNamespace)) {
      raise(result.preferred, podAffinityTerm, node, -weight);
    }
  }
}

/** Why a node is out of the question, or ''. */
export function affinityProblem(state: AffinityState, { node }: NodeState): string {
  if (state.affinity.length > 0) {
    const anywhere = state.affinity.some(({ where }) => where.size > 0);
    const here = state.affinity.every(({ term, where }) => (countAt(where, term.topologyKey, node) ?? 0) > 0);
    const hasLabels = state.affinity.every(
      ({ term }) => node.metadata.labels?.[term.topologyKey] !== undefined,
    );
    if (!here && !(hasLabels && !anywhere && state.selfMatches))
      return "node(s) didn't match pod affinity rules";
  }
  if (state.antiAffinity.some(({ term, where }) => (countAt(where, term.topologyKey, node) ?? 0) > 0)) {
    return "node(s) didn't match pod anti-affinity rules";
  }
  for (const topology of state.forbidden.keys()) {
    if (isIn(topology, node)) return "node(s) didn't satisfy existing pods anti-affinity rules";
  }
  return '';
}

export function affinityScore(state: AffinityState, { node }: NodeState): number {
  let sum = 0;
  for (const [topology, weight] of state.preferred) if (isIn(topology, node)) sum += weight;
  return sum;
}

function requiredTerms(affinity: PodAffinity | undefined): PodAffinityTerm[] {
  return affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
}

function preferredTerms(affinity: PodAffinity | undefined) {
  return affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
}

/** Whether `term`, written in `owner`, means `other`. */
function matches(term: PodAffinityTerm, owner: Pod, other: Pod, findNamespace: FindNamespace): boolean {
  const namespace = other.metadata.namespace!;
  if (term.namespaces?.length || term.namespaceSelector !== undefined) {
    const listed = term.namespaces?.includes(namespace) ?? false;
    const labels = findNamespace(namespace)?.metadata.labels;
    if (!listed && !matchesLabelSelector(term.namespaceSelector, labels)) return false;
  } else if (namespace !== owner.metadata.namespace) return false;
  if (!matchesLabelSelector(term.labelSelector, other.metadata.labels)) return false;
  return (term.matchLabelKeys ?? []).every((key) => {
    const value = owner.metadata.labels?.[key];
    return value === undefined || other.metadata.labels?.[key] === value;
  });
}

function raise(where: Topologies, term: PodAffinityTerm, node: Node, weight: number): void {
  const value = node.metadata.labels?.[term.topologyKey];
  if (value === undefined) return;
  const topology = `${term.topologyKey}=${value}`;
  where.set(topology, (where.get(topology) ?? 0) + weight);
}

function countAt(where: Topologies, key: string, node: Node): number | undefined {
  return where.get(`${key}=${node.metadata.labels?.[key]}`);
}

function isIn(topology: string, node: Node): boolean {
  const equals = topology.indexOf('=');
  return node.metadata.labels?.[topology.slice(0, equals)] === topology.slice(equals + 1);
}
