/**
 * Names of the chains kube-proxy makes for one service port (K: iptables/proxier.go): a prefix and the first sixteen
 * characters of base32(sha256(...)), so that they fit the kernel's 28 characters.
 */

import { createHash } from 'node:crypto';
import type { ServiceEndpoint, ServicePort } from '../tables.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const SUFFIX_LENGTH = 16;

/** RFC 4648 base32 of the first ten bytes of SHA-256, which is sixteen characters. */
function suffix(text: string): string {
  const digest = createHash('sha256').update(text).digest();
  let name = '';
  let bits = 0;
  let value = 0;
  for (let i = 0; name.length < SUFFIX_LENGTH; i++) {
    value = ((value << 8) | digest[i]) & 0xfff;
    bits += 8;
    while (bits >= 5 && name.length < SUFFIX_LENGTH) {
      bits -= 5;
      name += ALPHABET[(value >>> bits) & 31];
    }
  }
  return name;
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
