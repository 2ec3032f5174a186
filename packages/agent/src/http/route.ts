/**
 * Paths with named parts: `/exec/:namespace/:pod/:container`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

export interface RouteMatch {
  readonly parts: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

export interface RouteCall extends RouteMatch {
  /** Parsed JSON of a POST, undefined without a body. */
  readonly body: unknown;
}

export interface HttpCall extends RouteCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface Route {
  readonly methods: readonly string[];
  readonly path: string;
  readonly http?: (call: HttpCall) => void | Promise<void>;
  /** Subprotocols of `webSocket`, best first. */
  readonly protocols?: readonly string[];
  /** Checks the request (throwing HttpError) and returns what serves the opened socket. */
  readonly webSocket?: (call: RouteCall) => (socket: WebSocket, protocol: string) => void;
  /** Protocols of X-Stream-Protocol-Version for `spdy`, best first. */
  readonly spdyProtocols?: readonly string[];
  /** The same for a connection that was upgraded to SPDY/3.1. */
  readonly spdy?: (call: RouteCall) => (connection: Duplex, protocol: string) => void;
}

/** The first route for a method and URL. Never throws, whatever the URL holds. */
export function matchRoute(
  routes: readonly Route[],
  method: string,
  url: string,
): { route: Route; match: RouteMatch } | undefined {
  const question = url.indexOf('?');
  const path = (question < 0 ? url : url.slice(0, question)).split('/');
  const query = new URLSearchParams(question < 0 ? '' : url.slice(question + 1));
  for (const route of routes) {
    if (!route.methods.includes(method)) continue;
    const parts = matchPath(route.path.split('/'), path);
    if (parts !== undefined) return { route, match: { parts, query } };
  }
  return undefined;
}

function matchPath(pattern: readonly string[], path: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== path.length) return undefined;
  const parts: Record<string, string> = {};
  for (let i = 0; i < pattern.length; i++) {
    const want = pattern[i]!;
    if (!want.startsWith(':')) {
      if (want !== path[i]) return undefined;
      continue;
    }
    const value = decode(path[i]!);
    if (value === undefined || value === '') return undefined;
    parts[want.slice(1)] = value;
  }
  return parts;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
