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

import { copyBytes } from '@podwire/wire/big-endian';
import { patchIpv4Ttl } from '@podwire/wire/ipv4';
import { setIpv6HopLimit } from '@podwire/wire/ipv6';
import { DECODE_OK, decodeResultText, Packet } from '@podwire/wire/packet';
import {
  ETHERTYPE_ARP,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '@podwire/wire/protocol';
import { VXLAN_HEADER_LENGTH } from '@podwire/wire/vxlan';
import type { Words } from './address-words.ts';
import { Conntrack } from './conntrack.ts';
import { mayOpenFlow } from './conntrack-protocols.ts';
import { CILIUM_TIMEOUTS, KUBE_PROXY_TIMEOUTS } from './conntrack-states.ts';
import { PipelineCounters } from './counters.ts';
import { DROP_REASONS, type DropReason } from './drop-reasons.ts';
import { Exits } from './exits.ts';
import { FragmentCache } from './fragment-cache.ts';
import {
  HOST_UNREACHABLE,
  type IcmpErrorKind,
  PACKET_TOO_BIG,
  PORT_UNREACHABLE,
  TTL_EXCEEDED,
} from './icmp-error.ts';
import { answerArp, answerSolicitation, isNeighbourMessage } from './neighbour.ts';
import { NewFlow } from './new-flow.ts';
import type { Outcome } from './outcome.ts';
import { endpointText, packetText, sourceText } from './packet-text.ts';
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
import { checkPodPacket, GATEWAY_MAC, hasMac, isGroupDestination, podPacketText } from './source-check.ts';
import { traceFlow, traceFlowDestination, traceFlowSource, traceRoute, traceSnat } from './step-text.ts';
import type { Tables } from './tables.ts';
import type { PacketTrace, TraceStage } from './trace.ts';
import { checkInnerFrame, checkTunnelHeader, tunnelText } from './tunnel-check.ts';

/** Up to here a byte by byte copy beats making a view. */
const SHORT_FRAME = 128;

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

  readonly #exit = new Exits(this.counters);
  readonly #packet = new Packet();
  readonly #quoted = new Packet();
  readonly #fragments = new FragmentCache();
  readonly #decision = new ServiceDecision();
  readonly #policyVerdict = new PolicyVerdict();

  // The packet in hand.
  #now = 0;
  #origin: Origin = 'host';
  #trace: PacketTrace | undefined;
  /** The frame as it arrived, for ICMP errors. */
  #input: Uint8Array = this.#exit.frame;
  #inputStart = 0;
  #sender: PreparedEndpoint | undefined;
  #route: PreparedRoute = DEFAULT_ROUTE;
  /** Of its flow: -1 when it is new or has none. */
  #reference = -1;
  /** No flow is kept for it: an ICMP error about one, or what the host sends unasked. */
  #isUntracked = false;
  readonly #newFlow = new NewFlow();

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
    const prepared = prepareTables(next, this.#prepared);
    if (next.mode !== this.#services.mode) this.#services = this.#createServices(next);
    this.#prepared = prepared;
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
    const sender = this.#prepared.endpoints.get(endpointId);
    this.#begin('pod', frame, 0, sender, trace);
    if (sender === undefined) {
      return this.#exit.drop(DROP_REASONS.endpointNotReady, 'source-check', `no endpoint ${endpointId}`);
    }
    return (
      this.#copyIn(this.#exit.frame, frame, length) ??
      this.#decode(length) ??
      this.#checkSourceMac(sender) ??
      this.#answerNeighbour(length) ??
      this.#checkSourceAddress(sender) ??
      this.#forward()
    );
  }

  /** A UDP payload that arrived on the tunnel port from `outerSource` (address text). */
  fromUnderlay(datagram: Uint8Array, length: number, outerSource: string, trace?: PacketTrace): Outcome {
    this.#begin('underlay', datagram, VXLAN_HEADER_LENGTH, undefined, trace);
    return this.#decapsulate(datagram, length, outerSource) ?? this.#forward();
  }

  /** A frame from the node's own stack. */
  fromHost(frame: Uint8Array, length: number, trace?: PacketTrace): Outcome {
    this.#begin('host', frame, 0, undefined, trace);
    return (
      this.#copyIn(this.#exit.frame, frame, length) ??
      this.#decode(length) ??
      this.#answerNeighbour(length) ??
      this.#checkHostPacket() ??
      this.#forward()
    );
  }

  /** The next piece of a packet that was fragmented, or undefined when there is none left. */
  nextFragment(): Outcome | undefined {
    return this.#exit.nextFragment();
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

  #begin(
    origin: Origin,
    input: Uint8Array,
    inputStart: number,
    sender: PreparedEndpoint | undefined,
    trace: PacketTrace | undefined,
  ): void {
    this.#now = this.#nowMs();
    this.#origin = origin;
    this.#trace = trace;
    this.#input = input;
    this.#inputStart = inputStart;
    this.#sender = sender;
    this.#reference = -1;
    this.#isUntracked = false;
    this.#decision.reset();
    this.#exit.begin(sender, trace);
  }

  #copyIn(to: Uint8Array, frame: Uint8Array, length: number): Outcome | undefined {
    if (length > frame.length || length > to.length) {
      return this.#exit.drop(DROP_REASONS.invalidPacket, 'decode', `${length} bytes do not fit a frame`);
    }
    if (frame.length === length) to.set(frame);
    // A view is an object; for a short frame in a long buffer the loop is cheaper, too.
    else if (length <= SHORT_FRAME) copyBytes(frame, 0, to, 0, length);
    else to.set(frame.subarray(0, length));
    return undefined;
  }

  #decode(length: number): Outcome | undefined {
    const result = this.#packet.decode(this.#exit.frame, length);
    if (result !== DECODE_OK)
      return this.#exit.drop(DROP_REASONS.invalidPacket, 'decode', decodeResultText(result));
    return undefined;
  }

  #checkSourceMac(sender: PreparedEndpoint): Outcome | undefined {
    if (hasMac(this.#exit.frame, 6, sender.mac)) return undefined;
    const text = this.#trace && `frame does not come from ${sender.endpoint.mac}, the MAC of ${sender.name}`;
    return this.#exit.drop(DROP_REASONS.invalidSourceMac, 'source-check', text);
  }

  #answerNeighbour(length: number): Outcome | undefined {
    const packet = this.#packet;
    if (packet.l3 < 0) {
      if (packet.etherType !== ETHERTYPE_ARP) {
        return this.#exit.drop(DROP_REASONS.unsupportedL3, 'decode', 'neither IP nor ARP');
      }
      return this.#answer(answerArp(this.#exit.frame, length, GATEWAY_MAC, this.#exit.replyFrame), 'ARP');
    }
    if (!isNeighbourMessage(packet)) return undefined;
    return this.#answer(
      answerSolicitation(packet, GATEWAY_MAC, this.#exit.replyFrame),
      'neighbour solicitation',
    );
  }

  #answer(length: number, what: string): Outcome {
    if (length === 0)
      return this.#exit.drop(DROP_REASONS.unknownL3Target, 'neighbour', 'nobody else is on this link');
    this.#trace?.add('neighbour', 'reply', `${what} answered with the gateway's MAC ee:ee:ee:ee:ee:ee`);
    // The host's own question is answered to the host at once.
    return this.#exit.reply(this.#origin === 'host' ? 'host' : 'reply', length);
  }

  #checkSourceAddress(sender: PreparedEndpoint): Outcome | undefined {
    const packet = this.#packet;
    this.#trace?.add('decode', 'ok', `pod ${sender.name}  ${packetText(packet)}`, { endpoint: sender.name });
    const reason = checkPodPacket(packet, sender, this.#prepared.tables.node.tunnelPort);
    const text = this.#trace && podPacketText(reason, packet, sender);
    if (reason !== 0) return this.#exit.drop(reason, 'source-check', text);
    this.#trace?.add('source-check', 'ok', text!);
    return undefined;
  }

  #checkHostPacket(): Outcome | undefined {
    this.#trace?.add('decode', 'ok', `host  ${packetText(this.#packet)}`);
    if (!isGroupDestination(this.#packet)) return undefined;
    return this.#exit.drop(
      DROP_REASONS.staleOrUnroutableIp,
      'decode',
      'broadcast and multicast end on the link',
    );
  }

  #decapsulate(datagram: Uint8Array, length: number, outerSource: string): Outcome | undefined {
    const { vteps, vtepMac, tables } = this.#prepared;
    const { vni } = tables.node;
    const sender = vteps.get(outerSource);
    const outer = checkTunnelHeader(datagram, length, sender, vni);
    if (outer !== 0) return this.#dropTunnelled(outer, datagram, outerSource);
    const stop =
      this.#copyIn(this.#exit.buffer, datagram, length) ?? this.#decode(length - VXLAN_HEADER_LENGTH);
    if (stop !== undefined) return stop;
    const inner = checkInnerFrame(this.#packet, vtepMac);
    if (inner !== 0) return this.#dropTunnelled(inner, datagram, outerSource);
    if (this.#trace !== undefined) {
      const { node } = sender!.vtep;
      const from = `VXLAN vni=${vni} from ${node} (${outerSource})`;
      this.#trace.add('decap', 'ok', `${from}  ${packetText(this.#packet)}`, { vni, node, outerSource });
    }
    return undefined;
  }

  #dropTunnelled(reason: DropReason, datagram: Uint8Array, outerSource: string): Outcome {
    if (this.#trace === undefined) return this.#exit.drop(reason, 'decap');
    const { vteps, tables } = this.#prepared;
    const text = tunnelText(reason, datagram, outerSource, vteps.get(outerSource), tables.node.vni);
    return this.#exit.drop(reason, 'decap', text);
  }

  // ---- flow and service ----

  #recallFragment(): Outcome | undefined {
    const packet = this.#packet;
    if (packet.fragmentOffset > 0) {
      if (this.#fragments.recall(packet, this.#now)) return undefined;
      return this.#exit.drop(
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
        return this.#exit.drop(decision.reason, 'service');
    }
    const to = decision.backend;
    if (rewriteDestination(packet, to[0], to[1], to[2], to[3], decision.port)) return undefined;
    return this.#exit.drop(
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
      return this.#exit.drop(DROP_REASONS.conntrackInvalid, 'conntrack', text);
    }
    this.#reference = reference;
    if (this.#decision.reverseNat !== 0 && (reference & 1) === 0) {
      conntrack.setReverseNat(reference, this.#decision.reverseNat);
    }
    if (this.#trace !== undefined) traceFlow(this.#trace, conntrack, reference);
    return conntrack.changesDestination(reference) ? this.#translateDestination(reference) : undefined;
  }

  #openFlow(): Outcome | undefined {
    const packet = this.#packet;
    if (!mayOpenFlow(packet)) {
      // What the node itself sends is not filtered for belonging to a flow.
      if (this.#origin !== 'host') {
        return this.#exit.drop(
          DROP_REASONS.conntrackInvalid,
          'conntrack',
          'INVALID: belongs to no known flow and opens none',
        );
      }
      this.#isUntracked = true;
      return undefined;
    }
    if (this.#services.translatesEachPacket && !isKnownProtocol(packet.protocol)) {
      return this.#exit.drop(DROP_REASONS.conntrackUnknownL4, 'conntrack');
    }
    this.#newFlow.begin(packet);
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
    if (!done) return this.#exit.drop(DROP_REASONS.fragmentationUnsupported, 'service');
    if (this.#trace !== undefined) traceFlowDestination(this.#trace, this.#packet, reference);
    return undefined;
  }

  #relateError(): Outcome | undefined {
    const packet = this.#packet;
    const quoted = this.#quoted;
    this.#isUntracked = true;
    const isReadable =
      quoted.decodeQuoted(this.#exit.frame, packet.quoted, packet.end) === DECODE_OK && quoted.l4 >= 0;
    const reference =
      isReadable && isIntactError(packet) ? this.conntrack.findMirrored(quoted, this.#now) : -1;
    if (reference < 0) {
      if (this.#origin === 'host') return undefined;
      return this.#exit.drop(DROP_REASONS.conntrackInvalid, 'conntrack', 'ICMP error about no known flow');
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
      return this.#exit.drop(verdict.reason, stage, verdict.text);
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
      return this.#exit.drop(DROP_REASONS.staleOrUnroutableIp, 'route', route.text);
    if (this.#trace !== undefined) traceRoute(this.#trace, packet, route);
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
    if (!done) return this.#exit.drop(DROP_REASONS.fragmentationUnsupported, 'snat');
    if (this.#trace !== undefined) traceFlowSource(this.#trace, packet, reference, before!);
    return undefined;
  }

  #insertFlow(): Outcome | undefined {
    const { conntrack } = this;
    const packet = this.#packet;
    const decision = this.#decision;
    const { name } = this.#prepared.tables.node;
    const source = this.#newSource(decision);
    if (source === null) {
      return this.#exit.drop(
        DROP_REASONS.noNatMapping,
        'snat',
        'the node has no overlay address of this family',
      );
    }
    const strategy = this.#services.translatesEachPacket ? 'cilium' : 'linux';
    const keepPort = decision.sourceChange !== MASQUERADE;
    if (!this.#newFlow.settle(packet, source, strategy, keepPort, conntrack, this.#random32, this.#now)) {
      return this.#exit.drop(DROP_REASONS.noNatMapping, 'snat', 'no free source port');
    }
    const reference = this.#newFlow.insert(conntrack, packet, this.#now);
    if (reference < 0) {
      const text = this.#trace && `all ${conntrack.maxFlows} flows of the conntrack table are in use`;
      return this.#exit.drop(DROP_REASONS.conntrackInsertFailed, 'conntrack', text);
    }
    conntrack.setEpoch(reference, this.#prepared.tables.epoch);
    conntrack.setService(reference, decision.service);
    conntrack.setReverseNat(reference, decision.reverseNat);
    if (decision.server !== 0) conntrack.countForBackend(reference, decision.server);
    if (!conntrack.changesSource(reference)) return undefined;
    const done = rewriteSource(
      packet,
      conntrack.leavingSource(reference, 0),
      conntrack.leavingSource(reference, 1),
      conntrack.leavingSource(reference, 2),
      conntrack.leavingSource(reference, 3),
      conntrack.leavingSourcePort(reference),
    );
    if (!done) return this.#exit.drop(DROP_REASONS.fragmentationUnsupported, 'snat');
    if (this.#trace !== undefined) traceSnat(this.#trace, packet, decision, name);
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
    const { kind, endpoint, vtep } = this.#route;
    if (kind === ROUTE_ENDPOINT) return this.#exit.deliver(this.#packet, endpoint!);
    if (kind === ROUTE_VTEP) return this.#exit.encapsulate(this.#packet, vtep!, this.#prepared);
    return this.#exit.toHost(this.#packet, this.#prepared.vtepMac);
  }

  // Not forwarded, and the sender is told.
  #refuse(kind: IcmpErrorKind, reason: DropReason, stage: TraceStage, text: string | undefined): Outcome {
    const start = this.#inputStart;
    const end = start + this.#packet.end;
    return this.#exit.refuse(kind, reason, stage, text, this.#input, start, end, this.#prepared, this.#now);
  }
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
