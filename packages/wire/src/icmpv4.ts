/**
 * ICMP for IPv4 (RFC 792; next-hop MTU RFC 1191 4; code 13 RFC 1812 5.2.7.1).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------+---------------+-------------------------------+
 *    |     Type      |     Code      |          Checksum             |
 *    +---------------+---------------+-------------------------------+
 *    |  Identifier / pointer / unused|  Sequence / next-hop MTU      |
 *    +-------------------------------+-------------------------------+
 *    |  Echo data, or the quoted IP header and 8 or more bytes ...   |
 *    +---------------------------------------------------------------+
 */
import { readU16, readU32, writeU16, writeU32 } from './big-endian.ts';
import { internetChecksum } from './checksum.ts';

export const ICMPV4_HEADER_LENGTH = 8;

export const ICMPV4_ECHO_REPLY = 0;
export const ICMPV4_UNREACHABLE = 3;
export const ICMPV4_SOURCE_QUENCH = 4;
export const ICMPV4_REDIRECT = 5;
export const ICMPV4_ECHO_REQUEST = 8;
export const ICMPV4_TIME_EXCEEDED = 11;
export const ICMPV4_PARAMETER_PROBLEM = 12;

export const ICMPV4_CODE_NET_UNREACHABLE = 0;
export const ICMPV4_CODE_HOST_UNREACHABLE = 1;
export const ICMPV4_CODE_PROTOCOL_UNREACHABLE = 2;
export const ICMPV4_CODE_PORT_UNREACHABLE = 3;
export const ICMPV4_CODE_FRAGMENTATION_NEEDED = 4;
export const ICMPV4_CODE_NET_PROHIBITED = 9;
export const ICMPV4_CODE_HOST_PROHIBITED = 10;
export const ICMPV4_CODE_ADMIN_PROHIBITED = 13;
export const ICMPV4_CODE_TTL_EXCEEDED = 0;
export const ICMPV4_CODE_REASSEMBLY_EXCEEDED = 1;

const TYPE = 0;
const CODE = 1;
export const ICMPV4_CHECKSUM = 2;
const IDENTIFIER = 4;
const SEQUENCE = 6;

/** `rest` is the second 32-bit word: id << 16 | seq of an echo, the MTU of "fragmentation needed". */
export interface Icmpv4Header {
  type: number;
  code: number;
  checksum: number;
  rest: number;
}

export function getIcmpv4Type(frame: Uint8Array, offset: number): number {
  return frame[offset + TYPE];
}
export function setIcmpv4Type(frame: Uint8Array, offset: number, type: number): void {
  frame[offset + TYPE] = type;
}
export function getIcmpv4Code(frame: Uint8Array, offset: number): number {
  return frame[offset + CODE];
}
export function setIcmpv4Code(frame: Uint8Array, offset: number, code: number): void {
  frame[offset + CODE] = code;
}
export function getIcmpv4Checksum(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + ICMPV4_CHECKSUM);
}
export function setIcmpv4Checksum(frame: Uint8Array, offset: number, checksum: number): void {
  writeU16(frame, offset + ICMPV4_CHECKSUM, checksum);
}
/** Echo only. */
export function getIcmpv4Id(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + IDENTIFIER);
}
export function setIcmpv4Id(frame: Uint8Array, offset: number, id: number): void {
  writeU16(frame, offset + IDENTIFIER, id);
}
/** Echo only. */
export function getIcmpv4Sequence(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + SEQUENCE);
}
export function setIcmpv4Sequence(frame: Uint8Array, offset: number, sequence: number): void {
  writeU16(frame, offset + SEQUENCE, sequence);
}
/** Next-hop MTU of "fragmentation needed" (RFC 1191 4). */
export function getIcmpv4Mtu(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + SEQUENCE);
}

/** Whether a message of this type is an error and quotes a packet (RFC 1122 3.2.2). */
export function isIcmpv4Error(type: number): boolean {
  return (
    type === ICMPV4_UNREACHABLE ||
    type === ICMPV4_SOURCE_QUENCH ||
    type === ICMPV4_REDIRECT ||
    type === ICMPV4_TIME_EXCEEDED ||
    type === ICMPV4_PARAMETER_PROBLEM
  );
}

/** Whether a message of this type is an echo request or reply. */
export function isIcmpv4Echo(type: number): boolean {
  return type === ICMPV4_ECHO_REQUEST || type === ICMPV4_ECHO_REPLY;
}

/** Computes and writes the checksum of the message in [offset, end). */
export function fillIcmpv4Checksum(frame: Uint8Array, offset: number, end: number): void {
  setIcmpv4Checksum(frame, offset, 0);
  setIcmpv4Checksum(frame, offset, internetChecksum(frame, offset, end));
}

/** Whether the checksum of the message in [offset, end) is right. */
export function verifyIcmpv4Checksum(frame: Uint8Array, offset: number, end: number): boolean {
  return internetChecksum(frame, offset, end) === 0;
}

export function parseIcmpv4(frame: Uint8Array, offset: number, end: number): Icmpv4Header | undefined {
  if (end > frame.length || end - offset < ICMPV4_HEADER_LENGTH) return undefined;
  return {
    type: getIcmpv4Type(frame, offset),
    code: getIcmpv4Code(frame, offset),
    checksum: getIcmpv4Checksum(frame, offset),
    rest: readU32(frame, offset + IDENTIFIER),
  };
}

export function emitIcmpv4(header: Icmpv4Header, frame: Uint8Array, offset: number): number {
  setIcmpv4Type(frame, offset, header.type);
  setIcmpv4Code(frame, offset, header.code);
  setIcmpv4Checksum(frame, offset, header.checksum);
  writeU32(frame, offset + IDENTIFIER, header.rest);
  return ICMPV4_HEADER_LENGTH;
}
