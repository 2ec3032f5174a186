import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { ResolveError, resolveHost } from '../resolver.ts';
import { errnoText } from '../shell/devices.ts';
import { pause } from '../shell/streams.ts';
import { parseOptions, parseSeconds } from '../tools/options.ts';
import { type AgnhostContext, logLine, untilEnded } from './context.ts';
import { hostPort, Listeners } from './listeners.ts';

const DIAL_TIMEOUT_MS = 5_000;
const MAX_TRIES = 1_000;

/**
 * `netexec [--http-port 8080] [--udp-port 8081] [--sctp-port N]`: an HTTP and UDP server that tells who it is, echoes,
 * dials others and runs commands. Paths and texts after test/images/agnhost/netexec/netexec.go. SCTP is only accepted
 * as an option.
 */
export async function netexec(args: readonly string[], context: AgnhostContext): Promise<number> {
  const options = parseOptions(args, '', {
    'http-port': 'http-port=',
    'udp-port': 'udp-port=',
    'sctp-port': 'sctp-port=',
    'http-override': 'http-override=',
    'udp-listen-addresses': 'udp-listen-addresses=',
    'delay-shutdown': 'delay-shutdown=',
    'tls-cert-file': 'tls-cert-file=',
    'tls-private-key-file': 'tls-private-key-file=',
  });
  const httpPort = Number(options.get('http-port') ?? 8080);
  const udpPort = Number(options.get('udp-port') ?? 8081);
  const listeners = new Listeners(context);
  let exit!: (code: number) => void;
  const exited = new Promise<number>((resolve) => {
    exit = resolve;
  });
  try {
    const override = options.get('http-override');
    if (httpPort > 0)
      listeners.http(httpPort, (request, response) => void serve(context, override, exit, request, response));
    if (udpPort > 0)
      listeners.udp(udpPort, (message, peer) =>
        answerUdp(context, message.toString('utf8'), hostPort(peer.address, peer.port)),
      );
  } catch (error) {
    listeners.close();
    const { code } = error as Error & { code?: string };
    if (code !== 'EADDRINUSE') throw error;
    logLine(context, `listen: bind: address already in use`);
    return 1;
  }
  logLine(context, `Started HTTP server on port ${httpPort}`);
  if (udpPort > 0) logLine(context, `Started UDP server on port ${udpPort}`);
  if (options.has('sctp-port') && Number(options.get('sctp-port')) > 0)
    logLine(
      context,
      `No SCTP server on port ${options.get('sctp-port')}: SCTP is not supported by built-in containers`,
    );
  const code = await untilEnded(context, exited);
  const delaySeconds = Number(options.get('delay-shutdown') ?? 0) || 0;
  if (context.terminate.aborted && delaySeconds > 0) {
    logLine(context, `Sleeping ${delaySeconds} seconds before terminating`);
    await pause(delaySeconds * 1000, context.kill);
  }
  listeners.close();
  return code;
}

function answerUdp(context: AgnhostContext, received: string, from: string): string | undefined {
  const text = received.trim();
  const lower = text.toLowerCase();
  if (lower === 'hostname') return context.sandbox.hostname;
  if (lower.startsWith('echo ')) return text.slice('echo '.length);
  if (lower === 'clientip') return from;
  if (text !== '') logLine(context, `Unknown UDP command received: ${text}`);
  return undefined;
}

async function serve(
  context: AgnhostContext,
  override: string | undefined,
  exit: (code: number) => void,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const query = url.searchParams;
  logLine(context, `${request.method} ${request.url}`);
  const send = (text: string, status = 200): void => {
    response.statusCode = status;
    response.setHeader('Content-Type', 'text/plain; charset=utf-8');
    response.setHeader('Content-Length', Buffer.byteLength(text));
    response.end(text);
  };
  if (override !== undefined) return send(override);
  switch (url.pathname) {
    case '/hostname':
    case '/hostName':
      return send(context.sandbox.hostname);
    case '/clientip':
      return send(hostPort(request.socket.remoteAddress, request.socket.remotePort));
    case '/echo': {
      const code = query.get('code');
      if (code !== null && !/^[1-5]\d\d$/.test(code))
        return send(`argument 'code' must be integer or empty, got ${code}`, 400);
      return send(query.get('msg') ?? '', Number(code ?? 200));
    }
    case '/header': {
      const value = request.headers[(query.get('key') ?? '').toLowerCase()];
      return send(Array.isArray(value) ? (value[0] ?? '') : (value ?? ''));
    }
    case '/healthz':
      return send('', context.terminate.aborted ? 412 : 200);
    case '/dial':
      return send(JSON.stringify(await dial(context, query)));
    case '/shell': {
      const command = query.get('shellCommand') ?? query.get('cmd') ?? '';
      const { output, exitCode } = await context.shell(command);
      return send(
        JSON.stringify({
          ...(exitCode !== 0 && { error: `exit status ${exitCode}` }),
          ...(output !== '' && { output }),
        }),
      );
    }
    case '/redirect': {
      const code = Number(query.get('code') ?? 302);
      const location = query.get('location');
      if (location === null) return send("argument 'location' is required", 400);
      response.setHeader('Location', location.replace(/[^\x20-\x7e]/g, ''));
      return send('', code >= 300 && code < 400 ? code : 302);
    }
    case '/exit': {
      const code = Number(query.get('code') ?? 0) & 255;
      const waitMs = parseSeconds(query.get('wait') ?? '0') ?? 0;
      void pause(waitMs, context.kill).then(() => exit(code));
      return send('');
    }
    case '/shutdown':
      send('');
      exit(0);
      return;
    case '/upload':
      return send(JSON.stringify({ error: 'Upload is not supported' }));
    default:
      return send(`NOW: ${new Date().toISOString().replace('T', ' ').replace('Z', ' +0000 UTC')}`);
  }
}

