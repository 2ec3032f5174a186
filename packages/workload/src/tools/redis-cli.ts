import { errnoText } from '../shell/devices.ts';
import { linesOf } from '../shell/streams.ts';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { addressesOf, connectAny, isFailure } from './connection.ts';

const ANSWER_TIMEOUT_MS = 10_000;

/** redis-cli for single commands and for commands on standard input. The reply is shown as it came, in Redis's notation. */
export const redisCli: Tool = async (context) => {
  let host = '127.0.0.1';
  let port = 6379;
  let at = 1;
  const { argv, stderr, stdout } = context;
  for (; at < argv.length && argv[at]!.startsWith('-'); at++) {
    const option = argv[at]!;
    if (option === '-h') host = argv[++at] ?? host;
    else if (option === '-p') port = Number(argv[++at]);
    else if (option === '-u') {
      const url = argv[++at] ?? '';
      if (URL.canParse(url)) [host, port] = [new URL(url).hostname, Number(new URL(url).port || 6379)];
    } else if (['-a', '-n', '--user', '--pass', '-r', '-i'].includes(option)) at++;
    else if (!['--raw', '--no-raw', '--no-auth-warning', '--csv'].includes(option)) {
      await stderr.write(`Unrecognized option or bad number of args for: '${option}'\n`);
      return 1;
    }
  }
  const found = await addressesOf(context, host);
  const socket = isFailure(found)
    ? found
    : await connectAny(context, found, port, { timeoutMs: ANSWER_TIMEOUT_MS });
  if (isFailure(socket)) {
    if (context.signal.aborted) return 130;
    const why =
      socket.code === 'ENOTFOUND' || socket.code === 'EAI_AGAIN'
        ? 'Name or service not known'
        : errnoText(socket.code);
    await stderr.write(`Could not connect to Redis at ${host}:${port}: ${why}\n`);
    return 1;
  }
  socket.on('error', () => {});
  try {
    const raw = !context.stdout.isTerminal;
    const send = async (words: readonly string[]): Promise<number> => {
      socket.write(
        `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
      );
      const reply = await readReply(context, socket);
      if (reply === undefined) {
        await stderr.write('Error: Server closed the connection\n');
        return 1;
      }
      await stdout.write(`${formatReply(reply, raw)}\n`);
      return reply.startsWith('-') ? 1 : 0;
    };
    if (at < argv.length) return await send(argv.slice(at));
    let code = 0;
    for await (const line of linesOf(context.stdin, context.signal))
      if (line.trim() !== '') code = await send(line.trim().split(/\s+/));
    return code;
  } finally {
    socket.destroy();
  }
};

/** One reply of RESP, as text; undefined when the connection ends before it is whole. */
function readReply(context: ToolContext, socket: NodeJS.EventEmitter): Promise<string | undefined> {
  return new Promise((resolve) => {
    let seen = '';
    const settle = (reply: string | undefined): void => {
      clearTimeout(timer);
      socket.off('data', onData);
      socket.off('end', onEnd);
      context.signal.removeEventListener('abort', onEnd);
      resolve(reply);
    };
    const onEnd = (): void => settle(undefined);
    const onData = (chunk: Buffer): void => {
      seen += chunk.toString('utf8');
      if (replyLength(seen, 0) !== undefined) settle(seen);
    };
    const timer = setTimeout(onEnd, ANSWER_TIMEOUT_MS);
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    context.signal.addEventListener('abort', onEnd);
  });
}

/** End of the reply that begins at `at`, or undefined while it is not whole. */
function replyLength(text: string, at: number, depth = 0): number | undefined {
  const end = text.indexOf('\r\n', at);
  if (end < 0 || depth > 8) return depth > 8 ? text.length : undefined;
  const count = Number(text.slice(at + 1, end));
  if (text[at] === '$') {
    const next = count < 0 ? end + 2 : end + 4 + count;
    return next <= text.length ? next : undefined;
  }
  if (text[at] !== '*') return end + 2;
  let next: number | undefined = end + 2;
  for (let i = 0; i < count && next !== undefined; i++) next = replyLength(text, next, depth + 1);
  return next;
}

function formatReply(reply: string, raw: boolean): string {
  const end = reply.indexOf('\r\n');
  const head = reply.slice(1, end);
  switch (reply[0]) {
    case '+':
      return head;
    case '-':
      return raw ? head : `(error) ${head}`;
    case ':':
      return raw ? head : `(integer) ${head}`;
    case '$':
      if (head === '-1') return raw ? '' : '(nil)';
      return raw ? reply.slice(end + 2, -2) : JSON.stringify(reply.slice(end + 2, -2));
    default:
      return reply.replace(/\r\n/g, '\n').trimEnd();
  }
}
