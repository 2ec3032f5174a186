/** Random header fields for property tests. */
import fc from 'fast-check';

export const u8 = fc.nat(0xff);
export const u16 = fc.nat(0xffff);
export const u24 = fc.nat(0xffffff);
export const u32 = fc.nat(0xffffffff);
export const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });
export const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 });

/** Random bytes whose first byte is often `first`, so that parsers get past their first test. */
export function bytesLike(first: number[], maxLength: number): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.uint8Array({ maxLength, size: 'max' }), fc.constantFrom(...first, undefined))
    .map(([bytes, byte]) => {
      if (byte !== undefined && bytes.length > 0) bytes[0] = byte;
      return bytes;
    });
}
