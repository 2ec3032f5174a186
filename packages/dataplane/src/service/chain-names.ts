/**
 * Names of the chains kube-proxy makes for one service port (K: iptables/proxier.go): a prefix and the first sixteen
 * characters of base32(sha256(...)), so that they fit the kernel's 28 characters.
 */

import { createHash } from 'node:crypto';
import type { ServiceEndpoint, ServicePort } from '../tables.ts';
import { base32 } from './base32.ts';

const SUFFIX_LENGTH = 16;

function suffix(text: string): string {
  return base32(createHash('sha256').update(text).digest(), SUFFIX_LENGTH);
}

/** `tcp`, `udp` or `sctp`. */
export function protocolText(port: { readonly protocol: number }): string {
  return port.protocol === 6 ? 'tcp' : port.protocol === 17 ? 'udp' : 'sctp';
}

/** What KUBE-SVC-, KUBE-SVL-, KUBE-EXT- and KUBE-FW- of one service port end in. */
export function serviceChainSuffix(port: ServicePort): string {
  return suffix(port.name + protocolText(port));
}

/** KUBE-SEP-…: one endpoint of one service port. */
export function endpointChainName(port: ServicePort, endpoint: ServiceEndpoint): string {
  const address = endpoint.address.includes(':') ? `[${endpoint.address}]` : endpoint.address;
  return `KUBE-SEP-${suffix(`${port.name}${protocolText(port)}${address}:${endpoint.port}`)}`;
}
