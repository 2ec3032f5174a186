/**
 * HalfSipHash-2-4 (Aumasson and Bernstein): a keyed 32-bit hash for initial sequence numbers (RFC 6528) and
 * port offsets (RFC 6056), which must not be predictable from outside.
 */

export interface HashKey {
  readonly k0: number;
  readonly k1: number;
}

export function newHashKey(random32: () => number): HashKey {
  return { k0: random32() | 0, k1: random32() | 0 };
}

let v0 = 0;
let v1 = 0;
let v2 = 0;
let v3 = 0;

function rotl(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

function round(): void {
  v0 = (v0 + v1) | 0;
  v1 = rotl(v1, 5) ^ v0;
  v0 = rotl(v0, 16);
  v2 = (v2 + v3) | 0;
  v3 = rotl(v3, 8) ^ v2;
  v0 = (v0 + v3) | 0;
  v3 = rotl(v3, 7) ^ v0;
  v2 = (v2 + v1) | 0;
  v1 = rotl(v1, 13) ^ v2;
  v2 = rotl(v2, 16);
}

function absorb(word: number): void {
  v3 ^= word;
  round();
  round();
  v0 ^= word;
}

/** Hash of 32-bit words, as an int32. */
export function keyedHash(key: HashKey, words: readonly number[]): number {
  v0 = key.k0;
  v1 = key.k1;
  v2 = 0x6c796765 ^ key.k0;
  v3 = 0x74656462 ^ key.k1;
  for (const word of words) absorb(word | 0);
  absorb((words.length * 4) << 24);
  v2 ^= 0xff;
  round();
  round();
  round();
  round();
  return v1 ^ v3;
}
