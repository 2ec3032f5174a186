/**
 * The table of nftables mode as `nft list table ip kube-proxy` prints it: base chains, sets and verdict maps, and the
 * services' chains (K: nftables/proxier.go). The text loads into a kernel with `nft -f`.
 */

import { protocolText } from '../service/chain-names.ts';
import type { NftablesTranslator } from '../service/nftables.ts';
import type { NftChain, NftElement, NftMapName, NftRule } from '../service/nftables-chains.ts';
import type { ServicePort, Tables } from '../tables.ts';

/** In the words of one IP family. */
interface Family {
  /** `ip` or `ip6`: the table's family, and how addresses are matched. */
  readonly name: 'ip' | 'ip6';
  readonly addressType: 'ipv4_addr' | 'ipv6_addr';
  readonly clusterCidr: string | undefined;
}

const MAP_COMMENTS: Readonly<Record<NftMapName, string>> = {
  'firewall-ips': 'destinations that are subject to LoadBalancerSourceRanges',
  'no-endpoint-nodeports': 'vmap to drop or reject packets to service nodeports with no endpoints',
  'no-endpoint-services': 'vmap to drop or reject packets to services with no endpoints',
  'service-ips': 'ClusterIP, ExternalIP and LoadBalancer IP traffic',
  'service-nodeports': 'NodePort traffic',
};
const NODE_PORT_MAPS: readonly NftMapName[] = ['no-endpoint-nodeports', 'service-nodeports'];

/** Name, type, hook, priority, rules. */
const BASE_CHAINS: readonly (readonly [string, string, string, string, readonly string[]])[] = [
  ['filter-prerouting-pre-dnat', 'filter', 'prerouting', 'dstnat - 10', ['ct state new jump firewall-check']],
  // The output hook has no name for this priority.
  ['filter-output-pre-dnat', 'filter', 'output', '-110', ['ct state new jump firewall-check']],
  [
    'filter-input',
    'filter',
    'input',
    'filter',
    ['ct state new jump nodeport-endpoints-check', 'ct state new jump service-endpoints-check'],
  ],
  [
    'filter-forward',
    'filter',
    'forward',
    'filter',
    ['ct state new jump service-endpoints-check', 'ct state new jump cluster-ips-check'],
  ],
  [
    'filter-output',
    'filter',
    'output',
    'filter',
    ['ct state new jump service-endpoints-check', 'ct state new jump cluster-ips-check'],
  ],
  ['nat-prerouting', 'nat', 'prerouting', 'dstnat', ['jump services']],
  ['nat-output', 'nat', 'output', '-100', ['jump services']],
  ['nat-postrouting', 'nat', 'postrouting', 'srcnat', ['jump masquerading']],
];

/** The table of one IP family. */
export function nftList(translator: NftablesTranslator, tables: Tables, version: 4 | 6): string {
  const family: Family = {
    name: version === 4 ? 'ip' : 'ip6',
    addressType: version === 4 ? 'ipv4_addr' : 'ipv6_addr',
    // kube-proxy knows one range in each family.
    clusterCidr: tables.clusterCidrs.find((cidr) => cidr.includes(':') === (version === 6)),
  };
  const services = translator.services(version);
  const clusterIps = [...new Set(services.map(({ port }) => port.clusterIp))];
  const elements = services.flatMap((service) => service.elements);
  const blocks = [
    set('cluster-ips', [`type ${family.addressType}`, 'comment "Active ClusterIPs"'], clusterIps),
    set(
      'nodeport-ips',
      [`type ${family.addressType}`, 'comment "IPs that accept NodePort traffic"'],
      translator.table(version).nodePortIps,
    ),
    ...services.flatMap(({ affinitySets }) =>
      affinitySets.map(({ name, timeoutSeconds }) =>
        set(
          name,
          [
            `type ${family.addressType}`,
            'size 65535',
            'flags dynamic,timeout',
            `timeout ${duration(timeoutSeconds)}`,
          ],
          [],
        ),
      ),
    ),
    ...(Object.keys(MAP_COMMENTS) as NftMapName[]).map((name) =>
      verdictMap(
        name,
        elements.filter(({ map }) => map === name),
        family,
      ),
    ),
    ...fixedChains(translator.serviceCidrs(version), family),
    // A chain stands after those it goes to.
    ...services.flatMap(({ port, chains }) => ordered(chains).map((own) => chainText(own, port, family))),
    chain('services', [
      `${family.name} daddr . meta l4proto . th dport vmap @service-ips`,
      `${family.name} daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports`,
    ]),
    ...BASE_CHAINS.map(([name, type, hook, priority, rules]) =>
      chain(name, [`type ${type} hook ${hook} priority ${priority}; policy accept;`, ...rules]),
    ),
  ];
  return `table ${family.name} kube-proxy {\n\tcomment "rules for kube-proxy"\n${blocks.join('\n')}}\n`;
}

