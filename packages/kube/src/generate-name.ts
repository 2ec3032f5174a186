/**
 * Random name suffixes (apiserver `pkg/storage/names/generate.go`, apimachinery `pkg/util/rand`): no vowels and no
 * look-alike digits, so that a suffix spells nothing.
 */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
const MAX_NAME_LENGTH = 63;

/** `random32` gives uniform unsigned 32-bit numbers. */
export function randomSuffix(random32: () => number, length: number = SUFFIX_LENGTH): string {
  let result = '';
  for (let i = 0; i < length; i++) result += ALPHABET[random32() % ALPHABET.length];
  return result;
}

/** The name for `metadata.generateName`; long bases are cut so that the whole is a DNS label. */
export function generateName(base: string, random32: () => number): string {
  return base.slice(0, MAX_NAME_LENGTH - SUFFIX_LENGTH) + randomSuffix(random32);
}

/** Turns digits of a hash into the alphabet of suffixes: how `pod-template-hash` values are spelled. */
export function safeEncode(text: string): string {
  let result = '';
  for (let i = 0; i < text.length; i++) result += ALPHABET[text.charCodeAt(i) % ALPHABET.length];
  return result;
}

/** FNV-1a over UTF-8, 32 bit, unsigned. */
export function fnv32a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
