/** A received TCP segment, decoded into one reused object; sequence numbers are int32. */
import type { Packet } from '@podwire/wire/packet';
import { createTcpOptionView, readTcpOptions, type TcpOptionView } from '@podwire/wire/tcp';
import { readI32 } from '../ip-address.ts';

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export interface Segment {
  frame: Uint8Array;
  seq: number;
  ack: number;
  flags: number;
  /** Unscaled. */
  window: number;
  /** The payload is frame[start, end). */
  start: number;
  end: number;
  hasTimestamps: boolean;
  timestampValue: number;
  timestampEcho: number;
  /** Valid when the segment carries options other than timestamps; see `fullOptions`. */
  readonly options: TcpOptionView;
  fullOptions: boolean;
}

const NO_FRAME = new Uint8Array(0);

export function newSegment(): Segment {
  return {
    frame: NO_FRAME,
    seq: 0,
    ack: 0,
    flags: 0,
    window: 0,
    start: 0,
    end: 0,
    hasTimestamps: false,
    timestampValue: 0,
    timestampEcho: 0,
    options: createTcpOptionView(),
    fullOptions: false,
  };
}

/** Reads the segment of a decoded packet. */
export function readSegment(packet: Packet, s: Segment): void {
  const frame = packet.frame;
  const l4 = packet.l4;
  s.frame = frame;
  s.seq = readI32(frame, l4 + 4);
  s.ack = readI32(frame, l4 + 8);
  s.flags = frame[l4 + 13];
  s.window = (frame[l4 + 14] << 8) | frame[l4 + 15];
  s.start = packet.payload;
  s.end = packet.end;
  s.fullOptions = false;
  s.hasTimestamps = false;
  const optionBytes = packet.payload - l4 - 20;
  if (optionBytes === 0) return;
  // RFC 7323 appendix A: the layout that nearly every segment of a connection with timestamps has.
  if (optionBytes === 12 && readI32(frame, l4 + 20) === 0x0101080a) {
    s.hasTimestamps = true;
    s.timestampValue = readI32(frame, l4 + 24);
    s.timestampEcho = readI32(frame, l4 + 28);
    return;
  }
  const options = s.options;
  readTcpOptions(frame, l4 + 20, packet.payload, options);
  s.fullOptions = true;
  s.hasTimestamps = options.hasTimestamps;
  if (options.hasTimestamps) {
    s.timestampValue = options.timestampValue | 0;
    s.timestampEcho = options.timestampEcho | 0;
  }
}

/** Sequence space of the segment: payload, SYN and FIN. */
export function segmentLength(s: Segment): number {
  return s.end - s.start + (s.flags & FIN) + ((s.flags & SYN) >> 1);
}
