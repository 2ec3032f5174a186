import { Agent, type IncomingMessage, request } from 'node:http';
import { isIP } from 'node:net';
import { posix } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { errnoText } from '../shell/devices.ts';
import { chunksOf, pause } from '../shell/streams.ts';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { addressesOf, connectAny, deadline, isFailure } from './connection.ts';
import { type Options, parseOptions, parseSeconds } from './options.ts';
import { withUsage } from './tool-files.ts';

const LONGS = {
  quiet: 'q',
  'no-verbose': 'nv',
  'output-document': 'O=',
  timeout: 'T=',
  'connect-timeout': 'T=',
  'read-timeout': 'T=',
  'dns-timeout': 'dns=',
  tries: 't=',
  spider: 'spider',
  'server-response': 'S',
  header: 'header=',
  'post-data': 'post=',
  'user-agent': 'U=',
  'no-check-certificate': 'insecure',
  'no-proxy': 'no-proxy',
  'directory-prefix': 'P=',
  'max-redirect': 'redirects=',
  'retry-connrefused': 'retry-connrefused',
  continue: 'c',
  method: 'method=',
  'body-data': 'post=',
  'inet4-only': '4',
  'inet6-only': '6',
  wait: 'w=',
  waitretry: 'waitretry=',
};

const MAX_REDIRECTS = 20;

/** What went wrong, as busybox says it; `code` is wget's exit code: 1 for all of busybox's, 4 network and 8 server in GNU's. */
class WgetProblem extends Error {
  readonly retryable: boolean;
  constructor(message: string, retryable = false) {
    super(message);
    this.retryable = retryable;
  }
}

/** wget as busybox has it, which is what most small images ship, with GNU's long options. Exit code 1 for any failure. */
export const wget: Tool = withUsage(1, async (context) => {
  const args = context.argv
    .slice(1)
    .flatMap((argument) => (argument === '-nv' ? ['--no-verbose'] : [argument]));
  const options = parseOptions(args, 'qO:T:t:ScP:U:Y:o:46w:', LONGS);
  if (options.operands.length === 0) {
    await context.stderr.write('wget: missing URL\nUsage: wget [OPTION]... [URL]...\n');
    return 1;
  }
  const wait = options.get('T');
  const timeoutMs = wait === undefined ? undefined : parseSeconds(wait);
  if (wait !== undefined && timeoutMs === undefined) {
    await context.stderr.write(`wget: invalid number '${wait}'\n`);
    return 1;
  }
  const tries = Number(options.get('t') ?? 1) || 20;
  let code = 0;
  for (const url of options.operands) {
    for (let left = tries; left > 0; left--) {
      try {
        await download(context, options, url, timeoutMs);
        break;
      } catch (error) {
        if (!(error instanceof WgetProblem)) throw error;
        if (error.retryable && left > 1 && !context.signal.aborted) {
          await pause(1_000, context.signal);
          continue;
        }
        code = 1;
        if (!context.signal.aborted) await context.stderr.write(`wget: ${error.message}\n`);
        break;
      }
    }
    if (context.signal.aborted) return 130;
  }
  return code;
});

async function download(
  context: ToolContext,
  options: Options,
  written: string,
  timeoutMs: number | undefined,
): Promise<void> {
  const text = /^[a-z]+:\/\//i.test(written) ? written : `http://${written}`;
  if (!URL.canParse(text) || !/^https?:/i.test(text))
    throw new WgetProblem(`not an http or ftp url: ${written}`);
  let url = new URL(text);
  const quiet = options.has('q');
  for (let redirects = 0; ; redirects++) {
    const answer = await ask(context, options, url, timeoutMs, quiet);
    const { response } = answer;
    const status = response.statusCode ?? 0;
    if (options.has('S')) {
      const lines = [`HTTP/${response.httpVersion} ${status} ${response.statusMessage}`];
      for (let i = 0; i < response.rawHeaders.length; i += 2)
        lines.push(`${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}`);
      await context.stderr.write(lines.map((line) => `  ${line}\n`).join(''));
    }
    const { location } = response.headers;
    if (status >= 300 && status < 400 && location !== undefined && URL.canParse(location, url)) {
      answer.close();
      if (redirects >= Number(options.get('redirects') ?? MAX_REDIRECTS))
        throw new WgetProblem('too many redirections');
      url = new URL(location, url);
      continue;
    }
    if (status >= 400) {
      answer.close();
      throw new WgetProblem(
        `server returned error: HTTP/${response.httpVersion} ${status} ${response.statusMessage}`,
      );
    }
    if (options.has('spider')) {
      answer.close();
      if (!quiet) await context.stderr.write('remote file exists\n');
      return;
    }
    await save(context, options, url, answer, timeoutMs, quiet);
    return;
  }
}

interface Answer {
  response: IncomingMessage;
  signal: AbortSignal;
  close(): void;
}

