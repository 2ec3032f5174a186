/** IP prefixes (RFC 4632, RFC 4291 2.3) of both versions. */
import { formatAddress, parseAddress } from './address.ts';

/** A prefix. `bytes` (4 or 16) have the host bits cleared; `hasHostBits` tells whether the text had any set. */
export interface Cidr {
  version: 4 | 6;
  bytes: Uint8Array;
  prefixLength: number;
  hasHostBits: boolean;
}

/** Parses `10.0.0.0/8` or `fd00::/64`; undefined when the text is no prefix. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const bytes = parseAddress(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  if (bytes === undefined || !/^(0|[1-9]\d{0,2})$/.test(lengthText)) return undefined;
  const prefixLength = Number(lengthText);
  if (prefixLength > bytes.length * 8) return undefined;
  const hasHostBits = clearHostBits(bytes, prefixLength);
  return { version: bytes.length === 4 ? 4 : 6, bytes, prefixLength, hasHostBits };
}

function clearHostBits(bytes: Uint8Array, prefixLength: number): boolean {
  let changed = false;
  for (let i = 0; i < bytes.length; i++) {
    const bits = Math.min(8, Math.max(0, prefixLength - i * 8));
    const masked = bytes[i] & (0xff00 >> bits) & 0xff;
    if (masked !== bytes[i]) changed = true;
    bytes[i] = masked;
  }
  return changed;
}

/** Canonical text of a prefix. */
export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.bytes)}/${cidr.prefixLength}`;
}

/** Whether the prefix holds the address; false for the other IP version and for text that is no address. */
export function contains(cidr: Cidr, address: string): boolean {
  const bytes = parseAddress(address);
  return bytes !== undefined && containsBytes(cidr, bytes);
}

/** Whether the prefix holds the 4 or 16 address bytes. */
export function containsBytes(cidr: Cidr, bytes: Uint8Array): boolean {
  if (bytes.length !== cidr.bytes.length) return false;
  const whole = cidr.prefixLength >>> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== cidr.bytes[i]) return false;
  const rest = cidr.prefixLength & 7;
  return rest === 0 || ((bytes[whole] ^ cidr.bytes[whole]) & (0xff00 >> rest)) === 0;
}

/** Whether every address of `inner` is in `outer`. */
export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return inner.prefixLength >= outer.prefixLength && containsBytes(outer, inner.bytes);
}

/** Whether two prefixes share an address. */
export function overlaps(a: Cidr, b: Cidr): boolean {
  return containsCidr(a, b) || containsCidr(b, a);
}

/** Number of addresses in the prefix; exact up to 2^53, then a power of two. */
export function cidrSize(cidr: Cidr): number {
  return 2 ** (cidr.bytes.length * 8 - cidr.prefixLength);
}

/**
 * The address `n` places after the first one of the prefix (n = 0 is the network address).
 * @throws RangeError when `n` is no integer in [0, size)
 */
export function nthAddress(cidr: Cidr, n: number): string {
  if (!Number.isSafeInteger(n) || n < 0 || n >= cidrSize(cidr)) {
    throw new RangeError(
      `Cannot take address ${n} of ${formatCidr(cidr)}: it has ${cidrSize(cidr)} addresses`,
    );
  }
  const bytes = cidr.bytes.slice();
  addAt(bytes, bytes.length * 8, n);
  return formatAddress(bytes);
}

/** The place of an address in the prefix (inverse of `nthAddress`), -1 when it is not in it. */
export function addressIndex(cidr: Cidr, address: string): number {
  const bytes = parseAddress(address);
  if (bytes === undefined || !containsBytes(cidr, bytes)) return -1;
  let index = 0;
  for (let i = cidr.prefixLength >>> 3; i < bytes.length; i++)
    index = index * 256 + (bytes[i] - cidr.bytes[i]);
  return index;
}

/**
 * The `n`th prefix of length `prefixLength` inside `cidr`, as text: a node's pod CIDR out of the cluster's.
 * @throws RangeError when there is no such prefix
 */
export function nthSubnet(cidr: Cidr, prefixLength: number, n: number): string {
  const bits = cidr.bytes.length * 8;
  const count = prefixLength > bits ? 0 : 2 ** (prefixLength - cidr.prefixLength);
  if (prefixLength < cidr.prefixLength || !Number.isSafeInteger(n) || n < 0 || n >= count) {
    throw new RangeError(`Cannot take /${prefixLength} number ${n} of ${formatCidr(cidr)}: out of range`);
  }
  const bytes = cidr.bytes.slice();
  addAt(bytes, prefixLength, n);
  return `${formatAddress(bytes)}/${prefixLength}`;
}

// Adds n * 2^(bits - place) to the address, that is n with its unit at bit `place`; the target bits are zero.
function addAt(bytes: Uint8Array, place: number, n: number): void {
  for (let bit = place - 1; n > 0 && bit >= 0; bit--) {
    if (n % 2 === 1) bytes[bit >>> 3] |= 0x80 >>> (bit & 7);
    n = Math.floor(n / 2);
  }
}
