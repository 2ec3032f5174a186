/** A UDP socket (RFC 768) with the surface of node:dgram's, as far as a stack inside a process has one. */
import { EventEmitter } from 'node:events';
import { internetChecksum } from '@podwire/wire/checksum';
import { PROTOCOL_UDP } from '@podwire/wire/protocol';
import type { Core, EventSource } from './core.ts';
import { type NetworkErrorCode, networkError } from './errors.ts';
import {
  ANY_V4,
  ANY_V6,
  formatIpAddress,
  type IpAddress,
  isUnspecified,
  parseIpAddress,
  sameAddress,
} from './ip-address.ts';
import { DEFAULT_TTL, pseudoSum, sendMessage, upperOffset } from './ip-output.ts';

/** Datagrams that wait for the next flush; what comes beyond is dropped, as a full socket buffer does. */
const QUEUE_LIMIT = 1024;
const QUEUE_BYTES_LIMIT = 4 << 20;
/** Destinations whose translation is remembered for replies. */
const TRANSLATION_LIMIT = 1024;
const MAXIMUM_PAYLOAD = 65_507;

export interface UdpPeer {
  address: string;
  port: number;
  family: 'IPv4' | 'IPv6';
  size: number;
  /** Where the datagram was sent to. */
  localAddress: string;
}

interface Datagram {
  payload: Buffer;
  source: IpAddress;
  sourcePort: number;
  local: IpAddress;
}

export interface UdpSocketEvents {
  message: [data: Buffer, peer: UdpPeer];
  error: [error: Error];
  listening: [];
  connect: [];
  close: [];
}

export class UdpSocket extends EventEmitter<UdpSocketEvents> implements EventSource {
  readonly #core: Core;
  readonly port: number;
  /** undefined: any address of either version. */
  readonly boundAddress: IpAddress | undefined;
  readonly cookie: number;
  #peer: IpAddress | undefined;
  #peerPort = 0;
  /** The destination that the user named, before the socket-level load balancer changed it. */
  #peerName: { address: string; port: number } | undefined;
  #ttl = DEFAULT_TTL;
  #closed = false;
  #queue: Datagram[] = [];
  #queuedBytes = 0;
  #error: NetworkErrorCode | undefined;
  #queued = false;
  readonly #translated = new Map<string, { address: string; port: number }>();
  #lastName = '';
  #lastSource: IpAddress | undefined;

  /** Use `NetStack.bindUdp`. */
  constructor(core: Core, boundAddress: IpAddress | undefined, port: number) {
    super();
    this.#core = core;
    this.boundAddress = boundAddress;
    this.port = port;
    this.cookie = core.nextCookie++;
  }

  address(): { address: string; port: number; family: 'IPv4' | 'IPv6' } {
    const address = this.boundAddress ?? ANY_V6;
    return {
      address: formatIpAddress(address),
      port: this.port,
      family: address.version === 4 ? 'IPv4' : 'IPv6',
    };
  }

  remoteAddress(): { address: string; port: number } | undefined {
    return this.#peerName;
  }

