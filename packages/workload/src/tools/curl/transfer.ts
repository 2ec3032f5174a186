import { Agent, type IncomingMessage, request } from 'node:http';
import { isIP } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import { chunksOf } from '../../shell/streams.ts';
import type { ToolContext } from '../../shell/tool.ts';
import { addressesOf, connectOnce, isFailure } from '../connection.ts';
import type { CurlOptions } from './options.ts';

/** curl's exit codes, those that can happen here. */
export class CurlError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** What one URL's transfer came to; times are milliseconds since its start. */
export interface Transfer {
  url: URL;
  method: string;
  status: number;
  httpVersion: string;
  headers: [string, string][];
  redirects: number;
  redirectUrl: string;
  connects: number;
  sizeDownload: number;
  sizeUpload: number;
  sizeHeader: number;
  remoteIp: string;
  remotePort: number;
  localIp: string;
  localPort: number;
  nameLookupMs: number;
  connectMs: number;
  appConnectMs: number;
  preTransferMs: number;
  startTransferMs: number;
  redirectMs: number;
  totalMs: number;
  startedMs: number;
}

export function newTransfer(url: URL, startedMs: number): Transfer {
  return {
    url,
    method: 'GET',
    status: 0,
    httpVersion: '0',
    headers: [],
    redirects: 0,
    redirectUrl: '',
    connects: 0,
    sizeDownload: 0,
    sizeUpload: 0,
    sizeHeader: 0,
    remoteIp: '',
    remotePort: 0,
    localIp: '',
    localPort: 0,
    nameLookupMs: 0,
    connectMs: 0,
    appConnectMs: 0,
    preTransferMs: 0,
    startTransferMs: 0,
    redirectMs: 0,
    totalMs: 0,
    startedMs,
  };
}

/** One curl process: its options and its pool of connections. */
export interface Session {
  context: ToolContext;
  options: CurlOptions;
  /** Text of -v and the like, for stderr. */
  log(text: string): Promise<void>;
  pool: Map<string, Agent>;
  /** The connection that the next request makes belongs to this transfer. */
  current: { transfer: Transfer; signal: AbortSignal; error: CurlError | undefined };
  tls: ConnectionOptions;
}

export interface Sink {
  /** The response's head, once per response that is shown. */
  head(text: string): Promise<void>;
  body(chunk: Uint8Array): Promise<void>;
}

function agentFor(session: Session, origin: string): Agent {
  let agent = session.pool.get(origin);
  if (agent) return agent;
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = ((_options: unknown, done: (error: Error | null, socket?: unknown) => void) => {
    open(session).then(
      (socket) => done(null, socket),
      (error: CurlError) => {
        session.current.error = error;
        done(error);
      },
    );
    return undefined;
  }) as unknown as Agent['createConnection'];
  session.pool.set(origin, agent);
  return agent;
}

