/**
 * Reassembly of IPv4 (RFC 791 3.2) and IPv6 (RFC 8200 4.5) fragments. Memory is bounded: so many packets, so
 * many pieces each, so long; overlapping fragments end a packet (RFC 5722, taken for IPv4 too).
 */
import { readU16, readU32 } from '@podwire/wire/big-endian';
import { fillIpv4Checksum } from '@podwire/wire/ipv4';
import type { Packet } from '@podwire/wire/packet';
import { addressOfWords, type IpAddress, writeAddress } from './ip-address.ts';
import type { Statistics } from './statistics.ts';

const L3 = 14;
const PACKET_LIMIT = 64;
const PIECE_LIMIT = 256;
const TOTAL_BYTES_LIMIT = 2 << 20;
/** RFC 8200 says 60 s, Linux takes 30 s for IPv4 and 60 s for IPv6. */
const LIFETIME_MS = 30_000;
const MAXIMUM_LENGTH = 65_535;

interface Piece {
  start: number;
  end: number;
  bytes: Uint8Array;
}

interface Partial {
  pieces: Piece[];
  held: number;
  /** Length of the whole, -1 until the last fragment is here. */
  total: number;
  expiresMs: number;
  source: IpAddress;
  destination: IpAddress;
  protocol: number;
  ttl: number;
}

export class Reassembly {
  readonly #partials = new Map<string, Partial>();
  readonly #statistics: Statistics;
  #bytes = 0;

  constructor(statistics: Statistics) {
    this.#statistics = statistics;
  }

  get size(): number {
    return this.#partials.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes the fragment in `packet`. Gives the frame of the whole packet once its last piece is here: an
   * Ethernet frame with a plain IP header, owned by the caller.
   */
  add(packet: Packet, nowMs: number): Uint8Array | undefined {
    this.#expire(nowMs);
    const frame = packet.frame;
    const l3 = packet.l3;
    let start: number;
    let identification: number;
    let protocol: number;
    if (packet.version === 4) {
      start = l3 + packet.headerLength;
      identification = readU16(frame, l3 + 4);
      protocol = packet.protocol;
    } else {
      const fragmentHeader = findFragmentHeader(frame, l3, l3 + packet.totalLength);
      if (fragmentHeader < 0) return undefined;
      start = fragmentHeader + 8;
      identification = readU32(frame, fragmentHeader + 4);
      protocol = frame[fragmentHeader];
    }
    const end = l3 + packet.totalLength;
    const at = packet.fragmentOffset;
    const length = end - start;
    if (length <= 0 || at + length > MAXIMUM_LENGTH - 40) return this.#fail();
    // Every fragment but the last carries a multiple of 8 bytes.
    if (packet.moreFragments && (length & 7) !== 0) return this.#fail();

    const key = `${packet.version},${packet.src0},${packet.src1},${packet.src2},${packet.src3},${packet.dst0},${packet.dst1},${packet.dst2},${packet.dst3},${identification},${packet.version === 4 ? protocol : 0}`;
    let partial = this.#partials.get(key);
    if (partial === undefined) {
      this.#makeRoom(length);
      partial = {
        pieces: [],
        held: 0,
        total: -1,
        expiresMs: nowMs + LIFETIME_MS,
        source: addressOfWords(packet.src0, packet.src1, packet.src2, packet.src3),
        destination: addressOfWords(packet.dst0, packet.dst1, packet.dst2, packet.dst3),
        protocol,
        ttl: packet.ttl,
      };
      this.#partials.set(key, partial);
    } else {
      this.#makeRoom(length, key);
    }
    if (at === 0) partial.protocol = protocol;
    const last = at + length;
    if (!packet.moreFragments) {
      if (partial.total >= 0 && partial.total !== last) return this.#discard(key, partial);
      partial.total = last;
    }
    const place = findPlace(partial.pieces, at, last);
    if (place === -1) return undefined;
    if (place === -2 || partial.pieces.length >= PIECE_LIMIT) return this.#discard(key, partial);
    partial.pieces.splice(place, 0, { start: at, end: last, bytes: frame.slice(start, end) });
    partial.held += length;
    this.#bytes += length;
    if (partial.total < 0) return undefined;
    if (partial.pieces[partial.pieces.length - 1].end > partial.total) return this.#discard(key, partial);
    if (partial.held < partial.total) return undefined;
    this.#drop(key, partial);
    this.#statistics.reassembled++;
    return assemble(partial, frame);
  }

  clear(): void {
    this.#partials.clear();
    this.#bytes = 0;
  }

  #expire(nowMs: number): void {
    // Insertion order is expiry order.
    for (const [key, partial] of this.#partials) {
      if (partial.expiresMs > nowMs) return;
      this.#discard(key, partial);
    }
  }

