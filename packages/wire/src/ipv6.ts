/**
 * IPv6 header (RFC 8200 3) and the walk over its extension headers (RFC 8200 4).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------+---------------+---------------------------------------+
 *    |Version| Traffic Class |              Flow Label               |
 *    +-------+-------+-------+-------+---------------+---------------+
 *    |         Payload Length        |  Next Header  |   Hop Limit   |
 *    +-------------------------------+---------------+---------------+
 *    |                        Source Address (16)                    |
 *    +---------------------------------------------------------------+
 *    |                     Destination Address (16)                  |
 *    +---------------------------------------------------------------+
 */
import { copyBytes, readU16, readU32, writeU16 } from './big-endian.ts';
import {
  PROTOCOL_AH,
  PROTOCOL_DESTINATION_OPTIONS,
  PROTOCOL_FRAGMENT,
  PROTOCOL_HOP_BY_HOP,
  PROTOCOL_MOBILITY,
  PROTOCOL_ROUTING,
} from './protocol.ts';

export const IPV6_HEADER_LENGTH = 40;
/** Every IPv6 link carries packets of 1280 bytes (RFC 8200 5). */
export const IPV6_MINIMUM_MTU = 1280;
/** A packet with more extension headers than this is malformed: the walk must end. */
export const IPV6_MAXIMUM_EXTENSION_HEADERS = 8;
export const IPV6_FRAGMENT_HEADER_LENGTH = 8;

const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
export const IPV6_SRC = 8;
export const IPV6_DST = 24;

/** Addresses are 16 bytes, views into the frame when parsed. `nextHeader` may name an extension header. */
export interface Ipv6Header {
  trafficClass: number;
  flowLabel: number;
  payloadLength: number;
  nextHeader: number;
  hopLimit: number;
  src: Uint8Array;
  dst: Uint8Array;
}

export function getIpv6TrafficClass(frame: Uint8Array, offset: number): number {
  return (readU16(frame, offset) >>> 4) & 0xff;
}
export function setIpv6TrafficClass(frame: Uint8Array, offset: number, trafficClass: number): void {
  writeU16(frame, offset, 0x6000 | (trafficClass << 4) | (frame[offset + 1] & 0x0f));
}
export function getIpv6FlowLabel(frame: Uint8Array, offset: number): number {
  return readU32(frame, offset) & 0xfffff;
}
export function setIpv6FlowLabel(frame: Uint8Array, offset: number, flowLabel: number): void {
  frame[offset + 1] = (frame[offset + 1] & 0xf0) | ((flowLabel >>> 16) & 0x0f);
  writeU16(frame, offset + 2, flowLabel);
}
export function getIpv6PayloadLength(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + PAYLOAD_LENGTH);
}
export function setIpv6PayloadLength(frame: Uint8Array, offset: number, payloadLength: number): void {
  writeU16(frame, offset + PAYLOAD_LENGTH, payloadLength);
}
export function getIpv6NextHeader(frame: Uint8Array, offset: number): number {
  return frame[offset + NEXT_HEADER];
}
export function setIpv6NextHeader(frame: Uint8Array, offset: number, nextHeader: number): void {
  frame[offset + NEXT_HEADER] = nextHeader;
}
export function getIpv6HopLimit(frame: Uint8Array, offset: number): number {
  return frame[offset + HOP_LIMIT];
}
export function setIpv6HopLimit(frame: Uint8Array, offset: number, hopLimit: number): void {
  frame[offset + HOP_LIMIT] = hopLimit;
}
/** View of the source address (allocates the view). */
export function getIpv6Src(frame: Uint8Array, offset: number): Uint8Array {
  return frame.subarray(offset + IPV6_SRC, offset + IPV6_SRC + 16);
}
export function setIpv6Src(frame: Uint8Array, offset: number, address: Uint8Array): void {
  copyBytes(address, 0, frame, offset + IPV6_SRC, 16);
}
/** View of the destination address (allocates the view). */
export function getIpv6Dst(frame: Uint8Array, offset: number): Uint8Array {
  return frame.subarray(offset + IPV6_DST, offset + IPV6_DST + 16);
}
export function setIpv6Dst(frame: Uint8Array, offset: number, address: Uint8Array): void {
  copyBytes(address, 0, frame, offset + IPV6_DST, 16);
}

/** Whether the 16 bytes at `offset` are in ff00::/8. */
export function isIpv6Multicast(bytes: Uint8Array, offset = 0): boolean {
  return bytes[offset] === 0xff;
}

/** Whether the 16 bytes at `offset` are in fe80::/10. */
export function isIpv6LinkLocal(bytes: Uint8Array, offset = 0): boolean {
  return bytes[offset] === 0xfe && (bytes[offset + 1] & 0xc0) === 0x80;
}

/** Solicited-node group of an address: ff02::1:ffXX:XXXX (RFC 4291 2.7.1). */
export function solicitedNodeAddress(address: Uint8Array, offset = 0): Uint8Array {
  const group = new Uint8Array([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0]);
  copyBytes(address, offset + 13, group, 13, 3);
  return group;
}

/** Link-local address made from a MAC by modified EUI-64 (RFC 4291 appendix A). */
export function linkLocalAddress(mac: Uint8Array): Uint8Array {
  const address = new Uint8Array([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0]);
  address[8] = mac[0] ^ 0x02;
  address[9] = mac[1];
  address[10] = mac[2];
  address[13] = mac[3];
  address[14] = mac[4];
  address[15] = mac[5];
  return address;
}