/** Name, connection, TLS: with the times and the errors curl has for each. */
async function open(session: Session): Promise<TcpSocket | TLSSocket> {
  const { context, options, log } = session;
  const { transfer, signal } = session.current;
  const { url } = transfer;
  const secure = url.protocol === 'https:';
  const sinceStart = (): number => context.nowMs() - transfer.startedMs;
  let host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  let port = Number(url.port || (secure ? 443 : 80));
  const named = host;
  const redirected = options.connectTo.find(
    (entry) =>
      (entry.host === '' || entry.host === host) && (entry.port === '' || entry.port === String(port)),
  );
  if (redirected) {
    host = redirected.toHost || host;
    port = Number(redirected.toPort || port);
  }
  const fixed = options.resolve.find(
    (entry) =>
      (entry.host === host || entry.host === '*') && (entry.port === '*' || Number(entry.port) === port),
  );
  const found = fixed ? fixed.addresses : await addressesOf(context, host, options.family, signal);
  if (isFailure(found)) {
    if (signal.aborted)
      throw new CurlError(28, `Resolving timed out after ${Math.round(sinceStart())} milliseconds`);
    throw new CurlError(6, `Could not resolve host: ${named}`);
  }
  transfer.nameLookupMs = sinceStart();
  if (options.verbose && !isIP(host) && !fixed) {
    const v4 = found.filter((address) => isIP(address) === 4).join(', ') || '(none)';
    const v6 = found.filter((address) => isIP(address) === 6).join(', ') || '(none)';
    await log(`* Host ${host}:${port} was resolved.\n* IPv6: ${v6}\n* IPv4: ${v4}\n`);
  }
  let socket: TcpSocket | undefined;
  for (const address of found) {
    if (options.family && isIP(address) !== options.family) continue;
    if (options.verbose)
      await log(`*   Trying ${address.includes(':') ? `[${address}]` : address}:${port}...\n`);
    const left =
      options.connectTimeoutMs === undefined
        ? undefined
        : Math.max(0, options.connectTimeoutMs - sinceStart());
    const outcome = await connectOnce(context, address, port, {
      signal,
      ...(left !== undefined && { timeoutMs: left }),
    });
    if (!isFailure(outcome)) {
      socket = outcome;
      break;
    }
    if (outcome.code === 'ABORTED') throw timedOut(transfer, sinceStart());
    if (
      left !== undefined &&
      outcome.code === 'ETIMEDOUT' &&
      sinceStart() >= (options.connectTimeoutMs ?? 0) - 1
    )
      throw new CurlError(
        28,
        `Failed to connect to ${named} port ${port} after ${Math.round(sinceStart())} ms: Timeout was reached`,
      );
    if (options.verbose)
      await log(
        `* connect to ${address} port ${port} from ${localAddress(context, address)} port 0 failed: ${connectText(outcome.code)}\n`,
      );
  }
  if (!socket) {
    const message = `Failed to connect to ${named} port ${port} after ${Math.round(sinceStart())} ms: Couldn't connect to server`;
    if (options.verbose) await log(`* ${message}\n* closing connection #0\n`);
    throw new CurlError(7, message);
  }
  transfer.connects++;
  transfer.connectMs = sinceStart();
  transfer.remoteIp = socket.remoteAddress ?? '';
  transfer.remotePort = socket.remotePort ?? 0;
  transfer.localIp = socket.localAddress ?? '';
  transfer.localPort = socket.localPort ?? 0;
  const secured = secure ? await secureSocket(session, socket, named) : socket;
  if (secure) transfer.appConnectMs = sinceStart();
  if (options.verbose) {
    await log(`* Connected to ${named} (${transfer.remoteIp}) port ${port}\n`);
    await log('* using HTTP/1.x\n');
  }
  return secured;
}

function localAddress(context: ToolContext, peer: string): string {
  const version = peer.includes(':');
  return context.sandbox.podIPs.find((address) => address.includes(':') === version) ?? '0.0.0.0';
}

function connectText(code: string): string {
  const texts: Record<string, string> = {
    ECONNREFUSED: 'Connection refused',
    ETIMEDOUT: 'Connection timed out',
    EHOSTUNREACH: 'No route to host',
    ENETUNREACH: 'Network is unreachable',
    EPERM: 'Operation not permitted',
  };
  return texts[code] ?? code;
}

function timedOut(transfer: Transfer, sinceStartMs: number): CurlError {
  const ms = Math.round(sinceStartMs);
  if (transfer.remoteIp === '') return new CurlError(28, `Connection timed out after ${ms} milliseconds`);
  return new CurlError(
    28,
    `Operation timed out after ${ms} milliseconds with ${transfer.sizeDownload} bytes received`,
  );
}

