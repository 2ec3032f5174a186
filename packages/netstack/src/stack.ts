/**
 * One network stack: a link, addresses, and the sockets on them. Frames come in through `receive`; frames,
 * events and timers go out of `flush`, which runs soon after and never inside `receive`. So a link may hand
 * frames from stack to stack synchronously: nothing recurses, and the frame buffers are free again on return.
 */
import { parseMac } from '@podwire/wire/address';
import { Packet } from '@podwire/wire/packet';
import type { Core, EventSource, SocketLb, TcpSettings } from './core.ts';
import { networkError } from './errors.ts';
import { reportNoNeighbor } from './icmp-input.ts';
import { IcmpSocket } from './icmp-socket.ts';
import { IcmpTable } from './icmp-table.ts';
import { formatIpAddress, type IpAddress, isUnspecified, parseIpAddress } from './ip-address.ts';
import { receiveFrame } from './ip-input.ts';
import { sendMessage, upperOffset } from './ip-output.ts';
import { newHashKey } from './keyed-hash.ts';
import { NeighborTable } from './link.ts';
import { PortAllocator } from './ports.ts';
import { Reassembly } from './reassembly.ts';
import { type Destination, type LoopbackScope, RouteTable } from './routes.ts';
import { newStatistics, type Statistics } from './statistics.ts';
import { TcpConnection } from './tcp/connection.ts';
import { ListenSocket } from './tcp/listen.ts';
import { output } from './tcp/output.ts';
import { TcpEndpointTable } from './tcp/table.ts';
import { TcpListener } from './tcp-listener.ts';
import { TcpSocket } from './tcp-socket.ts';
import { type SetTimer, TimerQueue } from './timers.ts';
import { UdpSocket } from './udp-socket.ts';
import { UdpTable } from './udp-table.ts';

export type { SocketLb } from './core.ts';

export interface StackOptions {
  /** Milliseconds of any monotonic clock. */
  nowMs: () => number;
  /** A random uint32. */
  random32: () => number;
  /** Default: setTimeout. */
  setTimer?: SetTimer;
  /**
   * Runs `fn` soon, outside of the caller. Default: after what a user did, a microtask; after frames came in,
   * setImmediate, so that one flush answers all that the event loop had to hand in.
   */
  defer?: (fn: () => void) => void;
  interface: {
    name: string;
    mac: string;
    /** Bytes of the largest IP packet. */
    mtu: number;
    /** Takes an Ethernet frame; it must be copied or consumed before returning. */
    transmit(frame: Uint8Array): void;
    /** On a point-to-point link: every packet goes to this MAC address and nothing is resolved. */
    neighborMac?: string;
  };
  addresses: { address: string; prefixLength: number }[];
  gateway?: { v4?: string | undefined; v6?: string | undefined };
  socketLb?: SocketLb;
  /** Accept packets (pings too) for, and send from, addresses that are not ours. */
  acceptAnyAddress?: boolean;
  /**
   * Default true: 127.0.0.0/8 and ::1 stay inside the stack. With 'host' only 127.0.0.1 and ::1 do, so that the
   * link carries the rest, such as the addresses of nodes in a lab on one machine; with false it carries all.
   */
  loopback?: LoopbackScope;
  tcp?: Partial<TcpSettings>;
  /** Between two requests for a neighbour's MAC address; the third unanswered one fails. Default 1000. */
  neighborRetryMs?: number;
}

export interface SocketDescription {
  protocol: 'tcp' | 'udp' | 'icmp';
  state: string;
  localAddress: string;
  localPort: number;
  remoteAddress: string;
  remotePort: number;
  receiveQueueBytes: number;
  sendQueueBytes: number;
}

const DEFAULT_TCP: TcpSettings = {
  receiveBufferBytes: 512 * 1024,
  sendBufferBytes: 512 * 1024,
  timeWaitMs: 1000,
  finWait2Ms: 60_000,
  delayedAckMs: 40,
  minimumRtoMs: 200,
  maximumRtoMs: 60_000,
  initialRtoMs: 1000,
  maxRetransmits: 15,
  maxSynRetransmits: 6,
};

const DEFAULT_BACKLOG = 511;
const MAXIMUM_BACKLOG = 4096;
/** Frames and messages that wait for a flush. */
const QUEUE_LIMIT = 4096;
const QUEUE_BYTES_LIMIT = 16 << 20;
/** Large enough for the largest IPv6 packet; the operating system commits only what is used. */
const OUT_BYTES = 65_535 + 40 + 14;

