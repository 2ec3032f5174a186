/**
 * Table `kube-proxy` of kube-proxy's nftables mode as data, built for one service port at a time (K:
 * nftables/proxier.go, syncProxyRules): its elements in the verdict maps, and the chains behind them. The translator
 * in nftables.ts looks them up and walks them; a dump prints them.
 */

import { contains, parseCidr } from '@podwire/wire/cidr';
import { type Words, wordsOf } from '../address-words.ts';
import { PrefixMap } from '../lpm.ts';
import type { ServiceEndpoint, ServiceOptions, ServicePort } from '../tables.ts';
import { AffinitySet } from './nftables-affinity.ts';
import { endpointNameBase, servicePortNameBase } from './nftables-names.ts';

export interface NftChain {
  readonly name: string;
  readonly rules: NftRule[];
}

/**
 * What a rule does when it matches: `mark-masq` (`jump mark-for-masquerade`) and `update` go on with the next rule,
 * `goto` and `numgen` (`numgen random mod N vmap`) continue elsewhere and do not come back, the others end the walk.
 */
export type NftStatement = 'mark-masq' | 'update' | 'goto' | 'numgen' | 'dnat' | 'drop';

/** `ip saddr != { … }` */
export interface SourceList {
  readonly texts: readonly string[];
  readonly prefixes: PrefixMap;
}

export interface NftFrontend {
  readonly address: string;
  readonly words: Words;
  readonly protocol: number;
  readonly port: number;
}

/** Every rule has every field, so that the walk stays on one object shape. */
export interface NftRule {
  readonly comment: string;
  /** `ip daddr A tcp dport P` of the service, which the chain was reached by already. */
  readonly frontend: NftFrontend | undefined;
  /** Pods are told by the cluster CIDR; `local` is `fib saddr type local`. */
  readonly sourceScope: '' | 'outside-cluster' | 'inside-cluster' | 'local';
  /** `ip saddr A` */
  readonly source: Words | undefined;
  readonly sourceNotIn: SourceList | undefined;
  /** `ip saddr @affinity-…`; for `update` the set that is updated. */
  readonly affinity: AffinitySet | undefined;
  readonly statement: NftStatement;
  /** For `goto`: one; for `numgen`: N, in order. */
  readonly chains: readonly NftChain[];
  /** For `dnat`, and the address behind `source`. */
  readonly address: string;
  readonly port: number;
  readonly words: Words | undefined;
}

export type NftMapName =
  | 'service-ips'
  | 'service-nodeports'
  | 'no-endpoint-services'
  | 'no-endpoint-nodeports'
  | 'firewall-ips';

/** One element of a verdict map: `10.96.0.9 . tcp . 80 comment "web/api:http" : goto service-…`. */
export interface NftElement {
  readonly map: NftMapName;
  readonly servicePort: ServicePort;
  /** '' in the maps of node ports. */
  readonly address: string;
  readonly port: number;
  readonly verdict: 'goto' | 'drop' | 'reject';
  readonly chain: NftChain | undefined;
}

/** What one service port adds to the table. */
export interface NftService {
  readonly port: ServicePort;
  readonly elements: readonly NftElement[];
  /** In the order of a dump. */
  readonly chains: readonly NftChain[];
  readonly affinitySets: readonly AffinitySet[];
}

const NO_CHAINS: readonly NftChain[] = [];
const ANY: NftRule = {
  comment: '',
  frontend: undefined,
  sourceScope: '',
  source: undefined,
  sourceNotIn: undefined,
  affinity: undefined,
  statement: 'goto',
  chains: NO_CHAINS,
  address: '',
  port: 0,
  words: undefined,
};

function rule(fields: Partial<NftRule>): NftRule {
  return { ...ANY, ...fields };
}

/**
 * Builds what one service port adds. Chains and sets of `previous`, the same port's last build, are taken over where
 * they say the same: those are not programmed again, and a set keeps its clients.
 */
export function buildNftService(
  port: ServicePort,
  nodeAddresses: readonly string[],
  options: ServiceOptions | undefined,
  previous: NftService | undefined,
): NftService {
  return new Builder(port, nodeAddresses, options, previous).build();
}

