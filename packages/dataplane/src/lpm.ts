/**
 * Longest prefix match over 128-bit addresses (IPv4 as v4-mapped words): one hash table for each prefix length in
 * use, tried from the longest. A cluster uses a handful of lengths, so a lookup is a handful of probes whatever the
 * number of prefixes, and changing one prefix touches one slot.
 */

import { parseCidr } from '@podwire/wire/cidr';
import { WordMap } from './word-map.ts';

interface Level {
  readonly length: number;
  /** One word for IPv4, four for IPv6. */
  readonly masks: readonly number[];
  readonly map: WordMap;
}

export class PrefixMap {
  // Each sorted from the longest prefix.
  #levels4: Level[] = [];
  #levels6: Level[] = [];

  /**
   * Maps a CIDR to a non-negative integer.
   * @throws Error when the text is no CIDR
   */
  set(prefix: string, value: number): void {
    const { levels, words, length } = this.#parse(prefix);
    let level = levels.find((candidate) => candidate.length === length);
    if (level === undefined) {
      level = { length, masks: masksOf(length, words.length), map: new WordMap(words.length) };
      levels.push(level);
      levels.sort((a, b) => b.length - a.length);
    }
    level.map.key.set(words);
    level.map.set(value);
  }

  /**
   * Removes a CIDR; false when it was not there.
   * @throws Error when the text is no CIDR
   */
  delete(prefix: string): boolean {
    const { levels, words, length } = this.#parse(prefix);
    const level = levels.find((candidate) => candidate.length === length);
    if (level === undefined) return false;
    level.map.key.set(words);
    if (!level.map.delete()) return false;
    if (level.map.size === 0) levels.splice(levels.indexOf(level), 1);
    return true;
  }

  /** The value of the longest prefix that holds the address (signed words), or -1. */
  find(w0: number, w1: number, w2: number, w3: number): number {
    if (w2 === 0xffff && w1 === 0 && w0 === 0) return this.#find4(w3);
    const levels = this.#levels6;
    for (let i = 0; i < levels.length; i++) {
      const { masks, map } = levels[i];
      const key = map.key;
      key[0] = w0 & masks[0];
      key[1] = w1 & masks[1];
      key[2] = w2 & masks[2];
      key[3] = w3 & masks[3];
      const value = map.find();
      if (value >= 0) return value;
    }
    return -1;
  }

  #find4(address: number): number {
    const levels = this.#levels4;
    for (let i = 0; i < levels.length; i++) {
      const { masks, map } = levels[i];
      map.key[0] = address & masks[0];
      const value = map.find();
      if (value >= 0) return value;
    }
    return -1;
  }

  #parse(prefix: string): { levels: Level[]; words: number[]; length: number } {
    const cidr = parseCidr(prefix);
    if (cidr === undefined)
      throw new Error(`Cannot use prefix "${prefix}": it is no CIDR; write ADDRESS/LENGTH`);
    const view = new DataView(cidr.bytes.buffer, cidr.bytes.byteOffset, cidr.bytes.byteLength);
    return cidr.version === 4
      ? { levels: this.#levels4, words: [view.getInt32(0)], length: cidr.prefixLength }
      : {
          levels: this.#levels6,
          words: [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)],
          length: cidr.prefixLength,
        };
  }
}

function masksOf(length: number, words: number): number[] {
  return Array.from({ length: words }, (_, i) => {
    const bits = Math.min(32, Math.max(0, length - i * 32));
    return bits === 0 ? 0 : -1 << (32 - bits);
  });
}
