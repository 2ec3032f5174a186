/**
 * Connection tracking with NAT: what Linux's nf_conntrack and nf_nat keep, in typed arrays.
 *
 * A flow has two tuples. `original` is the first packet as it arrived; `reply` is what an answer looks like when it
 * arrives. Without NAT one is the mirror of the other; with NAT their difference is the translation:
 *
 *     client 10.244.1.5:41822 -> VIP 10.96.0.9:80        original
 *     backend 10.244.2.7:8080 -> client 10.244.1.5:41822 reply       (DNAT: reply source is not the VIP)
 *     backend 10.244.2.7:8080 -> node 10.244.1.1:52011   reply       (and masquerade: its destination is the node)
 *
 * A packet that matches one tuple leaves looking like the mirror of the other. A *reference* is `flow * 2 + direction`
 * (0 original, 1 reply). Looking up, adding and removing allocate nothing; arrays double up to the limit.
 */

import { formatAddressWords } from '@podwire/wire/address';
import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '@podwire/wire/protocol';
import { BackendFlows } from './backend-flows.ts';
import type { ConntrackEntry, ConntrackTuple } from './conntrack-entry.ts';
import { firstChunk, firstState } from './conntrack-protocols.ts';
import {
  type ConntrackTimeouts,
  IGNORE,
  INVALID,
  isTcpFin,
  isTcpOpening,
  isTcpReset,
  KUBE_PROXY_TIMEOUTS,
  nextSctpState,
  nextTcpState,
  STATE_CLOSE,
  STATE_ESTABLISHED,
  STATE_NAMES,
  STATE_SCTP_ESTABLISHED,
  STATE_SERVICE,
  STATE_SERVICE_CLOSING,
  STATE_SERVICE_RESET,
  STATE_SERVICE_SYN,
  STATE_TIME_WAIT,
  STATE_UDP_STREAM,
} from './conntrack-states.ts';
import { WordMap } from './word-map.ts';

/** Words of a tuple: source (4), destination (4), ports, protocol and zone. */
const TUPLE = 10;
/** Words of an IPv4 tuple as a key. */
const NARROW = 4;
const FLOW = TUPLE * 2;
const PORTS = 8;
const PROTOCOL = 9;
/** Marks the tuple of a backend choice (CT_SERVICE), which lives beside the flow of the same addresses. */
const ZONE_SERVICE = 0x100;

const FLAG_SEEN_REPLY = 1;
const FLAG_ASSURED = 2;
const FLAG_SERVICE = 4;
const FLAG_USED = 8;
/** The original direction's source, or destination, is changed; the reply direction's the other way round. */
const FLAG_SNAT = 16;
const FLAG_DNAT = 32;
/** Counted among the flows of its backend. */
const FLAG_COUNTED = 64;

/** A UDP flow answered and still alive after this long is a stream (nf_conntrack_proto_udp.c). */
const UDP_STREAM_AFTER_MS = 2000;
/** Flows looked at for a victim when the table is full. */
const EVICTION_BUDGET = 64;
/** Flows looked at for expiry each time one is added. */
const COLLECT_PER_INSERT = 4;

/** nf_conntrack_max as kube-proxy sets it: 32768 per core, at least 131072. */
export const CONNTRACK_DEFAULT_MAX = 131_072;

/** Addresses as signed words and ports: one direction of a flow that is being decided. */
export interface FlowTuple {
  src0: number;
  src1: number;
  src2: number;
  src3: number;
  dst0: number;
  dst1: number;
  dst2: number;
  dst3: number;
  srcPort: number;
  dstPort: number;
}

export interface ConntrackOptions {
  readonly maxFlows?: number;
  readonly timeouts?: ConntrackTimeouts;
  /** Perturbs the hash. */
  readonly seed?: number;
}

export class Conntrack {
  /** Replaced when the mode changes; new timeouts hold from a flow's next packet on. */
  timeouts: ConntrackTimeouts;
  maxFlows: number;
  /** Flows refused because the table was full, and flows thrown out to make room. */
  readonly counters = { insertFailed: 0, evicted: 0, expired: 0, inserted: 0, invalid: 0 };

  /** Of the flows given to a backend by `countForBackend`. */
  readonly backendFlows = new BackendFlows();

