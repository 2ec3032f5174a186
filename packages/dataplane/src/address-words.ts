/** Addresses as four signed 32-bit words (IPv4 v4-mapped), the form in which tables are compared with packets. */

import { parseAddressWords } from '@podwire/wire/address';
import { WordMap } from './word-map.ts';

export type Words = readonly [number, number, number, number];

export const NO_WORDS: Words = [0, 0, 0, 0];

/**
 * Signed words of an address of either version.
 * @throws Error when the text is no address
 */
export function wordsOf(address: string): Words {
  const words = parseAddressWords(address);
  if (words === undefined) throw new Error(`Cannot use "${address}": it is no IP address`);
  return [words[0] | 0, words[1] | 0, words[2] | 0, words[3] | 0];
}

/** Whether words stand for an IPv4 address. */
export function isIpv4Words(words: Words): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
}

/** A set of addresses that is asked without allocating. */
export class AddressSet {
  readonly #map = new WordMap(4);

  add(address: string): void {
    this.#map.key.set(wordsOf(address));
    this.#map.set(1);
  }

  has(w0: number, w1: number, w2: number, w3: number): boolean {
    const key = this.#map.key;
    key[0] = w0;
    key[1] = w1;
    key[2] = w2;
    key[3] = w3;
    return this.#map.find() >= 0;
  }
}
