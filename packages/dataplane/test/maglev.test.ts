import { describe, expect, it } from 'vitest';
import { jhash3Words } from '../src/jhash.ts';
import {
  MAGLEV_DEFAULT_SEED,
  type MaglevBackend,
  maglevHashString,
  maglevSeeds,
  maglevTable,
} from '../src/maglev.ts';
import { murmur3Hash128 } from '../src/murmur3.ts';

const seeds = maglevSeeds(MAGLEV_DEFAULT_SEED);
const backend = (address: string, port: number, weight: number, id: number): MaglevBackend => ({
  id,
  weight,
  hashString: maglevHashString(address, port, 'TCP'),
});
// C: pkg/maglev/maglev_test.go, TestReproducible.
const GOLDEN_BACKENDS = [
  backend('0.0.0.1', 1, 2, 0),
  backend('0.0.0.3', 3, 13, 1),
  backend('0.0.0.4', 4, 111, 2),
  backend('0.0.0.5', 5, 10, 3),
];
const GOLDEN_RUNS = `2(5),3(1),2(3),1(1),2(2),0(1),2(1),3(1),2(1),3(1),2(1),1(1),2(7),1(1),2(14),3(1),2(1),
1(2),2(12),3(1),2(3),1(1),2(4),3(1),2(8),3(1),2(2),1(1),2(16),1(2),2(3),3(1),2(11),1(2),2(4),3(1),2(3),
1(1),2(4),3(1),2(1),0(1),1(1),2(8),1(1),2(7),1(1),2(4),3(1),2(1),3(1),2(9),1(2),2(5),1(1),2(7),3(1),2(1),
3(1),1(1),2(8),1(1),2(4),0(1),2(1),1(1),2(5),3(1),2(3),1(1),2(4),3(1),2(3),1(1),2(12),0(1),3(1),2(3),3(1),
2(4),3(1),2(2),1(1),2(7)`.replace(/\s/g, '');

function runs(table: Int32Array): string {
  const parts: string[] = [];
  for (let i = 0; i < table.length; ) {
    let j = i;
    while (j < table.length && table[j] === table[i]) j++;
    parts.push(`${table[i]}(${j - i})`);
    i = j;
  }
  return parts.join(',');
}

function counts(table: Int32Array): number[] {
  const result = [0, 0, 0, 0];
  for (const id of table) result[id]++;
  return result;
}

describe('Maglev', () => {
  it("builds Cilium's golden table, whatever the order of the backends", () => {
    expect(runs(maglevTable(GOLDEN_BACKENDS, 251, seeds.murmur))).toBe(GOLDEN_RUNS);
    expect(runs(maglevTable([...GOLDEN_BACKENDS].reverse(), 251, seeds.murmur))).toBe(GOLDEN_RUNS);
  });

  it('shares by weight', () => {
    const table = maglevTable(GOLDEN_BACKENDS, 1021, seeds.murmur);
    expect(counts(table)).toEqual([16, 98, 832, 75]);
  });

  it('moves less than one place in a hundred of the others when a backend goes', () => {
    const before = maglevTable(GOLDEN_BACKENDS, 1021, seeds.murmur);
    const after = maglevTable(GOLDEN_BACKENDS.slice(1), 1021, seeds.murmur);
    let moved = 0;
    for (let i = 0; i < before.length; i++) if (before[i] !== 0 && before[i] !== after[i]) moved++;
    expect(moved).toBeLessThan(1021 / 100);
  });

  it('shares evenly without weights', () => {
    const table = maglevTable(
      GOLDEN_BACKENDS.map((item) => ({ ...item, weight: 1 })),
      1021,
      seeds.murmur,
    );
    expect(Math.max(...counts(table)) - Math.min(...counts(table))).toBeLessThanOrEqual(1);
  });

  it('is empty without backends, and refuses a short seed', () => {
    expect(maglevTable([], 251, seeds.murmur).every((id) => id === -1)).toBe(true);
    expect(() => maglevSeeds('AAAA')).toThrow(/12 bytes/);
  });
});

describe('hashes under it', () => {
  it('MurmurHash3_x64_128 gives the published values', () => {
    const hash = (text: string, seed: number): string =>
      murmur3Hash128(new TextEncoder().encode(text), seed)
        .map((half) => half.toString(16).padStart(16, '0'))
        .join('');
    // SMHasher's reference implementation.
    expect(hash('', 0)).toBe('00000000000000000000000000000000');
    expect(hash('hello', 0)).toBe('cbd8a7b341bd9b025b1e906a48ae1d19');
    expect(hash('hello, world', 0)).toBe('342fac623a5ebc8e4cdcbc079642414d');
    expect(hash('The quick brown fox jumps over the lazy dog.', 0)).toBe('cd99481f9ee902c9695da1a38987b6e7');
  });

  it('jhash_3words gives the values of lookup3', () => {
    // lookup3.c hashword() of three words is the same function with initval = seed.
    const published = (x: number, y: number, z: number, seed: number): number => {
      const rot = (v: number, k: number): number => ((v << k) | (v >>> (32 - k))) >>> 0;
      let a = (0xdeadbeef + 12 + seed + x) >>> 0;
      let b = (0xdeadbeef + 12 + seed + y) >>> 0;
      let c = (0xdeadbeef + 12 + seed + z) >>> 0;
      c = ((c ^ b) - rot(b, 14)) >>> 0;
      a = ((a ^ c) - rot(c, 11)) >>> 0;
      b = ((b ^ a) - rot(a, 25)) >>> 0;
      c = ((c ^ b) - rot(b, 16)) >>> 0;
      a = ((a ^ c) - rot(c, 4)) >>> 0;
      b = ((b ^ a) - rot(a, 14)) >>> 0;
      c = ((c ^ b) - rot(b, 24)) >>> 0;
      return c;
    };
    const cases: [number, number, number, number][] = [
      [0, 0, 0, 0],
      [1, 2, 3, 4],
      [0xffffffff, 0x80000000, 6, 0xcafe],
    ];
    for (const words of cases) expect(jhash3Words(...words)).toBe(published(...words));
  });
});