  /** IPv4 tuples by source, destination, ports and protocol; IPv6 tuples by all their words. */
  readonly #index4: WordMap;
  readonly #index6: WordMap;
  /** The one whose key was staged last. */
  #staged: WordMap;
  #capacity: number;
  #size = 0;
  /** First never used flow number; below it, holes are chained through #freeNext. */
  #highWater = 0;
  #freeHead = -1;
  #cursor = 0;

  #tuples: Int32Array;
  #state: Uint8Array;
  #flags: Uint8Array;
  #expiresMs: Float64Array;
  #createdMs: Float64Array;
  #traffic: Float64Array; // packets and bytes, original then reply
  #freeNext: Int32Array;
  #reverseNat: Int32Array;
  #backend: Int32Array;
  #epoch: Int32Array;
  readonly #service: string[] = [];

  constructor(options: ConntrackOptions = {}) {
    this.maxFlows = options.maxFlows ?? CONNTRACK_DEFAULT_MAX;
    this.timeouts = options.timeouts ?? KUBE_PROXY_TIMEOUTS;
    this.#index4 = new WordMap(NARROW, 512, options.seed ?? 0);
    this.#index6 = new WordMap(TUPLE, 16, options.seed ?? 0);
    this.#staged = this.#index4;
    this.#capacity = Math.min(256, this.maxFlows);
    this.#tuples = new Int32Array(this.#capacity * FLOW);
    this.#state = new Uint8Array(this.#capacity);
    this.#flags = new Uint8Array(this.#capacity);
    this.#expiresMs = new Float64Array(this.#capacity);
    this.#createdMs = new Float64Array(this.#capacity);
    this.#traffic = new Float64Array(this.#capacity * 4);
    this.#freeNext = new Int32Array(this.#capacity);
    this.#reverseNat = new Int32Array(this.#capacity);
    this.#backend = new Int32Array(this.#capacity);
    this.#epoch = new Int32Array(this.#capacity);
  }

  /** Flows in the table, expired ones that were not collected yet included. */
  get size(): number {
    return this.#size;
  }

  /** Bytes held by the typed arrays. */
  get byteLength(): number {
    return this.#index4.byteLength + this.#index6.byteLength + this.#capacity * (FLOW * 4 + 2 + 16 + 32 + 16);
  }

  /** The reference of the flow this packet belongs to, or -1. */
  find(packet: Packet, nowMs: number): number {
    this.#stagePacket(packet, 0);
    return this.#live(nowMs);
  }

  /**
   * For a packet quoted inside an ICMP error: the reference whose tuple is the quoted packet's mirror, that is the
   * direction in which the error travels.
   */
  findMirrored(quoted: Packet, nowMs: number): number {
    if (quoted.version === 4) {
      this.#stage4(
        quoted.dst3 | 0,
        quoted.src3 | 0,
        (quoted.dstPort << 16) | quoted.srcPort,
        quoted.protocol,
      );
      return this.#live(nowMs);
    }
    const key = (this.#staged = this.#index6).key;
    key[0] = quoted.dst0;
    key[1] = quoted.dst1;
    key[2] = quoted.dst2;
    key[3] = quoted.dst3;
    key[4] = quoted.src0;
    key[5] = quoted.src1;
    key[6] = quoted.src2;
    key[7] = quoted.src3;
    key[PORTS] = (quoted.dstPort << 16) | quoted.srcPort;
    key[PROTOCOL] = quoted.protocol;
    return this.#live(nowMs);
  }

  /** The remembered backend choice for this packet's client and frontend, or -1 (a flow number, not a reference). */
  findService(packet: Packet, nowMs: number): number {
    this.#stagePacket(packet, ZONE_SERVICE);
    const reference = this.#live(nowMs);
    return reference < 0 ? -1 : reference >> 1;
  }

  /** True when a flow already answers to this reply tuple. */
  isTaken(reply: FlowTuple, protocol: number, nowMs: number): boolean {
    this.#stageTuple(reply, protocol);
    return this.#live(nowMs) >= 0;
  }

  /** A SYN on a connection that is over: the flow is to be removed and the packet opens a new one. */
  isReopening(reference: number, packet: Packet): boolean {
    if (packet.protocol !== PROTOCOL_TCP || !isTcpOpening(packet.tcpFlags)) return false;
    const state = this.#state[reference >> 1];
    return state === STATE_TIME_WAIT || state === STATE_CLOSE;
  }

