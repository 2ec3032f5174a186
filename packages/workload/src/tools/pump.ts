import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import { chunksOf } from '../shell/streams.ts';
import type { ToolContext } from '../shell/tool.ts';

/**
 * Carries standard input to a connection and the connection to standard output, until the connection ends, is idle
 * for too long, or the abort comes. Resolves to why it ended.
 */
export async function pump(
  context: ToolContext,
  socket: TcpSocket,
  o: {
    signal: AbortSignal;
    /** Half-close when standard input ends. */
    endOnInputEnd: boolean;
    /** Ends after this long without traffic. */
    idleMs?: number;
    /** Ends this long after standard input has ended. */
    quitMs?: number;
  },
): Promise<'end' | 'idle' | 'error' | 'abort'> {
  const stop = new AbortController();
  const signal = AbortSignal.any([o.signal, stop.signal]);
  let outcome: 'end' | 'idle' | 'error' | 'abort' = 'end';
  let idle: ReturnType<typeof setTimeout> | undefined;
  let quit: ReturnType<typeof setTimeout> | undefined;
  const busy = (): void => {
    if (o.idleMs === undefined) return;
    clearTimeout(idle);
    idle = setTimeout(() => {
      outcome = 'idle';
      stop.abort();
    }, o.idleMs);
  };
  socket.on('error', () => {
    outcome = 'error';
    stop.abort();
  });
  busy();
  const sending = (async () => {
    for await (const chunk of chunksOf(context.stdin, signal)) {
      busy();
      if (!socket.writable) return;
      if (!socket.write(chunk))
        await new Promise<void>((resolve) => {
          socket.once('drain', resolve);
          socket.once('close', resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
    }
    if (signal.aborted) return;
    if (o.endOnInputEnd && socket.writable) socket.end();
    if (o.quitMs !== undefined) quit = setTimeout(() => stop.abort(), o.quitMs);
  })();
  try {
    for await (const chunk of chunksOf(socket, signal)) {
      busy();
      await context.stdout.write(chunk);
    }
  } finally {
    stop.abort();
    clearTimeout(idle);
    clearTimeout(quit);
    await sending.catch(() => {});
    socket.destroySoon();
  }
  return o.signal.aborted ? 'abort' : outcome;
}
