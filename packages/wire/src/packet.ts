/**
 * The decoded view of one frame. A `Packet` is reused: `decode` overwrites it and allocates nothing; it holds
 * offsets into the frame and copies no bytes.
 */
import { readU16, readU32 } from './big-endian.ts';
import { ETHERNET_HEADER_LENGTH } from './ethernet.ts';
import { isIcmpv4Echo, isIcmpv4Error } from './icmpv4.ts';
import { isIcmpv6Echo, isIcmpv6Error } from './icmpv6.ts';
import { createIpv6Walk, IPV6_HEADER_LENGTH, type Ipv6Walk, walkIpv6Extensions } from './ipv6.ts';
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from './protocol.ts';

/** 0 when well formed, else which length or version is wrong: see the DECODE_ constants. */
export type DecodeResult = number;

export const DECODE_OK = 0;
export const DECODE_ETHERNET_TRUNCATED = 1;
export const DECODE_IP_TRUNCATED = 2;
export const DECODE_IP_VERSION = 3;
export const DECODE_IP_HEADER_LENGTH = 4;
export const DECODE_IP_TOTAL_LENGTH = 5;
export const DECODE_IPV6_EXTENSION = 6;
export const DECODE_FRAGMENT = 7;
export const DECODE_TCP = 8;
export const DECODE_UDP = 9;
export const DECODE_ICMP = 10;
export const DECODE_SCTP = 11;

const DECODE_TEXTS = [
  'well formed',
  'frame shorter than an Ethernet header',
  'frame ends inside the IP header',
  'IP version does not match the EtherType',
  'IPv4 header length below 20 or past the frame',
  'IP total length below the header length or past the frame',
  'IPv6 extension headers cut, out of order, or too many',
  'fragment reaches past 65535 bytes or is no multiple of 8',
  'TCP header cut or its data offset wrong',
  'UDP length wrong',
  'ICMP message shorter than 8 bytes',
  'SCTP common header cut',
];

/** Why `decode` refused a frame, in words. */
export function decodeResultText(result: DecodeResult): string {
  return DECODE_TEXTS[result] ?? `decode result ${result}`;
}

const NO_FRAME = new Uint8Array(0);

export class Packet {
  /** The Ethernet frame: bytes [0, length). Bytes behind `end` are padding. */
  frame: Uint8Array = NO_FRAME;
  length = 0;
  /** 0 when decoded without Ethernet (`decodeIp`, `decodeQuoted`). */
  etherType = 0;
  /** Offset of the IP header, -1 when not IP. All fields below are valid only when it is >= 0. */
  l3 = -1;
  version: 0 | 4 | 6 = 0;
  /** IP header with options or extension headers, bytes. */
  headerLength = 0;
  /** Upper protocol, after extension headers. */
  protocol = 0;
  /** TTL or hop limit. */
  ttl = 0;
  /** IP header and payload, bytes. */
  totalLength = 0;
  /** Where the IP packet ends in the frame: l3 + totalLength. For a quoted packet: where the quote ends. */
  end = 0;
  /** Bytes. */
  fragmentOffset = 0;
  moreFragments = false;
  /** Always true for IPv6: routers do not fragment (RFC 8200 5). */
  dontFragment = false;
  /** IPv4 identification, or that of the IPv6 fragment header (0 without one). */
  identification = 0;
  /** Addresses as uint32 words; IPv4 is v4-mapped: 0, 0, 0xffff, address. */
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  /** Offset of the TCP, UDP, SCTP or ICMP header; -1 for later fragments and other protocols. */
  l4 = -1;
  /** Offset of what follows the TCP, UDP or ICMP header; -1 when l4 is. */
  payload = -1;
  /** TCP, UDP, SCTP ports, or the ICMP echo id in both; else 0. */
  srcPort = 0;
  dstPort = 0;
  tcpFlags = 0;
  /** -1 when not ICMP: 0 is a type. */
  icmpType = -1;
  icmpCode = -1;
  /** ICMP errors: offset of the IP header of the quoted packet (see `decodeQuoted`); else -1. */
  quoted = -1;

  readonly #walk: Ipv6Walk = createIpv6Walk();

