/**
 * GET /containerLogs: what a container has written, and what it goes on to write.
 */
import type { ServerResponse } from 'node:http';
import { formatLogLine, type LogBuffer, type LogLine, type LogQuery } from '../logs/log-buffer.ts';

export interface LogRequest extends LogQuery {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly limitBytes?: number;
}

/** Reads the query; a text instead when something in it is no number. */
export function parseLogRequest(query: URLSearchParams, nowMs: number): LogRequest | string {
  const on = (name: string) => ['1', 'true'].includes(query.get(name) ?? '');
  const numbers: Record<string, number> = {};
  for (const name of ['tailLines', 'sinceSeconds', 'limitBytes']) {
    const text = query.get(name);
    if (text === null || text === '') continue;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0)
      return `Cannot read logs: ${name} must be a whole number, not "${text}"`;
    numbers[name] = value;
  }
  const sinceTime = query.get('sinceTime');
  const sinceMs =
    sinceTime !== null
      ? Date.parse(sinceTime)
      : numbers.sinceSeconds === undefined
        ? undefined
        : nowMs - numbers.sinceSeconds * 1000;
  if (sinceMs !== undefined && Number.isNaN(sinceMs)) {
    return `Cannot read logs: sinceTime must be an RFC 3339 time, not "${sinceTime}"`;
  }
  const stream = query.get('stream')?.toLowerCase();
  return {
    follow: on('follow'),
    previous: on('previous'),
    timestamps: on('timestamps'),
    ...(numbers.tailLines !== undefined && { tailLines: numbers.tailLines }),
    ...(numbers.limitBytes !== undefined && { limitBytes: numbers.limitBytes }),
    ...(sinceMs !== undefined && { sinceMs }),
    ...((stream === 'stdout' || stream === 'stderr') && { stream }),
  };
}

/** Bytes that may wait for a slow reader before it is cut off. */
const MAX_BEHIND_BYTES = 1024 * 1024;

/** Answers with the lines, and stays with a container that goes on when asked to follow. */
export function serveLogs(response: ServerResponse, buffer: LogBuffer, request: LogRequest): void {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Transfer-Encoding': 'chunked' });
  let left = request.limitBytes ?? Number.POSITIVE_INFINITY;
  const write = (line: LogLine): boolean => {
    const bytes = Buffer.from(formatLogLine(line, request.timestamps === true));
    response.write(bytes.subarray(0, left));
    left -= bytes.length;
    return left > 0;
  };
  for (const line of buffer.read(request)) {
    if (!write(line)) return void response.end();
  }
  if (!request.follow) return void response.end();
  response.flushHeaders();
  const stop = buffer.follow((line) => {
    if (line === undefined) response.end();
    else if (request.stream !== undefined && line.stream !== request.stream) return;
    else if (response.writableLength > MAX_BEHIND_BYTES) response.destroy();
    else if (!write(line)) {
      stop();
      response.end();
    }
  });
  response.on('close', () => stop());
}
