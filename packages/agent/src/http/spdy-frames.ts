/**
 * Frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, section 2.2), which kubectl still speaks for exec and
 * port-forward.
 *
 *    control   |1| version 15 | type 16 | flags 8 | length 24 | data
 *    data      |0| stream id 31         | flags 8 | length 24 | data
 */

export const SYN_STREAM = 1;
export const SYN_REPLY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const GOAWAY = 7;
export const HEADERS = 8;
export const WINDOW_UPDATE = 9;

export const FLAG_FIN = 1;

/** RST_STREAM: the stream is no longer wanted. */
export const STATUS_CANCEL = 5;
/** RST_STREAM: no more streams are taken. */
export const STATUS_REFUSED_STREAM = 3;

const VERSION = 3;
const HEAD_BYTES = 8;
/** No frame of kubectl comes near it. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024;

export type SpdyFrame =
  | { readonly kind: 'data'; readonly streamId: number; readonly flags: number; readonly data: Buffer }
  | { readonly kind: 'control'; readonly type: number; readonly flags: number; readonly data: Buffer };

/** The other side does not speak SPDY/3.1: the connection cannot be read on. */
export class SpdyError extends Error {}

/** Cuts a stream into frames, however its bytes come. */
export class SpdyFrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #needed = HEAD_BYTES;

  /**
   * The frames that `chunk` completes.
   * @throws SpdyError
   */
  *push(chunk: Buffer): Generator<SpdyFrame> {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return;
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    let at = 0;
    this.#needed = HEAD_BYTES;
    while (bytes.length - at >= HEAD_BYTES) {
      const word = bytes.readUInt32BE(at);
      const flags = bytes[at + 4]!;
      const length = bytes.readUIntBE(at + 5, 3);
      if (length > MAX_FRAME_BYTES) throw new SpdyError(`a frame of ${length} bytes is too long`);
      if (bytes.length - at < HEAD_BYTES + length) {
        this.#needed = HEAD_BYTES + length;
        break;
      }
      const data = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
      at += HEAD_BYTES + length;
      if (word < 0x8000_0000) yield { kind: 'data', streamId: word, flags, data };
      else if (((word >>> 16) & 0x7fff) === VERSION)
        yield { kind: 'control', type: word & 0xffff, flags, data };
      else throw new SpdyError(`version ${(word >>> 16) & 0x7fff} is not 3`);
    }
    this.#chunks = at === bytes.length ? [] : [bytes.subarray(at)];
    this.#bytes = bytes.length - at;
  }
}

export function dataFrame(streamId: number, flags: number, data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + data.length);
  frame.writeUInt32BE(streamId, 0);
  frame[4] = flags;
  frame.writeUIntBE(data.length, 5, 3);
  frame.set(data, HEAD_BYTES);
  return frame;
}

export function controlFrame(type: number, flags: number, data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + data.length);
  frame.writeUInt16BE(0x8000 | VERSION, 0);
  frame.writeUInt16BE(type, 2);
  frame[4] = flags;
  frame.writeUIntBE(data.length, 5, 3);
  frame.set(data, HEAD_BYTES);
  return frame;
}

export function resetFrame(streamId: number, status: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeUInt32BE(streamId, 0);
  data.writeUInt32BE(status, 4);
  return controlFrame(RST_STREAM, 0, data);
}
