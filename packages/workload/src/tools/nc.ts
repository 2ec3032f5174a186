import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import { errnoText } from '../shell/devices.ts';
import { chunksOf, outputTo, pause } from '../shell/streams.ts';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { addressesOf, connectOnce, isFailure } from './connection.ts';
import { type Options, parseOptions } from './options.ts';
import { pump } from './pump.ts';
import { withUsage } from './tool-files.ts';

const USAGE =
  'usage: nc [-46hklnNuvz] [-p source_port] [-q seconds] [-s sourceaddr] [-w timeout] [destination] [port]\n';
/** Of the services that nc names in `[tcp/http]`. */
const SERVICES: Record<number, string> = {
  22: 'ssh',
  23: 'telnet',
  25: 'smtp',
  53: 'domain',
  80: 'http',
  443: 'https',
  3306: 'mysql',
  5432: 'postgresql',
  6379: 'redis',
  8080: 'http-alt',
};
const MAX_PORTS = 65_536;

/** OpenBSD's netcat, which most images have under that name. */
export const nc: Tool = withUsage(1, async (context) => {
  const { stderr } = context;
  // busybox: all that follows -e is the program that serves each connection.
  const program = context.argv.indexOf('-e');
  const args = program < 0 ? context.argv.slice(1) : context.argv.slice(1, program);
  const serve = program < 0 ? [] : context.argv.slice(program + 1);
  const options = parseOptions(args, '46DdFhklnNrStUuvZzCI:i:M:m:O:P:p:q:s:T:V:W:w:X:x:');
  if (options.has('h') || (options.operands.length === 0 && !options.has('l'))) {
    await stderr.write(USAGE);
    return 1;
  }
  if (options.has('l')) return listen(context, options, serve);
  const [host, ports] = options.operands;
  if (host === undefined || ports === undefined) {
    await stderr.write(USAGE);
    return 1;
  }
  const range = /^(\d+)(?:-(\d+))?$/.exec(ports);
  const from = Number(range?.[1]);
  const to = Number(range?.[2] ?? from);
  if (!range || from < 1 || to > 65_535 || to < from) {
    await stderr.write(`nc: port number invalid: ${ports}\n`);
    return 1;
  }
  const family = options.has('4') ? 4 : options.has('6') ? 6 : undefined;
  const isLiteral = /^[\d.]+$|:/.test(host);
  const found =
    options.has('n') && !isLiteral ? { code: 'ENOTFOUND' } : await addressesOf(context, host, family);
  if (isFailure(found)) {
    if (context.signal.aborted) return 130;
    const why =
      found.code === 'EAI_AGAIN' ? 'Temporary failure in name resolution' : 'Name or service not known';
    await stderr.write(`nc: getaddrinfo for host "${host}" port ${from}: ${why}\n`);
    return 1;
  }
  let code = 1;
  for (let port = from; port <= to && port - from < MAX_PORTS && !context.signal.aborted; port++) {
    const ended = options.has('u')
      ? await overUdp(context, options, host, found[0]!, port)
      : await overTcp(context, options, host, found, port);
    if (ended === 0) code = 0;
  }
  return context.signal.aborted ? 130 : code;
});

const timeoutOf = (options: Options): number | undefined =>
  options.has('w') ? Math.max(1, Number(options.get('w')) || 1) * 1000 : undefined;

function succeeded(host: string, address: string, port: number, protocol: string): string {
  const shown = host === address ? host : `${host} (${address})`;
  return `Connection to ${shown} ${port} port [${protocol}/${SERVICES[port] ?? '*'}] succeeded!\n`;
}

async function overTcp(
  context: ToolContext,
  options: Options,
  host: string,
  addresses: readonly string[],
  port: number,
): Promise<number> {
  const timeoutMs = timeoutOf(options);
  const source = options.get('p');
  for (const address of addresses) {
    const socket = await connectOnce(context, address, port, {
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(source !== undefined && { localPort: Number(source) }),
      ...(options.has('s') && { localAddress: options.get('s')! }),
    });
    if (isFailure(socket)) {
      if (socket.code === 'ABORTED') return 130;
      if (options.has('v')) {
        const shown = host === address ? host : `${host} (${address})`;
        const why =
          socket.code === 'ETIMEDOUT' && timeoutMs !== undefined
            ? 'timed out: Operation now in progress'
            : `failed: ${errnoText(socket.code)}`;
        await context.stderr.write(`nc: connect to ${shown} port ${port} (tcp) ${why}\n`);
      }
      continue;
    }
    if (options.has('v') || options.has('z')) {
      if (options.has('v')) await context.stderr.write(succeeded(host, address, port, 'tcp'));
    }
    if (options.has('z')) {
      socket.on('error', () => {});
      socket.destroySoon();
      return 0;
    }
    await carry(context, options, socket);
    return 0;
  }
  return 1;
}

async function carry(context: ToolContext, options: Options, socket: TcpSocket): Promise<void> {
  const quit = options.get('q');
  const idleMs = timeoutOf(options);
  await pump(context, socket, {
    signal: context.signal,
    endOnInputEnd: options.has('N') || (quit !== undefined && Number(quit) >= 0),
    ...(idleMs !== undefined && { idleMs }),
    ...(quit !== undefined && Number(quit) >= 0 && { quitMs: Number(quit) * 1000 }),
  });
}

