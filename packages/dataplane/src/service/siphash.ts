/**
 * SipHash over at most seven bytes (Aumasson and Bernstein), for the Maglev scheduler of IPVS. 64-bit words are pairs of
 * 32-bit halves, low first: asked for a flow's first packet, it should not make BigInts.
 */

const state = new Int32Array(8);

function rotateInto(word: number, bits: number): void {
  const low = state[word];
  const high = state[word + 1];
  if (bits === 32) {
    state[word] = high;
    state[word + 1] = low;
    return;
  }
  state[word] = (low << bits) | (high >>> (32 - bits));
  state[word + 1] = (high << bits) | (low >>> (32 - bits));
}

function add(to: number, from: number): void {
  const low = (state[to] >>> 0) + (state[from] >>> 0);
  state[to] = low;
  state[to + 1] = state[to + 1] + state[from + 1] + (low > 0xffff_ffff ? 1 : 0);
}

function xor(to: number, from: number): void {
  state[to] ^= state[from];
  state[to + 1] ^= state[from + 1];
}

const V0 = 0;
const V1 = 2;
const V2 = 4;
const V3 = 6;

function round(): void {
  add(V0, V1);
  rotateInto(V1, 13);
  xor(V1, V0);
  rotateInto(V0, 32);
  add(V2, V3);
  rotateInto(V3, 16);
  xor(V3, V2);
  add(V0, V3);
  rotateInto(V3, 21);
  xor(V3, V0);
  add(V2, V1);
  rotateInto(V1, 17);
  xor(V1, V2);
  rotateInto(V2, 32);
}

/**
 * SipHash-c-d of the four bytes of `word` in little-endian order, under a key whose two 64-bit halves are `key0` and
 * `key1` as [low, high]. Returns the result as [low, high], unsigned.
 */
export function sipHashWord(
  word: number,
  key0: readonly [number, number],
  key1: readonly [number, number],
  compressions: number,
  finalizations: number,
): [number, number] {
  // "somepseudorandomlygeneratedbytes"
  state[0] = 0x70736575 ^ key0[0];
  state[1] = 0x736f6d65 ^ key0[1];
  state[2] = 0x6e646f6d ^ key1[0];
  state[3] = 0x646f7261 ^ key1[1];
  state[4] = 0x6e657261 ^ key0[0];
  state[5] = 0x6c796765 ^ key0[1];
  state[6] = 0x79746573 ^ key1[0];
  state[7] = 0x74656462 ^ key1[1];
  const length = 4 << 24;
  state[6] ^= word;
  state[7] ^= length;
  for (let i = 0; i < compressions; i++) round();
  state[0] ^= word;
  state[1] ^= length;
  state[4] ^= 0xff;
  for (let i = 0; i < finalizations; i++) round();
  return [
    (state[0] ^ state[2] ^ state[4] ^ state[6]) >>> 0,
    (state[1] ^ state[3] ^ state[5] ^ state[7]) >>> 0,
  ];
}

/** hsiphash_1u32 of a 64-bit kernel: SipHash-1-3, cut to 32 bits; both halves of the key are `key`. */
export function hsiphash(word: number, key: number): number {
  return sipHashWord(word, [key, 0], [key, 0], 1, 3)[0];
}