class Builder {
  readonly #port: ServicePort;
  readonly #nodeAddresses: readonly string[];
  readonly #options: ServiceOptions | undefined;
  readonly #oldChains: ReadonlyMap<string, NftChain>;
  readonly #oldSets: ReadonlyMap<string, AffinitySet>;
  readonly #base: string;
  readonly #chains: NftChain[] = [];
  readonly #endpointChains = new Map<ServiceEndpoint, NftChain>();
  readonly #sets = new Map<ServiceEndpoint, AffinitySet>();
  readonly #elements: NftElement[] = [];

  constructor(
    port: ServicePort,
    nodeAddresses: readonly string[],
    options: ServiceOptions | undefined,
    previous: NftService | undefined,
  ) {
    this.#port = port;
    this.#nodeAddresses = nodeAddresses;
    this.#options = options;
    this.#oldChains = new Map(previous?.chains.map((chain) => [chain.name, chain]));
    this.#oldSets = new Map(previous?.affinitySets.map((set) => [set.name, set]));
    this.#base = servicePortNameBase(port);
  }

  build(): NftService {
    const port = this.#port;
    const { clusterEndpoints, localEndpoints } = port;
    const internalLocal = port.internalTrafficPolicy === 'Local';
    const externalLocal = port.externalTrafficPolicy === 'Local';
    const isExternal = port.nodePort !== 0 || port.externalIps.length + port.loadBalancerIps.length > 0;
    const hasEndpoints = clusterEndpoints.length + localEndpoints.length > 0;
    const hasExternal = (externalLocal ? localEndpoints : clusterEndpoints).length > 0;
    const usesCluster = !internalLocal || isExternal;
    const usesLocal = internalLocal || (isExternal && externalLocal);

    const cluster = usesCluster ? this.#policyChain('service-', clusterEndpoints, !internalLocal) : undefined;
    const local = usesLocal ? this.#policyChain('local-', localEndpoints, internalLocal) : undefined;
    const internal = internalLocal ? local : cluster;
    if (internal !== undefined) this.#goto('service-ips', port.clusterIp, port.port, internal);
    else this.#refuse('no-endpoint-services', port.clusterIp, port.port, hasEndpoints);

    if (isExternal) {
      const external = hasEndpoints
        ? this.#externalChain(cluster, externalLocal ? local : cluster)
        : undefined;
      const firewall =
        port.loadBalancerIps.length > 0 && port.sourceRanges.length > 0 ? this.#firewallChain() : undefined;
      for (const address of [...port.externalIps, ...port.loadBalancerIps]) {
        if (external !== undefined) this.#goto('service-ips', address, port.port, external);
        if (!hasExternal) this.#refuse('no-endpoint-services', address, port.port, hasEndpoints);
      }
      for (const address of port.loadBalancerIps) {
        if (firewall !== undefined) this.#goto('firewall-ips', address, port.port, firewall);
      }
      if (port.nodePort !== 0) {
        if (external !== undefined) this.#goto('service-nodeports', '', port.nodePort, external);
        if (!hasExternal) this.#refuse('no-endpoint-nodeports', '', port.nodePort, hasEndpoints);
      }
    }
    const chains = [...this.#chains, ...this.#endpointChains.values()];
    return { port, elements: this.#elements, chains, affinitySets: [...this.#sets.values()] };
  }

  // The chain that chooses; the internal one also says whose address the backend may not see.
  #policyChain(
    prefix: string,
    endpoints: readonly ServiceEndpoint[],
    isInternal: boolean,
  ): NftChain | undefined {
    if (endpoints.length === 0) return undefined;
    const rules: NftRule[] = [];
    if (isInternal) {
      const sourceScope = this.#options?.masqueradeAll ? '' : 'outside-cluster';
      const { clusterIp: address, protocol, port } = this.#port;
      const frontend: NftFrontend = { address, words: wordsOf(address), protocol, port };
      rules.push(rule({ frontend, sourceScope, statement: 'mark-masq' }));
    }
    const chains = endpoints.map((endpoint) => this.#endpointChain(endpoint));
    if (this.#port.affinitySeconds > 0) {
      endpoints.forEach((endpoint, i) => {
        rules.push(rule({ affinity: this.#affinitySet(endpoint), statement: 'goto', chains: [chains[i]] }));
      });
    }
    rules.push(rule({ statement: 'numgen', chains }));
    return this.#chain(prefix + this.#base, rules);
  }

  #externalChain(cluster: NftChain | undefined, policy: NftChain | undefined): NftChain {
    const rules: NftRule[] = [];
    if (this.#port.externalTrafficPolicy === 'Cluster') {
      rules.push(rule({ statement: 'mark-masq' }));
    } else {
      if (cluster !== undefined) {
        const comment = 'short-circuit pod traffic';
        rules.push(rule({ comment, sourceScope: 'inside-cluster', statement: 'goto', chains: [cluster] }));
      }
      rules.push(rule({ comment: 'masquerade local traffic', sourceScope: 'local', statement: 'mark-masq' }));
      if (cluster !== undefined) {
        const comment = 'short-circuit local traffic';
        rules.push(rule({ comment, sourceScope: 'local', statement: 'goto', chains: [cluster] }));
      }
    }
    if (policy !== undefined) rules.push(rule({ statement: 'goto', chains: [policy] }));
    return this.#chain(`external-${this.#base}`, rules);
  }

  #firewallChain(): NftChain {
    const { sourceRanges, loadBalancerIps } = this.#port;
    const cidrs = sourceRanges.map(parseCidr);
    const allowsNode = cidrs.some((cidr) => cidr && this.#nodeAddresses.some((node) => contains(cidr, node)));
    // The node's own connections to the address leave with that address as their source.
    const texts = allowsNode ? [...sourceRanges, ...loadBalancerIps] : sourceRanges;
    const prefixes = new PrefixMap();
    texts.forEach((text, i) => {
      prefixes.set(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`, i);
    });
    return this.#chain(`firewall-${this.#base}`, [
      rule({ sourceNotIn: { texts, prefixes }, statement: 'drop' }),
    ]);
  }

  #endpointChain(endpoint: ServiceEndpoint): NftChain {
    const known = this.#endpointChains.get(endpoint);
    if (known !== undefined) return known;
    const { address, port } = endpoint;
    const words = wordsOf(address);
    const rules = [
      // A pod that reaches itself must see the answer come back through the node (hairpin).
      rule({ source: words, address, statement: 'mark-masq' }),
    ];
    if (this.#port.affinitySeconds > 0) {
      rules.push(rule({ affinity: this.#affinitySet(endpoint), statement: 'update' }));
    }
    rules.push(rule({ statement: 'dnat', address, port, words }));
    const chain = this.#reuse({ name: `endpoint-${endpointNameBase(this.#port, endpoint)}`, rules });
    this.#endpointChains.set(endpoint, chain);
    return chain;
  }

  #affinitySet(endpoint: ServiceEndpoint): AffinitySet {
    const known = this.#sets.get(endpoint);
    if (known !== undefined) return known;
    const name = `affinity-${endpointNameBase(this.#port, endpoint)}`;
    const seconds = this.#port.affinitySeconds;
    const old = this.#oldSets.get(name);
    const set = old?.timeoutSeconds === seconds ? old : new AffinitySet(name, seconds);
    this.#sets.set(endpoint, set);
    return set;
  }

  #chain(name: string, rules: NftRule[]): NftChain {
    const chain = this.#reuse({ name, rules });
    this.#chains.push(chain);
    return chain;
  }

  #reuse(chain: NftChain): NftChain {
    const old = this.#oldChains.get(chain.name);
    return old !== undefined && isSameChain(old, chain) ? old : chain;
  }

  #goto(map: NftMapName, address: string, port: number, chain: NftChain): void {
    this.#elements.push({ map, servicePort: this.#port, address, port, verdict: 'goto', chain });
  }

  #refuse(map: NftMapName, address: string, port: number, hasEndpoints: boolean): void {
    const verdict = hasEndpoints ? 'drop' : 'reject';
    this.#elements.push({ map, servicePort: this.#port, address, port, verdict, chain: undefined });
  }
}

function isSameChain(a: NftChain, b: NftChain): boolean {
  return a.rules.length === b.rules.length && a.rules.every((each, i) => isSameRule(each, b.rules[i]));
}

function isSameRule(a: NftRule, b: NftRule): boolean {
  return (
    a.statement === b.statement &&
    a.comment === b.comment &&
    a.sourceScope === b.sourceScope &&
    a.affinity === b.affinity &&
    a.address === b.address &&
    a.port === b.port &&
    a.frontend?.address === b.frontend?.address &&
    a.frontend?.port === b.frontend?.port &&
    a.sourceNotIn?.texts.join() === b.sourceNotIn?.texts.join() &&
    a.chains.length === b.chains.length &&
    a.chains.every((chain, i) => chain === b.chains[i])
  );
}
