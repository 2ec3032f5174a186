/**
 * ICMP errors about translated flows. The error quotes a packet as the next hop saw it; its addressee sent that packet
 * with other addresses. The quote and the error's own addresses are turned back, or the sender would not know it.
 *
 *     pod -> VIP:80   ==DNAT==>   pod -> backend:8080   X   too big
 *     pod <- VIP, quoting pod -> VIP:80   <==   pod <- router, quoting pod -> backend:8080
 */

import { fillIcmpv6Checksum, verifyIcmpv6Checksum } from '@podwire/wire/icmpv6';
import type { Packet } from '@podwire/wire/packet';
import { fillTransportChecksum, verifyTransportChecksum } from '@podwire/wire/transport-checksum';
import type { Conntrack } from './conntrack.ts';
import { rewriteDestination, rewriteSource } from './rewrite.ts';
import type { Frontend } from './service/translator.ts';

/** Whether the error's own checksum is right: a wrong one must not be made right by rewriting. */
export function isIntactError(packet: Packet): boolean {
  return packet.version === 6
    ? verifyIcmpv6Checksum(packet.frame, packet.l3, packet.l4, packet.end)
    : verifyTransportChecksum(packet.frame, 4, packet.l3, packet.protocol, packet.l4, packet.end);
}

/**
 * Rewrites an ICMP error and its quote for the flow direction it travels in.
 *
 * @param packet the error; @param quoted its quote, decoded in place
 * @param reference the direction the error travels in, from `Conntrack.findMirrored`
 * @param frontend what clients of this flow know its backend as, when flows do not hold that themselves (ebpf)
 * @returns whether anything changed
 */
export function translateError(
  packet: Packet,
  quoted: Packet,
  conntrack: Conntrack,
  reference: number,
  frontend: Frontend | undefined,
): boolean {
  const changesSource = conntrack.changesSource(reference) || frontend !== undefined;
  const changesDestination = conntrack.changesDestination(reference);
  if (!changesSource && !changesDestination) return false;

  // The quote goes against the error's direction: its source is the error's addressee.
  const to0 = conntrack.leavingDestination(reference, 0);
  const to1 = conntrack.leavingDestination(reference, 1);
  const to2 = conntrack.leavingDestination(reference, 2);
  const to3 = conntrack.leavingDestination(reference, 3);
  rewriteSource(quoted, to0, to1, to2, to3, conntrack.leavingDestinationPort(reference));
  rewriteDestination(packet, to0, to1, to2, to3, packet.dstPort);
  if (changesSource) {
    const from0 = frontend?.words[0] ?? conntrack.leavingSource(reference, 0);
    const from1 = frontend?.words[1] ?? conntrack.leavingSource(reference, 1);
    const from2 = frontend?.words[2] ?? conntrack.leavingSource(reference, 2);
    const from3 = frontend?.words[3] ?? conntrack.leavingSource(reference, 3);
    const fromPort = frontend?.port ?? conntrack.leavingSourcePort(reference);
    rewriteDestination(quoted, from0, from1, from2, from3, fromPort);
    // Whoever made the error, the flow's client knows only the frontend (nf_nat_icmp_reply_translation).
    rewriteSource(packet, from0, from1, from2, from3, packet.srcPort);
  }
  if (packet.version === 6) fillIcmpv6Checksum(packet.frame, packet.l3, packet.l4, packet.end);
  else fillTransportChecksum(packet.frame, 4, packet.l3, packet.protocol, packet.l4, packet.end);
  return true;
}
