import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import type { ProgramContext } from '../container.ts';
import { callAll, HOPS_HEADER } from './calls.ts';
import type { Upstream } from './upstreams.ts';

/** A length-prefixed gRPC message without compression. */
const message = (...payload: number[]): Buffer => Buffer.from([0, 0, 0, 0, payload.length, ...payload]);

/** grpc.health.v1.HealthCheckResponse { status: SERVING }: field 1, varint 1. */
const SERVING = message(0x08, 0x01);
const EMPTY = message();

/**
 * gRPC of a stand-in over cleartext HTTP/2: health checks are SERVING, every other method answers an empty message
 * with status OK after calling the upstreams.
 */
export class GrpcService {
  readonly #context: ProgramContext;
  readonly #upstreams: readonly Upstream[];
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(context: ProgramContext, upstreams: readonly Upstream[]) {
    this.#context = context;
    this.#upstreams = upstreams;
    this.#server = createServer();
    this.#server.on('stream', (stream, headers) => void this.#serve(stream as ServerHttp2Stream, headers));
    this.#server.on('sessionError', () => {});
    this.#server.on('session', (session) => {
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
    });
  }

  accept(socket: TcpSocket): void {
    this.#server.emit('connection', socket);
  }

  /** Takes no more streams; those under way go on. */
  drain(): void {
    for (const session of this.#sessions) session.close();
  }

  async #serve(
    stream: ServerHttp2Stream,
    headers: Record<string, string | string[] | undefined>,
  ): Promise<void> {
    const path = String(headers[':path'] ?? '/');
    stream.on('error', () => {});
    stream.resume();
    const isGrpc = String(headers['content-type'] ?? '').startsWith('application/grpc');
    const isHealth = path === '/grpc.health.v1.Health/Check';
    if (!isHealth) {
      const hops = Number(headers[HOPS_HEADER] ?? 0) || 0;
      await callAll(this.#context, this.#upstreams, hops);
      this.#context.output.stdout(`${isGrpc ? 'gRPC' : String(headers[':method'])} ${path} -> OK`);
    }
    if (stream.destroyed) return;
    if (!isGrpc) {
      stream.respond({
        ':status': 200,
        'content-type': 'text/plain',
        'x-podwire-pod': this.#context.sandbox.podName,
      });
      stream.end(`pod: ${this.#context.sandbox.podName}\n`);
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(isHealth ? SERVING : EMPTY);
  }
}
