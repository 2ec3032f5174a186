import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import {
  badRequest,
  methodNotAllowedOnPath,
  toApiError,
  unauthorized,
  unknownPath,
} from '@podwire/kube/status';
import type { Log } from '../loops/log.ts';
import type { ObjectApi } from '../registry/object-api.ts';
import { type AuthenticationOptions, authenticate, type User } from './authentication.ts';
import { Discovery } from './discovery.ts';
import { type Exchange, sendError, sendObject, sendText } from './exchange.ts';
import { refuseUpgrade } from './forward.ts';
import type { KubeletClient } from './kubelet-client.ts';
import { parseResourcePath, type ResourcePath } from './path.ts';
import { handleCollection, handleObject, hasSubresource, type Target } from './resource-handlers.ts';
import { VERSION } from './version.ts';

export interface RestServerOptions {
  api: ObjectApi;
  /** In PEM; clients whose certificate `ca` signed are known by it. */
  tls: { ca: string; cert: string; key: string };
  authentication: AuthenticationOptions;
  kubelet: KubeletClient;
  /** `host:port` as clients reach this server. */
  serverAddress: string;
  random32: () => number;
  log: Log;
  /** Names of what is still starting; none means ready. */
  notReady?: () => readonly string[];
  /** Answers a request for a path that is not the API's, such as the one to join; returns false to leave it. */
  handle?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Takes an upgrade to a path that is not the API's, such as the sync hub's; returns false to leave it. */
  upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean;
}

const MAX_HEADER_BYTES = 64 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
/** A request must have come whole by then. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than clients keep idle connections, so that they are the ones to close them. */
const KEEP_ALIVE_TIMEOUT_MS = 130_000;
/** A client that takes nothing of its answer for this long is gone. */
const STALLED_RESPONSE_MS = 60_000;

/**
 * The Kubernetes REST API over HTTPS. The caller listens and closes; `closeAllConnections` ends watches.
 * The way of a request: health -> authentication -> route -> handler; whatever is thrown on it becomes a Status.
 */
export function createRestServer(options: RestServerOptions): Server {
  const rest = new RestServer(options);
  const server = createServer({
    ...options.tls,
    requestCert: true,
    // Who shows no certificate may still have a token.
    rejectUnauthorized: false,
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    noDelay: true,
  });
  server.on('request', (request, response) => void rest.serve(request, response));
  server.on('upgrade', (request, socket, head) => void rest.upgrade(request, socket, head));
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    else socket.destroy();
  });
  return server;
}

class RestServer {
  readonly #options: RestServerOptions;
  readonly #discovery: Discovery;

