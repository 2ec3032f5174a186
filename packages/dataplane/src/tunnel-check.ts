/** What may come out of the tunnel: VXLAN of our overlay, from a node of this cluster, for this node, with IP inside. */

import type { Packet } from '@podwire/wire/packet';
import { getVxlanVni, isVxlan } from '@podwire/wire/vxlan';
import { DROP_REASONS, type DropReason } from './drop-reasons.ts';
import type { PreparedVtep } from './prepared.ts';
import { hasMac, isGroupDestination } from './source-check.ts';

/** Checks the VXLAN header and the sender; 0, or why the datagram is dropped. */
export function checkTunnelHeader(
  datagram: Uint8Array,
  length: number,
  sender: PreparedVtep | undefined,
  vni: number,
): DropReason {
  if (length > datagram.length || !isVxlan(datagram, 0, length)) return DROP_REASONS.invalidPacket;
  if (sender === undefined) return DROP_REASONS.unknownSender;
  return getVxlanVni(datagram, 0) === vni ? 0 : DROP_REASONS.wrongVni;
}

/** Checks the inner frame, which is well formed; 0, or why it is dropped. */
export function checkInnerFrame(packet: Packet, vtepMac: Uint8Array): DropReason {
  if (!hasMac(packet.frame, 0, vtepMac)) return DROP_REASONS.invalidDestinationMac;
  if (packet.l3 < 0) return DROP_REASONS.unsupportedL3;
  return isGroupDestination(packet) ? DROP_REASONS.staleOrUnroutableIp : 0;
}

/** Words for what either check gave. */
export function tunnelText(
  reason: DropReason,
  datagram: Uint8Array,
  outerSource: string,
  sender: PreparedVtep | undefined,
  vni: number,
): string {
  switch (reason) {
    case DROP_REASONS.invalidPacket:
      return 'no VXLAN header with a valid VNI';
    case DROP_REASONS.unknownSender:
      return `${outerSource} is no node of this cluster`;
    case DROP_REASONS.wrongVni:
      return `VNI ${getVxlanVni(datagram, 0)} from ${sender?.vtep.node}, this overlay is ${vni}`;
    case DROP_REASONS.invalidDestinationMac:
      return "inner frame is not for this node's VTEP";
    case DROP_REASONS.unsupportedL3:
      return 'inner frame carries no IP';
    default:
      return 'the overlay carries no broadcast or multicast';
  }
}
