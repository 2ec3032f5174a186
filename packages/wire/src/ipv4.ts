/**
 * IPv4 header (RFC 791 3.1).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------+-------+---------------+-------------------------------+
 *    |Version|  IHL  |   DSCP    |ECN|         Total Length          |
 *    +-------+-------+---------------+-----+-------------------------+
 *    |         Identification        |Flags|     Fragment Offset     |
 *    +---------------+---------------+-----+-------------------------+
 *    |  Time to Live |    Protocol   |        Header Checksum        |
 *    +---------------+---------------+-------------------------------+
 *    |                         Source Address                        |
 *    +---------------------------------------------------------------+
 *    |                       Destination Address                     |
 *    +---------------------------------------------------------------+
 *    |                    Options                    |    Padding    |
 *    +-----------------------------------------------+---------------+
 */
import { readU16, readU32, writeU16, writeU32 } from './big-endian.ts';
import { internetChecksum, updateChecksum16, updateChecksum32 } from './checksum.ts';

export const IPV4_MINIMUM_HEADER_LENGTH = 20;
export const IPV4_MAXIMUM_HEADER_LENGTH = 60;
/** Every IPv4 link carries packets of 68 bytes (RFC 791 3.2). */
export const IPV4_MINIMUM_MTU = 68;

const VERSION_IHL = 0;
const TRAFFIC_CLASS = 1;
const TOTAL_LENGTH = 2;
const IDENTIFICATION = 4;
const FLAGS_FRAGMENT = 6;
const TTL = 8;
const PROTOCOL = 9;
const CHECKSUM = 10;
const SRC = 12;
const DST = 16;

const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;

/**
 * Addresses are uint32. `totalLength` counts header and payload; `fragmentOffset` is in bytes (a multiple
 * of 8). `options` are raw bytes, a multiple of 4, at most 40. `emitIpv4` computes the checksum.
 */
export interface Ipv4Header {
  dscp: number;
  ecn: number;
  totalLength: number;
  identification: number;
  dontFragment: boolean;
  moreFragments: boolean;
  fragmentOffset: number;
  ttl: number;
  protocol: number;
  src: number;
  dst: number;
  options: Uint8Array;
}

/** Header length in bytes, as IHL says. */
export function getIpv4HeaderLength(frame: Uint8Array, offset: number): number {
  return (frame[offset + VERSION_IHL] & 0x0f) * 4;
}
/** The TOS byte: DSCP and ECN. */
export function getIpv4TrafficClass(frame: Uint8Array, offset: number): number {
  return frame[offset + TRAFFIC_CLASS];
}
export function setIpv4TrafficClass(frame: Uint8Array, offset: number, trafficClass: number): void {
  frame[offset + TRAFFIC_CLASS] = trafficClass;
}
export function getIpv4TotalLength(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + TOTAL_LENGTH);
}
export function setIpv4TotalLength(frame: Uint8Array, offset: number, totalLength: number): void {
  writeU16(frame, offset + TOTAL_LENGTH, totalLength);
}
export function getIpv4Identification(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + IDENTIFICATION);
}
export function setIpv4Identification(frame: Uint8Array, offset: number, identification: number): void {
  writeU16(frame, offset + IDENTIFICATION, identification);
}
export function getIpv4DontFragment(frame: Uint8Array, offset: number): boolean {
  return (readU16(frame, offset + FLAGS_FRAGMENT) & DONT_FRAGMENT) !== 0;
}
export function setIpv4DontFragment(frame: Uint8Array, offset: number, dontFragment: boolean): void {
  const rest = readU16(frame, offset + FLAGS_FRAGMENT) & ~DONT_FRAGMENT;
  writeU16(frame, offset + FLAGS_FRAGMENT, rest | (dontFragment ? DONT_FRAGMENT : 0));
}
export function getIpv4MoreFragments(frame: Uint8Array, offset: number): boolean {
  return (readU16(frame, offset + FLAGS_FRAGMENT) & MORE_FRAGMENTS) !== 0;
}
/** In bytes. */
export function getIpv4FragmentOffset(frame: Uint8Array, offset: number): number {
  return (readU16(frame, offset + FLAGS_FRAGMENT) & 0x1fff) * 8;
}
/** Sets the fragment offset (bytes, a multiple of 8) and the more-fragments flag; keeps don't-fragment. */
export function setIpv4Fragment(
  frame: Uint8Array,
  offset: number,
  fragmentOffset: number,
  moreFragments: boolean,
): void {
  const kept = readU16(frame, offset + FLAGS_FRAGMENT) & DONT_FRAGMENT;
  writeU16(
    frame,
    offset + FLAGS_FRAGMENT,
    kept | (moreFragments ? MORE_FRAGMENTS : 0) | (fragmentOffset >>> 3),
  );
}
export function getIpv4Ttl(frame: Uint8Array, offset: number): number {
  return frame[offset + TTL];
}
export function setIpv4Ttl(frame: Uint8Array, offset: number, ttl: number): void {
  frame[offset + TTL] = ttl;
}
export function getIpv4Protocol(frame: Uint8Array, offset: number): number {
  return frame[offset + PROTOCOL];
}
export function setIpv4Protocol(frame: Uint8Array, offset: number, protocol: number): void {
  frame[offset + PROTOCOL] = protocol;
}
export function getIpv4Checksum(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + CHECKSUM);
}
export function setIpv4Checksum(frame: Uint8Array, offset: number, checksum: number): void {
  writeU16(frame, offset + CHECKSUM, checksum);
}
export function getIpv4Src(frame: Uint8Array, offset: number): number {
  return readU32(frame, offset + SRC);
}
/** Does not touch the checksum: see `patchIpv4Src`. */
export function setIpv4Src(frame: Uint8Array, offset: number, address: number): void {
  writeU32(frame, offset + SRC, address);
}
export function getIpv4Dst(frame: Uint8Array, offset: number): number {
  return readU32(frame, offset + DST);
}
/** Does not touch the checksum: see `patchIpv4Dst`. */
export function setIpv4Dst(frame: Uint8Array, offset: number, address: number): void {
  writeU32(frame, offset + DST, address);
}

