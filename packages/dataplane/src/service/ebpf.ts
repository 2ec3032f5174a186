/**
 * Cilium's kube-proxy replacement, the part that sees packets (C: lb4_local, nodeport_lb4): each packet to a frontend
 * finds its service in a map and its backend in a CT_SERVICE entry; answers are restored by reverse NAT index. Sockets
 * that connect through `socket-lb.ts` never send such packets.
 */

import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_TCP } from '@podwire/wire/protocol';
import { isIpv4Words, NO_WORDS, type Words, wordsOf } from '../address-words.ts';
import { isTcpOpening } from '../conntrack-states.ts';
import { DROP_REASONS } from '../drop-reasons.ts';
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

  translate(packet: Packet, origin: Origin, decision: ServiceDecision, trace?: PacketTrace): void {
    // ICMP is not translated; a fragment's ports were filled in before.
    if (packet.srcPort === 0 && packet.dstPort === 0) return;
    const eastWest = origin === 'pod' || isLocalSource(this.#facts!, packet, origin);
    const { dst0, dst1, dst2, dst3, dstPort, protocol } = packet;
    const service = this.maps.lookup(dst0, dst1, dst2, dst3, dstPort, protocol, eastWest);
    if (service === undefined) {
      if (eastWest || !this.maps.isFrontendAddress(dst0, dst1, dst2, dst3)) return;
      decision.action = DROP;
      decision.reason = DROP_REASONS.serviceBackendNotFound;
      trace?.add(
        'service',
        'drop',
        'from outside to a port of a frontend that no service has (wildcard entry)',
        {
          mode: this.mode,
        },
      );
      return;
    }
    decision.service = service.port.name;
    if (!eastWest && service.sourceRanges !== undefined) {
      if (service.sourceRanges.find(packet.src0 | 0, packet.src1 | 0, packet.src2 | 0, packet.src3 | 0) < 0) {
        decision.action = DROP;
        decision.reason = DROP_REASONS.notInSourceRange;
        trace?.add(
          'service',
          'drop',
          `${sourceText(packet)} is in no source range of svc ${service.port.name}`,
          {
            mode: this.mode,
            service: service.port.name,
          },
        );
        return;
      }
    }
    const backend = this.#backendFor(packet, service);
    if (backend === undefined) {
      decision.action = REJECT;
      decision.reason = DROP_REASONS.serviceBackendNotFound;
      trace?.add('service', 'reject', `svc ${service.port.name} has no backends`, {
        mode: this.mode,
        service: service.port.name,
      });
      return;
    }
    decision.action = TRANSLATE;
    decision.backend = backend.words;
    decision.port = backend.port;
    decision.reverseNat = service.reverseNat;
    this.#settleSource(packet, origin, eastWest, backend, decision);
    if (trace !== undefined) this.#trace(trace, service, backend);
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

  #backendFor(packet: Packet, service: ServiceValue): Backend | undefined {
    const { conntrack } = this.#context;
    const nowMs = this.#context.nowMs();
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
      // When the table is full the packet goes on; the next one of its flow chooses again.
      conntrack.insertService(packet, backend.id, service.reverseNat, service.port.name, nowMs);
    } else {
      backend = this.maps.backend(conntrack.backendOf(flow));
      this.#how = 'CT_SERVICE';
      // A backend that is going keeps the connections it has and gets no new ones.
      const isDraining = backend !== undefined && backend.state !== BACKEND_ACTIVE && !isSyn;
      if ((backend === undefined || backend.state !== BACKEND_ACTIVE) && !isDraining) {
        backend = this.#select(packet, service);
        if (backend === undefined) return undefined;
        conntrack.setBackend(flow, backend.id, service.reverseNat);
      }
      conntrack.touchService(flow, packet, nowMs);
    }
    if (service.affinitySeconds > 0) {
      this.affinity.update(service.reverseNat, sourceText(packet), backend.id, nowMs);
    }
    return backend;
  }

  #choose(packet: Packet, service: ServiceValue, nowMs: number): Backend | undefined {
    if (service.count > 0 && service.affinitySeconds > 0) {
      const id = this.affinity.find(service.reverseNat, sourceText(packet), service.affinitySeconds, nowMs);
      const backend = id === 0 ? undefined : this.maps.backend(id);
      if (backend !== undefined && backend.state === BACKEND_ACTIVE) {
        this.#how = 'ClientIP affinity';
        return backend;
      }
    }
    return this.#select(packet, service);
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
