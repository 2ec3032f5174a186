/** Connections by four-tuple and listeners by port. */
import { addressKey, type IpAddress, isUnspecified } from '../ip-address.ts';
import type { PortAllocator } from '../ports.ts';
import type { TcpConnection } from './connection.ts';
import type { ListenSocket } from './listen.ts';
import { newSegment, type Segment } from './segment.ts';
import { SlabPool } from './send-queue.ts';
import { TIME_WAIT } from './state.ts';

const FIRST_BUCKETS = 64;

/** Hash of a four-tuple; `seed` keeps remote hosts from choosing the bucket. */
export function hashTuple(
  seed: number,
  l0: number,
  l1: number,
  l2: number,
  l3: number,
  r0: number,
  r1: number,
  r2: number,
  r3: number,
  localPort: number,
  remotePort: number,
): number {
  let h = Math.imul(seed ^ r3, 0x9e3779b1);
  h = Math.imul((h ^ (h >>> 15)) + l3, 0x85ebca6b);
  h = Math.imul((h ^ (h >>> 13)) + ((localPort << 16) | remotePort), 0xc2b2ae35);
  if (l2 !== 0xffff || l0 !== 0 || l1 !== 0) {
    h = Math.imul((h ^ (h >>> 16)) + l2 + r2, 0x27d4eb2f);
    h = Math.imul((h ^ (h >>> 15)) + l1 + Math.imul(r1, 3), 0x165667b1);
    h = Math.imul((h ^ (h >>> 13)) + l0 + Math.imul(r0, 5), 0x9e3779b1);
  }
  return h ^ (h >>> 16);
}

export class TcpEndpointTable {
  readonly seed: number;
  readonly slabs = new SlabPool();
  readonly ports: PortAllocator;
  /** The segment being received, reused. */
  readonly segment: Segment = newSegment();
  /** Connections with something to send in the next flush. */
  readonly outputQueue: TcpConnection[] = [];
  #buckets: (TcpConnection | undefined)[] = new Array(FIRST_BUCKETS).fill(undefined);
  #count = 0;
  readonly #listeners = new Map<number, ListenSocket[]>();
  /** Listens on every port that has no listener of its own. */
  #anyPort: ListenSocket | undefined;
  /** Connections per local port, so that ports in use are found without a walk. */
  readonly #localPorts = new Map<number, number>();

  constructor(seed: number, ports: PortAllocator) {
    this.seed = seed;
    this.ports = ports;
  }

  get size(): number {
    return this.#count;
  }

  hash(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): number {
    return hashTuple(
      this.seed,
      local.w0,
      local.w1,
      local.w2,
      local.w3,
      remote.w0,
      remote.w1,
      remote.w2,
      remote.w3,
      localPort,
      remotePort,
    );
  }

  find(
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
  ): TcpConnection | undefined {
    return this.findWords(
      local.w0,
      local.w1,
      local.w2,
      local.w3,
      remote.w0,
      remote.w1,
      remote.w2,
      remote.w3,
      localPort,
      remotePort,
    );
  }

  findWords(
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    localPort: number,
    remotePort: number,
  ): TcpConnection | undefined {
    const h = hashTuple(this.seed, l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort);
    let c = this.#buckets[h & (this.#buckets.length - 1)];
    while (c !== undefined) {
      const l = c.local;
      const r = c.remote;
      if (
        c.remotePort === remotePort &&
        c.localPort === localPort &&
        r.w3 === r3 &&
        l.w3 === l3 &&
        r.w2 === r2 &&
        l.w2 === l2 &&
        r.w1 === r1 &&
        l.w1 === l1 &&
        r.w0 === r0 &&
        l.w0 === l0
      ) {
        return c;
      }
      c = c.hashNext;
    }
    return undefined;
  }

