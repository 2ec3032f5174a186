/**
 * Later fragments carry no ports. The first one's are remembered here under source, destination, identification and
 * protocol, so that its companions meet the same flow and the same translation (as Cilium's
 * cilium_ipv4_frag_datagrams does). A fragment that overtakes the first one finds nothing and is dropped with 175.
 */

import type { Packet } from '@podwire/wire/packet';
import { WordMap } from './word-map.ts';

const WIDTH = 10;
/** Linux's ipfrag_time: what is not complete by then will not be. */
const LIFETIME_MS = 30_000;

export class FragmentCache {
  readonly #capacity: number;
  readonly #index: WordMap;
  // A ring: the oldest datagram makes room for the newest.
  readonly #keys: Int32Array;
  readonly #ports: Uint16Array;
  readonly #expiresMs: Float64Array;
  #next = 0;

  constructor(capacity = 1024) {
    this.#capacity = capacity;
    this.#index = new WordMap(WIDTH, capacity);
    this.#keys = new Int32Array(capacity * WIDTH);
    this.#ports = new Uint16Array(capacity * 2);
    this.#expiresMs = new Float64Array(capacity);
  }

  get size(): number {
    return this.#index.size;
  }

  /** Remembers the ports of a first fragment. */
  remember(packet: Packet, nowMs: number): void {
    this.#stage(packet);
    let slot = this.#index.find();
    if (slot < 0) {
      slot = this.#next;
      this.#next = (slot + 1) % this.#capacity;
      this.#forget(slot);
      this.#stage(packet);
      this.#index.set(slot);
      for (let i = 0; i < WIDTH; i++) this.#keys[slot * WIDTH + i] = this.#index.key[i];
    }
    this.#ports[slot * 2] = packet.srcPort;
    this.#ports[slot * 2 + 1] = packet.dstPort;
    this.#expiresMs[slot] = nowMs + LIFETIME_MS;
  }

  /** Fills in the ports of a later fragment; false when its first one was not seen. */
  recall(packet: Packet, nowMs: number): boolean {
    this.#stage(packet);
    const slot = this.#index.find();
    if (slot < 0 || this.#expiresMs[slot] <= nowMs) return false;
    packet.srcPort = this.#ports[slot * 2];
    packet.dstPort = this.#ports[slot * 2 + 1];
    return true;
  }

  #forget(slot: number): void {
    if (this.#expiresMs[slot] === 0) return;
    const key = this.#index.key;
    for (let i = 0; i < WIDTH; i++) key[i] = this.#keys[slot * WIDTH + i];
    this.#index.delete();
  }

  #stage(packet: Packet): void {
    const key = this.#index.key;
    key[0] = packet.src0;
    key[1] = packet.src1;
    key[2] = packet.src2;
    key[3] = packet.src3;
    key[4] = packet.dst0;
    key[5] = packet.dst1;
    key[6] = packet.dst2;
    key[7] = packet.dst3;
    key[8] = packet.identification;
    key[9] = packet.protocol;
  }
}
