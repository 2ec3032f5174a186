import { isIPv4, isIPv6 } from 'node:net';
import { invalidField } from '../field-error.ts';
import type { Errors } from './checks.ts';

/**
 * IP addresses and prefixes in fields (apimachinery `pkg/util/validation/ip.go`). As with the server's strict checking, parts
 * with leading zeros and IPv4-mapped IPv6 addresses are refused: programs differ in what they mean.
 */
export interface AddressBits {
  readonly version: 4 | 6;
  readonly bits: bigint;
}

const WIDTH = { 4: 32, 6: 128 } as const;

/** Undefined for text that is no address; zone suffixes are none. */
export function parseAddressBits(text: string): AddressBits | undefined {
  if (isIPv4(text)) return { version: 4, bits: ipv4Bits(text) };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  let rest = text;
  let tail: string[] = [];
  const lastColon = rest.lastIndexOf(':');
  if (rest.includes('.')) {
    const low = ipv4Bits(rest.slice(lastColon + 1));
    tail = [(low >> 16n).toString(16), (low & 0xffffn).toString(16)];
    rest = rest.slice(0, lastColon + 1);
    if (rest.endsWith(':') && !rest.endsWith('::')) rest = rest.slice(0, -1);
  }
  const [head = '', compressed] = rest.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = compressed === undefined || compressed === '' ? [] : compressed.split(':');
  const groups = [...after, ...tail];
  const zeros = compressed === undefined ? [] : new Array(8 - before.length - groups.length).fill('0');
  let bits = 0n;
  for (const group of [...before, ...zeros, ...groups]) bits = (bits << 16n) | BigInt(`0x${group}`);
  return { version: 6, bits };
}

function ipv4Bits(text: string): bigint {
  return text.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function isMappedIpv4(address: AddressBits): boolean {
  return address.version === 6 && address.bits >> 32n === 0xffffn;
}

export interface PrefixBits extends AddressBits {
  readonly length: number;
}

export function parsePrefixBits(text: string): PrefixBits | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = match === null ? undefined : parseAddressBits(match[1] as string);
  const length = Number(match?.[2]);
  return address === undefined || length > WIDTH[address.version] ? undefined : { ...address, length };
}

/** True when `inner` lies in `outer` and is smaller. */
export function isStrictSubset(inner: PrefixBits, outer: PrefixBits): boolean {
  if (inner.version !== outer.version || outer.length >= inner.length) return false;
  const shift = BigInt(WIDTH[outer.version] - outer.length);
  return inner.bits >> shift === outer.bits >> shift;
}

/** Decimal parts with leading zeros, which Node's parser refuses and Go's old one took. */
const LEADING_ZEROS = /(^|[.:/])0+[0-9]/;

/** Adds errors and returns the address when there is none. */
export function checkAddress(errors: Errors, text: string, field: string): AddressBits | undefined {
  const address = parseAddressBits(text);
  if (address === undefined) {
    const zeros = /^[0-9.]+$/.test(text) && LEADING_ZEROS.test(text) && isIPv4(withoutLeadingZeros(text));
    const detail = zeros
      ? 'must not have leading 0s'
      : 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
    errors.push(invalidField(field, text, detail));
    return undefined;
  }
  if (!isMappedIpv4(address)) return address;
  errors.push(invalidField(field, text, 'must not be an IPv4-mapped IPv6 address'));
  return undefined;
}

export function checkPrefix(errors: Errors, text: string, field: string): PrefixBits | undefined {
  const prefix = parsePrefixBits(text);
  const zeros = LEADING_ZEROS.test(text.replace(/^[^/]*:/, ''));
  if (prefix === undefined || /\/0\d/.test(text)) {
    const fixed = parsePrefixBits(withoutLeadingZeros(text));
    const detail =
      zeros && fixed !== undefined
        ? 'must not have leading 0s in IP or prefix length'
        : 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
    errors.push(invalidField(field, text, detail));
    return undefined;
  }
  if (!isMappedIpv4(prefix)) return prefix;
  errors.push(invalidField(field, text, 'must not have an IPv4-mapped IPv6 address'));
  return undefined;
}

function withoutLeadingZeros(text: string): string {
  return text.replace(/(^|[./])0+(?=\d)/g, '$1');
}

/**
 * Addresses that name no machine of their own (pkg/apis/core/validation, ValidateNonSpecialIP). Unlike upstream's, loopback
 * addresses are none of them: the nodes of a lab have such.
 */
export function checkNonSpecialAddress(errors: Errors, text: string, field: string): void {
  const address = parseAddressBits(text);
  if (address === undefined) {
    errors.push(invalidField(field, text, 'must be a valid IP address'));
    return;
  }
  const { version, bits } = address;
  const top = (count: number) => bits >> BigInt(WIDTH[version] - count);
  if (bits === 0n) errors.push(invalidField(field, text, `may not be unspecified (${text})`));
  if (version === 4 ? top(16) === 0xa9fen : top(10) === 0x3fan) {
    errors.push(invalidField(field, text, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'));
  }
  if (version === 4 ? top(24) === 0xe00000n : top(16) === 0xff02n) {
    const detail = 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)';
    errors.push(invalidField(field, text, detail));
  }
}
