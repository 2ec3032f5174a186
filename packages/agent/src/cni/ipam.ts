/**
 * Addresses of pods, taken from the node's own pod CIDRs.
 *
 * Like the host-local plugin of the CNI project: the next address after the last one handed out, so that an address is
 * reused as late as possible. The first usable address is the gateway's and is never given to a pod. A released address
 * rests for a short while: old connections and cached DNS answers of the pod that had it must not reach its successor.
 * State is kept in one JSON file, so that an agent that was killed gives its pods the addresses they had.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type Cidr, cidrSize, nthAddress, parseCidr } from '@podwire/wire/cidr';

/** How long a released address rests before another pod may have it. */
export const COOL_DOWN_MS = 10_000;

/** A pod CIDR of /64 has more addresses than anyone counts: only this many of them are used. */
const MAX_ADDRESSES = 65_536;

interface PodRange {
  readonly text: string;
  readonly cidr: Cidr;
  /** Number of addresses considered, the network address included. */
  readonly size: number;
}

interface Allocation {
  readonly owner: string;
  readonly addresses: string[];
}

interface Saved {
  readonly ranges: string[];
  readonly last: number[];
  readonly allocations: Allocation[];
}

/** Thrown when every address of a range is in use or resting. The text is the one an Event shows. */
export class RangeExhausted extends Error {
  constructor(cidr: string) {
    super(`no IP addresses available in range set: ${cidr}`);
  }
}

/** @throws Error when the text is no CIDR or has no room for a gateway and a pod */
function parsePodRange(text: string): PodRange {
  const cidr = parseCidr(text);
  if (cidr === undefined || cidrSize(cidr) < 4) {
    throw new Error(`Cannot use pod CIDR "${text}": want ADDRESS/PREFIX with room for a gateway and a pod`);
  }
  return { text, cidr, size: Math.min(cidrSize(cidr), MAX_ADDRESSES) };
}

/** The gateway address of a pod CIDR: its first usable one. */
export function gatewayOf(text: string): string {
  return nthAddress(parsePodRange(text).cidr, 1);
}

/** Hands out pod addresses, one per range, and remembers them in `file` when one is given. */
export class Ipam {
  #ranges: PodRange[] = [];
  #last: number[] = [];
  readonly #byOwner = new Map<string, string[]>();
  readonly #taken = new Map<string, string>();
  readonly #restingUntil = new Map<string, number>();
  readonly #nowMs: () => number;
  readonly #file: string | undefined;

  constructor(options: { nowMs: () => number; file?: string }) {
    this.#nowMs = options.nowMs;
    this.#file = options.file;
  }

  /**
   * Sets the node's pod CIDRs and, the first time, reads back what the file remembers of them. Allocations outside of
   * the ranges are forgotten.
   */
  configure(cidrs: readonly string[]): void {
    if (this.#ranges.length === cidrs.length && this.#ranges.every((range, i) => range.text === cidrs[i]))
      return;
    this.#ranges = cidrs.map(parsePodRange);
    this.#last = this.#ranges.map(() => 1);
    const saved = this.#read();
    if (saved === undefined || saved.ranges.join() !== cidrs.join()) return;
    this.#last = this.#ranges.map((range, i) => {
      const last = saved.last[i];
      return Number.isInteger(last) && last! > 0 && last! < range.size ? last! : 1;
    });
    for (const { owner, addresses } of saved.allocations) {
      if (typeof owner !== 'string' || !Array.isArray(addresses) || addresses.length !== cidrs.length)
        continue;
      if (addresses.some((address) => typeof address !== 'string' || this.#taken.has(address))) continue;
      this.#byOwner.set(owner, addresses);
      for (const address of addresses) this.#taken.set(address, owner);
    }
  }

  get configured(): boolean {
    return this.#ranges.length > 0;
  }

  /** Who holds addresses, for clearing out those of pods that are gone. */
  owners(): string[] {
    return [...this.#byOwner.keys()];
  }

  /**
   * Addresses for one pod, in the order of the node's pod CIDRs; the same ones again for an owner that has some.
   * @throws RangeExhausted
   */
  allocate(owner: string): string[] {
    const held = this.#byOwner.get(owner);
    if (held !== undefined) return held;
    const chosen = this.#ranges.map((range, i) => this.#next(range, i));
    const addresses = chosen.map((index, i) => nthAddress(this.#ranges[i]!.cidr, index));
    this.#last = chosen;
    for (const address of addresses) {
      this.#taken.set(address, owner);
      this.#restingUntil.delete(address);
    }
    this.#byOwner.set(owner, addresses);
    this.#write();
    return addresses;
  }

  /** Gives an owner's addresses back; they rest for COOL_DOWN_MS. */
  release(owner: string): void {
    const addresses = this.#byOwner.get(owner);
    if (addresses === undefined) return;
    this.#byOwner.delete(owner);
    for (const address of addresses) {
      this.#taken.delete(address);
      this.#restingUntil.set(address, this.#nowMs() + COOL_DOWN_MS);
    }
    this.#write();
  }

  #next(range: PodRange, which: number): number {
    // IPv4 keeps its last address, the broadcast address, unused.
    const end = range.cidr.version === 4 ? range.size - 1 : range.size;
    const now = this.#nowMs();
    for (let step = 1; step <= range.size; step++) {
      const index = (this.#last[which]! + step) % range.size;
      if (index < 2 || index >= end) continue;
      const address = nthAddress(range.cidr, index);
      if (this.#taken.has(address)) continue;
      const restingUntil = this.#restingUntil.get(address);
      if (restingUntil !== undefined && restingUntil > now) continue;
      return index;
    }
    throw new RangeExhausted(range.text);
  }

  #read(): Saved | undefined {
    if (this.#file === undefined) return undefined;
    try {
      const saved = JSON.parse(readFileSync(this.#file, 'utf8')) as Saved;
      return Array.isArray(saved?.ranges) && Array.isArray(saved.last) && Array.isArray(saved.allocations)
        ? saved
        : undefined;
    } catch {
      return undefined; // none yet, or cut short by a crash of the machine: pods then get new addresses
    }
  }

  #write(): void {
    if (this.#file === undefined) return;
    const saved: Saved = {
      ranges: this.#ranges.map((range) => range.text),
      last: this.#last,
      allocations: [...this.#byOwner].map(([owner, addresses]) => ({ owner, addresses })),
    };
    // A rename is atomic: whoever reads after a kill sees the old file or the new one.
    writeFileSync(`${this.#file}.new`, JSON.stringify(saved));
    renameSync(`${this.#file}.new`, this.#file);
  }
}
