/**
 * ICMPv6 (RFC 4443). Neighbor discovery messages are in ndp.ts.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------+---------------+-------------------------------+
 *    |     Type      |     Code      |          Checksum             |
 *    +---------------+---------------+-------------------------------+
 *    |       Identifier + sequence / MTU / pointer / unused          |
 *    +---------------------------------------------------------------+
 *    |  Echo data, or as much of the quoted packet as fits ...       |
 *    +---------------------------------------------------------------+
 */
import { readU16, readU32, writeU16, writeU32 } from './big-endian.ts';
import { internetChecksum, pseudoHeaderSum6 } from './checksum.ts';
import { IPV6_DST, IPV6_SRC } from './ipv6.ts';
import { PROTOCOL_ICMPV6 } from './protocol.ts';

export const ICMPV6_HEADER_LENGTH = 8;

export const ICMPV6_UNREACHABLE = 1;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;
export const ICMPV6_PARAMETER_PROBLEM = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const ICMPV6_ROUTER_SOLICITATION = 133;
export const ICMPV6_ROUTER_ADVERTISEMENT = 134;
export const ICMPV6_NEIGHBOR_SOLICITATION = 135;
export const ICMPV6_NEIGHBOR_ADVERTISEMENT = 136;

export const ICMPV6_CODE_NO_ROUTE = 0;
export const ICMPV6_CODE_ADMIN_PROHIBITED = 1;
export const ICMPV6_CODE_ADDRESS_UNREACHABLE = 3;
export const ICMPV6_CODE_PORT_UNREACHABLE = 4;
export const ICMPV6_CODE_HOP_LIMIT_EXCEEDED = 0;
export const ICMPV6_CODE_REASSEMBLY_EXCEEDED = 1;

const TYPE = 0;
const CODE = 1;
export const ICMPV6_CHECKSUM = 2;
const IDENTIFIER = 4;
const SEQUENCE = 6;

/** `rest` is the second 32-bit word: id << 16 | seq of an echo, the MTU of "packet too big". */
export interface Icmpv6Header {
  type: number;
  code: number;
  checksum: number;
  rest: number;
}

export function getIcmpv6Type(frame: Uint8Array, offset: number): number {
  return frame[offset + TYPE];
}
export function setIcmpv6Type(frame: Uint8Array, offset: number, type: number): void {
  frame[offset + TYPE] = type;
}
export function getIcmpv6Code(frame: Uint8Array, offset: number): number {
  return frame[offset + CODE];
}
export function setIcmpv6Code(frame: Uint8Array, offset: number, code: number): void {
  frame[offset + CODE] = code;
}
export function getIcmpv6Checksum(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + ICMPV6_CHECKSUM);
}
export function setIcmpv6Checksum(frame: Uint8Array, offset: number, checksum: number): void {
  writeU16(frame, offset + ICMPV6_CHECKSUM, checksum);
}
/** Echo only. */
export function getIcmpv6Id(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + IDENTIFIER);
}
export function setIcmpv6Id(frame: Uint8Array, offset: number, id: number): void {
  writeU16(frame, offset + IDENTIFIER, id);
}
/** Echo only. */
export function getIcmpv6Sequence(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + SEQUENCE);
}
export function setIcmpv6Sequence(frame: Uint8Array, offset: number, sequence: number): void {
  writeU16(frame, offset + SEQUENCE, sequence);
}
/** MTU of "packet too big" (RFC 4443 3.2). */
export function getIcmpv6Mtu(frame: Uint8Array, offset: number): number {
  return readU32(frame, offset + IDENTIFIER);
}

/** Whether a message of this type is an error and quotes a packet (RFC 4443 2.1: the high bit is clear). */
export function isIcmpv6Error(type: number): boolean {
  return type >= ICMPV6_UNREACHABLE && type <= ICMPV6_PARAMETER_PROBLEM;
}

/** Whether a message of this type is an echo request or reply. */
export function isIcmpv6Echo(type: number): boolean {
  return type === ICMPV6_ECHO_REQUEST || type === ICMPV6_ECHO_REPLY;
}

/** Computes and writes the checksum of the message in [offset, end) under the IPv6 header at `l3`. */
export function fillIcmpv6Checksum(frame: Uint8Array, l3: number, offset: number, end: number): void {
  setIcmpv6Checksum(frame, offset, 0);
  const seed = pseudoHeaderSum6(frame, l3 + IPV6_SRC, l3 + IPV6_DST, PROTOCOL_ICMPV6, end - offset);
  setIcmpv6Checksum(frame, offset, internetChecksum(frame, offset, end, seed));
}

/** Whether the checksum of the message in [offset, end) under the IPv6 header at `l3` is right. */
export function verifyIcmpv6Checksum(frame: Uint8Array, l3: number, offset: number, end: number): boolean {
  const seed = pseudoHeaderSum6(frame, l3 + IPV6_SRC, l3 + IPV6_DST, PROTOCOL_ICMPV6, end - offset);
  return internetChecksum(frame, offset, end, seed) === 0;
}

export function parseIcmpv6(frame: Uint8Array, offset: number, end: number): Icmpv6Header | undefined {
  if (end > frame.length || end - offset < ICMPV6_HEADER_LENGTH) return undefined;
  return {
    type: getIcmpv6Type(frame, offset),
    code: getIcmpv6Code(frame, offset),
    checksum: getIcmpv6Checksum(frame, offset),
    rest: readU32(frame, offset + IDENTIFIER),
  };
}

export function emitIcmpv6(header: Icmpv6Header, frame: Uint8Array, offset: number): number {
  setIcmpv6Type(frame, offset, header.type);
  setIcmpv6Code(frame, offset, header.code);
  setIcmpv6Checksum(frame, offset, header.checksum);
  writeU32(frame, offset + IDENTIFIER, header.rest);
  return ICMPV6_HEADER_LENGTH;
}
