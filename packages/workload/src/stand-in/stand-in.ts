import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import type { ContainerSpec, ProgramContext } from '../container.ts';
import { portOfArguments, wellKnownPorts } from '../images.ts';
import { pause } from '../shell/streams.ts';
import { callAll } from './calls.ts';
import type { GrpcService } from './grpc-service.ts';
import { HttpService } from './http-service.ts';
import { serveLines } from './line-service.ts';
import { upstreamsOf } from './upstreams.ts';

/** A client without ports of its own calls its upstreams this often. */
const CLIENT_INTERVAL_MS = 1_000;
/** Requests under way get this long after SIGTERM: more than a call of an upstream takes. */
const DRAIN_MS = 10_000;
const DRAIN_STEP_MS = 10;
const HTTP2_PREFACE = 'PRI * HTTP/2';
const HTTP1 = /^[A-Z]{3,12} [\x21-\x7e]{1,8192} HTTP\/1/;
const PEEK_BYTES = 16;

/**
 * Carries any image: listens on every declared port, answers HTTP/1.1, gRPC and plain lines on each of them with the
 * pod's name, and calls the upstreams its environment names. Resolves to the exit code.
 */
export async function runStandIn(context: ProgramContext): Promise<number> {
  const { sandbox, spec, output } = context;
  const upstreams = upstreamsOf(spec.env);
  const { tcp, udp } = portsOf(spec);
  const open = new Set<TcpSocket>();
  /** Connections that carry no request that could be waited for. */
  const plain = new Set<TcpSocket>();
  const closers: (() => void)[] = [];
  let http: HttpService | undefined;
  let grpc: GrpcService | undefined;

  const serve = async (socket: TcpSocket): Promise<void> => {
    plain.add(socket);
    const protocol = await detect(socket);
    if (protocol !== 'lines') plain.delete(socket);
    if (protocol === 'http1') {
      http ??= new HttpService(context, upstreams);
      http.accept(socket);
    } else if (protocol === 'http2') {
      // HTTP/2 is loaded for the first client that speaks it: most pods never meet one.
      const { GrpcService } = await import('./grpc-service.ts');
      grpc ??= new GrpcService(context, upstreams);
      grpc.accept(socket);
    } else if (protocol === 'lines') serveLines(socket, sandbox.podName);
  };
  const accept = (socket: TcpSocket): void => {
    open.add(socket);
    socket.on('close', () => {
      open.delete(socket);
      plain.delete(socket);
    });
    socket.on('error', () => {});
    void serve(socket);
  };

  for (const port of tcp) {
    const listener = sandbox.stack.listenTcp({ port }, accept);
    closers.push(() => listener.close());
  }
  for (const port of udp) {
    const socket = sandbox.stack.bindUdp({ port });
    socket.on('message', (message, peer) => {
      output.stdout(`UDP ${message.length} bytes from ${peer.address}:${peer.port}`);
      socket.send(
        Buffer.concat([Buffer.from(`${sandbox.podName}: `), message]),
        peer.port,
        peer.address,
        () => {},
      );
    });
    socket.on('error', () => {});
    closers.push(() => socket.close());
  }
  context.kill.addEventListener(
    'abort',
    () => {
      for (const close of closers) close();
      for (const socket of open) socket.destroy();
    },
    { once: true },
  );
  output.stdout(startLine(tcp, udp, upstreams.length));

  const isClient = tcp.length + udp.length === 0 && upstreams.length > 0;
  while (!context.terminate.aborted && !context.kill.aborted) {
    if (isClient) await callAll(context, upstreams, 0);
    await pause(isClient ? CLIENT_INTERVAL_MS : 2 ** 30, AbortSignal.any([context.terminate, context.kill]));
  }
  for (const close of closers.splice(0)) close();
  for (const socket of plain) socket.destroySoon();
  grpc?.drain();
  for (let waited = 0; open.size > 0 && waited < DRAIN_MS && !context.kill.aborted; waited += DRAIN_STEP_MS) {
    http?.drain();
    await pause(DRAIN_STEP_MS, context.kill);
  }
  return 0;
}

function startLine(tcp: readonly number[], udp: readonly number[], upstreams: number): string {
  const ports = [...tcp.map((port) => `${port}/tcp`), ...udp.map((port) => `${port}/udp`)];
  return `stand-in: ${ports.length > 0 ? `listening on ${ports.join(', ')}` : 'no ports'}; ${upstreams} upstream${upstreams === 1 ? '' : 's'}`;
}

/** The declared ports; where none is declared, those that the probes, PORT, the arguments or the image's name tell. */
export function portsOf(spec: ContainerSpec): { tcp: number[]; udp: number[] } {
  const declared = (protocol: string): number[] => [
    ...new Set(
      spec.ports.filter((port) => (port.protocol ?? 'TCP') === protocol).map((port) => port.containerPort),
    ),
  ];
  const tcp = declared('TCP');
  const udp = declared('UDP');
  if (tcp.length + udp.length > 0) return { tcp, udp };
  const probed = [spec.probes.readiness, spec.probes.liveness, spec.probes.startup]
    .flatMap((probe) => [probe?.httpGet?.port, probe?.tcpSocket?.port, probe?.grpc?.port])
    .filter((port) => typeof port === 'number');
  const fromEnvironment = /^\d{1,5}$/.test(spec.env.PORT ?? '') ? [Number(spec.env.PORT)] : [];
  const fromArguments = portOfArguments([...spec.command, ...spec.args]);
  const candidates = [
    probed,
    fromEnvironment,
    fromArguments === undefined ? [] : [fromArguments],
    wellKnownPorts(spec.image),
  ];
  const found = candidates.find((ports) => ports.length > 0) ?? [];
  return { tcp: [...new Set(found)].filter((port) => port > 0 && port < 65_536), udp: [] };
}

/** Looks at the first bytes a client sends and puts them back. */
function detect(socket: TcpSocket): Promise<'http1' | 'http2' | 'lines' | 'closed'> {
  return new Promise((resolve) => {
    let seen: Buffer = Buffer.alloc(0);
    const settle = (protocol: 'http1' | 'http2' | 'lines' | 'closed'): void => {
      socket.off('readable', look);
      socket.off('end', gone);
      socket.off('close', gone);
      if (seen.length > 0 && !socket.destroyed) socket.unshift(seen);
      resolve(protocol);
    };
    const gone = (): void => {
      settle('closed');
      socket.end();
    };
    const look = (): void => {
      for (
        let chunk = socket.read() as Buffer | null;
        chunk !== null;
        chunk = socket.read() as Buffer | null
      ) {
        seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      }
      if (seen.length === 0) return;
      const text = seen.toString('latin1', 0, 16_384);
      const maybeMore = seen.length < PEEK_BYTES && !text.includes('\n') && /^[A-Z]+( |$)/.test(text);
      if (text.startsWith(HTTP2_PREFACE)) settle('http2');
      else if (HTTP1.test(text)) settle('http1');
      else if (/^[A-Z]{3,12} \//.test(text) && !text.includes('\n') && seen.length < 16_384) return;
      else if (!maybeMore) settle('lines');
    };
    socket.on('readable', look);
    socket.on('end', gone);
    socket.on('close', gone);
  });
}
