/**
 * Maglev consistent hashing as Cilium computes it (C: pkg/maglev), so that every node builds the same table and a
 * backend that goes moves few of the others' flows.
 */

import { murmur3Hash128 } from './murmur3.ts';

/** Table sizes Cilium accepts: primes. */
export const MAGLEV_TABLE_SIZES: readonly number[] = [
  251, 509, 1021, 2039, 4093, 8191, 16_381, 32_749, 65_521, 131_071,
];
export const MAGLEV_DEFAULT_TABLE_SIZE = 16_381;
export const MAGLEV_DEFAULT_SEED = 'JLfvgnHc2kaSUFaI';

export interface MaglevSeeds {
  readonly murmur: number;
  readonly jhashV4: number;
  readonly jhashV6: number;
}

/**
 * The three seeds in 12 bytes of base64, big-endian each.
 * @throws Error when it is not 12 bytes
 */
export function maglevSeeds(base64: string): MaglevSeeds {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== 12)
    throw new Error(`Cannot use Maglev seed "${base64}": it must be 12 bytes in base64`);
  return { murmur: bytes.readUInt32BE(0), jhashV4: bytes.readUInt32BE(4), jhashV6: bytes.readUInt32BE(8) };
}

export interface MaglevBackend {
  readonly id: number;
  /** `[IP:PORT/TCP,State:active]`: what is hashed, and what the backends are sorted by. */
  readonly hashString: string;
  readonly weight: number;
}

/** The string Cilium hashes for an active backend; `protocol` is TCP, UDP or SCTP. */
export function maglevHashString(address: string, port: number, protocol: string): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return `[${host}:${port}/${protocol},State:active]`;
}

/**
 * The lookup table: for each of `size` places the id of a backend.
 * @param size one of MAGLEV_TABLE_SIZES
 */
export function maglevTable(
  backends: readonly MaglevBackend[],
  size: number,
  murmurSeed: number,
): Int32Array {
  const table = new Int32Array(size).fill(-1);
  const count = backends.length;
  if (count === 0) return table;
  const sorted = [...backends].sort((a, b) =>
    a.hashString < b.hashString ? -1 : a.hashString > b.hashString ? 1 : 0,
  );
  const encoder = new TextEncoder();
  const offset = new Int32Array(count);
  const skip = new Int32Array(count);
  const prime = BigInt(size);
  let weightSum = 0;
  sorted.forEach((backend, i) => {
    const [h1, h2] = murmur3Hash128(encoder.encode(backend.hashString), murmurSeed);
    offset[i] = Number(h1 % prime);
    skip[i] = Number((h2 % (prime - 1n)) + 1n);
    weightSum += backend.weight;
  });
  const isWeighted = Math.trunc(weightSum / count) > 1;
  const credit = sorted.map((backend) => backend.weight / count);

  let filled = 0;
  while (filled < size) {
    let i = filled % count;
    // A backend whose turn comes too early for its weight passes it on.
    if (isWeighted) {
      while ((filled + 1) * sorted[i].weight < Math.trunc(credit[i])) i = (i + 1) % count;
      credit[i] += weightSum;
    }
    // offset + j * skip modulo the size visits every place once.
    while (table[offset[i]] >= 0) offset[i] = (offset[i] + skip[i]) % size;
    table[offset[i]] = sorted[i].id;
    filled++;
  }
  return table;
}
