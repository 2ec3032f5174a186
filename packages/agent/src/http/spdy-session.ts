/**
 * The server's end of a SPDY/3.1 connection: streams that the client opens, each a Duplex. Like the clients of
 * Kubernetes, it neither sends nor heeds flow control of streams: the connection's own backpressure bounds them.
 */
import { Duplex } from 'node:stream';
import {
  controlFrame,
  dataFrame,
  FLAG_FIN,
  GOAWAY,
  PING,
  RST_STREAM,
  resetFrame,
  SpdyError,
  type SpdyFrame,
  SpdyFrameReader,
  STATUS_CANCEL,
  STATUS_REFUSED_STREAM,
  SYN_REPLY,
  SYN_STREAM,
} from './spdy-frames.ts';
import { HeaderInflater, HeaderWriter } from './spdy-headers.ts';

const MAX_STREAMS = 1024;
/** Bytes a stream's reader may be behind before the whole connection waits for it. */
const MAX_BEHIND_BYTES = 1024 * 1024;
const MAX_DATA_BYTES = 64 * 1024;

export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly #session: SpdySession;
  #drained: () => void = () => {};

  constructor(session: SpdySession, id: number, headers: ReadonlyMap<string, string>) {
    super({ allowHalfOpen: true });
    this.#session = session;
    this.id = id;
    this.headers = headers;
    this.on('error', () => {});
  }

  /** Takes what came; settles when the connection may be read on. */
  arrived(data: Buffer): Promise<void> | undefined {
    if (this.push(Buffer.from(data)) || this.readableLength < MAX_BEHIND_BYTES) return undefined;
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.once('close', resolve);
    });
  }

  override _read(): void {
    this.#drained();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    for (let at = 0; at + MAX_DATA_BYTES < chunk.length; at += MAX_DATA_BYTES) {
      this.#session.send(dataFrame(this.id, 0, chunk.subarray(at, at + MAX_DATA_BYTES)));
    }
    const last = Math.floor(Math.max(0, chunk.length - 1) / MAX_DATA_BYTES) * MAX_DATA_BYTES;
    this.#session.send(dataFrame(this.id, 0, chunk.subarray(last)), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#session.send(dataFrame(this.id, FLAG_FIN, new Uint8Array(0)), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const isOver = this.readableEnded && this.writableFinished;
    this.#session.forget(this, !isOver);
    done(error);
  }
}

export interface SpdySessionOptions {
  /** The connection after its upgrade. */
  readonly connection: Duplex;
  readonly onStream: (stream: SpdyStream) => void;
  /** The client has gone, or said what is no SPDY. */
  readonly onClose: () => void;
}

export class SpdySession {
  readonly #options: SpdySessionOptions;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #inflater = new HeaderInflater();
  readonly #writer = new HeaderWriter();
  #closed = false;

  constructor(options: SpdySessionOptions) {
    this.#options = options;
    options.connection.on('error', () => {});
    void this.#read()
      .catch(() => {})
      .then(() => this.close());
  }

  /** Ends the connection once everything written has left. */
  end(): void {
    if (!this.#closed) this.#options.connection.end(controlFrame(GOAWAY, 0, new Uint8Array(8)));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of this.#streams.values()) stream.destroy();
    this.#inflater.close();
    this.#options.connection.destroy();
    this.#options.onClose();
  }

  send(frame: Buffer, done?: (error?: Error | null) => void): void {
    const { connection } = this.#options;
    if (this.#closed || !connection.writable) done?.(new Error('the client has gone'));
    else connection.write(frame, done);
  }

  forget(stream: SpdyStream, isReset: boolean): void {
    if (!this.#streams.delete(stream.id) || !isReset) return;
    this.send(resetFrame(stream.id, STATUS_CANCEL));
  }

  async #read(): Promise<void> {
    const reader = new SpdyFrameReader();
    for await (const chunk of this.#options.connection as AsyncIterable<Buffer>) {
      for (const frame of reader.push(chunk)) await this.#take(frame);
    }
  }

  #take(frame: SpdyFrame): Promise<void> | undefined {
    if (frame.kind === 'data') {
      const stream = this.#streams.get(frame.streamId);
      const waits = frame.data.length > 0 ? stream?.arrived(frame.data) : undefined;
      if ((frame.flags & FLAG_FIN) !== 0) stream?.push(null);
      return waits;
    }
    switch (frame.type) {
      case SYN_STREAM:
        return this.#open(frame.flags, frame.data);
      case RST_STREAM:
        if (frame.data.length < 8) throw new SpdyError('RST_STREAM is cut');
        this.#streams.get(frame.data.readUInt32BE(0))?.destroy();
        return undefined;
      case PING:
        this.send(controlFrame(PING, 0, frame.data));
        return undefined;
      default:
        // SETTINGS, WINDOW_UPDATE, GOAWAY and what is unknown ask for nothing.
        return undefined;
    }
  }

  async #open(flags: number, data: Buffer): Promise<void> {
    if (data.length < 10) throw new SpdyError('SYN_STREAM is cut');
    const id = data.readUInt32BE(0) & 0x7fff_ffff;
    const headers = await this.#inflater.read(data.subarray(10));
    if (id === 0 || this.#streams.has(id)) throw new SpdyError(`stream ${id} cannot be opened`);
    if (this.#streams.size >= MAX_STREAMS) {
      this.send(resetFrame(id, STATUS_REFUSED_STREAM));
      return;
    }
    const stream = new SpdyStream(this, id, headers);
    this.#streams.set(id, stream);
    const reply = Buffer.alloc(4);
    reply.writeUInt32BE(id);
    this.send(controlFrame(SYN_REPLY, 0, Buffer.concat([reply, this.#writer.write(new Map())])));
    if ((flags & FLAG_FIN) !== 0) stream.push(null);
    this.#options.onStream(stream);
  }
}
