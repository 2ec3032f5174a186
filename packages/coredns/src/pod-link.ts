import { connect, type Socket } from 'node:net';

/** A message of the link to the node agent: u32 big-endian length of what follows, one type byte, the payload. */
export const FRAME_ETHERNET = 0;
export const FRAME_CONTROL = 1;
const MAX_FRAME = 256 * 1024;

/** The pod's end of its network cable: Ethernet frames over the agent's Unix socket. */
export class PodLink {
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  onFrame: (frame: Uint8Array) => void = () => {};
  onControl: (message: unknown) => void = () => {};

  /** @param onClose called once when the agent is gone or sent what is no message */
  constructor(path: string, onClose: () => void) {
    this.#socket = connect(path);
    this.#socket.on('data', (chunk) => this.#receive(chunk as Buffer));
    this.#socket.on('error', () => {});
    this.#socket.on('close', onClose);
  }

  sendFrame(frame: Uint8Array): void {
    const message = Buffer.allocUnsafe(5 + frame.length);
    message.writeUInt32BE(1 + frame.length, 0);
    message[4] = FRAME_ETHERNET;
    message.set(frame, 5);
    this.#socket.write(message);
  }

  sendControl(value: unknown): void {
    const payload = Buffer.from(JSON.stringify(value));
    const head = Buffer.allocUnsafe(5);
    head.writeUInt32BE(1 + payload.length, 0);
    head[4] = FRAME_CONTROL;
    this.#socket.write(Buffer.concat([head, payload]));
  }

  close(): void {
    this.#socket.end();
  }

  #receive(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let at = 0;
    while (this.#pending.length - at >= 5) {
      const length = this.#pending.readUInt32BE(at);
      if (length < 1 || length > MAX_FRAME) return void this.#socket.destroy();
      if (this.#pending.length - at < 4 + length) break;
      const payload = this.#pending.subarray(at + 5, at + 4 + length);
      const type = this.#pending[at + 4];
      at += 4 + length;
      if (type === FRAME_ETHERNET) this.onFrame(payload);
      else if (type === FRAME_CONTROL) {
        try {
          this.onControl(JSON.parse(payload.toString()));
        } catch {
          return void this.#socket.destroy();
        }
      }
    }
    this.#pending = this.#pending.subarray(at);
  }
}
