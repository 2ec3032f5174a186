/**
 * The schedulers of IPVS (Linux net/netfilter/ipvs/ip_vs_*.c): which real server a new connection gets. A server of
 * weight 0 gets none. One scheduler belongs to one virtual server and keeps its place, or its table, between calls.
 */

import type { Packet } from '@podwire/wire/packet';
import type { Words } from '../address-words.ts';
import type { BackendFlows } from '../backend-flows.ts';
import { hsiphash } from './siphash.ts';

export type SchedulerName = 'rr' | 'wrr' | 'lc' | 'wlc' | 'sed' | 'nq' | 'sh' | 'dh' | 'mh';

export const SCHEDULER_NAMES: readonly SchedulerName[] = [
  'rr',
  'wrr',
  'lc',
  'wlc',
  'sed',
  'nq',
  'sh',
  'dh',
  'mh',
];

/** What a scheduler needs to know of a real server. */
export interface Schedulable {
  /** Under which its flows are counted. */
  readonly id: number;
  readonly words: Words;
  readonly port: number;
  readonly weight: number;
}

export interface Scheduler<S extends Schedulable> {
  /** The server for a packet that opens a connection, or undefined when none takes it. */
  schedule(servers: readonly S[], packet: Packet): S | undefined;
  /** To be told after servers came, went or changed weight; `removedAt` is the place of one that went, or -1. */
  changed(removedAt: number): void;
}

/** Makes the scheduler of a name. */
export function createScheduler<S extends Schedulable>(
  name: SchedulerName,
  flows: BackendFlows,
): Scheduler<S> {
  switch (name) {
    case 'rr':
      return new RoundRobin();
    case 'wrr':
      return new WeightedRoundRobin();
    case 'lc':
      return new LeastOverhead(flows, 'lc');
    case 'wlc':
      return new LeastOverhead(flows, 'wlc');
    case 'sed':
      return new LeastOverhead(flows, 'sed');
    case 'nq':
      return new LeastOverhead(flows, 'nq');
    case 'sh':
      return new AddressHash('source');
    case 'dh':
      return new AddressHash('destination');
    case 'mh':
      return new Maglev();
  }
}

/** ip_vs_rr.c: the next one in the list. */
class RoundRobin<S extends Schedulable> implements Scheduler<S> {
  #last = -1;

