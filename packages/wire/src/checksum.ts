/**
 * The Internet checksum (RFC 1071), pseudo headers (RFC 9293 3.1, RFC 768, RFC 8200 8.1) and incremental
 * update (RFC 1624).
 *
 * Two kinds of number appear here. A *sum* is a ones' complement sum, not complemented: sums may be added
 * and passed on as `seed`. A *checksum* is the complement of a folded sum: what a header field holds.
 * A range that contains its own correct checksum field has `internetChecksum` 0.
 */
import { readU16, readU32 } from './big-endian.ts';

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

// Below this many bytes the set-up of the 32-bit loop costs more than it saves.
const WORD_LOOP_MINIMUM = 96;

// 32-bit views of the buffers summed last, so that the hot path makes none: callers sum the same few buffers
// again and again. A slot keeps its buffer alive until it is taken over.
const VIEW_SLOTS = 4;
const viewedBuffers: (ArrayBufferLike | undefined)[] = [undefined, undefined, undefined, undefined];
const views: Uint32Array[] = [0, 0, 0, 0].map((length) => new Uint32Array(length));
let nextSlot = 0;

function wordsOf(buffer: ArrayBufferLike): Uint32Array {
  for (let slot = 0; slot < VIEW_SLOTS; slot++) if (viewedBuffers[slot] === buffer) return views[slot];
  const slot = nextSlot;
  nextSlot = (nextSlot + 1) % VIEW_SLOTS;
  viewedBuffers[slot] = buffer;
  views[slot] = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
  return views[slot];
}

/** Folds a sum below 2^53 to 16 bits with end-around carry. */
export function foldSum(sum: number): number {
  if (sum > 0xffffffff) sum = (sum % 0x100000000) + Math.floor(sum / 0x100000000);
  if (sum > 0xffffffff) sum = sum - 0xffffffff;
  sum = (sum >>> 16) + (sum & 0xffff);
  sum = (sum >>> 16) + (sum & 0xffff);
  return sum;
}

/**
 * Ones' complement sum of the 16-bit words in bytes[start, end), folded to 16 bits. An odd last byte is
 * padded with zero on the right (RFC 1071 section 1). `seed` is a sum of words before it.
 */
export function sumBytes(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  if (end - start >= WORD_LOOP_MINIMUM) return sumLong(bytes, start, end, seed);
  return sumShort(bytes, start, end, seed);
}

/** Checksum of bytes[start, end) plus `seed`: the value for a header field, 0 when the range verifies. */
export function internetChecksum(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  return ~sumBytes(bytes, start, end, seed) & 0xffff;
}

function sumShort(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let sum = 0;
  let i = start;
  for (; i + 1 < end; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  if (i < end) sum += bytes[i] << 8;
  return foldSum(sum + seed);
}

// RFC 1071 (2): the sum may be taken in the machine's own byte order and over wider words, and swapped at
// the end. A range that starts at an odd address of the buffer is summed from the next byte on; its words
// then straddle ours, which is one more swap.
function sumLong(bytes: Uint8Array, start: number, end: number, seed: number): number {
  const words = wordsOf(bytes.buffer);
  const base = bytes.byteOffset;
  const misaligned = (base + start) & 3;
  const odd = (base + start) & 1;
  const head = misaligned === 0 ? start : start + 4 - misaligned;
  const first = (base + head) >>> 2;
  const last = (base + end) >>> 2;
  if (last > words.length) return sumShort(bytes, start, end, seed);

  let low = 0;
  let high = 0;
  let i = first;
  const unrolledEnd = first + ((last - first) & ~3);
  // The halves of at most 2^14 words each stay below 2^30 before they are folded, so V8 keeps small integers.
  while (i < unrolledEnd) {
    const stop = unrolledEnd - i > 8192 ? i + 8192 : unrolledEnd;
    for (; i < stop; i += 4) {
      const a = words[i];
      const b = words[i + 1];
      const c = words[i + 2];
      const d = words[i + 3];
      low += (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff);
      high += (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16);
    }
    low = (low & 0xffff) + (low >>> 16);
    high = (high & 0xffff) + (high >>> 16);
  }
  for (; i < last; i++) {
    low += words[i] & 0xffff;
    high += words[i] >>> 16;
  }
  let sum = foldSum(low + high);
  if (LITTLE_ENDIAN !== (odd === 1)) sum = ((sum & 0xff) << 8) | (sum >>> 8);

  // At most three bytes before the words, three after; `(j - start) & 1` is the byte's place in its 16-bit word.
  for (let j = start; j < head; j++) sum += ((j - start) & 1) === 0 ? bytes[j] << 8 : bytes[j];
  for (let j = last * 4 - base; j < end; j++) sum += ((j - start) & 1) === 0 ? bytes[j] << 8 : bytes[j];
  return foldSum(sum + seed);
}

/** Sum of the IPv4 pseudo header; addresses as uint32, `length` = transport header + payload in bytes. */
export function pseudoHeaderSum4(src: number, dst: number, protocol: number, length: number): number {
  return (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + protocol + length;
}

/**
 * Sum of the IPv6 pseudo header (RFC 8200 8.1); `srcOffset` and `dstOffset` point at 16-byte addresses in
 * `bytes`. `protocol` is the upper-layer protocol after extension headers.
 */
export function pseudoHeaderSum6(
  bytes: Uint8Array,
  srcOffset: number,
  dstOffset: number,
  protocol: number,
  length: number,
): number {
  let sum = protocol + (length >>> 16) + (length & 0xffff);
  for (let i = 0; i < 16; i += 2) sum += readU16(bytes, srcOffset + i) + readU16(bytes, dstOffset + i);
  return sum;
}

/** Sum of a pseudo header whose IP header (version 4 or 6) stands in `frame` at `l3`. */
export function pseudoHeaderSum(
  frame: Uint8Array,
  l3: number,
  version: number,
  protocol: number,
  length: number,
): number {
  return version === 4
    ? pseudoHeaderSum4(readU32(frame, l3 + 12), readU32(frame, l3 + 16), protocol, length)
    : pseudoHeaderSum6(frame, l3 + 8, l3 + 24, protocol, length);
}

/** RFC 1624 (3): the checksum after a 16-bit word changed from `before` to `after`: HC' = ~(~HC + ~m + m'). */
export function updateChecksum16(checksum: number, before: number, after: number): number {
  let sum = (~checksum & 0xffff) + (~before & 0xffff) + after;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** RFC 1624 (3) for a 32-bit value at an even place, such as an IPv4 address or a quarter of an IPv6 one. */
export function updateChecksum32(checksum: number, before: number, after: number): number {
  let sum =
    (~checksum & 0xffff) +
    (~(before >>> 16) & 0xffff) +
    (~before & 0xffff) +
    (after >>> 16) +
    (after & 0xffff);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/**
 * RFC 1624 (3) for any even-sized field: `beforeSum` and `afterSum` are folded sums (`sumBytes`) of the old
 * and new content. An IPv4 UDP checksum of 0 means "none" and must be left alone; a result of 0 for UDP
 * must be stored as 0xffff (RFC 768): see `patchUdpChecksum` in udp.ts.
 */
export function updateChecksumSum(checksum: number, beforeSum: number, afterSum: number): number {
  return updateChecksum16(checksum, beforeSum, afterSum);
}
