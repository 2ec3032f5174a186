/**
 * UDP header (RFC 768).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------------------------------+-------------------------------+
 *    |          Source Port          |       Destination Port        |
 *    +-------------------------------+-------------------------------+
 *    |            Length             |           Checksum            |
 *    +-------------------------------+-------------------------------+
 */
import { readU16, writeU16 } from './big-endian.ts';
import { updateChecksum16, updateChecksum32 } from './checksum.ts';

export const UDP_HEADER_LENGTH = 8;

const SRC_PORT = 0;
const DST_PORT = 2;
const LENGTH = 4;
export const UDP_CHECKSUM = 6;

/** `length` counts header and payload; `checksum` 0 means none (IPv4 only). */
export interface UdpHeader {
  srcPort: number;
  dstPort: number;
  length: number;
  checksum: number;
}

export function getUdpSrcPort(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + SRC_PORT);
}
export function setUdpSrcPort(frame: Uint8Array, offset: number, port: number): void {
  writeU16(frame, offset + SRC_PORT, port);
}
export function getUdpDstPort(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + DST_PORT);
}
export function setUdpDstPort(frame: Uint8Array, offset: number, port: number): void {
  writeU16(frame, offset + DST_PORT, port);
}
export function getUdpLength(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + LENGTH);
}
export function setUdpLength(frame: Uint8Array, offset: number, length: number): void {
  writeU16(frame, offset + LENGTH, length);
}
export function getUdpChecksum(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + UDP_CHECKSUM);
}
export function setUdpChecksum(frame: Uint8Array, offset: number, checksum: number): void {
  writeU16(frame, offset + UDP_CHECKSUM, checksum);
}

/**
 * Updates the checksum for a 16-bit word that changed. No checksum (0) stays none, and a result of 0 is
 * stored as 0xffff (RFC 768).
 */
export function patchUdpChecksum16(frame: Uint8Array, offset: number, before: number, after: number): void {
  const checksum = getUdpChecksum(frame, offset);
  if (checksum !== 0) setUdpChecksum(frame, offset, updateChecksum16(checksum, before, after) || 0xffff);
}

/** As `patchUdpChecksum16`, for 32 bits, such as an IPv4 address of the pseudo header. */
export function patchUdpChecksum32(frame: Uint8Array, offset: number, before: number, after: number): void {
  const checksum = getUdpChecksum(frame, offset);
  if (checksum !== 0) setUdpChecksum(frame, offset, updateChecksum32(checksum, before, after) || 0xffff);
}

/** Parses the header of the datagram in [offset, end); undefined when its length does not fit there. */
export function parseUdp(frame: Uint8Array, offset: number, end: number): UdpHeader | undefined {
  if (end > frame.length || end - offset < UDP_HEADER_LENGTH) return undefined;
  const length = getUdpLength(frame, offset);
  if (length < UDP_HEADER_LENGTH || length > end - offset) return undefined;
  return {
    srcPort: getUdpSrcPort(frame, offset),
    dstPort: getUdpDstPort(frame, offset),
    length,
    checksum: getUdpChecksum(frame, offset),
  };
}

export function emitUdp(header: UdpHeader, frame: Uint8Array, offset: number): number {
  setUdpSrcPort(frame, offset, header.srcPort);
  setUdpDstPort(frame, offset, header.dstPort);
  setUdpLength(frame, offset, header.length);
  setUdpChecksum(frame, offset, header.checksum);
  return UDP_HEADER_LENGTH;
}
