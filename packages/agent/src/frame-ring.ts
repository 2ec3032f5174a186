/**
 * A first-in first-out queue of frames. Frames are copied in, because who hands one over uses its buffer again at once;
 * the buffers are kept and used again, so a busy queue allocates nothing.
 */

/** Where a frame comes from, seen from the pipeline. */
export const FROM_POD = 0;
export const FROM_HOST = 1;

/** Slots start at this size; one that has to hold a longer frame grows. */
const SLOT_BYTES = 2048;

export class FrameRing {
  readonly #capacity: number;
  readonly #buffers: Uint8Array[] = [];
  readonly #lengths: Int32Array;
  readonly #origins: Uint8Array;
  readonly #endpoints: Int32Array;
  readonly #hops: Uint8Array;
  #head = 0;
  #size = 0;

  /** @param capacity number of frames, a power of two */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#lengths = new Int32Array(capacity);
    this.#origins = new Uint8Array(capacity);
    this.#endpoints = new Int32Array(capacity);
    this.#hops = new Uint8Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** Copies a frame in; false when the queue is full. */
  push(origin: number, endpointId: number, hops: number, frame: Uint8Array): boolean {
    if (this.#size === this.#capacity) return false;
    const slot = (this.#head + this.#size) & (this.#capacity - 1);
    let buffer = this.#buffers[slot];
    if (buffer === undefined || buffer.length < frame.length) {
      buffer = new Uint8Array(Math.max(SLOT_BYTES, frame.length));
      this.#buffers[slot] = buffer;
    }
    buffer.set(frame);
    this.#lengths[slot] = frame.length;
    this.#origins[slot] = origin;
    this.#endpoints[slot] = endpointId;
    this.#hops[slot] = hops;
    this.#size += 1;
    return true;
  }

  // The oldest frame; valid until the next push after `drop`.
  get buffer(): Uint8Array {
    return this.#buffers[this.#head]!;
  }
  get length(): number {
    return this.#lengths[this.#head]!;
  }
  get origin(): number {
    return this.#origins[this.#head]!;
  }
  get endpointId(): number {
    return this.#endpoints[this.#head]!;
  }
  get hops(): number {
    return this.#hops[this.#head]!;
  }

  /** Takes the oldest frame off the queue. */
  drop(): void {
    this.#head = (this.#head + 1) & (this.#capacity - 1);
    this.#size -= 1;
  }
}
