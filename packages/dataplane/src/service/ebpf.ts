/**
 * Cilium's kube-proxy replacement, the part that sees packets (C: lb4_local, nodeport_lb4): each packet to a frontend
 * finds its service in a map and its backend in a CT_SERVICE entry; answers are restored by reverse NAT index. Sockets
 * that connect through `socket-lb.ts` never send such packets.
 */

import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '@podwire/wire/protocol';
import { isIpv4Words, NO_WORDS, type Words, wordsOf } from '../address-words.ts';
import { isTcpOpening } from '../conntrack-states.ts';
import { DROP_REASONS, type DropReason } from '../drop-reasons.ts';
import { hashOfClient } from '../jhash.ts';
import { endpointText, sourceText } from '../packet-text.ts';
import type { Tables } from '../tables.ts';
import type { PacketTrace } from '../trace.ts';
import { AffinityMap } from './affinity-map.ts';
import { BACKEND_ACTIVE, type Backend, EbpfMaps, type ServiceValue } from './ebpf-maps.ts';
import {
  DROP,
  type Frontend,
  isLocalSource,
  KEEP_SOURCE,
  LOOPBACK,
  MASQUERADE,
  type NodeFacts,
  type Origin,
  REJECT,
  type ServiceDecision,
  type ServiceTranslator,
  TRANSLATE,
  type TranslatorContext,
} from './translator.ts';

/** What a pod that reaches itself through a service sees as the client (C: IPV4_LOOPBACK, and its IPv6 fellow). */
const SERVICE_LOOPBACK_V4: Words = wordsOf('169.254.42.1');
const SERVICE_LOOPBACK_V6: Words = wordsOf('fe80::1');

const TABLE_FULL = 'full';

export class EbpfTranslator implements ServiceTranslator {
  readonly mode = 'ebpf';
  readonly translatesEachPacket = true;
  readonly maps = new EbpfMaps();
  readonly affinity = new AffinityMap();
  readonly #context: TranslatorContext;
  #facts: NodeFacts | undefined;
  /** How the backend in hand was found, for traces. */
  #how = '';

  constructor(context: TranslatorContext) {
    this.#context = context;
  }

  program(tables: Tables, facts: NodeFacts): void {
    this.#facts = facts;
    this.maps.program(tables);
  }

  frontend(reverseNat: number): Frontend | undefined {
    return this.maps.frontend(reverseNat);
  }

