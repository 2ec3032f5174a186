/**
 * The rules of iptables mode as `iptables-save` (or `ip6tables-save`) prints them: what kube-proxy would have written,
 * with the hooks and the fixed chains around the services' own (K: iptables/proxier.go). The text loads into a kernel
 * with `iptables-restore`.
 */

import { wordsText } from '../packet-text.ts';
import { protocolText } from '../service/chain-names.ts';
import type { Rule, ServiceRules } from '../service/iptables-chains.ts';
import type { Tables } from '../tables.ts';

const SERVICE_PORTALS = 'kubernetes service portals';
const EXTERNAL_PORTALS = 'kubernetes externally-visible service portals';
const FIREWALL = 'kubernetes load balancer firewall';

/** Where the kernel enters our chains. */
const NAT_HOOKS: readonly string[] = [
  `-A PREROUTING ${comment(SERVICE_PORTALS)} -j KUBE-SERVICES`,
  `-A OUTPUT ${comment(SERVICE_PORTALS)} -j KUBE-SERVICES`,
  `-A POSTROUTING ${comment('kubernetes postrouting rules')} -j KUBE-POSTROUTING`,
];
const NAT_FIXED: readonly string[] = [
  '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
  '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
  // The mark is cleared, so that a packet that comes back through the stack is not masqueraded again.
  '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
  `-A KUBE-POSTROUTING ${comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully`,
];
const FILTER_HOOKS: readonly string[] = [
  `-A INPUT -m conntrack --ctstate NEW ${comment(FIREWALL)} -j KUBE-PROXY-FIREWALL`,
  `-A INPUT ${comment('kubernetes health check service ports')} -j KUBE-NODEPORTS`,
  `-A INPUT -m conntrack --ctstate NEW ${comment(EXTERNAL_PORTALS)} -j KUBE-EXTERNAL-SERVICES`,
  '-A INPUT -j KUBE-FIREWALL',
  `-A FORWARD -m conntrack --ctstate NEW ${comment(FIREWALL)} -j KUBE-PROXY-FIREWALL`,
  `-A FORWARD ${comment('kubernetes forwarding rules')} -j KUBE-FORWARD`,
  `-A FORWARD -m conntrack --ctstate NEW ${comment(SERVICE_PORTALS)} -j KUBE-SERVICES`,
  `-A FORWARD -m conntrack --ctstate NEW ${comment(EXTERNAL_PORTALS)} -j KUBE-EXTERNAL-SERVICES`,
  `-A OUTPUT -m conntrack --ctstate NEW ${comment(FIREWALL)} -j KUBE-PROXY-FIREWALL`,
  `-A OUTPUT -m conntrack --ctstate NEW ${comment(SERVICE_PORTALS)} -j KUBE-SERVICES`,
  '-A OUTPUT -j KUBE-FIREWALL',
];
/** Only IPv4 has it: the kernel routes nothing from outside to ::1. */
const FILTER_FIREWALL_V4 =
  `-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 ${comment('block incoming localnet connections')}` +
  ' -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP';
