import { errnoText } from '../shell/devices.ts';
import { emptyInput, pause } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { addressesOf, connectOnce, isFailure } from './connection.ts';
import { parseOptions, parseSeconds } from './options.ts';
import { pump } from './pump.ts';
import { withUsage } from './tool-files.ts';

/** telnet without its option negotiation: a way to see whether a port is open and to talk to it. */
export const telnet: Tool = async (context) => {
  const { stdout, stderr, signal } = context;
  const [host, portText = '23'] = context.argv.slice(1).filter((argument) => !argument.startsWith('-'));
  const port = Number(portText);
  if (host === undefined || !(port > 0 && port < 65_536)) {
    await stderr.write(host === undefined ? 'usage: telnet host [port]\n' : `telnet: bad port ${portText}\n`);
    return 1;
  }
  const found = await addressesOf(context, host);
  if (isFailure(found)) {
    if (signal.aborted) return 130;
    await stderr.write(`telnet: could not resolve ${host}/${port}: Name or service not known\n`);
    return 1;
  }
  for (const address of found) {
    await stdout.write(`Trying ${address}...\n`);
    const socket = await connectOnce(context, address, port);
    if (isFailure(socket)) {
      if (signal.aborted) return 130;
      await stderr.write(`telnet: Unable to connect to remote host: ${errnoText(socket.code)}\n`);
      continue;
    }
    await stdout.write(`Connected to ${host}.\nEscape character is '^]'.\n`);
    const why = await pump(context, socket, { signal, endOnInputEnd: true });
    if (why === 'end') await stderr.write('Connection closed by foreign host.\n');
    return why === 'abort' ? 130 : 1;
  }
  return 1;
};

/** `grpc_health_probe -addr=HOST:PORT`: as far as opening the connection goes. */
export const grpcHealthProbe: Tool = async (context) => {
  const argument = context.argv.find((text) => /^--?addr(=|$)/.test(text));
  const target = argument?.includes('=')
    ? argument.slice(argument.indexOf('=') + 1)
    : context.argv[context.argv.indexOf(argument ?? '') + 1];
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(target ?? '');
  if (!match) {
    await context.stderr.write('error: -addr not specified\n');
    return 1;
  }
  const host = match[1] ?? (match[2] || 'localhost');
  const found = await addressesOf(context, host);
  const socket = isFailure(found)
    ? found
    : await connectOnce(context, found[0]!, Number(match[3]), { timeoutMs: 1_000 });
  if (isFailure(socket)) {
    await context.stderr.write(
      `error: failed to connect service at "${target}": context deadline exceeded\n`,
    );
    return 2;
  }
  socket.on('error', () => {});
  socket.destroySoon();
  await context.stderr.write('status: SERVING\n');
  return 0;
};

/** watch(1): runs a command again and again until it is interrupted. */
export const watch: Tool = withUsage(1, async (context) => {
  const options = parseOptions(
    context.argv.slice(1),
    'n:tdegbx',
    { interval: 'n=' },
    { stopAtOperand: true },
  );
  const intervalMs = parseSeconds(options.get('n') ?? '2');
  if (options.operands.length === 0 || intervalMs === undefined) {
    await context.stderr.write('Usage: watch [options] command\n');
    return 1;
  }
  const command = options.operands.join(' ');
  while (!context.signal.aborted) {
    const title = options.has('t') ? '' : `Every ${intervalMs / 1000}s: ${command}\n\n`;
    await context.stdout.write(`${context.stdout.isTerminal ? '\u001b[H\u001b[2J' : ''}${title}`);
    await context.run(['sh', '-c', command], { stdin: emptyInput() });
    await pause(Math.max(100, intervalMs), context.signal);
  }
  return 130;
});
