/**
 * TCP header (RFC 9293 3.1) and its options (RFC 9293 3.2, RFC 7323, RFC 2018).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------------------------------+-------------------------------+
 *    |          Source Port          |       Destination Port        |
 *    +-------------------------------+-------------------------------+
 *    |                        Sequence Number                        |
 *    +---------------------------------------------------------------+
 *    |                    Acknowledgment Number                      |
 *    +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 *    |  Data |       |C|E|U|A|P|R|S|F|                               |
 *    | Offset| Rsrvd |W|C|R|C|S|S|Y|I|            Window             |
 *    |       |       |R|E|G|K|H|T|N|N|                               |
 *    +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 *    |           Checksum            |         Urgent Pointer        |
 *    +-------------------------------+-------------------------------+
 *    |                           [Options]                           |
 *    +---------------------------------------------------------------+
 */
import { readU16, readU32, writeU16, writeU32 } from './big-endian.ts';

export const TCP_MINIMUM_HEADER_LENGTH = 20;
export const TCP_MAXIMUM_HEADER_LENGTH = 60;

const SRC_PORT = 0;
const DST_PORT = 2;
const SEQUENCE = 4;
const ACKNOWLEDGMENT = 8;
const DATA_OFFSET = 12;
const FLAGS = 13;
const WINDOW = 14;
export const TCP_CHECKSUM = 16;
const URGENT = 18;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;
export const TCP_ECE = 0x40;
export const TCP_CWR = 0x80;

export const TCP_OPTION_END = 0;
export const TCP_OPTION_NOP = 1;
export const TCP_OPTION_MSS = 2;
export const TCP_OPTION_WINDOW_SCALE = 3;
export const TCP_OPTION_SACK_PERMITTED = 4;
export const TCP_OPTION_SACK = 5;
export const TCP_OPTION_TIMESTAMPS = 8;

/** Sequence numbers [left, right) held by the receiver (RFC 2018 3). */
export interface SackBlock {
  left: number;
  right: number;
}

/** The options known here; an absent one is undefined. Unknown ones are skipped on parse. */
export interface TcpOptions {
  maxSegmentSize?: number;
  windowScale?: number;
  sackPermitted?: boolean;
  sackBlocks?: SackBlock[];
  timestamps?: { value: number; echo: number };
}

/** `window` is unscaled as on the wire; `flags` are the TCP_ bits; `checksum` is written as it is. */
export interface TcpHeader {
  srcPort: number;
  dstPort: number;
  sequence: number;
  acknowledgment: number;
  flags: number;
  window: number;
  checksum: number;
  urgentPointer: number;
  options: TcpOptions;
}

export function getTcpSrcPort(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + SRC_PORT);
}
export function setTcpSrcPort(frame: Uint8Array, offset: number, port: number): void {
  writeU16(frame, offset + SRC_PORT, port);
}
export function getTcpDstPort(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + DST_PORT);
}
export function setTcpDstPort(frame: Uint8Array, offset: number, port: number): void {
  writeU16(frame, offset + DST_PORT, port);
}
export function getTcpSequence(frame: Uint8Array, offset: number): number {
  return readU32(frame, offset + SEQUENCE);
}
export function setTcpSequence(frame: Uint8Array, offset: number, sequence: number): void {
  writeU32(frame, offset + SEQUENCE, sequence);
}
export function getTcpAcknowledgment(frame: Uint8Array, offset: number): number {
  return readU32(frame, offset + ACKNOWLEDGMENT);
}
export function setTcpAcknowledgment(frame: Uint8Array, offset: number, acknowledgment: number): void {
  writeU32(frame, offset + ACKNOWLEDGMENT, acknowledgment);
}
/** Header length in bytes with options. */
export function getTcpHeaderLength(frame: Uint8Array, offset: number): number {
  return (frame[offset + DATA_OFFSET] >>> 4) * 4;
}
/** Sets the data offset and clears the reserved bits. */
export function setTcpHeaderLength(frame: Uint8Array, offset: number, headerLength: number): void {
  frame[offset + DATA_OFFSET] = (headerLength >>> 2) << 4;
}
export function getTcpFlags(frame: Uint8Array, offset: number): number {
  return frame[offset + FLAGS];
}
export function setTcpFlags(frame: Uint8Array, offset: number, flags: number): void {
  frame[offset + FLAGS] = flags;
}
export function getTcpWindow(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + WINDOW);
}
export function setTcpWindow(frame: Uint8Array, offset: number, window: number): void {
  writeU16(frame, offset + WINDOW, window);
}
export function getTcpChecksum(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + TCP_CHECKSUM);
}
export function setTcpChecksum(frame: Uint8Array, offset: number, checksum: number): void {
  writeU16(frame, offset + TCP_CHECKSUM, checksum);
}
export function getTcpUrgentPointer(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + URGENT);
}
export function setTcpUrgentPointer(frame: Uint8Array, offset: number, urgentPointer: number): void {
  writeU16(frame, offset + URGENT, urgentPointer);
}

