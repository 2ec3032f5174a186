import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import type { ProgramContext } from '../container.ts';
import { echoedText, pagePath } from '../images.ts';
import { callAll, HOPS_HEADER, type Report, reportText } from './calls.ts';
import type { Upstream } from './upstreams.ts';

/** Paths that are answered at once, besides those that the container's own probes name. */
const HEALTH_PATHS = new Set(['/healthz', '/_healthz', '/readyz', '/livez', '/health', '/ready', '/ping']);

/** HTTP/1.1 of a stand-in: one server object for all its ports, fed with connections of the pod's stack. */
export class HttpService {
  readonly #context: ProgramContext;
  readonly #upstreams: readonly Upstream[];
  readonly #probePaths: ReadonlySet<string>;
  readonly #server: Server;
  /** Requests under way by connection. */
  readonly #requests = new Map<TcpSocket, number>();

  constructor(context: ProgramContext, upstreams: readonly Upstream[]) {
    this.#context = context;
    this.#upstreams = upstreams;
    const { readiness, liveness, startup } = context.spec.probes;
    this.#probePaths = new Set(
      [readiness, liveness, startup].flatMap((probe) => probe?.httpGet?.path?.split('?')[0] ?? []),
    );
    this.#server = createServer((request, response) => {
      const socket = request.socket as unknown as TcpSocket;
      this.#count(socket, 1);
      response.once('close', () => this.#count(socket, -1));
      void this.#serve(request, response);
    });
    this.#server.keepAliveTimeout = 30_000;
    this.#server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
      else socket.destroy();
    });
  }

  accept(socket: TcpSocket): void {
    this.#requests.set(socket, 0);
    socket.on('close', () => this.#requests.delete(socket));
    this.#server.emit('connection', socket);
  }

  /** Ends connections that carry no request; the others end with their answer. */
  drain(): void {
    for (const [socket, requests] of this.#requests) if (requests === 0) socket.destroySoon();
  }

  // A server that does not listen itself keeps no account of its connections.
  #count(socket: TcpSocket, change: number): void {
    const requests = this.#requests.get(socket);
    if (requests !== undefined) this.#requests.set(socket, requests + change);
  }

  /** What the image's own server would answer, where that is known. */
  #page(path: string): { body: Buffer; type: string } | undefined {
    const { spec, files } = this.#context;
    const text = echoedText(spec.image, [...spec.command, ...spec.args]);
    if (text !== undefined) return { body: Buffer.from(text), type: 'text/plain; charset=utf-8' };
    const file = pagePath(spec.image, path);
    const body = file === undefined ? undefined : files.read(file);
    return body && { body, type: file!.endsWith('.html') ? 'text/html' : 'text/plain; charset=utf-8' };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { sandbox, output } = this.#context;
    const { socket } = request;
    const path = (request.url ?? '/').split('?')[0]!;
    request.resume();
    // A probe of "/" is told from a caller by its user agent, so that probing does not call the whole application.
    const isProbe =
      HEALTH_PATHS.has(path) ||
      (this.#probePaths.has(path) &&
        (path !== '/' || /^kube-probe\//.test(request.headers['user-agent'] ?? '')));
    if (isProbe) {
      response.setHeader('content-type', 'text/plain; charset=utf-8');
      return void response.end('ok\n');
    }
    const page = this.#page(path);
    if (page !== undefined && !/\bjson\b/.test(request.headers.accept ?? '')) {
      response.setHeader('content-type', page.type);
      response.setHeader('x-podwire-pod', sandbox.podName);
      response.setHeader('content-length', page.body.length);
      response.end(request.method === 'HEAD' ? undefined : page.body);
      output.stdout(
        `${request.method} ${request.url} from ${socket.remoteAddress}:${socket.remotePort} -> 200`,
      );
      return;
    }
    const hops = Number(request.headers[HOPS_HEADER] ?? 0) || 0;
    const report: Report = {
      pod: sandbox.podName,
      node: sandbox.nodeName,
      address: `${socket.localAddress}:${socket.localPort}`,
      client: `${socket.remoteAddress}:${socket.remotePort}`,
      calls: await callAll(this.#context, this.#upstreams, hops),
    };
    const asJson = /\bjson\b/.test(request.headers.accept ?? '');
    const body = asJson ? `${JSON.stringify(report)}\n` : reportText(report);
    response.setHeader('content-type', asJson ? 'application/json' : 'text/plain; charset=utf-8');
    response.setHeader('x-podwire-pod', sandbox.podName);
    response.setHeader('content-length', Buffer.byteLength(body));
    if (this.#context.terminate.aborted) response.setHeader('connection', 'close');
    response.end(request.method === 'HEAD' ? undefined : body);
    output.stdout(`${request.method} ${request.url} from ${report.client} -> 200`);
  }
}
