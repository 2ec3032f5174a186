/**
 * kube-proxy's iptables mode. A flow's first packet walks KUBE-SERVICES rule by rule, as the kernel does: the cost
 * grows with the number of services, and that is the point. Later packets never come here.
 *
 * The nat table decides first. Only what it did not translate can meet the filter rules that refuse (no endpoints)
 * or drop (no local endpoints, source ranges), since those match the address the client asked for.
 */

import type { Packet } from '@podwire/wire/packet';
import { DROP_REASONS } from '../drop-reasons.ts';
import { endpointText } from '../packet-text.ts';
import type { ServicePort, Tables } from '../tables.ts';
import type { PacketTrace } from '../trace.ts';
import { buildServiceRules, type Chain, type Rule, type ServiceRules } from './iptables-chains.ts';
import { RecentLists } from './recent-lists.ts';
import {
  DROP,
  type Frontend,
  isLocalSource,
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

/** One `iptables` (or `ip6tables`) rule set. */
export class IptablesTranslator implements ServiceTranslator {
  readonly mode = 'iptables';
  readonly translatesEachPacket = false;
  readonly #context: TranslatorContext;
  readonly #recent: RecentLists;
  #facts: NodeFacts | undefined;
  #rules = new Map<ServicePort, ServiceRules>();
  #inputs: readonly unknown[] = [];
  // By IP family, in the order of the tables: the kernel has one rule set for each.
  #v4: ServiceRules[] = [];
  #v6: ServiceRules[] = [];

  // The walk in progress.
  #origin: Origin = 'host';
  #nowMs = 0;
  #marked = false;
  #verdict: Rule | undefined;
  #service: ServicePort | undefined;
  #path: string[] | undefined;

  constructor(context: TranslatorContext) {
    this.#context = context;
    this.#recent = new RecentLists();
  }

  program(tables: Tables, facts: NodeFacts): void {
    this.#facts = facts;
    // What every service's rules depend on besides the service itself.
    const inputs = [tables.node.addresses, tables.options];
    const keep = inputs.every((input, i) => input === this.#inputs[i]);
    this.#inputs = inputs;
    const rules = new Map<ServicePort, ServiceRules>();
    const changed: ServicePort[] = [];
    const v4: ServiceRules[] = [];
    const v6: ServiceRules[] = [];
    for (const port of tables.services) {
      let built = keep ? this.#rules.get(port) : undefined;
      if (built === undefined) {
        built = buildServiceRules(port, tables.node.addresses, tables.options);
        changed.push(port);
      }
      rules.set(port, built);
      (port.version === 4 ? v4 : v6).push(built);
    }
    const removed = [...this.#rules.keys()].filter((port) => !rules.has(port));
    this.#rules = rules;
    this.#v4 = v4;
    this.#v6 = v6;
    if (this.#recent.size > 0 && (changed.length > 0 || removed.length > 0)) this.#forgetRecent();
    forgetStaleUdpFlows(this.#context, changed, removed, tables);
  }

  #forgetRecent(): void {
    const named = new Set<string>();
    for (const { port, chains } of this.#rules.values()) {
      if (port.affinitySeconds > 0) for (const chain of chains) named.add(chain.name);
    }
    this.#recent.retain((list) => named.has(list));
  }

  frontend(): Frontend | undefined {
    return undefined;
  }

  /** The rules in force, for dumps. */
  ruleSet(version: 4 | 6): readonly ServiceRules[] {
    return version === 4 ? this.#v4 : this.#v6;
  }

  translate(
    packet: Packet,
    origin: Origin,
    nowMs: number,
    decision: ServiceDecision,
    trace?: PacketTrace,
  ): void {
    const sets = packet.version === 4 ? this.#v4 : this.#v6;
    this.#origin = origin;
    this.#nowMs = nowMs;
    this.#marked = false;
    this.#verdict = undefined;
    this.#service = undefined;
    this.#path = trace === undefined ? undefined : [];

    const dnat = this.#walkNat(sets, packet);
    if (dnat !== undefined) {
      decision.action = TRANSLATE;
      decision.backend = dnat.endpointWords!;
      decision.port = dnat.endpoint!.port;
      decision.sourceChange = this.#marked ? MASQUERADE : 0;
      decision.service = this.#service!.name;
      if (trace !== undefined) this.#traceDnat(trace, packet, dnat);
      return;
    }
    const refused = this.#walkFilter(sets, packet, origin);
    if (refused === undefined) return;
    decision.service = this.#service!.name;
    if (refused.target === 'reject') {
      decision.action = REJECT;
      decision.reason = DROP_REASONS.serviceBackendNotFound;
    } else {
      decision.action = DROP;
      const isFirewall = refused.comment.includes('not accepted by');
      decision.reason = isFirewall ? DROP_REASONS.notInSourceRange : DROP_REASONS.serviceBackendNotFound;
    }
    if (trace !== undefined) {
      const verdict = refused.target === 'reject' ? 'reject' : 'drop';
      trace.add(
        'service',
        verdict,
        `${refused.target.toUpperCase()}  (${refused.comment.replaceAll('"', '')})`,
        {
          mode: this.mode,
          service: this.#service!.name,
          chains: this.#path,
        },
      );
    }
  }

  // nat KUBE-SERVICES and, as its last rule, KUBE-NODEPORTS for the node's own addresses.
  #walkNat(sets: readonly ServiceRules[], packet: Packet): Rule | undefined {
    for (let i = 0; i < sets.length; i++) {
      const rules = sets[i].services;
      for (let j = 0; j < rules.length; j++) {
        if (!this.#matches(rules[j], packet)) continue;
        this.#service = sets[i].port;
        this.#path?.push('KUBE-SERVICES');
        if (this.#jump(rules[j], packet)) return this.#verdict;
      }
    }
    if (!this.#isLocalDestination(packet)) return undefined;
    for (let i = 0; i < sets.length; i++) {
      const rules = sets[i].nodePorts;
      for (let j = 0; j < rules.length; j++) {
        if (!this.#matches(rules[j], packet)) continue;
        this.#service = sets[i].port;
        this.#path?.push('KUBE-SERVICES', 'KUBE-NODEPORTS');
        if (this.#jump(rules[j], packet)) return this.#verdict;
      }
    }
    return undefined;
  }

  // filter: which chains a packet meets depends on whether the node receives, forwards or sends it.
  #walkFilter(sets: readonly ServiceRules[], packet: Packet, origin: Origin): Rule | undefined {
    const isInput = this.#isLocalDestination(packet);
    // The host's stack also hands over what came to it from outside: that is forwarded, not sent.
    const isOutput = origin === 'host' && isLocalSource(this.#facts!, packet, origin);
    for (let i = 0; i < sets.length; i++) {
      const set = sets[i];
      const found =
        this.#firstMatch(set.firewall, packet, 'KUBE-PROXY-FIREWALL') ??
        // What the node sends to itself comes back in through INPUT.
        (isOutput && !isInput
          ? undefined
          : this.#firstMatch(set.filterExternal, packet, 'KUBE-EXTERNAL-SERVICES')) ??
        (isInput && !isOutput ? undefined : this.#firstMatch(set.filterServices, packet, 'KUBE-SERVICES'));
      if (found !== undefined) {
        this.#service = set.port;
        return found;
      }
    }
    return undefined;
  }

  #firstMatch(rules: readonly Rule[], packet: Packet, chain: string): Rule | undefined {
    for (let i = 0; i < rules.length; i++) {
      if (!this.#matches(rules[i], packet)) continue;
      this.#path?.push(chain);
      return rules[i];
    }
    return undefined;
  }

  // Carries out a matching rule; true when a verdict was reached.
  #jump(matched: Rule, packet: Packet): boolean {
    switch (matched.target) {
      case 'mark-masq':
        this.#marked = true;
        this.#path?.push('KUBE-MARK-MASQ');
        return false;
      case 'jump':
        return this.#walk(matched.chain!, packet);
      default:
        this.#verdict = matched;
        return true;
    }
  }

  #walk(chain: Chain, packet: Packet): boolean {
    this.#path?.push(chain.name);
    const rules = chain.rules;
    for (let i = 0; i < rules.length; i++) {
      if (this.#matches(rules[i], packet) && this.#jump(rules[i], packet)) return true;
    }
    return false;
  }

  #matches(r: Rule, packet: Packet): boolean {
    if (r.destinationPort !== 0 && r.destinationPort !== packet.dstPort) return false;
    const destination = r.destination;
    if (destination !== undefined) {
      if (destination[3] !== (packet.dst3 | 0) || destination[2] !== (packet.dst2 | 0)) return false;
      if (destination[1] !== (packet.dst1 | 0) || destination[0] !== (packet.dst0 | 0)) return false;
    }
    if (r.protocol !== 0 && r.protocol !== packet.protocol) return false;
    if (r.destinationLocal && !this.#isLocalDestination(packet)) return false;
    const source = r.source;
    if (source !== undefined) {
      const { words, masks } = source;
      if ((packet.src3 & masks[3]) !== words[3] || (packet.src2 & masks[2]) !== words[2]) return false;
      if ((packet.src1 & masks[1]) !== words[1] || (packet.src0 & masks[0]) !== words[0]) return false;
    }
    if (r.sourceScope !== '' && !this.#isInScope(r.sourceScope, packet)) return false;
    if (r.threshold >= 0 && this.#context.random32() >>> 1 >= r.threshold) return false;
    const recent = r.recent;
    if (recent !== undefined) {
      if (recent.operation === 'set') this.#recent.set(recent.list, packet, this.#nowMs);
      else if (!this.#recent.check(recent.list, packet, recent.seconds, this.#nowMs)) return false;
    }
    return true;
  }

  #isInScope(scope: Rule['sourceScope'], packet: Packet): boolean {
    const facts = this.#facts!;
    if (scope === 'local') return isLocalSource(facts, packet, this.#origin);
    const { src0, src1, src2, src3 } = packet;
    const inside = facts.clusterCidrs.find(src0 | 0, src1 | 0, src2 | 0, src3 | 0) >= 0;
    return inside === (scope === 'inside-cluster');
  }

  #isLocalDestination(packet: Packet): boolean {
    const { dst0, dst1, dst2, dst3 } = packet;
    return this.#facts!.localAddresses.has(dst0 | 0, dst1 | 0, dst2 | 0, dst3 | 0);
  }

  #traceDnat(trace: PacketTrace, packet: Packet, dnat: Rule): void {
    const port = this.#service!;
    const endpoint = dnat.endpoint!;
    const isLocalOnly = this.#path!.some((name) => name.startsWith('KUBE-SVL-'));
    const choice = isLocalOnly ? port.localEndpoints : port.clusterEndpoints;
    const to = endpointText(endpoint.address, endpoint.port);
    const backend = `backend ${choice.indexOf(endpoint) + 1} of ${choice.length}`;
    const how = port.affinitySeconds > 0 ? 'ClientIP affinity' : 'random';
    const chains = this.#path!.filter((name) => name !== 'KUBE-MARK-MASQ').join(' > ');
    const masquerade = this.#marked ? '; KUBE-MARK-MASQ' : '';
    const text = `DNAT -> ${to}  (svc ${port.name}, ${backend}, ${how}; ${chains}${masquerade})`;
    trace.add('service', 'translate', text, {
      mode: this.mode,
      service: port.name,
      backend: endpoint,
      masquerade: this.#marked,
      chains: this.#path,
      frontend: { protocol: packet.protocol, port: packet.dstPort },
    });
  }
}