/** Options read without allocation; reused by its owner. A field is valid when its `has` says so. */
export interface TcpOptionView {
  hasMaxSegmentSize: boolean;
  maxSegmentSize: number;
  hasWindowScale: boolean;
  windowScale: number;
  sackPermitted: boolean;
  hasTimestamps: boolean;
  timestampValue: number;
  timestampEcho: number;
  sackCount: number;
  /** left0, right0, left1, right1, … for `sackCount` blocks, at most 4. */
  sackEdges: Uint32Array;
}

export function createTcpOptionView(): TcpOptionView {
  return {
    hasMaxSegmentSize: false,
    maxSegmentSize: 0,
    hasWindowScale: false,
    windowScale: 0,
    sackPermitted: false,
    hasTimestamps: false,
    timestampValue: 0,
    timestampEcho: 0,
    sackCount: 0,
    sackEdges: new Uint32Array(8),
  };
}

/**
 * Reads the option bytes [start, end) into `view`. False when an option's length is impossible; `view` then
 * holds what stood before it, which is what a tolerant receiver uses.
 */
export function readTcpOptions(frame: Uint8Array, start: number, end: number, view: TcpOptionView): boolean {
  view.hasMaxSegmentSize = false;
  view.hasWindowScale = false;
  view.sackPermitted = false;
  view.hasTimestamps = false;
  view.sackCount = 0;
  let at = start;
  while (at < end) {
    const kind = frame[at];
    if (kind === TCP_OPTION_END) return true;
    if (kind === TCP_OPTION_NOP) {
      at++;
      continue;
    }
    // RFC 9293 3.2, MUST-68: the length counts kind and length bytes; MUST-7: no illegal length may crash.
    const length = at + 1 < end ? frame[at + 1] : 0;
    if (length < 2 || at + length > end) return false;
    if (kind === TCP_OPTION_MSS) {
      if (length !== 4) return false;
      view.hasMaxSegmentSize = true;
      view.maxSegmentSize = readU16(frame, at + 2);
    } else if (kind === TCP_OPTION_WINDOW_SCALE) {
      if (length !== 3) return false;
      view.hasWindowScale = true;
      view.windowScale = frame[at + 2];
    } else if (kind === TCP_OPTION_SACK_PERMITTED) {
      if (length !== 2) return false;
      view.sackPermitted = true;
    } else if (kind === TCP_OPTION_TIMESTAMPS) {
      if (length !== 10) return false;
      view.hasTimestamps = true;
      view.timestampValue = readU32(frame, at + 2);
      view.timestampEcho = readU32(frame, at + 6);
    } else if (kind === TCP_OPTION_SACK) {
      if (length < 10 || (length - 2) % 8 !== 0 || length > 34) return false;
      view.sackCount = (length - 2) >>> 3;
      for (let i = 0; i < view.sackCount * 2; i++) view.sackEdges[i] = readU32(frame, at + 2 + i * 4);
    }
    at += length;
  }
  return true;
}

/** Length in bytes of the emitted options, padded to a multiple of 4. */
export function tcpOptionsLength(options: TcpOptions): number {
  let length = 0;
  if (options.maxSegmentSize !== undefined) length += 4;
  if (options.timestamps) length += 12;
  else if (options.sackPermitted) length += 4;
  if (options.windowScale !== undefined) length += 4;
  const blocks = fittingSackBlocks(options, length);
  return blocks === 0 ? length : length + 4 + blocks * 8;
}

// 40 bytes of options hold four SACK blocks, three beside timestamps (RFC 2018 3).
function fittingSackBlocks(options: TcpOptions, used: number): number {
  const wanted = options.sackBlocks?.length ?? 0;
  return wanted === 0 ? 0 : Math.max(0, Math.min(wanted, (40 - used - 4) >>> 3));
}

/**
 * Writes the options in the order and alignment Linux uses (MSS, SACK permitted + timestamps, window scale,
 * SACK), padded with NOPs; SACK blocks past 40 bytes are left out. Returns the bytes written.
 */
