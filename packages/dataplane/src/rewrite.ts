/**
 * Changing the addresses and ports of a packet in place, its checksums updated incrementally (RFC 1624), so that a
 * wrong checksum stays as wrong as it was. SCTP's CRC32c has no such rule and is computed again.
 */

import { readU16, writeU16, writeU32 } from '@podwire/wire/big-endian';
import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_UDP } from '@podwire/wire/protocol';
import { crc32c, SCTP_CHECKSUM, setSctpChecksum } from '@podwire/wire/sctp';
import { transportChecksumField } from '@podwire/wire/transport-checksum';

const IPV4_CHECKSUM = 10;

/** Rewrites the source to four signed words and a port; false when the packet cannot carry it (SCTP fragments). */
export function rewriteSource(
  packet: Packet,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  port: number,
): boolean {
  if (!canCarry(packet, port !== packet.srcPort)) return false;
  rewrite(packet, packet.version === 4 ? 12 : 8, 0, w0, w1, w2, w3, packet.srcPort, port);
  packet.src0 = w0 >>> 0;
  packet.src1 = w1 >>> 0;
  packet.src2 = w2 >>> 0;
  packet.src3 = w3 >>> 0;
  packet.srcPort = port;
  if (isIcmp(packet)) packet.dstPort = port;
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
  if (!canCarry(packet, port !== packet.dstPort)) return false;
  rewrite(packet, packet.version === 4 ? 16 : 24, 2, w0, w1, w2, w3, packet.dstPort, port);
  packet.dst0 = w0 >>> 0;
  packet.dst1 = w1 >>> 0;
  packet.dst2 = w2 >>> 0;
  packet.dst3 = w3 >>> 0;
  packet.dstPort = port;
  if (isIcmp(packet)) packet.srcPort = port;
  return true;
}

function isIcmp(packet: Packet): boolean {
  return packet.protocol === PROTOCOL_ICMP || packet.protocol === PROTOCOL_ICMPV6;
}

// A first fragment of SCTP would need the CRC of bytes that are not here.
function canCarry(packet: Packet, portChanges: boolean): boolean {
  return !(portChanges && packet.protocol === PROTOCOL_SCTP && packet.moreFragments);
}

function rewrite(
  packet: Packet,
  addressAt: number,
  portAt: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  portBefore: number,
  port: number,
): void {
  const { frame, l3, l4, protocol } = packet;
  // What the sum of all 16-bit words grows by.
  let growth: number;
  if (packet.version === 4) {
    growth = difference(frame, l3 + addressAt, w3);
    writeU32(frame, l3 + addressAt, w3);
    writeU16(frame, l3 + IPV4_CHECKSUM, adjust(readU16(frame, l3 + IPV4_CHECKSUM), growth));
    // ICMP for IPv4 does not cover the addresses.
    if (protocol === PROTOCOL_ICMP) growth = 0;
  } else {
    const at = l3 + addressAt;
    growth =
      difference(frame, at, w0) +
      difference(frame, at + 4, w1) +
      difference(frame, at + 8, w2) +
      difference(frame, at + 12, w3);
    writeU32(frame, at, w0);
    writeU32(frame, at + 4, w1);
    writeU32(frame, at + 8, w2);
    writeU32(frame, at + 12, w3);
  }
  if (l4 < 0) return;
  const portChanges = port !== portBefore;
  if (portChanges) {
    writeU16(frame, isIcmp(packet) ? l4 + 4 : l4 + portAt, port);
    growth += (~portBefore & 0xffff) + port;
  }
  if (protocol === PROTOCOL_SCTP) {
    // What an ICMP error quotes may be cut; the CRC of the rest is not ours to know.
    if (portChanges && packet.end - l3 === packet.totalLength) {
      setSctpChecksum(frame, l4, crc32c(frame, l4, packet.end, SCTP_CHECKSUM));
    }
    return;
  }
  const field = transportChecksumField(protocol);
  if (field < 0 || l4 + field + 2 > packet.end) return;
  const checksum = readU16(frame, l4 + field);
  // RFC 768: zero says that there is none, and a computed zero is sent as all ones.
  if (protocol === PROTOCOL_UDP && checksum === 0) return;
  const next = adjust(checksum, growth);
  writeU16(frame, l4 + field, protocol === PROTOCOL_UDP && next === 0 ? 0xffff : next);
}

// RFC 1624 (3), the part without the checksum, of the 32-bit word at `at`: ~m + m' in 16-bit words, not folded.
function difference(frame: Uint8Array, at: number, after: number): number {
  const before = (~readU16(frame, at) & 0xffff) + (~readU16(frame, at + 2) & 0xffff);
  return before + ((after >>> 16) & 0xffff) + (after & 0xffff);
}

// HC' = ~(~HC + growth)
function adjust(checksum: number, growth: number): number {
  let sum = (~checksum & 0xffff) + growth;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