function fixedChains(serviceCidrs: readonly string[], { name }: Family): string[] {
  const checks = (map: string): string => `${name} daddr . meta l4proto . th dport vmap @${map}`;
  const clusterIpsCheck = [
    `${name} daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"`,
  ];
  if (serviceCidrs.length > 0) {
    const about = 'comment "Drop traffic to unallocated ClusterIPs"';
    clusterIpsCheck.push(`${name} daddr ${anyOf(serviceCidrs)} drop ${about}`);
  }
  return [
    chain('mark-for-masquerade', ['meta mark set meta mark | 0x00004000']),
    chain('masquerading', [
      'meta mark & 0x00004000 == 0x00000000 return',
      'meta mark set meta mark ^ 0x00004000',
      'masquerade fully-random',
    ]),
    chain('reject-chain', ['reject']),
    chain('cluster-ips-check', clusterIpsCheck),
    chain('firewall-check', [checks('firewall-ips')]),
    chain('nodeport-endpoints-check', [
      `${name} daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports`,
    ]),
    chain('service-endpoints-check', [checks('no-endpoint-services')]),
  ];
}

function block(kind: string, name: string, lines: readonly string[]): string {
  return `\t${kind} ${name} {\n${lines.map((line) => `\t\t${line}\n`).join('')}\t}\n`;
}

function chain(name: string, rules: readonly string[]): string {
  return block('chain', name, rules);
}

function set(name: string, lines: readonly string[], elements: readonly string[]): string {
  return block('set', name, [...lines, ...elementLines(elements)]);
}

function verdictMap(name: NftMapName, elements: readonly NftElement[], { addressType }: Family): string {
  const key = NODE_PORT_MAPS.includes(name) ? '' : `${addressType} . `;
  return block('map', name, [
    `type ${key}inet_proto . inet_service : verdict`,
    `comment "${MAP_COMMENTS[name]}"`,
    ...elementLines(elements.map(elementText)),
  ]);
}

function elementLines(elements: readonly string[]): string[] {
  return elements.length === 0 ? [] : [`elements = { ${elements.join(',\n\t\t\t     ')} }`];
}

function elementText({ servicePort, address, port, verdict, chain: to }: NftElement): string {
  const key = `${address === '' ? '' : `${address} . `}${protocolText(servicePort)} . ${port}`;
  const target =
    verdict === 'goto' ? `goto ${to!.name}` : verdict === 'reject' ? 'goto reject-chain' : 'drop';
  return `${key} comment "${servicePort.name}" : ${target}`;
}

/** Endpoints, policies, then what leads to them. */
function ordered(chains: readonly NftChain[]): NftChain[] {
  const rank = ({ name }: NftChain): number => ORDER.findIndex((prefix) => name.startsWith(prefix));
  return [...chains].sort((a, b) => rank(a) - rank(b));
}
const ORDER: readonly string[] = ['endpoint-', 'service-', 'local-', 'external-', 'firewall-'];

function chainText({ name, rules }: NftChain, port: ServicePort, family: Family): string {
  return chain(
    name,
    rules.map((rule) => ruleText(rule, port, family)).filter((text) => text !== undefined),
  );
}

function ruleText(rule: NftRule, servicePort: ServicePort, family: Family): string | undefined {
  const { name, clusterCidr } = family;
  const parts: string[] = [];
  if (rule.frontend) {
    const { address, protocol, port } = rule.frontend;
    parts.push(`${name} daddr ${address} ${protocolText({ protocol })} dport ${port}`);
  }
  if (rule.sourceScope === 'outside-cluster' && clusterCidr) parts.push(`${name} saddr != ${clusterCidr}`);
  if (rule.sourceScope === 'inside-cluster') {
    // No address is a pod's.
    if (clusterCidr === undefined) return undefined;
    parts.push(`${name} saddr ${clusterCidr}`);
  }
  if (rule.sourceScope === 'local') parts.push('fib saddr type local');
  if (rule.source) parts.push(`${name} saddr ${rule.address}`);
  if (rule.sourceNotIn) parts.push(`${name} saddr != ${anyOf(rule.sourceNotIn.texts)}`);
  if (rule.affinity && rule.statement !== 'update') parts.push(`${name} saddr @${rule.affinity.name}`);
  parts.push(statementText(rule, servicePort, family));
  if (rule.comment) parts.push(`comment "${rule.comment}"`);
  return parts.join(' ');
}

function statementText(rule: NftRule, servicePort: ServicePort, { name }: Family): string {
  switch (rule.statement) {
    case 'mark-masq':
      return 'jump mark-for-masquerade';
    case 'update':
      return `update @${rule.affinity!.name} { ${name} saddr }`;
    case 'goto':
      return `goto ${rule.chains[0].name}`;
    case 'numgen': {
      const verdicts = rule.chains.map((to, i) => `${i} : goto ${to.name}`);
      return `numgen random mod ${verdicts.length} vmap { ${verdicts.join(', ')} }`;
    }
    case 'dnat': {
      const address = rule.address.includes(':') ? `[${rule.address}]` : rule.address;
      return `meta l4proto ${protocolText(servicePort)} dnat to ${address}:${rule.port}`;
    }
    case 'drop':
      return 'drop';
  }
}

/** A list of one stands without braces. */
function anyOf(texts: readonly string[]): string {
  return texts.length === 1 ? texts[0] : `{ ${texts.join(', ')} }`;
}

/** `3h`, `1m30s`: as nft writes times. */
function duration(seconds: number): string {
  const units: [string, number][] = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ];
  let left = seconds;
  let text = '';
  for (const [unit, length] of units) {
    const count = Math.floor(left / length);
    if (count > 0) text += `${count}${unit}`;
    left -= count * length;
  }
  return text;
}
