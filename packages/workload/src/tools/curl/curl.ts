import { posix } from 'node:path';
import { pause, readAll } from '../../shell/streams.ts';
import type { Tool, ToolContext } from '../../shell/tool.ts';
import { addressesOf, connectAny, deadline, isFailure } from '../connection.ts';
import { pump } from '../pump.ts';
import { openInput } from '../tool-files.ts';
import { type CurlOptions, CurlUsage, expandUrl, parseCurl } from './options.ts';
import {
  CurlError,
  newTransfer,
  performRequest,
  type Session,
  type Sink,
  type Transfer,
} from './transfer.ts';
import { progressMeter, writeOut } from './write-out.ts';

const TRY_HELP = "curl: try 'curl --help' or 'curl --manual' for more information\n";
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const TRANSIENT = new Set([408, 429, 500, 502, 503, 504]);
const MAX_UPLOAD_BYTES = 64 * 2 ** 20;

/** curl over the pod's stack: HTTP/1.1 and HTTPS, and `telnet://` for a look at a port. Texts and exit codes are curl 8's. */
export const curl: Tool = async (context) => {
  const { argv, stdout, stderr } = context;
  if (argv.includes('--version') || argv.includes('-V')) {
    await stdout.write('curl 8.14.1 (podwire) libcurl/8.14.1\nProtocols: http https telnet\n');
    return 0;
  }
  if (argv.includes('--help')) {
    await stdout.write('Usage: curl [options...] <url>\n');
    return 0;
  }
  let options: CurlOptions;
  try {
    options = await parseCurl(argv.slice(1), { read: (name) => readInput(context, name) });
    if (options.urls.length === 0) throw new CurlUsage('(2) no URL specified');
  } catch (error) {
    if (!(error instanceof CurlUsage)) throw error;
    await stderr.write(`curl: ${error.message}\n${error.code === 2 ? TRY_HELP : ''}`);
    return error.code;
  }
  const session: Session = {
    context,
    options,
    log: (text) => stderr.write(text),
    pool: new Map(),
    current: undefined as never,
    tls: await tlsFiles(context, options),
  };
  let code = 0;
  try {
    const outputs = [...options.outputs];
    for (const written of options.urls) {
      const urls = options.globbing ? expandUrl(written) : [written];
      if (!urls) {
        await stderr.write(`curl: (3) too many URLs in ${written}\n`);
        code = 3;
        continue;
      }
      const output = outputs.shift();
      for (const url of urls) {
        code = await fetchWithRetries(session, url, output);
        if (context.signal.aborted) return code;
      }
    }
  } finally {
    for (const agent of session.pool.values()) agent.destroy();
  }
  return code;
};

async function readInput(context: ToolContext, name: string): Promise<Buffer | undefined> {
  const input = openInput(context, name);
  return typeof input === 'string' ? undefined : readAll(input, context.signal, MAX_UPLOAD_BYTES);
}

async function tlsFiles(context: ToolContext, options: CurlOptions): Promise<Session['tls']> {
  const read = (name: string | undefined): Buffer | undefined =>
    name === undefined ? undefined : context.files.read(posix.resolve(context.directory, name));
  const ca = read(options.caFile);
  const cert = read(options.certificateFile);
  const key = read(options.keyFile ?? options.certificateFile);
  return { ...(ca && { ca }), ...(cert && { cert, ...(key && { key }) }) };
}

async function fetchWithRetries(session: Session, url: string, output: string | undefined): Promise<number> {
  const { context, options } = session;
  let delayMs = options.retryDelayMs ?? 1_000;
  for (let left = options.retries; ; left--) {
    const { error, transfer } = await fetchOnce(session, url, output, left > 0);
    if (left <= 0 || context.signal.aborted) return error?.code ?? 0;
    const status = transfer?.status ?? 0;
    const again =
      TRANSIENT.has(status) ||
      error?.code === 28 ||
      (error?.code === 7 && options.retryConnectionRefused) ||
      (error !== undefined && options.retryAllErrors);
    if (!again) return error?.code ?? 0;
    const why =
      error && error.code !== 22 ? (error.code === 28 ? 'timeout' : 'connection refused') : 'HTTP error';
    if (!options.silent || options.showError)
      await session.log(
        `Warning: Problem: ${why}. Will retry in ${delayMs / 1000} second${delayMs === 1000 ? '' : 's'}. ${left} ${left === 1 ? 'retry' : 'retries'} left.\n`,
      );
    await pause(delayMs, context.signal);
    if (options.retryDelayMs === undefined) delayMs = Math.min(delayMs * 2, 600_000);
  }
}

