/**
 * A TCP connection as a stream with the surface of net.Socket, so that node:http, node:http2 and node:tls
 * take it. Half-open as `allowHalfOpen: true`: after 'end' the user ends its own side.
 */
import { Duplex } from 'node:stream';
import type { Core } from './core.ts';
import { type NetworkError, type NetworkErrorCode, networkError } from './errors.ts';
import { formatIpAddress } from './ip-address.ts';
import type { ConnectionUser, TcpConnection, TcpErrorCode } from './tcp/connection.ts';
import type { Deadline } from './timers.ts';

const HIGH_WATER_MARK = 64 * 1024;

type Callback = (error?: Error | null) => void;

export class TcpSocket extends Duplex implements Deadline {
  readonly user: ConnectionUser;
  /** For look-alikes of net.Socket. */
  connecting = true;
  timeout: number | undefined = undefined;
  bytesRead = 0;
  dueMs = 0;
  heapIndex = -1;
  readonly #core: Core;
  #connection: TcpConnection | undefined;
  #over = false;
  #bytesWritten = 0;
  #remoteAddress: string | undefined;
  #remotePort: number | undefined;
  #localAddress: string | undefined;
  #localPort: number | undefined;
  #family: 'IPv4' | 'IPv6' | undefined;
  #reading = false;
  #endPushed = false;
  /** What the connection has not taken yet of the write under way. */
  #chunks: readonly Uint8Array[] = [];
  #chunkAt = 0;
  #offset = 0;
  #writeDone: Callback | undefined;
  #finalDone: Callback | undefined;
  #noDelay = false;
  #keepAliveMs = 0;
  #lastActiveMs = 0;

  /** Use `NetStack.connectTcp` or `listenTcp`. */
  constructor(core: Core) {
    super({ allowHalfOpen: true, highWaterMark: HIGH_WATER_MARK });
    this.#core = core;
    this.user = {
      connected: () => this.#connected(),
      readable: () => this.#pull(),
      writable: () => this.#push(),
      closed: (code) => this.#closed(code),
    };
  }

  get pending(): boolean {
    return this.connecting;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening';
    if (this.readable && this.writable) return 'open';
    if (this.readable) return 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** The address that the user named, also where the socket-level load balancer chose another. */
  get remoteAddress(): string | undefined {
    return this.#remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#remotePort;
  }

  get remoteFamily(): string | undefined {
    return this.#family;
  }

  get localAddress(): string | undefined {
    return this.#localAddress;
  }

  get localPort(): number | undefined {
    return this.#localPort;
  }

  get localFamily(): string | undefined {
    return this.#family;
  }

  /** Bytes given to `write`, also those not yet sent. */
  get bytesWritten(): number {
    return this.#bytesWritten + this.writableLength;
  }

  get bufferSize(): number {
    return this.writableLength;
  }

  address(): { address?: string; port?: number; family?: string } {
    return { address: this.#localAddress, port: this.#localPort, family: this.#family } as {
      address?: string;
      port?: number;
      family?: string;
    };
  }

  /** Called by the stack. `named` is the destination a connecting user named. */
  attach(connection: TcpConnection, named: { address: string; port: number } | undefined): void {
    this.#connection = connection;
    this.#remoteAddress = named?.address ?? formatIpAddress(connection.remote);
    this.#remotePort = named?.port ?? connection.remotePort;
    this.#localAddress = formatIpAddress(connection.local);
    this.#localPort = connection.localPort;
    this.#family = connection.remote.version === 4 ? 'IPv4' : 'IPv6';
    if (named === undefined) this.connecting = false;
  }

  /** Called by the stack: there is no way to connect. */
  failConnect(error: NetworkError): void {
    this.#remoteAddress = error.address;
    this.#remotePort = error.port;
    this.#over = true;
    this.destroy(error);
  }

  setNoDelay(noDelay = true): this {
    this.#noDelay = noDelay;
    if (this.#connection !== undefined) {
      this.#connection.noDelay = noDelay;
      if (noDelay) this.#connection.wantOutput();
    }
    return this;
  }

  setKeepAlive(enable: boolean | object = false, initialDelayMs = 0): this {
    const on = enable === true;
    this.#keepAliveMs = on ? initialDelayMs || 7_200_000 : 0;
    this.#connection?.setKeepAlive(on, this.#keepAliveMs);
    return this;
  }

  /** Emits 'timeout' after `timeoutMs` without traffic, as net.Socket does; 0 turns it off. */
  setTimeout(timeoutMs: number, callback?: () => void): this {
    this.timeout = timeoutMs;
    this.#core.timers.cancel(this);
    if (timeoutMs > 0 && !this.destroyed) {
      this.#lastActiveMs = this.#core.nowMs();
      this.#core.timers.wake(this, this.#lastActiveMs + timeoutMs);
      if (callback !== undefined) this.once('timeout', callback);
    } else if (callback !== undefined) this.removeListener('timeout', callback);
    return this;
  }

  expire(nowMs: number): void {
    if (this.timeout === undefined || this.timeout <= 0 || this.destroyed) return;
    const atMs = this.#lastActiveMs + this.timeout;
    if (nowMs < atMs) this.#core.timers.wake(this, atMs);
    else this.emit('timeout');
  }

  /** For look-alikes of net.Socket; a stack in the process keeps nothing alive. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** Destroys the socket once everything written was taken. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', this.destroy);
  }

  /** Closes with a reset instead of a FIN. */
  resetAndDestroy(): this {
    this.#connection?.abort();
    return this.destroy();
  }

  override _read(): void {
    this.#reading = true;
    this.#pull();
  }

  override _write(chunk: Uint8Array | string, encoding: BufferEncoding, done: Callback): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
    this.#startWrite([bytes], done);
  }

