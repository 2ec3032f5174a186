/**
 * What a connection has received: in-order bytes that wait for the reader, and ranges beyond a gap. Each
 * payload is copied once, out of the frame; runs of in-order segments come out as one Buffer.
 */
import { copyRange } from '../byte-copy.ts';
import { after, before, distance } from './sequence.ts';

const FIRST_SLAB_BYTES = 4096;
const LAST_SLAB_BYTES = 65_536;
/** Pieces beyond gaps that may be held, so that many tiny segments cannot pin memory beyond the window. */
const PIECE_LIMIT = 1024;
/** RFC 2018 3: with timestamps, three blocks fit in the header. */
const SACK_LIMIT = 4;

interface Range {
  start: number;
  end: number;
  pieces: Buffer[];
  /** When it last grew, for the order of SACK blocks. */
  touched: number;
}

export class ReceiveQueue {
  #slab: Buffer | undefined;
  #slabBytes = FIRST_SLAB_BYTES;
  #runStart = 0;
  #runEnd = 0;
  readonly #ready: Buffer[] = [];
  #readyAt = 0;
  #bytes = 0;
  readonly #ranges: Range[] = [];
  #pieceCount = 0;
  #touches = 0;

  /** In-order bytes not yet read. */
  get bytes(): number {
    return this.#bytes;
  }

  get hasGaps(): boolean {
    return this.#ranges.length > 0;
  }

  /** Takes in-order bytes frame[start, end). */
  append(frame: Uint8Array, start: number, end: number): void {
    this.#bytes += end - start;
    while (start < end) {
      let slab = this.#slab;
      if (slab === undefined || this.#runEnd === slab.length) {
        this.#closeRun();
        const size = this.#slabBytes;
        slab = this.#slab = Buffer.allocUnsafeSlow(size);
        this.#slabBytes = Math.min(LAST_SLAB_BYTES, size * 4);
        this.#runStart = this.#runEnd = 0;
      }
      const size = Math.min(end - start, slab.length - this.#runEnd);
      copyRange(frame, start, start + size, slab, this.#runEnd);
      this.#runEnd += size;
      start += size;
    }
  }

  /** The next bytes for the reader, undefined when there are none. */
  read(): Buffer | undefined {
    if (this.#readyAt === this.#ready.length) this.#closeRun();
    if (this.#readyAt === this.#ready.length) return undefined;
    const chunk = this.#ready[this.#readyAt];
    this.#readyAt++;
    if (this.#readyAt === this.#ready.length) {
      this.#ready.length = 0;
      this.#readyAt = 0;
    }
    this.#bytes -= chunk.length;
    return chunk;
  }

  /**
   * Keeps frame[start, end), which begins at sequence number `seq` beyond a gap. False when it was dropped
   * because too many pieces are held.
   */
  hold(seq: number, frame: Uint8Array, start: number, end: number): boolean {
    const ranges = this.#ranges;
    const endSeq = (seq + end - start) | 0;
    let at = seq;
    let i = 0;
    while (i < ranges.length && before(ranges[i].end, seq)) i++;
    this.#touches++;
    // Each turn takes what lies before range i, or steps over what range i already has.
    while (before(at, endSeq)) {
      const range = i < ranges.length ? ranges[i] : undefined;
      if (range !== undefined && !before(at, range.start) && !after(at, range.end)) {
        // Starts in, or right behind, the range: the rest up to the next range extends it.
        const next = i + 1 < ranges.length ? ranges[i + 1] : undefined;
        range.touched = this.#touches;
        if (before(at, range.end)) at = range.end;
        const stop = next !== undefined && after(endSeq, next.start) ? next.start : endSeq;
        if (after(stop, at)) {
          if (!this.#addPiece(range, seq, at, stop, frame, start)) return false;
          range.end = stop;
          at = stop;
        }
        if (next !== undefined && range.end === next.start) this.#merge(i);
        else if (!before(at, endSeq)) break;
        else i++;
        continue;
      }
      const stop = range !== undefined && after(endSeq, range.start) ? range.start : endSeq;
      const fresh: Range = { start: at, end: stop, pieces: [], touched: this.#touches };
      if (!this.#addPiece(fresh, seq, at, stop, frame, start)) return false;
      ranges.splice(i, 0, fresh);
      at = stop;
      if (range !== undefined && stop === range.start) this.#merge(i);
    }
    return true;
  }

  /** Moves held ranges that `next` has reached to the in-order bytes; gives the new next sequence number. */
  advance(next: number): number {
    const ranges = this.#ranges;
    while (ranges.length > 0 && !after(ranges[0].start, next)) {
      const range = ranges.shift()!;
      this.#pieceCount -= range.pieces.length;
      let skip = distance(next, range.start);
      if (!after(range.end, next)) continue;
      next = range.end;
      this.#closeRun();
      for (const piece of range.pieces) {
        if (skip >= piece.length) {
          skip -= piece.length;
          continue;
        }
        const rest = skip > 0 ? piece.subarray(skip) : piece;
        skip = 0;
        this.#bytes += rest.length;
        this.#ready.push(rest);
      }
    }
    return next;
  }

  /**
   * Writes the edges of the held ranges into `edges` as left, right, …: the one that grew last first, as
   * RFC 2018 4 asks. Gives the number of blocks.
   */
  sackBlocks(edges: Int32Array, limit: number): number {
    const ranges = this.#ranges;
    const count = Math.min(limit, SACK_LIMIT, ranges.length);
    let bound = Infinity;
    for (let k = 0; k < count; k++) {
      let best: Range | undefined;
      for (const range of ranges) {
        if (range.touched < bound && (best === undefined || range.touched > best.touched)) best = range;
      }
      if (best === undefined) return k;
      bound = best.touched;
      edges[2 * k] = best.start;
      edges[2 * k + 1] = best.end;
    }
    return count;
  }

  clear(): void {
    this.#slab = undefined;
    this.#ready.length = 0;
    this.#readyAt = 0;
    this.#bytes = 0;
    this.#runStart = this.#runEnd = 0;
    this.#ranges.length = 0;
    this.#pieceCount = 0;
  }

  #closeRun(): void {
    if (this.#slab === undefined || this.#runEnd === this.#runStart) return;
    this.#ready.push(this.#slab.subarray(this.#runStart, this.#runEnd));
    this.#runStart = this.#runEnd;
  }

  #addPiece(range: Range, seq: number, from: number, to: number, frame: Uint8Array, start: number): boolean {
    if (this.#pieceCount >= PIECE_LIMIT) return false;
    const offset = start + distance(from, seq);
    const size = distance(to, from);
    const piece = Buffer.allocUnsafeSlow(size);
    piece.set(frame.subarray(offset, offset + size));
    range.pieces.push(piece);
    this.#pieceCount++;
    return true;
  }

  #merge(i: number): void {
    const range = this.#ranges[i];
    const next = this.#ranges[i + 1];
    for (const piece of next.pieces) range.pieces.push(piece);
    range.end = next.end;
    range.touched = Math.max(range.touched, next.touched);
    this.#ranges.splice(i + 1, 1);
  }
}
