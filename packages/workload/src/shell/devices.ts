import { Readable } from 'node:stream';
import { ResolveError, resolveHost } from '../resolver.ts';
import type { Sandbox } from '../types.ts';

/** Endless inputs that scripts read a part of. Undefined when the path is no such device. */
export function openDevice(path: string, random32: () => number): Readable | undefined {
  if (path !== '/dev/zero' && path !== '/dev/urandom' && path !== '/dev/random') return undefined;
  return new Readable({
    read() {
      const chunk = new Uint32Array(1024);
      if (path !== '/dev/zero') for (let i = 0; i < chunk.length; i++) chunk[i] = random32();
      this.push(Buffer.from(chunk.buffer));
    },
  });
}

/** bash's `/dev/tcp/HOST/PORT`. */
export function parseTcpDevice(path: string): { host: string; port: number } | undefined {
  const match = /^\/dev\/tcp\/([^/]+)\/(\d{1,5})$/.exec(path);
  return match ? { host: match[1]!, port: Number(match[2]) } : undefined;
}

/** Connects; a failure is told as errno's text. */
export async function openTcpDevice(
  sandbox: Sandbox,
  target: { host: string; port: number },
  signal: AbortSignal,
): Promise<ReturnType<Sandbox['stack']['connectTcp']> | string> {
  let addresses: string[];
  try {
    addresses = await resolveHost(sandbox, target.host, { signal });
  } catch (error) {
    if (error instanceof ResolveError) return 'Name or service not known';
    throw error;
  }
  const socket = sandbox.stack.connectTcp({ host: addresses[0]!, port: target.port });
  return new Promise((resolve) => {
    const abort = (): void => {
      socket.destroy();
      resolve('Interrupted system call');
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      resolve(socket);
    });
    socket.on('error', (error) => {
      signal.removeEventListener('abort', abort);
      resolve(errnoText((error as Error & { code?: string }).code));
    });
  });
}

const ERRNO_TEXTS: Record<string, string> = {
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  ETIMEDOUT: 'Connection timed out',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  EPERM: 'Operation not permitted',
  EINVAL: 'Invalid argument',
  EADDRINUSE: 'Address already in use',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EPIPE: 'Broken pipe',
  EMSGSIZE: 'Message too long',
};

/** strerror(3). */
export function errnoText(code: string | undefined): string {
  return ERRNO_TEXTS[code ?? ''] ?? code ?? 'Unknown error';
}