  /**
   * Moves a known flow on with this packet, refreshes its timeout and counts it.
   * @returns false when the packet is invalid in the flow's state: it is not counted and should be dropped
   */
  update(reference: number, packet: Packet, nowMs: number): boolean {
    const flow = reference >> 1;
    const direction = reference & 1;
    const flags = this.#flags[flow];
    let state = this.#state[flow];
    switch (packet.protocol) {
      case PROTOCOL_TCP: {
        if (packet.l4 < 0) break;
        const next = nextTcpState(state, direction, packet.tcpFlags);
        if (next === INVALID) {
          this.counters.invalid++;
          return false;
        }
        if (next !== IGNORE) state = next;
        if (state === STATE_ESTABLISHED && (flags & FLAG_SEEN_REPLY) !== 0) this.#flags[flow] |= FLAG_ASSURED;
        break;
      }
      case PROTOCOL_UDP:
        if ((flags & FLAG_SEEN_REPLY) !== 0 && nowMs - this.#createdMs[flow] > UDP_STREAM_AFTER_MS) {
          state = STATE_UDP_STREAM;
          this.#flags[flow] |= FLAG_ASSURED;
        }
        break;
      case PROTOCOL_SCTP: {
        if (packet.l4 < 0) break;
        const next = nextSctpState(state, direction, firstChunk(packet));
        if (next === INVALID) {
          this.counters.invalid++;
          return false;
        }
        if (next !== IGNORE) state = next;
        break;
      }
    }
    if (direction === 1) this.#flags[flow] |= FLAG_SEEN_REPLY;
    if ((flags & FLAG_COUNTED) !== 0) this.#recount(flow, state);
    this.#state[flow] = state;
    this.#expiresMs[flow] = nowMs + this.timeouts[state] * 1000;
    const counter = flow * 4 + direction * 2;
    this.#traffic[counter] += 1;
    this.#traffic[counter + 1] += packet.totalLength;
    return true;
  }

  /**
   * Adds a flow whose original tuple is `original` (as the packet arrived) and whose answers look like `reply`.
   * @param packet the packet that opens it (its state and size), possibly rewritten already
   * @returns the reference of the original direction, or -1 when the table is full
   */
  insert(original: FlowTuple, reply: FlowTuple, packet: Packet, nowMs: number): number {
    const flow = this.#allocate(nowMs);
    if (flow < 0) return -1;
    const base = flow * FLOW;
    this.#stageTuple(original, packet.protocol);
    this.#storeTuple(base, original, packet.protocol);
    this.#staged.set(flow * 2);
    this.#stageTuple(reply, packet.protocol);
    this.#storeTuple(base + TUPLE, reply, packet.protocol);
    this.#staged.set(flow * 2 + 1);
    const nat =
      (isMirrored(original, reply, false) ? 0 : FLAG_SNAT) |
      (isMirrored(original, reply, true) ? 0 : FLAG_DNAT);
    this.#begin(flow, firstState(packet), nat, nowMs);
    this.#traffic[flow * 4] = 1;
    this.#traffic[flow * 4 + 1] = packet.totalLength;
    return flow * 2;
  }

  /** Remembers a backend choice for this packet's client and frontend. Returns its flow number or -1 when full. */
  insertService(packet: Packet, backend: number, reverseNat: number, service: string, nowMs: number): number {
    const flow = this.#allocate(nowMs);
    if (flow < 0) return -1;
    this.#stagePacket(packet, ZONE_SERVICE);
    this.#storePacket(flow * FLOW, packet, ZONE_SERVICE);
    this.#staged.set(flow * 2);
    this.#begin(flow, STATE_SERVICE, FLAG_SERVICE, nowMs);
    this.#backend[flow] = backend;
    this.#reverseNat[flow] = reverseNat;
    this.#service[flow] = service;
    this.touchService(flow, packet, nowMs);
    return flow;
  }

