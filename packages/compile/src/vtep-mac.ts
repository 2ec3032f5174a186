import { createHash } from 'node:crypto';
import { formatMac } from '@podwire/wire/address';

/**
 * The MAC of a node's tunnel endpoint: 0x66 and the first five bytes of SHA-1 of the node's name, as Calico derives
 * it (felix, vxlan_mgr.go). Every node can tell every other's without asking.
 */
export function vtepMac(nodeName: string): string {
  const digest = createHash('sha1').update(nodeName).digest();
  return formatMac(new Uint8Array([0x66, ...digest.subarray(0, 5)]));
}