export function emitTcpOptions(options: TcpOptions, frame: Uint8Array, offset: number): number {
  let at = offset;
  if (options.maxSegmentSize !== undefined) {
    frame[at] = TCP_OPTION_MSS;
    frame[at + 1] = 4;
    writeU16(frame, at + 2, options.maxSegmentSize);
    at += 4;
  }
  if (options.sackPermitted) {
    if (!options.timestamps) {
      frame[at++] = TCP_OPTION_NOP;
      frame[at++] = TCP_OPTION_NOP;
    }
    frame[at++] = TCP_OPTION_SACK_PERMITTED;
    frame[at++] = 2;
  } else if (options.timestamps) {
    frame[at++] = TCP_OPTION_NOP;
    frame[at++] = TCP_OPTION_NOP;
  }
  if (options.timestamps) {
    frame[at] = TCP_OPTION_TIMESTAMPS;
    frame[at + 1] = 10;
    writeU32(frame, at + 2, options.timestamps.value);
    writeU32(frame, at + 6, options.timestamps.echo);
    at += 10;
  }
  if (options.windowScale !== undefined) {
    frame[at] = TCP_OPTION_NOP;
    frame[at + 1] = TCP_OPTION_WINDOW_SCALE;
    frame[at + 2] = 3;
    frame[at + 3] = options.windowScale;
    at += 4;
  }
  const blocks = fittingSackBlocks(options, at - offset);
  if (blocks > 0 && options.sackBlocks) {
    frame[at] = TCP_OPTION_NOP;
    frame[at + 1] = TCP_OPTION_NOP;
    frame[at + 2] = TCP_OPTION_SACK;
    frame[at + 3] = 2 + blocks * 8;
    at += 4;
    for (let i = 0; i < blocks; i++) {
      writeU32(frame, at, options.sackBlocks[i].left);
      writeU32(frame, at + 4, options.sackBlocks[i].right);
      at += 8;
    }
  }
  return at - offset;
}

/** Parses the header of the segment in [offset, end); undefined also when an option is malformed. */
export function parseTcp(frame: Uint8Array, offset: number, end: number): TcpHeader | undefined {
  if (end > frame.length || end - offset < TCP_MINIMUM_HEADER_LENGTH) return undefined;
  const headerLength = getTcpHeaderLength(frame, offset);
  if (headerLength < TCP_MINIMUM_HEADER_LENGTH || headerLength > end - offset) return undefined;
  const view = createTcpOptionView();
  if (!readTcpOptions(frame, offset + TCP_MINIMUM_HEADER_LENGTH, offset + headerLength, view))
    return undefined;
  const options: TcpOptions = {};
  if (view.hasMaxSegmentSize) options.maxSegmentSize = view.maxSegmentSize;
  if (view.hasWindowScale) options.windowScale = view.windowScale;
  if (view.sackPermitted) options.sackPermitted = true;
  if (view.hasTimestamps) options.timestamps = { value: view.timestampValue, echo: view.timestampEcho };
  if (view.sackCount > 0) {
    options.sackBlocks = [];
    for (let i = 0; i < view.sackCount; i++) {
      options.sackBlocks.push({ left: view.sackEdges[i * 2], right: view.sackEdges[i * 2 + 1] });
    }
  }
  return {
    srcPort: getTcpSrcPort(frame, offset),
    dstPort: getTcpDstPort(frame, offset),
    sequence: getTcpSequence(frame, offset),
    acknowledgment: getTcpAcknowledgment(frame, offset),
    flags: getTcpFlags(frame, offset),
    window: getTcpWindow(frame, offset),
    checksum: getTcpChecksum(frame, offset),
    urgentPointer: getTcpUrgentPointer(frame, offset),
    options,
  };
}

export function emitTcp(header: TcpHeader, frame: Uint8Array, offset: number): number {
  const headerLength =
    TCP_MINIMUM_HEADER_LENGTH + emitTcpOptions(header.options, frame, offset + TCP_MINIMUM_HEADER_LENGTH);
  setTcpSrcPort(frame, offset, header.srcPort);
  setTcpDstPort(frame, offset, header.dstPort);
  setTcpSequence(frame, offset, header.sequence);
  setTcpAcknowledgment(frame, offset, header.acknowledgment);
  setTcpHeaderLength(frame, offset, headerLength);
  setTcpFlags(frame, offset, header.flags);
  setTcpWindow(frame, offset, header.window);
  setTcpChecksum(frame, offset, header.checksum);
  setTcpUrgentPointer(frame, offset, header.urgentPointer);
  return headerLength;
}
