import type { Node, Pod } from '../objects.ts';
import { isPodFinished } from '../pod-state.ts';
import { type Amounts, add, allocatableOf, podRequests, podRequestsForScoring } from './resources.ts';

/** A pod on a node, with what is asked of it often worked out once. */
export interface PlacedPod {
  readonly pod: Pod;
  readonly nodeName: string;
  readonly requests: Amounts;
  readonly scoring: { cpu: number; memory: number };
}

export interface NodeState {
  node: Node;
  allocatable: Amounts;
  requested: Amounts;
  /** Requests with floor values for containers that ask for nothing. */
  scoring: { cpu: number; memory: number };
  readonly pods: Map<string, PlacedPod>;
}

/**
 * The scheduler's picture of the cluster: nodes and the pods on them, kept up to date by watch events, and ahead of them by the pods
 * it has just placed (pkg/scheduler/internal/cache).
 */
export class ClusterState {
  readonly nodes = new Map<string, NodeState>();
  /** Pods by uid, also those on nodes that are not known (yet). */
  readonly #placed = new Map<string, PlacedPod>();
  readonly #byNamespace = new Map<string, Map<string, PlacedPod>>();

  setNode(node: Node): void {
    const state = this.nodes.get(node.metadata.name);
    if (state !== undefined) {
      state.node = node;
      state.allocatable = allocatableOf(node);
      return;
    }
    const fresh: NodeState = {
      node,
      allocatable: allocatableOf(node),
      requested: new Map(),
      scoring: { cpu: 0, memory: 0 },
      pods: new Map(),
    };
    this.nodes.set(node.metadata.name, fresh);
    for (const placed of this.#placed.values())
      if (placed.nodeName === node.metadata.name) count(fresh, placed, 1);
  }

  removeNode(name: string): void {
    this.nodes.delete(name);
  }

  /** Puts a pod on a node, or replaces what is known of it. Finished pods take no room. */
  place(pod: Pod, nodeName: string): void {
    const { uid } = pod.metadata;
    const namespace = pod.metadata.namespace!;
    this.remove(uid);
    if (isPodFinished(pod)) return;
    const { spec } = pod;
    const placed = { pod, nodeName, requests: podRequests(spec), scoring: podRequestsForScoring(spec) };
    this.#placed.set(uid, placed);
    let peers = this.#byNamespace.get(namespace);
    if (peers === undefined) this.#byNamespace.set(namespace, (peers = new Map()));
    peers.set(uid, placed);
    const state = this.nodes.get(nodeName);
    if (state !== undefined) count(state, placed, 1);
  }

  remove(uid: string): void {
    const placed = this.#placed.get(uid);
    if (placed === undefined) return;
    this.#placed.delete(uid);
    const namespace = placed.pod.metadata.namespace!;
    const peers = this.#byNamespace.get(namespace)!;
    peers.delete(uid);
    if (peers.size === 0) this.#byNamespace.delete(namespace);
    const state = this.nodes.get(placed.nodeName);
    if (state !== undefined) count(state, placed, -1);
  }

  find(uid: string): PlacedPod | undefined {
    return this.#placed.get(uid);
  }

  podsIn(namespace: string): Iterable<PlacedPod> {
    return this.#byNamespace.get(namespace)?.values() ?? [];
  }

  pods(): Iterable<PlacedPod> {
    return this.#placed.values();
  }
}

function count(state: NodeState, placed: PlacedPod, sign: 1 | -1): void {
  if (sign > 0) state.pods.set(placed.pod.metadata.uid, placed);
  else state.pods.delete(placed.pod.metadata.uid);
  add(state.requested, placed.requests, sign);
  state.scoring.cpu += sign * placed.scoring.cpu;
  state.scoring.memory += sign * placed.scoring.memory;
}
