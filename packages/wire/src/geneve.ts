/**
 * Geneve header and options (RFC 8926 3.4, 3.5).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---+-----------+-+-+-----------+-------------------------------+
 *    |Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
 *    +---+-----------+-+-+-----------+---------------+---------------+
 *    |        Virtual Network Identifier (VNI)       |    Reserved   |
 *    +-----------------------------------------------+---------------+
 *    |                    Variable-Length Options                    |
 *    +-------------------------------+---------------+-----+---------+
 *    |          Option Class         |C|    Type     |R|R|R| Length  |
 *    +-------------------------------+---------------+-----+---------+
 */
import { readU16, readU24, writeU16, writeU24 } from './big-endian.ts';

export const GENEVE_HEADER_LENGTH = 8;
/** IANA port (RFC 8926 3.3). */
export const GENEVE_PORT = 6081;
/** Bit of an option's type: a receiver that does not know it must drop the packet (RFC 8926 3.5). */
export const GENEVE_OPTION_CRITICAL = 0x80;

const LENGTH_UNIT = 4;
const PROTOCOL = 2;
const VNI = 4;

/** `data` is a multiple of 4 bytes, at most 124; `type` includes the critical bit. */
export interface GeneveOption {
  optionClass: number;
  type: number;
  data: Uint8Array;
}

/** `control` is the O bit; the C bit is set when an option is critical. `protocol` is an EtherType. */
export interface GeneveHeader {
  control: boolean;
  protocol: number;
  vni: number;
  options: GeneveOption[];
}

/** Fixed header and options, bytes. */
export function getGeneveHeaderLength(frame: Uint8Array, offset: number): number {
  return GENEVE_HEADER_LENGTH + (frame[offset] & 0x3f) * LENGTH_UNIT;
}
export function getGeneveProtocol(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + PROTOCOL);
}
export function getGeneveVni(frame: Uint8Array, offset: number): number {
  return readU24(frame, offset + VNI);
}
export function setGeneveVni(frame: Uint8Array, offset: number, vni: number): void {
  writeU24(frame, offset + VNI, vni);
}

/** Whether [offset, end) starts with a version 0 Geneve header with all of its options. */
export function isGeneve(frame: Uint8Array, offset: number, end: number): boolean {
  return (
    end <= frame.length &&
    end - offset >= GENEVE_HEADER_LENGTH &&
    frame[offset] >>> 6 === 0 &&
    getGeneveHeaderLength(frame, offset) <= end - offset
  );
}

/** Parses header and options; undefined for another version, cut options, or option lengths that disagree. */
export function parseGeneve(frame: Uint8Array, offset: number, end: number): GeneveHeader | undefined {
  if (!isGeneve(frame, offset, end)) return undefined;
  const options: GeneveOption[] = [];
  const optionsEnd = offset + getGeneveHeaderLength(frame, offset);
  let at = offset + GENEVE_HEADER_LENGTH;
  while (at < optionsEnd) {
    const dataEnd = at + 4 + (frame[at + 3] & 0x1f) * LENGTH_UNIT;
    if (dataEnd > optionsEnd) return undefined;
    options.push({
      optionClass: readU16(frame, at),
      type: frame[at + 2],
      data: frame.subarray(at + 4, dataEnd),
    });
    at = dataEnd;
  }
  return {
    control: (frame[offset + 1] & 0x80) !== 0,
    protocol: getGeneveProtocol(frame, offset),
    vni: getGeneveVni(frame, offset),
    options,
  };
}

/** Writes header and options (together at most 252 bytes of options). */
export function emitGeneve(header: GeneveHeader, frame: Uint8Array, offset: number): number {
  let critical = false;
  let at = offset + GENEVE_HEADER_LENGTH;
  for (const option of header.options) {
    if ((option.type & GENEVE_OPTION_CRITICAL) !== 0) critical = true;
    writeU16(frame, at, option.optionClass);
    frame[at + 2] = option.type;
    frame[at + 3] = option.data.length / LENGTH_UNIT;
    frame.set(option.data, at + 4);
    at += 4 + option.data.length;
  }
  frame[offset] = (at - offset - GENEVE_HEADER_LENGTH) / LENGTH_UNIT;
  frame[offset + 1] = (header.control ? 0x80 : 0) | (critical ? 0x40 : 0);
  writeU16(frame, offset + PROTOCOL, header.protocol);
  writeU24(frame, offset + VNI, header.vni);
  frame[offset + 7] = 0;
  return at - offset;
}
