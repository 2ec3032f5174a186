/**
 * One attempt of a probe or hook, as the kubelet makes it: through the node's stack and the data plane into the pod.
 * Texts of failures are those of the real kubelet. Source: upstream pkg/probe.
 */
import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import type { Container, HTTPGetAction, Probe } from 'kubernetes-types/core/v1.js';
import type { ProbeResult } from './prober.ts';

/** Opens connections from the node: its own stack. */
export interface Dialer {
  connectTcp(o: { host: string; port: number; connectTimeoutMs?: number }): TcpSocket;
}

export interface ProbeTarget {
  readonly dialer: Dialer;
  readonly container: Container;
  readonly podIP: string;
  /** Runs a command in the container; the exit code and what it wrote. */
  readonly exec: (argv: string[], timeoutMs: number) => Promise<{ exitCode: number; output: string }>;
}

const OK: ProbeResult = { ok: true, message: '' };
const failed = (message: string): ProbeResult => ({ ok: false, message });

/** Makes one attempt of whichever kind the probe is. */
export function attemptProbe(probe: Probe, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  if (probe.exec !== undefined) return attemptExec(probe.exec.command ?? [], target, timeoutMs);
  if (probe.httpGet !== undefined) return attemptHttp(probe.httpGet, target, timeoutMs);
  if (probe.tcpSocket !== undefined) {
    const { port } = probe.tcpSocket;
    return attemptTcp(
      probe.tcpSocket.host || target.podIP,
      resolvePort(target.container, port),
      target,
      timeoutMs,
    );
  }
  if (probe.grpc !== undefined) {
    const { port, service } = probe.grpc;
    return import('./grpc-health.ts').then(({ attemptGrpc }) =>
      attemptGrpc(target.dialer, target.podIP, port, service ?? '', timeoutMs),
    );
  }
  return Promise.resolve(failed('missing probe handler'));
}

/** A port by number or by the name one of the container's ports has; 0 when there is none of that name. */
export function resolvePort(container: Container, port: number | string): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find(({ name }) => name === port);
  if (named !== undefined) return named.containerPort;
  const numeric = Number(port);
  return Number.isInteger(numeric) ? numeric : 0;
}

async function attemptExec(command: string[], target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  const { exitCode, output } = await target.exec(command, timeoutMs);
  if (exitCode === 0) return OK;
  if (exitCode === TIMED_OUT) {
    return failed(
      `command timed out: ${JSON.stringify(command.join(' '))} timed out after ${timeoutMs / 1000}s`,
    );
  }
  return failed(output);
}

/** Exit code by which `ProbeTarget.exec` says that the command was ended for its time. */
export const TIMED_OUT = -1;

/** Opens a connection and closes it at once. */
export function attemptTcp(
  host: string,
  port: number,
  target: Pick<ProbeTarget, 'dialer'>,
  timeoutMs: number,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const where = hostPort(host, port);
    const socket = target.dialer.connectTcp({ host, port, connectTimeoutMs: timeoutMs });
    socket.once('connect', () => {
      resolve(OK);
      socket.on('error', () => {});
      // A reset leaves nothing in TIME-WAIT on either side; servers see a connection that was only tried.
      socket.resetAndDestroy();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(failed(dialError(where, error))));
  });
}

/** How Go words what went wrong with a connection. */
export function dialError(where: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return `dial tcp ${where}: connect: connection refused`;
    case 'EHOSTUNREACH':
      return `dial tcp ${where}: connect: no route to host`;
    case 'ENETUNREACH':
      return `dial tcp ${where}: connect: network is unreachable`;
    case 'ECONNRESET':
      return `read tcp ${where}: read: connection reset by peer`;
    case 'ETIMEDOUT':
      return `dial tcp ${where}: i/o timeout`;
    default:
      return `dial tcp ${where}: ${error.message}`;
  }
}

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

const MAX_REDIRECTS = 10;

async function attemptHttp(
  action: HTTPGetAction,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeResult> {
  const host = action.host || target.podIP;
  const port = resolvePort(target.container, action.port as number | string);
  const scheme = (action.scheme ?? 'HTTP').toLowerCase();
  const path = action.path ?? '/';
  let url = `${scheme}://${hostPort(host, port)}${path.startsWith('/') ? path : `/${path}`}`;
  const headers: Record<string, string> = { 'User-Agent': 'kube-probe/1.32', Accept: '*/*' };
  for (const { name, value } of action.httpHeaders ?? []) {
    for (const key of Object.keys(headers)) if (key.toLowerCase() === name.toLowerCase()) delete headers[key];
    if (value !== '') headers[name] = value;
  }
  const deadline = AbortSignal.timeout(timeoutMs);
  for (let redirects = 0; ; redirects++) {
    const answer = await httpGet(url, target.dialer, headers, deadline);
    if ('error' in answer) return failed(`Get ${JSON.stringify(url)}: ${answer.error}`);
    const isRedirect = answer.status >= 300 && answer.status < 400 && answer.location !== undefined;
    const next = isRedirect ? parseUrl(answer.location!, url) : undefined;
    // A redirect to another host counts as a success, as upstream: the probe is about this container.
    if (next === undefined || next.hostname !== new URL(url).hostname) {
      if (answer.status >= 200 && answer.status < 400) return OK;
      return failed(`HTTP probe failed with statuscode: ${answer.status}`);
    }
    if (redirects === MAX_REDIRECTS) {
      return failed(`Get ${JSON.stringify(url)}: stopped after ${MAX_REDIRECTS} redirects`);
    }
    url = next.href;
  }
}

function parseUrl(location: string, base: string): URL | undefined {
  return URL.canParse(location, base) ? new URL(location, base) : undefined;
}

type HttpAnswer = { status: number; location: string | undefined } | { error: string };

async function httpGet(
  url: string,
  dialer: Dialer,
  headers: Record<string, string>,
  deadline: AbortSignal,
): Promise<HttpAnswer> {
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === 'https:';
  const host = hostname.replace(/^\[|\]$/g, '');
  const number = Number(port || (secure ? 443 : 80));
  const http = await import('node:http');
  const tls = secure ? await import('node:tls') : undefined;
  return new Promise((resolve) => {
    const socket = dialer.connectTcp({ host, port: number });
    const stream = tls === undefined ? socket : tls.connect({ socket, rejectUnauthorized: false });
    const done = (answer: HttpAnswer) => {
      deadline.removeEventListener('abort', late);
      resolve(answer);
      socket.on('error', () => {});
      stream.on('error', () => {});
      socket.destroy();
    };
    const late = () =>
      done({ error: 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)' });
    deadline.addEventListener('abort', late);
    const request = http.request(url, {
      protocol: 'http:',
      headers: { ...headers, Connection: 'close' },
      createConnection: () => stream as unknown as import('node:net').Socket,
    });
    request.on('response', (response) => {
      response.resume();
      done({ status: response.statusCode ?? 0, location: response.headers.location });
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      const isEnd = error.code === 'ECONNRESET' && error.message === 'socket hang up';
      done({ error: isEnd ? 'EOF' : dialError(hostPort(host, number), error) });
    });
    request.end();
  });
}