  /** Refreshes a backend choice with a packet that used it. */
  touchService(flow: number, packet: Packet, nowMs: number): void {
    if (packet.protocol === PROTOCOL_TCP && packet.l4 >= 0) {
      if (isTcpReset(packet.tcpFlags)) this.#state[flow] = STATE_SERVICE_RESET;
      else if (isTcpFin(packet.tcpFlags)) this.#state[flow] = STATE_SERVICE_CLOSING;
      else if (isTcpOpening(packet.tcpFlags)) this.#state[flow] = STATE_SERVICE_SYN;
      else if (this.#state[flow] === STATE_SERVICE_SYN) this.#state[flow] = STATE_SERVICE;
    } else {
      this.#state[flow] = STATE_SERVICE_SYN;
    }
    this.#expiresMs[flow] = nowMs + this.timeouts[this.#state[flow]] * 1000;
    this.#traffic[flow * 4] += 1;
    this.#traffic[flow * 4 + 1] += packet.totalLength;
  }

  isServiceClosing(flow: number): boolean {
    return this.#state[flow] >= STATE_SERVICE_CLOSING;
  }

  backendOf(flow: number): number {
    return this.#backend[flow];
  }
  setBackend(flow: number, backend: number, reverseNat: number): void {
    this.#backend[flow] = backend;
    this.#reverseNat[flow] = reverseNat;
  }
  /** Counts a new flow among those of a backend (a number its owner chose, from 1), for as long as it lives. */
  countForBackend(reference: number, backend: number): void {
    const flow = reference >> 1;
    this.#backend[flow] = backend;
    this.#flags[flow] |= FLAG_COUNTED;
    this.backendFlows.add(backend, isEstablished(this.#state[flow]));
  }
  /** Lets flows go on without belonging to a backend: the numbers get another owner. */
  forgetBackends(): void {
    for (let flow = 0; flow < this.#highWater; flow++) this.#flags[flow] &= ~FLAG_COUNTED;
    this.backendFlows.clear();
  }
  /** Removes the flows of backends; returns how many. */
  removeOfBackends(backends: ReadonlySet<number>): number {
    let removed = 0;
    for (let flow = 0; flow < this.#highWater; flow++) {
      if ((this.#flags[flow] & FLAG_COUNTED) === 0 || !backends.has(this.#backend[flow])) continue;
      this.#free(flow);
      removed++;
    }
    return removed;
  }
  /** Index of the frontend to restore in answers (ebpf mode), 0 for none. */
  reverseNatOf(reference: number): number {
    return this.#reverseNat[reference >> 1];
  }
  setReverseNat(reference: number, index: number): void {
    this.#reverseNat[reference >> 1] = index;
  }
  /** The tables' epoch under which the flow was last allowed. */
  epochOf(reference: number): number {
    return this.#epoch[reference >> 1];
  }
  setEpoch(reference: number, epoch: number): void {
    this.#epoch[reference >> 1] = epoch;
  }
  serviceOf(reference: number): string {
    return this.#service[reference >> 1];
  }
  setService(reference: number, service: string): void {
    this.#service[reference >> 1] = service;
  }
  stateNameOf(reference: number): string {
    return STATE_NAMES[this.#state[reference >> 1]];
  }
  isAnswered(reference: number): boolean {
    return (this.#flags[reference >> 1] & FLAG_SEEN_REPLY) !== 0;
  }

  // What a packet of this direction must look like when it leaves: the mirror of the other direction's tuple.
  // Word 0 to 3 of the wanted source are 4 to 7 of the other tuple, and the other way round.

  /** Word `i` (0 to 3, signed) of the source address a packet of this reference leaves with. */
  leavingSource(reference: number, i: number): number {
    return this.#tuples[(reference ^ 1) * TUPLE + 4 + i];
  }
  leavingSourcePort(reference: number): number {
    return this.#tuples[(reference ^ 1) * TUPLE + PORTS] & 0xffff;
  }
  /** Word `i` of the destination address a packet of this reference leaves with. */
  leavingDestination(reference: number, i: number): number {
    return this.#tuples[(reference ^ 1) * TUPLE + i];
  }
  leavingDestinationPort(reference: number): number {
    return this.#tuples[(reference ^ 1) * TUPLE + PORTS] >>> 16;
  }

  /** Whether packets of this direction leave with another source, address or port. */
  changesSource(reference: number): boolean {
    return (this.#flags[reference >> 1] & ((reference & 1) === 0 ? FLAG_SNAT : FLAG_DNAT)) !== 0;
  }
  /** Whether packets of this direction leave with another destination, address or port. */
  changesDestination(reference: number): boolean {
    return (this.#flags[reference >> 1] & ((reference & 1) === 0 ? FLAG_DNAT : FLAG_SNAT)) !== 0;
  }

  /** Removes the flow of a reference. */
  remove(reference: number): void {
    this.#free(reference >> 1);
  }

  /**
   * Removes every flow of a protocol (0: of any) that `matches`; for clean-up when tables change, not for packets.
   * @returns how many were removed
   */
  removeWhere(protocol: number, matches: (entry: ConntrackEntry) => boolean, nowMs: number): number {
    let removed = 0;
    for (let flow = 0; flow < this.#highWater; flow++) {
      if ((this.#flags[flow] & FLAG_USED) === 0) continue;
      if (protocol !== 0 && (this.#tuples[flow * FLOW + PROTOCOL] & 0xff) !== protocol) continue;
      if (!matches(this.#entry(flow, nowMs))) continue;
      this.#free(flow);
      removed++;
    }
    return removed;
  }

  /**
   * Looks at up to `budget` flows from where the last call stopped and removes the expired ones.
   * @returns how many were removed
   */
  collectGarbage(nowMs: number, budget: number): number {
    let removed = 0;
    for (let i = Math.min(budget, this.#highWater); i > 0; i--) {
      if (this.#cursor >= this.#highWater) this.#cursor = 0;
      const flow = this.#cursor++;
      if ((this.#flags[flow] & FLAG_USED) !== 0 && this.#expiresMs[flow] <= nowMs) {
        this.#free(flow);
        removed++;
      }
    }
    this.counters.expired += removed;
    return removed;
  }

  /** The flows alive at `nowMs`, in no particular order, at most `limit`. */
  list(nowMs: number, limit = Number.POSITIVE_INFINITY): ConntrackEntry[] {
    const entries: ConntrackEntry[] = [];
    for (let flow = 0; flow < this.#highWater && entries.length < limit; flow++) {
      if ((this.#flags[flow] & FLAG_USED) === 0 || this.#expiresMs[flow] <= nowMs) continue;
      entries.push(this.#entry(flow, nowMs));
    }
    return entries;
  }

  #entry(flow: number, nowMs: number): ConntrackEntry {
    const protocol = this.#tuples[flow * FLOW + PROTOCOL] & 0xff;
    const flags = this.#flags[flow];
    return {
      version: isIpv4Tuple(this.#tuples, flow * FLOW) ? 4 : 6,
      protocol,
      state: STATE_NAMES[this.#state[flow]],
      original: this.#tupleOf(flow, 0),
      reply: this.#tupleOf(flow, 1),
      expiresInSeconds: Math.max(0, Math.ceil((this.#expiresMs[flow] - nowMs) / 1000)),
      seenReply: (flags & FLAG_SEEN_REPLY) !== 0,
      assured: (flags & FLAG_ASSURED) !== 0,
      isServiceChoice: (flags & FLAG_SERVICE) !== 0,
      service: this.#service[flow],
    };
  }

  #tupleOf(flow: number, direction: number): ConntrackTuple {
    const base = flow * FLOW + direction * TUPLE;
    const words = (at: number): string =>
      formatAddressWords(
        this.#tuples[at] >>> 0,
        this.#tuples[at + 1] >>> 0,
        this.#tuples[at + 2] >>> 0,
        this.#tuples[at + 3] >>> 0,
      );
    return {
      source: words(base),
      destination: words(base + 4),
      sourcePort: this.#tuples[base + PORTS] >>> 16,
      destinationPort: this.#tuples[base + PORTS] & 0xffff,
      packets: this.#traffic[flow * 4 + direction * 2],
      bytes: this.#traffic[flow * 4 + direction * 2 + 1],
    };
  }

  #recount(flow: number, state: number): void {
    const before = isEstablished(this.#state[flow]);
    const after = isEstablished(state);
    if (before === after) return;
    this.backendFlows.remove(this.#backend[flow], before);
    this.backendFlows.add(this.#backend[flow], after);
  }

  // The staged key's reference when its flow is alive; an expired one is removed on the way.
  #live(nowMs: number): number {
    const reference = this.#staged.find();
    if (reference < 0) return -1;
    if (this.#expiresMs[reference >> 1] > nowMs) return reference;
    this.#free(reference >> 1);
    this.counters.expired++;
    return -1;
  }

  #begin(flow: number, state: number, flags: number, nowMs: number): void {
    this.#state[flow] = state;
    this.#flags[flow] = flags | FLAG_USED;
    this.#createdMs[flow] = nowMs;
    this.#expiresMs[flow] = nowMs + this.timeouts[state] * 1000;
    this.#traffic.fill(0, flow * 4, flow * 4 + 4);
    this.#reverseNat[flow] = 0;
    this.#backend[flow] = 0;
    this.#epoch[flow] = 0;
    this.#service[flow] = '';
    this.counters.inserted++;
  }

  #allocate(nowMs: number): number {
    this.collectGarbage(nowMs, COLLECT_PER_INSERT);
    if (this.#size >= this.maxFlows && !this.#evict(nowMs)) {
      this.counters.insertFailed++;
      return -1;
    }
    this.#size++;
    const hole = this.#freeHead;
    if (hole >= 0) {
      this.#freeHead = this.#freeNext[hole];
      return hole;
    }
    if (this.#highWater === this.#capacity) this.#grow();
    return this.#highWater++;
  }

  // Like the kernel's early drop: a flow that saw no answer yet gives way to a new one.
  #evict(nowMs: number): boolean {
    for (let i = Math.min(EVICTION_BUDGET, this.#highWater); i > 0; i--) {
      if (this.#cursor >= this.#highWater) this.#cursor = 0;
      const flow = this.#cursor++;
      const flags = this.#flags[flow];
      if ((flags & FLAG_USED) === 0) continue;
      const isKept = (flags & FLAG_ASSURED) !== 0 || this.#state[flow] === STATE_SERVICE;
      if (isKept && this.#expiresMs[flow] > nowMs) continue;
      this.#free(flow);
      this.counters.evicted++;
      return true;
    }
    return false;
  }

  #free(flow: number): void {
    const base = flow * FLOW;
    this.#unindex(base, flow * 2);
    if ((this.#flags[flow] & FLAG_SERVICE) === 0) this.#unindex(base + TUPLE, flow * 2 + 1);
    if ((this.#flags[flow] & FLAG_COUNTED) !== 0) {
      this.backendFlows.remove(this.#backend[flow], isEstablished(this.#state[flow]));
    }
    this.#flags[flow] = 0;
    this.#service[flow] = '';
    this.#freeNext[flow] = this.#freeHead;
    this.#freeHead = flow;
    this.#size--;
  }

  #unindex(base: number, reference: number): void {
    const tuples = this.#tuples;
    if (isIpv4Tuple(tuples, base)) {
      this.#stage4(tuples[base + 3], tuples[base + 7], tuples[base + PORTS], tuples[base + PROTOCOL]);
    } else {
      const key = (this.#staged = this.#index6).key;
      for (let i = 0; i < TUPLE; i++) key[i] = tuples[base + i];
    }
    // A flow to itself has one tuple for both directions; the slot belongs to whoever wrote it last.
    if (this.#staged.find() === reference) this.#staged.delete();
  }

  #grow(): void {
    const capacity = Math.min(this.#capacity * 2, Math.max(this.maxFlows, this.#capacity + 1));
    this.#tuples = enlarge(this.#tuples, new Int32Array(capacity * FLOW));
    this.#state = enlarge(this.#state, new Uint8Array(capacity));
    this.#flags = enlarge(this.#flags, new Uint8Array(capacity));
    this.#expiresMs = enlarge(this.#expiresMs, new Float64Array(capacity));
    this.#createdMs = enlarge(this.#createdMs, new Float64Array(capacity));
    this.#traffic = enlarge(this.#traffic, new Float64Array(capacity * 4));
    this.#freeNext = enlarge(this.#freeNext, new Int32Array(capacity));
    this.#reverseNat = enlarge(this.#reverseNat, new Int32Array(capacity));
    this.#backend = enlarge(this.#backend, new Int32Array(capacity));
    this.#epoch = enlarge(this.#epoch, new Int32Array(capacity));
    this.#capacity = capacity;
  }

  #stage4(source: number, destination: number, ports: number, protocol: number): void {
    const key = (this.#staged = this.#index4).key;
    key[0] = source;
    key[1] = destination;
    key[2] = ports;
    key[3] = protocol;
  }

  #stagePacket(packet: Packet, zone: number): void {
    const ports = (packet.srcPort << 16) | packet.dstPort;
    if (packet.version === 4) {
      this.#stage4(packet.src3 | 0, packet.dst3 | 0, ports, packet.protocol | zone);
      return;
    }
    const key = (this.#staged = this.#index6).key;
    key[0] = packet.src0;
    key[1] = packet.src1;
    key[2] = packet.src2;
    key[3] = packet.src3;
    key[4] = packet.dst0;
    key[5] = packet.dst1;
    key[6] = packet.dst2;
    key[7] = packet.dst3;
    key[PORTS] = ports;
    key[PROTOCOL] = packet.protocol | zone;
  }

  #stageTuple(tuple: FlowTuple, protocol: number): void {
    const ports = (tuple.srcPort << 16) | tuple.dstPort;
    if (tuple.src2 === 0xffff && tuple.src1 === 0 && tuple.src0 === 0) {
      this.#stage4(tuple.src3, tuple.dst3, ports, protocol);
      return;
    }
    const key = (this.#staged = this.#index6).key;
    key[0] = tuple.src0;
    key[1] = tuple.src1;
    key[2] = tuple.src2;
    key[3] = tuple.src3;
    key[4] = tuple.dst0;
    key[5] = tuple.dst1;
    key[6] = tuple.dst2;
    key[7] = tuple.dst3;
    key[PORTS] = ports;
    key[PROTOCOL] = protocol;
  }

  #storePacket(base: number, packet: Packet, zone: number): void {
    const tuples = this.#tuples;
    tuples[base] = packet.src0;
    tuples[base + 1] = packet.src1;
    tuples[base + 2] = packet.src2;
    tuples[base + 3] = packet.src3;
    tuples[base + 4] = packet.dst0;
    tuples[base + 5] = packet.dst1;
    tuples[base + 6] = packet.dst2;
    tuples[base + 7] = packet.dst3;
    tuples[base + PORTS] = (packet.srcPort << 16) | packet.dstPort;
    tuples[base + PROTOCOL] = packet.protocol | zone;
    tuples.fill(0, base + TUPLE, base + FLOW);
  }

  #storeTuple(base: number, tuple: FlowTuple, protocol: number): void {
    const tuples = this.#tuples;
    tuples[base] = tuple.src0;
    tuples[base + 1] = tuple.src1;
    tuples[base + 2] = tuple.src2;
    tuples[base + 3] = tuple.src3;
    tuples[base + 4] = tuple.dst0;
    tuples[base + 5] = tuple.dst1;
    tuples[base + 6] = tuple.dst2;
    tuples[base + 7] = tuple.dst3;
    tuples[base + PORTS] = (tuple.srcPort << 16) | tuple.dstPort;
    tuples[base + PROTOCOL] = protocol;
  }
}

function isEstablished(state: number): boolean {
  return state === STATE_ESTABLISHED || state === STATE_SCTP_ESTABLISHED;
}

function isIpv4Tuple(tuples: Int32Array, base: number): boolean {
  return tuples[base + 2] === 0xffff && tuples[base + 1] === 0 && tuples[base] === 0;
}

function enlarge<T extends Int32Array | Uint8Array | Float64Array>(old: T, next: T): T {
  next.set(old);
  return next;
}

// Whether the reply's destination is the original's source (or, of the destination, its source the destination).
function isMirrored(original: FlowTuple, reply: FlowTuple, ofDestination: boolean): boolean {
  return ofDestination
    ? original.dst3 === reply.src3 &&
        original.dstPort === reply.srcPort &&
        original.dst2 === reply.src2 &&
        original.dst1 === reply.src1 &&
        original.dst0 === reply.src0
    : original.src3 === reply.dst3 &&
        original.srcPort === reply.dstPort &&
        original.src2 === reply.dst2 &&
        original.src1 === reply.dst1 &&
        original.src0 === reply.dst0;
}