/** Asks another server `tries` times: `{"responses":[…],"errors":[…]}`, each present when not empty. */
async function dial(
  context: AgnhostContext,
  query: URLSearchParams,
): Promise<{ responses?: string[]; errors?: string[] }> {
  const errors: string[] = [];
  const responses: string[] = [];
  const request = query.get('request') ?? '';
  const protocol = (query.get('protocol') || 'http').toLowerCase();
  const host = query.get('host') ?? '';
  const port = query.get('port') ?? '';
  const triesText = query.get('tries') ?? '1';
  const tries = Number(triesText);
  if (!/^\d+$/.test(triesText))
    errors.push(`tries parameter is invalid: strconv.Atoi: parsing "${triesText}": invalid syntax`);
  if (request === '') errors.push('request parameter not specified');
  if (!['http', 'udp', 'sctp'].includes(protocol)) errors.push(`unsupported protocol: ${protocol}`);
  if (protocol === 'sctp') errors.push('sctp dial failed. err:SCTP is not supported by built-in containers');
  if (host === '') errors.push('host parameter not specified');
  if (!/^\d+$/.test(port))
    errors.push(port === '' ? 'port parameter not specified' : `port parameter is invalid: ${port}`);
  if (errors.length > 0) return { errors };
  for (let i = 0; i < Math.min(tries, MAX_TRIES) && !context.kill.aborted; i++) {
    try {
      const name = host.replace(/^\[|\]$/g, '');
      responses.push(
        protocol === 'udp'
          ? await dialUdp(context, name, Number(port), request)
          : await dialHttp(context, name, Number(port), request),
      );
    } catch (error) {
      errors.push((error as Error).message);
    }
  }
  return { ...(errors.length > 0 && { errors }), ...(responses.length > 0 && { responses }) };
}

async function addressOf(context: AgnhostContext, host: string): Promise<string> {
  try {
    return (await resolveHost(context.sandbox, host, { signal: context.kill }))[0]!;
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    const server = context.sandbox.resolvConf.nameservers[0];
    throw new Error(
      `lookup ${host}${server === undefined ? '' : ` on ${server}:53`}: ${error.code === 'ENOTFOUND' ? 'no such host' : 'i/o timeout'}`,
    );
  }
}

async function dialHttp(context: AgnhostContext, host: string, port: number, path: string): Promise<string> {
  const target = `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}/${path}`;
  let address: string;
  try {
    address = await addressOf(context, host);
  } catch (error) {
    throw new Error(`Get "${target}": dial tcp: ${(error as Error).message}`);
  }
  return new Promise((resolve, reject) => {
    const agent = new Agent();
    const socket = context.sandbox.stack.connectTcp({ host: address, port });
    agent.createConnection = () => socket as never;
    const timer = setTimeout(() => {
      const { connecting } = socket;
      outgoing.destroy();
      reject(
        new Error(
          `Get "${target}": ${connecting ? `dial tcp ${hostPort(address, port)}: i/o timeout` : 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'}`,
        ),
      );
    }, DIAL_TIMEOUT_MS);
    const fail = (error: Error & { code?: string }): void => {
      clearTimeout(timer);
      const why =
        error.message === 'socket hang up'
          ? 'EOF'
          : `dial tcp ${hostPort(address, port)}: connect: ${errnoText(error.code).toLowerCase()}`;
      reject(new Error(`Get "${target}": ${why}`));
    };
    const outgoing = httpRequest({
      path: `/${path}`.replace(/[^\x21-\x7e]/g, encodeURIComponent),
      headers: { Host: `${host}:${port}`, 'User-Agent': 'Go-http-client/1.1', Connection: 'close' },
      agent,
    });
    outgoing.on('error', fail);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () => {
        clearTimeout(timer);
        resolve(Buffer.concat(chunks).toString('utf8'));
      });
    });
    outgoing.end();
  });
}

async function dialUdp(
  context: AgnhostContext,
  host: string,
  port: number,
  request: string,
): Promise<string> {
  let address: string;
  try {
    address = await addressOf(context, host);
  } catch (error) {
    throw new Error(`udp dial failed. err:dial udp: ${(error as Error).message}`);
  }
  const socket = context.sandbox.stack.bindUdp();
  try {
    return await new Promise<string>((resolve, reject) => {
      const from = hostPort(context.sandbox.podIPs[0], socket.port);
      const failed = (why: string): Error =>
        new Error(
          `reading from udp connection failed. err:'read udp ${from}->${hostPort(address, port)}: ${why}'`,
        );
      const timer = setTimeout(() => reject(failed('i/o timeout')), DIAL_TIMEOUT_MS);
      socket.on('error', (error: Error & { code?: string }) => {
        clearTimeout(timer);
        reject(failed(`read: ${errnoText(error.code).toLowerCase()}`));
      });
      socket.on('message', (message) => {
        clearTimeout(timer);
        resolve(message.toString('utf8'));
      });
      socket.connect(port, address);
      socket.send(request);
    });
  } finally {
    socket.close();
  }
}
