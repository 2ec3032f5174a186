/**
 * Address resolution on a pod's link. The link has two ends: whatever a pod asks for, the answer is the gateway's
 * MAC (proxy ARP, as on Calico's host side). Probes for duplicate addresses get no answer: they ask for the
 * sender's own address.
 */

import { ARP_REPLY, ARP_REQUEST, emitArp, isArp, parseArp } from '@podwire/wire/arp';
import { copyBytes, writeU16 } from '@podwire/wire/big-endian';
import {
  ETHERNET_HEADER_LENGTH,
  getSrcMac,
  setDstMac,
  setEtherType,
  setSrcMac,
} from '@podwire/wire/ethernet';
import { fillIcmpv6Checksum, ICMPV6_NEIGHBOR_SOLICITATION } from '@podwire/wire/icmpv6';
import { IPV6_HEADER_LENGTH, isIpv6Multicast } from '@podwire/wire/ipv6';
import { emitNeighborAdvertisement, parseNeighborSolicitation } from '@podwire/wire/ndp';
import type { Packet } from '@podwire/wire/packet';
import { ETHERTYPE_ARP, ETHERTYPE_IPV6, PROTOCOL_ICMPV6 } from '@podwire/wire/protocol';

/** Router solicitation to redirect (RFC 4861), and the multicast listener messages (RFC 2710, RFC 3810). */
export function isNeighbourMessage(packet: Packet): boolean {
  if (packet.protocol !== PROTOCOL_ICMPV6) return false;
  const type = packet.icmpType;
  return (type >= 133 && type <= 137) || (type >= 130 && type <= 132) || type === 143;
}

/**
 * Writes the answer to the ARP frame in [0, length) of `request` into `out`.
 * @returns its length, 0 when the frame is no request to be answered
 */
export function answerArp(
  request: Uint8Array,
  length: number,
  gatewayMac: Uint8Array,
  out: Uint8Array,
): number {
  if (!isArp(request, ETHERNET_HEADER_LENGTH, length)) return 0;
  const arp = parseArp(request, ETHERNET_HEADER_LENGTH, length);
  if (arp === undefined || arp.operation !== ARP_REQUEST) return 0;
  // A probe (RFC 5227 2.1.1) or an announcement asks about the asker.
  if (arp.senderIp === 0 || arp.senderIp === arp.targetIp) return 0;
  setDstMac(out, 0, arp.senderMac);
  setSrcMac(out, 0, gatewayMac);
  setEtherType(out, 0, ETHERTYPE_ARP);
  const size = emitArp(
    {
      operation: ARP_REPLY,
      senderMac: gatewayMac,
      senderIp: arp.targetIp,
      targetMac: arp.senderMac,
      targetIp: arp.senderIp,
    },
    out,
    ETHERNET_HEADER_LENGTH,
  );
  return ETHERNET_HEADER_LENGTH + size;
}

/**
 * Writes the advertisement that answers a neighbour solicitation into `out`.
 * @returns its length, 0 when there is nothing to answer
 */
export function answerSolicitation(packet: Packet, gatewayMac: Uint8Array, out: Uint8Array): number {
  if (packet.icmpType !== ICMPV6_NEIGHBOR_SOLICITATION || packet.l4 < 0) return 0;
  // RFC 4861 7.1.1: a hop limit other than 255 came from another link; an unspecified source is a probe.
  if (packet.ttl !== 255 || (packet.src0 | packet.src1 | packet.src2 | packet.src3) === 0) return 0;
  const frame = packet.frame;
  const solicitation = parseNeighborSolicitation(frame, packet.l4, packet.end);
  if (solicitation === undefined || isIpv6Multicast(solicitation.target)) return 0;
  setDstMac(out, 0, solicitation.sourceMac ?? getSrcMac(frame, 0));
  setSrcMac(out, 0, gatewayMac);
  setEtherType(out, 0, ETHERTYPE_IPV6);
  const l3 = ETHERNET_HEADER_LENGTH;
  const l4 = l3 + IPV6_HEADER_LENGTH;
  out.fill(0, l3, l4);
  out[l3] = 0x60;
  out[l3 + 6] = PROTOCOL_ICMPV6;
  out[l3 + 7] = 255;
  copyBytes(solicitation.target, 0, out, l3 + 8, 16);
  copyBytes(frame, packet.l3 + 8, out, l3 + 24, 16);
  const size = emitNeighborAdvertisement(
    { router: true, solicited: true, override: true, target: solicitation.target, targetMac: gatewayMac },
    out,
    l4,
  );
  writeU16(out, l3 + 4, size);
  fillIcmpv6Checksum(out, l3, l4, l4 + size);
  return l4 + size;
}
