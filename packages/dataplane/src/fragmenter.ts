/** Splits an IPv4 packet that is too big for the next link (RFC 791 section 3.2). */

import { readU16, writeU16 } from '@podwire/wire/big-endian';
import { fillIpv4Checksum } from '@podwire/wire/ipv4';

const OPTION_END = 0;
const OPTION_NOP = 1;
const COPIED = 0x80;

export class Fragmenter {
  readonly #packet = new Uint8Array(65_536);
  #headerLength = 0;
  #totalLength = 0;
  #position = 0;
  #mtu = 0;

  /** Takes a copy of the packet at `l3`, whose header is up to date. */
  load(frame: Uint8Array, l3: number, headerLength: number, totalLength: number, mtu: number): void {
    this.#packet.set(frame.subarray(l3, l3 + totalLength));
    this.#headerLength = headerLength;
    this.#totalLength = totalLength;
    this.#position = headerLength;
    this.#mtu = mtu;
  }

  get hasMore(): boolean {
    return this.#position < this.#totalLength;
  }

  clear(): void {
    this.#position = this.#totalLength;
  }

  /** Writes the next fragment at `offset` of `frame`; its length in bytes, 0 when none is left. */
  next(frame: Uint8Array, offset: number): number {
    if (!this.hasMore) return 0;
    const source = this.#packet;
    const first = this.#position === this.#headerLength;
    const room = (this.#mtu - this.#headerLength) & ~7;
    const size = Math.min(room, this.#totalLength - this.#position);
    for (let i = 0; i < this.#headerLength; i++) frame[offset + i] = source[i];
    if (!first) blankUncopiedOptions(frame, offset, this.#headerLength);
    frame.set(source.subarray(this.#position, this.#position + size), offset + this.#headerLength);
    const original = readU16(source, 6);
    const place = (original & 0x1fff) + (this.#position - this.#headerLength) / 8;
    this.#position += size;
    // The packet may itself be a fragment: its own "more" bit stays on the last piece.
    const more = this.hasMore ? 0x2000 : original & 0x2000;
    writeU16(frame, offset + 6, more | place);
    writeU16(frame, offset + 2, this.#headerLength + size);
    fillIpv4Checksum(frame, offset);
    return this.#headerLength + size;
  }
}

// Options without the copied flag go with the first fragment only (RFC 791 3.1).
function blankUncopiedOptions(frame: Uint8Array, offset: number, headerLength: number): void {
  let at = offset + 20;
  const end = offset + headerLength;
  while (at < end && frame[at] !== OPTION_END) {
    if (frame[at] === OPTION_NOP) {
      at++;
      continue;
    }
    const length = at + 1 < end ? frame[at + 1] : 0;
    if (length < 2 || at + length > end) return;
    if ((frame[at] & COPIED) === 0) frame.fill(OPTION_NOP, at, at + length);
    at += length;
  }
}