/** One URL with its redirects, output and -w. */
async function fetchOnce(
  session: Session,
  written: string,
  output: string | undefined,
  mayRetry: boolean,
): Promise<{ error: CurlError | undefined; transfer: Transfer | undefined }> {
  const { context, options } = session;
  const url = parseUrl(written);
  if (url instanceof CurlError) {
    if (!options.silent || options.showError) await session.log(`curl: (${url.code}) ${url.message}\n`);
    return { error: url, transfer: undefined };
  }
  const limit = deadline(context, options.maxTimeMs);
  let transfer = newTransfer(url, context.nowMs());
  let error: CurlError | undefined;
  const path = options.remoteName && output === undefined ? posix.basename(url.pathname) : output;
  const target =
    path === undefined || path === '-'
      ? undefined
      : path === '/dev/null'
        ? null
        : posix.resolve(context.directory, path);
  try {
    if (options.remoteName && path === '') throw new CurlError(23, 'Remote file name has no length');
    if (url.protocol === 'telnet:') await telnet(session, url, limit.signal, transfer);
    else transfer = await followRedirects(session, url, limit.signal, target, transfer);
  } catch (problem) {
    if (!(problem instanceof CurlError)) throw problem;
    error = problem;
  } finally {
    limit.stop();
  }
  transfer.totalMs = context.nowMs() - transfer.startedMs;
  const toTerminal = target === undefined && context.stdout.isTerminal;
  if (!options.silent && options.progress && !options.verbose && !toTerminal && url.protocol !== 'telnet:')
    await session.log(progressMeter(transfer));
  if (
    error &&
    !context.signal.aborted &&
    (!options.silent || options.showError) &&
    !(mayRetry && TRANSIENT.has(transfer.status))
  )
    await session.log(`curl: (${error.code}) ${error.message}\n`);
  if (options.writeOut) await context.stdout.write(writeOut(options.writeOut, transfer, error));
  return { error, transfer };
}

async function followRedirects(
  session: Session,
  start: URL,
  signal: AbortSignal,
  target: string | null | undefined,
  transfer: Transfer,
): Promise<Transfer> {
  const { context, options } = session;
  const data = options.data.join('&');
  let url = start;
  let body: Buffer | undefined;
  if (options.upload !== undefined) {
    body = await readInput(context, options.upload);
    if (!body) throw new CurlError(26, `Can't open '${options.upload}'!`);
    if (url.pathname.endsWith('/') && options.upload !== '-') url.pathname += posix.basename(options.upload);
  } else if (options.data.length > 0 && options.get) url.search += `${url.search ? '&' : ''}${data}`;
  else if (options.data.length > 0) body = Buffer.from(data);
  let method =
    options.method ??
    (options.head ? 'HEAD' : options.upload !== undefined ? 'PUT' : body !== undefined ? 'POST' : 'GET');
  if (target) context.files.write(target, new Uint8Array(0));
  const write = async (chunk: Uint8Array): Promise<void> => {
    if (target === null) return;
    if (target === undefined) await context.stdout.write(chunk);
    else context.files.write(target, chunk, true);
  };
  for (;;) {
    transfer.url = url;
    transfer.remoteIp = '';
    session.current = { transfer, signal, error: undefined };
    let status = 0;
    let suppress = false;
    const sink: Sink = {
      async head(text) {
        status = Number(/^\S+ (\d+)/.exec(text)?.[1] ?? 0);
        const redirects = options.follow && REDIRECTS.has(status) && locationOf(transfer) !== undefined;
        suppress = (options.fail && status >= 400) || redirects;
        if (options.include || options.head) {
          if (!(options.fail && status >= 400)) await write(Buffer.from(text, 'latin1'));
        }
        if (options.dumpHeader === '-') await context.stdout.write(text);
        else if (options.dumpHeader !== undefined)
          context.files.write(
            posix.resolve(context.directory, options.dumpHeader),
            Buffer.from(text),
            transfer.redirects > 0,
          );
      },
      body: async (chunk) => (suppress ? undefined : write(chunk)),
    };
    await performRequest(session, method, body, sink);
    const location = locationOf(transfer);
    const next =
      REDIRECTS.has(status) && location !== undefined && URL.canParse(location, url)
        ? new URL(location, url)
        : undefined;
    transfer.redirectUrl = !options.follow && next ? next.href : '';
    if (!options.follow || !next) break;
    if (transfer.redirects >= options.maxRedirects)
      throw new CurlError(47, `Maximum (${options.maxRedirects}) redirects followed`);
    transfer.redirects++;
    transfer.redirectMs = context.nowMs() - transfer.startedMs;
    if (options.verbose) await session.log(`* Issue another request to this URL: '${next.href}'\n`);
    if (!/^https?:$/.test(next.protocol))
      throw new CurlError(1, `Protocol "${next.protocol.slice(0, -1)}" disabled`);
    // RFC 9110 15.4: 303 becomes GET, and by custom 301 and 302 of a POST do too.
    if (status === 303 || (method === 'POST' && status <= 302)) {
      if (!options.method && method !== 'HEAD') method = 'GET';
      body = undefined;
    }
    url = next;
  }
  if ((options.fail || options.failWithBody) && transfer.status >= 400)
    throw new CurlError(22, `The requested URL returned error: ${transfer.status}`);
  return transfer;
}