  /**
   * Decodes the Ethernet frame in [0, length). A frame that is not IP is well formed with l3 = -1. After a
   * result other than 0, only `frame`, `length` and `etherType` mean anything. Checksums are not verified.
   */
  decode(frame: Uint8Array, length: number = frame.length): DecodeResult {
    this.#reset(frame, length);
    if (length > frame.length || length < ETHERNET_HEADER_LENGTH) return DECODE_ETHERNET_TRUNCATED;
    this.etherType = readU16(frame, 12);
    if (this.etherType === ETHERTYPE_IPV4) return this.#decodeIpv4(ETHERNET_HEADER_LENGTH, length, false);
    if (this.etherType === ETHERTYPE_IPV6) return this.#decodeIpv6(ETHERNET_HEADER_LENGTH, length, false);
    return DECODE_OK;
  }

  /** Decodes an IP packet without Ethernet in [l3, end). */
  decodeIp(frame: Uint8Array, l3: number, end: number): DecodeResult {
    return this.#decodeAt(frame, l3, end, false);
  }

  /**
   * Decodes the packet that an ICMP error quotes in [offset, end): it may be cut after 8 bytes of transport
   * header (RFC 792), so its total length may lie behind `end`, and tcpFlags are 0 when they were cut off.
   */
  decodeQuoted(frame: Uint8Array, offset: number, end: number): DecodeResult {
    return this.#decodeAt(frame, offset, end, true);
  }

