import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import type { UdpPeer } from '@podwire/netstack/udp-socket';
import type { AgnhostContext } from './context.ts';

/** Go's answer to what is no HTTP request. */
const BAD_REQUEST =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request';

/** The sockets of one command; all close together. */
export class Listeners {
  readonly #context: AgnhostContext;
  readonly #closers: (() => void)[] = [];
  readonly #open = new Set<TcpSocket>();

  constructor(context: AgnhostContext) {
    this.#context = context;
  }

  /** Throws an error with code EADDRINUSE. */
  tcp(port: number, onConnection: (socket: TcpSocket) => void): void {
    const listener = this.#context.sandbox.stack.listenTcp({ port }, (socket) => {
      this.#open.add(socket);
      socket.on('close', () => this.#open.delete(socket));
      socket.on('error', () => {});
      onConnection(socket);
    });
    this.#closers.push(() => listener.close());
  }

  http(port: number, handle: (request: IncomingMessage, response: ServerResponse) => void): void {
    const server = createServer((request, response) => {
      request.resume();
      handle(request, response);
    });
    server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end(BAD_REQUEST);
      else socket.destroy();
    });
    this.tcp(port, (socket) => server.emit('connection', socket));
  }

  udp(port: number, answer: (message: Buffer, peer: UdpPeer) => string | undefined): void {
    const socket = this.#context.sandbox.stack.bindUdp({ port });
    socket.on('message', (message, peer) => {
      const text = answer(message, peer);
      if (text !== undefined) socket.send(text, peer.port, peer.address, () => {});
    });
    socket.on('error', () => {});
    this.#closers.push(() => socket.close());
  }

  close(): void {
    for (const close of this.#closers.splice(0)) close();
    for (const socket of this.#open) socket.destroySoon();
  }
}

/** `10.0.0.1:80` and `[fd00::1]:80`, as Go prints them. */
export function hostPort(address: string | undefined, port: number | undefined): string {
  return address?.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
