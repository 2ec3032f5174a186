/**
 * Recording what the data plane did with each packet, while somebody asks for it. The steps come from the forwarding
 * code itself; a datapath that nobody watches pays one comparison per packet.
 */
import { dropReasonName } from '@podwire/dataplane/drop-reasons';
import type { Outcome, Verdict } from '@podwire/dataplane/outcome';
import type { PacketTrace, TraceStep } from '@podwire/dataplane/trace';
import { formatAddressWords } from '@podwire/wire/address';
import { describe } from '@podwire/wire/describe';
import { DECODE_OK, Packet } from '@podwire/wire/packet';
import {
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '@podwire/wire/protocol';
import { getVxlanVni, isVxlan, VXLAN_HEADER_LENGTH } from '@podwire/wire/vxlan';

export type Hook = 'from-pod' | 'from-underlay' | 'from-host';

export interface Tuple {
  readonly proto: string;
  readonly src: string;
  readonly sport: number;
  readonly dst: string;
  readonly dport: number;
}

export interface OuterHeader {
  readonly src: string;
  readonly dst: string;
  readonly vni: number;
  /** What the tunnel adds to the IP packet: outer IP and UDP, VXLAN and inner Ethernet headers. */
  readonly bytes: number;
}

/** One packet's passage through this node's data plane. */
export interface Observation {
  readonly seq: number;
  /** Monotonic clock of the machine in nanoseconds, decimal text: comparable between processes of one machine. */
  readonly timeNs: string;
  readonly hook: Hook;
  /** `namespace/name` of the local pod that sent it, or to which it goes. */
  readonly podName?: string;
  readonly tupleIn?: Tuple;
  /** Absent when the packet went no further. */
  readonly tupleOut?: Tuple;
  /** One line of the packet as it came. */
  readonly summary: string;
  readonly steps: readonly TraceStep[];
  readonly verdict: Verdict;
  readonly reason?: string;
  /** The tunnel headers it came with or leaves with. */
  readonly outer?: OuterHeader;
  /** Bytes of the IP packet. */
  readonly length: number;
}

export interface ArmRequest {
  readonly id: string;
  readonly windowMs: number;
  readonly maxPackets: number;
}

interface Session {
  readonly untilMs: number;
  readonly maxPackets: number;
  readonly observations: Observation[];
  /** Packets seen after the ring was full: the oldest went. */
  overflow: number;
}

const MAX_SESSIONS = 8;
const MAX_PACKETS = 65_536;
/** A finished recording stays readable this long. */
const KEEP_MS = 60_000;

/** IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14; IPv6 has a header of 40. */
const OVERHEAD_V4 = 50;
const OVERHEAD_V6 = 70;

export interface TraceRecorderOptions {
  readonly nowMs: () => number;
  readonly nowNs: () => bigint;
  /** Underlay address of this node. */
  readonly nodeAddress: string;
  readonly podName: (endpointId: number) => string | undefined;
}

export class TraceRecorder {
  /** Whether packets are to be recorded: the only thing the datapath looks at. */
  armed = false;
  readonly #options: TraceRecorderOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #packet = new Packet();
  #sequence = 0;

  constructor(options: TraceRecorderOptions) {
    this.#options = options;
  }

  /** Starts recording under `id`; a recording of that name starts over. */
  arm(request: ArmRequest): void {
    this.#expire();
    this.#sessions.delete(request.id);
    while (this.#sessions.size >= MAX_SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value!);
    this.#sessions.set(request.id, {
      untilMs: this.#options.nowMs() + request.windowMs,
      maxPackets: Math.min(request.maxPackets, MAX_PACKETS),
      observations: [],
      overflow: 0,
    });
    this.armed = true;
  }

  /** What was recorded under `id`, undefined for an id that nobody armed. */
  read(id: string): { observations: readonly Observation[]; overflow: number; done: boolean } | undefined {
    this.#expire();
    const session = this.#sessions.get(id);
    if (session === undefined) return undefined;
    const done = session.untilMs <= this.#options.nowMs();
    return { observations: session.observations, overflow: session.overflow, done };
  }

  disarm(id: string): boolean {
    const there = this.#sessions.delete(id);
    this.#expire();
    return there;
  }

  /** The packet as it came in. Call before the pipeline, which may write into the frame. */
  before(hook: Hook, endpointId: number, bytes: Uint8Array, length: number, outerSource?: string): Incoming {
    const tunnelled = hook === 'from-underlay';
    const vni = tunnelled && isVxlan(bytes, 0, length) ? getVxlanVni(bytes, 0) : undefined;
    const frame = tunnelled ? bytes.subarray(VXLAN_HEADER_LENGTH, length) : bytes.subarray(0, length);
    const { nodeAddress } = this.#options;
    const incoming: Incoming = {
      hook,
      endpointId,
      timeNs: this.#options.nowNs(),
      tuple: this.#tuple(frame),
      summary: describe(frame),
      length: this.#packet.l3 >= 0 ? this.#packet.totalLength : frame.length,
    };
    if (vni !== undefined) {
      incoming.outer = { src: outerSource ?? '', dst: nodeAddress, vni, bytes: overhead(nodeAddress) };
    }
    return incoming;
  }

  /** What became of it; `outcome` is still the pipeline's reused object. */
  after(incoming: Incoming, outcome: Outcome, trace: PacketTrace, vni: number): void {
    const now = this.#options.nowMs();
    const went = outcome.verdict !== 'drop' && outcome.verdict !== 'reply';
    const inner = outcome.verdict === 'encap' ? VXLAN_HEADER_LENGTH : 0;
    const { buffer, start, length } = outcome;
    const tupleOut = went ? this.#tuple(buffer.subarray(start + inner, start + length)) : undefined;
    const endpointId = incoming.hook === 'from-pod' ? incoming.endpointId : outcome.endpointId;
    const podName = endpointId >= 0 ? this.#options.podName(endpointId) : undefined;
    const reason = outcome.reason === 0 ? undefined : dropReasonName(outcome.reason);
    const { nodeAddress } = this.#options;
    const outer =
      outcome.verdict === 'encap'
        ? { src: nodeAddress, dst: outcome.vtep.address, vni, bytes: overhead(nodeAddress) }
        : incoming.outer;
    const observation: Observation = {
      seq: this.#sequence++,
      timeNs: String(incoming.timeNs),
      hook: incoming.hook,
      ...(podName !== undefined && { podName }),
      ...(incoming.tuple !== undefined && { tupleIn: incoming.tuple }),
      ...(tupleOut !== undefined && { tupleOut }),
      summary: incoming.summary,
      steps: trace.steps,
      verdict: outcome.verdict,
      ...(reason !== undefined && { reason }),
      ...(outer !== undefined && { outer }),
      length: incoming.length,
    };
    let live = false;
    for (const session of this.#sessions.values()) {
      if (session.untilMs <= now) continue;
      live = true;
      session.observations.push(observation);
      if (session.observations.length > session.maxPackets) {
        session.observations.shift();
        session.overflow += 1;
      }
    }
    this.armed = live;
  }

  #expire(): void {
    const now = this.#options.nowMs();
    let live = false;
    for (const [id, session] of this.#sessions) {
      if (session.untilMs > now) live = true;
      else if (session.untilMs + KEEP_MS <= now) this.#sessions.delete(id);
    }
    this.armed = live;
  }

  #tuple(frame: Uint8Array): Tuple | undefined {
    const packet = this.#packet;
    if (packet.decode(frame) !== DECODE_OK || packet.l3 < 0) return undefined;
    return {
      proto: protocolText(packet.protocol),
      src: formatAddressWords(packet.src0, packet.src1, packet.src2, packet.src3),
      sport: packet.srcPort,
      dst: formatAddressWords(packet.dst0, packet.dst1, packet.dst2, packet.dst3),
      dport: packet.dstPort,
    };
  }
}

export interface Incoming {
  readonly hook: Hook;
  readonly endpointId: number;
  readonly timeNs: bigint;
  readonly tuple: Tuple | undefined;
  readonly summary: string;
  readonly length: number;
  outer?: OuterHeader;
}

function overhead(underlayAddress: string): number {
  return underlayAddress.includes(':') ? OVERHEAD_V6 : OVERHEAD_V4;
}

const PROTOCOLS = new Map<number, string>([
  [PROTOCOL_TCP, 'tcp'],
  [PROTOCOL_UDP, 'udp'],
  [PROTOCOL_SCTP, 'sctp'],
  [PROTOCOL_ICMP, 'icmp'],
  [PROTOCOL_ICMPV6, 'icmp6'],
]);

function protocolText(protocol: number): string {
  return PROTOCOLS.get(protocol) ?? String(protocol);
}