  override _writev(chunks: { chunk: Uint8Array | string; encoding: BufferEncoding }[], done: Callback): void {
    this.#startWrite(
      chunks.map(({ chunk, encoding }) => (typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)),
      done,
    );
  }

  override _final(done: Callback): void {
    if (this.connecting) {
      this.#finalDone = done;
      return;
    }
    this.#connection?.shutdown();
    done();
  }

  override _destroy(error: Error | null, done: Callback): void {
    this.connecting = false;
    this.#core.timers.cancel(this);
    const connection = this.#connection;
    if (connection !== undefined && !this.#over) {
      this.#over = true;
      connection.close();
    }
    if (connection !== undefined) connection.user = undefined;
    const writeDone = this.#writeDone;
    const finalDone = this.#finalDone;
    this.#writeDone = undefined;
    this.#finalDone = undefined;
    this.#chunks = [];
    const reason = error ?? networkError('write', 'ECONNABORTED', this.#remoteAddress, this.#remotePort);
    writeDone?.(reason);
    finalDone?.(reason);
    done(error);
  }

  #connected(): void {
    const connection = this.#connection;
    if (connection === undefined || this.destroyed) return;
    connection.noDelay = this.#noDelay;
    if (this.#keepAliveMs > 0) connection.setKeepAlive(true, this.#keepAliveMs);
    if (!this.connecting) return;
    this.connecting = false;
    this.#active();
    this.emit('connect');
    this.emit('ready');
    this.#push();
    const finalDone = this.#finalDone;
    this.#finalDone = undefined;
    if (finalDone !== undefined) this._final(finalDone);
  }

  // Hands received bytes to the reader until it has enough.
  #pull(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#endPushed) return;
    while (this.#reading && !this.destroyed) {
      const chunk = connection.read();
      if (chunk === undefined) break;
      this.bytesRead += chunk.length;
      this.#active();
      this.#reading = false;
      // push calls _read again, before or after it returns, when the reader wants more.
      if (this.push(chunk)) this.#reading = true;
    }
    if (connection.ended && !this.#endPushed && !this.destroyed) {
      this.#endPushed = true;
      this.push(null);
      // Nobody listens for data: 'end' must still come, as net.Socket sees to.
      if (this.readableLength === 0) this.read(0);
    }
  }

  #startWrite(chunks: readonly Uint8Array[], done: Callback): void {
    this.#chunks = chunks;
    this.#chunkAt = 0;
    this.#offset = 0;
    this.#writeDone = done;
    if (!this.connecting) this.#push();
  }

  // Gives the write under way to the connection, as far as that has room.
  #push(): void {
    const connection = this.#connection;
    const done = this.#writeDone;
    if (connection === undefined || done === undefined) return;
    this.#active();
    while (this.#chunkAt < this.#chunks.length) {
      const chunk = this.#chunks[this.#chunkAt];
      const taken = connection.write(chunk, this.#offset);
      this.#offset += taken;
      this.#bytesWritten += taken;
      if (this.#offset < chunk.length) return;
      this.#chunkAt++;
      this.#offset = 0;
    }
    this.#chunks = [];
    this.#writeDone = undefined;
    done();
  }

  #closed(code: TcpErrorCode | undefined): void {
    this.#over = true;
    if (this.destroyed) return;
    if (code === undefined) {
      // An orderly end: what was received is still read, then the stream closes by itself.
      this.#pull();
      return;
    }
    if (code === 'ECONNABORTED') {
      // Ended from our own side, for instance with the whole stack.
      this.destroy();
      return;
    }
    const syscall = this.connecting ? 'connect' : code === 'EPIPE' ? 'write' : 'read';
    const [address, port] = this.connecting ? [this.#remoteAddress, this.#remotePort] : [];
    this.destroy(networkError(syscall, code as NetworkErrorCode, address, port));
  }

  #active(): void {
    if (this.timeout !== undefined) this.#lastActiveMs = this.#core.nowMs();
  }
}
