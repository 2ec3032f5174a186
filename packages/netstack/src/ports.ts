/**
 * Ephemeral ports 32768 to 60999 (Linux net.ipv4.ip_local_port_range), by RFC 6056 algorithm 3: a keyed hash
 * of the destination gives an offset, a counter steps on from there.
 */
import { type HashKey, keyedHash } from './keyed-hash.ts';

export const FIRST_EPHEMERAL_PORT = 32_768;
export const LAST_EPHEMERAL_PORT = 60_999;
const COUNT = LAST_EPHEMERAL_PORT - FIRST_EPHEMERAL_PORT + 1;

export class PortAllocator {
  readonly #key: HashKey;
  #counter: number;

  constructor(key: HashKey, start: number) {
    this.#key = key;
    this.#counter = start % COUNT;
  }

  /** The next port for which `isFree` holds; 0 when there is none. */
  allocate(words: readonly number[], isFree: (port: number) => boolean): number {
    const offset = (keyedHash(this.#key, words) >>> 0) % COUNT;
    for (let i = 0; i < COUNT; i++) {
      this.#counter = (this.#counter + 1) % COUNT;
      const port = FIRST_EPHEMERAL_PORT + ((offset + this.#counter) % COUNT);
      if (isFree(port)) return port;
    }
    return 0;
  }
}
