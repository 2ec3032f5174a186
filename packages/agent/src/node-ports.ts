/**
 * Node ports on the real host: a kernel socket on the node's address for each, whose clients are carried into the
 * emulated network as connections of the node's own stack, under their own addresses. The data plane then does with them
 * what it does with any node port.
 */
import { createSocket, type Socket as KernelUdp } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import type { ServicePort } from '@podwire/dataplane/tables';
import type { EventRecorder } from './events.ts';
import type { HostStack } from './host-stack.ts';
import type { AgentLog } from './pods/pod-context.ts';
import { relay } from './relay.ts';
import type { SetTimer, Timer } from './timer.ts';

export interface NodePortsOptions {
  /** The node's addresses on the real host. */
  readonly addresses: readonly string[];
  readonly host: HostStack;
  readonly events: EventRecorder;
  readonly setTimer: SetTimer;
  readonly log: AgentLog;
  /** UID of a Service, for Events. */
  readonly serviceUid: (namespace: string, name: string) => string;
}

/** Kernel's and kube-proxy's patience with a UDP flow that is silent. */
const UDP_IDLE_MS = 30_000;
/** Clients of one UDP node port at a time. */
const MAX_UDP_CLIENTS = 1024;
/** How often a port that was taken is tried again. */
const RETRY_MS = 5_000;
/** A connection that the data plane neither opens nor refuses is given up. */
const CONNECT_TIMEOUT_MS = 10_000;

interface OpenPort {
  readonly key: string;
  close(): void;
}

const TCP = 6;
const UDP = 17;

export class NodePorts {
  /** TCP connections being relayed. */
  connections = 0;
  readonly #options: NodePortsOptions;
  readonly #open = new Map<string, OpenPort>();
  /** `address:port` of host stack sockets that wait for answers to UDP clients. */
  readonly #udpClients = new Set<string>();
  readonly #clients = new Set<Socket>();
  readonly #taken = new Set<string>();
  #wanted: readonly ServicePort[] = [];
  #retry: Timer | undefined;

  constructor(options: NodePortsOptions) {
    this.#options = options;
  }

  hasUdp(address: string, port: number): boolean {
    return this.#udpClients.has(`${address} ${port}`);
  }

