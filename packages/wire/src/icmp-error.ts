/** ICMP errors about a packet, of both versions: when one may be sent, and its bytes. */
import type { AddressWords } from './address.ts';
import { copyBytes, writeU16, writeU32 } from './big-endian.ts';
import { ETHERNET_HEADER_LENGTH, isGroupDstMac } from './ethernet.ts';
import { fillIcmpv4Checksum } from './icmpv4.ts';
import { fillIcmpv6Checksum, ICMPV6_PACKET_TOO_BIG } from './icmpv6.ts';
import { fillIpv4Checksum } from './ipv4.ts';
import { DECODE_OK, Packet } from './packet.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from './protocol.ts';

/** RFC 1812 4.3.2.3: an IPv4 error quotes as much as fits into 576 bytes. */
export const ICMPV4_ERROR_MAXIMUM_LENGTH = 576;
/** RFC 4443 2.4 (c): an IPv6 error quotes as much as fits into the minimum MTU. */
export const ICMPV6_ERROR_MAXIMUM_LENGTH = 1280;
/** Bytes that hold any frame `emitIcmpError` writes. */
export const ICMP_ERROR_FRAME_MAXIMUM_LENGTH = ETHERNET_HEADER_LENGTH + ICMPV6_ERROR_MAXIMUM_LENGTH;

/**
 * `type` and `code` are of the packet's version. `rest` is the second word of the message: the next-hop MTU
 * of "fragmentation needed" and "packet too big", the pointer of a parameter problem (shifted for IPv4), else 0.
 * `src` is the address of the one who reports.
 */
export interface IcmpError {
  type: number;
  code: number;
  rest: number;
  src: AddressWords;
}

/**
 * Whether an error about this packet may be sent at all (RFC 1122 3.2.2, RFC 1812 4.3.2.7, RFC 4443 2.4 (e)):
 * not about ICMP errors, later fragments, group or broadcast destinations, or sources that are no single host.
 * `icmpv6Type`, when given, lets "packet too big" through for multicast destinations.
 */
export function mayTriggerIcmpError(packet: Packet, icmpv6Type = 0): boolean {
  if (packet.l3 < 0 || packet.fragmentOffset > 0) return false;
  const tooBig = packet.version === 6 && icmpv6Type === ICMPV6_PACKET_TOO_BIG;
  if (packet.etherType !== 0 && isGroupDstMac(packet.frame, 0) && !tooBig) return false;
  if (packet.version === 4) {
    if (packet.quoted >= 0) return false;
    const source = packet.src3 >>> 24;
    // 0/8, 127/8, and 224/3: multicast, class E and broadcast.
    if (source === 0 || source === 127 || source >= 224) return false;
    return packet.dst3 >>> 28 < 0xe;
  }
  // RFC 4443 2.1: types below 128 are errors, known or not; 137 is redirect.
  if (packet.icmpType >= 0 && (packet.icmpType < 128 || packet.icmpType === 137)) return false;
  if (packet.src0 >>> 24 === 0xff) return false;
  if (packet.src0 === 0 && packet.src1 === 0 && packet.src2 === 0 && packet.src3 <= 1) return false;
  return packet.dst0 >>> 24 !== 0xff || tooBig;
}

/**
 * Writes into `out` the Ethernet frame of an ICMP error about `packet`, back to its source, with the MACs
 * turned round; returns its length. `out` holds ICMP_ERROR_FRAME_MAXIMUM_LENGTH bytes and is not the
 * packet's own buffer.
 */
export function emitIcmpError(packet: Packet, error: IcmpError, out: Uint8Array): number {
  const { frame, l3 } = packet;
  const isV4 = packet.version === 4;
  if (packet.etherType === 0) {
    out.fill(0, 0, 12);
  } else {
    copyBytes(frame, 6, out, 0, 6);
    copyBytes(frame, 0, out, 6, 6);
  }
  writeU16(out, 12, isV4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
  const ip = ETHERNET_HEADER_LENGTH;
  const headerLength = isV4 ? 20 : 40;
  const maximum = (isV4 ? ICMPV4_ERROR_MAXIMUM_LENGTH : ICMPV6_ERROR_MAXIMUM_LENGTH) - headerLength - 8;
  const quoteLength = Math.min(packet.end - l3, maximum);
  const icmp = ip + headerLength;
  const end = icmp + 8 + quoteLength;
  out[icmp] = error.type;
  out[icmp + 1] = error.code;
  writeU32(out, icmp + 4, error.rest);
  out.set(frame.subarray(l3, l3 + quoteLength), icmp + 8);
  if (isV4) {
    out[ip] = 0x45;
    // RFC 1812 4.3.2.5: errors travel with precedence 6 (internetwork control).
    out[ip + 1] = 0xc0;
    writeU16(out, ip + 2, end - ip);
    writeU32(out, ip + 4, 0x4000);
    out[ip + 8] = 64;
    out[ip + 9] = PROTOCOL_ICMP;
    writeU32(out, ip + 12, error.src[3]);
    writeU32(out, ip + 16, packet.src3);
    fillIpv4Checksum(out, ip);
    fillIcmpv4Checksum(out, icmp, end);
  } else {
    writeU32(out, ip, 0x60000000);
    writeU16(out, ip + 4, end - icmp);
    out[ip + 6] = PROTOCOL_ICMPV6;
    out[ip + 7] = 64;
    for (let i = 0; i < 4; i++) writeU32(out, ip + 8 + i * 4, error.src[i]);
    copyBytes(frame, l3 + 8, out, ip + 24, 16);
    fillIcmpv6Checksum(out, ip, icmp, end);
  }
  return end;
}

/**
 * Like `emitIcmpError`, from and to fresh arrays; undefined when `frame` is malformed or not IP. Whether the
 * error is allowed is not asked.
 */
export function icmpErrorFor(frame: Uint8Array, error: IcmpError): Uint8Array | undefined {
  const packet = new Packet();
  if (packet.decode(frame) !== DECODE_OK || packet.l3 < 0) return undefined;
  const out = new Uint8Array(ICMP_ERROR_FRAME_MAXIMUM_LENGTH);
  return out.slice(0, emitIcmpError(packet, error, out));
}
