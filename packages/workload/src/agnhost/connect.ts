import { ResolveError, resolveHost } from '../resolver.ts';
import { errnoText } from '../shell/devices.ts';
import { parseOptions, parseSeconds } from '../tools/options.ts';
import type { AgnhostContext } from './context.ts';

/** What `connect` sends over UDP before it waits for an answer. */
const UDP_DATA = 'agnhost-connect\n';

/**
 * `connect HOST:PORT [--timeout 1s] [--protocol tcp|udp|sctp]`: silent with exit code 0 when connected (UDP: when an
 * answer came), else exit code 1 and one of TIMEOUT, REFUSED, `DNS: …`, `OTHER: …` on standard error.
 */
export async function connect(args: readonly string[], context: AgnhostContext): Promise<number> {
  const options = parseOptions(args, '', {
    timeout: 'timeout=',
    protocol: 'protocol=',
    'udp-data': 'udp-data=',
  });
  const [destination] = options.operands;
  const timeoutText = options.get('timeout') ?? '0';
  const timeoutMs = parseSeconds(timeoutText.replace(/^(\d+)$/, '$1ns'));
  if (destination === undefined || timeoutMs === undefined) {
    context.error(
      timeoutMs === undefined
        ? `Error: invalid argument "${timeoutText}" for "--timeout" flag: time: invalid duration "${timeoutText}"\n`
        : 'Error: accepts 1 arg(s), received 0\n',
    );
    return 1;
  }
  const fail = (text: string): number => {
    context.error(`${text}\n`);
    return 1;
  };
  const protocol = (options.get('protocol') ?? 'tcp').toLowerCase();
  if (!['tcp', 'udp', 'sctp'].includes(protocol))
    return fail('OTHER: unsupported protocol: must be tcp, udp or sctp');
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(destination);
  if (!match) return fail(`DNS: address ${destination}: missing port in address`);
  const host = match[1] ?? match[2] ?? '';
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return fail(`DNS: address ${match[3]}: invalid port`);
  const signal = AbortSignal.any([context.terminate, context.kill]);
  let address: string;
  try {
    address = (await resolveHost(context.sandbox, host, { signal }))[0]!;
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    const server = context.sandbox.resolvConf.nameservers[0];
    const where = server === undefined ? host : `${host} on ${server}:53`;
    return fail(`DNS: lookup ${where}: ${error.code === 'ENOTFOUND' ? 'no such host' : 'i/o timeout'}`);
  }
  if (protocol === 'sctp') return fail('OTHER: SCTP is not supported by built-in containers');
  const outcome =
    protocol === 'tcp'
      ? await overTcp(context, signal, address, port, timeoutMs)
      : await overUdp(context, signal, address, port, timeoutMs, options.get('udp-data') ?? UDP_DATA);
  if (outcome === 'ok') return 0;
  if (outcome === 'ETIMEDOUT') return fail('TIMEOUT');
  if (outcome === 'ECONNREFUSED') return fail('REFUSED');
  return fail(
    `OTHER: dial ${protocol} ${host.includes(':') ? `[${host}]` : address}:${port}: connect: ${errnoText(outcome).toLowerCase()}`,
  );
}

type Outcome = 'ok' | string;

function settleOnce(
  signal: AbortSignal,
  timeoutMs: number,
  start: (settle: (outcome: Outcome) => void) => () => void,
): Promise<Outcome> {
  return new Promise((resolve) => {
    let close = (): void => {};
    let over = false;
    const settle = (outcome: Outcome): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      close();
      resolve(outcome);
    };
    const onAbort = (): void => settle('ECANCELED');
    const timer = timeoutMs > 0 ? setTimeout(() => settle('ETIMEDOUT'), timeoutMs) : undefined;
    signal.addEventListener('abort', onAbort);
    close = start(settle);
    if (over) close();
  });
}

function overTcp(
  context: AgnhostContext,
  signal: AbortSignal,
  host: string,
  port: number,
  timeoutMs: number,
): Promise<Outcome> {
  return settleOnce(signal, timeoutMs, (settle) => {
    const socket = context.sandbox.stack.connectTcp({ host, port });
    socket.on('error', (error: Error & { code?: string }) => settle(error.code ?? 'EIO'));
    socket.on('connect', () => settle('ok'));
    return () => socket.destroy();
  });
}

function overUdp(
  context: AgnhostContext,
  signal: AbortSignal,
  host: string,
  port: number,
  timeoutMs: number,
  data: string,
): Promise<Outcome> {
  return settleOnce(signal, timeoutMs, (settle) => {
    const socket = context.sandbox.stack.bindUdp();
    socket.on('error', (error: Error & { code?: string }) => settle(error.code ?? 'EIO'));
    socket.on('message', () => settle('ok'));
    socket.connect(port, host);
    socket.send(data);
    return () => socket.close();
  });
}