function secureSocket(session: Session, socket: TcpSocket, host: string): Promise<TLSSocket> {
  const { options, log } = session;
  return new Promise((resolve, reject) => {
    const secured = connectTls({
      ...session.tls,
      socket: socket as never,
      ...(isIP(host) === 0 && { servername: host }),
      rejectUnauthorized: !options.insecure,
      ALPNProtocols: ['http/1.1'],
    });
    const abort = (): void => {
      secured.destroy();
      reject(
        timedOut(session.current.transfer, session.context.nowMs() - session.current.transfer.startedMs),
      );
    };
    session.current.signal.addEventListener('abort', abort, { once: true });
    secured.once('secureConnect', () => {
      session.current.signal.removeEventListener('abort', abort);
      const subject = secured.getPeerCertificate().subject?.CN ?? '';
      const issuer = secured.getPeerCertificate().issuer?.CN ?? '';
      const text = `* SSL connection using ${secured.getProtocol()} / ${secured.getCipher().standardName}\n* Server certificate:\n*  subject: CN=${String(subject)}\n*  issuer: CN=${String(issuer)}\n`;
      void (options.verbose ? log(text) : Promise.resolve()).then(() => resolve(secured));
    });
    secured.once('error', (error: Error & { code?: string }) => {
      const code = error.code ?? '';
      if (/CERT|SELF_SIGNED|UNABLE_TO|HOSTNAME|ALTNAME/.test(code)) {
        const why =
          code === 'ERR_TLS_CERT_ALTNAME_INVALID'
            ? `SSL: no alternative certificate subject name matches target host name '${host}'`
            : `SSL certificate problem: ${error.message}`;
        reject(new CurlError(60, why));
      } else if (code === 'ECONNRESET') reject(new CurlError(35, 'Recv failure: Connection reset by peer'));
      else reject(new CurlError(35, `TLS connect error: ${error.message.split('\n')[0]!.slice(0, 200)}`));
    });
  });
}

/** One request and its response; the body goes to the sink as it comes. Throws CurlError. */
export async function performRequest(
  session: Session,
  method: string,
  body: Buffer | undefined,
  sink: Sink,
): Promise<void> {
  const { context, options, log } = session;
  const { transfer, signal } = session.current;
  const { url } = transfer;
  const headers = requestHeaders(session, body);
  const path = `${url.pathname}${url.search}`;
  transfer.method = method;
  const agent = agentFor(session, url.origin);
  session.current.error = undefined;

  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request({
      method,
      path,
      host: url.hostname,
      port: url.port,
      agent,
      setDefaultHeaders: false,
    });
    for (const [name, value] of headers)
      outgoing.setHeader(name, [...toArray(outgoing.getHeader(name)), value]);
    const abort = (): void => {
      outgoing.destroy();
      reject(timedOut(transfer, context.nowMs() - transfer.startedMs));
    };
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort);
    outgoing.on('socket', () => {
      transfer.preTransferMs = context.nowMs() - transfer.startedMs;
      if (transfer.remoteIp === '' && outgoing.reusedSocket) {
        const socket = outgoing.socket as unknown as TcpSocket;
        transfer.remoteIp = socket.remoteAddress ?? '';
        transfer.remotePort = socket.remotePort ?? 0;
        transfer.localIp = socket.localAddress ?? '';
        transfer.localPort = socket.localPort ?? 0;
      }
      if (!options.verbose) return;
      const reused = outgoing.reusedSocket
        ? `* Re-using existing ${url.protocol.slice(0, -1)}: connection with host ${url.hostname}\n`
        : '';
      const lines = [
        `${method} ${path} HTTP/1.1`,
        ...headers.map(([name, value]) => `${name}: ${value}`),
        '',
      ];
      void log(`${reused}${lines.map((line) => `> ${line}\r\n`).join('')}* Request completely sent off\n`);
    });
    outgoing.on('response', (incoming) => {
      signal.removeEventListener('abort', abort);
      resolve(incoming);
    });
    outgoing.on('upgrade', (_incoming, socket) => {
      socket.destroy();
      reject(new CurlError(56, 'Unexpected protocol switch'));
    });
    outgoing.on('error', (error: Error & { code?: string }) => {
      signal.removeEventListener('abort', abort);
      reject(session.current.error ?? requestFailure(error));
    });
    outgoing.end(body);
  });
  transfer.startTransferMs = context.nowMs() - transfer.startedMs;
  transfer.status = response.statusCode ?? 0;
  transfer.httpVersion = response.httpVersion;
  transfer.sizeUpload = body?.length ?? 0;
  transfer.headers = [];
  for (let i = 0; i < response.rawHeaders.length; i += 2)
    transfer.headers.push([response.rawHeaders[i]!, response.rawHeaders[i + 1]!]);
  const head = [
    `HTTP/${response.httpVersion} ${response.statusCode} ${response.statusMessage}`,
    ...transfer.headers.map(([name, value]) => `${name}: ${value}`),
    '',
  ];
  if (options.verbose) await log(head.map((line) => `< ${line}\r\n`).join(''));
  const text = head.map((line) => `${line}\r\n`).join('');
  transfer.sizeHeader += text.length;
  await sink.head(text);
  let failure: (Error & { code?: string }) | undefined;
  response.on('error', (error) => {
    failure = error;
  });
  for await (const chunk of chunksOf(response, signal)) {
    transfer.sizeDownload += chunk.length;
    await sink.body(chunk);
  }
  transfer.totalMs = context.nowMs() - transfer.startedMs;
  if (signal.aborted) {
    response.destroy();
    throw timedOut(transfer, transfer.totalMs);
  }
  if (!response.complete) {
    const expected = Number(response.headers['content-length'] ?? NaN);
    if (failure?.code === 'ECONNRESET' && failure.message !== 'aborted')
      throw new CurlError(56, 'Recv failure: Connection reset by peer');
    if (Number.isNaN(expected))
      throw new CurlError(18, 'transfer closed with outstanding read data remaining');
    throw new CurlError(18, `end of response with ${expected - transfer.sizeDownload} bytes missing`);
  }
  if (options.verbose) await log(`* Connection #0 to host ${url.hostname} left intact\n`);
}

