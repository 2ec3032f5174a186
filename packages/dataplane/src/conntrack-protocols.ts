/** What connection tracking reads of a packet: whether it may open a flow, and the state a flow begins in. */

import type { Packet } from '@podwire/wire/packet';
import {
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '@podwire/wire/protocol';
import {
  INVALID,
  nextSctpState,
  nextTcpState,
  STATE_GENERIC,
  STATE_ICMP,
  STATE_NONE,
  STATE_UDP,
} from './conntrack-states.ts';

/** Whether a packet that belongs to no flow may open one; otherwise Linux calls it INVALID. */
export function mayOpenFlow(packet: Packet): boolean {
  switch (packet.protocol) {
    case PROTOCOL_TCP:
      return nextTcpState(STATE_NONE, 0, packet.tcpFlags) < INVALID;
    case PROTOCOL_SCTP:
      return nextSctpState(STATE_NONE, 0, firstChunk(packet)) < INVALID;
    case PROTOCOL_ICMP:
      // Echo, timestamp, information and address mask requests (nf_conntrack_proto_icmp.c).
      return (
        packet.icmpType === 8 || packet.icmpType === 13 || packet.icmpType === 15 || packet.icmpType === 17
      );
    case PROTOCOL_ICMPV6:
      // Echo requests and node information queries (nf_conntrack_proto_icmpv6.c).
      return packet.icmpType === 128 || packet.icmpType === 139;
    default:
      return true;
  }
}

/** The state a flow is in after its first packet. */
export function firstState(packet: Packet): number {
  switch (packet.protocol) {
    case PROTOCOL_TCP:
      return packet.l4 < 0 ? STATE_NONE : nextTcpState(STATE_NONE, 0, packet.tcpFlags);
    case PROTOCOL_UDP:
      return STATE_UDP;
    case PROTOCOL_SCTP:
      return nextSctpState(STATE_NONE, 0, firstChunk(packet));
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
      return STATE_ICMP;
    default:
      return STATE_GENERIC;
  }
}

/** Type of the first chunk of an SCTP packet, -1 when there is none. */
export function firstChunk(packet: Packet): number {
  return packet.payload >= 0 && packet.payload < packet.end ? packet.frame[packet.payload] : -1;
}