async function ask(
  context: ToolContext,
  options: Options,
  url: URL,
  timeoutMs: number | undefined,
  quiet: boolean,
): Promise<Answer> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const secure = url.protocol === 'https:';
  const port = Number(url.port || (secure ? 443 : 80));
  const limit = deadline(context, timeoutMs);
  const family = options.has('4') ? 4 : options.has('6') ? 6 : undefined;
  const addresses = await addressesOf(context, host, family, limit.signal);
  if (isFailure(addresses)) {
    limit.stop();
    throw new WgetProblem(limit.late.aborted ? 'download timed out' : `bad address '${url.host}'`, true);
  }
  const shown = addresses[0]!.includes(':') ? `[${addresses[0]}]:${port}` : `${addresses[0]}:${port}`;
  if (!quiet) await context.stderr.write(`Connecting to ${url.host} (${shown})\n`);
  const socket = await connectAny(context, addresses, port, { signal: limit.signal });
  if (isFailure(socket)) {
    limit.stop();
    if (limit.late.aborted) throw new WgetProblem('download timed out', true);
    throw new WgetProblem(
      `can't connect to remote host (${socket.address ?? addresses[0]}): ${errnoText(socket.code)}`,
      true,
    );
  }
  const connection = secure
    ? connectTls({
        socket: socket as never,
        ...(isIP(host) === 0 && { servername: host }),
        rejectUnauthorized: !options.has('insecure'),
      })
    : socket;
  const agent = new Agent();
  agent.createConnection = () => connection as never;
  const headers: Record<string, string> = {
    Host: url.host,
    'User-Agent': options.get('U') ?? 'Wget',
    Connection: 'close',
  };
  for (const line of options.all('header')) {
    const match = /^([^:\s]+):\s*(.*)$/.exec(line);
    if (match) headers[match[1]!] = match[2]!;
  }
  const body = options.get('post');
  if (body !== undefined) {
    headers['Content-Type'] ??= 'application/x-www-form-urlencoded';
    headers['Content-Length'] = String(Buffer.byteLength(body));
  }
  const method =
    options.get('method') ?? (options.has('spider') ? 'HEAD' : body === undefined ? 'GET' : 'POST');
  const close = (): void => {
    limit.stop();
    connection.destroy();
  };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request({
      method,
      path: `${url.pathname}${url.search}`,
      headers,
      agent,
      setDefaultHeaders: false,
    });
    limit.signal.addEventListener('abort', () => {
      outgoing.destroy();
      reject(new WgetProblem('download timed out', true));
    });
    outgoing.on('response', resolve);
    outgoing.on('error', (error: Error & { code?: string }) => {
      close();
      if (/CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(error.code ?? ''))
        reject(new WgetProblem(`note: TLS certificate validation failed: ${error.message}`));
      else if (error.code?.startsWith('ERR_SSL'))
        reject(new WgetProblem('error getting response: TLS handshake failed'));
      else if (error.code?.startsWith('HPE_')) reject(new WgetProblem('error getting response'));
      else
        reject(
          new WgetProblem(
            error.message === 'socket hang up'
              ? 'error getting response'
              : `error getting response: ${errnoText(error.code)}`,
            true,
          ),
        );
    });
    outgoing.end(body);
  });
  return { response, signal: limit.signal, close };
}

async function save(
  context: ToolContext,
  options: Options,
  url: URL,
  answer: Answer,
  timeoutMs: number | undefined,
  quiet: boolean,
): Promise<void> {
  const { response, signal, close } = answer;
  const name =
    options.get('O') ?? posix.join(options.get('P') ?? '', posix.basename(url.pathname) || 'index.html');
  const toOutput = name === '-' || name === '/dev/stdout';
  const path = posix.resolve(context.directory, name);
  if (!toOutput) {
    if (options.get('O') === undefined && context.files.exists(path)) {
      close();
      throw new WgetProblem(`can't open '${name}': File exists`);
    }
    try {
      context.files.write(path, new Uint8Array(0));
    } catch (error) {
      close();
      throw new WgetProblem(`can't open '${name}': ${(error as Error).message}`);
    }
  }
  if (!quiet) await context.stderr.write(toOutput ? 'writing to stdout\n' : `saving to '${name}'\n`);
  let bytes = 0;
  response.on('error', () => {});
  for await (const chunk of chunksOf(response, signal)) {
    bytes += chunk.length;
    if (toOutput) await context.stdout.write(chunk);
    else context.files.write(path, chunk, true);
  }
  close();
  if (signal.aborted) throw new WgetProblem('download timed out', timeoutMs !== undefined);
  if (!response.complete) throw new WgetProblem('connection closed prematurely');
  if (quiet) return;
  const label = (toOutput ? '-' : posix.basename(name)).padEnd(20).slice(0, 20);
  await context.stderr.write(
    `${label} 100% |${'*'.repeat(32)}| ${String(bytes).padStart(5)}  0:00:00 ETA\n${toOutput ? 'written to stdout' : `'${name}' saved`}\n`,
  );
}
