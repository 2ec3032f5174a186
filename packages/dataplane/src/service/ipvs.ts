/**
 * kube-proxy's IPVS mode: the kernel's load balancer chooses the server, a few iptables rules over ipsets decide who is
 * masqueraded and what is refused. Service addresses are bound to the dummy device kube-ipvs0, so the node receives what
 * is sent to them; KUBE-IPVS-FILTER refuses what is for no virtual server, pings included.
 */

import type { Packet } from '@podwire/wire/packet';
import { isIpv4Words } from '../address-words.ts';
import { DROP_REASONS, type DropReason } from '../drop-reasons.ts';
import { destinationText, endpointText, sourceText } from '../packet-text.ts';
import type { Tables } from '../tables.ts';
import type { PacketTrace } from '../trace.ts';
import { protocolText } from './chain-names.ts';
import { IpvsTable, type RealServer, type VirtualServer } from './ipvs-servers.ts';
import {
  DROP,
  type Frontend,
  KEEP_SOURCE,
  MASQUERADE,
  type NodeFacts,
  type Origin,
  REJECT,
  type ServiceDecision,
  type ServiceTranslator,
  TRANSLATE,
  type TranslatorContext,
} from './translator.ts';
import { forgetStaleUdpFlows } from './udp-cleanup.ts';

export class IpvsTranslator implements ServiceTranslator {
  readonly mode = 'ipvs';
  readonly translatesEachPacket = false;
  readonly table: IpvsTable;
  readonly #context: TranslatorContext;
  #facts: NodeFacts | undefined;
  #masqueradeAll = false;

  constructor(context: TranslatorContext) {
    this.#context = context;
    this.table = new IpvsTable(context.conntrack, context.nowMs());
  }

  program(tables: Tables, facts: NodeFacts): void {
    this.#facts = facts;
    this.#masqueradeAll = tables.options?.masqueradeAll ?? false;
    this.table.checkLeaving(this.#context.nowMs());
    const { added, removed } = this.table.program(tables);
    forgetStaleUdpFlows(this.#context, added, removed, tables);
  }

  frontend(): Frontend | undefined {
    return undefined;
  }

  translate(
    packet: Packet,
    origin: Origin,
    nowMs: number,
    decision: ServiceDecision,
    trace?: PacketTrace,
  ): void {
    const { table } = this;
    table.checkLeaving(nowMs);
    const virtual = table.find(packet);
    if (virtual === undefined) {
      const { dst0, dst1, dst2, dst3 } = packet;
      if (!table.boundAddresses.has(dst0 | 0, dst1 | 0, dst2 | 0, dst3 | 0)) return;
      const text = trace && `KUBE-IPVS-FILTER: no virtual server of ${destinationText(packet)} takes this`;
      this.#refuse(decision, REJECT, DROP_REASONS.serviceBackendNotFound, text, trace);
      return;
    }
    decision.service = virtual.servicePort.name;
    if (virtual.sourceRanges !== undefined) {
      const { src0, src1, src2, src3 } = packet;
      if (virtual.sourceRanges.find(src0 | 0, src1 | 0, src2 | 0, src3 | 0) < 0) {
        const ranges = virtual.servicePort.sourceRanges.join(', ');
        const text = trace && `KUBE-SOURCE-RANGES-FIREWALL: ${sourceText(packet)} is in none of ${ranges}`;
        this.#refuse(decision, DROP, DROP_REASONS.notInSourceRange, text, trace);
        return;
      }
    }
    const server = virtual.serverFor(packet, nowMs);
    if (server === undefined) {
      const text = trace && `virtual server ${virtualText(virtual)} has no real server for it`;
      this.#refuse(decision, REJECT, DROP_REASONS.serviceBackendNotFound, text, trace);
      return;
    }
    const masquerade = this.#masquerades(packet, origin, virtual, server);
    decision.action = TRANSLATE;
    decision.backend = server.words;
    decision.port = server.port;
    decision.server = server.id;
    decision.sourceChange = masquerade === '' ? KEEP_SOURCE : MASQUERADE;
    if (trace !== undefined) this.#trace(trace, virtual, server, masquerade);
  }

  // The ipset or chain that has the source masqueraded; '' when it stays.
  #masquerades(packet: Packet, origin: Origin, virtual: VirtualServer, server: RealServer): string {
    const { src0, src1, src2, src3 } = packet;
    const words = server.words;
    const isSelf =
      words[3] === (src3 | 0) &&
      words[2] === (src2 | 0) &&
      words[1] === (src1 | 0) &&
      words[0] === (src0 | 0);
    if (isSelf && server.endpoint.local) return 'KUBE-LOOP-BACK';
    if (virtual.kind === 'ClusterIP') {
      const isInside = this.#facts!.clusterCidrs.find(src0 | 0, src1 | 0, src2 | 0, src3 | 0) >= 0;
      if (this.#masqueradeAll || !isInside) return 'KUBE-CLUSTER-IP';
    } else if (virtual.servicePort.externalTrafficPolicy === 'Cluster') {
      return SETS[virtual.kind];
    }
    // The kernel picks the source of the node's own packets by their route; a loopback address never leaves the node.
    const isLoopback = isIpv4Words(words)
      ? src3 >>> 24 === 127
      : src0 === 0 && src1 === 0 && src2 === 0 && src3 === 1;
    return origin === 'host' && isLoopback ? 'source of the route' : '';
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
    const verdict = action === REJECT ? 'reject' : 'drop';
    const svc = decision.service === '' ? '' : `svc ${decision.service}: `;
    trace.add('service', verdict, `${verdict.toUpperCase()}  (${svc}${text})`, {
      mode: this.mode,
      service: decision.service,
    });
  }

  #trace(trace: PacketTrace, virtual: VirtualServer, server: RealServer, masquerade: string): void {
    const { servers, servicePort, timeoutSeconds } = virtual;
    const { backendFlows } = this.#context.conntrack;
    const active = backendFlows.activeOf(server.id);
    const inactive = backendFlows.inactiveOf(server.id);
    const which = `real server ${servers.indexOf(server) + 1} of ${servers.length}`;
    const how = timeoutSeconds > 0 ? `, persistent ${timeoutSeconds}` : '';
    const counts = `ActiveConn ${active}, InActConn ${inactive}`;
    const masqueraded = masquerade === '' ? '' : `; masquerade: ${masquerade}`;
    const to = endpointText(server.endpoint.address, server.port);
    const text = `DNAT -> ${to}  (svc ${servicePort.name}, ${virtualText(virtual)}${how}, ${which}, ${counts}${masqueraded})`;
    trace.add('service', 'translate', text, {
      mode: this.mode,
      service: servicePort.name,
      kind: virtual.kind,
      scheduler: virtual.schedulerName,
      backend: server.endpoint,
      masquerade: masquerade !== '',
      active,
      inactive,
    });
  }
}

const SETS = {
  ExternalIP: 'KUBE-EXTERNAL-IP',
  LoadBalancer: 'KUBE-LOAD-BALANCER',
  NodePort: 'KUBE-NODE-PORT',
} as const;

/** `TCP 10.96.0.9:80 rr`, as ipvsadm prints it. */
function virtualText({ servicePort, address, port, schedulerName }: VirtualServer): string {
  return `${protocolText(servicePort).toUpperCase()} ${endpointText(address, port)} ${schedulerName}`;
}