const FILTER_FORWARD: readonly string[] = [
  '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
  `-A KUBE-FORWARD ${comment('kubernetes forwarding rules')} -m mark --mark 0x4000/0x4000 -j ACCEPT`,
  `-A KUBE-FORWARD ${comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
];

/**
 * The whole rule set of one IP family, tables `nat` and `filter`, counters at zero.
 * @param tables says what is a pod's address: kube-proxy knows one range in each family, the first is taken
 */
export function iptablesSave(ruleSet: readonly ServiceRules[], tables: Tables, version: 4 | 6): string {
  const family = familyOf(tables, version);
  const nat: string[] = [...NAT_HOOKS, ...NAT_FIXED];
  const natChains = ['KUBE-MARK-MASQ', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-SERVICES'];
  const filter: string[] = [...FILTER_HOOKS];
  if (version === 4) filter.push(FILTER_FIREWALL_V4);
  filter.push(...FILTER_FORWARD);
  for (const { port, services, nodePorts, filterServices, filterExternal, firewall, chains } of ruleSet) {
    append(nat, 'KUBE-SERVICES', services, family);
    append(nat, 'KUBE-NODEPORTS', nodePorts, family);
    for (const chain of chains) {
      natChains.push(chain.name);
      append(nat, chain.name, chain.rules, family);
    }
    append(filter, 'KUBE-SERVICES', filterServices, family);
    append(filter, 'KUBE-EXTERNAL-SERVICES', filterExternal, family);
    append(filter, 'KUBE-PROXY-FIREWALL', firewall, family);
    if (port.healthCheckNodePort !== 0) {
      const about = comment(`${port.name} health check node port`);
      filter.push(`-A KUBE-NODEPORTS -p tcp ${about} -m tcp --dport ${port.healthCheckNodePort} -j ACCEPT`);
    }
  }
  nat.push(nodePortsRule(version));
  return [
    ...table('nat', ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'], natChains, nat),
    ...table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], FILTER_CHAINS, filter),
    '',
  ].join('\n');
}

const FILTER_CHAINS: readonly string[] = [
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-FIREWALL',
  'KUBE-FORWARD',
  'KUBE-NODEPORTS',
  'KUBE-PROXY-FIREWALL',
  'KUBE-SERVICES',
];

function nodePortsRule(version: 4 | 6): string {
  const about = comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain');
  const notLoopback = version === 6 ? '! -d ::1/128 ' : '';
  return `-A KUBE-SERVICES ${notLoopback}${about} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`;
}

// Rules in the order of their chains, each chain's in the order they were appended.
function table(
  name: string,
  builtIn: readonly string[],
  chains: readonly string[],
  rules: readonly string[],
): string[] {
  const order = [...builtIn, ...[...chains].sort()];
  const byChain = new Map<string, string[]>(order.map((chain) => [chain, []]));
  for (const line of rules) byChain.get(line.split(' ', 2)[1])!.push(line);
  return [
    `*${name}`,
    ...order.map((chain) => `:${chain} ${builtIn.includes(chain) ? 'ACCEPT' : '-'} [0:0]`),
    ...[...byChain.values()].flat(),
    'COMMIT',
  ];
}

interface Family {
  readonly version: 4 | 6;
  readonly clusterCidr: string | undefined;
}

function familyOf(tables: Tables, version: 4 | 6): Family {
  const clusterCidr = tables.clusterCidrs.find((cidr) => cidr.includes(':') === (version === 6));
  return { version, clusterCidr };
}

function append(lines: string[], chain: string, rules: readonly Rule[], family: Family): void {
  for (const rule of rules) {
    const text = ruleText(rule, family);
    if (text !== undefined) lines.push(`-A ${chain} ${text}`);
  }
}

/** The matches in the order iptables-save has them: addresses, protocol, comment, the others. */
function ruleText(rule: Rule, family: Family): string | undefined {
  const parts: string[] = [];
  const { clusterCidr } = family;
  if (rule.source) parts.push(`-s ${rule.source.prefix}`);
  if (rule.sourceScope === 'outside-cluster' && clusterCidr) parts.push(`! -s ${clusterCidr}`);
  if (rule.sourceScope === 'inside-cluster') {
    // No address is a pod's.
    if (clusterCidr === undefined) return undefined;
    parts.push(`-s ${clusterCidr}`);
  }
  if (rule.destination) parts.push(`-d ${wordsText(rule.destination)}/${family.version === 4 ? 32 : 128}`);
  const protocol = rule.protocol === 0 ? '' : protocolText(rule);
  if (protocol) parts.push(`-p ${protocol}`);
  if (rule.comment) parts.push(comment(rule.comment.replaceAll('"', '')));
  if (rule.recent) {
    const { operation, list, seconds } = rule.recent;
    const window = operation === 'rcheck' ? ` --seconds ${seconds} --reap` : '';
    const mask = family.version === 4 ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
    parts.push(`-m recent --${operation}${window} --name ${list} --mask ${mask} --rsource`);
  }
  if (rule.threshold >= 0) {
    // Eleven digits of the 31 bits that the kernel compares.
    const probability = (rule.threshold / 0x80000000).toFixed(11);
    parts.push(`-m statistic --mode random --probability ${probability}`);
  }
  if (rule.destinationPort) parts.push(`-m ${protocol} --dport ${rule.destinationPort}`);
  else if (protocol) parts.push(`-m ${protocol}`);
  if (rule.destinationLocal) parts.push('-m addrtype --dst-type LOCAL');
  if (rule.sourceScope === 'local') parts.push('-m addrtype --src-type LOCAL');
  parts.push(`-j ${targetText(rule, family)}`);
  return parts.join(' ');
}

function targetText(rule: Rule, { version }: Family): string {
  switch (rule.target) {
    case 'jump':
      return rule.chain!.name;
    case 'mark-masq':
      return 'KUBE-MARK-MASQ';
    case 'drop':
      return 'DROP';
    case 'reject':
      return `REJECT --reject-with ${version === 4 ? 'icmp' : 'icmp6'}-port-unreachable`;
    case 'dnat': {
      const { address, port } = rule.endpoint!;
      return `DNAT --to-destination ${version === 4 ? address : `[${address}]`}:${port}`;
    }
  }
}

/** Quoted unless it is one plain word, as iptables-save does. */
function comment(text: string): string {
  return `-m comment --comment ${/^[\w-]+$/.test(text) ? text : `"${text}"`}`;
}
