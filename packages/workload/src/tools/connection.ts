import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import { ResolveError, resolveHost } from '../resolver.ts';
import type { ToolContext } from '../shell/tool.ts';

/** Why no connection was made. */
export interface ConnectFailure {
  /** ENOTFOUND and EAI_AGAIN: the name; ABORTED: the command is to end; else as net.Socket names it. */
  code: string;
  /** Of the last address tried. */
  address?: string;
}

/** Addresses of a name as a tool wants them, or why there are none. */
export async function addressesOf(
  context: ToolContext,
  host: string,
  family?: 4 | 6,
  signal = context.signal,
): Promise<string[] | ConnectFailure> {
  try {
    return await resolveHost(context.sandbox, host, { signal, ...(family && { family }) });
  } catch (error) {
    if (error instanceof ResolveError) return { code: signal.aborted ? 'ABORTED' : error.code };
    throw error;
  }
}

/** Connects to one address within the time. The socket's later errors are for the caller to hear. */
export function connectOnce(
  context: ToolContext,
  address: string,
  port: number,
  o: { timeoutMs?: number; signal?: AbortSignal; localAddress?: string; localPort?: number } = {},
): Promise<TcpSocket | ConnectFailure> {
  const signal = o.signal ?? context.signal;
  return new Promise((resolve) => {
    if (signal.aborted) return resolve({ code: 'ABORTED', address });
    const socket = context.sandbox.stack.connectTcp({
      host: address,
      port,
      ...(o.localAddress !== undefined && { localAddress: o.localAddress }),
      ...(o.localPort !== undefined && { localPort: o.localPort }),
    });
    const settle = (outcome: TcpSocket | ConnectFailure): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('connect', onConnect);
      socket.off('error', onError);
      if (outcome !== socket) {
        socket.on('error', () => {});
        socket.destroy();
      }
      resolve(outcome);
    };
    const onAbort = (): void => settle({ code: 'ABORTED', address });
    const onConnect = (): void => settle(socket);
    const onError = (error: Error & { code?: string }): void =>
      settle({ code: error.code ?? 'EIO', address });
    const timer =
      o.timeoutMs === undefined
        ? undefined
        : setTimeout(() => settle({ code: 'ETIMEDOUT', address }), o.timeoutMs);
    signal.addEventListener('abort', onAbort);
    socket.on('connect', onConnect);
    socket.on('error', onError);
  });
}

/** Tries the addresses one after the other. */
export async function connectAny(
  context: ToolContext,
  addresses: readonly string[],
  port: number,
  o: Parameters<typeof connectOnce>[3] = {},
): Promise<TcpSocket | ConnectFailure> {
  let failure: ConnectFailure = { code: 'ENETUNREACH' };
  for (const address of addresses) {
    const outcome = await connectOnce(context, address, port, o);
    if (!isFailure(outcome)) return outcome;
    failure = outcome;
    if (outcome.code === 'ABORTED') break;
  }
  return failure;
}

export function isFailure(outcome: object): outcome is ConnectFailure {
  return 'code' in outcome && typeof outcome.code === 'string';
}

/** An abort that comes with the command's end or after a time. */
export function deadline(
  context: ToolContext,
  afterMs: number | undefined,
): { signal: AbortSignal; late: AbortSignal; stop(): void } {
  const late = new AbortController();
  const timer = afterMs === undefined ? undefined : setTimeout(() => late.abort(), afterMs);
  return {
    signal: AbortSignal.any([context.signal, late.signal]),
    late: late.signal,
    stop: () => clearTimeout(timer),
  };
}
