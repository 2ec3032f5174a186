/** UDP sockets by local port. */
import { type IpAddress, isUnspecified } from './ip-address.ts';
import type { PortAllocator } from './ports.ts';
import type { UdpSocket } from './udp-socket.ts';

export class UdpTable {
  readonly #byPort = new Map<number, UdpSocket[]>();
  readonly #ports: PortAllocator;
  #count = 0;

  constructor(ports: PortAllocator) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#count;
  }

  *sockets(): IterableIterator<UdpSocket> {
    for (const list of this.#byPort.values()) yield* list;
  }

  /** Whether a socket cannot be bound there beside those there are. */
  conflicts(host: IpAddress | undefined, port: number): boolean {
    for (const other of this.#byPort.get(port) ?? []) {
      const bound = other.boundAddress;
      if (host === undefined || bound === undefined) return true;
      if (isUnspecified(host) && (host.version === 6 || bound.version === 4)) return true;
      if (isUnspecified(bound) && (bound.version === 6 || host.version === 4)) return true;
      if (bound.w3 === host.w3 && bound.w2 === host.w2 && bound.w1 === host.w1 && bound.w0 === host.w0) {
        return true;
      }
    }
    return false;
  }

  /** A port that nobody uses; 0 when all are taken. */
  freePort(random: number): number {
    return this.#ports.allocate([random], (port) => !this.#byPort.has(port));
  }

  insert(socket: UdpSocket): void {
    const list = this.#byPort.get(socket.port);
    if (list === undefined) this.#byPort.set(socket.port, [socket]);
    else list.push(socket);
    this.#count++;
  }

  remove(socket: UdpSocket): void {
    const list = this.#byPort.get(socket.port);
    const i = list?.indexOf(socket) ?? -1;
    if (list === undefined || i < 0) return;
    list.splice(i, 1);
    this.#count--;
    if (list.length === 0) this.#byPort.delete(socket.port);
  }

  /** The socket for a datagram: sockets of one port have different addresses, so there is one at most. */
  find(local: IpAddress, port: number, remote: IpAddress, remotePort: number): UdpSocket | undefined {
    const list = this.#byPort.get(port);
    if (list === undefined) return undefined;
    for (const socket of list) if (socket.accepts(local, remote, remotePort)) return socket;
    return undefined;
  }
}
