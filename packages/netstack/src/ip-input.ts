/** From a frame of the link to the protocol it carries. Nothing here sends or calls a user: see core.ts. */
import { internetChecksum, pseudoHeaderSum } from '@podwire/wire/checksum';
import { verifyIpv4Checksum } from '@podwire/wire/ipv4';
import { DECODE_OK, type Packet } from '@podwire/wire/packet';
import {
  ETHERTYPE_ARP,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '@podwire/wire/protocol';
import type { Core } from './core.ts';
import { receiveIcmp } from './icmp-input.ts';
import { replyPortUnreachable, replyProtocolUnreachable } from './icmp-output.ts';
import { addressOfWords, isMulticast, isUnspecified, readAddress } from './ip-address.ts';
import { receiveTcp } from './tcp/demux.ts';

/** Takes a frame. `fromLink` is false for what the stack sent to itself. Never throws on any bytes. */
export function receiveFrame(core: Core, frame: Uint8Array, length: number, fromLink: boolean): void {
  const statistics = core.statistics;
  if (fromLink) {
    statistics.framesIn++;
    statistics.bytesIn += length;
  }
  const packet = core.packet;
  if (packet.decode(frame, length) !== DECODE_OK) {
    statistics.malformedFrames++;
    return;
  }
  if (fromLink && !isForUs(core, frame)) {
    statistics.foreignFrames++;
    return;
  }
  if (packet.l3 < 0) {
    if (packet.etherType === ETHERTYPE_ARP && fromLink) core.neighbors.receiveArp(frame, length);
    return;
  }
  if (packet.version === 4 && !verifyIpv4Checksum(frame, packet.l3)) {
    statistics.checksumErrors++;
    return;
  }
  const target = addressKind(core, packet, fromLink);
  if (target === NOT_OURS) {
    statistics.foreignFrames++;
    return;
  }
  if (packet.moreFragments || packet.fragmentOffset > 0) {
    const whole = core.reassembly.add(packet, core.nowMs());
    if (whole === undefined) return;
    if (packet.decode(whole, whole.length) !== DECODE_OK || packet.l3 < 0) {
      statistics.malformedFrames++;
      return;
    }
  }
  receivePacket(core, packet, target);
}

function isForUs(core: Core, frame: Uint8Array): boolean {
  if ((frame[0] & 1) === 1) return true;
  const mac = core.mac;
  return (
    frame[5] === mac[5] &&
    frame[4] === mac[4] &&
    frame[3] === mac[3] &&
    frame[2] === mac[2] &&
    frame[1] === mac[1] &&
    frame[0] === mac[0]
  );
}

const NOT_OURS = 0;
/** One of the stack's own addresses. */
const OURS = 1;
/** Not an own address, but `acceptAnyAddress` holds. */
const ANY = 2;
/** A broadcast or multicast address. */
const GROUP = 3;

function addressKind(core: Core, packet: Packet, fromLink: boolean): number {
  const d3 = packet.dst3 | 0;
  if (core.routes.isOwnWords(packet.dst0 | 0, packet.dst1 | 0, packet.dst2 | 0, d3)) {
    return isSoundSource(core, packet, fromLink) ? OURS : NOT_OURS;
  }
  const destination = addressOfWords(packet.dst0, packet.dst1, packet.dst2, packet.dst3);
  if (core.routes.isLoopback(destination)) return fromLink ? NOT_OURS : OURS;
  if (!isSoundSource(core, packet, fromLink)) return NOT_OURS;
  if (isMulticast(destination) || core.routes.isBroadcast(destination)) return GROUP;
  return core.acceptAnyAddress && !isUnspecified(destination) ? ANY : NOT_OURS;
}

// RFC 1122 3.2.1.3: no sender has a group, broadcast or (on the link) loopback address. An own source address from
// the link is fine: a hairpin through a service brings a pod its own packets back.
function isSoundSource(core: Core, packet: Packet, fromLink: boolean): boolean {
  const { src0, src1, src2, src3 } = packet;
  if (fromLink && core.routes.isLoopbackWords(src0 | 0, src1 | 0, src2 | 0, src3 | 0)) return false;
  if (packet.version === 4) {
    return src3 >>> 24 < 224 && !(src3 === 0 && packet.protocol !== PROTOCOL_UDP);
  }
  if (src0 >>> 24 === 255) return false;
  if (src0 !== 0 || src1 !== 0) return true;
  // Version 6 with a v4-mapped or unspecified source; the latter only asks for duplicates.
  if (src2 === 0 && src3 === 0) return packet.protocol === PROTOCOL_ICMPV6;
  return src2 !== 0xffff;
}

function receivePacket(core: Core, packet: Packet, target: number): void {
  switch (packet.protocol) {
    case PROTOCOL_TCP:
      // RFC 9293 3.9.2.3: a segment to a group means nothing.
      if (target !== GROUP && packet.l4 >= 0) receiveTcp(core, packet);
      return;
    case PROTOCOL_UDP:
      if (packet.l4 >= 0) receiveUdp(core, packet, target);
      return;
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
      if (packet.l4 >= 0) receiveIcmp(core, packet, target !== GROUP);
      return;
    default:
      if (target === OURS) replyProtocolUnreachable(core, packet);
  }
}

function receiveUdp(core: Core, packet: Packet, target: number): void {
  const frame = packet.frame;
  const l4 = packet.l4;
  const length = (frame[l4 + 4] << 8) | frame[l4 + 5];
  const end = l4 + length;
  if (end > packet.end) {
    core.statistics.malformedFrames++;
    return;
  }
  const hasChecksum = frame[l4 + 6] !== 0 || frame[l4 + 7] !== 0;
  // RFC 8200 8.1: over IPv6 the checksum is not optional.
  if (
    hasChecksum
      ? internetChecksum(
          frame,
          l4,
          end,
          pseudoHeaderSum(frame, packet.l3, packet.version, PROTOCOL_UDP, length),
        ) !== 0
      : packet.version === 6
  ) {
    core.statistics.checksumErrors++;
    return;
  }
  const version = packet.version;
  const source = readAddress(frame, packet.l3 + (version === 4 ? 12 : 8), version);
  const local = readAddress(frame, packet.l3 + (version === 4 ? 16 : 24), version);
  const socket = core.udp.find(local, packet.dstPort, source, packet.srcPort);
  if (socket === undefined) {
    core.statistics.noPorts++;
    if (target !== GROUP) replyPortUnreachable(core, packet);
    return;
  }
  core.statistics.datagramsIn++;
  socket.datagramArrives(frame, l4 + 8, end, source, packet.srcPort, local);
}
