/**
 * SCTP common header and chunk header (RFC 9260 3), with CRC32c (appendix A).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------------------------------+-------------------------------+
 *    |          Source Port          |       Destination Port        |
 *    +-------------------------------+-------------------------------+
 *    |                        Verification Tag                       |
 *    +---------------------------------------------------------------+
 *    |                      Checksum (CRC32c)                        |
 *    +---------------+---------------+-------------------------------+
 *    |  Chunk Type   |  Chunk Flags  |         Chunk Length          |
 *    +---------------+---------------+-------------------------------+
 */
import { readU16, readU32, writeU16, writeU32 } from './big-endian.ts';

export const SCTP_HEADER_LENGTH = 12;
export const SCTP_CHUNK_HEADER_LENGTH = 4;

const SRC_PORT = 0;
const DST_PORT = 2;
const VERIFICATION_TAG = 4;
export const SCTP_CHECKSUM = 8;

export const SCTP_DATA = 0;
export const SCTP_INIT = 1;
export const SCTP_INIT_ACK = 2;
export const SCTP_SACK = 3;
export const SCTP_HEARTBEAT = 4;
export const SCTP_HEARTBEAT_ACK = 5;
export const SCTP_ABORT = 6;
export const SCTP_SHUTDOWN = 7;
export const SCTP_SHUTDOWN_ACK = 8;
export const SCTP_ERROR = 9;
export const SCTP_COOKIE_ECHO = 10;
export const SCTP_COOKIE_ACK = 11;
export const SCTP_SHUTDOWN_COMPLETE = 14;

/** `checksum` is the CRC32c as a number (it travels least significant byte first). */
export interface SctpHeader {
  srcPort: number;
  dstPort: number;
  verificationTag: number;
  checksum: number;
}

/** `length` counts the chunk header and value, not the padding to 4 bytes. */
export interface SctpChunkHeader {
  type: number;
  flags: number;
  length: number;
}

export function getSctpSrcPort(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + SRC_PORT);
}
export function setSctpSrcPort(frame: Uint8Array, offset: number, port: number): void {
  writeU16(frame, offset + SRC_PORT, port);
}
export function getSctpDstPort(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + DST_PORT);
}
export function setSctpDstPort(frame: Uint8Array, offset: number, port: number): void {
  writeU16(frame, offset + DST_PORT, port);
}
export function getSctpVerificationTag(frame: Uint8Array, offset: number): number {
  return readU32(frame, offset + VERIFICATION_TAG);
}
export function setSctpVerificationTag(frame: Uint8Array, offset: number, tag: number): void {
  writeU32(frame, offset + VERIFICATION_TAG, tag);
}
export function getSctpChecksum(frame: Uint8Array, offset: number): number {
  const at = offset + SCTP_CHECKSUM;
  return (frame[at] | (frame[at + 1] << 8) | (frame[at + 2] << 16) | (frame[at + 3] << 24)) >>> 0;
}
export function setSctpChecksum(frame: Uint8Array, offset: number, checksum: number): void {
  const at = offset + SCTP_CHECKSUM;
  frame[at] = checksum;
  frame[at + 1] = checksum >>> 8;
  frame[at + 2] = checksum >>> 16;
  frame[at + 3] = checksum >>> 24;
}

export function parseSctp(frame: Uint8Array, offset: number, end: number): SctpHeader | undefined {
  if (end > frame.length || end - offset < SCTP_HEADER_LENGTH) return undefined;
  return {
    srcPort: getSctpSrcPort(frame, offset),
    dstPort: getSctpDstPort(frame, offset),
    verificationTag: getSctpVerificationTag(frame, offset),
    checksum: getSctpChecksum(frame, offset),
  };
}

export function emitSctp(header: SctpHeader, frame: Uint8Array, offset: number): number {
  setSctpSrcPort(frame, offset, header.srcPort);
  setSctpDstPort(frame, offset, header.dstPort);
  setSctpVerificationTag(frame, offset, header.verificationTag);
  setSctpChecksum(frame, offset, header.checksum);
  return SCTP_HEADER_LENGTH;
}

/** Parses a chunk header; undefined when its length is below 4 or past `end`. */
export function parseSctpChunk(frame: Uint8Array, offset: number, end: number): SctpChunkHeader | undefined {
  if (end > frame.length || end - offset < SCTP_CHUNK_HEADER_LENGTH) return undefined;
  const length = readU16(frame, offset + 2);
  if (length < SCTP_CHUNK_HEADER_LENGTH || length > end - offset) return undefined;
  return { type: frame[offset], flags: frame[offset + 1], length };
}

export function emitSctpChunk(header: SctpChunkHeader, frame: Uint8Array, offset: number): number {
  frame[offset] = header.type;
  frame[offset + 1] = header.flags;
  writeU16(frame, offset + 2, header.length);
  return SCTP_CHUNK_HEADER_LENGTH;
}

// Four tables of the reflected Castagnoli polynomial: four bytes a step.
const CRC_TABLES: readonly Int32Array[] = makeCrcTables();

function makeCrcTables(): Int32Array[] {
  const tables = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)];
  for (let i = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    tables[0][i] = crc;
  }
  for (let i = 0; i < 256; i++) {
    for (let t = 1; t < 4; t++) {
      const previous = tables[t - 1][i];
      tables[t][i] = (previous >>> 8) ^ tables[0][previous & 255];
    }
  }
  return tables;
}

/**
 * CRC32c of bytes[start, end) as an unsigned number. `zeroAt`, when not negative, is the place, relative to
 * `start`, of four bytes taken as zero: the checksum field of a packet that is verified. It must be a
 * multiple of 4.
 */
export function crc32c(bytes: Uint8Array, start: number, end: number, zeroAt = -1): number {
  const [t0, t1, t2, t3] = CRC_TABLES;
  const skip = zeroAt < 0 ? -1 : start + zeroAt;
  let crc = -1;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    if (i !== skip) crc ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    crc = t3[crc & 255] ^ t2[(crc >>> 8) & 255] ^ t1[(crc >>> 16) & 255] ^ t0[crc >>> 24];
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[i]) & 255];
  return ~crc >>> 0;
}