function locationOf(transfer: Transfer): string | undefined {
  return transfer.headers.find(([name]) => name.toLowerCase() === 'location')?.[1];
}

function parseUrl(written: string): URL | CurlError {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(written)?.[1]?.toLowerCase();
  if (scheme !== undefined && !['http', 'https', 'telnet'].includes(scheme))
    return new CurlError(1, `Protocol "${scheme}" not supported`);
  const text = scheme === undefined ? `http://${written}` : written;
  if (/\s/.test(text)) return new CurlError(3, 'URL rejected: Malformed input to a URL function');
  if (/^\w+:\/\/(?:[^/?#]*@)?(?=[/?#:]|$)/.test(text))
    return new CurlError(3, 'URL rejected: No host part in the URL');
  const port = /^\w+:\/\/(?:[^/?#]*@)?(?:\[[^\]]*\]|[^/?#:[]*):([^/?#]*)/.exec(text)?.[1];
  if (port !== undefined && (!/^\d*$/.test(port) || Number(port) > 65_535))
    return new CurlError(3, 'URL rejected: Port number was not a decimal number between 0 and 65535');
  return URL.canParse(text)
    ? new URL(text)
    : new CurlError(3, 'URL rejected: Malformed input to a URL function');
}

/** `curl telnet://host:port`: connects and carries both directions. */
async function telnet(session: Session, url: URL, signal: AbortSignal, transfer: Transfer): Promise<void> {
  const { context, options } = session;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || 23);
  const found = await addressesOf(context, host, options.family, signal);
  if (isFailure(found)) throw new CurlError(6, `Could not resolve host: ${host}`);
  transfer.nameLookupMs = context.nowMs() - transfer.startedMs;
  if (options.verbose) await session.log(`*   Trying ${found[0]}:${port}...\n`);
  const socket = await connectAny(context, found, port, {
    signal,
    ...(options.connectTimeoutMs !== undefined && { timeoutMs: options.connectTimeoutMs }),
  });
  const ms = Math.round(context.nowMs() - transfer.startedMs);
  if (isFailure(socket)) {
    if (socket.code === 'ABORTED' || socket.code === 'ETIMEDOUT')
      throw new CurlError(28, `Connection timed out after ${ms} milliseconds`);
    throw new CurlError(
      7,
      `Failed to connect to ${host} port ${port} after ${ms} ms: Couldn't connect to server`,
    );
  }
  if (options.verbose) await session.log(`* Connected to ${host} (${socket.remoteAddress}) port ${port}\n`);
  await pump(context, socket, { signal, endOnInputEnd: false });
  if (signal.aborted)
    throw new CurlError(
      28,
      `Operation timed out after ${Math.round(context.nowMs() - transfer.startedMs)} milliseconds with 0 bytes received`,
    );
}