  schedule(servers: readonly S[]): S | undefined {
    for (let step = 1; step <= servers.length; step++) {
      const at = (this.#last + step) % servers.length;
      if (servers[at].weight <= 0) continue;
      this.#last = at;
      return servers[at];
    }
    return undefined;
  }

  changed(removedAt: number): void {
    if (removedAt >= 0 && removedAt <= this.#last) this.#last--;
  }
}

/** ip_vs_wrr.c: rounds in which the current weight falls by the greatest common divisor of the weights. */
class WeightedRoundRobin<S extends Schedulable> implements Scheduler<S> {
  #last = -1;
  #currentWeight = 0;
  #largest = 0;
  #step = 0;

  schedule(servers: readonly S[]): S | undefined {
    if (this.#step === 0) this.#measure(servers);
    if (this.#largest === 0) return undefined;
    for (;;) {
      this.#last++;
      if (this.#last >= servers.length) {
        this.#last = 0;
        this.#currentWeight -= this.#step;
        if (this.#currentWeight <= 0) this.#currentWeight = this.#largest;
      }
      const server = servers[this.#last];
      if (server.weight > 0 && server.weight >= this.#currentWeight) return server;
    }
  }

  #measure(servers: readonly S[]): void {
    this.#largest = Math.max(0, ...servers.map(({ weight }) => weight));
    this.#step = servers.reduce((step, { weight }) => greatestDivisor(step, weight), 0) || 1;
    if (this.#currentWeight <= 0 || this.#currentWeight > this.#largest) this.#currentWeight = this.#largest;
  }

  changed(removedAt: number): void {
    if (removedAt >= 0 && removedAt <= this.#last) this.#last--;
    this.#step = 0;
  }
}

function greatestDivisor(a: number, b: number): number {
  while (b > 0) [a, b] = [b, a % b];
  return a;
}

/**
 * ip_vs_lc.c, ip_vs_wlc.c, ip_vs_sed.c, ip_vs_nq.c: the server with the least overhead, the first one of equals.
 * lc and wlc: active * 256 + inactive; sed and nq: active + 1, the connection that comes; all but lc by weight.
 */
class LeastOverhead<S extends Schedulable> implements Scheduler<S> {
  readonly #flows: BackendFlows;
  readonly #name: 'lc' | 'wlc' | 'sed' | 'nq';

  constructor(flows: BackendFlows, name: 'lc' | 'wlc' | 'sed' | 'nq') {
    this.#flows = flows;
    this.#name = name;
  }

  schedule(servers: readonly S[]): S | undefined {
    const countsInactive = this.#name === 'lc' || this.#name === 'wlc';
    let least: S | undefined;
    let leastOverhead = 0;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      if (server.weight <= 0) continue;
      const active = this.#flows.activeOf(server.id);
      if (this.#name === 'nq' && active === 0) return server;
      const overhead = countsInactive ? active * 256 + this.#flows.inactiveOf(server.id) : active + 1;
      // Fractions are compared by crosswise products, as the kernel does.
      const isLess =
        least === undefined ||
        (this.#name === 'lc'
          ? overhead < leastOverhead
          : leastOverhead * server.weight > overhead * least.weight);
      if (!isLess) continue;
      least = server;
      leastOverhead = overhead;
    }
    return least;
  }

  changed(): void {}
}

const BUCKET_BITS = 8;

/**
 * ip_vs_sh.c, ip_vs_dh.c: 256 buckets dealt out to the servers in turn, picked by the client's (the frontend's) address.
 * A server that is leaving keeps its buckets, and who hashes to them is refused: kube-proxy sets no fallback flag.
 */
class AddressHash<S extends Schedulable> implements Scheduler<S> {
  readonly #by: 'source' | 'destination';
  #buckets: Uint16Array | undefined;

  constructor(by: 'source' | 'destination') {
    this.#by = by;
  }

  schedule(servers: readonly S[], packet: Packet): S | undefined {
    if (servers.length === 0) return undefined;
    const buckets = (this.#buckets ??= this.#assign(servers));
    const address = this.#by === 'source' ? foldedSource(packet) : foldedDestination(packet);
    // hash_32 of linux/hash.h.
    const server = servers[buckets[Math.imul(address, 0x61c88647) >>> (32 - BUCKET_BITS)]];
    return server.weight > 0 ? server : undefined;
  }

  #assign(servers: readonly S[]): Uint16Array {
    const buckets = new Uint16Array(1 << BUCKET_BITS);
    let at = 0;
    let dealt = 0;
    for (let bucket = 0; bucket < buckets.length; bucket++) {
      buckets[bucket] = at;
      dealt++;
      if (this.#by === 'source' && dealt < servers[at].weight) continue;
      at = (at + 1) % servers.length;
      dealt = 0;
    }
    return buckets;
  }

  changed(): void {
    this.#buckets = undefined;
  }
}

export const IPVS_MAGLEV_TABLE_SIZE = 4093;
/** The low words of generate_hash_secret's two keys. */
const OFFSET_KEY = 2_654_435_761;
const SKIP_KEY = 2_654_446_892;

/**
 * ip_vs_mh.c: Maglev hashing, by the client's address and, as kube-proxy asks for with its flag, port. A server that is
 * leaving keeps its places, as with sh.
 */
class Maglev<S extends Schedulable> implements Scheduler<S> {
  #table: Int16Array | undefined;

  schedule(servers: readonly S[], packet: Packet): S | undefined {
    if (servers.length === 0) return undefined;
    const table = (this.#table ??= populate(servers));
    const hash = hsiphash((foldedSource(packet) + packet.srcPort) | 0, OFFSET_KEY);
    const server = servers[table[hash % IPVS_MAGLEV_TABLE_SIZE]];
    return server.weight > 0 ? server : undefined;
  }

  changed(): void {
    this.#table = undefined;
  }
}

function populate(servers: readonly Schedulable[]): Int16Array {
  const size = IPVS_MAGLEV_TABLE_SIZE;
  const table = new Int16Array(size).fill(-1);
  const words = servers.map((server) => (fold(server.words) + server.port) | 0);
  const places = words.map((word) => hsiphash(word, OFFSET_KEY) % size);
  const skips = words.map((word) => (hsiphash(word, SKIP_KEY) % (size - 1)) + 1);
  const divisor = servers.reduce((step, { weight }) => greatestDivisor(step, weight), 0) || 1;
  // The weight before it became 0 counts (last_weight), and kube-proxy gives no other than 1.
  const turns = servers.map(({ weight }) => Math.max(1, weight / divisor));
  let filled = 0;
  for (let i = 0; ; i = (i + 1) % servers.length) {
    for (let turn = 0; turn < turns[i]; turn++) {
      while (table[places[i]] >= 0) places[i] = (places[i] + skips[i]) % size;
      table[places[i]] = i;
      if (++filled === size) return table;
    }
  }
}

// Addresses of IPv6 are folded to one word; IPv4 is a word.

function foldedSource(packet: Packet): number {
  if (packet.version === 4) return packet.src3 | 0;
  return packet.src0 ^ packet.src1 ^ packet.src2 ^ packet.src3;
}

function foldedDestination(packet: Packet): number {
  if (packet.version === 4) return packet.dst3 | 0;
  return packet.dst0 ^ packet.dst1 ^ packet.dst2 ^ packet.dst3;
}

function fold(words: Words): number {
  const isIpv4 = words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
  return isIpv4 ? words[3] : words[0] ^ words[1] ^ words[2] ^ words[3];
}
