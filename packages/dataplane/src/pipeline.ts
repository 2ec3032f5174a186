/**
 * The packet's way through a node. `#forward` is the diagram:
 *
 *     fromPod ─ decode ─ source check ─┐
 *     fromUnderlay ─ decapsulate ──────┼─ flow ─ service ─ egress policy ─ route ─ TTL, size ─ ingress policy ─ SNAT ─┬─ deliver
 *     fromHost ─ decode ───────────────┘                  (sees the backend)                                         ├─ encapsulate
 *                                                                                                                    └─ host
 *
 * Each step either lets the packet go on (undefined) or ends its way with an outcome. A step explains itself to the
 * trace when there is one; the decision is the same without.
 */

import { ETHERNET_HEADER_LENGTH, setDstMac, setSrcMac } from '@podwire/wire/ethernet';
import { emitIcmpError } from '@podwire/wire/icmp-error';
import { isIpv4Multicast, patchIpv4Ttl } from '@podwire/wire/ipv4';
import { isIpv6Multicast, setIpv6HopLimit } from '@podwire/wire/ipv6';
import { DECODE_OK, decodeResultText, Packet } from '@podwire/wire/packet';
import {
  ETHERTYPE_ARP,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '@podwire/wire/protocol';
import { getVxlanVni, isVxlan, VXLAN_HEADER_LENGTH, writeVxlan } from '@podwire/wire/vxlan';
import type { Words } from './address-words.ts';
import { Conntrack, type FlowTuple } from './conntrack.ts';
import { CILIUM_TIMEOUTS, KUBE_PROXY_TIMEOUTS } from './conntrack-states.ts';
import { PipelineCounters } from './counters.ts';
import { DROP_REASONS, type DropReason, dropReasonText } from './drop-reasons.ts';
import { tunnelSourcePort } from './flow-hash.ts';
import { FragmentCache } from './fragment-cache.ts';
import { Fragmenter } from './fragmenter.ts';
import {
  HOST_UNREACHABLE,
  type IcmpErrorKind,
  IcmpErrorLimiter,
  mayAnswerWithError,
  PACKET_TOO_BIG,
  PORT_UNREACHABLE,
  TTL_EXCEEDED,
} from './icmp-error.ts';
import { choosePort } from './nat-ports.ts';
import { answerArp, answerSolicitation, isNeighbourMessage } from './neighbour.ts';
import { Outcome } from './outcome.ts';
import { destinationText, endpointText, packetText, sourceText, wordsText } from './packet-text.ts';
import { askPolicy, type PolicyDirection, PolicyVerdict } from './policy.ts';
import {
  DEFAULT_ROUTE,
  type PreparedEndpoint,
  type PreparedRoute,
  type PreparedTables,
  prepareTables,
  ROUTE_BLACKHOLE,
  ROUTE_ENDPOINT,
  ROUTE_HOST,
  ROUTE_UNREACHABLE,
  ROUTE_VTEP,
} from './prepared.ts';
import { isIntactError, translateError } from './related.ts';
import { rewriteDestination, rewriteSource } from './rewrite.ts';
import { createTranslator } from './service/modes.ts';
import {
  DROP,
  type Frontend,
  KEEP_SOURCE,
  LOOPBACK,
  MASQUERADE,
  type Origin,
  PASS,
  REJECT,
  ServiceDecision,
  type ServiceTranslator,
} from './service/translator.ts';
import type { Tables } from './tables.ts';
import type { PacketTrace } from './trace.ts';

/** MAC of the gateway, the node's end of every pod link. */
export const GATEWAY_MAC: Readonly<Uint8Array> = new Uint8Array(6).fill(0xee);

/** Room for VXLAN, Ethernet and the largest IP packet. */
const BUFFER_LENGTH = VXLAN_HEADER_LENGTH + ETHERNET_HEADER_LENGTH + 65_535 + 15;
const VXLAN_OVERHEAD_V4 = 50;
const VXLAN_OVERHEAD_V6 = 70;

export interface PipelineOptions {
  readonly nowMs: () => number;
  /** Uniform unsigned 32-bit integers. */
  readonly random32: () => number;
  readonly tables: Tables;
  /** Default 131072, as kube-proxy sets nf_conntrack_max on up to four cores. */
  readonly maxFlows?: number;
}

export class Pipeline {
  readonly conntrack: Conntrack;
  readonly counters = new PipelineCounters();

  readonly #nowMs: () => number;
  readonly #random32: () => number;
  #prepared: PreparedTables;
  #services: ServiceTranslator;

  readonly #outcome = new Outcome();
  readonly #buffer = new Uint8Array(BUFFER_LENGTH);
  /** The Ethernet frame behind the place of the VXLAN header. */
  readonly #inner = this.#buffer.subarray(VXLAN_HEADER_LENGTH);
  readonly #replyBuffer = new Uint8Array(2048);
  readonly #packet = new Packet();
  readonly #quoted = new Packet();
  readonly #fragments = new FragmentCache();
  readonly #fragmenter = new Fragmenter();
  readonly #errorLimiter = new IcmpErrorLimiter();
  readonly #decision = new ServiceDecision();
  readonly #policyVerdict = new PolicyVerdict();

  // The packet in hand.
  #now = 0;
  #origin: Origin = 'host';
  #trace: PacketTrace | undefined;
  /** The frame as it arrived, for ICMP errors. */
  #input: Uint8Array = this.#inner;
  #inputStart = 0;
  #sender: PreparedEndpoint | undefined;
  #route: PreparedRoute = DEFAULT_ROUTE;
  /** Of its flow: -1 when it is new or has none. */
  #reference = -1;
  /** No flow is kept for it: an ICMP error about one, or what the host sends unasked. */
  #isUntracked = false;
  readonly #original: FlowTuple = newTuple();
  readonly #reply: FlowTuple = newTuple();

  constructor(options: PipelineOptions) {
    this.#nowMs = options.nowMs;
    this.#random32 = options.random32;
    this.conntrack = new Conntrack({ maxFlows: options.maxFlows, seed: options.random32() });
    this.#prepared = prepareTables(options.tables, undefined);
    this.#services = this.#createServices(options.tables);
    this.#program(options.tables);
  }

  get tables(): Tables {
    return this.#prepared.tables;
  }

  /** Swaps the snapshot; flows stay. Throws, changing nothing, when the snapshot cannot be prepared. */
  set tables(next: Tables) {
    this.#prepared = prepareTables(next, this.#prepared);
    if (next.mode !== this.#services.mode) this.#services = this.#createServices(next);
    this.#program(next);
  }

  /** The mode's own tables, for dumps and socket-level translation. */
  get services(): ServiceTranslator {
    return this.#services;
  }

  #createServices(tables: Tables): ServiceTranslator {
    return createTranslator(tables.mode, {
      nowMs: this.#nowMs,
      random32: this.#random32,
      conntrack: this.conntrack,
    });
  }

  #program(tables: Tables): void {
    this.conntrack.timeouts = tables.mode === 'ebpf' ? CILIUM_TIMEOUTS : KUBE_PROXY_TIMEOUTS;
    this.#services.program(tables, this.#prepared);
  }

  /** A frame from the pod's end of its link. */
  fromPod(endpointId: number, frame: Uint8Array, length: number, trace?: PacketTrace): Outcome {
    this.#begin('pod', frame, 0, trace);
    const sender = this.#prepared.endpoints.get(endpointId);
    this.#sender = sender;
    if (sender === undefined)
      return this.#drop(DROP_REASONS.endpointNotReady, 'source-check', `no endpoint ${endpointId}`);
    return (
      this.#copyIn(this.#inner, frame, length) ??
      this.#decode(length) ??
      this.#checkSourceMac(sender) ??
      this.#answerNeighbour(length) ??
      this.#checkSourceAddress(sender) ??
      this.#forward()
    );
  }

  /** A UDP payload that arrived on the tunnel port from `outerSource` (address text). */
  fromUnderlay(datagram: Uint8Array, length: number, outerSource: string, trace?: PacketTrace): Outcome {
    this.#begin('underlay', datagram, VXLAN_HEADER_LENGTH, trace);
    return this.#decapsulate(datagram, length, outerSource) ?? this.#forward();
  }

  /** A frame from the node's own stack. */
  fromHost(frame: Uint8Array, length: number, trace?: PacketTrace): Outcome {
    this.#begin('host', frame, 0, trace);
    return (
      this.#copyIn(this.#inner, frame, length) ??
      this.#decode(length) ??
      this.#answerNeighbour(length) ??
      this.#announce('host') ??
      this.#forward()
    );
  }

  /** The next piece of a packet that was fragmented, or undefined when there is none left. */
  nextFragment(): Outcome | undefined {
    return this.#fragmenter.hasMore ? this.#sendFragment() : undefined;
  }

  #forward(): Outcome {
    if (this.#packet.quoted >= 0) return this.#forwardError();
    return (
      this.#recallFragment() ??
      this.#translateEachPacket() ??
      this.#findFlow() ??
      this.#translateFirstPacket() ??
      this.#checkEgress() ??
      this.#findRoute() ??
      this.#checkTtl() ??
      this.#checkSize() ??
      this.#checkIngress() ??
      this.#confirmFlow() ??
      this.#send()
    );
  }

  // An ICMP error about a known flow travels with it: no service, no policy, no flow of its own.
  #forwardError(): Outcome {
    return this.#relateError() ?? this.#findRoute() ?? this.#checkTtl() ?? this.#checkSize() ?? this.#send();
  }

  // ---- entry ----

  #begin(origin: Origin, input: Uint8Array, inputStart: number, trace: PacketTrace | undefined): void {
    this.#now = this.#nowMs();
    this.#origin = origin;
    this.#trace = trace;
    this.#input = input;
    this.#inputStart = inputStart;
    this.#sender = undefined;
    this.#reference = -1;
    this.#isUntracked = false;
    this.#fragmenter.clear();
    this.#decision.reset();
    const outcome = this.#outcome;
    outcome.endpointId = -1;
    outcome.sourcePort = 0;
    outcome.reason = 0;
    outcome.more = false;
  }

  #copyIn(to: Uint8Array, frame: Uint8Array, length: number): Outcome | undefined {
    if (length > frame.length || length > to.length) {
      return this.#drop(DROP_REASONS.invalidPacket, 'decode', `${length} bytes do not fit a frame`);
    }
    if (frame.length === length) to.set(frame);
    else to.set(frame.subarray(0, length));
    return undefined;
  }

  #decode(length: number): Outcome | undefined {
    const result = this.#packet.decode(this.#inner, length);
    if (result !== DECODE_OK)
      return this.#drop(DROP_REASONS.invalidPacket, 'decode', decodeResultText(result));
    return undefined;
  }

  #checkSourceMac(sender: PreparedEndpoint): Outcome | undefined {
    const frame = this.#inner;
    for (let i = 0; i < 6; i++) {
      if (frame[6 + i] !== sender.mac[i]) {
        const text =
          this.#trace && `frame does not come from ${sender.endpoint.mac}, the MAC of ${sender.name}`;
        return this.#drop(DROP_REASONS.invalidSourceMac, 'source-check', text);
      }
    }
    return undefined;
  }

  #answerNeighbour(length: number): Outcome | undefined {
    const packet = this.#packet;
    if (packet.l3 < 0) {
      if (packet.etherType !== ETHERTYPE_ARP) {
        return this.#drop(DROP_REASONS.unsupportedL3, 'decode', 'neither IP nor ARP');
      }
      return this.#answer(
        answerArp(this.#inner, length, GATEWAY_MAC as Uint8Array, this.#replyBuffer),
        'ARP',
      );
    }
    if (!isNeighbourMessage(packet)) return undefined;
    return this.#answer(
      answerSolicitation(packet, GATEWAY_MAC as Uint8Array, this.#replyBuffer),
      'neighbour solicitation',
    );
  }

  #answer(length: number, what: string): Outcome {
    if (length === 0)
      return this.#drop(DROP_REASONS.unknownL3Target, 'neighbour', 'nobody else is on this link');
    const outcome = this.#outcome;
    // The host's own question is answered to the host at once.
    outcome.verdict = this.#origin === 'host' ? 'host' : 'reply';
    outcome.endpointId = this.#sender?.endpoint.id ?? -1;
    outcome.buffer = this.#replyBuffer;
    outcome.start = 0;
    outcome.length = length;
    this.counters.verdicts[outcome.verdict]++;
    this.#trace?.add('neighbour', 'reply', `${what} answered with the gateway's MAC ee:ee:ee:ee:ee:ee`);
    return outcome;
  }

  #checkSourceAddress(sender: PreparedEndpoint): Outcome | undefined {
    const packet = this.#packet;
    const frame = this.#inner;
    this.#trace?.add('decode', 'ok', `pod ${sender.name}  ${packetText(packet)}`, { endpoint: sender.name });
    for (let i = 0; i < 6; i++) {
      if (frame[i] !== 0xee) {
        const isGroup = (frame[0] & 1) === 1;
        if (isGroup)
          return this.#drop(
            DROP_REASONS.staleOrUnroutableIp,
            'decode',
            'broadcast and multicast end on the link',
          );
        return this.#drop(DROP_REASONS.invalidDestinationMac, 'decode', 'frame is not for the gateway');
      }
    }
    if (isGroupDestination(packet)) {
      return this.#drop(
        DROP_REASONS.staleOrUnroutableIp,
        'decode',
        'broadcast and multicast end on the link',
      );
    }
    if (!ownsSource(sender, packet)) {
      const text = this.#trace && `${sourceText(packet)} is no address of ${sender.name}`;
      return this.#drop(DROP_REASONS.invalidSourceIp, 'source-check', text);
    }
    this.#trace?.add('source-check', 'ok', `address and MAC belong to ${sender.name}`);
    // A pod that could write to the tunnel port could forge packets of any pod.
    if (packet.protocol === PROTOCOL_UDP && packet.dstPort === this.#prepared.tables.node.tunnelPort) {
      return this.#drop(
        DROP_REASONS.encapsulationProhibited,
        'source-check',
        'pods may not send to the tunnel port',
      );
    }
    return undefined;
  }

  #announce(who: string): undefined {
    this.#trace?.add('decode', 'ok', `${who}  ${packetText(this.#packet)}`);
    return undefined;
  }

  #decapsulate(datagram: Uint8Array, length: number, outerSource: string): Outcome | undefined {
    const { vteps, vtepMac, tables } = this.#prepared;
    if (length > datagram.length || !isVxlan(datagram, 0, length)) {
      return this.#drop(DROP_REASONS.invalidPacket, 'decap', 'no VXLAN header with a valid VNI');
    }
    const vtep = vteps.get(outerSource);
    if (vtep === undefined) {
      return this.#drop(
        DROP_REASONS.unknownSender,
        'decap',
        this.#trace && `${outerSource} is no node of this cluster`,
      );
    }
    const vni = getVxlanVni(datagram, 0);
    if (vni !== tables.node.vni) {
      const text = this.#trace && `VNI ${vni} from ${vtep.vtep.node}, this overlay is ${tables.node.vni}`;
      return this.#drop(DROP_REASONS.wrongVni, 'decap', text);
    }
    const stop = this.#copyIn(this.#buffer, datagram, length) ?? this.#decode(length - VXLAN_HEADER_LENGTH);
    if (stop !== undefined) return stop;
    const frame = this.#inner;
    for (let i = 0; i < 6; i++) {
      if (frame[i] !== vtepMac[i]) {
        return this.#drop(
          DROP_REASONS.invalidDestinationMac,
          'decap',
          "inner frame is not for this node's VTEP",
        );
      }
    }
    if (this.#packet.l3 < 0)
      return this.#drop(DROP_REASONS.unsupportedL3, 'decap', 'inner frame carries no IP');
    if (isGroupDestination(this.#packet)) {
      return this.#drop(
        DROP_REASONS.staleOrUnroutableIp,
        'decap',
        'the overlay carries no broadcast or multicast',
      );
    }
    this.#trace?.add(
      'decap',
      'ok',
      `VXLAN vni=${vni} from ${vtep.vtep.node} (${outerSource})  ${packetText(this.#packet)}`,
      {
        vni,
        node: vtep.vtep.node,
        outerSource,
      },
    );
    return undefined;
  }

  // ---- flow and service ----

  #recallFragment(): Outcome | undefined {
    const packet = this.#packet;
    if (packet.fragmentOffset > 0) {
      if (this.#fragments.recall(packet, this.#now)) return undefined;
      return this.#drop(
        DROP_REASONS.firstFragmentNotFound,
        'conntrack',
        'its first fragment was not seen before it',
      );
    }
    if (packet.moreFragments && packet.l4 >= 0) this.#fragments.remember(packet, this.#now);
    return undefined;
  }

  // eBPF: the backend is chosen, or remembered, before flows are looked at (C: lb4_local).
  #translateEachPacket(): Outcome | undefined {
    if (!this.#services.translatesEachPacket) return undefined;
    return this.#askServices();
  }

  // The kernel's NAT: a flow's first packet decides, the flow remembers.
  #translateFirstPacket(): Outcome | undefined {
    if (this.#services.translatesEachPacket || this.#reference >= 0 || this.#isUntracked) return undefined;
    return this.#askServices();
  }

  #askServices(): Outcome | undefined {
    const packet = this.#packet;
    const decision = this.#decision;
    this.#services.translate(packet, this.#origin, this.#now, decision, this.#trace);
    switch (decision.action) {
      case PASS:
        return undefined;
      case REJECT:
        return this.#refuse(PORT_UNREACHABLE, decision.reason, 'service', 'no endpoints');
      case DROP:
        return this.#drop(decision.reason, 'service', undefined);
    }
    const to = decision.backend;
    if (rewriteDestination(packet, to[0], to[1], to[2], to[3], decision.port)) return undefined;
    return this.#drop(
      DROP_REASONS.fragmentationUnsupported,
      'service',
      'an SCTP fragment cannot be translated',
    );
  }

  #findFlow(): Outcome | undefined {
    const { conntrack } = this;
    const packet = this.#packet;
    let reference = conntrack.find(packet, this.#now);
    if (reference >= 0 && conntrack.isReopening(reference, packet)) {
      conntrack.remove(reference);
      reference = -1;
    }
    if (reference < 0) return this.#openFlow();
    if (!conntrack.update(reference, packet, this.#now)) {
      const text = this.#trace && `INVALID in state ${conntrack.stateNameOf(reference)}`;
      return this.#drop(DROP_REASONS.conntrackInvalid, 'conntrack', text);
    }
    this.#reference = reference;
    if (this.#decision.reverseNat !== 0 && (reference & 1) === 0) {
      conntrack.setReverseNat(reference, this.#decision.reverseNat);
    }
    if (this.#trace !== undefined) this.#traceFlow(reference);
    return conntrack.changesDestination(reference) ? this.#translateDestination(reference) : undefined;
  }

  #openFlow(): Outcome | undefined {
    const packet = this.#packet;
    if (!this.conntrack.mayOpen(packet)) {
      // What the node itself sends is not filtered for belonging to a flow.
      if (this.#origin !== 'host') {
        return this.#drop(
          DROP_REASONS.conntrackInvalid,
          'conntrack',
          'INVALID: belongs to no known flow and opens none',
        );
      }
      this.#isUntracked = true;
      return undefined;
    }
    if (this.#services.translatesEachPacket && !isKnownProtocol(packet.protocol)) {
      return this.#drop(DROP_REASONS.conntrackUnknownL4, 'conntrack', undefined);
    }
    const original = this.#original;
    original.src0 = packet.src0 | 0;
    original.src1 = packet.src1 | 0;
    original.src2 = packet.src2 | 0;
    original.src3 = packet.src3 | 0;
    original.dst0 = packet.dst0 | 0;
    original.dst1 = packet.dst1 | 0;
    original.dst2 = packet.dst2 | 0;
    original.dst3 = packet.dst3 | 0;
    original.srcPort = packet.srcPort;
    original.dstPort = packet.dstPort;
    this.#trace?.add('conntrack', 'ok', 'NEW');
    return undefined;
  }

  #translateDestination(reference: number): Outcome | undefined {
    const { conntrack } = this;
    const done = rewriteDestination(
      this.#packet,
      conntrack.leavingDestination(reference, 0),
      conntrack.leavingDestination(reference, 1),
      conntrack.leavingDestination(reference, 2),
      conntrack.leavingDestination(reference, 3),
      conntrack.leavingDestinationPort(reference),
    );
    if (!done) return this.#drop(DROP_REASONS.fragmentationUnsupported, 'service', undefined);
    if (this.#trace !== undefined) {
      const packet = this.#packet;
      const to = endpointText(destinationText(packet), packet.dstPort);
      const isReply = (reference & 1) === 1;
      const stage = isReply ? 'snat' : 'service';
      this.#trace.add(stage, 'translate', isReply ? `un-SNAT -> ${to}` : `DNAT -> ${to}  (as its flow)`);
    }
    return undefined;
  }

  #relateError(): Outcome | undefined {
    const packet = this.#packet;
    const quoted = this.#quoted;
    this.#isUntracked = true;
    const isReadable =
      quoted.decodeQuoted(this.#inner, packet.quoted, packet.end) === DECODE_OK && quoted.l4 >= 0;
    const reference =
      isReadable && isIntactError(packet) ? this.conntrack.findMirrored(quoted, this.#now) : -1;
    if (reference < 0) {
      if (this.#origin === 'host') return undefined;
      return this.#drop(DROP_REASONS.conntrackInvalid, 'conntrack', 'ICMP error about no known flow');
    }
    const before = this.#trace && packetText(quoted);
    const frontend = this.#frontendOf(reference);
    const changed = translateError(packet, quoted, this.conntrack, reference, frontend);
    if (this.#trace !== undefined) {
      this.#trace.add('conntrack', 'ok', `RELATED: ICMP error about ${before}`);
      if (changed) this.#trace.add('service', 'translate', `quote turned back to ${packetText(quoted)}`);
    }
    return undefined;
  }

  // What the flow's client knows the backend as, where answers are restored by index (ebpf).
  #frontendOf(reference: number): Frontend | undefined {
    const index = (reference & 1) === 1 ? this.conntrack.reverseNatOf(reference) : 0;
    return index === 0 ? undefined : this.#services.frontend(index);
  }

  // ---- policy ----

  #checkEgress(): Outcome | undefined {
    if (this.#sender === undefined || !this.#needsPolicy()) return undefined;
    return this.#ask('egress', this.#sender);
  }

  #checkIngress(): Outcome | undefined {
    const endpoint = this.#route.endpoint;
    if (endpoint === undefined || !this.#needsPolicy()) return undefined;
    return this.#ask('ingress', endpoint);
  }

  // Answers are implied by the flow; its own direction is asked again when the tables changed since it was allowed.
  #needsPolicy(): boolean {
    const reference = this.#reference;
    if (this.#isUntracked) return false;
    if (reference < 0) return true;
    return (reference & 1) === 0 && this.conntrack.epochOf(reference) !== this.#prepared.tables.epoch;
  }

  #ask(direction: PolicyDirection, endpoint: PreparedEndpoint): Outcome | undefined {
    const verdict = this.#policyVerdict;
    const isTraced = this.#trace !== undefined;
    askPolicy(this.#prepared.tables.policy, direction, endpoint, this.#packet, verdict, isTraced);
    const stage = direction === 'egress' ? 'egress-policy' : 'ingress-policy';
    if (verdict.reason !== 0) {
      this.#trace?.add(stage, 'deny', verdict.text);
      return this.#drop(verdict.reason, stage, verdict.text);
    }
    this.#trace?.add(stage, 'allow', verdict.text);
    return undefined;
  }

  // ---- route, TTL, size ----

  #findRoute(): Outcome | undefined {
    const packet = this.#packet;
    const { routeMap, routes } = this.#prepared;
    const index = routeMap.find(packet.dst0 | 0, packet.dst1 | 0, packet.dst2 | 0, packet.dst3 | 0);
    const route = index < 0 ? DEFAULT_ROUTE : routes[index];
    this.#route = route;
    if (route.kind === ROUTE_UNREACHABLE) {
      return this.#refuse(HOST_UNREACHABLE, DROP_REASONS.hostUnreachable, 'route', route.text);
    }
    if (route.kind === ROUTE_BLACKHOLE)
      return this.#drop(DROP_REASONS.staleOrUnroutableIp, 'route', route.text);
    if (this.#trace !== undefined) this.#traceRoute(route);
    return undefined;
  }

  // Each routing node takes one; what a node sends or receives itself it does not route.
  #checkTtl(): Outcome | undefined {
    if (this.#origin === 'host' || this.#route.kind === ROUTE_HOST) return undefined;
    const packet = this.#packet;
    if (packet.ttl <= 1)
      return this.#refuse(TTL_EXCEEDED, DROP_REASONS.ttlExceeded, 'ttl', `TTL ${packet.ttl} runs out here`);
    packet.ttl--;
    if (packet.version === 4) patchIpv4Ttl(packet.frame, packet.l3, packet.ttl);
    else setIpv6HopLimit(packet.frame, packet.l3, packet.ttl);
    return undefined;
  }

  #checkSize(): Outcome | undefined {
    const packet = this.#packet;
    const mtu = this.#prepared.tables.node.mtu;
    if (this.#route.kind !== ROUTE_VTEP || packet.totalLength <= mtu || !packet.dontFragment)
      return undefined;
    const text =
      this.#trace &&
      `${packet.totalLength} bytes do not fit the tunnel's MTU ${mtu}, and it may not be fragmented`;
    return this.#refuse(PACKET_TOO_BIG, DROP_REASONS.fragmentationNeeded, 'mtu', text);
  }

  // ---- source translation and the way out ----

  // A new flow is kept only now that nothing refuses it; its source is settled with it.
  #confirmFlow(): Outcome | undefined {
    const reference = this.#reference;
    if (reference >= 0) {
      if ((reference & 1) === 0) this.conntrack.setEpoch(reference, this.#prepared.tables.epoch);
      return this.#translateSource(reference);
    }
    return this.#isUntracked ? undefined : this.#insertFlow();
  }

  #translateSource(reference: number): Outcome | undefined {
    const { conntrack } = this;
    const packet = this.#packet;
    const frontend = this.#frontendOf(reference);
    if (frontend === undefined && !conntrack.changesSource(reference)) return undefined;
    const before = this.#trace && endpointText(sourceText(packet), packet.srcPort);
    const done =
      frontend !== undefined
        ? rewriteSource(
            packet,
            frontend.words[0],
            frontend.words[1],
            frontend.words[2],
            frontend.words[3],
            frontend.port,
          )
        : rewriteSource(
            packet,
            conntrack.leavingSource(reference, 0),
            conntrack.leavingSource(reference, 1),
            conntrack.leavingSource(reference, 2),
            conntrack.leavingSource(reference, 3),
            conntrack.leavingSourcePort(reference),
          );
    if (!done) return this.#drop(DROP_REASONS.fragmentationUnsupported, 'snat', undefined);
    if (this.#trace !== undefined) {
      const isReply = (reference & 1) === 1;
      const to = endpointText(sourceText(packet), packet.srcPort);
      const text = isReply ? `un-DNAT: source ${before} -> ${to}` : `SNAT -> ${to}  (as its flow)`;
      this.#trace.add(isReply ? 'service' : 'snat', 'translate', text);
    }
    return undefined;
  }

  #insertFlow(): Outcome | undefined {
    const { conntrack } = this;
    const packet = this.#packet;
    const decision = this.#decision;
    const reply = this.#reply;
    reply.src0 = packet.dst0 | 0;
    reply.src1 = packet.dst1 | 0;
    reply.src2 = packet.dst2 | 0;
    reply.src3 = packet.dst3 | 0;
    reply.srcPort = packet.dstPort;
    reply.dst0 = packet.src0 | 0;
    reply.dst1 = packet.src1 | 0;
    reply.dst2 = packet.src2 | 0;
    reply.dst3 = packet.src3 | 0;
    reply.dstPort = packet.srcPort;
    const source = this.#newSource(decision);
    if (source === null) {
      return this.#drop(DROP_REASONS.noNatMapping, 'snat', 'the node has no overlay address of this family');
    }
    if (source !== undefined) {
      reply.dst0 = source[0];
      reply.dst1 = source[1];
      reply.dst2 = source[2];
      reply.dst3 = source[3];
    }
    const strategy = this.#services.translatesEachPacket ? 'cilium' : 'linux';
    const keepPort = decision.sourceChange !== MASQUERADE;
    if (!choosePort(conntrack, reply, packet.protocol, strategy, keepPort, this.#random32, this.#now)) {
      return this.#drop(DROP_REASONS.noNatMapping, 'snat', 'no free source port');
    }
    const reference = conntrack.insert(this.#original, reply, packet, this.#now);
    if (reference < 0) {
      const text = this.#trace && `all ${conntrack.maxFlows} flows of the conntrack table are in use`;
      return this.#drop(DROP_REASONS.conntrackInsertFailed, 'conntrack', text);
    }
    conntrack.setEpoch(reference, this.#prepared.tables.epoch);
    conntrack.setService(reference, decision.service);
    conntrack.setReverseNat(reference, decision.reverseNat);
    if (source === undefined && reply.dstPort === packet.srcPort) return undefined;
    if (!rewriteSource(packet, reply.dst0, reply.dst1, reply.dst2, reply.dst3, reply.dstPort)) {
      return this.#drop(DROP_REASONS.fragmentationUnsupported, 'snat', undefined);
    }
    if (this.#trace !== undefined) this.#traceSnat();
    return undefined;
  }

  // undefined: the source stays; null: it has to change and there is nothing to change it to.
  #newSource(decision: ServiceDecision): Words | undefined | null {
    switch (decision.sourceChange) {
      case KEEP_SOURCE:
        return undefined;
      case LOOPBACK:
        return decision.loopback;
      case MASQUERADE:
        return (this.#packet.version === 4 ? this.#prepared.gateway4 : this.#prepared.gateway6) ?? null;
    }
  }

  #send(): Outcome {
    const route = this.#route;
    const packet = this.#packet;
    const frame = this.#inner;
    const outcome = this.#outcome;
    outcome.buffer = this.#buffer;
    outcome.start = VXLAN_HEADER_LENGTH;
    // Padding behind a short packet stays behind.
    outcome.length = packet.end;
    if (route.kind === ROUTE_VTEP) return this.#encapsulate();
    setSrcMac(frame, 0, GATEWAY_MAC);
    if (route.kind === ROUTE_ENDPOINT) {
      const endpoint = route.endpoint!;
      setDstMac(frame, 0, endpoint.mac);
      outcome.verdict = 'deliver';
      outcome.endpointId = endpoint.endpoint.id;
      if (this.#trace !== undefined)
        this.#trace.add('deliver', 'send', `to pod ${endpoint.name}  ${packetText(packet)}`);
    } else {
      setDstMac(frame, 0, this.#prepared.vtepMac);
      outcome.verdict = 'host';
      if (this.#trace !== undefined)
        this.#trace.add('host', 'send', `to the node's own stack  ${packetText(packet)}`);
    }
    this.counters.verdicts[outcome.verdict]++;
    return outcome;
  }

  #encapsulate(): Outcome {
    const { tables, vtepMac } = this.#prepared;
    const packet = this.#packet;
    const vtep = this.#route.vtep!;
    const outcome = this.#outcome;
    setSrcMac(this.#inner, 0, vtepMac);
    setDstMac(this.#inner, 0, vtep.mac);
    writeVxlan(this.#buffer, 0, tables.node.vni);
    outcome.verdict = 'encap';
    outcome.vtep = vtep.vtep;
    outcome.sourcePort = tunnelSourcePort(packet);
    outcome.start = 0;
    outcome.length = VXLAN_HEADER_LENGTH + packet.end;
    if (this.#trace !== undefined) this.#traceEncap(vtep.vtep.address);
    if (packet.totalLength > tables.node.mtu) {
      this.#fragmenter.load(
        packet.frame,
        packet.l3,
        packet.headerLength,
        packet.totalLength,
        tables.node.mtu,
      );
      return this.#sendFragment();
    }
    this.counters.verdicts.encap++;
    return outcome;
  }

  #sendFragment(): Outcome {
    const outcome = this.#outcome;
    const size = this.#fragmenter.next(this.#inner, ETHERNET_HEADER_LENGTH);
    outcome.length = VXLAN_HEADER_LENGTH + ETHERNET_HEADER_LENGTH + size;
    outcome.more = this.#fragmenter.hasMore;
    this.counters.verdicts.encap++;
    return outcome;
  }

  // ---- ends ----

  #drop(reason: DropReason, stage: Parameters<PacketTrace['add']>[0], text: string | undefined): Outcome {
    const outcome = this.#outcome;
    outcome.verdict = 'drop';
    outcome.reason = reason;
    outcome.length = 0;
    this.counters.verdicts.drop++;
    this.counters.drops[reason]++;
    if (this.#trace !== undefined) {
      const why = text === undefined || text === '' ? '' : `: ${text}`;
      this.#trace.add('drop', 'drop', `${dropReasonText(reason)} (${reason})${why}`, { reason, stage });
    }
    return outcome;
  }

  // Not forwarded, and the sender is told by an ICMP error where one may be sent.
  #refuse(
    kind: IcmpErrorKind,
    reason: DropReason,
    stage: Parameters<PacketTrace['add']>[0],
    text: string | undefined,
  ): Outcome {
    const { localAddresses, gateway4, gateway6, tables, vtepMac } = this.#prepared;
    const packet = this.#quoted;
    const end = this.#inputStart + this.#packet.end;
    const l3 = this.#inputStart + ETHERNET_HEADER_LENGTH;
    // The packet as it arrived: what was rewritten since is none of the sender's business.
    if (packet.decodeIp(this.#input, l3, end) !== DECODE_OK || !mayAnswerWithError(packet)) {
      return this.#drop(reason, stage, text);
    }
    if (!this.#errorLimiter.allow(kind, this.#now)) {
      this.counters.errorsSuppressed++;
      return this.#drop(reason, stage, text);
    }
    const isOwn = localAddresses.has(packet.dst0 | 0, packet.dst1 | 0, packet.dst2 | 0, packet.dst3 | 0);
    const own = [packet.dst0, packet.dst1, packet.dst2, packet.dst3] as const;
    const source = isOwn ? own : packet.version === 4 ? gateway4 : gateway6;
    if (source === undefined) return this.#drop(reason, stage, text);

    const frame = this.#replyBuffer;
    const outcome = this.#outcome;
    const [type, code] = packet.version === 4 ? kind.v4 : kind.v6;
    const rest = kind === PACKET_TOO_BIG ? tables.node.mtu : 0;
    outcome.length = emitIcmpError(packet, { type, code, rest, src: [...source] }, frame);
    const sender = this.#sender;
    if (sender !== undefined) {
      setDstMac(frame, 0, sender.mac);
      setSrcMac(frame, 0, GATEWAY_MAC);
    } else {
      setDstMac(frame, 0, GATEWAY_MAC);
      setSrcMac(frame, 0, vtepMac);
    }
    outcome.verdict = 'reply';
    outcome.endpointId = sender?.endpoint.id ?? -1;
    outcome.reason = reason;
    outcome.buffer = frame;
    outcome.start = 0;
    this.counters.verdicts.reply++;
    this.counters.drops[reason]++;
    if (this.#trace !== undefined) {
      const why = text === undefined ? '' : `: ${text}`;
      this.#trace.add('drop', 'reject', `${dropReasonText(reason)} (${reason})${why}`, { reason, stage });
      this.#trace.add(
        'reply',
        'reply',
        `ICMP ${kind.name} from ${wordsText(source)} to ${sourceText(packet)}`,
      );
    }
    return outcome;
  }

  // ---- words for people ----

  #traceFlow(reference: number): void {
    const { conntrack } = this;
    const state =
      conntrack.stateNameOf(reference) || (conntrack.isAnswered(reference) ? 'answered' : 'unanswered');
    const direction = (reference & 1) === 1 ? 'reply' : 'original';
    const service = conntrack.serviceOf(reference);
    const suffix = service === '' ? '' : `, svc ${service}`;
    this.#trace!.add('conntrack', 'ok', `known flow, ${direction} direction, ${state}${suffix}`, {
      state,
      direction,
      service,
    });
  }

  #traceRoute(route: PreparedRoute): void {
    const to =
      route.kind === ROUTE_ENDPOINT
        ? `pod ${route.endpoint!.name} on this node`
        : route.kind === ROUTE_VTEP
          ? `node ${route.vtep!.vtep.node}`
          : "the node's own stack";
    this.#trace!.add('route', 'ok', `${destinationText(this.#packet)} by ${route.prefix} -> ${to}`, {
      prefix: route.prefix,
    });
  }

  #traceSnat(): void {
    const packet = this.#packet;
    const to = endpointText(sourceText(packet), packet.srcPort);
    const why =
      this.#decision.sourceChange === MASQUERADE
        ? `masquerade to node ${this.#prepared.tables.node.name}`
        : this.#decision.sourceChange === LOOPBACK
          ? 'service loopback: the backend is the client itself'
          : "another flow's answers use that port";
    this.#trace!.add('snat', 'translate', `SNAT -> ${to}  (${why})`);
  }

  #traceEncap(remote: string): void {
    const { node } = this.#prepared.tables;
    const isV6 = remote.includes(':');
    const own = node.addresses.find((address) => address.includes(':') === isV6) ?? node.name;
    const overhead = isV6 ? VXLAN_OVERHEAD_V6 : VXLAN_OVERHEAD_V4;
    const fragments =
      this.#packet.totalLength > node.mtu ? `, in fragments of at most ${node.mtu} bytes` : '';
    const text = `VXLAN vni=${node.vni} ${own} -> ${remote}  (+${overhead} B)${fragments}  ${packetText(this.#packet)}`;
    this.#trace!.add('encap', 'send', text, {
      vni: node.vni,
      outerSource: own,
      outerDestination: remote,
      overhead,
    });
  }
}

function newTuple(): FlowTuple {
  return { src0: 0, src1: 0, src2: 0, src3: 0, dst0: 0, dst1: 0, dst2: 0, dst3: 0, srcPort: 0, dstPort: 0 };
}

function ownsSource(sender: PreparedEndpoint, packet: Packet): boolean {
  const addresses = sender.addresses;
  for (let i = 0; i < addresses.length; i++) {
    const words = addresses[i];
    if (words[3] === (packet.src3 | 0) && words[2] === (packet.src2 | 0)) {
      if (words[1] === (packet.src1 | 0) && words[0] === (packet.src0 | 0)) return true;
    }
  }
  return false;
}

function isGroupDestination(packet: Packet): boolean {
  return packet.version === 4
    ? isIpv4Multicast(packet.dst3) || packet.dst3 === 0xffffffff
    : isIpv6Multicast(packet.frame, packet.l3 + 24);
}

function isKnownProtocol(protocol: number): boolean {
  return (
    protocol === PROTOCOL_TCP ||
    protocol === PROTOCOL_UDP ||
    protocol === PROTOCOL_ICMP ||
    protocol === PROTOCOL_ICMPV6 ||
    protocol === PROTOCOL_SCTP
  );
}