  constructor(options: RestServerOptions) {
    this.#options = options;
    this.#discovery = new Discovery(options.api.types, options.serverAddress);
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#options.handle?.(request, response)) return;
    const exchange: Exchange = { request, response, url: urlOf(request), user: NOBODY, warnings: [] };
    try {
      if (this.#serveHealth(exchange)) return;
      const user = authenticate(request, this.#options.authentication);
      if (user === undefined) throw unauthorized();
      exchange.user = user;
      await this.#route(exchange);
    } catch (error) {
      const fields = { method: request.method, url: request.url, err: error };
      if (toApiError(error).code === 500) this.#options.log.error(fields, 'request failed');
      else this.#options.log.debug(fields, 'request refused');
      await sendError(exchange, error).catch(() => response.destroy());
    }
  }

  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    try {
      if (this.#options.upgrade?.(request, socket, head)) return;
      const user = authenticate(request, this.#options.authentication);
      if (user === undefined) throw unauthorized();
      const url = urlOf(request);
      const path = parseResourcePath(url.pathname);
      if (path === undefined) throw unknownPath();
      const target = this.#target(path);
      const { CONNECT_SUBRESOURCES, upgradeConnect } = await import('./connect.ts');
      if (
        CONNECT_SUBRESOURCES.includes(target.subresource) &&
        hasSubresource(target.type, target.subresource)
      ) {
        const { api, kubelet, random32 } = this.#options;
        const connectTarget = { ...target, tail: path.tail };
        return await upgradeConnect({ api, kubelet, random32 }, request, url, socket, head, connectTarget);
      }
      if (target.name === '' && request.headers.upgrade?.toLowerCase() === 'websocket') {
        const { upgradeWatch } = await import('./websocket-watch.ts');
        return await upgradeWatch(this.#options, request, url, socket, head, target);
      }
      throw badRequest('this path takes no upgrade');
    } catch (error) {
      refuseUpgrade(socket, toApiError(error));
    }
  }

  /** Open to everyone, as health checks have no credentials. */
  #serveHealth(exchange: Exchange): boolean {
    const { pathname } = exchange.url;
    if (pathname === '/version' || pathname === '/version/') {
      void sendObject(exchange, 200, `${JSON.stringify(VERSION, undefined, 2)}\n`);
      return true;
    }
    if (!['/healthz', '/livez', '/readyz'].includes(pathname)) return false;
    const waiting = pathname === '/readyz' ? (this.#options.notReady?.() ?? []) : [];
    if (waiting.length === 0) void sendText(exchange, 200, 'text/plain; charset=utf-8', 'ok');
    else {
      const lines = waiting.map((each) => `[-]${each} not ready\n`).join('');
      void sendText(exchange, 500, 'text/plain; charset=utf-8', `${lines}readyz check failed\n`);
    }
    return true;
  }

  async #route(exchange: Exchange): Promise<void> {
    const { pathname } = exchange.url;
    const parts = pathname.split('/').filter((part) => part !== '');
    if (parts[0] === 'openapi') {
      requireGet(exchange);
      const { handleOpenApi } = await import('./openapi-handler.ts');
      return handleOpenApi(this.#options.api, exchange);
    }
    if (parts.length === 0) {
      requireGet(exchange);
      return sendObject(exchange, 200, {
        paths: ['/api', '/api/v1', '/apis', '/healthz', '/openapi/v3', '/version'],
      });
    }
    const depth = parts[0] === 'api' ? 2 : parts[0] === 'apis' ? 3 : 0;
    if (depth === 0) throw unknownPath();
    if (parts.length <= depth) {
      requireGet(exchange);
      return this.#discovery.handle(exchange);
    }
    const path = parseResourcePath(
      pathname.replace(/\/$/, (slash) => (parts.includes('proxy') ? slash : '')),
    );
    if (path === undefined) throw unknownPath();
    return this.#handle(exchange, path);
  }

  async #handle(exchange: Exchange, path: ResourcePath): Promise<void> {
    const { api, authentication, kubelet, random32 } = this.#options;
    const target = this.#target(path);
    const { type, name, subresource } = target;
    const context = { api, random32 };
    if (type.info.virtual) {
      if (exchange.request.method !== 'POST') throw methodNotAllowedOnPath();
      if (type.id === 'bindings') {
        const { bind } = await import('./pod-actions.ts');
        return bind(this.#actionContext(), exchange, target, undefined);
      }
      const { handleReview } = await import('./reviews.ts');
      return handleReview(exchange, target, authentication);
    }
    stopWhenStalled(exchange);
    if (name === '') return handleCollection(context, exchange, target);
    if (subresource !== '' && hasSubresource(type, subresource)) {
      const { CONNECT_SUBRESOURCES, handleConnect } = await import('./connect.ts');
      if (CONNECT_SUBRESOURCES.includes(subresource)) {
        exchange.response.setTimeout(0);
        return handleConnect({ api, kubelet, random32 }, exchange, { ...target, tail: path.tail });
      }
      const { ACTION_SUBRESOURCES, handleAction } = await import('./pod-actions.ts');
      if (ACTION_SUBRESOURCES.includes(subresource)) {
        if (exchange.request.method !== 'POST') throw methodNotAllowedOnPath();
        return handleAction(this.#actionContext(), exchange, target);
      }
    }
    return handleObject(context, exchange, target);
  }

  #actionContext() {
    const { api, authentication, random32, serverAddress } = this.#options;
    return { api, random32, signingKey: authentication.signingKey, issuer: `https://${serverAddress}` };
  }

  #target(path: ResourcePath): Target {
    const type = this.#options.api.types.at(path.group, path.version, path.plural);
    if (type === undefined) throw unknownPath();
    const { namespaced } = type.info;
    if (path.namespace !== '' && !namespaced) throw unknownPath();
    // A namespaced object is only reached through its namespace.
    if (path.name !== '' && namespaced && path.namespace === '') throw unknownPath();
    return { type, namespace: path.namespace, name: path.name, subresource: path.subresource };
  }
}

const NOBODY: User = { username: 'system:anonymous', groups: ['system:unauthenticated'] };

function requireGet(exchange: Exchange): void {
  if (exchange.request.method !== 'GET') throw methodNotAllowedOnPath();
}

function stopWhenStalled({ response }: Exchange): void {
  response.setTimeout(STALLED_RESPONSE_MS, () => response.destroy());
}

/** Never throws: a request target that is no URL leads to an unknown path. */
function urlOf(request: IncomingMessage): URL {
  const target = request.url ?? '/';
  return (
    URL.parse(target.startsWith('/') ? `https://server${target}` : target) ?? new URL('https://server/%00')
  );
}
