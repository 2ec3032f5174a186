/**
 * Numbers 0…size-1 handed out one at a time. The first `staticBand` of them are left to callers who ask for a certain number, as
 * long as there are others: a Service with a fixed address then seldom finds it taken.
 * Source: pkg/registry/core/service/allocator (KEP-3070, KEP-3668).
 */
export class AllocationPool {
  readonly size: number;
  readonly #staticBand: number;
  readonly #random32: () => number;
  readonly #used = new Set<number>();

  constructor(options: { size: number; staticBand: number; random32: () => number }) {
    this.size = options.size;
    this.#staticBand = options.staticBand;
    this.#random32 = options.random32;
  }

  get free(): number {
    return this.size - this.#used.size;
  }

  has(number: number): boolean {
    return this.#used.has(number);
  }

  /** False when the number is taken. */
  allocate(number: number): boolean {
    if (this.#used.has(number)) return false;
    this.#used.add(number);
    return true;
  }

  /** A random free number, from the static band only when nothing else is left; -1 when the pool is full. */
  allocateNext(): number {
    let number = this.#randomFree(this.#staticBand, this.size);
    if (number < 0) number = this.#randomFree(0, this.#staticBand);
    if (number >= 0) this.#used.add(number);
    return number;
  }

  release(number: number): void {
    this.#used.delete(number);
  }

  #randomFree(first: number, end: number): number {
    const count = end - first;
    if (count <= 0 || this.free === 0) return -1;
    const start = this.#random32() % count;
    for (let i = 0; i < count; i++) {
      const number = first + ((start + i) % count);
      if (!this.#used.has(number)) return number;
    }
    return -1;
  }
}

/** Size of the static band: `min(max(least, size / step), most)`, and 0 for a pool no larger than the least band. */
export function staticBandSize(size: number, least: number, most: number, step: number): number {
  if (size <= least) return 0;
  return Math.min(Math.max(least, Math.floor(size / step)), most);
}