  /** Opens and closes kernel sockets until they are the node ports of these services. */
  update(services: readonly ServicePort[]): void {
    this.#wanted = services.filter(({ nodePort }) => nodePort > 0);
    const keys = new Set<string>();
    for (const service of this.#wanted) {
      for (const address of this.#options.addresses) {
        if (address.includes(':') !== (service.version === 6)) continue;
        const key = `${service.protocol} ${address} ${service.nodePort}`;
        keys.add(key);
        if (this.#open.has(key)) continue;
        if (service.protocol === TCP) this.#openTcp(key, address, service);
        else if (service.protocol === UDP) this.#openUdp(key, address, service);
      }
    }
    for (const [key, port] of this.#open) {
      if (keys.has(key)) continue;
      this.#open.delete(key);
      this.#taken.delete(key);
      port.close();
    }
  }

  close(): void {
    this.#retry?.cancel();
    for (const port of this.#open.values()) port.close();
    this.#open.clear();
    for (const client of this.#clients) client.destroy();
  }

  #openTcp(key: string, address: string, service: ServicePort): void {
    const server: Server = createServer(
      { allowHalfOpen: true, pauseOnConnect: true, noDelay: true },
      (client) => this.#carry(client, address, service.nodePort),
    );
    // Connections that are open outlive their Service, as in the kernel: nothing flushes TCP flows.
    this.#open.set(key, { key, close: () => server.close() });
    server.on('error', (error) => this.#failed(key, address, service, error));
    server.on('listening', () => this.#taken.delete(key));
    server.listen({ host: address, port: service.nodePort, exclusive: true });
  }

  #carry(client: Socket, address: string, port: number): void {
    const { remoteAddress, remotePort } = client;
    if (remoteAddress === undefined || remotePort === undefined) {
      client.destroy();
      return;
    }
    this.connections += 1;
    const inside = this.#options.host.connectTcp({
      host: address,
      port,
      ...clientAs(remoteAddress, remotePort, address),
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
    });
    inside.on('connect', () => client.resume());
    relay(client, inside, () => {
      this.connections -= 1;
      this.#clients.delete(client);
    });
    this.#clients.add(client);
  }

  #openUdp(key: string, address: string, service: ServicePort): void {
    const socket: KernelUdp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const clients = new Map<string, UdpClient>();
    socket.on('message', (data, remote) => {
      const name = `${remote.address} ${remote.port}`;
      let client = clients.get(name);
      if (client === undefined) {
        if (clients.size >= MAX_UDP_CLIENTS) return;
        client = this.#udpClient(socket, remote, address, service.nodePort, () => clients.delete(name));
        clients.set(name, client);
      }
      client.send(data);
    });
    this.#open.set(key, {
      key,
      close: () => {
        socket.close();
        for (const client of clients.values()) client.close();
      },
    });
    socket.on('error', (error) => this.#failed(key, address, service, error));
    socket.on('listening', () => this.#taken.delete(key));
    socket.bind({ address, port: service.nodePort, exclusive: true });
  }

  #udpClient(
    outside: KernelUdp,
    remote: { address: string; port: number },
    address: string,
    nodePort: number,
    onClosed: () => void,
  ): UdpClient {
    const { localAddress, localPort } = clientAs(remote.address, remote.port, address);
    const inside = this.#options.host.connectUdp(
      { host: localAddress, port: localPort },
      { host: address, port: nodePort },
    );
    const name = `${localAddress} ${inside.port}`;
    this.#udpClients.add(name);
    let timer: Timer | undefined;
    const close = () => {
      timer?.cancel();
      this.#udpClients.delete(name);
      inside.close();
      onClosed();
    };
    const alive = () => {
      timer?.cancel();
      timer = this.#options.setTimer(close, UDP_IDLE_MS);
    };
    inside.on('message', (data) => {
      alive();
      outside.send(data, remote.port, remote.address);
    });
    // Refused: the kernel's client gets no answer, because a user socket cannot make ICMP errors.
    inside.on('error', close);
    return {
      send: (data) => {
        alive();
        inside.send(data);
      },
      close,
    };
  }

  #failed(key: string, address: string, service: ServicePort, error: NodeJS.ErrnoException): void {
    this.#open.delete(key);
    const { namespace, service: name, nodePort } = service;
    const protocol = service.protocol === TCP ? 'tcp' : 'udp';
    const why = error.code === 'EADDRINUSE' ? 'address already in use' : (error.code ?? error.message);
    if (!this.#taken.has(key)) {
      this.#taken.add(key);
      const message = `can't open node port ${protocol}/${nodePort} of service ${namespace}/${name} on ${address}: ${why}; free the port or choose another nodePort`;
      const uid = this.#options.serviceUid(namespace, name);
      this.#options.events.warning({ kind: 'Service', namespace, name, uid }, 'NodePortUnavailable', message);
      this.#options.log.warn({ service: `${namespace}/${name}`, port: nodePort }, message);
    }
    this.#retry?.cancel();
    this.#retry = this.#options.setTimer(() => this.update(this.#wanted), RETRY_MS);
  }
}

/**
 * Under which address and port a client appears inside: its own. A client on the real host itself is a process of the node,
 * and as such has the node's address; its port may be another client's there, so the stack chooses one.
 */
function clientAs(
  address: string,
  port: number,
  nodeAddress: string,
): { localAddress: string; localPort: number } {
  const isHere = address === '127.0.0.1' || address === '::1' || address === nodeAddress;
  return isHere ? { localAddress: nodeAddress, localPort: 0 } : { localAddress: address, localPort: port };
}

interface UdpClient {
  send(data: Uint8Array): void;
  close(): void;
}
