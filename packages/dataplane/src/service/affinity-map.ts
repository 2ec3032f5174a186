/**
 * cilium_lb4_affinity: which backend a client of a service was sent to, and when that was last used. A client is an
 * address, or for translation at sockets a network namespace. Bounded: when full, the next entry in turn makes room.
 * Asked for every packet of a service with affinity, and allocates nothing but when it grows.
 */

import { WordMap } from '../word-map.ts';

/** Reverse NAT index, kind of client, four words of client. */
const WIDTH = 6;
const KIND_ADDRESS = 0;
const KIND_NETNS = 1;

export class AffinityMap {
  readonly #capacity: number;
  readonly #index = new WordMap(WIDTH);
  #keys = new Int32Array(64 * WIDTH);
  #backends = new Int32Array(64);
  #lastUsedSeconds = new Float64Array(64);
  #used = 0;
  #turn = 0;

  constructor(capacity = 65_536) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#used;
  }

  /** Stages a client address for `find` and `update`. */
  ofAddress(reverseNat: number, w0: number, w1: number, w2: number, w3: number): void {
    this.#stage(reverseNat, KIND_ADDRESS, w0, w1, w2, w3);
  }

  /** Stages a network namespace. */
  ofNetns(reverseNat: number, cookie: number): void {
    this.#stage(reverseNat, KIND_NETNS, 0, 0, 0, cookie);
  }

  /** The staged client's backend, or 0; it is expired when last use + timeout <= now (C: lb.h). */
  find(timeoutSeconds: number, nowMs: number): number {
    const slot = this.#index.find();
    if (slot < 0 || this.#lastUsedSeconds[slot] + timeoutSeconds <= Math.floor(nowMs / 1000)) return 0;
    return this.#backends[slot];
  }

  /** Remembers, or refreshes, the staged client's backend. */
  update(backend: number, nowMs: number): void {
    let slot = this.#index.find();
    if (slot < 0) {
      slot = this.#allocate();
      this.#index.set(slot);
      for (let i = 0; i < WIDTH; i++) this.#keys[slot * WIDTH + i] = this.#index.key[i];
    }
    this.#backends[slot] = backend;
    this.#lastUsedSeconds[slot] = Math.floor(nowMs / 1000);
  }

  #stage(reverseNat: number, kind: number, w0: number, w1: number, w2: number, w3: number): void {
    const key = this.#index.key;
    key[0] = reverseNat;
    key[1] = kind;
    key[2] = w0;
    key[3] = w1;
    key[4] = w2;
    key[5] = w3;
  }

  // Keeps the staged key.
  #allocate(): number {
    if (this.#used < this.#capacity) {
      if (this.#used === this.#backends.length) this.#grow();
      return this.#used++;
    }
    const slot = this.#turn;
    this.#turn = (slot + 1) % this.#capacity;
    const key = this.#index.key;
    for (let i = 0; i < WIDTH; i++) {
      const wanted = key[i];
      key[i] = this.#keys[slot * WIDTH + i];
      this.#keys[slot * WIDTH + i] = wanted;
    }
    this.#index.delete();
    for (let i = 0; i < WIDTH; i++) key[i] = this.#keys[slot * WIDTH + i];
    return slot;
  }

  #grow(): void {
    const length = Math.min(this.#backends.length * 2, this.#capacity);
    const keys = new Int32Array(length * WIDTH);
    keys.set(this.#keys);
    this.#keys = keys;
    const backends = new Int32Array(length);
    backends.set(this.#backends);
    this.#backends = backends;
    const lastUsedSeconds = new Float64Array(length);
    lastUsedSeconds.set(this.#lastUsedSeconds);
    this.#lastUsedSeconds = lastUsedSeconds;
  }
}
