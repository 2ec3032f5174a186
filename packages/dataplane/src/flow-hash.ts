/** Outer UDP source port of a tunnelled packet: the inner flow's hash, so that the underlay can spread flows. */

import type { Packet } from '@podwire/wire/packet';

/** RFC 7348 section 5: the dynamic range, 49152 to 65535. All packets of one direction of a flow get one port. */
export function tunnelSourcePort(packet: Packet): number {
  let hash = Math.imul(packet.src3 ^ packet.src0, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15) ^ packet.src1 ^ packet.src2, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15) ^ packet.dst3 ^ packet.dst0, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13) ^ packet.dst1 ^ packet.dst2, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 16) ^ ((packet.srcPort << 16) | packet.dstPort), 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 16) ^ packet.protocol, 0x9e3779b1);
  hash ^= hash >>> 16;
  return 49_152 + (hash & 0x3fff);
}
