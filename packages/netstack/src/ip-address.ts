/**
 * Addresses as the stack compares and hashes them: four 32-bit words, signed, so that V8 keeps small integers.
 * IPv4 a.b.c.d is [0, 0, 0xffff, a.b.c.d] (v4-mapped), as in wire's `Packet`.
 */
import { formatAddressWords, parseAddressWords } from '@podwire/wire/address';

export interface IpAddress {
  readonly version: 4 | 6;
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
}

export const ANY_V4: IpAddress = { version: 4, w0: 0, w1: 0, w2: 0xffff, w3: 0 };
export const ANY_V6: IpAddress = { version: 6, w0: 0, w1: 0, w2: 0, w3: 0 };
export const LOOPBACK_V4: IpAddress = { version: 4, w0: 0, w1: 0, w2: 0xffff, w3: 0x7f000001 };
export const LOOPBACK_V6: IpAddress = { version: 6, w0: 0, w1: 0, w2: 0, w3: 1 };

/** The address of four words (of either sign). */
export function addressOfWords(w0: number, w1: number, w2: number, w3: number): IpAddress {
  const v4 = w0 === 0 && w1 === 0 && w2 === 0xffff;
  return { version: v4 ? 4 : 6, w0: w0 | 0, w1: w1 | 0, w2: w2 | 0, w3: w3 | 0 };
}

/** Parses text of either version; a zone (`%eth0`) is ignored because a stack has one link. */
export function parseIpAddress(text: string): IpAddress | undefined {
  const percent = text.indexOf('%');
  const words = parseAddressWords(percent < 0 ? text : text.slice(0, percent));
  return words && addressOfWords(words[0], words[1], words[2], words[3]);
}

export function formatIpAddress(a: IpAddress): string {
  return formatAddressWords(a.w0 >>> 0, a.w1 >>> 0, a.w2 >>> 0, a.w3 >>> 0);
}

export function sameAddress(a: IpAddress, b: IpAddress): boolean {
  return a.w3 === b.w3 && a.w2 === b.w2 && a.w1 === b.w1 && a.w0 === b.w0;
}

/** 0.0.0.0 or ::. */
export function isUnspecified(a: IpAddress): boolean {
  return a.w3 === 0 && a.w0 === 0 && a.w1 === 0 && (a.w2 === 0 || a.w2 === 0xffff);
}

/** 224.0.0.0/4 or ff00::/8. */
export function isMulticast(a: IpAddress): boolean {
  return a.version === 4 ? a.w3 >>> 28 === 14 : a.w0 >>> 24 === 255;
}

/** 255.255.255.255. */
export function isLimitedBroadcast(a: IpAddress): boolean {
  return a.version === 4 && a.w3 === -1;
}

/** fe80::/10 (169.254.0.0/16 is not treated specially: pod gateways use it). */
export function isLinkLocalV6(a: IpAddress): boolean {
  return a.version === 6 && a.w0 >>> 22 === 0x3fa;
}

/** Whether the first `prefixLength` bits (of 32 or 128) are equal. */
export function samePrefix(a: IpAddress, b: IpAddress, prefixLength: number): boolean {
  if (a.version !== b.version) return false;
  if (a.version === 4) return prefixLength === 0 || (a.w3 ^ b.w3) >>> (32 - prefixLength) === 0;
  return (
    sameBits(a.w0, b.w0, prefixLength) &&
    sameBits(a.w1, b.w1, prefixLength - 32) &&
    sameBits(a.w2, b.w2, prefixLength - 64) &&
    sameBits(a.w3, b.w3, prefixLength - 96)
  );
}

function sameBits(a: number, b: number, bits: number): boolean {
  if (bits <= 0) return true;
  return bits >= 32 ? a === b : (a ^ b) >>> (32 - bits) === 0;
}

/** Reads the address of an IP header field: 4 bytes at `offset` for version 4, else 16. */
export function readAddress(frame: Uint8Array, offset: number, version: number): IpAddress {
  if (version === 4) return { version: 4, w0: 0, w1: 0, w2: 0xffff, w3: readI32(frame, offset) };
  return {
    version: 6,
    w0: readI32(frame, offset),
    w1: readI32(frame, offset + 4),
    w2: readI32(frame, offset + 8),
    w3: readI32(frame, offset + 12),
  };
}

/** Writes 4 or 16 bytes at `offset`. */
export function writeAddress(frame: Uint8Array, offset: number, a: IpAddress): void {
  if (a.version === 4) {
    writeI32(frame, offset, a.w3);
    return;
  }
  writeI32(frame, offset, a.w0);
  writeI32(frame, offset + 4, a.w1);
  writeI32(frame, offset + 8, a.w2);
  writeI32(frame, offset + 12, a.w3);
}

/** A Map key, unique over both versions. */
export function addressKey(a: IpAddress): number | string {
  return a.version === 4 ? a.w3 : `${a.w0},${a.w1},${a.w2},${a.w3}`;
}

export function readI32(frame: Uint8Array, offset: number): number {
  return (frame[offset] << 24) | (frame[offset + 1] << 16) | (frame[offset + 2] << 8) | frame[offset + 3];
}

export function writeI32(frame: Uint8Array, offset: number, value: number): void {
  frame[offset] = value >>> 24;
  frame[offset + 1] = value >>> 16;
  frame[offset + 2] = value >>> 8;
  frame[offset + 3] = value;
}