  /** Sets the peer: `send` needs no address then, only its datagrams are received, and ICMP errors are reported. */
  connect(port: number, address: string): void {
    this.#assertOpen('connect');
    const target = this.#translate(address, port);
    if (typeof target === 'string') {
      this.#reportLater(target);
      return;
    }
    this.#peer = target.address;
    this.#peerPort = target.port;
    this.#peerName = { address, port };
    queueMicrotask(() => {
      if (!this.#closed) this.emit('connect');
    });
  }

  /**
   * Sends one datagram; larger ones than the path takes are fragmented. The callback hears of a missing route
   * (ENETUNREACH), a refused destination (EPERM, EHOSTUNREACH) or one of more than 65507 bytes (EMSGSIZE);
   * without one these are an 'error' event.
   */
  send(data: Uint8Array | string, port?: number, address?: string, callback?: (error?: Error) => void): void {
    this.#assertOpen('send');
    const payload = typeof data === 'string' ? Buffer.from(data) : data;
    let target: { address: IpAddress; port: number } | NetworkErrorCode;
    if (address !== undefined) target = this.#translate(address, port ?? 0);
    else if (this.#peer !== undefined) target = { address: this.#peer, port: this.#peerPort };
    else target = 'EDESTADDRREQ';
    const failure = typeof target === 'string' ? target : this.#sendTo(payload, target.address, target.port);
    if (failure === undefined) {
      if (callback !== undefined) queueMicrotask(() => callback());
      return;
    }
    const error = networkError('send', failure, address ?? this.#peerName?.address, port);
    if (callback !== undefined) queueMicrotask(() => callback(error));
    else this.#reportLater(failure);
  }

  setTTL(ttl: number): void {
    this.#ttl = ttl & 255;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#core.udp.remove(this);
    this.#queue = [];
    queueMicrotask(() => this.emit('close'));
  }

  /** For look-alikes of node:dgram; a stack in the process keeps nothing alive. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** Whether a datagram is for this socket; a connected one takes only what its peer sends. */
  accepts(local: IpAddress, remote: IpAddress, remotePort: number): boolean {
    const bound = this.boundAddress;
    if (bound !== undefined) {
      if (isUnspecified(bound)) {
        if (bound.version === 4 && local.version !== 4) return false;
      } else if (!sameAddress(bound, local)) return false;
    }
    return this.#peer === undefined || (this.#peerPort === remotePort && sameAddress(this.#peer, remote));
  }

  /** A datagram for this socket: frame[start, end) is copied and waits for the flush. */
  datagramArrives(
    frame: Uint8Array,
    start: number,
    end: number,
    source: IpAddress,
    sourcePort: number,
    local: IpAddress,
  ): void {
    const size = end - start;
    if (this.#queue.length >= QUEUE_LIMIT || this.#queuedBytes + size > QUEUE_BYTES_LIMIT) {
      this.#core.statistics.datagramDrops++;
      return;
    }
    const payload = Buffer.allocUnsafe(size);
    payload.set(frame.subarray(start, end));
    this.#queue.push({ payload, source, sourcePort, local });
    this.#queuedBytes += size;
    this.#wake();
  }

  /** An ICMP error quotes a datagram of this socket. Only a connected socket hears of it, as in Linux. */
  unreachable(code: NetworkErrorCode, remote: IpAddress, remotePort: number): void {
    if (this.#peer === undefined || this.#peerPort !== remotePort || !sameAddress(this.#peer, remote)) return;
    this.#error = code;
    this.#wake();
  }

  deliver(): void {
    this.#queued = false;
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const { payload, source, sourcePort, local } of queue) {
      if (this.#closed) return;
      const name = this.#nameOf(source, sourcePort);
      this.emit('message', payload, {
        address: name.address,
        port: name.port,
        family: name.address.includes(':') ? 'IPv6' : 'IPv4',
        size: payload.length,
        localAddress: formatIpAddress(local),
      });
    }
    const code = this.#error;
    this.#error = undefined;
    if (code !== undefined && !this.#closed && this.listenerCount('error') > 0) {
      this.emit('error', networkError('recvmsg', code, this.#peerName?.address, this.#peerName?.port));
    }
  }

  #wake(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#core.queueEvents(this);
  }

  #sendTo(payload: Uint8Array, to: IpAddress, port: number): NetworkErrorCode | undefined {
    const core = this.#core;
    if (payload.length > MAXIMUM_PAYLOAD) return 'EMSGSIZE';
    if (port <= 0 || port > 65_535) return 'EINVAL';
    const bound = this.boundAddress;
    const source = bound === undefined || isUnspecified(bound) ? core.routes.sourceFor(to) : bound;
    if (source === undefined || source.version !== to.version) return 'ENETUNREACH';
    const out = core.out;
    const l4 = upperOffset(to.version);
    const length = 8 + payload.length;
    out[l4] = this.port >>> 8;
    out[l4 + 1] = this.port;
    out[l4 + 2] = port >>> 8;
    out[l4 + 3] = port;
    out[l4 + 4] = length >>> 8;
    out[l4 + 5] = length;
    out[l4 + 6] = 0;
    out[l4 + 7] = 0;
    out.set(payload, l4 + 8);
    // RFC 768: a computed 0 is sent as all ones.
    const checksum =
      internetChecksum(out, l4, l4 + length, pseudoSum(source, to, PROTOCOL_UDP, length)) || 0xffff;
    out[l4 + 6] = checksum >>> 8;
    out[l4 + 7] = checksum;
    core.statistics.datagramsOut++;
    const sent = sendMessage(core, core.routes.lookup(to), source, PROTOCOL_UDP, length, this.#ttl);
    return sent ? undefined : 'ENETUNREACH';
  }

  #translate(address: string, port: number): { address: IpAddress; port: number } | NetworkErrorCode {
    const lb = this.#core.socketLb;
    let target = address;
    let targetPort = port;
    const translation = lb?.translate('udp', address, port, this.cookie);
    if (translation !== undefined) {
      if ('error' in translation) return translation.error;
      target = translation.address;
      targetPort = translation.port;
      const key = `${target} ${targetPort}`;
      this.#translated.delete(key);
      if (this.#translated.size >= TRANSLATION_LIMIT) {
        const oldest = this.#translated.keys().next();
        if (!oldest.done) this.#translated.delete(oldest.value);
      }
      this.#translated.set(key, { address, port });
    }
    const parsed = parseIpAddress(target);
    if (parsed === undefined) return 'EINVAL';
    // As in Linux, the unspecified address means this host.
    if (isUnspecified(parsed)) {
      return { address: parsed.version === 4 ? { ...ANY_V4, w3: 0x7f000001 } : { ...ANY_V6, w3: 1 }, port };
    }
    return { address: parsed, port: targetPort };
  }

  // Under which name the user knows the sender: the service that its reply was asked from.
  #nameOf(source: IpAddress, port: number): { address: string; port: number } {
    if (this.#lastSource === undefined || !sameAddress(this.#lastSource, source)) {
      this.#lastSource = source;
      this.#lastName = formatIpAddress(source);
    }
    const address = this.#lastName;
    const lb = this.#core.socketLb;
    if (lb === undefined) return { address, port };
    return (
      this.#translated.get(`${address} ${port}`) ??
      lb.reverse?.('udp', address, port, this.cookie) ?? { address, port }
    );
  }

  #reportLater(code: NetworkErrorCode): void {
    queueMicrotask(() => {
      if (this.#closed || this.listenerCount('error') === 0) return;
      this.emit('error', networkError('send', code, this.#peerName?.address, this.#peerName?.port));
    });
  }

  #assertOpen(what: string): void {
    if (this.#closed) throw new Error(`Cannot ${what} on UDP socket ${this.port}: it is closed`);
  }
}
