import { matchesNodeAffinity } from '../node-affinity.ts';
import type { Pod, PodSpec } from '../objects.ts';
import { findUntolerated, SCHEDULING_EFFECTS } from '../tolerations.ts';
import type { ClusterState, NodeState } from './cluster-state.ts';
import { type AffinityState, affinityProblem, affinityState, type FindNamespace } from './pod-affinity.ts';
import { type Amounts, podRequests } from './resources.ts';
import { constraintsOf, type Spread, spreadOf, spreadProblem } from './topology-spread.ts';

/** What is worked out once for a pod before it is held against every node. */
export interface PodContext {
  pod: Pod;
  requests: Amounts;
  hostPorts: HostPort[];
  spreads: Spread[];
  affinity: AffinityState | undefined;
}

interface HostPort {
  protocol: string;
  ip: string;
  port: number;
}

/** Why a node is out of the question. `final`: removing pods from the node would not help. */
export interface Refusal {
  reasons: string[];
  final: boolean;
}

export function podContext(pod: Pod, state: ClusterState, findNamespace: FindNamespace): PodContext {
  const constraints = constraintsOf(pod, 'DoNotSchedule');
  const keys = constraints.map((each) => each.topologyKey);
  return {
    pod,
    requests: podRequests(pod.spec),
    hostPorts: hostPortsOf(pod.spec),
    spreads: constraints.map((each) => spreadOf(each, pod, state, keys)),
    affinity: affinityState(pod, state, findNamespace),
  };
}

/** The first filter that refuses the node, in upstream's order (pkg/scheduler/apis/config/v1/default_plugins.go). */
export function refuse(context: PodContext, state: NodeState): Refusal | undefined {
  const { pod } = context;
  const { node } = state;
  const { spec } = pod;
  if (node.spec?.unschedulable && !toleratesUnschedulable(spec)) return final('node(s) were unschedulable');
  const taint = findUntolerated(node.spec?.taints, spec.tolerations, SCHEDULING_EFFECTS);
  if (taint !== undefined) {
    return final(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`);
  }
  if (!matchesNodeAffinity(spec, node)) return final("node(s) didn't match Pod's node affinity/selector");
  if (conflictsWithPorts(context.hostPorts, state)) {
    return transient("node(s) didn't have free ports for the requested pod ports");
  }
  const lacking = lackingResources(context.requests, state);
  if (lacking.length > 0) return { reasons: lacking, final: false };
  const spread = spreadProblem(context.spreads, state);
  if (spread !== '') return { reasons: [spread], final: spread.endsWith('(missing required label)') };
  const affinity = context.affinity === undefined ? '' : affinityProblem(context.affinity, state);
  if (affinity !== '') return { reasons: [affinity], final: affinity.endsWith('pod affinity rules') };
  return undefined;
}

function final(reason: string): Refusal {
  return { reasons: [reason], final: true };
}

function transient(reason: string): Refusal {
  return { reasons: [reason], final: false };
}

function toleratesUnschedulable(spec: PodSpec): boolean {
  const taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
  return findUntolerated([taint], spec.tolerations, SCHEDULING_EFFECTS) === undefined;
}

function lackingResources(requests: Amounts, state: NodeState): string[] {
  const lacking: string[] = [];
  const podLimit = state.allocatable.get('pods');
  if (podLimit !== undefined && state.pods.size + 1 > podLimit) lacking.push('Too many pods');
  for (const [name, amount] of requests) {
    if (amount === 0) continue;
    const allocatable = state.allocatable.get(name);
    // A node that says nothing of its CPU or memory has as much as anyone likes.
    if (allocatable === undefined && (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage'))
      continue;
    if (amount > (allocatable ?? 0) - (state.requested.get(name) ?? 0)) lacking.push(`Insufficient ${name}`);
  }
  return lacking;
}

function hostPortsOf(spec: PodSpec): HostPort[] {
  return [
    ...spec.containers,
    ...(spec.initContainers ?? []).filter((each) => each.restartPolicy === 'Always'),
  ]
    .flatMap((container) => container.ports ?? [])
    .filter((port) => port.hostPort)
    .map((port) => ({
      protocol: port.protocol ?? 'TCP',
      ip: port.hostIP || '0.0.0.0',
      port: port.hostPort!,
    }));
}

function conflictsWithPorts(wanted: readonly HostPort[], state: NodeState): boolean {
  if (wanted.length === 0) return false;
  for (const { pod } of state.pods.values()) {
    for (const used of hostPortsOf(pod.spec)) {
      if (wanted.some((port) => clashes(port, used))) return true;
    }
  }
  return false;
}

function clashes(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port || a.protocol !== b.protocol) return false;
  return a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0';
}

/** The scheduler's answer when no node will do: `0/3 nodes are available: 3 Insufficient cpu. preemption: …`. */
export function unschedulableMessage(refusals: readonly Refusal[], pod: Pod): string {
  if (refusals.length === 0) return 'no nodes available to schedule pods';
  const head = `0/${refusals.length} nodes are available:`;
  const reasons = countTexts(refusals.flatMap((refusal) => refusal.reasons));
  if (pod.spec.preemptionPolicy === 'Never') {
    return `${head} ${reasons}. preemption: not eligible due to preemptionPolicy=Never.`;
  }
  const preemption = countTexts(
    refusals.map((refusal) =>
      refusal.final
        ? 'Preemption is not helpful for scheduling'
        : 'No preemption victims found for incoming pod',
    ),
  );
  return `${head} ${reasons}. preemption: ${head} ${preemption}.`;
}

function countTexts(texts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts]
    .map(([text, count]) => `${count} ${text}`)
    .sort()
    .join(', ');
}
