/**
 * The bytes a connection has taken from its writer and not yet got acknowledged, in fixed slabs: any sequence
 * number is found by a shift, and slabs go back to a pool so that bulk transfer makes no garbage.
 */
import { copyRange } from '../byte-copy.ts';

const SLAB_SHIFT = 14;
const SLAB_BYTES = 1 << SLAB_SHIFT;
const SLAB_MASK = SLAB_BYTES - 1;
/** As many as one connection's send buffer needs: an idle stack keeps no more. */
const POOL_LIMIT = 36;

/** Free slabs of one stack. */
export class SlabPool {
  readonly #free: Uint8Array[] = [];

  take(): Uint8Array {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  give(slab: Uint8Array): void {
    if (this.#free.length < POOL_LIMIT) this.#free.push(slab);
  }
}

export class SendQueue {
  readonly #pool: SlabPool;
  readonly #slabs: Uint8Array[] = [];
  /** Offset of the first byte in the first slab. */
  #head = 0;
  #length = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  get length(): number {
    return this.#length;
  }

  /** Copies chunk[start, end) to the end of the queue. */
  append(chunk: Uint8Array, start: number, end: number): void {
    let tail = this.#head + this.#length;
    this.#length += end - start;
    while (start < end) {
      const index = tail >> SLAB_SHIFT;
      const offset = tail & SLAB_MASK;
      if (index === this.#slabs.length) this.#slabs.push(this.#pool.take());
      const size = Math.min(SLAB_BYTES - offset, end - start);
      copyRange(chunk, start, start + size, this.#slabs[index], offset);
      start += size;
      tail += size;
    }
  }

  /** Copies `length` bytes from the place `position` (0 is the first byte of the queue) to out[at…]. */
  copy(position: number, length: number, out: Uint8Array, at: number): void {
    let from = this.#head + position;
    while (length > 0) {
      const offset = from & SLAB_MASK;
      const size = Math.min(SLAB_BYTES - offset, length);
      copyRange(this.#slabs[from >> SLAB_SHIFT], offset, offset + size, out, at);
      from += size;
      at += size;
      length -= size;
    }
  }

  /** Forgets the first `count` bytes. */
  drop(count: number): void {
    this.#length -= count;
    let head = this.#head + count;
    if (this.#length === 0) {
      this.clear();
      return;
    }
    while (head >= SLAB_BYTES) {
      this.#pool.give(this.#slabs.shift()!);
      head -= SLAB_BYTES;
    }
    this.#head = head;
  }

  clear(): void {
    for (const slab of this.#slabs) this.#pool.give(slab);
    this.#slabs.length = 0;
    this.#head = 0;
    this.#length = 0;
  }
}
