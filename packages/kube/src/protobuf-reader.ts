/**
 * The protobuf wire format: varints, fixed-width numbers and length-delimited bytes
 * (protobuf.dev, "Encoding"). Every read checks bounds; malformed input throws ProtobufError and never loops.
 */
export class ProtobufError extends Error {}

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_FIXED32 = 5;

const TEXT = new TextDecoder();

export class ProtobufReader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at: number;
  private readonly end: number;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = start;
    this.end = end;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  /** A signed 64-bit varint as a number; beyond 2⁵³ it is rounded. */
  varint(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= this.end) throw new ProtobufError('unexpected end of a number');
      const byte = this.bytes[this.at++] as number;
      const group = byte & 0x7f;
      if (shift < 28) low += group * 2 ** shift;
      else if (shift === 28) {
        low += (group & 0x0f) * 2 ** 28;
        high += group >> 4;
      } else high += group * 2 ** (shift - 32);
      if (byte < 0x80) return (high | 0) * 2 ** 32 + low;
    }
    throw new ProtobufError('a number is longer than ten bytes');
  }

  /** The next field: its number and wire type. */
  tag(): { number: number; wireType: number } {
    const tag = this.varint();
    const number = Math.floor(tag / 8);
    if (number < 1 || number > 0x1fffffff) throw new ProtobufError(`field number ${number} is out of range`);
    return { number, wireType: tag % 8 };
  }

  /** A length-delimited value: a view, not a copy. */
  chunk(): Uint8Array {
    const length = this.varint();
    if (length < 0 || length > this.end - this.at) {
      throw new ProtobufError(`a value of ${length} bytes ends past its message`);
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text(): string {
    return TEXT.decode(this.chunk());
  }

  double(): number {
    this.need(8);
    const value = this.view.getFloat64(this.at, true);
    this.at += 8;
    return value;
  }

  skip(wireType: number): void {
    if (wireType === WIRE_VARINT) this.varint();
    else if (wireType === WIRE_BYTES) this.chunk();
    else if (wireType === WIRE_FIXED64) this.advance(8);
    else if (wireType === WIRE_FIXED32) this.advance(4);
    else throw new ProtobufError(`wire type ${wireType} is not supported`);
  }

  private need(length: number): void {
    if (length > this.end - this.at) throw new ProtobufError('unexpected end of a value');
  }

  private advance(length: number): void {
    this.need(length);
    this.at += length;
  }
}
