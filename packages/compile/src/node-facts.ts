/** What the data plane needs to know of a Node object. */

import { canonicalAddress } from '@podwire/wire/address';
import { nthAddress, parseCidr } from '@podwire/wire/cidr';
import type { Node } from 'kubernetes-types/core/v1.js';
import { vtepMac } from './vtep-mac.ts';

export const VTEP_MAC_ANNOTATION = 'podwire.dev/vtep-mac';
export const ZONE_LABEL = 'topology.kubernetes.io/zone';

export interface NodeFacts {
  readonly name: string;
  /** InternalIP addresses, canonical text, in the order of the object. */
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  readonly vtepMac: string;
  readonly zone: string;
}

/** Reads a Node; addresses and CIDRs that do not parse are left out. */
export function nodeFacts(node: Node): NodeFacts {
  const name = node.metadata?.name ?? '';
  const spec = node.spec;
  const cidrs = spec?.podCIDRs ?? (spec?.podCIDR === undefined ? [] : [spec.podCIDR]);
  const addresses: string[] = [];
  for (const item of node.status?.addresses ?? []) {
    const address = item.type === 'InternalIP' ? canonicalAddress(item.address) : undefined;
    if (address !== undefined) addresses.push(address);
  }
  return {
    name,
    addresses,
    podCidrs: cidrs.filter((cidr) => parseCidr(cidr) !== undefined),
    vtepMac: node.metadata?.annotations?.[VTEP_MAC_ANNOTATION] ?? vtepMac(name),
    zone: node.metadata?.labels?.[ZONE_LABEL] ?? '',
  };
}

/** The first address after the network's own of each pod CIDR: the node's end of the overlay. */
export function gatewayAddresses(podCidrs: readonly string[]): { v4?: string; v6?: string } {
  const gateways: { v4?: string; v6?: string } = {};
  for (const text of podCidrs) {
    const cidr = parseCidr(text);
    if (cidr === undefined) continue;
    if (cidr.version === 4) gateways.v4 ??= nthAddress(cidr, 1);
    else gateways.v6 ??= nthAddress(cidr, 1);
  }
  return gateways;
}