interface QueuedMessage {
  destination: Destination;
  source: IpAddress;
  protocol: number;
  message: Uint8Array;
}

export class NetStack {
  readonly name: string;
  readonly #core: Core;
  readonly #readClock: () => number;
  /** The time of the flush or of the frame under way, -1 outside of them. */
  #turnMs = -1;
  readonly #defer: ((fn: () => void) => void) | undefined;
  readonly #flush = () => this.flush();
  #scheduledSoon = false;
  #scheduledLater = false;
  #flushing = false;
  #receiving = false;
  /** Inside `flush` or a transmit: frames that come in wait. */
  #busy = false;
  #loop: Uint8Array[] = [];
  #arrived: Uint8Array[] = [];
  #waitingBytes = 0;
  #frames: Uint8Array[] = [];
  #messages: QueuedMessage[] = [];
  #events: EventSource[] = [];

  constructor(o: StackOptions) {
    this.name = o.interface.name;
    const mac = parseMac(o.interface.mac);
    if (mac === undefined) {
      throw new Error(
        `Cannot make network stack "${o.interface.name}": MAC address "${o.interface.mac}" is not aa:bb:cc:dd:ee:ff`,
      );
    }
    const neighborMac = o.interface.neighborMac === undefined ? undefined : parseMac(o.interface.neighborMac);
    const { random32 } = o;
    // Reading the clock costs as much as a header: one reading serves a whole flush, or one frame.
    this.#readClock = o.nowMs;
    const nowMs = () => (this.#turnMs >= 0 ? this.#turnMs : o.nowMs());
    const statistics = newStatistics();
    const key = newHashKey(random32);
    this.#defer = o.defer;
    const setTimer: SetTimer = o.setTimer ?? ((fn, delayMs) => setTimeout(fn, delayMs));
    const link = o.interface;
    const core: Core = {
      nowMs,
      random32,
      mac,
      mtu: link.mtu,
      transmit: (frame) => {
        if (this.#busy) {
          link.transmit(frame);
          return;
        }
        // A datagram sent outside of a flush: what comes back meanwhile waits.
        this.#busy = true;
        try {
          link.transmit(frame);
        } finally {
          this.#busy = false;
        }
      },
      acceptAnyAddress: o.acceptAnyAddress === true,
      socketLb: o.socketLb,
      tcpSettings: { ...DEFAULT_TCP, ...o.tcp },
      // Two bytes in, so that the transport header is aligned for the checksum.
      out: new Uint8Array(new ArrayBuffer(OUT_BYTES + 2), 2, OUT_BYTES),
      outViews: new Array(16).fill(undefined),
      packet: new Packet(),
      key,
      statistics,
      timers: new TimerQueue(nowMs, setTimer),
      routes: new RouteTable({
        mtu: link.mtu,
        gatewayV4: o.gateway?.v4 === undefined ? undefined : parseIpAddress(o.gateway.v4),
        gatewayV6: o.gateway?.v6 === undefined ? undefined : parseIpAddress(o.gateway.v6),
        onlinkDefault: o.acceptAnyAddress === true || neighborMac !== undefined,
        loopback: o.loopback ?? true,
      }),
      neighbors: new NeighborTable(
        () => core,
        o.neighborRetryMs ?? 1000,
        neighborMac,
        (frame) => reportNoNeighbor(core, frame),
      ),
      reassembly: new Reassembly(statistics),
      tcp: new TcpEndpointTable(random32() | 0, new PortAllocator(key, random32())),
      udp: new UdpTable(new PortAllocator(key, random32())),
      icmp: new IcmpTable(),
      closed: false,
      nextCookie: 1,
      nextIdentification: random32() & 0xffff,
      loopBack: (length) => this.#loopBack(length),
      queueEvents: (source) => {
        this.#events.push(source);
        this.#schedule();
      },
      queueFrame: (frame) => {
        if (this.#frames.length >= QUEUE_LIMIT) statistics.queueDrops++;
        else this.#frames.push(frame);
        this.#schedule();
      },
      queueMessage: (destination, source, protocol, message) => {
        if (this.#messages.length >= QUEUE_LIMIT) statistics.queueDrops++;
        else this.#messages.push({ destination, source, protocol, message });
        this.#schedule();
      },
      schedule: () => this.#schedule(),
    };
    this.#core = core;
    for (const { address, prefixLength } of o.addresses) this.addAddress(address, prefixLength);
  }

  get statistics(): Readonly<Statistics> {
    return this.#core.statistics;
  }

  /** Addresses of the interface. */
  get addresses(): { address: string; prefixLength: number }[] {
    return this.#core.routes.describeOwn();
  }

  /** Largest IP packet of the link in bytes. */
  get mtu(): number {
    return this.#core.mtu;
  }

  addAddress(address: string, prefixLength: number): void {
    const parsed = parseIpAddress(address);
    if (parsed === undefined) {
      throw new Error(`Cannot add address "${address}" to network stack "${this.name}": it is no IP address`);
    }
    this.#core.routes.add(parsed, prefixLength);
  }

  /** Connections from the address end with their next timeout or reset. */
  removeAddress(address: string): boolean {
    const parsed = parseIpAddress(address);
    return parsed !== undefined && this.#core.routes.remove(parsed);
  }

  #bindAddress(syscall: string, host: string | undefined, port: number): IpAddress | undefined {
    if (!(port >= 0 && port <= 65_535)) throw networkError(syscall, 'EINVAL', host, port);
    if (host === undefined) return undefined;
    const address = parseIpAddress(host);
    if (address === undefined) throw networkError(syscall, 'EINVAL', host, port);
    const { acceptAnyAddress, routes } = this.#core;
    if (!isUnspecified(address) && !acceptAnyAddress && !routes.isLocal(address)) {
      throw networkError(syscall, 'EADDRNOTAVAIL', host, port);
    }
    return address;
  }

  /** Takes a frame from the link. Never throws, whatever the bytes; keeps no reference to them. */
  receive(frame: Uint8Array): void {
    if (this.#core.closed) return;
    if (this.#busy) {
      this.#keep(this.#arrived, frame);
      return;
    }
    this.#receiving = true;
    this.#turnMs = this.#readClock();
    receiveFrame(this.#core, frame, frame.length, true);
    this.#turnMs = -1;
    this.#receiving = false;
  }

  /**
   * Opens a connection. Errors come as an 'error' event: EINVAL for a host that is no IP address,
   * ENETUNREACH, EHOSTUNREACH, ECONNREFUSED, ETIMEDOUT, EADDRNOTAVAIL, EADDRINUSE, EPERM.
   */
  connectTcp(o: {
    host: string;
    port: number;
    localAddress?: string;
    localPort?: number;
    connectTimeoutMs?: number;
  }): TcpSocket {
    const socket = new TcpSocket(this.#core);
    const connection = this.openConnection(o, socket.user);
    if (typeof connection === 'string') {
      socket.failConnect(networkError('connect', connection, o.host, o.port));
    } else {
      socket.attach(connection, { address: o.host, port: o.port });
    }
    return socket;
  }

  /** As `connectTcp`, without a stream around the connection: gives it, or why there is none. */
  openConnection(
    o: {
      host: string;
      port: number;
      localAddress?: string;
      localPort?: number;
      connectTimeoutMs?: number;
    },
    user: TcpConnection['user'],
  ): TcpConnection | 'EINVAL' | 'ENETUNREACH' | 'EADDRNOTAVAIL' | 'EADDRINUSE' | 'EHOSTUNREACH' | 'EPERM' {
    const core = this.#core;
    let host = o.host;
    let port = o.port;
    const translation = core.socketLb?.translate('tcp', host, port, core.nextCookie);
    if (translation !== undefined) {
      if ('error' in translation) return translation.error;
      host = translation.address;
      port = translation.port;
    }
    let remote = parseIpAddress(host);
    if (remote === undefined || !(port > 0 && port <= 65_535) || core.closed) return 'EINVAL';
    // As in Linux, connecting to the unspecified address means this host.
    if (isUnspecified(remote)) remote = parseIpAddress(remote.version === 4 ? '127.0.0.1' : '::1')!;
    const asked = o.localAddress === undefined ? undefined : parseIpAddress(o.localAddress);
    if (o.localAddress !== undefined && asked === undefined) return 'EINVAL';
    const local = asked === undefined || isUnspecified(asked) ? core.routes.sourceFor(remote) : asked;
    if (local === undefined) return 'ENETUNREACH';
    if (local.version !== remote.version) return 'EINVAL';
    if (!core.acceptAnyAddress && !core.routes.isLocal(local)) return 'EADDRNOTAVAIL';
    if (core.routes.lookup(remote).kind === 0) return 'ENETUNREACH';
    let localPort = o.localPort ?? 0;
    if (localPort === 0) {
      localPort = core.tcp.ephemeralPort(local, remote, port);
      if (localPort === 0) return 'EADDRNOTAVAIL';
    } else if (core.tcp.find(local, localPort, remote, port) !== undefined) {
      return 'EADDRINUSE';
    }
    const connection = new TcpConnection(core, local, localPort, remote, port, user);
    core.tcp.insert(connection);
    connection.open(o.connectTimeoutMs);
    return connection;
  }

  /**
   * Listens. Port 0 takes a free one; without a host every address of both versions is accepted, and with
   * `acceptAnyAddress` addresses that are not ours too. `anyPort` takes every port nobody else listens on.
   * Throws an error with code EADDRINUSE, EADDRNOTAVAIL or EINVAL.
   */
  listenTcp(
    o: { host?: string; port: number; backlog?: number; anyPort?: boolean },
    onConnection: (socket: TcpSocket) => void,
  ): TcpListener {
    const listener = this.listenConnections(o, (connection) => {
      const socket = new TcpSocket(this.#core);
      connection.user = socket.user;
      socket.attach(connection, undefined);
      onConnection(socket);
    });
    return new TcpListener(listener);
  }

  /** As `listenTcp`, without streams; `onConnection` sets the connection's user. */
  listenConnections(
    o: { host?: string; port: number; backlog?: number; anyPort?: boolean },
    onConnection: (connection: TcpConnection) => void,
  ): ListenSocket {
    const core = this.#core;
    const host = this.#bindAddress('listen', o.host, o.port);
    const anyPort = o.anyPort === true;
    let port = o.port;
    if (!anyPort) {
      if (port === 0) port = core.tcp.listenPort(host);
      if (port === 0 || core.tcp.conflicts(host, port)) {
        throw networkError('listen', 'EADDRINUSE', o.host ?? '::', o.port);
      }
    } else if (core.tcp.hasAnyPortListener()) {
      throw networkError('listen', 'EADDRINUSE', o.host ?? '::', 0);
    }
    const backlog = Math.max(1, Math.min(o.backlog ?? DEFAULT_BACKLOG, MAXIMUM_BACKLOG));
    const listener = new ListenSocket(core, host, port, anyPort, backlog, onConnection);
    core.tcp.addListener(listener);
    return listener;
  }

  /** Throws an error with code EADDRINUSE, EADDRNOTAVAIL or EINVAL. */
  bindUdp(o: { host?: string; port?: number } = {}): UdpSocket {
    const core = this.#core;
    const asked = o.port ?? 0;
    const host = this.#bindAddress('bind', o.host, asked);
    const port = asked === 0 ? core.udp.freePort(core.random32()) : asked;
    if (port === 0 || core.udp.conflicts(host, port)) {
      throw networkError('bind', 'EADDRINUSE', o.host ?? '::', asked);
    }
    const socket = new UdpSocket(core, host, port);
    core.udp.insert(socket);
    queueMicrotask(() => socket.emit('listening'));
    return socket;
  }

  openIcmp(version: 4 | 6): IcmpSocket {
    return new IcmpSocket(this.#core, version);
  }

  /** All sockets, as `ss -a` lists them. */
  sockets(): SocketDescription[] {
    const core = this.#core;
    const rows: SocketDescription[] = [];
    for (const listener of core.tcp.listeners()) {
      rows.push({
        protocol: 'tcp',
        state: 'LISTEN',
        localAddress: listener.host === undefined ? '*' : formatIpAddress(listener.host),
        localPort: listener.port,
        remoteAddress: '*',
        remotePort: 0,
        receiveQueueBytes: listener.pendingCount,
        sendQueueBytes: listener.backlog,
      });
    }
    for (const c of core.tcp.connections()) rows.push({ protocol: 'tcp', ...c.describe() });
    for (const socket of core.udp.sockets()) {
      const peer = socket.remoteAddress();
      rows.push({
        protocol: 'udp',
        state: peer === undefined ? 'UNCONN' : 'ESTAB',
        localAddress: socket.boundAddress === undefined ? '*' : formatIpAddress(socket.boundAddress),
        localPort: socket.port,
        remoteAddress: peer?.address ?? '*',
        remotePort: peer?.port ?? 0,
        receiveQueueBytes: 0,
        sendQueueBytes: 0,
      });
    }
    for (const socket of core.icmp.sockets()) {
      rows.push({
        protocol: 'icmp',
        state: 'UNCONN',
        localAddress: '*',
        localPort: socket.id,
        remoteAddress: '*',
        remotePort: 0,
        receiveQueueBytes: 0,
        sendQueueBytes: 0,
      });
    }
    return rows;
  }

  /** Resets every connection, closes every socket and stops the timer. */
  close(): void {
    const core = this.#core;
    if (core.closed) return;
    for (const listener of [...core.tcp.listeners()]) listener.close();
    for (const c of [...core.tcp.connections()]) c.abort();
    for (const socket of [...core.udp.sockets()]) socket.close();
    for (const socket of [...core.icmp.sockets()]) socket.close();
    // The resets go out and the users hear of the end before the stack falls silent.
    this.flush();
    core.closed = true;
    core.timers.close();
    core.neighbors.close();
    core.reassembly.clear();
  }

  /**
   * Delivers events and sends what is due. Runs by itself after anything that needs it; tests with a clock of
   * their own may call it.
   */
  flush(): void {
    this.#scheduledSoon = this.#scheduledLater = false;
    if (this.#core.closed || this.#busy) return;
    this.#busy = this.#flushing = true;
    this.#turnMs = this.#readClock();
    try {
      this.#deliverEvents();
      this.#sendQueued();
    } finally {
      this.#busy = this.#flushing = false;
      this.#receiving = true;
      this.#receiveKept();
      if (this.#hasWork()) this.#schedule();
      this.#receiving = false;
      this.#turnMs = -1;
    }
  }

  #deliverEvents(): void {
    // Events raised meanwhile, for instance by a user that closes, wait for the next flush.
    const events = this.#events;
    if (events.length === 0) return;
    this.#events = [];
    let at = 0;
    try {
      while (at < events.length) events[at++].deliver();
    } finally {
      // A user threw: the others still get theirs.
      if (at < events.length) this.#events = events.slice(at).concat(this.#events);
    }
  }

  #sendQueued(): void {
    const core = this.#core;
    if (this.#frames.length > 0) {
      const frames = this.#frames;
      this.#frames = [];
      for (const frame of frames) {
        core.statistics.framesOut++;
        core.statistics.bytesOut += frame.length;
        core.transmit(frame);
      }
    }
    if (this.#messages.length > 0) {
      const messages = this.#messages;
      this.#messages = [];
      for (const { destination, source, protocol, message } of messages) {
        core.out.set(message, upperOffset(destination.address.version));
        sendMessage(core, destination, source, protocol, message.length, 64);
      }
    }
    const queue = core.tcp.outputQueue;
    // What is queued while this runs is sent too: the list only grows at its end, each connection once.
    const count = queue.length;
    for (let i = 0; i < count; i++) {
      const c = queue[i];
      c.outputQueued = false;
      output(c);
    }
    queue.splice(0, count);
  }

  #receiveKept(): void {
    if (this.#loop.length === 0 && this.#arrived.length === 0) return;
    const loop = this.#loop;
    const arrived = this.#arrived;
    this.#loop = [];
    this.#arrived = [];
    this.#waitingBytes = 0;
    for (const frame of arrived) receiveFrame(this.#core, frame, frame.length, true);
    for (const frame of loop) receiveFrame(this.#core, frame, frame.length, false);
  }

  #hasWork(): boolean {
    return (
      this.#events.length > 0 ||
      this.#frames.length > 0 ||
      this.#messages.length > 0 ||
      this.#core.tcp.outputQueue.length > 0 ||
      this.#loop.length > 0 ||
      this.#arrived.length > 0
    );
  }

  #loopBack(length: number): void {
    this.#keep(this.#loop, this.#core.out.subarray(0, length));
  }

  #keep(queue: Uint8Array[], frame: Uint8Array): void {
    if (queue.length >= QUEUE_LIMIT || this.#waitingBytes + frame.length > QUEUE_BYTES_LIMIT) {
      this.#core.statistics.queueDrops++;
      return;
    }
    this.#waitingBytes += frame.length;
    queue.push(frame.slice());
    this.#schedule();
  }

  #schedule(): void {
    // A flush looks for more work when it ends.
    if (this.#flushing || this.#core.closed) return;
    if (this.#receiving && this.#defer === undefined) {
      if (this.#scheduledLater) return;
      this.#scheduledLater = true;
      setImmediate(this.#flush);
    } else {
      if (this.#scheduledSoon) return;
      this.#scheduledSoon = true;
      (this.#defer ?? queueMicrotask)(this.#flush);
    }
  }
}
