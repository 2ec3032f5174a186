/**
 * The one interface behind which each mode translates Services its own way. A mode keeps whatever tables the real
 * system keeps; the pipeline asks it about packets and carries out the decision.
 */

import type { Packet } from '@podwire/wire/packet';
import { type AddressSet, NO_WORDS, type Words } from '../address-words.ts';
import type { Conntrack } from '../conntrack.ts';
import type { DropReason } from '../drop-reasons.ts';
import type { PrefixMap } from '../lpm.ts';
import type { ServiceMode, Tables } from '../tables.ts';
import type { PacketTrace } from '../trace.ts';

/** Where a packet entered the node. */
export type Origin = 'pod' | 'underlay' | 'host';

/** What about the node every mode needs, prepared once for a snapshot. */
export interface NodeFacts {
  /** Addresses of this node, the overlay gateway included (iptables: addrtype LOCAL). */
  readonly localAddresses: AddressSet;
  /** Answers >= 0 for pod addresses of the cluster. */
  readonly clusterCidrs: PrefixMap;
}

/**
 * Whether the packet was sent by the node itself (iptables: src-type LOCAL). All of 127/8 and ::1 is the node's own when
 * its stack sends it, and only then: in a lab on one machine other nodes live there too.
 */
export function isLocalSource(facts: NodeFacts, packet: Packet, origin: Origin): boolean {
  if (facts.localAddresses.has(packet.src0 | 0, packet.src1 | 0, packet.src2 | 0, packet.src3 | 0))
    return true;
  if (origin !== 'host') return false;
  return packet.version === 4
    ? packet.src3 >>> 24 === 127
    : packet.src0 === 0 && packet.src1 === 0 && packet.src2 === 0 && packet.src3 === 1;
}

/** What a mode may use of the node it runs in. */
export interface TranslatorContext {
  readonly nowMs: () => number;
  readonly random32: () => number;
  readonly conntrack: Conntrack;
}

export interface ServiceTranslator {
  readonly mode: ServiceMode;
  /**
   * False: asked about the first packet of a flow only, before its flow exists; the flow remembers (kernel NAT).
   * True: asked about every packet, before flows are looked up (eBPF).
   */
  readonly translatesEachPacket: boolean;
  /** Takes a new snapshot, reprogramming only the services whose objects are new. */
  program(tables: Tables, facts: NodeFacts): void;
  /** Fills in `decision` for a packet. */
  translate(
    packet: Packet,
    origin: Origin,
    nowMs: number,
    decision: ServiceDecision,
    trace?: PacketTrace,
  ): void;
  /** The frontend of a reverse NAT index, for answers; only where each packet is translated. */
  frontend(reverseNat: number): Frontend | undefined;
}

/** Address and port that clients know. */
export interface Frontend {
  readonly words: Words;
  readonly port: number;
}

export const PASS = 0;
export const TRANSLATE = 1;
export const REJECT = 2;
export const DROP = 3;

/** How a translated packet's source is changed. */
export const KEEP_SOURCE = 0;
/** To the node's overlay address. */
export const MASQUERADE = 1;
/** To `loopback`, the port kept. */
export const LOOPBACK = 2;

/** Reused for every packet. */
export class ServiceDecision {
  action: typeof PASS | typeof TRANSLATE | typeof REJECT | typeof DROP = PASS;
  /** Why, for REJECT and DROP. */
  reason: DropReason = 0;
  backend: Words = NO_WORDS;
  port = 0;
  sourceChange: typeof KEEP_SOURCE | typeof MASQUERADE | typeof LOOPBACK = KEEP_SOURCE;
  loopback: Words = NO_WORDS;
  /** ebpf: which frontend to restore in answers; 0 for none. */
  reverseNat = 0;
  /** ipvs: the real server that counts the flow; 0 for none. */
  server = 0;
  /** Name of the service port, for dumps; '' when none was met. */
  service = '';

  reset(): void {
    this.action = PASS;
    this.reason = 0;
    this.backend = NO_WORDS;
    this.port = 0;
    this.sourceChange = KEEP_SOURCE;
    this.loopback = NO_WORDS;
    this.reverseNat = 0;
    this.server = 0;
    this.service = '';
  }
}