  #makeRoom(length: number, keep?: string): void {
    for (const [key, partial] of this.#partials) {
      const full = keep === undefined && this.#partials.size >= PACKET_LIMIT;
      if (!full && this.#bytes + length <= TOTAL_BYTES_LIMIT) return;
      if (key !== keep) this.#discard(key, partial);
    }
  }

  #fail(): undefined {
    this.#statistics.reassemblyFailures++;
    return undefined;
  }

  #discard(key: string, partial: Partial): undefined {
    this.#drop(key, partial);
    return this.#fail();
  }

  #drop(key: string, partial: Partial): void {
    this.#bytes -= partial.held;
    this.#partials.delete(key);
  }
}

// Where to insert [start, end): -1 when it is an exact repetition, -2 when it overlaps another piece.
function findPlace(pieces: readonly Piece[], start: number, end: number): number {
  let i = pieces.length;
  while (i > 0 && pieces[i - 1].start > start) i--;
  const previous = i > 0 ? pieces[i - 1] : undefined;
  if (previous !== undefined && previous.start === start && previous.end === end) return -1;
  if (previous !== undefined && previous.end > start) return -2;
  if (i < pieces.length && pieces[i].start < end) return -2;
  return i;
}

function assemble(partial: Partial, template: Uint8Array): Uint8Array {
  const v4 = partial.source.version === 4;
  const headerLength = v4 ? 20 : 40;
  const frame = new Uint8Array(L3 + headerLength + partial.total);
  frame.set(template.subarray(0, 14), 0);
  if (v4) {
    const totalLength = 20 + partial.total;
    frame[L3] = 0x45;
    frame[L3 + 2] = totalLength >>> 8;
    frame[L3 + 3] = totalLength;
    frame[L3 + 8] = partial.ttl;
    frame[L3 + 9] = partial.protocol;
    writeAddress(frame, L3 + 12, partial.source);
    writeAddress(frame, L3 + 16, partial.destination);
    fillIpv4Checksum(frame, L3);
  } else {
    frame[L3] = 0x60;
    frame[L3 + 4] = partial.total >>> 8;
    frame[L3 + 5] = partial.total;
    frame[L3 + 6] = partial.protocol;
    frame[L3 + 7] = partial.ttl;
    writeAddress(frame, L3 + 8, partial.source);
    writeAddress(frame, L3 + 24, partial.destination);
  }
  for (const piece of partial.pieces) frame.set(piece.bytes, L3 + headerLength + piece.start);
  return frame;
}

// The packet is decoded, so its extension headers are known to be sound up to the fragment header.
function findFragmentHeader(frame: Uint8Array, l3: number, end: number): number {
  let protocol = frame[l3 + 6];
  let at = l3 + 40;
  for (let count = 0; count < 8 && at + 8 <= end; count++) {
    if (protocol === 44) return at;
    if (protocol !== 0 && protocol !== 43 && protocol !== 60 && protocol !== 135) return -1;
    protocol = frame[at];
    at += (frame[at + 1] + 1) * 8;
  }
  return -1;
}
