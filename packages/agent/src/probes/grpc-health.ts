/**
 * The gRPC health check: grpc.health.v1.Health/Check over HTTP/2 through the node's stack.
 * Source: upstream pkg/probe/grpc; the protocol is github.com/grpc/grpc/blob/master/doc/health-checking.md.
 */
import { connect } from 'node:http2';
import { type Dialer, dialError } from './attempts.ts';
import type { ProbeResult } from './prober.ts';

const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const SERVING = 1;
const GRPC_UNIMPLEMENTED = 12;

/** Asks the server at `host:port` whether `service` ('' for the whole server) is serving. */
export function attemptGrpc(
  dialer: Dialer,
  host: string,
  port: number,
  service: string,
  timeoutMs: number,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    const socket = dialer.connectTcp({ host, port });
    const session = connect(`http://${where}`, {
      createConnection: () => socket as unknown as import('node:net').Socket,
    });
    let connected = false;
    let finished = false;
    const done = (ok: boolean, message = '') => {
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      resolve({ ok, message });
      session.destroy();
      socket.destroy();
    };
    const timer = setTimeout(() => {
      const seconds = `${timeoutMs / 1000}s`;
      done(
        false,
        connected
          ? `timeout: health rpc did not complete within ${seconds}: context deadline exceeded`
          : `timeout: failed to connect service ${JSON.stringify(where)} within ${seconds}: context deadline exceeded`,
      );
    }, timeoutMs);
    const broken = (error: NodeJS.ErrnoException) => done(false, `error: ${dialError(where, error)}`);
    socket.on('connect', () => {
      connected = true;
    });
    socket.on('error', broken);
    session.on('error', broken);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'kube-probe/1.32',
    });
    stream.on('error', broken);
    const chunks: Buffer[] = [];
    let grpcStatus: string | undefined;
    let grpcMessage = '';
    const readStatus = (headers: Record<string, unknown>) => {
      grpcStatus = (headers['grpc-status'] as string | undefined) ?? grpcStatus;
      grpcMessage = (headers['grpc-message'] as string | undefined) ?? grpcMessage;
    };
    stream.on('response', readStatus);
    stream.on('trailers', readStatus);
    stream.on('data', (chunk: Buffer) => {
      if (chunks.length < 16) chunks.push(chunk);
    });
    stream.on('end', () => {
      const code = Number(grpcStatus ?? 2);
      if (code === GRPC_UNIMPLEMENTED) {
        done(
          false,
          `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${grpcMessage}`,
        );
        return;
      }
      if (code !== 0) {
        done(false, `error: health rpc probe failed: rpc error: code = ${code} desc = ${grpcMessage}`);
        return;
      }
      const status = healthStatus(Buffer.concat(chunks));
      if (status === SERVING) done(true);
      else done(false, `service unhealthy (responded with ${JSON.stringify(STATUSES[status] ?? 'UNKNOWN')})`);
    });
    stream.end(healthRequest(service));
  });
}

/** A framed gRPC message (one flag byte, u32 length) of HealthCheckRequest { string service = 1 }. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const length = varint(name.length);
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Uint8Array.of(0x0a), length, name]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** `status` (field 1, enum) of a framed HealthCheckResponse; 0 when it is not there. */
export function healthStatus(framed: Buffer): number {
  // The enum's values fit one byte, so a whole message is tag and value.
  if (framed.length >= 7 && framed[5] === 0x08) return framed[6]!;
  return 0;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  bytes.push(value);
  return Uint8Array.from(bytes);
}
