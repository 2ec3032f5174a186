/** MurmurHash3_x64_128 (Austin Appleby, public domain algorithm). Used when tables are built, not for packets. */

const MASK = 0xffffffffffffffffn;
const C1 = 0x87c37b91114253d5n;
const C2 = 0x4cf5ad432745937fn;

function rotate(word: bigint, bits: bigint): bigint {
  return ((word << bits) | (word >> (64n - bits))) & MASK;
}

function multiply(a: bigint, b: bigint): bigint {
  return (a * b) & MASK;
}

function finalMix(word: bigint): bigint {
  word ^= word >> 33n;
  word = multiply(word, 0xff51afd7ed558ccdn);
  word ^= word >> 33n;
  word = multiply(word, 0xc4ceb9fe1a85ec53n);
  return word ^ (word >> 33n);
}

/** Both 64-bit halves of the hash of `bytes`; `seed` is 32 bits. */
export function murmur3Hash128(bytes: Uint8Array, seed: number): [bigint, bigint] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks = bytes.length >>> 4;
  let h1 = BigInt(seed >>> 0);
  let h2 = h1;
  for (let i = 0; i < blocks; i++) {
    const k1 = view.getBigUint64(i * 16, true);
    const k2 = view.getBigUint64(i * 16 + 8, true);
    h1 ^= multiply(rotate(multiply(k1, C1), 31n), C2);
    h1 = (rotate(h1, 27n) + h2) & MASK;
    h1 = (h1 * 5n + 0x52dce729n) & MASK;
    h2 ^= multiply(rotate(multiply(k2, C2), 33n), C1);
    h2 = (rotate(h2, 31n) + h1) & MASK;
    h2 = (h2 * 5n + 0x38495ab5n) & MASK;
  }
  const tail = new Uint8Array(16);
  tail.set(bytes.subarray(blocks * 16));
  const tailView = new DataView(tail.buffer);
  // A missing half contributes zero, which the multiplications leave zero.
  h2 ^= multiply(rotate(multiply(tailView.getBigUint64(8, true), C2), 33n), C1);
  h1 ^= multiply(rotate(multiply(tailView.getBigUint64(0, true), C1), 31n), C2);
  const length = BigInt(bytes.length);
  h1 ^= length;
  h2 ^= length;
  h1 = (h1 + h2) & MASK;
  h2 = (h2 + h1) & MASK;
  h1 = finalMix(h1);
  h2 = finalMix(h2);
  h1 = (h1 + h2) & MASK;
  h2 = (h2 + h1) & MASK;
  return [h1, h2];
}
