/**
 * A first-in first-out queue of frames. Frames are copied in, because who hands one over uses its buffer again at once;
 * the buffers are used again, last in first out, so a busy queue allocates nothing and a short one stays in the cache.
 */

/** Where a frame comes from, seen from the pipeline. */
export const FROM_POD = 0;
export const FROM_HOST = 1;

/** Every buffer has at least this size; a longer frame gets a longer one. */
const BUFFER_BYTES = 2048;

/** Buffers kept when the queue is short again. */
const MAX_SPARE = 512;

const NOTHING = new Uint8Array(0);

export class FrameRing {
  readonly #capacity: number;
  readonly #buffers: Uint8Array[] = [];
  readonly #spare: Uint8Array[] = [];
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
    let buffer = this.#spare.pop();
    if (buffer === undefined || buffer.length < frame.length) {
      buffer = new Uint8Array(Math.max(BUFFER_BYTES, frame.length));
    }
    buffer.set(frame);
    this.#buffers[slot] = buffer;
    this.#lengths[slot] = frame.length;
    this.#origins[slot] = origin;
    this.#endpoints[slot] = endpointId;
    this.#hops[slot] = hops;
    this.#size += 1;
    return true;
  }

  // The oldest frame; valid until `drop`.
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
    if (this.#spare.length < MAX_SPARE) this.#spare.push(this.#buffers[this.#head]!);
    this.#buffers[this.#head] = NOTHING;
    this.#head = (this.#head + 1) & (this.#capacity - 1);
    this.#size -= 1;
  }
}
