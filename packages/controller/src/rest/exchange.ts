import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip as gzipCallback } from 'node:zlib';
import { ApiError, type Status, toApiError } from '@podwire/kube/status';
import type { User } from './authentication.ts';
import type { Representation } from './negotiation.ts';

/** One request and its response on their way through the handlers. */
export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  user: User;
  /** Texts for `Warning` headers, sent with the answer. */
  warnings: string[];
}

/** Responses shorter than this are not worth compressing (apiserver pkg/endpoints/handlers/responsewriters). */
const GZIP_LEAST_BYTES = 128 * 1024;
const gzip = promisify(gzipCallback);

/** Sends an object, or its JSON text, in the format asked for. */
export async function sendObject(
  exchange: Exchange,
  code: number,
  object: object | string,
  representation: Representation = { format: 'json' },
): Promise<void> {
  if (representation.format === 'yaml') {
    const { stringify } = await import('yaml');
    const text = stringify(typeof object === 'string' ? JSON.parse(object) : object);
    return sendText(exchange, code, 'application/yaml', text);
  }
  const text = typeof object === 'string' ? object : JSON.stringify(object);
  return sendText(exchange, code, 'application/json', text);
}

export async function sendText(exchange: Exchange, code: number, type: string, text: string): Promise<void> {
  const { request, response } = exchange;
  let body: Buffer = Buffer.from(text);
  if (body.length >= GZIP_LEAST_BYTES && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) {
    body = await gzip(body, { level: 1 });
    response.setHeader('Content-Encoding', 'gzip');
    response.setHeader('Vary', 'Accept-Encoding');
  }
  if (response.headersSent || response.destroyed) return;
  addWarnings(exchange);
  response.writeHead(code, {
    'Cache-Control': 'no-cache, private',
    'Content-Type': type,
    'Content-Length': body.length,
  });
  response.end(body);
}

/** Warning headers, RFC 9111 section 5.5 as upstream writes them: code 299, no agent. */
export function addWarnings({ response, warnings }: Exchange): void {
  if (warnings.length === 0) return;
  const texts = warnings.map((text) => `299 - "${escapeWarning(text)}"`);
  response.setHeader('Warning', texts);
}

function escapeWarning(text: string): string {
  return text.replace(/[\\"]/g, '\\$&').replace(/[^\x20-\x7e]/g, '?');
}

export async function sendError(exchange: Exchange, thrown: unknown): Promise<void> {
  const { status } = thrown instanceof ApiError ? thrown : toApiError(thrown);
  const { response } = exchange;
  if (response.headersSent) {
    // The client must not take a truncated body for a whole one.
    response.destroy();
    return;
  }
  // The rest of a body that is too large is not worth reading.
  if (status.code === 413) response.setHeader('Connection', 'close');
  const retryAfter = status.details?.retryAfterSeconds;
  if (retryAfter !== undefined) response.setHeader('Retry-After', String(retryAfter));
  await sendText(exchange, status.code, 'application/json', statusJson(status));
}

export function statusJson(status: Status): string {
  return `${JSON.stringify(status)}\n`;
}
