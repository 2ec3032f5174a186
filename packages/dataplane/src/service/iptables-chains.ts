/**
 * The chains of kube-proxy's iptables mode as data: what `iptables-save` would show, built for one service port at a
 * time (K: iptables/proxier.go, syncProxyRules). The walker in iptables.ts reads them rule by rule.
 */

import { contains, parseCidr } from '@podwire/wire/cidr';
import { type Words, wordsOf } from '../address-words.ts';
import type { ServiceEndpoint, ServiceOptions, ServicePort } from '../tables.ts';
import { endpointChainName, serviceChainSuffix } from './chain-names.ts';

export interface Chain {
  readonly name: string;
  readonly rules: Rule[];
}

/** `jump` returns when the chain ends without a verdict; the other targets but `mark-masq` are verdicts. */
export type RuleTarget = 'jump' | 'mark-masq' | 'dnat' | 'reject' | 'drop';

/** `-s`: a prefix in words and masks. */
export interface PrefixMatch {
  readonly prefix: string;
  readonly words: Words;
  readonly masks: Words;
}

/** `-m recent`: the list's name, and for a check the window in seconds. */
export interface RecentMatch {
  readonly operation: 'rcheck' | 'set';
  readonly list: string;
  readonly seconds: number;
}

/** Every rule has every field, so that the walk stays on one object shape. */
export interface Rule {
  readonly comment: string;
  /** 0 matches every protocol. */
  readonly protocol: number;
  readonly destination: Words | undefined;
  /** 0 matches every port. */
  readonly destinationPort: number;
  /** `-m addrtype --dst-type LOCAL` */
  readonly destinationLocal: boolean;
  readonly source: PrefixMatch | undefined;
  /** Local pods are told by the cluster CIDR; `local` is `-m addrtype --src-type LOCAL`. */
  readonly sourceScope: '' | 'outside-cluster' | 'inside-cluster' | 'local';
  /** `-m statistic --mode random --probability p` as the kernel holds it, p * 2^31; -1 without. */
  readonly threshold: number;
  readonly recent: RecentMatch | undefined;
  readonly target: RuleTarget;
  readonly chain: Chain | undefined;
  /** For `dnat`. */
  readonly endpoint: ServiceEndpoint | undefined;
  readonly endpointWords: Words | undefined;
}

/** What one service port adds to the shared chains; the chains behind them hang on the rules. */
export interface ServiceRules {
  readonly port: ServicePort;
  /** nat KUBE-SERVICES */
  readonly services: readonly Rule[];
  /** nat KUBE-NODEPORTS */
  readonly nodePorts: readonly Rule[];
  /** filter KUBE-SERVICES (FORWARD and OUTPUT) */
  readonly filterServices: readonly Rule[];
  /** filter KUBE-EXTERNAL-SERVICES (INPUT and FORWARD) */
  readonly filterExternal: readonly Rule[];
  /** filter KUBE-PROXY-FIREWALL */
  readonly firewall: readonly Rule[];
  /** Every chain of this port, in the order of a dump. */
  readonly chains: readonly Chain[];
}

const ANY: Rule = {
  comment: '',
  protocol: 0,
  destination: undefined,
  destinationPort: 0,
  destinationLocal: false,
  source: undefined,
  sourceScope: '',
  threshold: -1,
  recent: undefined,
  target: 'jump',
  chain: undefined,
  endpoint: undefined,
  endpointWords: undefined,
};

/** A rule in the one shape. */
export function rule(fields: Partial<Rule>): Rule {
  return { ...ANY, ...fields };
}

/** The probability as iptables-save prints it, and as the kernel compares it (31 bits). */
export function probabilityText(remaining: number): string {
  return (1 / remaining).toFixed(10);
}
function thresholdOf(remaining: number): number {
  return Math.round(Number(probabilityText(remaining)) * 0x80000000);
}

