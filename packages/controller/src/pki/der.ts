/*
 * The few DER types that an X.509 certificate is made of (ITU-T X.690).
 *
 *   identifier | length (short form below 128, else 0x80 + count and that many bytes) | content
 */

export type Der = Buffer;

function element(identifier: number, content: Buffer): Der {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(identifier, length), content]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 0xff);
  return Buffer.concat([Buffer.of(identifier, 0x80 | bytes.length, ...bytes), content]);
}

export function sequence(...parts: Der[]): Der {
  return element(0x30, Buffer.concat(parts));
}

export function set(...parts: Der[]): Der {
  return element(0x31, Buffer.concat(parts));
}

/** `[number]` around whole elements. */
export function explicit(number: number, ...parts: Der[]): Der {
  return element(0xa0 | number, Buffer.concat(parts));
}

/** `[number] IMPLICIT` of a primitive type, given its content. */
export function implicit(number: number, content: Uint8Array): Der {
  return element(0x80 | number, Buffer.from(content));
}

/** A non-negative integer, big-endian bytes. */
export function integer(magnitude: Uint8Array | number): Der {
  let bytes = typeof magnitude === 'number' ? Buffer.of(magnitude) : Buffer.from(magnitude);
  while (bytes.length > 1 && bytes[0] === 0 && bytes[1]! < 0x80) bytes = bytes.subarray(1);
  return element(0x02, bytes[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}

export function boolean(value: boolean): Der {
  return element(0x01, Buffer.of(value ? 0xff : 0));
}

/** Whole bytes, or fewer bits of the last one. */
export function bitString(content: Uint8Array, unusedBits = 0): Der {
  return element(0x03, Buffer.concat([Buffer.of(unusedBits), content]));
}

export function octetString(content: Uint8Array): Der {
  return element(0x04, Buffer.from(content));
}

export function utf8String(text: string): Der {
  return element(0x0c, Buffer.from(text));
}

/** Dotted decimal: `2.5.4.3`. */
export function objectIdentifier(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const content: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc & 0x7f];
    for (let high = arc >>> 7; high > 0; high >>>= 7) groups.unshift((high & 0x7f) | 0x80);
    content.push(...groups);
  }
  return element(0x06, Buffer.from(content));
}

/** UTCTime before 2050, GeneralizedTime from then on (RFC 5280, 4.1.2.5); whole seconds. */
export function time(epochMs: number): Der {
  const text = `${new Date(epochMs).toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`;
  return text < '2050' ? element(0x17, Buffer.from(text.slice(2))) : element(0x18, Buffer.from(text));
}
