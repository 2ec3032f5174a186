/**
 * HTTPS on the node's address and port 10250, as a kubelet's: logs, exec, attach, port-forward, and the agent's own
 * `/podwire` endpoints.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { isAllowed } from './access.ts';
import { matchRoute, type Route, type RouteMatch } from './route.ts';

export const KUBELET_PORT = 10_250;

/** Longest body of a request. */
const MAX_BODY_BYTES = 64 * 1024;

/** Bytes of a WebSocket message: what kubectl cp sends at once, with room. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

export interface HttpServerOptions {
  readonly address: string;
  readonly port: number;
  readonly keyPem: string;
  readonly certPem: string;
  readonly caPem: string;
  readonly joinToken: string;
  readonly routes: readonly Route[];
  readonly onError: (error: unknown, path: string) => void;
}

/** Answered as its status and text. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export class HttpServer {
  readonly #server: Server;
  readonly #options: HttpServerOptions;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
  });
  readonly #chosen = new WeakMap<IncomingMessage, string>();

  /** Resolves once it listens; rejects with code EADDRINUSE or EADDRNOTAVAIL. */
  static async open(options: HttpServerOptions): Promise<HttpServer> {
    const server = new HttpServer(options);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject);
      server.#server.listen(options.port, options.address, () => {
        server.#server.off('error', reject);
        resolve();
      });
    });
    return server;
  }

  private constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createServer({
      key: options.keyPem,
      cert: options.certPem,
      ca: options.caPem,
      requestCert: true,
      // Others may come with the join credential; every request is checked.
      rejectUnauthorized: false,
      requestTimeout: 30_000,
    });
    this.#server.on('request', (request, response) => void this.#serve(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#sockets.on('headers', (headers, request) => {
      headers.push(`Sec-WebSocket-Protocol: ${this.#chosen.get(request)}`);
    });
    this.#server.on('clientError', (_error, socket) => socket.destroy());
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    for (const client of this.#sockets.clients) client.terminate();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const found = this.#find(request);
      if (found.route.http === undefined) throw new HttpError(400, 'Upgrade request required');
      const body = request.method === 'POST' ? await readJson(request) : undefined;
      await found.route.http({ ...found.match, body, request, response });
    } catch (error) {
      const status = error instanceof HttpError ? error.status : 500;
      if (status === 500) this.#options.onError(error, request.url ?? '');
      if (response.headersSent) response.destroy();
      else respondText(response, status, `${(error as Error).message}\n`);
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    try {
      const { route, match } = this.#find(request);
      const call = { ...match, body: undefined };
      if (/^spdy\/3\.1$/i.test(request.headers.upgrade ?? '')) {
        const protocol = choose(route.spdyProtocols ?? [], request.headers['x-stream-protocol-version']);
        const serve = route.spdy?.(call);
        if (serve === undefined) throw new HttpError(400, 'This path takes no upgrade');
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
        );
        if (head.length > 0) socket.unshift(head);
        serve(socket, protocol);
        return;
      }
      const protocol = choose(route.protocols ?? [], request.headers['sec-websocket-protocol']);
      const serve = route.webSocket?.(call);
      if (serve === undefined) throw new HttpError(400, 'This path takes no upgrade');
      // Some of Kubernetes' names are no tokens (RFC 6455, 4.1), which the library insists on: it is told none.
      delete request.headers['sec-websocket-protocol'];
      this.#chosen.set(request, protocol);
      this.#sockets.handleUpgrade(request, socket, head, (client) => serve(client, protocol));
    } catch (error) {
      const status = error instanceof HttpError ? error.status : 500;
      if (status === 500) this.#options.onError(error, request.url ?? '');
      const text = `${(error as Error).message}\n`;
      socket.end(
        `HTTP/1.1 ${status} ${status === 404 ? 'Not Found' : 'Error'}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
      );
    }
  }

  #find(request: IncomingMessage): { route: Route; match: RouteMatch } {
    const isHealth = request.url === '/healthz';
    if (!isHealth && !isAllowed(request, this.#options.joinToken)) {
      throw new HttpError(
        401,
        'Unauthorized: show the cluster credential or a certificate of the API server',
      );
    }
    const found = matchRoute(this.#options.routes, request.method ?? 'GET', request.url ?? '/');
    if (found === undefined) throw new HttpError(404, `404 page not found: ${request.method} ${request.url}`);
    return found;
  }
}

/**
 * The first of our protocols that the client offers.
 * @throws HttpError when there is none
 */
function choose(ours: readonly string[], offered: string | string[] | undefined): string {
  const theirs = String(offered ?? '')
    .split(',')
    .map((name) => name.trim());
  const chosen = ours.find((name) => theirs.includes(name));
  if (chosen !== undefined) return chosen;
  throw new HttpError(
    400,
    `Cannot speak any of "${theirs.join(', ')}" here; want one of "${ours.join(', ')}"`,
  );
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new HttpError(413, `The body is longer than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new HttpError(400, 'The body is not JSON');
  }
}

export function respondText(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'text/plain',
): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

export function respondJson(response: ServerResponse, status: number, value: unknown): void {
  respondText(response, status, `${JSON.stringify(value)}\n`, 'application/json');
}
