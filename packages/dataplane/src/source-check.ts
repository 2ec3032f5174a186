/** What a pod may send: its own MAC and addresses, to the gateway, and never a tunnel packet. */

import { isIpv4Multicast } from '@podwire/wire/ipv4';
import { isIpv6Multicast } from '@podwire/wire/ipv6';
import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_UDP } from '@podwire/wire/protocol';
import { DROP_REASONS, type DropReason } from './drop-reasons.ts';
import { sourceText } from './packet-text.ts';
import type { PreparedEndpoint } from './prepared.ts';

/** MAC of the gateway, the node's end of every pod link. */
export const GATEWAY_MAC: Uint8Array = new Uint8Array(6).fill(0xee);

/** Whether the six bytes at `offset` of the frame are `mac`. */
export function hasMac(frame: Uint8Array, offset: number, mac: Uint8Array): boolean {
  for (let i = 0; i < 6; i++) if (frame[offset + i] !== mac[i]) return false;
  return true;
}

/** Checks an IP packet whose source MAC is the pod's; 0, or why it is dropped. */
export function checkPodPacket(packet: Packet, sender: PreparedEndpoint, tunnelPort: number): DropReason {
  const frame = packet.frame;
  if (!hasMac(frame, 0, GATEWAY_MAC) || isGroupDestination(packet)) {
    const isGroup = (frame[0] & 1) === 1 || isGroupDestination(packet);
    return isGroup ? DROP_REASONS.staleOrUnroutableIp : DROP_REASONS.invalidDestinationMac;
  }
  if (!ownsSource(sender, packet)) return DROP_REASONS.invalidSourceIp;
  // A pod that could write to the tunnel port could forge packets of any pod.
  if (packet.protocol === PROTOCOL_UDP && packet.dstPort === tunnelPort)
    return DROP_REASONS.encapsulationProhibited;
  return 0;
}

/** Words for what `checkPodPacket` gave. */
export function podPacketText(reason: DropReason, packet: Packet, sender: PreparedEndpoint): string {
  switch (reason) {
    case DROP_REASONS.staleOrUnroutableIp:
      return 'broadcast and multicast end on the link';
    case DROP_REASONS.invalidDestinationMac:
      return 'frame is not for the gateway';
    case DROP_REASONS.invalidSourceIp:
      return `${sourceText(packet)} is no address of ${sender.name}`;
    case DROP_REASONS.encapsulationProhibited:
      return 'pods may not send to the tunnel port';
    default:
      return `address and MAC belong to ${sender.name}`;
  }
}

/** Whether the destination is a group: IPv4 or IPv6 multicast, or the limited broadcast. */
export function isGroupDestination(packet: Packet): boolean {
  return packet.version === 4
    ? isIpv4Multicast(packet.dst3) || packet.dst3 === 0xffffffff
    : isIpv6Multicast(packet.frame, packet.l3 + 24);
}

function ownsSource(sender: PreparedEndpoint, packet: Packet): boolean {
  const addresses = sender.addresses;
  for (let i = 0; i < addresses.length; i++) {
    const words = addresses[i];
    if (words[3] === (packet.src3 | 0) && words[2] === (packet.src2 | 0)) {
      if (words[1] === (packet.src1 | 0) && words[0] === (packet.src0 | 0)) return true;
    }
  }
  return false;
}
