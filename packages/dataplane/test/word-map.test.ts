import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { describe, expect, it } from 'vitest';
import { PrefixMap } from '../src/lpm.ts';
import { WordMap } from '../src/word-map.ts';

describe.each([1, 3, 4, 6, 10])('WordMap of %d words against a Map', (width) => {
  it.each([1, 2])('seed %d', (seed) => {
    const random = seededRandom32(seed);
    const map = new WordMap(width, 4, seed);
    const twin = new Map<string, number>();
    // Few distinct words, so that keys meet and probe runs are long.
    const words = Array.from({ length: 3 }, () => random() | 0);
    for (let step = 0; step < 4000; step++) {
      const key = Array.from({ length: width }, (_, i) =>
        i === 0 ? random() % 100 : words[random() % words.length],
      );
      const name = key.join();
      map.key.set(key);
      const choice = random() % 8;
      if (choice < 3) {
        const value = random() >>> 1;
        map.set(value);
        twin.set(name, value);
      } else if (choice < 6) {
        expect(map.find()).toBe(twin.get(name) ?? -1);
      } else {
        expect(map.delete()).toBe(twin.delete(name));
      }
      if (step % 1000 === 999) {
        expect(map.size).toBe(twin.size);
        for (const [text, value] of twin) {
          map.key.set(text.split(',').map(Number));
          expect(map.find()).toBe(value);
        }
      }
    }
    map.clear();
    map.key.fill(0);
    expect([map.size, map.find()]).toEqual([0, -1]);
  });
});

/** The obvious longest prefix match: compare bits with every prefix. */
class NaivePrefixes {
  readonly entries = new Map<string, { bits: string; value: number }>();

  set(prefix: string, bits: string, value: number): void {
    this.entries.set(prefix, { bits, value });
  }

  find(bits: string): number {
    let best = { bits: '', value: -1 };
    let length = -1;
    for (const entry of this.entries.values()) {
      if (bits.startsWith(entry.bits) && entry.bits.length > length) {
        best = entry;
        length = entry.bits.length;
      }
    }
    return best.value;
  }
}

const bitsOf = (words: number[]): string =>
  words.map((word) => (word >>> 0).toString(2).padStart(32, '0')).join('');

describe('PrefixMap against comparing with every prefix', () => {
  it.each([1, 2])('IPv4, seed %d', (seed) => {
    const random = seededRandom32(seed);
    const map = new PrefixMap();
    const twin = new NaivePrefixes();
    for (let step = 0; step < 2000; step++) {
      // Addresses share their first bits, so that prefixes nest.
      const address = (0x0a000000 | (random() & 0x0003ffff)) >>> 0;
      const text = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
      const choice = random() % 6;
      if (choice === 0) {
        const length = random() % 33;
        const bits = bitsOf([address]).slice(0, length);
        const value = random() % 1000;
        map.set(`${text}/${length}`, value);
        // The same network under two host parts is one prefix.
        twin.set(bits, bits, value);
      } else if (choice === 1 && twin.entries.size > 0) {
        const keys = [...twin.entries.keys()];
        const bits = keys[random() % keys.length];
        const number = Number.parseInt(bits.padEnd(32, '0') || '0', 2) >>> 0;
        const network = [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
        expect(map.delete(`${network}/${bits.length}`)).toBe(twin.entries.delete(bits));
        expect(map.delete(`${network}/${bits.length}`)).toBe(false);
      } else {
        expect(map.find(0, 0, 0xffff, address | 0)).toBe(twin.find(bitsOf([address])));
      }
    }
  });

  it.each([5, 6])('IPv6, seed %d', (seed) => {
    const random = seededRandom32(seed);
    const map = new PrefixMap();
    const twin = new NaivePrefixes();
    for (let step = 0; step < 1000; step++) {
      const words = [0xfd000000, random() & 0x3, random() & 0x1, random() & 0xff];
      const text = words
        .flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)])
        .join(':');
      if (random() % 4 === 0) {
        const length = random() % 129;
        const value = random() % 1000;
        map.set(`${text}/${length}`, value);
        const bits = bitsOf(words).slice(0, length);
        twin.set(bits, bits, value);
      } else {
        expect(map.find(words[0] | 0, words[1], words[2], words[3])).toBe(twin.find(bitsOf(words)));
      }
    }
  });

  it('does not mix the families: a default route of one is none of the other', () => {
    const map = new PrefixMap();
    map.set('0.0.0.0/0', 4);
    expect(map.find(0xfd000000 | 0, 0, 0, 1)).toBe(-1);
    map.set('::/0', 6);
    expect(map.find(0xfd000000 | 0, 0, 0, 1)).toBe(6);
    expect(map.find(0, 0, 0xffff, 1)).toBe(4);
    expect(() => map.set('10.0.0.0/33', 1)).toThrow('Cannot use prefix "10.0.0.0/33"');
  });
});
