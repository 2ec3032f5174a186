import { createServer, type Server } from 'node:http';
import type { NetStack } from '@podwire/netstack/stack';
import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import { parseCorefile } from './corefile.ts';
import { answerMessage, type Zone } from './handler.ts';
import type { Plugin } from './plugin.ts';
import { buildChain, type PluginContext } from './plugins.ts';

const MAX_TCP_CONNECTIONS = 1_000;
const TCP_IDLE_MS = 10_000;
const DEFAULT_HEALTH_PORT = 8080;
const DEFAULT_READY_PORT = 8181;
const DEFAULT_METRICS_PORT = 9153;

export interface Counters {
  requests: { udp: number; tcp: number };
  startedMs: number;
}

/** The DNS servers of a Corefile over one network stack: UDP and TCP on each port, and the health, ready and metrics endpoints. */
export class DnsServer {
  readonly counters: Counters;
  readonly #stack: NetStack;
  readonly #closers: (() => void)[] = [];
  #byPort = new Map<number, Zone[]>();
  #plugins: Plugin[] = [];
  #connections = 0;

  constructor(stack: NetStack, nowMs: number) {
    this.#stack = stack;
    this.counters = { requests: { udp: 0, tcp: 0 }, startedMs: nowMs };
  }

  /** Reads a Corefile and takes it over whole; on a CorefileError what ran before goes on. */
  load(text: string, context: Omit<PluginContext, 'zones'>): void {
    const byPort = new Map<number, Zone[]>();
    const plugins: Plugin[] = [];
    const endpoints: { kind: 'health' | 'ready' | 'prometheus'; port: number }[] = [];
    for (const block of parseCorefile(text)) {
      const chain = buildChain(block.directives, { ...context, zones: block.zones });
      plugins.push(...chain);
      byPort.set(block.port, [...(byPort.get(block.port) ?? []), { zones: block.zones, chain }]);
      for (const { name, args } of block.directives) {
        const port = Number(args[0]?.split(':').at(-1) ?? '');
        if (name === 'health') endpoints.push({ kind: name, port: port || DEFAULT_HEALTH_PORT });
        if (name === 'ready') endpoints.push({ kind: name, port: port || DEFAULT_READY_PORT });
        if (name === 'prometheus') endpoints.push({ kind: name, port: port || DEFAULT_METRICS_PORT });
      }
    }
    this.stop();
    this.#byPort = byPort;
    this.#plugins = plugins;
    for (const port of byPort.keys()) this.#listen(port);
    for (const { kind, port } of endpoints) this.#serveHttp(kind, port);
  }

  get ready(): boolean {
    return this.#plugins.every((plugin) => plugin.ready?.() ?? true);
  }

  stop(): void {
    for (const close of this.#closers.splice(0)) close();
    for (const plugin of this.#plugins) plugin.stop?.();
  }

  #listen(port: number): void {
    const udp = this.#stack.bindUdp({ port });
    udp.on('message', (message: Buffer, remote: { address: string; port: number }) => {
      this.counters.requests.udp++;
      const client = { ...remote, protocol: 'udp' as const };
      void answerMessage(message, client, this.#byPort.get(port) ?? []).then((answer) => {
        if (answer) udp.send(answer, remote.port, remote.address);
      });
    });
    udp.on('error', () => {});
    const tcp = this.#stack.listenTcp({ port }, (socket) => this.#serveTcp(socket, port));
    this.#closers.push(
      () => udp.close(),
      () => tcp.close(),
    );
  }

  /** Messages with a two-byte length before each (RFC 1035 4.2.2); answers leave in the order of the questions. */
  #serveTcp(socket: TcpSocket, port: number): void {
    if (this.#connections >= MAX_TCP_CONNECTIONS) return void socket.destroy();
    this.#connections++;
    const client = {
      address: socket.remoteAddress ?? '',
      port: socket.remotePort ?? 0,
      protocol: 'tcp' as const,
    };
    let pending: Buffer = Buffer.alloc(0);
    let queue: Promise<void> = Promise.resolve();
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', () => this.#connections--);
    socket.on('end', () => void queue.then(() => socket.end()));
    socket.on('data', (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const length = pending.readUInt16BE(0);
        const message = pending.subarray(2, 2 + length);
        pending = pending.subarray(2 + length);
        this.counters.requests.tcp++;
        queue = queue.then(async () => {
          const answer = await answerMessage(message, client, this.#byPort.get(port) ?? []);
          if (!answer || socket.destroyed) return;
          const prefix = Buffer.alloc(2);
          prefix.writeUInt16BE(answer.length, 0);
          socket.write(Buffer.concat([prefix, answer]));
        });
      }
    });
  }

  #serveHttp(kind: 'health' | 'ready' | 'prometheus', port: number): void {
    const server: Server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?')[0];
      if (kind === 'health' && path === '/health') return void response.end('OK');
      if (kind === 'ready' && path === '/ready') {
        response.statusCode = this.ready ? 200 : 503;
        return void response.end(this.ready ? 'OK' : 'kubernetes');
      }
      if (kind === 'prometheus' && path === '/metrics') {
        response.setHeader('content-type', 'text/plain; version=0.0.4');
        return void response.end(this.#metrics());
      }
      response.statusCode = 404;
      response.end('404 page not found\n');
    });
    server.on('clientError', (_error, socket) => socket.destroy());
    const listener = this.#stack.listenTcp({ port }, (socket) => void server.emit('connection', socket));
    this.#closers.push(() => listener.close());
  }

  #metrics(): string {
    const { requests } = this.counters;
    return [
      '# HELP coredns_dns_requests_total Counter of DNS requests made per protocol.',
      '# TYPE coredns_dns_requests_total counter',
      `coredns_dns_requests_total{proto="udp"} ${requests.udp}`,
      `coredns_dns_requests_total{proto="tcp"} ${requests.tcp}`,
      '',
    ].join('\n');
  }
}
