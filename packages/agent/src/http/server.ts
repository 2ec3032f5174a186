/**
 * HTTPS on the node's address and port 10250, as a kubelet's: logs, exec, attach, port-forward, and the agent's own
 * `/podwire` endpoints.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { isAllowed } from './access.ts';
import { EXEC_PROTOCOLS } from './exec-channels.ts';
import { PORT_FORWARD_PROTOCOLS } from './port-forward.ts';
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
    handleProtocols: (offered) => preferred(offered) ?? false,
  });

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
      if (route.webSocket === undefined) throw new HttpError(400, 'This path takes no upgrade');
      const offered = String(request.headers['sec-websocket-protocol'] ?? '')
        .split(',')
        .map((name) => name.trim());
      if (preferred(new Set(offered)) === undefined) {
        throw new HttpError(
          400,
          `Cannot speak any of "${offered.join(', ')}"; want ${EXEC_PROTOCOLS.join(' or ')}`,
        );
      }
      const serve = route.webSocket({ ...match, body: undefined });
      this.#sockets.handleUpgrade(request, socket, head, (client) => serve(client));
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

function preferred(offered: Set<string>): string | undefined {
  return [...EXEC_PROTOCOLS, ...PORT_FORWARD_PROTOCOLS].find((name) => offered.has(name));
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
