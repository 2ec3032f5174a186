/**
 * kube-proxy's nftables mode. A flow's first packet meets the base chains in the kernel's order, and each of them is
 * one lookup in a verdict map whatever the number of services:
 *
 *     filter, before DNAT   firewall-check            @firewall-ips: source ranges
 *     nat                   services                  @service-ips, then @service-nodeports for @nodeport-ips
 *     filter                nodeport-endpoints-check  @no-endpoint-nodeports (input)
 *                           service-endpoints-check   @no-endpoint-services
 *                           cluster-ips-check         @cluster-ips: reject; else inside the service CIDR: drop
 */

import type { Packet } from '@podwire/wire/packet';
import { AddressSet, type Words, wordsOf } from '../address-words.ts';
import { DROP_REASONS, type DropReason } from '../drop-reasons.ts';
import { PrefixMap } from '../lpm.ts';
import { destinationText, endpointText } from '../packet-text.ts';
import type { ServicePort, Tables } from '../tables.ts';
import type { PacketTrace } from '../trace.ts';
import { ANY_ADDRESS, CountedAddresses, DestinationMap } from './destination-map.ts';
import {
  buildNftService,
  type NftChain,
  type NftElement,
  type NftMapName,
  type NftRule,
  type NftService,
} from './nftables-chains.ts';
import { diffServices } from './service-diff.ts';
import {
  DROP,
  type Frontend,
  isLocalSource,
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

/** The kernel may still refer to a chain shortly after its map element went. */
const STALE_CHAIN_MS = 1000;

/** Table `ip kube-proxy` or `ip6 kube-proxy`. */
export interface NftTable {
  readonly version: 4 | 6;
  readonly maps: Readonly<Record<NftMapName, DestinationMap<NftElement>>>;
  readonly clusterIps: CountedAddresses;
  /** `nodeport-ips`: the node's primary address; never a loopback address (K: --nodeport-addresses=primary). */
  nodePortIps: readonly string[];
}

function newTable(version: 4 | 6): NftTable {
  const map = (): DestinationMap<NftElement> => new DestinationMap(version);
  return {
    version,
    maps: {
      'service-ips': map(),
      'service-nodeports': map(),
      'no-endpoint-services': map(),
      'no-endpoint-nodeports': map(),
      'firewall-ips': map(),
    },
    clusterIps: new CountedAddresses(),
    nodePortIps: [],
  };
}

export class NftablesTranslator implements ServiceTranslator {
  readonly mode = 'nftables';
  readonly translatesEachPacket = false;
  readonly #context: TranslatorContext;
  readonly #tables: Readonly<Record<4 | 6, NftTable>> = { 4: newTable(4), 6: newTable(6) };
  readonly #services = new Map<ServicePort, NftService>();
  readonly #staleChains = new Map<string, number>();
  #ports: readonly ServicePort[] = [];
  #inputs: readonly unknown[] = [];
  #facts: NodeFacts | undefined;
  #nodePortIps = new AddressSet();
  #serviceCidrTexts: readonly string[] = [];
  #serviceCidrs = new PrefixMap();

  // The walk in progress.
  #origin: Origin = 'host';
  #nowMs = 0;
  #marked = false;
  #path: string[] | undefined;

  constructor(context: TranslatorContext) {
    this.#context = context;
  }

  program(tables: Tables, facts: NodeFacts): void {
    this.#facts = facts;
    if (tables.serviceCidrs !== this.#serviceCidrTexts) this.#setServiceCidrs(tables.serviceCidrs);
    const { addresses } = tables.node;
    // What every service's rules depend on besides the service itself.
    const inputs = [addresses, tables.options];
    const keep = inputs.every((input, i) => input === this.#inputs[i]);
    this.#inputs = inputs;
    if (!keep) this.#setNodePortIps(addresses);
    const { removed, added } = keep
      ? diffServices(this.#ports, tables.services)
      : { removed: this.#ports, added: tables.services };
    this.#ports = tables.services;
    const nowMs = this.#context.nowMs();
    for (const [name, sinceMs] of this.#staleChains) {
      if (nowMs - sinceMs >= STALE_CHAIN_MS) this.#staleChains.delete(name);
    }

    const before = new Map<string, NftService>();
    for (const port of removed) {
      const built = this.#services.get(port);
      // The same port listed twice is in force once.
      if (built === undefined) continue;
      this.#services.delete(port);
      before.set(keyOf(port), built);
      this.#uninstall(built);
      for (const chain of built.chains) this.#staleChains.set(chain.name, nowMs);
    }
    for (const port of added) {
      const built = buildNftService(port, addresses, tables.options, before.get(keyOf(port)));
      this.#services.set(port, built);
      this.#install(built);
      for (const chain of built.chains) this.#staleChains.delete(chain.name);
    }
    forgetStaleUdpFlows(this.#context, added, removed, tables);
  }

  #setServiceCidrs(cidrs: readonly string[]): void {
    this.#serviceCidrTexts = cidrs;
    this.#serviceCidrs = new PrefixMap();
    cidrs.forEach((cidr, i) => {
      this.#serviceCidrs.set(cidr, i);
    });
  }

  #setNodePortIps(addresses: readonly string[]): void {
    this.#nodePortIps = new AddressSet();
    for (const version of [4, 6] as const) {
      const primary = addresses.find((address) => address.includes(':') === (version === 6));
      this.#tables[version].nodePortIps = primary === undefined ? [] : [primary];
      if (primary !== undefined) this.#nodePortIps.add(primary);
    }
  }

  #install({ port, elements }: NftService): void {
    const table = this.#tables[port.version];
    table.clusterIps.add(port.clusterIp);
    for (const element of elements) {
      table.maps[element.map].set(addressOf(element), port.protocol, element.port, element);
    }
  }

  #uninstall({ port, elements }: NftService): void {
    const table = this.#tables[port.version];
    table.clusterIps.remove(port.clusterIp);
    for (const element of elements) {
      table.maps[element.map].delete(addressOf(element), port.protocol, element.port, element);
    }
  }

  frontend(): Frontend | undefined {
    return undefined;
  }

  /** Maps and sets of one family, for dumps. */
  table(version: 4 | 6): NftTable {
    return this.#tables[version];
  }

  /** Service ports of one family with their chains and affinity sets, in the order of the tables, for dumps. */
  services(version: 4 | 6): readonly NftService[] {
    return this.#ports.filter((port) => port.version === version).map((port) => this.#services.get(port)!);
  }

  /** Service CIDRs of one family: what `cluster-ips-check` drops when it is no ClusterIP. */
  serviceCidrs(version: 4 | 6): readonly string[] {
    return this.#serviceCidrTexts.filter((cidr) => cidr.includes(':') === (version === 6));
  }

  /** Chains that are flushed and wait for their removal. */
  staleChains(): readonly string[] {
    return [...this.#staleChains.keys()];
  }

  translate(
    packet: Packet,
    origin: Origin,
    nowMs: number,
    decision: ServiceDecision,
    trace?: PacketTrace,
  ): void {
    const { maps, clusterIps } = packet.version === 4 ? this.#tables[4] : this.#tables[6];
    this.#origin = origin;
    this.#nowMs = nowMs;
    this.#marked = false;
    this.#path = trace === undefined ? undefined : [];
    const { protocol, dstPort } = packet;
    const dst0 = packet.dst0 | 0;
    const dst1 = packet.dst1 | 0;
    const dst2 = packet.dst2 | 0;
    const dst3 = packet.dst3 | 0;

    const guarded = maps['firewall-ips'].find(dst0, dst1, dst2, dst3, protocol, dstPort);
    if (guarded !== undefined) {
      this.#path?.push('firewall-check');
      if (this.#walk(guarded.chain!, packet)?.statement === 'drop') {
        const text = trace && `source is in none of ${guarded.servicePort.sourceRanges.join(', ')}`;
        this.#refuse(decision, 'drop', DROP_REASONS.notInSourceRange, guarded.servicePort.name, text, trace);
        return;
      }
    }

    const isNodePortIp = this.#nodePortIps.has(dst0, dst1, dst2, dst3);
    const any = ANY_ADDRESS[packet.version as 4 | 6];
    let found = maps['service-ips'].find(dst0, dst1, dst2, dst3, protocol, dstPort);
    if (found === undefined && isNodePortIp) {
      found = maps['service-nodeports'].find(any[0], any[1], any[2], any[3], protocol, dstPort);
    }
    if (found !== undefined) {
      this.#path?.push('services');
      const dnat = this.#walk(found.chain!, packet);
      if (dnat !== undefined) {
        decision.action = TRANSLATE;
        decision.backend = dnat.words!;
        decision.port = dnat.port;
        decision.sourceChange = this.#marked ? MASQUERADE : KEEP_SOURCE;
        decision.service = found.servicePort.name;
        if (trace !== undefined) this.#traceDnat(trace, packet, dnat, found.servicePort);
        return;
      }
    }

    let refused: NftElement | undefined;
    if (isNodePortIp) {
      refused = maps['no-endpoint-nodeports'].find(any[0], any[1], any[2], any[3], protocol, dstPort);
    }
    refused ??= maps['no-endpoint-services'].find(dst0, dst1, dst2, dst3, protocol, dstPort);
    if (refused !== undefined) {
      this.#path?.push(isNodePortIp ? 'nodeport-endpoints-check' : 'service-endpoints-check');
      const what = refused.verdict === 'reject' ? 'endpoints' : 'local endpoints';
      const { name } = refused.servicePort;
      const { serviceBackendNotFound } = DROP_REASONS;
      this.#refuse(
        decision,
        refused.verdict as 'reject' | 'drop',
        serviceBackendNotFound,
        name,
        `no ${what}`,
        trace,
      );
      return;
    }

    // What the node receives itself does not pass forward or output.
    if (this.#facts!.localAddresses.has(dst0, dst1, dst2, dst3)) return;
    if (clusterIps.has(dst0, dst1, dst2, dst3)) {
      this.#path?.push('cluster-ips-check');
      const text = trace && `no service has this port of ClusterIP ${destinationText(packet)}`;
      this.#refuse(decision, 'reject', DROP_REASONS.serviceBackendNotFound, '', text, trace);
    } else if (this.#serviceCidrs.find(dst0, dst1, dst2, dst3) >= 0) {
      this.#path?.push('cluster-ips-check');
      const text = trace && `${destinationText(packet)} is in the service CIDR and no service's`;
      this.#refuse(decision, 'drop', DROP_REASONS.staleOrUnroutableIp, '', text, trace);
    }
  }

  // The rule that ends the walk (dnat or drop), or undefined at its end.
  #walk(chain: NftChain, packet: Packet): NftRule | undefined {
    this.#path?.push(chain.name);
    const rules = chain.rules;
    for (let i = 0; i < rules.length; i++) {
      const r = rules[i];
      if (!this.#matches(r, packet)) continue;
      switch (r.statement) {
        case 'mark-masq':
          this.#marked = true;
          break;
        case 'update':
          r.affinity!.update(packet, this.#nowMs);
          break;
        case 'goto':
          return this.#walk(r.chains[0], packet);
        case 'numgen': {
          // reciprocal_scale: the upper half of a 64-bit product.
          const pick = Math.floor((this.#context.random32() * r.chains.length) / 0x1_0000_0000);
          return this.#walk(r.chains[pick], packet);
        }
        default:
          return r;
      }
    }
    return undefined;
  }

  #matches(r: NftRule, packet: Packet): boolean {
    const source = r.source;
    if (source !== undefined) {
      if (source[3] !== (packet.src3 | 0) || source[2] !== (packet.src2 | 0)) return false;
      if (source[1] !== (packet.src1 | 0) || source[0] !== (packet.src0 | 0)) return false;
    }
    // A chain is reached by external addresses too.
    const { frontend } = r;
    if (frontend !== undefined) {
      const to = frontend.words;
      if (frontend.port !== packet.dstPort || to[3] !== (packet.dst3 | 0)) return false;
      if (to[2] !== (packet.dst2 | 0) || to[1] !== (packet.dst1 | 0) || to[0] !== (packet.dst0 | 0))
        return false;
    }
    if (r.sourceScope !== '' && !this.#isInScope(r.sourceScope, packet)) return false;
    if (r.sourceNotIn !== undefined) {
      const { src0, src1, src2, src3 } = packet;
      if (r.sourceNotIn.prefixes.find(src0 | 0, src1 | 0, src2 | 0, src3 | 0) >= 0) return false;
    }
    return r.affinity === undefined || r.statement === 'update' || r.affinity.has(packet, this.#nowMs);
  }

  #isInScope(scope: NftRule['sourceScope'], packet: Packet): boolean {
    const facts = this.#facts!;
    if (scope === 'local') return isLocalSource(facts, packet, this.#origin);
    const { src0, src1, src2, src3 } = packet;
    const inside = facts.clusterCidrs.find(src0 | 0, src1 | 0, src2 | 0, src3 | 0) >= 0;
    return inside === (scope === 'inside-cluster');
  }

  #refuse(
    decision: ServiceDecision,
    verdict: 'reject' | 'drop',
    reason: DropReason,
    service: string,
    text: string | undefined,
    trace: PacketTrace | undefined,
  ): void {
    decision.action = verdict === 'reject' ? REJECT : DROP;
    decision.reason = reason;
    decision.service = service;
    if (trace === undefined) return;
    const who = service === '' ? '' : `svc ${service}: `;
    const line = `${verdict.toUpperCase()}  (${who}${text}; ${this.#path!.join(' > ')})`;
    trace.add('service', verdict, line, { mode: this.mode, service, chains: this.#path });
  }

  #traceDnat(trace: PacketTrace, packet: Packet, dnat: NftRule, port: ServicePort): void {
    const isLocalOnly = this.#path!.some((name) => name.startsWith('local-'));
    const choice = isLocalOnly ? port.localEndpoints : port.clusterEndpoints;
    const at = choice.findIndex(
      ({ address, port: number }) => address === dnat.address && number === dnat.port,
    );
    const backend = `backend ${at + 1} of ${choice.length}`;
    const how = port.affinitySeconds > 0 ? 'ClientIP affinity' : 'random';
    const masquerade = this.#marked ? '; mark-for-masquerade' : '';
    const chains = this.#path!.join(' > ');
    const to = endpointText(dnat.address, dnat.port);
    const text = `DNAT -> ${to}  (svc ${port.name}, ${backend}, ${how}; ${chains}${masquerade})`;
    trace.add('service', 'translate', text, {
      mode: this.mode,
      service: port.name,
      backend: choice[at],
      masquerade: this.#marked,
      chains: this.#path,
      frontend: { protocol: packet.protocol, port: packet.dstPort },
    });
  }
}

function keyOf(port: ServicePort): string {
  return `${port.name} ${port.protocol} ${port.version}`;
}

function addressOf(element: NftElement): Words {
  return element.address === '' ? ANY_ADDRESS[element.servicePort.version] : wordsOf(element.address);
}
