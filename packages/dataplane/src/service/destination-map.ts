/**
 * Where a packet goes to -> what is known about it: the kernel's maps keyed `{daddr . proto . dport}`, and sets of
 * addresses that several services may share. One map holds one IP family. Asking allocates nothing.
 */

import { type Words, wordsOf } from '../address-words.ts';
import { WordMap } from '../word-map.ts';

/** Stands for "any address" in maps keyed by protocol and port alone. */
export const ANY_ADDRESS: Readonly<Record<4 | 6, Words>> = { 4: [0, 0, 0xffff, 0], 6: [0, 0, 0, 0] };

export class DestinationMap<T> {
  readonly #isV4: boolean;
  readonly #index: WordMap;
  readonly #values: (T | undefined)[] = [];
  readonly #free: number[] = [];

  constructor(version: 4 | 6) {
    this.#isV4 = version === 4;
    this.#index = new WordMap(version === 4 ? 3 : 6);
  }

  get size(): number {
    return this.#index.size;
  }

  /** The value for signed address words, protocol and port. */
  find(w0: number, w1: number, w2: number, w3: number, protocol: number, port: number): T | undefined {
    this.#stage(w0, w1, w2, w3, protocol, port);
    const index = this.#index.find();
    return index < 0 ? undefined : this.#values[index];
  }

  /** Adds or replaces. */
  set(words: Words, protocol: number, port: number, value: T): void {
    this.#stage(words[0], words[1], words[2], words[3], protocol, port);
    let index = this.#index.find();
    if (index < 0) {
      index = this.#free.pop() ?? this.#values.length;
      this.#index.set(index);
    }
    this.#values[index] = value;
  }

  /** Removes an entry, unless another value took its place. */
  delete(words: Words, protocol: number, port: number, value: T): void {
    this.#stage(words[0], words[1], words[2], words[3], protocol, port);
    const index = this.#index.find();
    if (index < 0 || this.#values[index] !== value) return;
    this.#index.delete();
    this.#values[index] = undefined;
    this.#free.push(index);
  }

  /** In the order of their places, which is mostly that in which they came. */
  *values(): IterableIterator<T> {
    for (const value of this.#values) if (value !== undefined) yield value;
  }

  #stage(w0: number, w1: number, w2: number, w3: number, protocol: number, port: number): void {
    const key = this.#index.key;
    if (this.#isV4) {
      key[0] = w3;
      key[1] = port;
      key[2] = protocol;
      return;
    }
    key[0] = w0;
    key[1] = w1;
    key[2] = w2;
    key[3] = w3;
    key[4] = port;
    key[5] = protocol;
  }
}

/** A set of addresses of both families in which each is held as often as it was added. */
export class CountedAddresses {
  readonly #map = new WordMap(4);
  readonly #counts = new Map<string, number>();

  add(address: string): void {
    const count = (this.#counts.get(address) ?? 0) + 1;
    this.#counts.set(address, count);
    if (count > 1) return;
    this.#map.key.set(wordsOf(address));
    this.#map.set(1);
  }

  remove(address: string): void {
    const count = (this.#counts.get(address) ?? 0) - 1;
    if (count > 0) {
      this.#counts.set(address, count);
      return;
    }
    if (!this.#counts.delete(address)) return;
    this.#map.key.set(wordsOf(address));
    this.#map.delete();
  }

  has(w0: number, w1: number, w2: number, w3: number): boolean {
    const key = this.#map.key;
    key[0] = w0;
    key[1] = w1;
    key[2] = w2;
    key[3] = w3;
    return this.#map.find() >= 0;
  }

  addresses(): string[] {
    return [...this.#counts.keys()];
  }
}
