/**
 * The stream between the agent and an external pod: each frame is a length (u32, big-endian, of type and payload), a type
 * byte and a payload.
 */

export const EXTERNAL_ETHERNET = 0;
export const EXTERNAL_CONTROL = 1;

/** Longest payload: a jumbo Ethernet frame, or a control message with the files of a container. */
const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024;

const HEAD_BYTES = 5;

export interface ExternalFrame {
  readonly type: number;
  /** Valid until the next `push`. */
  readonly payload: Uint8Array;
}

/** Writes one frame. */
export function encodeExternalFrame(type: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  bytes.writeUInt32BE(payload.length + 1, 0);
  bytes[4] = type;
  bytes.set(payload, HEAD_BYTES);
  return bytes;
}

/** The other side broke the protocol: the stream cannot be read on. */
export class ExternalFrameError extends Error {}

/** Cuts a stream into frames, however its bytes come. */
export class ExternalFrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Bytes needed before anything can be read: a head, or the whole of a begun frame. */
  #needed = HEAD_BYTES;

  /**
   * The frames that `chunk` completes.
   * @throws ExternalFrameError for a length that no frame can have
   */
  *push(chunk: Buffer): Generator<ExternalFrame> {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return;
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    let at = 0;
    this.#needed = HEAD_BYTES;
    while (bytes.length - at >= HEAD_BYTES) {
      const length = bytes.readUInt32BE(at);
      if (length < 1 || length > MAX_PAYLOAD_BYTES + 1) {
        throw new ExternalFrameError(`a frame of ${length} bytes cannot be: 1 to ${MAX_PAYLOAD_BYTES + 1}`);
      }
      if (bytes.length - at < 4 + length) {
        this.#needed = 4 + length;
        break;
      }
      yield { type: bytes[at + 4]!, payload: bytes.subarray(at + HEAD_BYTES, at + 4 + length) };
      at += 4 + length;
    }
    this.#chunks = at === bytes.length ? [] : [bytes.subarray(at)];
    this.#bytes = bytes.length - at;
  }
}
