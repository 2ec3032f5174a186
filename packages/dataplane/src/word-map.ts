/**
 * A hash table from a fixed number of 32-bit words to a non-negative integer, over typed arrays: open addressing
 * with linear probing, removal by shifting back, load at most one half. Looking up, adding and removing allocate
 * nothing; only doubling does. The caller writes the key into `key` and then calls a method:
 *
 *     map.key[0] = address; map.key[1] = port;
 *     const value = map.find();
 */

const EMPTY = -1;

export class WordMap {
  /** Staging area of the key for the next call. Signed words. */
  readonly key: Int32Array;
  readonly #width: number;
  readonly #seed: number;
  #keys: Int32Array;
  #values: Int32Array;
  #mask: number;
  #size = 0;

  /** @param width words in a key, at most 12; @param seed perturbs the hash, so that outsiders cannot aim at one slot */
  constructor(width: number, initialCapacity = 16, seed = 0) {
    let slots = 16;
    while (slots < initialCapacity * 2) slots *= 2;
    this.#width = width;
    this.#seed = seed | 0;
    this.key = new Int32Array(width);
    this.#keys = new Int32Array(slots * width);
    this.#values = new Int32Array(slots).fill(EMPTY);
    this.#mask = slots - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes held by the table. */
  get byteLength(): number {
    return this.#keys.byteLength + this.#values.byteLength;
  }

  /** The value of `key`, or -1. */
  find(): number {
    return this.#values[this.#slotOf(this.key, 0)];
  }

  /** Sets the value (>= 0) of `key`, replacing an earlier one. */
  set(value: number): void {
    let slot = this.#slotOf(this.key, 0);
    if (this.#values[slot] === EMPTY) {
      if ((this.#size + 1) * 2 > this.#values.length) {
        this.#grow();
        slot = this.#slotOf(this.key, 0);
      }
      this.#size++;
      const base = slot * this.#width;
      for (let i = 0; i < this.#width; i++) this.#keys[base + i] = this.key[i];
    }
    this.#values[slot] = value;
  }

  /** Removes `key`; false when it was not there. */
  delete(): boolean {
    const slot = this.#slotOf(this.key, 0);
    if (this.#values[slot] === EMPTY) return false;
    this.#size--;
    this.#closeGap(slot);
    return true;
  }

  clear(): void {
    this.#values.fill(EMPTY);
    this.#size = 0;
  }

  // Moves back each later member of the probe run whose home lies at or before the hole (Knuth 6.4, algorithm R).
  #closeGap(hole: number): void {
    const mask = this.#mask;
    const values = this.#values;
    const keys = this.#keys;
    const width = this.#width;
    let slot = hole;
    for (;;) {
      slot = (slot + 1) & mask;
      if (values[slot] === EMPTY) break;
      const home = this.#hash(keys, slot * width) & mask;
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        values[hole] = values[slot];
        const to = hole * width;
        const from = slot * width;
        for (let i = 0; i < width; i++) keys[to + i] = keys[from + i];
        hole = slot;
      }
    }
    values[hole] = EMPTY;
  }

  #slotOf(words: Int32Array, base: number): number {
    const mask = this.#mask;
    const values = this.#values;
    const keys = this.#keys;
    const width = this.#width;
    let slot = this.#hash(words, base) & mask;
    while (values[slot] !== EMPTY) {
      const at = slot * width;
      let i = width - 1;
      while (i >= 0 && keys[at + i] === words[base + i]) i--;
      if (i < 0) return slot;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  // A sum of products by independent odd constants, then a finalizer (xxHash's): the multiplications do not wait for
  // each other. The narrow keys of IPv4 are spelled out; the rest is a loop.
  #hash(words: Int32Array, base: number): number {
    let hash = this.#seed;
    // Each sum is cut to 32 bits at once: a larger one would be a number on the heap.
    switch (this.#width) {
      case 1:
        hash = Math.imul(words[base] ^ hash, 0x9e3779b1);
        break;
      case 3:
        hash = (Math.imul(words[base] ^ hash, 0x9e3779b1) + Math.imul(words[base + 1], 0x85ebca77)) | 0;
        hash = (hash + Math.imul(words[base + 2], 0xc2b2ae3d)) | 0;
        break;
      case 4: {
        const first =
          (Math.imul(words[base] ^ hash, 0x9e3779b1) + Math.imul(words[base + 1], 0x85ebca77)) | 0;
        const second = (Math.imul(words[base + 2], 0xc2b2ae3d) + Math.imul(words[base + 3], 0x27d4eb2f)) | 0;
        hash = (first + second) | 0;
        break;
      }
      default: {
        const multipliers = MULTIPLIERS;
        for (let i = 0; i < this.#width; i++) hash = (hash + Math.imul(words[base + i], multipliers[i])) | 0;
      }
    }
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca77);
    return hash ^ (hash >>> 13);
  }

  #grow(): void {
    const oldKeys = this.#keys;
    const oldValues = this.#values;
    const width = this.#width;
    const slots = oldValues.length * 2;
    this.#keys = new Int32Array(slots * width);
    this.#values = new Int32Array(slots).fill(EMPTY);
    this.#mask = slots - 1;
    for (let old = 0; old < oldValues.length; old++) {
      if (oldValues[old] === EMPTY) continue;
      const slot = this.#slotOf(oldKeys, old * width);
      this.#values[slot] = oldValues[old];
      for (let i = 0; i < width; i++) this.#keys[slot * width + i] = oldKeys[old * width + i];
    }
  }
}

// Odd words without a pattern, one for each place of a wide key.
const MULTIPLIERS = new Int32Array([
  0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1, 0xd6e8feb9, 0xcc9e2d51, 0x1b873593, 0xe6546b65,
  0x2127599b, 0x6c8e9cf5, 0x3c6ef373,
]);