  #decodeAt(frame: Uint8Array, l3: number, end: number, quoted: boolean): DecodeResult {
    this.#reset(frame, end);
    if (end > frame.length || l3 < 0 || l3 >= end) return DECODE_IP_TRUNCATED;
    const version = frame[l3] >>> 4;
    if (version === 4) return this.#decodeIpv4(l3, end, quoted);
    if (version === 6) return this.#decodeIpv6(l3, end, quoted);
    return DECODE_IP_VERSION;
  }

  #reset(frame: Uint8Array, length: number): void {
    this.frame = frame;
    this.length = length;
    this.etherType = 0;
    this.l3 = -1;
    this.version = 0;
    this.headerLength = 0;
    this.protocol = 0;
    this.totalLength = 0;
    this.end = 0;
    this.fragmentOffset = 0;
    this.moreFragments = false;
    this.l4 = -1;
    this.payload = -1;
    this.srcPort = 0;
    this.dstPort = 0;
    this.tcpFlags = 0;
    this.icmpType = -1;
    this.icmpCode = -1;
    this.quoted = -1;
  }

  #decodeIpv4(l3: number, limit: number, quoted: boolean): DecodeResult {
    const frame = this.frame;
    if (limit - l3 < 20) return DECODE_IP_TRUNCATED;
    if (frame[l3] >>> 4 !== 4) return DECODE_IP_VERSION;
    const headerLength = (frame[l3] & 0x0f) * 4;
    if (headerLength < 20 || headerLength > limit - l3) return DECODE_IP_HEADER_LENGTH;
    const totalLength = readU16(frame, l3 + 2);
    if (totalLength < headerLength) return DECODE_IP_TOTAL_LENGTH;
    let end = l3 + totalLength;
    if (end > limit) {
      if (!quoted) return DECODE_IP_TOTAL_LENGTH;
      end = limit;
    }
    const flags = readU16(frame, l3 + 6);
    this.version = 4;
    this.headerLength = headerLength;
    this.totalLength = totalLength;
    this.end = end;
    this.identification = readU16(frame, l3 + 4);
    this.dontFragment = (flags & 0x4000) !== 0;
    this.moreFragments = (flags & 0x2000) !== 0;
    this.fragmentOffset = (flags & 0x1fff) * 8;
    this.ttl = frame[l3 + 8];
    this.protocol = frame[l3 + 9];
    this.src0 = 0;
    this.src1 = 0;
    this.src2 = 0xffff;
    this.src3 = readU32(frame, l3 + 12);
    this.dst0 = 0;
    this.dst1 = 0;
    this.dst2 = 0xffff;
    this.dst3 = readU32(frame, l3 + 16);
    return this.#decodeUpper(l3, l3 + headerLength, quoted);
  }

  #decodeIpv6(l3: number, limit: number, quoted: boolean): DecodeResult {
    const frame = this.frame;
    if (limit - l3 < IPV6_HEADER_LENGTH) return DECODE_IP_TRUNCATED;
    if (frame[l3] >>> 4 !== 6) return DECODE_IP_VERSION;
    const totalLength = IPV6_HEADER_LENGTH + readU16(frame, l3 + 4);
    let end = l3 + totalLength;
    if (end > limit) {
      if (!quoted) return DECODE_IP_TOTAL_LENGTH;
      end = limit;
    }
    const walk = this.#walk;
    if (!walkIpv6Extensions(frame, l3, end, walk)) return DECODE_IPV6_EXTENSION;
    this.version = 6;
    this.headerLength = walk.upper - l3;
    this.totalLength = totalLength;
    this.end = end;
    this.dontFragment = true;
    this.moreFragments = walk.moreFragments;
    this.fragmentOffset = walk.fragmentOffset;
    this.identification = walk.fragmentHeader < 0 ? 0 : readU32(frame, walk.fragmentHeader + 4);
    this.ttl = frame[l3 + 7];
    this.protocol = walk.protocol;
    this.src0 = readU32(frame, l3 + 8);
    this.src1 = readU32(frame, l3 + 12);
    this.src2 = readU32(frame, l3 + 16);
    this.src3 = readU32(frame, l3 + 20);
    this.dst0 = readU32(frame, l3 + 24);
    this.dst1 = readU32(frame, l3 + 28);
    this.dst2 = readU32(frame, l3 + 32);
    this.dst3 = readU32(frame, l3 + 36);
    return this.#decodeUpper(l3, walk.upper, quoted);
  }

  #decodeUpper(l3: number, upper: number, quoted: boolean): DecodeResult {
    const size = this.end - upper;
    if (this.moreFragments || this.fragmentOffset > 0) {
      if (this.fragmentOffset + this.totalLength - this.headerLength > 65535) return DECODE_FRAGMENT;
      // Fragments but the last carry a multiple of 8 bytes (RFC 791 3.2, RFC 8200 4.5).
      if (this.moreFragments && !quoted && size % 8 !== 0) return DECODE_FRAGMENT;
      if (this.fragmentOffset > 0) {
        this.l3 = l3;
        return DECODE_OK;
      }
    }
    const result = this.#decodeTransport(upper, size, quoted);
    if (result === DECODE_OK) this.l3 = l3;
    return result;
  }

  #decodeTransport(l4: number, size: number, quoted: boolean): DecodeResult {
    const frame = this.frame;
    // A quote shorter than 8 bytes names no flow: l4 stays -1.
    if (quoted && size < 8) return DECODE_OK;
    switch (this.protocol) {
      case PROTOCOL_TCP: {
        if (!quoted || size >= 20) {
          if (size < 20) return DECODE_TCP;
          const headerLength = (frame[l4 + 12] >>> 4) * 4;
          if (headerLength < 20) return DECODE_TCP;
          if (headerLength > size && !quoted) return DECODE_TCP;
          this.payload = headerLength > size ? this.end : l4 + headerLength;
          this.tcpFlags = frame[l4 + 13];
        } else {
          this.payload = this.end;
          if (size > 13) this.tcpFlags = frame[l4 + 13];
        }
        break;
      }
      case PROTOCOL_UDP: {
        if (size < 8) return DECODE_UDP;
        const length = readU16(frame, l4 + 4);
        if (length < 8) return DECODE_UDP;
        // The first fragment of a datagram names the length of the whole.
        if (length > size && !quoted && !this.moreFragments) return DECODE_UDP;
        this.payload = l4 + 8;
        break;
      }
      case PROTOCOL_SCTP:
        if (size < 12 && !quoted) return DECODE_SCTP;
        this.payload = size < 12 ? this.end : l4 + 12;
        break;
      case PROTOCOL_ICMP:
      case PROTOCOL_ICMPV6:
        if ((this.protocol === PROTOCOL_ICMP) !== (this.version === 4)) return DECODE_OK;
        return this.#decodeIcmp(l4, size);
      default:
        return DECODE_OK;
    }
    this.l4 = l4;
    this.srcPort = readU16(frame, l4);
    this.dstPort = readU16(frame, l4 + 2);
    return DECODE_OK;
  }

  #decodeIcmp(l4: number, size: number): DecodeResult {
    if (size < 8) return DECODE_ICMP;
    const frame = this.frame;
    const type = frame[l4];
    const isV4 = this.version === 4;
    this.l4 = l4;
    this.payload = l4 + 8;
    this.icmpType = type;
    this.icmpCode = frame[l4 + 1];
    if (isV4 ? isIcmpv4Echo(type) : isIcmpv6Echo(type)) {
      this.srcPort = readU16(frame, l4 + 4);
      this.dstPort = this.srcPort;
    } else if (isV4 ? isIcmpv4Error(type) : isIcmpv6Error(type)) {
      this.quoted = l4 + 8;
    }
    return DECODE_OK;
  }
}
