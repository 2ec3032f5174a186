import type { TcpConnection } from './connection.ts';

/** The timestamp clock of a connection: milliseconds from an offset of its own (RFC 7323 5.4), as int32. */
export function timestampNow(c: TcpConnection, nowMs: number): number {
  return ((nowMs | 0) + c.timestampOffset) | 0;
}