function toArray(value: number | string | readonly string[] | undefined): string[] {
  return value === undefined ? [] : Array.isArray(value) ? [...(value as string[])] : [String(value)];
}

function requestFailure(error: Error & { code?: string }): CurlError {
  if (error.code?.startsWith('HPE_')) return new CurlError(1, 'Received HTTP/0.9 when not allowed');
  if (error.message === 'socket hang up') return new CurlError(52, 'Empty reply from server');
  if (error.code === 'ETIMEDOUT') return new CurlError(56, 'Recv failure: Connection timed out');
  if (error.code === 'EPIPE') return new CurlError(55, 'Send failure: Broken pipe');
  if (error.code === 'EHOSTUNREACH') return new CurlError(56, 'Recv failure: No route to host');
  return new CurlError(56, 'Recv failure: Connection reset by peer');
}

function requestHeaders(session: Session, body: Buffer | undefined): [string, string][] {
  const { options } = session;
  const { url } = session.current.transfer;
  const headers: [string, string][] = [['Host', url.host]];
  const user =
    options.user ??
    (url.username ? `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` : undefined);
  if (user !== undefined) headers.push(['Authorization', `Basic ${Buffer.from(user).toString('base64')}`]);
  if (options.agent) headers.push(['User-Agent', options.agent]);
  headers.push(['Accept', '*/*']);
  const isForm = body !== undefined && options.upload === undefined;
  if (body !== undefined) headers.push(['Content-Length', String(body.length)]);
  if (isForm) headers.push(['Content-Type', 'application/x-www-form-urlencoded']);
  for (const line of options.headers) {
    const match = /^([^:;\s]+)\s*([:;])\s*(.*)$/.exec(line);
    if (!match) continue;
    const [, name = '', separator, value = ''] = match;
    const at = headers.findIndex(([known]) => known.toLowerCase() === name.toLowerCase());
    const isOwn =
      at >= 0 && /^(host|user-agent|accept|content-type|content-length|authorization)$/i.test(name);
    if (value === '' && separator === ':') {
      if (at >= 0) headers.splice(at, 1);
    } else if (isOwn) headers[at] = [name, value];
    else headers.push([name, value]);
  }
  return headers;
}
