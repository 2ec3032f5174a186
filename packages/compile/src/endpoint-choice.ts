/** Which endpoints of a service port are used, after kube-proxy (K: topology.go, CategorizeEndpoints). */

import type { ServiceEndpoint } from '@podwire/dataplane/tables';

/** An endpoint and the hints of its slice. */
export interface Candidate {
  readonly endpoint: ServiceEndpoint;
  readonly hintZones: readonly string[];
  readonly hintNodes: readonly string[];
}

/** Where the choosing node is. */
export interface Topology {
  readonly nodeName: string;
  /** '' when the node has no zone label. */
  readonly zone: string;
}

type Preference = 'node' | 'zone' | 'any';

/**
 * The endpoints for traffic policy Cluster: the ready ones that hints leave to this node; when none is ready, those
 * that terminate but still serve, wherever they are.
 */
export function chooseClusterEndpoints(
  candidates: readonly Candidate[],
  topology: Topology,
): ServiceEndpoint[] {
  const ready = candidates.filter(({ endpoint }) => endpoint.ready);
  if (ready.length === 0) return servingTerminating(candidates);
  const preference = preferenceOf(ready, topology);
  return ready
    .filter(({ hintNodes, hintZones }) =>
      preference === 'node'
        ? hintNodes.includes(topology.nodeName)
        : preference === 'zone'
          ? hintZones.includes(topology.zone)
          : true,
    )
    .map(({ endpoint }) => endpoint);
}

/** The endpoints for traffic policy Local: ready on this node, else serving while they terminate on this node. */
export function chooseLocalEndpoints(candidates: readonly Candidate[]): ServiceEndpoint[] {
  const local = candidates.filter(({ endpoint }) => endpoint.local);
  const ready = local.filter(({ endpoint }) => endpoint.ready);
  return ready.length > 0 ? ready.map(({ endpoint }) => endpoint) : servingTerminating(local);
}

function servingTerminating(candidates: readonly Candidate[]): ServiceEndpoint[] {
  return candidates
    .map(({ endpoint }) => endpoint)
    .filter((endpoint) => endpoint.serving && endpoint.terminating);
}

// Hints count only when every ready endpoint has them and one of them points here: half a set of hints is a slice
// that is being rewritten.
function preferenceOf(ready: readonly Candidate[], { nodeName, zone }: Topology): Preference {
  const forNode = ready.some(({ hintNodes }) => hintNodes.includes(nodeName));
  if (forNode && ready.every(({ hintNodes }) => hintNodes.length > 0)) return 'node';
  const forZone = zone !== '' && ready.some(({ hintZones }) => hintZones.includes(zone));
  if (forZone && ready.every(({ hintZones }) => hintZones.length > 0)) return 'zone';
  return 'any';
}