/** Writes the header checksum computed afresh. */
export function fillIpv4Checksum(frame: Uint8Array, offset: number): void {
  setIpv4Checksum(frame, offset, 0);
  setIpv4Checksum(
    frame,
    offset,
    internetChecksum(frame, offset, offset + getIpv4HeaderLength(frame, offset)),
  );
}

/** Whether the header checksum is right. The header must lie inside the frame. */
export function verifyIpv4Checksum(frame: Uint8Array, offset: number): boolean {
  return internetChecksum(frame, offset, offset + getIpv4HeaderLength(frame, offset)) === 0;
}

/** Sets the source address and updates the header checksum (RFC 1624). */
export function patchIpv4Src(frame: Uint8Array, offset: number, address: number): void {
  const checksum = updateChecksum32(getIpv4Checksum(frame, offset), getIpv4Src(frame, offset), address);
  setIpv4Src(frame, offset, address);
  setIpv4Checksum(frame, offset, checksum);
}

/** Sets the destination address and updates the header checksum (RFC 1624). */
export function patchIpv4Dst(frame: Uint8Array, offset: number, address: number): void {
  const checksum = updateChecksum32(getIpv4Checksum(frame, offset), getIpv4Dst(frame, offset), address);
  setIpv4Dst(frame, offset, address);
  setIpv4Checksum(frame, offset, checksum);
}

/** Sets the TTL and updates the header checksum (RFC 1624). */
export function patchIpv4Ttl(frame: Uint8Array, offset: number, ttl: number): void {
  const before = readU16(frame, offset + TTL);
  frame[offset + TTL] = ttl;
  const after = readU16(frame, offset + TTL);
  setIpv4Checksum(frame, offset, updateChecksum16(getIpv4Checksum(frame, offset), before, after));
}

/** Whether the address is in 224.0.0.0/4. */
export function isIpv4Multicast(address: number): boolean {
  return address >>> 28 === 0xe;
}

/** Parses and checks version, IHL and total length against `end`; the checksum is `verifyIpv4Checksum`'s. */
export function parseIpv4Header(frame: Uint8Array, offset: number, end: number): Ipv4Header | undefined {
  if (end > frame.length || end - offset < IPV4_MINIMUM_HEADER_LENGTH) return undefined;
  if (frame[offset + VERSION_IHL] >>> 4 !== 4) return undefined;
  const headerLength = getIpv4HeaderLength(frame, offset);
  const totalLength = getIpv4TotalLength(frame, offset);
  if (headerLength < IPV4_MINIMUM_HEADER_LENGTH || totalLength < headerLength) return undefined;
  if (totalLength > end - offset) return undefined;
  const trafficClass = getIpv4TrafficClass(frame, offset);
  return {
    dscp: trafficClass >>> 2,
    ecn: trafficClass & 3,
    totalLength,
    identification: getIpv4Identification(frame, offset),
    dontFragment: getIpv4DontFragment(frame, offset),
    moreFragments: getIpv4MoreFragments(frame, offset),
    fragmentOffset: getIpv4FragmentOffset(frame, offset),
    ttl: getIpv4Ttl(frame, offset),
    protocol: getIpv4Protocol(frame, offset),
    src: getIpv4Src(frame, offset),
    dst: getIpv4Dst(frame, offset),
    options: frame.subarray(offset + IPV4_MINIMUM_HEADER_LENGTH, offset + headerLength),
  };
}

export function emitIpv4Header(header: Ipv4Header, frame: Uint8Array, offset: number): number {
  const headerLength = IPV4_MINIMUM_HEADER_LENGTH + header.options.length;
  frame[offset + VERSION_IHL] = 0x40 | (headerLength >>> 2);
  frame[offset + TRAFFIC_CLASS] = (header.dscp << 2) | header.ecn;
  setIpv4TotalLength(frame, offset, header.totalLength);
  setIpv4Identification(frame, offset, header.identification);
  const flags = (header.dontFragment ? DONT_FRAGMENT : 0) | (header.moreFragments ? MORE_FRAGMENTS : 0);
  writeU16(frame, offset + FLAGS_FRAGMENT, flags | (header.fragmentOffset >>> 3));
  setIpv4Ttl(frame, offset, header.ttl);
  setIpv4Protocol(frame, offset, header.protocol);
  setIpv4Src(frame, offset, header.src);
  setIpv4Dst(frame, offset, header.dst);
  frame.set(header.options, offset + IPV4_MINIMUM_HEADER_LENGTH);
  fillIpv4Checksum(frame, offset);
  return headerLength;
}