  translate(
    packet: Packet,
    origin: Origin,
    nowMs: number,
    decision: ServiceDecision,
    trace?: PacketTrace,
  ): void {
    const protocol = packet.protocol;
    // ICMP is not translated (C: lb4_extract_tuple).
    if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP && protocol !== PROTOCOL_SCTP) return;
    const eastWest = origin === 'pod' || isLocalSource(this.#facts!, packet, origin);
    const { dst0, dst1, dst2, dst3 } = packet;
    const service = this.maps.lookup(
      dst0 | 0,
      dst1 | 0,
      dst2 | 0,
      dst3 | 0,
      packet.dstPort,
      protocol,
      eastWest,
    );
    if (service === undefined) {
      if (eastWest || !this.maps.isFrontendAddress(dst0 | 0, dst1 | 0, dst2 | 0, dst3 | 0)) return;
      const text = 'no service has this port of its frontend (wildcard entry)';
      this.#refuse(decision, DROP, DROP_REASONS.serviceBackendNotFound, text, trace);
      return;
    }
    decision.service = service.port.name;
    if (!eastWest) {
      if (service.kind === 'ClusterIP') {
        this.#refuse(
          decision,
          DROP,
          DROP_REASONS.isClusterIp,
          'a ClusterIP serves no client from outside',
          trace,
        );
        return;
      }
      const { src0, src1, src2, src3 } = packet;
      if (
        service.sourceRanges !== undefined &&
        service.sourceRanges.find(src0 | 0, src1 | 0, src2 | 0, src3 | 0) < 0
      ) {
        const text = trace && `${sourceText(packet)} is in none of ${service.port.sourceRanges.join(', ')}`;
        this.#refuse(decision, DROP, DROP_REASONS.notInSourceRange, text, trace);
        return;
      }
    }
    const backend = this.#backendFor(packet, service, nowMs);
    if (backend === TABLE_FULL) {
      this.#refuse(
        decision,
        DROP,
        DROP_REASONS.conntrackInsertFailed,
        'no room to remember the backend',
        trace,
      );
      return;
    }
    if (backend === undefined) {
      this.#refuse(decision, REJECT, DROP_REASONS.serviceBackendNotFound, 'no backends', trace);
      return;
    }
    decision.action = TRANSLATE;
    decision.backend = backend.words;
    decision.port = backend.port;
    decision.reverseNat = service.reverseNat;
    this.#settleSource(packet, origin, eastWest, backend, decision);
    if (trace !== undefined) this.#trace(trace, service, backend);
  }

  #refuse(
    decision: ServiceDecision,
    action: typeof REJECT | typeof DROP,
    reason: DropReason,
    text: string | undefined,
    trace: PacketTrace | undefined,
  ): void {
    decision.action = action;
    decision.reason = reason;
    if (trace === undefined) return;
    const svc = decision.service === '' ? '' : `svc ${decision.service}: `;
    const verdict = action === REJECT ? 'reject' : 'drop';
    trace.add('service', verdict, `${verdict.toUpperCase()}  (${svc}${text})`, {
      mode: this.mode,
      service: decision.service,
    });
  }

  // What the source becomes when the flow is new; flows keep it.
  #settleSource(
    packet: Packet,
    origin: Origin,
    eastWest: boolean,
    backend: Backend,
    decision: ServiceDecision,
  ): void {
    const words = backend.words;
    const isSelf =
      words[3] === (packet.src3 | 0) &&
      words[2] === (packet.src2 | 0) &&
      words[1] === (packet.src1 | 0) &&
      words[0] === (packet.src0 | 0);
    decision.loopback = NO_WORDS;
    if (isSelf) {
      decision.sourceChange = LOOPBACK;
      decision.loopback = isIpv4Words(words) ? SERVICE_LOOPBACK_V4 : SERVICE_LOOPBACK_V6;
    } else if (eastWest) {
      // The host's own sockets would have picked the overlay address; a loopback source must not leave the host.
      decision.sourceChange = origin === 'host' ? MASQUERADE : KEEP_SOURCE;
    } else {
      // North-south, SNAT mode: a remote backend must answer through this node.
      decision.sourceChange = backend.endpoint.local ? KEEP_SOURCE : MASQUERADE;
    }
  }

  #backendFor(packet: Packet, service: ServiceValue, nowMs: number): Backend | typeof TABLE_FULL | undefined {
    const { conntrack } = this.#context;
    const isSyn = packet.protocol === PROTOCOL_TCP && isTcpOpening(packet.tcpFlags);
    let flow = conntrack.findService(packet, nowMs);
    if (flow >= 0 && isSyn && conntrack.isServiceClosing(flow)) {
      conntrack.remove(flow * 2);
      flow = -1;
    }
    let backend: Backend | undefined;
    if (flow < 0) {
      backend = this.#choose(packet, service, nowMs);
      if (backend === undefined) return undefined;
      const { reverseNat, port } = service;
      if (conntrack.insertService(packet, backend.id, reverseNat, port.name, nowMs) < 0) return TABLE_FULL;
    } else {
      const known = this.maps.backend(conntrack.backendOf(flow));
      this.#how = 'CT_SERVICE';
      // A backend that is going keeps the connections it has and gets no new ones.
      const mayKeep = known !== undefined && (known.state === BACKEND_ACTIVE || !isSyn);
      backend = mayKeep ? known : this.#select(packet, service);
      if (backend === undefined) return undefined;
      if (!mayKeep) conntrack.setBackend(flow, backend.id, service.reverseNat);
      conntrack.touchService(flow, packet, nowMs);
    }
    if (service.affinitySeconds > 0) {
      this.#stageAffinity(packet, service);
      this.affinity.update(backend.id, nowMs);
    }
    return backend;
  }

  #choose(packet: Packet, service: ServiceValue, nowMs: number): Backend | undefined {
    if (service.count > 0 && service.affinitySeconds > 0) {
      this.#stageAffinity(packet, service);
      const backend = this.maps.backend(this.affinity.find(service.affinitySeconds, nowMs));
      if (backend !== undefined && backend.state === BACKEND_ACTIVE) {
        this.#how = 'ClientIP affinity';
        return backend;
      }
    }
    return this.#select(packet, service);
  }

  #stageAffinity(packet: Packet, service: ServiceValue): void {
    const { src0, src1, src2, src3 } = packet;
    this.affinity.ofAddress(service.reverseNat, src0 | 0, src1 | 0, src2 | 0, src3 | 0);
  }

  #select(packet: Packet, service: ServiceValue): Backend | undefined {
    if (service.count === 0) return undefined;
    if (service.maglev !== undefined) {
      this.#how = 'maglev';
      const { jhashV4, jhashV6 } = this.maps.seeds;
      const sourcePort = service.affinitySeconds > 0 ? 0 : packet.srcPort;
      const hash = hashOfClient(packet, sourcePort, jhashV4, jhashV6);
      return this.maps.backend(service.maglev[hash % service.maglev.length]);
    }
    this.#how = 'random';
    const slot = (this.#context.random32() % service.count) + 1;
    return this.maps.backend(this.maps.slot(service, slot));
  }

  #trace(trace: PacketTrace, service: ServiceValue, backend: Backend): void {
    const { port } = service;
    const to = endpointText(backend.endpoint.address, backend.port);
    let slot = 1;
    while (slot <= service.count && this.maps.slot(service, slot) !== backend.id) slot++;
    const which = slot <= service.count ? `backend ${slot} of ${service.count}` : 'a backend that is leaving';
    trace.add('service', 'translate', `DNAT -> ${to}  (svc ${port.name}, ${which}, ${this.#how})`, {
      mode: this.mode,
      service: port.name,
      kind: service.kind,
      backend: backend.endpoint,
      backendId: backend.id,
      reverseNat: service.reverseNat,
    });
  }
}
