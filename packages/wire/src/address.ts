/**
 * Text forms of addresses. IPv4 is an unsigned 32-bit number, IPv6 a 16-byte Uint8Array, a MAC 6 bytes.
 * Parsers are strict (what Go's net/netip accepts, without zones) and give undefined, never throw.
 */
import { readU32, writeU16, writeU32 } from './big-endian.ts';

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const DOT = 46;

/** Dotted decimal, four parts, no leading zeros ("010" is octal to some libraries and so to nobody). */
export function parseIpv4(text: string): number | undefined {
  const length = text.length;
  if (length < 7 || length > 15) return undefined;
  let address = 0;
  let part = 0;
  let digits = 0;
  let parts = 0;
  for (let i = 0; i < length; i++) {
    const c = text.charCodeAt(i);
    if (c === DOT) {
      if (digits === 0 || parts === 3) return undefined;
      address = (address << 8) | part;
      parts++;
      part = 0;
      digits = 0;
    } else if (c >= DIGIT_0 && c <= DIGIT_9) {
      if (digits > 0 && part === 0) return undefined;
      part = part * 10 + c - DIGIT_0;
      if (part > 255) return undefined;
      digits++;
    } else {
      return undefined;
    }
  }
  if (digits === 0 || parts !== 3) return undefined;
  return ((address << 8) | part) >>> 0;
}

/** Dotted decimal text of an unsigned 32-bit address. */
export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** 16 bytes from RFC 4291 2.2 text (also with an IPv4 tail); no zone. */
export function parseIpv6(text: string): Uint8Array | undefined {
  if (text.length < 2 || text.length > 45) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const front = parseGroups(halves[0], halves.length === 1);
  const back = halves.length === 2 ? parseGroups(halves[1], true) : [];
  if (front === undefined || back === undefined) return undefined;
  const count = front.length + back.length;
  // RFC 4291 2.2: "::" stands for one or more groups.
  if (halves.length === 1 ? count !== 8 : count > 7) return undefined;
  const bytes = new Uint8Array(16);
  for (let i = 0; i < front.length; i++) writeU16(bytes, i * 2, front[i]);
  for (let i = 0; i < back.length; i++) writeU16(bytes, 16 - (back.length - i) * 2, back[i]);
  return bytes;
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (mayEndInIpv4 && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseIpv4(part);
      if (v4 === undefined) return undefined;
      groups.push(v4 >>> 16, v4 & 0xffff);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** RFC 5952 text of the 16 bytes at `offset`; v4-mapped addresses as ::ffff:192.0.2.1 (section 5). */
export function formatIpv6(bytes: Uint8Array, offset = 0): string {
  return formatIpv6Words(
    readU32(bytes, offset),
    readU32(bytes, offset + 4),
    readU32(bytes, offset + 8),
    readU32(bytes, offset + 12),
  );
}

function formatIpv6Words(w0: number, w1: number, w2: number, w3: number): string {
  if (w0 === 0 && w1 === 0 && w2 === 0xffff) return `::ffff:${formatIpv4(w3)}`;
  const groups = [
    w0 >>> 16,
    w0 & 0xffff,
    w1 >>> 16,
    w1 & 0xffff,
    w2 >>> 16,
    w2 & 0xffff,
    w3 >>> 16,
    w3 & 0xffff,
  ];
  // RFC 5952 4.2: the longest run of two or more zero groups is shortened, the first of equals.
  let runStart = -1;
  let runLength = 1;
  for (let i = 0; i < 8; i++) {
    let j = i;
    while (j < 8 && groups[j] === 0) j++;
    if (j - i > runLength) {
      runStart = i;
      runLength = j - i;
    }
    if (j > i) i = j;
  }
  let text = '';
  for (let i = 0; i < 8; i++) {
    if (i === runStart) {
      text += '::';
      i += runLength - 1;
      continue;
    }
    if (text !== '' && !text.endsWith(':')) text += ':';
    text += groups[i].toString(16);
  }
  return text;
}

/** 4, 6, or 0 when the text is no IP address. */
export function ipVersionOf(text: string): 4 | 6 | 0 {
  if (parseIpv4(text) !== undefined) return 4;
  if (text.includes(':') && parseIpv6(text) !== undefined) return 6;
  return 0;
}

/** 4 or 16 bytes of an address of either version. */
export function parseAddress(text: string): Uint8Array | undefined {
  const v4 = parseIpv4(text);
  if (v4 === undefined) return text.includes(':') ? parseIpv6(text) : undefined;
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, v4);
  return bytes;
}

/** Text of 4 or 16 address bytes; '' for any other length. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return formatIpv4(readU32(bytes, 0));
  return bytes.length === 16 ? formatIpv6(bytes) : '';
}

/** The address in one spelling (RFC 5952 for IPv6), or undefined when it is no address. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = parseAddress(text);
  return bytes && formatAddress(bytes);
}

/** Four uint32 words as `Packet` holds them: IPv4 a.b.c.d is [0, 0, 0xffff, a.b.c.d]. */
export type AddressWords = [number, number, number, number];

/** Words of an address of either version. */
export function parseAddressWords(text: string): AddressWords | undefined {
  const v4 = parseIpv4(text);
  if (v4 !== undefined) return [0, 0, 0xffff, v4];
  const bytes = text.includes(':') ? parseIpv6(text) : undefined;
  return bytes && [readU32(bytes, 0), readU32(bytes, 4), readU32(bytes, 8), readU32(bytes, 12)];
}

/** Text of four words: IPv4 when v4-mapped. */
export function formatAddressWords(w0: number, w1: number, w2: number, w3: number): string {
  return w0 === 0 && w1 === 0 && w2 === 0xffff ? formatIpv4(w3) : formatIpv6Words(w0, w1, w2, w3);
}

/** Six bytes from aa:bb:cc:dd:ee:ff (or with '-'). */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$|^[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){5}$/.test(text))
    return undefined;
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i++) bytes[i] = Number.parseInt(text.slice(i * 3, i * 3 + 2), 16);
  return bytes;
}

/** Lower-case aa:bb:cc:dd:ee:ff of the six bytes at `offset`. */
export function formatMac(bytes: Uint8Array, offset = 0): string {
  let text = '';
  for (let i = 0; i < 6; i++) {
    if (i > 0) text += ':';
    const byte = bytes[offset + i];
    text += (byte < 16 ? '0' : '') + byte.toString(16);
  }
  return text;
}
