/**
 * The ends of a packet's way: the one outcome object, the buffer its bytes live in, and the counters. Each method
 * settles the outcome and explains it to the trace.
 */

import { ETHERNET_HEADER_LENGTH, setDstMac, setSrcMac } from '@podwire/wire/ethernet';
import type { Packet } from '@podwire/wire/packet';
import { VXLAN_HEADER_LENGTH, writeVxlan } from '@podwire/wire/vxlan';
import type { PipelineCounters } from './counters.ts';
import { type DropReason, dropReasonText } from './drop-reasons.ts';
import { tunnelSourcePort } from './flow-hash.ts';
import { Fragmenter } from './fragmenter.ts';
import type { IcmpErrorKind } from './icmp-error.ts';
import { Outcome, type Verdict } from './outcome.ts';
import { packetText } from './packet-text.ts';
import type { PreparedEndpoint, PreparedTables, PreparedVtep } from './prepared.ts';
import { Refusal } from './refusal.ts';
import { GATEWAY_MAC } from './source-check.ts';
import { traceEncap } from './step-text.ts';
import type { PacketTrace, TraceStage } from './trace.ts';

/** Room for VXLAN, Ethernet and the largest IP packet. */
const BUFFER_LENGTH = VXLAN_HEADER_LENGTH + ETHERNET_HEADER_LENGTH + 65_535 + 15;

export class Exits {
  /** The VXLAN payload: header and inner frame. */
  readonly buffer = new Uint8Array(BUFFER_LENGTH);
  /** The Ethernet frame behind the place of the VXLAN header. */
  readonly frame: Uint8Array = this.buffer.subarray(VXLAN_HEADER_LENGTH);
  /** Where frames are written that the node makes itself. */
  readonly replyFrame: Uint8Array;
  readonly #outcome = new Outcome();
  readonly #refusal: Refusal;
  readonly #fragmenter = new Fragmenter();
  readonly #counters: PipelineCounters;
  #trace: PacketTrace | undefined;
  #sender: PreparedEndpoint | undefined;

  constructor(counters: PipelineCounters) {
    this.#counters = counters;
    this.#refusal = new Refusal(counters);
    this.replyFrame = this.#refusal.frame;
  }

  /** Forgets the packet before; `sender` is the pod the next one comes from. */
  begin(sender: PreparedEndpoint | undefined, trace: PacketTrace | undefined): void {
    this.#sender = sender;
    this.#trace = trace;
    this.#fragmenter.clear();
    const outcome = this.#outcome;
    outcome.endpointId = -1;
    outcome.sourcePort = 0;
    outcome.reason = 0;
    outcome.more = false;
  }

  drop(reason: DropReason, stage: TraceStage, text?: string): Outcome {
    const outcome = this.#outcome;
    outcome.verdict = 'drop';
    outcome.reason = reason;
    outcome.length = 0;
    this.#counters.verdicts.drop++;
    this.#counters.drops[reason]++;
    this.#trace?.add('drop', 'drop', dropLine(reason, text), { reason, stage });
    return outcome;
  }

  /**
   * Drops, and tells the sender by an ICMP error where one may be sent.
   * @param original the frame as it arrived, its Ethernet header at `start`, its IP packet's end at `end`
   */
  refuse(
    kind: IcmpErrorKind,
    reason: DropReason,
    stage: TraceStage,
    text: string | undefined,
    original: Uint8Array,
    start: number,
    end: number,
    prepared: PreparedTables,
    nowMs: number,
  ): Outcome {
    const length = this.#refusal.write(kind, original, start, end, this.#sender, prepared, nowMs);
    if (length === 0) return this.drop(reason, stage, text);
    this.#counters.drops[reason]++;
    this.#trace?.add('drop', 'reject', dropLine(reason, text), { reason, stage });
    this.#trace?.add('reply', 'reply', this.#refusal.text(kind));
    this.#outcome.reason = reason;
    return this.reply('reply', length);
  }

  /** The first `length` bytes of `replyFrame`, to the sender. */
  reply(verdict: Verdict, length: number): Outcome {
    const outcome = this.#outcome;
    outcome.verdict = verdict;
    outcome.endpointId = this.#sender?.endpoint.id ?? -1;
    outcome.buffer = this.replyFrame;
    outcome.start = 0;
    outcome.length = length;
    this.#counters.verdicts[verdict]++;
    return outcome;
  }

  /** To a pod of this node. */
  deliver(packet: Packet, endpoint: PreparedEndpoint): Outcome {
    const outcome = this.#send(packet, 'deliver', endpoint.mac);
    outcome.endpointId = endpoint.endpoint.id;
    if (this.#trace !== undefined) {
      this.#trace.add('deliver', 'send', `to pod ${endpoint.name}  ${packetText(packet)}`);
    }
    return outcome;
  }

  /** To the node's own stack. */
  toHost(packet: Packet, hostMac: Uint8Array): Outcome {
    const outcome = this.#send(packet, 'host', hostMac);
    if (this.#trace !== undefined) {
      this.#trace.add('host', 'send', `to the node's own stack  ${packetText(packet)}`);
    }
    return outcome;
  }

  /** To another node; in pieces when it is too big and may be fragmented. */
  encapsulate(packet: Packet, vtep: PreparedVtep, prepared: PreparedTables): Outcome {
    const { node } = prepared.tables;
    const outcome = this.#outcome;
    setSrcMac(this.frame, 0, prepared.vtepMac);
    setDstMac(this.frame, 0, vtep.mac);
    writeVxlan(this.buffer, 0, node.vni);
    outcome.verdict = 'encap';
    outcome.vtep = vtep.vtep;
    outcome.sourcePort = tunnelSourcePort(packet);
    outcome.buffer = this.buffer;
    outcome.start = 0;
    outcome.length = VXLAN_HEADER_LENGTH + packet.end;
    if (this.#trace !== undefined) traceEncap(this.#trace, packet, node, vtep.vtep.address);
    if (packet.totalLength > node.mtu) {
      this.#fragmenter.load(packet.frame, packet.l3, packet.headerLength, packet.totalLength, node.mtu);
      return this.nextFragment()!;
    }
    this.#counters.verdicts.encap++;
    return outcome;
  }

  /** The next piece of the packet that was last encapsulated, or undefined. */
  nextFragment(): Outcome | undefined {
    if (!this.#fragmenter.hasMore) return undefined;
    const outcome = this.#outcome;
    const size = this.#fragmenter.next(this.frame, ETHERNET_HEADER_LENGTH);
    outcome.length = VXLAN_HEADER_LENGTH + ETHERNET_HEADER_LENGTH + size;
    outcome.more = this.#fragmenter.hasMore;
    this.#counters.verdicts.encap++;
    return outcome;
  }

  #send(packet: Packet, verdict: Verdict, mac: Uint8Array): Outcome {
    const outcome = this.#outcome;
    setSrcMac(this.frame, 0, GATEWAY_MAC);
    setDstMac(this.frame, 0, mac);
    outcome.verdict = verdict;
    outcome.buffer = this.buffer;
    outcome.start = VXLAN_HEADER_LENGTH;
    // Padding behind a short packet stays behind.
    outcome.length = packet.end;
    this.#counters.verdicts[verdict]++;
    return outcome;
  }
}

function dropLine(reason: DropReason, text: string | undefined): string {
  const why = text === undefined || text === '' ? '' : `: ${text}`;
  return `${dropReasonText(reason)} (${reason})${why}`;
}