  insert(c: TcpConnection): void {
    if (this.#count >= this.#buckets.length * 2) this.#grow();
    c.hash = this.hash(c.local, c.localPort, c.remote, c.remotePort);
    const i = c.hash & (this.#buckets.length - 1);
    c.hashNext = this.#buckets[i];
    this.#buckets[i] = c;
    c.inTable = true;
    this.#count++;
    this.#localPorts.set(c.localPort, (this.#localPorts.get(c.localPort) ?? 0) + 1);
  }

  remove(c: TcpConnection): void {
    if (!c.inTable) return;
    const i = c.hash & (this.#buckets.length - 1);
    let previous: TcpConnection | undefined;
    for (let at = this.#buckets[i]; at !== undefined; previous = at, at = at.hashNext) {
      if (at !== c) continue;
      if (previous === undefined) this.#buckets[i] = c.hashNext;
      else previous.hashNext = c.hashNext;
      break;
    }
    c.hashNext = undefined;
    c.inTable = false;
    this.#count--;
    const left = (this.#localPorts.get(c.localPort) ?? 1) - 1;
    if (left === 0) this.#localPorts.delete(c.localPort);
    else this.#localPorts.set(c.localPort, left);
  }

  *connections(): IterableIterator<TcpConnection> {
    for (const first of this.#buckets) {
      for (let c = first; c !== undefined; ) {
        const next: TcpConnection | undefined = c.hashNext;
        yield c;
        c = next;
      }
    }
  }

  *listeners(): IterableIterator<ListenSocket> {
    for (const list of this.#listeners.values()) yield* list;
    if (this.#anyPort !== undefined) yield this.#anyPort;
  }

  isPortUsed(port: number): boolean {
    return this.#localPorts.has(port) || this.#listeners.has(port);
  }

  /** Whether a listener could not be added beside those there are: the same port and overlapping addresses. */
  conflicts(host: IpAddress | undefined, port: number): boolean {
    for (const other of this.#listeners.get(port) ?? []) {
      if (overlapping(host, other.host)) return true;
    }
    return false;
  }

  addListener(listener: ListenSocket): void {
    if (listener.anyPort) {
      this.#anyPort = listener;
      return;
    }
    const list = this.#listeners.get(listener.port);
    if (list === undefined) this.#listeners.set(listener.port, [listener]);
    else list.push(listener);
  }

  removeListener(listener: ListenSocket): void {
    if (listener === this.#anyPort) this.#anyPort = undefined;
    const list = this.#listeners.get(listener.port);
    const i = list?.indexOf(listener) ?? -1;
    if (list === undefined || i < 0) return;
    list.splice(i, 1);
    if (list.length === 0) this.#listeners.delete(listener.port);
  }

  hasAnyPortListener(): boolean {
    return this.#anyPort !== undefined;
  }

  /** The listener for a SYN to an address and port: an exact address before a wildcard. */
  findListener(w0: number, w1: number, w2: number, w3: number, port: number): ListenSocket | undefined {
    const list = this.#listeners.get(port);
    let wildcard: ListenSocket | undefined;
    if (list !== undefined) {
      const v4 = w0 === 0 && w1 === 0 && w2 === 0xffff;
      for (const listener of list) {
        const host = listener.host;
        if (host === undefined) wildcard ??= listener;
        else if (isUnspecified(host)) {
          if (host.version === 6 || v4) wildcard ??= listener;
        } else if (host.w3 === w3 && host.w2 === w2 && host.w1 === w1 && host.w0 === w0) return listener;
      }
    }
    return wildcard ?? this.#anyPort;
  }

  /** A local port from which the remote end can be reached; 0 when all are taken. */
  ephemeralPort(local: IpAddress, remote: IpAddress, remotePort: number): number {
    const words = [local.w3, local.w2, local.w1, remote.w0, remote.w1, remote.w2, remote.w3, remotePort];
    const free = this.ports.allocate(
      words,
      (port) => !this.#listeners.has(port) && this.find(local, port, remote, remotePort) === undefined,
    );
    if (free !== 0) return free;
    // Thousands of connections a second to one place: one that only waits must give way, as with Linux's
    // tcp_tw_reuse.
    const port = this.ports.allocate(
      words,
      (candidate) => this.find(local, candidate, remote, remotePort)?.state === TIME_WAIT,
    );
    if (port !== 0) this.find(local, port, remote, remotePort)?.finish(undefined);
    return port;
  }

  /** A port on which nothing listens or is connected; 0 when all are taken. */
  listenPort(host: IpAddress | undefined): number {
    return this.ports.allocate([host?.w3 ?? 0], (port) => !this.isPortUsed(port));
  }

  #grow(): void {
    const old = this.#buckets;
    const buckets: (TcpConnection | undefined)[] = new Array(old.length * 2).fill(undefined);
    for (const first of old) {
      for (let c = first; c !== undefined; ) {
        const next: TcpConnection | undefined = c.hashNext;
        const i = c.hash & (buckets.length - 1);
        c.hashNext = buckets[i];
        buckets[i] = c;
        c = next;
      }
    }
    this.#buckets = buckets;
  }
}

// A wildcard of IPv6 takes IPv4 too (no IPV6_V6ONLY), as Node's listeners do; `undefined` means both.
function overlapping(a: IpAddress | undefined, b: IpAddress | undefined): boolean {
  if (a === undefined || b === undefined) return true;
  if (isUnspecified(a)) return a.version === 6 || b.version === 4 || isUnspecified(b);
  if (isUnspecified(b)) return b.version === 6 || a.version === 4;
  return addressKey(a) === addressKey(b);
}