/** Builds the rules and chains of one service port. `nodeAddresses` matter for loadBalancerSourceRanges. */
export function buildServiceRules(
  port: ServicePort,
  nodeAddresses: readonly string[],
  options: ServiceOptions | undefined,
): ServiceRules {
  const suffix = serviceChainSuffix(port);
  const name = port.name;
  const { clusterEndpoints, localEndpoints } = port;
  const hasEndpoints = clusterEndpoints.length > 0 || localEndpoints.length > 0;
  const hasInternal =
    port.internalTrafficPolicy === 'Local' ? localEndpoints.length > 0 : clusterEndpoints.length > 0;
  const externalLocal = port.externalTrafficPolicy === 'Local';
  const hasExternal = externalLocal ? localEndpoints.length > 0 : clusterEndpoints.length > 0;
  const isExternal = port.nodePort !== 0 || port.externalIps.length + port.loadBalancerIps.length > 0;

  const chains: Chain[] = [];
  const chain = (prefix: string): Chain => {
    const made: Chain = { name: prefix + suffix, rules: [] };
    chains.push(made);
    return made;
  };
  const usesCluster = port.internalTrafficPolicy === 'Cluster' || isExternal;
  const usesLocal = port.internalTrafficPolicy === 'Local' || (isExternal && externalLocal);
  const cluster = usesCluster && clusterEndpoints.length > 0 ? chain('KUBE-SVC-') : undefined;
  const local = usesLocal && localEndpoints.length > 0 ? chain('KUBE-SVL-') : undefined;
  const internal = port.internalTrafficPolicy === 'Local' ? local : cluster;
  const external = hasEndpoints && isExternal ? chain('KUBE-EXT-') : undefined;
  const hasFirewall = hasEndpoints && port.loadBalancerIps.length > 0 && port.sourceRanges.length > 0;
  const firewallChain = hasFirewall ? chain('KUBE-FW-') : undefined;

  const services: Rule[] = [];
  const nodePorts: Rule[] = [];
  const filterServices: Rule[] = [];
  const filterExternal: Rule[] = [];
  const firewall: Rule[] = [];
  const refusal = (hasSome: boolean): Partial<Rule> =>
    hasSome
      ? { comment: `"${name} has no local endpoints"`, target: 'drop' }
      : { comment: `"${name} has no endpoints"`, target: 'reject' };
  const to = (address: string): Partial<Rule> => ({
    protocol: port.protocol,
    destination: wordsOf(address),
    destinationPort: port.port,
  });

  if (hasInternal) {
    services.push(rule({ ...to(port.clusterIp), comment: `"${name} cluster IP"`, chain: internal }));
  } else {
    filterServices.push(rule({ ...to(port.clusterIp), ...refusal(hasEndpoints) }));
  }
  for (const address of port.externalIps) {
    if (external) services.push(rule({ ...to(address), comment: `"${name} external IP"`, chain: external }));
    if (!hasExternal) filterExternal.push(rule({ ...to(address), ...refusal(hasEndpoints) }));
  }
  for (const address of port.loadBalancerIps) {
    if (external) {
      const chainTo = firewallChain ?? external;
      services.push(rule({ ...to(address), comment: `"${name} loadbalancer IP"`, chain: chainTo }));
    }
    if (firewallChain) {
      const comment = `"${name} traffic not accepted by ${firewallChain.name}"`;
      firewall.push(rule({ ...to(address), comment, target: 'drop' }));
    }
    if (!hasExternal) filterExternal.push(rule({ ...to(address), ...refusal(hasEndpoints) }));
  }
  if (port.nodePort !== 0) {
    const onNode = { protocol: port.protocol, destinationPort: port.nodePort };
    if (external) nodePorts.push(rule({ ...onNode, comment: name, chain: external }));
    if (!hasExternal) {
      filterExternal.push(rule({ ...onNode, destinationLocal: true, ...refusal(hasEndpoints) }));
    }
  }

  // The first rule of the policy chain: who may not see the client's address.
  if (internal && hasInternal) {
    const masquerade = {
      ...to(port.clusterIp),
      comment: `"${name} cluster IP"`,
      target: 'mark-masq',
    } as const;
    internal.rules.push(
      rule(options?.masqueradeAll ? masquerade : { ...masquerade, sourceScope: 'outside-cluster' }),
    );
  }
  if (external) {
    if (!externalLocal) {
      const comment = `"masquerade traffic for ${name} external destinations"`;
      external.rules.push(rule({ comment, target: 'mark-masq' }));
    } else if (cluster) {
      external.rules.push(
        rule({
          comment: `"pod traffic for ${name} external destinations"`,
          sourceScope: 'inside-cluster',
          chain: cluster,
        }),
        rule({
          comment: `"masquerade LOCAL traffic for ${name} external destinations"`,
          sourceScope: 'local',
          target: 'mark-masq',
        }),
        rule({
          comment: `"route LOCAL traffic for ${name} external destinations"`,
          sourceScope: 'local',
          chain: cluster,
        }),
      );
    }
    const policy = externalLocal ? local : cluster;
    if (hasExternal && policy) external.rules.push(rule({ chain: policy }));
  }
  if (firewallChain && external) {
    const comment = `"${name} loadbalancer IP"`;
    let allowsNode = false;
    for (const range of port.sourceRanges) {
      firewallChain.rules.push(rule({ comment, source: prefixMatch(range), chain: external }));
      const cidr = parseCidr(range);
      allowsNode ||= cidr !== undefined && nodeAddresses.some((address) => contains(cidr, address));
    }
    // The node's own connections to the address leave with that address as their source.
    if (allowsNode) {
      for (const address of port.loadBalancerIps) {
        firewallChain.rules.push(rule({ comment, source: hostMatch(address), chain: external }));
      }
    }
  }

  const endpointChains = new Map<ServiceEndpoint, Chain>();
  const endpointChain = (endpoint: ServiceEndpoint): Chain => {
    let made = endpointChains.get(endpoint);
    if (made === undefined) {
      made = buildEndpointChain(port, endpoint);
      endpointChains.set(endpoint, made);
    }
    return made;
  };
  if (cluster) addEndpointRules(port, cluster, clusterEndpoints, endpointChain);
  if (local) addEndpointRules(port, local, localEndpoints, endpointChain);
  chains.push(...endpointChains.values());
  return { port, services, nodePorts, filterServices, filterExternal, firewall, chains };
}

