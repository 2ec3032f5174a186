/**
 * Changing the addresses and ports of a packet in place, its checksums updated incrementally (RFC 1624), so that a
 * wrong checksum stays as wrong as it was. SCTP's CRC32c has no such rule and is computed again.
 */

import { readU16, readU32, writeU16, writeU32 } from '@podwire/wire/big-endian';
import { updateChecksum16, updateChecksum32 } from '@podwire/wire/checksum';
import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_UDP } from '@podwire/wire/protocol';
import { crc32c, SCTP_CHECKSUM, setSctpChecksum } from '@podwire/wire/sctp';
import { transportChecksumField } from '@podwire/wire/transport-checksum';

/** Rewrites the source to four signed words and a port; false when the packet cannot carry it (SCTP fragments). */
export function rewriteSource(
  packet: Packet,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  port: number,
): boolean {
  const portChanges = port !== packet.srcPort;
  if (portChanges && !canRewritePort(packet)) return false;
  rewriteAddress(packet, packet.version === 4 ? 12 : 8, w0, w1, w2, w3);
  packet.src0 = w0 >>> 0;
  packet.src1 = w1 >>> 0;
  packet.src2 = w2 >>> 0;
  packet.src3 = w3 >>> 0;
  if (portChanges) {
    rewritePort(packet, 0, port);
    packet.srcPort = port;
    if (isIcmp(packet)) packet.dstPort = port;
  }
  return true;
}

/** Rewrites the destination; see `rewriteSource`. An ICMP echo has one identifier, which either may set. */
export function rewriteDestination(
  packet: Packet,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  port: number,
): boolean {
  const portChanges = port !== packet.dstPort;
  if (portChanges && !canRewritePort(packet)) return false;
  rewriteAddress(packet, packet.version === 4 ? 16 : 24, w0, w1, w2, w3);
  packet.dst0 = w0 >>> 0;
  packet.dst1 = w1 >>> 0;
  packet.dst2 = w2 >>> 0;
  packet.dst3 = w3 >>> 0;
  if (portChanges) {
    rewritePort(packet, 2, port);
    packet.dstPort = port;
    if (isIcmp(packet)) packet.srcPort = port;
  }
  return true;
}

function isIcmp(packet: Packet): boolean {
  return packet.protocol === PROTOCOL_ICMP || packet.protocol === PROTOCOL_ICMPV6;
}

function canRewritePort(packet: Packet): boolean {
  // A first fragment of SCTP would need the CRC of bytes that are not here.
  return !(packet.protocol === PROTOCOL_SCTP && packet.moreFragments);
}

function rewriteAddress(packet: Packet, at: number, w0: number, w1: number, w2: number, w3: number): void {
  const { frame, l3, l4 } = packet;
  const field = l4 < 0 || packet.protocol === PROTOCOL_ICMP ? -1 : transportChecksumField(packet.protocol);
  const place = field < 0 || l4 + field + 2 > packet.end ? -1 : l4 + field;
  let checksum = place < 0 ? 0 : readU16(frame, place);
  // RFC 768: an IPv4 UDP checksum of zero says that there is none.
  const hasChecksum = place >= 0 && !(packet.protocol === PROTOCOL_UDP && checksum === 0);
  if (packet.version === 4) {
    const before = readU32(frame, l3 + at);
    const after = w3 >>> 0;
    if (before === after) return;
    writeU16(frame, l3 + 10, updateChecksum32(readU16(frame, l3 + 10), before, after));
    if (hasChecksum) checksum = updateChecksum32(checksum, before, after);
    writeU32(frame, l3 + at, after);
  } else {
    if (hasChecksum) {
      checksum = updateChecksum32(checksum, readU32(frame, l3 + at), w0 >>> 0);
      checksum = updateChecksum32(checksum, readU32(frame, l3 + at + 4), w1 >>> 0);
      checksum = updateChecksum32(checksum, readU32(frame, l3 + at + 8), w2 >>> 0);
      checksum = updateChecksum32(checksum, readU32(frame, l3 + at + 12), w3 >>> 0);
    }
    writeU32(frame, l3 + at, w0);
    writeU32(frame, l3 + at + 4, w1);
    writeU32(frame, l3 + at + 8, w2);
    writeU32(frame, l3 + at + 12, w3);
  }
  if (hasChecksum) writeChecksum(packet, place, checksum);
}

function rewritePort(packet: Packet, at: number, port: number): void {
  const { frame, l4 } = packet;
  if (l4 < 0) return;
  const place = isIcmp(packet) ? l4 + 4 : l4 + at;
  const before = readU16(frame, place);
  writeU16(frame, place, port);
  if (packet.protocol === PROTOCOL_SCTP) {
    // What an ICMP error quotes may be cut; the CRC of the rest is not ours to know.
    if (packet.end - packet.l3 === packet.totalLength) {
      setSctpChecksum(frame, l4, crc32c(frame, l4, packet.end, SCTP_CHECKSUM));
    }
    return;
  }
  const field = transportChecksumField(packet.protocol);
  if (field < 0 || l4 + field + 2 > packet.end) return;
  const checksum = readU16(frame, l4 + field);
  if (packet.protocol === PROTOCOL_UDP && checksum === 0) return;
  writeChecksum(packet, l4 + field, updateChecksum16(checksum, before, port));
}

function writeChecksum(packet: Packet, place: number, checksum: number): void {
  writeU16(packet.frame, place, packet.protocol === PROTOCOL_UDP && checksum === 0 ? 0xffff : checksum);
}
