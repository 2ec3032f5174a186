import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  foldSum,
  internetChecksum,
  pseudoHeaderSum,
  pseudoHeaderSum4,
  pseudoHeaderSum6,
  sumBytes,
  updateChecksum16,
  updateChecksum32,
  updateChecksumSum,
} from '../src/checksum.ts';
import { hex } from './hex.ts';

// The definition of RFC 1071 section 1, word by word.
function naiveSum(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let sum = seed;
  for (let i = start; i < end; i += 2) {
    sum += bytes[i] * 256 + (i + 1 < end ? bytes[i + 1] : 0);
    while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  }
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

describe('Internet checksum', () => {
  it('sums the example of RFC 1071 section 3 to ddf2', () => {
    const bytes = hex('0001 f203 f4f5 f6f7');
    expect(sumBytes(bytes, 0, 8)).toBe(0xddf2);
    expect(internetChecksum(bytes, 0, 8)).toBe(0x220d);
    expect(sumBytes(bytes, 4, 8, sumBytes(bytes, 0, 4))).toBe(0xddf2);
  });

  it('pads an odd last byte on the right', () => {
    expect(sumBytes(hex('0102 03'), 0, 3)).toBe(0x0102 + 0x0300);
  });

  it('is zero over a range that holds its own checksum', () => {
    const header = hex('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7');
    expect(internetChecksum(header, 0, 20)).toBe(0);
    header[10] = header[11] = 0;
    expect(internetChecksum(header, 0, 20)).toBe(0xb861);
  });

  it('sums 64 KB of ones without overflow', () => {
    const bytes = new Uint8Array(65536).fill(0xff);
    for (const [start, end] of [
      [0, 65536],
      [1, 65535],
      [3, 65536],
    ]) {
      expect(sumBytes(bytes, start, end)).toBe(naiveSum(bytes, start, end, 0));
    }
  });

  it('equals the definition for any range, alignment of the view, and seed', () => {
    const random = fc.record({
      // Short ranges and long ones are summed by different loops; left alone, fast-check prefers the short.
      bytes: fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ minLength: 90, maxLength: 200, size: 'max' }),
        fc.uint8Array({ maxLength: 700, size: 'max' }),
      ),
      shift: fc.nat(7),
      from: fc.nat(20),
      seed: fc.nat(0xfffffff),
    });
    fc.assert(
      fc.property(random, ({ bytes, shift, from, seed }) => {
        const buffer = new Uint8Array(bytes.length + shift + 3);
        const view = buffer.subarray(shift);
        view.set(bytes);
        const start = Math.min(from, bytes.length);
        expect(sumBytes(view, start, bytes.length, seed)).toBe(naiveSum(view, start, bytes.length, seed));
      }),
      { numRuns: 400 },
    );
  });

  it('follows a buffer through changes, and more buffers than it remembers', () => {
    const buffers = Array.from({ length: 9 }, (_, n) => new Uint8Array(200).fill(n + 1));
    for (let round = 0; round < 3; round++) {
      for (const b of buffers) {
        b[round] ^= 0x55;
        expect(sumBytes(b, 0, 200)).toBe(naiveSum(b, 0, 200, 0));
      }
    }
  });

  it('folds sums beyond 32 bits', () => {
    for (const sum of [0, 0xffff, 0x10000, 0xffffffff, 0x100000000, 0x1fffffffe, 2 ** 52 + 12345]) {
      expect(foldSum(sum)).toBe(naiveSum(new Uint8Array(0), 0, 0, sum));
    }
  });
});

describe('pseudo header', () => {
  it('sums IPv4 addresses, protocol and length', () => {
    const laidOut = hex('0a000001 0a000102 00 06 0014');
    expect(foldSum(pseudoHeaderSum4(0x0a000001, 0x0a000102, 6, 20))).toBe(sumBytes(laidOut, 0, 12));
  });

  it('sums IPv6 addresses, protocol and 32-bit length', () => {
    const src = '20010db8 00000000 00000000 00000001';
    const dst = 'fe800000 00000000 021122ff fe334455';
    const addresses = hex(src + dst);
    const laidOut = hex(`${src}${dst}0001 2345 000000 3a`);
    expect(foldSum(pseudoHeaderSum6(addresses, 0, 16, 58, 0x12345))).toBe(sumBytes(laidOut, 0, 40));
  });

  it('finds the addresses in an IP header', () => {
    const v4 = hex('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7');
    expect(pseudoHeaderSum(v4, 0, 4, 17, 95)).toBe(pseudoHeaderSum4(0xc0a80001, 0xc0a800c7, 17, 95));
    const v6 = hex(
      '60000000 0008 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002 0000000000000000',
    );
    expect(pseudoHeaderSum(v6, 0, 6, 17, 8)).toBe(pseudoHeaderSum6(v6, 8, 24, 17, 8));
  });
});

describe('incremental update', () => {
  it('gives 0000, not ffff, in the example of RFC 1624 section 4', () => {
    expect(updateChecksum16(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  it('equals a checksum computed afresh', () => {
    const random = fc.record({
      bytes: fc.uint8Array({ minLength: 40, maxLength: 80 }),
      at: fc.nat(17),
      value: fc.nat(0xffffffff),
    });
    fc.assert(
      fc.property(random, ({ bytes, at, value }) => {
        bytes[0] = 0x45; // a header is never all zero, where ffff and 0000 would both be right
        const place = 2 + at * 2;
        const read = (n: number) =>
          ((bytes[n] << 24) | (bytes[n + 1] << 16) | (bytes[n + 2] << 8) | bytes[n + 3]) >>> 0;
        const checksum = internetChecksum(bytes, 0, bytes.length);
        const before = read(place);
        const beforeSum = sumBytes(bytes, place, place + 4);
        new DataView(bytes.buffer, bytes.byteOffset).setUint32(place, value);
        const afresh = internetChecksum(bytes, 0, bytes.length);
        expect(updateChecksum32(checksum, before, value)).toBe(afresh);
        expect(updateChecksumSum(checksum, beforeSum, sumBytes(bytes, place, place + 4))).toBe(afresh);
        const half = updateChecksum16(checksum, before >>> 16, value >>> 16);
        expect(updateChecksum16(half, before & 0xffff, value & 0xffff)).toBe(afresh);
      }),
      { numRuns: 300 },
    );
  });
});
