/** Where each destination goes from one node's point of view: what flannel and the CNI plugin would install. */

import type { LocalEndpoint, RouteEntry, RouteTarget, VtepEntry } from '@podwire/dataplane/tables';
import { gatewayAddresses, type NodeFacts } from './node-facts.ts';

export interface RouteInput {
  /** Undefined while this node's own object has not arrived. */
  readonly self: NodeFacts | undefined;
  readonly others: readonly NodeFacts[];
  readonly vteps: readonly VtepEntry[];
  readonly endpoints: readonly LocalEndpoint[];
  readonly clusterCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
}

/** The tunnel endpoints of the other nodes; a node that reported no address yet has none. */
export function compileVteps(others: readonly NodeFacts[], tunnelPort: number): VtepEntry[] {
  return others
    .filter((node) => node.addresses.length > 0)
    .map((node) => ({ node: node.name, address: node.addresses[0], port: tunnelPort, mac: node.vtepMac }));
}

/** All routes, each prefix once. A more particular statement about a prefix (a pod, this node) comes first and wins. */
export function compileRoutes(input: RouteInput): RouteEntry[] {
  const routes = new Map<string, RouteEntry>();
  const add = (prefix: string, target: RouteTarget): void => {
    if (!routes.has(prefix)) routes.set(prefix, { prefix, target });
  };
  for (const endpoint of input.endpoints) {
    for (const address of endpoint.addresses)
      add(host(address), { kind: 'endpoint', endpointId: endpoint.id });
  }
  const { self } = input;
  if (self !== undefined) {
    const gateways = gatewayAddresses(self.podCidrs);
    for (const address of [...self.addresses, gateways.v4, gateways.v6]) {
      if (address !== undefined) add(host(address), { kind: 'host' });
    }
    for (const cidr of self.podCidrs) {
      add(cidr, { kind: 'unreachable', text: `no pod of ${self.name} has this address` });
    }
  }
  const vteps = new Map(input.vteps.map((vtep) => [vtep.node, vtep]));
  for (const node of input.others) {
    const vtep = vteps.get(node.name);
    if (vtep === undefined) continue;
    for (const cidr of node.podCidrs) add(cidr, { kind: 'vtep', vtep });
    for (const address of node.addresses) add(host(address), { kind: 'vtep', vtep });
  }
  // What nothing translated leaves a real node by its default route and finds nobody there.
  for (const cidr of input.serviceCidrs) {
    add(cidr, { kind: 'blackhole', text: 'a service address that nothing translated is on no interface' });
  }
  for (const cidr of input.clusterCidrs)
    add(cidr, { kind: 'blackhole', text: 'no node has this pod address' });
  return [...routes.values()];
}

function host(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}
