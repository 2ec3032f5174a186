/** An echo socket: sends echo requests (RFC 792, RFC 4443 4.1) and hears replies and errors about them. */
import { EventEmitter } from 'node:events';
import { internetChecksum } from '@podwire/wire/checksum';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from '@podwire/wire/protocol';
import type { Core, EventSource } from './core.ts';
import { type NetworkErrorCode, networkError } from './errors.ts';
import { formatIpAddress, type IpAddress, parseIpAddress } from './ip-address.ts';
import { DEFAULT_TTL, pseudoSum, sendMessage, upperOffset } from './ip-output.ts';

const QUEUE_LIMIT = 1024;

export interface EchoReply {
  address: string;
  id: number;
  seq: number;
  payload: Buffer;
  /** TTL or hop limit as received. */
  ttl: number;
}

/** An ICMP error about an echo request of ours. */
export interface EchoFailure {
  /** Who says so; an own address when no neighbour answered. */
  address: string;
  /** To whom the request was sent. */
  destination: string;
  id: number;
  seq: number;
  type: number;
  code: number;
  /** Of "fragmentation needed" and "packet too big", else 0. */
  mtu: number;
}

export interface IcmpSocketEvents {
  message: [reply: EchoReply];
  unreachable: [failure: EchoFailure];
  close: [];
}

type Arrival = { reply: EchoReply } | { failure: EchoFailure };

export class IcmpSocket extends EventEmitter<IcmpSocketEvents> implements EventSource {
  readonly version: 4 | 6;
  /** The identifier that `send` uses unless told otherwise. */
  readonly id: number;
  readonly #core: Core;
  #queue: Arrival[] = [];
  #queued = false;
  #closed = false;

  /** Use `NetStack.openIcmp`. */
  constructor(core: Core, version: 4 | 6) {
    super();
    this.#core = core;
    this.version = version;
    let id = core.random32() & 0xffff;
    for (let i = 0; i < 65_536 && core.icmp.isClaimed(version, id); i++) id = (id + 1) & 0xffff;
    this.id = id;
    core.icmp.insert(this);
    core.icmp.claim(this, id);
  }

  /**
   * Sends one echo request. Throws an error with code EINVAL, EMSGSIZE or ENETUNREACH.
   */
  send(
    address: string,
    o: { id?: number; seq: number; payload?: Uint8Array; ttl?: number; localAddress?: string },
  ): void {
    const failure = this.#closed ? 'EINVAL' : this.#send(address, o);
    if (failure !== undefined) throw networkError('sendto', failure, address);
  }

  #send(
    address: string,
    o: { id?: number; seq: number; payload?: Uint8Array; ttl?: number; localAddress?: string },
  ): NetworkErrorCode | undefined {
    const core = this.#core;
    const to = parseIpAddress(address);
    if (to === undefined || to.version !== this.version) return 'EINVAL';
    const payload = o.payload ?? new Uint8Array(0);
    if (payload.length > 65_507) return 'EMSGSIZE';
    const source = o.localAddress === undefined ? core.routes.sourceFor(to) : parseIpAddress(o.localAddress);
    if (source === undefined || source.version !== to.version) return 'ENETUNREACH';
    const id = (o.id ?? this.id) & 0xffff;
    if (id !== this.id) core.icmp.claim(this, id);
    const out = core.out;
    const l4 = upperOffset(to.version);
    const length = 8 + payload.length;
    out[l4] = this.version === 4 ? 8 : 128;
    out[l4 + 1] = 0;
    out[l4 + 2] = 0;
    out[l4 + 3] = 0;
    out[l4 + 4] = id >>> 8;
    out[l4 + 5] = id;
    out[l4 + 6] = o.seq >>> 8;
    out[l4 + 7] = o.seq;
    out.set(payload, l4 + 8);
    const protocol = this.version === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
    const seed = this.version === 4 ? 0 : pseudoSum(source, to, protocol, length);
    const checksum = internetChecksum(out, l4, l4 + length, seed);
    out[l4 + 2] = checksum >>> 8;
    out[l4 + 3] = checksum;
    core.statistics.icmpOut++;
    const sent = sendMessage(core, core.routes.lookup(to), source, protocol, length, o.ttl ?? DEFAULT_TTL);
    return sent ? undefined : 'ENETUNREACH';
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#core.icmp.remove(this);
    this.#queue = [];
    queueMicrotask(() => this.emit('close'));
  }

  /** An echo reply whose payload is frame[start, end). */
  replyArrives(
    source: IpAddress,
    id: number,
    seq: number,
    ttl: number,
    frame: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#queue.length >= QUEUE_LIMIT) return;
    const payload = Buffer.from(frame.subarray(start, end));
    this.#push({ reply: { address: formatIpAddress(source), id, seq, payload, ttl } });
  }

  failureArrives(failure: EchoFailure): void {
    if (this.#queue.length < QUEUE_LIMIT) this.#push({ failure });
  }

  deliver(): void {
    this.#queued = false;
    const queue = this.#queue;
    this.#queue = [];
    for (const arrival of queue) {
      if (this.#closed) return;
      if ('reply' in arrival) this.emit('message', arrival.reply);
      else this.emit('unreachable', arrival.failure);
    }
  }

  #push(arrival: Arrival): void {
    this.#queue.push(arrival);
    if (this.#queued) return;
    this.#queued = true;
    this.#core.queueEvents(this);
  }
}
