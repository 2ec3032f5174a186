import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, badRequest, internalError, serviceUnavailable } from '@podwire/kube/status';
import { type Exchange, statusJson } from './exchange.ts';

/** RFC 9110 section 7.6.1: these belong to one connection and are not passed on. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The headers of a request to pass on: without the client's credentials, which are for us alone. */
export function forwardedHeaders(request: IncomingMessage, upgrade: boolean): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (HOP_BY_HOP.has(name) || name === 'authorization' || name === 'host') continue;
    headers[name] = value;
  }
  if (typeof headers['sec-websocket-protocol'] === 'string') {
    headers['sec-websocket-protocol'] = headers['sec-websocket-protocol']
      .split(',')
      .filter((each) => !each.trim().startsWith('base64url.bearer.authorization.k8s.io.'))
      .join(',');
  }
  if (upgrade) {
    headers.connection = 'Upgrade';
    headers.upgrade = request.headers.upgrade;
  }
  return headers;
}

/** Passes a request's body to `outgoing` and its response back, whatever its code. */
export function forwardWhole(
  exchange: Exchange,
  outgoing: ClientRequest,
  rewrite?: HeaderRewrite,
): Promise<void> {
  const { request, response } = exchange;
  return new Promise((resolve, reject) => {
    outgoing.once('response', (incoming) => {
      const headers = responseHeaders(incoming);
      rewrite?.(headers);
      response.writeHead(incoming.statusCode ?? 502, headers);
      response.flushHeaders();
      incoming.pipe(response);
      incoming.once('error', () => response.destroy());
    });
    outgoing.once('error', (error) => reject(unreachable(error)));
    response.once('close', () => {
      outgoing.destroy();
      resolve();
    });
    request.pipe(outgoing);
  });
}

export type HeaderRewrite = (headers: OutgoingHttpHeaders) => void;

function responseHeaders(incoming: IncomingMessage): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(incoming.headers))
    if (!HOP_BY_HOP.has(name)) headers[name] = value;
  return headers;
}

/** Streams an agent's answer to a GET to the client. */
export async function forwardText(exchange: Exchange, outgoing: ClientRequest): Promise<void> {
  const { response } = exchange;
  response.once('close', () => outgoing.destroy());
  const incoming = await textResponse(outgoing);
  response.writeHead(200, { 'Cache-Control': 'no-cache, private', 'Content-Type': 'text/plain' });
  response.flushHeaders();
  incoming.pipe(response);
  incoming.once('error', () => response.destroy());
}

/**
 * Ends a request to an agent and resolves with its good answer; an error of the agent is thrown as a Status with its text
 * (apiserver pkg/registry/generic/rest/response_checker.go).
 */
export async function textResponse(outgoing: ClientRequest): Promise<IncomingMessage> {
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', (error) => reject(unreachable(error)));
    outgoing.end();
  });
  const code = incoming.statusCode ?? 500;
  if (code < 200 || code > 206) throw errorOfAgent(code, await readText(incoming));
  return incoming;
}

/** Longer error texts are cut. */
const MAX_ERROR_BYTES = 100_000;

async function readText(incoming: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (text.length > MAX_ERROR_BYTES) break;
  }
  return text.slice(0, MAX_ERROR_BYTES).trimEnd();
}

function errorOfAgent(code: number, text: string): ApiError {
  if (code === 400) return badRequest(text);
  if (code === 500) return internalError(text);
  const reason = code === 404 ? 'NotFound' : 'Unknown';
  return new ApiError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: text || `the agent answered ${code}`,
    reason,
    details: {},
    code,
  });
}

/**
 * Joins a client that asked to upgrade its connection with whatever `outgoing` is upgraded to, byte for byte in both
 * directions. When the other side answers without upgrading, the client gets that answer.
 */
export function forwardUpgrade(client: Duplex, head: Buffer, outgoing: ClientRequest): void {
  const fail = (error: Error) => refuseUpgrade(client, unreachable(error));
  client.once('close', () => outgoing.destroy());
  outgoing.once('upgrade', (incoming, upstream, upstreamHead) => {
    outgoing.off('error', fail);
    client.write(headText(incoming));
    if (upstreamHead.length > 0) client.write(upstreamHead);
    if (head.length > 0) upstream.write(head);
    join(client, upstream);
  });
  outgoing.once('response', (incoming) => {
    // Without a length the end of the connection is the end of the body.
    incoming.headers.connection = 'close';
    client.write(headText(incoming));
    incoming.pipe(client);
    incoming.once('error', () => client.destroy());
  });
  outgoing.once('error', fail);
  outgoing.end();
}

function join(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to);
    from.once('error', () => to.destroy());
    from.once('close', () => (from.readableEnded ? to.end() : to.destroy()));
  }
}

function headText(incoming: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${incoming.statusCode} ${incoming.statusMessage ?? ''}`];
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (name === 'transfer-encoding') continue;
    for (const each of [value].flat()) lines.push(`${name}: ${each}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Answers an upgrade with a Status and closes. */
export function refuseUpgrade(client: Duplex, error: ApiError): void {
  if (client.destroyed) return;
  const body = statusJson(error.status);
  client.end(
    [
      `HTTP/1.1 ${error.code} ${error.reason || 'Error'}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}

function unreachable(error: Error): ApiError {
  return error instanceof ApiError
    ? error
    : serviceUnavailable(`error trying to reach service: ${error.message}`);
}