function addEndpointRules(
  port: ServicePort,
  chain: Chain,
  endpoints: readonly ServiceEndpoint[],
  endpointChain: (endpoint: ServiceEndpoint) => Chain,
): void {
  if (port.affinitySeconds > 0) {
    for (const endpoint of endpoints) {
      const target = endpointChain(endpoint);
      const recent = { operation: 'rcheck', list: target.name, seconds: port.affinitySeconds } as const;
      chain.rules.push(rule({ comment: endpointComment(port, endpoint), recent, chain: target }));
    }
  }
  endpoints.forEach((endpoint, i) => {
    const remaining = endpoints.length - i;
    const threshold = remaining > 1 ? thresholdOf(remaining) : -1;
    chain.rules.push(
      rule({ comment: endpointComment(port, endpoint), threshold, chain: endpointChain(endpoint) }),
    );
  });
}

function endpointComment(port: ServicePort, endpoint: ServiceEndpoint): string {
  const address = endpoint.address.includes(':') ? `[${endpoint.address}]` : endpoint.address;
  return `"${port.name} -> ${address}:${endpoint.port}"`;
}

function buildEndpointChain(port: ServicePort, endpoint: ServiceEndpoint): Chain {
  const name = endpointChainName(port, endpoint);
  const recent =
    port.affinitySeconds > 0 ? ({ operation: 'set', list: name, seconds: 0 } as const) : undefined;
  return {
    name,
    rules: [
      // A pod that reaches itself must see the answer come back through the node (hairpin).
      rule({ comment: port.name, source: hostMatch(endpoint.address), target: 'mark-masq' }),
      rule({
        comment: port.name,
        protocol: port.protocol,
        recent,
        target: 'dnat',
        endpoint,
        endpointWords: wordsOf(endpoint.address),
      }),
    ],
  };
}

function hostMatch(address: string): PrefixMatch {
  return prefixMatch(`${address}/${address.includes(':') ? 128 : 32}`);
}

function prefixMatch(prefix: string): PrefixMatch {
  const slash = prefix.indexOf('/');
  const words = wordsOf(prefix.slice(0, slash));
  const length = Number(prefix.slice(slash + 1)) + (prefix.includes(':') ? 0 : 96);
  const mask = (from: number): number => {
    const bits = Math.min(32, Math.max(0, length - from));
    return bits === 0 ? 0 : -1 << (32 - bits);
  };
  const masks: Words = [mask(0), mask(32), mask(64), mask(96)];
  return {
    prefix,
    words: [words[0] & masks[0], words[1] & masks[1], words[2] & masks[2], words[3] & masks[3]],
    masks,
  };
}
