/** Checksums of TCP, UDP, ICMP and SCTP where they stand in an IP packet. */
import { readU16, writeU16 } from './big-endian.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import { ICMPV4_CHECKSUM } from './icmpv4.ts';
import { ICMPV6_CHECKSUM } from './icmpv6.ts';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from './protocol.ts';
import { crc32c, getSctpChecksum, SCTP_CHECKSUM, setSctpChecksum } from './sctp.ts';
import { TCP_CHECKSUM } from './tcp.ts';
import { getUdpLength, UDP_CHECKSUM, UDP_HEADER_LENGTH } from './udp.ts';

/** Place of the Internet checksum in the transport header, -1 for protocols without one (SCTP has a CRC). */
export function transportChecksumField(protocol: number): number {
  if (protocol === PROTOCOL_TCP) return TCP_CHECKSUM;
  if (protocol === PROTOCOL_UDP) return UDP_CHECKSUM;
  if (protocol === PROTOCOL_ICMP) return ICMPV4_CHECKSUM;
  return protocol === PROTOCOL_ICMPV6 ? ICMPV6_CHECKSUM : -1;
}

/**
 * Computes and writes the checksum of the whole, unfragmented transport segment in [l4, end) whose IP header
 * (version 4 or 6) is at `l3`. Protocols without a known checksum are left alone.
 */
export function fillTransportChecksum(
  frame: Uint8Array,
  version: number,
  l3: number,
  protocol: number,
  l4: number,
  end: number,
): void {
  if (protocol === PROTOCOL_SCTP) {
    setSctpChecksum(frame, l4, crc32c(frame, l4, end, SCTP_CHECKSUM));
    return;
  }
  const field = transportChecksumField(protocol);
  if (field < 0) return;
  writeU16(frame, l4 + field, 0);
  const seed = protocol === PROTOCOL_ICMP ? 0 : pseudoHeaderSum(frame, l3, version, protocol, end - l4);
  const checksum = internetChecksum(frame, l4, end, seed);
  // RFC 768: a computed 0 is sent as all ones, for 0 says that there is no checksum.
  writeU16(frame, l4 + field, protocol === PROTOCOL_UDP && checksum === 0 ? 0xffff : checksum);
}

/**
 * Whether the checksum of the segment in [l4, end) is right; also true for protocols without one and for
 * IPv4 UDP without one. IPv6 UDP must have one (RFC 8200 8.1). The segment has passed `Packet.decode`.
 */
export function verifyTransportChecksum(
  frame: Uint8Array,
  version: number,
  l3: number,
  protocol: number,
  l4: number,
  end: number,
): boolean {
  if (protocol === PROTOCOL_SCTP) return crc32c(frame, l4, end, SCTP_CHECKSUM) === getSctpChecksum(frame, l4);
  if (transportChecksumField(protocol) < 0) return true;
  if (protocol === PROTOCOL_UDP) {
    if (readU16(frame, l4 + UDP_CHECKSUM) === 0) return version === 4;
    const length = getUdpLength(frame, l4);
    if (length < UDP_HEADER_LENGTH || length > end - l4) return false;
    end = l4 + length;
  }
  const seed = protocol === PROTOCOL_ICMP ? 0 : pseudoHeaderSum(frame, l3, version, protocol, end - l4);
  return internetChecksum(frame, l4, end, seed) === 0;
}