/** Time in which an ICMP error would come back for a probe of `-z`. */
const UDP_PROBE_MS = 1_000;
/** Without -w a datagram conversation ends after this long, where the real one would wait for ever. */
const UDP_IDLE_MS = 3_600_000;

async function overUdp(
  context: ToolContext,
  options: Options,
  host: string,
  address: string,
  port: number,
): Promise<number> {
  const source = options.get('p');
  const socket = context.sandbox.stack.bindUdp(source === undefined ? {} : { port: Number(source) });
  const ended = new AbortController();
  let refused = false;
  socket.on('error', () => {
    refused = true;
    ended.abort();
  });
  socket.connect(port, address);
  const signal = AbortSignal.any([context.signal, ended.signal]);
  try {
    if (options.has('z')) {
      // As the original: a few datagrams, and no error within a while counts as open.
      for (let i = 0; i < 4 && !signal.aborted; i++) {
        socket.send('X');
        await pause(UDP_PROBE_MS / 4, signal);
      }
      if (refused) return 1;
      if (options.has('v')) await context.stderr.write(succeeded(host, address, port, 'udp'));
      return 0;
    }
    if (options.has('v')) await context.stderr.write(succeeded(host, address, port, 'udp'));
    const idleMs = timeoutOf(options) ?? UDP_IDLE_MS;
    let idle = setTimeout(() => ended.abort(), idleMs);
    const busy = (): void => {
      clearTimeout(idle);
      idle = setTimeout(() => ended.abort(), idleMs);
    };
    socket.on('message', (data) => {
      busy();
      void context.stdout.write(data).catch(() => ended.abort());
    });
    for await (const chunk of chunksOf(context.stdin, signal)) {
      busy();
      socket.send(chunk);
    }
    const quit = options.get('q');
    if (quit !== undefined && Number(quit) >= 0) await pause(Number(quit) * 1000, signal);
    else await pause(2 ** 30, signal);
    clearTimeout(idle);
    return refused ? 1 : 0;
  } finally {
    socket.close();
  }
}

async function listen(context: ToolContext, options: Options, serve: string[]): Promise<number> {
  const port = Number(options.get('p') ?? options.operands.at(-1));
  const host =
    options.get('p') === undefined && options.operands.length > 1 ? options.operands[0] : options.get('s');
  if (!(port > 0 && port < 65_536)) {
    await context.stderr.write(USAGE);
    return 1;
  }
  try {
    return options.has('u')
      ? await listenUdp(context, options, port)
      : await listenTcp(context, options, host, port, serve);
  } catch (error) {
    const { code } = error as Error & { code?: string };
    if (code !== 'EADDRINUSE' && code !== 'EADDRNOTAVAIL') throw error;
    await context.stderr.write(`nc: ${errnoText(code)}\n`);
    return 1;
  }
}

async function listenTcp(
  context: ToolContext,
  options: Options,
  host: string | undefined,
  port: number,
  serve: string[],
): Promise<number> {
  const waiting: TcpSocket[] = [];
  const runProgram = async (socket: TcpSocket): Promise<void> => {
    await context.run(serve, { stdin: socket, stdout: outputTo(socket) });
    socket.destroySoon();
  };
  let wake: (() => void) | undefined;
  const listener = context.sandbox.stack.listenTcp(
    { port, ...(host !== undefined && { host }) },
    (socket) => {
      socket.on('error', () => {});
      waiting.push(socket);
      wake?.();
    },
  );
  const onAbort = (): void => wake?.();
  context.signal.addEventListener('abort', onAbort);
  const version = host ?? '0.0.0.0';
  if (options.has('v')) await context.stderr.write(`Listening on ${version} ${port}\n`);
  try {
    while (!context.signal.aborted) {
      const socket = waiting.shift();
      if (!socket) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      if (!options.has('k')) listener.close();
      if (options.has('v'))
        await context.stderr.write(`Connection received on ${socket.remoteAddress} ${socket.remotePort}\n`);
      const served = serve.length > 0 ? runProgram(socket) : carry(context, options, socket);
      // Programs serve side by side; standard input can only be carried to one connection at a time.
      if (!options.has('k') || serve.length === 0) await served;
      if (!options.has('k')) return 0;
    }
    return 130;
  } finally {
    context.signal.removeEventListener('abort', onAbort);
    listener.close();
    for (const socket of waiting) socket.destroy();
  }
}

async function listenUdp(context: ToolContext, options: Options, port: number): Promise<number> {
  const socket = context.sandbox.stack.bindUdp({ port });
  let peer: { address: string; port: number } | undefined;
  if (options.has('v')) await context.stderr.write(`Bound on 0.0.0.0 ${port}\n`);
  socket.on('error', () => {});
  socket.on('message', (data, from) => {
    if (!peer && options.has('v'))
      void context.stderr.write(`Connection received on ${from.address} ${from.port}\n`);
    peer ??= { address: from.address, port: from.port };
    if (options.has('k') || (peer.address === from.address && peer.port === from.port))
      void context.stdout.write(data).catch(() => {});
    if (options.has('k')) peer = { address: from.address, port: from.port };
  });
  try {
    for await (const chunk of chunksOf(context.stdin, context.signal))
      if (peer) socket.send(chunk, peer.port, peer.address, () => {});
    await pause(2 ** 30, context.signal);
    return 130;
  } finally {
    socket.close();
  }
}