export function parseIpv6Header(frame: Uint8Array, offset: number, end: number): Ipv6Header | undefined {
  if (end > frame.length || end - offset < IPV6_HEADER_LENGTH) return undefined;
  if (frame[offset] >>> 4 !== 6) return undefined;
  const payloadLength = getIpv6PayloadLength(frame, offset);
  if (IPV6_HEADER_LENGTH + payloadLength > end - offset) return undefined;
  return {
    trafficClass: getIpv6TrafficClass(frame, offset),
    flowLabel: getIpv6FlowLabel(frame, offset),
    payloadLength,
    nextHeader: getIpv6NextHeader(frame, offset),
    hopLimit: getIpv6HopLimit(frame, offset),
    src: getIpv6Src(frame, offset),
    dst: getIpv6Dst(frame, offset),
  };
}

export function emitIpv6Header(header: Ipv6Header, frame: Uint8Array, offset: number): number {
  frame[offset] = 0x60 | (header.trafficClass >>> 4);
  frame[offset + 1] = ((header.trafficClass & 0x0f) << 4) | ((header.flowLabel >>> 16) & 0x0f);
  writeU16(frame, offset + 2, header.flowLabel);
  setIpv6PayloadLength(frame, offset, header.payloadLength);
  setIpv6NextHeader(frame, offset, header.nextHeader);
  setIpv6HopLimit(frame, offset, header.hopLimit);
  setIpv6Src(frame, offset, header.src);
  setIpv6Dst(frame, offset, header.dst);
  return IPV6_HEADER_LENGTH;
}

/** What a walk over the extension headers found; reused by its owner. */
export interface Ipv6Walk {
  /** Protocol after the last header walked. */
  protocol: number;
  /** Where the upper-layer header, or the data of a later fragment, starts. */
  upper: number;
  /** Where the fragment header starts, -1 when there is none. */
  fragmentHeader: number;
  /** Bytes; 0 for the first or only fragment. */
  fragmentOffset: number;
  moreFragments: boolean;
}

export function createIpv6Walk(): Ipv6Walk {
  return { protocol: 0, upper: 0, fragmentHeader: -1, fragmentOffset: 0, moreFragments: false };
}

/**
 * Walks the extension headers of the packet at `offset` into `walk`. False when a header is cut by `end`,
 * there are more than IPV6_MAXIMUM_EXTENSION_HEADERS, hop-by-hop options are not first (RFC 8200 4.1), or
 * a fragment header comes twice. Stops behind the fragment header of a later fragment: what follows is data.
 */
export function walkIpv6Extensions(frame: Uint8Array, offset: number, end: number, walk: Ipv6Walk): boolean {
  let protocol = frame[offset + NEXT_HEADER];
  let at = offset + IPV6_HEADER_LENGTH;
  walk.fragmentHeader = -1;
  walk.fragmentOffset = 0;
  walk.moreFragments = false;
  for (let count = 0; isIpv6Extension(protocol); count++) {
    if (count === IPV6_MAXIMUM_EXTENSION_HEADERS || at + 8 > end) return false;
    if (protocol === PROTOCOL_HOP_BY_HOP && count > 0) return false;
    let length: number;
    if (protocol === PROTOCOL_FRAGMENT) {
      if (walk.fragmentHeader >= 0) return false;
      const word = readU16(frame, at + 2);
      walk.fragmentHeader = at;
      walk.fragmentOffset = word & 0xfff8;
      walk.moreFragments = (word & 1) !== 0;
      length = IPV6_FRAGMENT_HEADER_LENGTH;
    } else if (protocol === PROTOCOL_AH) {
      // RFC 4302 2.2: counted in 4-byte words, minus 2.
      length = (frame[at + 1] + 2) * 4;
    } else {
      length = (frame[at + 1] + 1) * 8;
    }
    if (at + length > end) return false;
    protocol = frame[at];
    at += length;
    if (walk.fragmentOffset > 0) break;
  }
  walk.protocol = protocol;
  walk.upper = at;
  return true;
}

function isIpv6Extension(protocol: number): boolean {
  return (
    protocol === PROTOCOL_HOP_BY_HOP ||
    protocol === PROTOCOL_ROUTING ||
    protocol === PROTOCOL_FRAGMENT ||
    protocol === PROTOCOL_AH ||
    protocol === PROTOCOL_DESTINATION_OPTIONS ||
    protocol === PROTOCOL_MOBILITY
  );
}

/**
 * Fragment extension header (RFC 8200 4.5).
 *
 *    +---------------+---------------+-------------------------+--+-+
 *    |  Next Header  |   Reserved    |      Fragment Offset    |Rs|M|
 *    +---------------+---------------+-------------------------+--+-+
 *    |                         Identification                       |
 *    +--------------------------------------------------------------+
 */
export interface Ipv6FragmentHeader {
  nextHeader: number;
  /** Bytes, a multiple of 8. */
  fragmentOffset: number;
  moreFragments: boolean;
  identification: number;
}

export function parseIpv6Fragment(
  frame: Uint8Array,
  offset: number,
  end: number,
): Ipv6FragmentHeader | undefined {
  if (end > frame.length || end - offset < IPV6_FRAGMENT_HEADER_LENGTH) return undefined;
  const word = readU16(frame, offset + 2);
  return {
    nextHeader: frame[offset],
    fragmentOffset: word & 0xfff8,
    moreFragments: (word & 1) !== 0,
    identification: readU32(frame, offset + 4),
  };
}

export function emitIpv6Fragment(header: Ipv6FragmentHeader, frame: Uint8Array, offset: number): number {
  frame[offset] = header.nextHeader;
  frame[offset + 1] = 0;
  writeU16(frame, offset + 2, (header.fragmentOffset & 0xfff8) | (header.moreFragments ? 1 : 0));
  writeU16(frame, offset + 4, header.identification >>> 16);
  writeU16(frame, offset + 6, header.identification);
  return IPV6_FRAGMENT_HEADER_LENGTH;
}
