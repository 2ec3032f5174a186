/** Table kube-proxy of nftables mode: what it says for a service, and what an update leaves alone. */

import { describe, expect, it } from 'vitest';
import { Conntrack } from '../src/conntrack.ts';
import { prepareTables } from '../src/prepared.ts';
import { NftablesTranslator } from '../src/service/nftables.ts';
import {
  buildNftService,
  type NftElement,
  type NftRule,
  type NftService,
} from '../src/service/nftables-chains.ts';
import type { ServiceEndpoint, ServicePort } from '../src/tables.ts';
import { Cluster, endpoint, NODES, podAddress, SYN, service, tablesOf, tcp } from './cluster.ts';

const at = (address: string, over: Partial<ServiceEndpoint> = {}): ServiceEndpoint => ({
  ...endpoint(1, 1, 80, 4, over),
  address,
});
const named = (over: Partial<ServicePort>): ServicePort =>
  service({ name: 'ns1/svc1:p80', namespace: 'ns1', service: 'svc1', portName: 'p80', ...over });

function ruleText(r: NftRule): string {
  const words: string[] = [];
  if (r.frontend) words.push(`daddr ${r.frontend.address} dport ${r.frontend.port}`);
  if (r.sourceScope !== '') words.push(`[${r.sourceScope}]`);
  if (r.source) words.push(`saddr ${r.address}`);
  if (r.sourceNotIn) words.push(`saddr != { ${r.sourceNotIn.texts.join(', ')} }`);
  if (r.affinity) words.push(`@${r.affinity.name} ${r.affinity.timeoutSeconds}s`);
  words.push(r.statement);
  if (r.statement === 'dnat') words.push(`${r.address}:${r.port}`);
  words.push(...r.chains.map((chain) => chain.name));
  return words.join(' ');
}

function elementText(e: NftElement): string {
  const key = [e.address, e.servicePort.protocol, e.port].filter((part) => part !== '').join(' . ');
  return `${e.map} ${key} : ${e.verdict}${e.chain ? ` ${e.chain.name}` : ''}`;
}

function dump(built: NftService): string[] {
  return [
    ...built.elements.map(elementText),
    ...built.chains.flatMap((chain) => chain.rules.map((r) => `${chain.name}: ${ruleText(r)}`)),
  ];
}

const build = (port: ServicePort, nodes: string[] = []): string[] =>
  dump(buildNftService(port, nodes, undefined, undefined));

describe('the table', () => {
  it('ClusterIP: one element, one chain that chooses, one chain for each endpoint, named as kube-proxy names them', () => {
    expect(
      build(named({ clusterIp: '172.30.0.41', endpoints: [at('10.180.0.1'), at('10.180.0.2')] })),
    ).toEqual([
      'service-ips 172.30.0.41 . 6 . 80 : goto service-ULMVA6XW-ns1/svc1/tcp/p80',
      'service-ULMVA6XW-ns1/svc1/tcp/p80: daddr 172.30.0.41 dport 80 [outside-cluster] mark-masq',
      expect.stringMatching(
        /^service-ULMVA6XW-ns1\/svc1\/tcp\/p80: numgen endpoint-5OJB2KTY-ns1\/svc1\/tcp\/p80__10\.180\.0\.1\/80 endpoint-/,
      ),
      'endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80: saddr 10.180.0.1 mark-masq',
      'endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80: dnat 10.180.0.1:80',
      expect.stringMatching(/saddr 10\.180\.0\.2 mark-masq$/),
      expect.stringMatching(/dnat 10\.180\.0\.2:80$/),
    ]);
  });

  it('NodePort with external policy Local: pods and the node go on to all endpoints, others only to local ones', () => {
    const local = at('10.180.0.1', { local: true });
    const both = [local, at('10.180.0.2')];
    const lines = build(
      named({
        nodePort: 30080,
        externalTrafficPolicy: 'Local',
        endpoints: both,
        localEndpoints: [local],
      }),
    );
    expect(lines).toContain('service-nodeports 6 . 30080 : goto external-ULMVA6XW-ns1/svc1/tcp/p80');
    expect(lines.filter((line) => line.startsWith('external-'))).toEqual(
      [
        '[inside-cluster] goto service-ULMVA6XW-ns1/svc1/tcp/p80',
        '[local] mark-masq',
        '[local] goto service-ULMVA6XW-ns1/svc1/tcp/p80',
        'goto local-ULMVA6XW-ns1/svc1/tcp/p80',
      ].map((line) => `external-ULMVA6XW-ns1/svc1/tcp/p80: ${line}`),
    );
  });

  it('nothing to go to: reject without endpoints, drop without local ones', () => {
    const over = { nodePort: 30080, externalIps: ['198.51.100.1'], loadBalancerIps: ['203.0.113.1'] };
    expect(build(named(over))).toEqual([
      'no-endpoint-services 10.96.0.9 . 6 . 80 : reject',
      'no-endpoint-services 198.51.100.1 . 6 . 80 : reject',
      'no-endpoint-services 203.0.113.1 . 6 . 80 : reject',
      'no-endpoint-nodeports 6 . 30080 : reject',
    ]);
    const elsewhere = named({
      ...over,
      endpoints: [at('10.180.0.2')],
      localEndpoints: [],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Local',
    });
    expect(build(elsewhere).filter((line) => line.startsWith('no-endpoint'))).toEqual([
      'no-endpoint-services 10.96.0.9 . 6 . 80 : drop',
      'no-endpoint-services 198.51.100.1 . 6 . 80 : drop',
      'no-endpoint-services 203.0.113.1 . 6 . 80 : drop',
      'no-endpoint-nodeports 6 . 30080 : drop',
    ]);
  });

  it('source ranges guard the load balancer address, and let the node in when they hold it', () => {
    const port = named({
      loadBalancerIps: ['203.0.113.1'],
      sourceRanges: ['192.0.2.0/24', '172.18.0.0/16'],
      endpoints: [at('10.180.0.2')],
    });
    const firewall = (nodes: string[]) => build(port, nodes).filter((line) => line.includes('firewall'));
    expect(firewall(['172.18.0.1'])).toEqual([
      'firewall-ips 203.0.113.1 . 6 . 80 : goto firewall-ULMVA6XW-ns1/svc1/tcp/p80',
      'firewall-ULMVA6XW-ns1/svc1/tcp/p80: saddr != { 192.0.2.0/24, 172.18.0.0/16, 203.0.113.1 } drop',
    ]);
    expect(firewall(['10.0.0.1'])[1]).toMatch(/saddr != \{ 192\.0\.2\.0\/24, 172\.18\.0\.0\/16 \} drop$/);
  });

  it('affinity asks first and remembers in the chain of the endpoint', () => {
    const lines = build(named({ affinitySeconds: 10_800, endpoints: [at('10.180.0.1')] }));
    const set = '@affinity-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80 10800s';
    const chain = 'endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80';
    expect(lines.slice(2)).toEqual([
      `service-ULMVA6XW-ns1/svc1/tcp/p80: ${set} goto ${chain}`,
      `service-ULMVA6XW-ns1/svc1/tcp/p80: numgen ${chain}`,
      `${chain}: saddr 10.180.0.1 mark-masq`,
      `${chain}: ${set} update`,
      `${chain}: dnat 10.180.0.1:80`,
    ]);
  });

  it('an IPv6 address loses its colons in names, and a long name its end', () => {
    const v6 = named({ version: 6, endpoints: [endpoint(1, 1, 80, 6)] });
    expect(build(v6).at(-1)).toMatch(
      /^endpoint-[A-Z2-7]{8}-ns1\/svc1\/tcp\/p80__fd00\.10\.244\.1\.\.5\/80: dnat/,
    );
    const long = named({ service: 's'.repeat(63), namespace: 'n'.repeat(63), endpoints: [at('10.180.0.1')] });
    const { chains } = buildNftService(long, [], undefined, undefined);
    expect(Math.max(...chains.map(({ name }) => name.length))).toBeLessThanOrEqual(128);
    expect(chains[0].name).toMatch(/\.\.\.$/);
  });
});

describe('an update', () => {
  function translator() {
    const clock = { nowMs: 1_000_000 };
    const context = { nowMs: () => clock.nowMs, random32: () => 0, conntrack: new Conntrack() };
    const nft = new NftablesTranslator(context);
    const base = tablesOf(NODES[0], [], 'nftables');
    const program = (services: ServicePort[]): void => {
      const tables = { ...base, services };
      nft.program(tables, prepareTables(tables, undefined));
    };
    program([]);
    // The node's addresses are the same object from one snapshot to the next.
    return { clock, nft, program };
  }
  const chainsOf = (nft: NftablesTranslator) => nft.services(4).flatMap(({ chains }) => chains);

  it('of one endpoint makes one chain anew and leaves those of other endpoints and services', () => {
    const { nft, program } = translator();
    const other = named({ service: 'other', clusterIp: '10.96.0.10', endpoints: [at('10.180.0.9')] });
    program([other, named({ endpoints: [at('10.180.0.1'), at('10.180.0.2')] })]);
    const before = new Map(chainsOf(nft).map((chain) => [chain.name, chain]));
    program([other, named({ endpoints: [at('10.180.0.1'), at('10.180.0.3')] })]);
    const fresh = chainsOf(nft).filter((chain) => before.get(chain.name) !== chain);
    expect(fresh.map(({ name }) => name)).toEqual([
      'service-ULMVA6XW-ns1/svc1/tcp/p80',
      expect.stringMatching(/__10\.180\.0\.3\/80$/),
    ]);
  });

  it('removes a chain a second after it went out of use', () => {
    const { clock, nft, program } = translator();
    program([named({ endpoints: [at('10.180.0.1'), at('10.180.0.2')] })]);
    program([named({ endpoints: [at('10.180.0.1')] })]);
    expect(nft.staleChains()).toEqual([expect.stringMatching(/__10\.180\.0\.2\/80$/)]);
    clock.nowMs += 999;
    program([named({ endpoints: [at('10.180.0.1')] })]);
    expect(nft.staleChains().length).toBe(1);
    clock.nowMs += 1;
    program([named({ endpoints: [at('10.180.0.1')] })]);
    expect(nft.staleChains()).toEqual([]);
  });

  it('empties the maps when the services go', () => {
    const { nft, program } = translator();
    const over = { nodePort: 30080, externalIps: ['198.51.100.1'], loadBalancerIps: ['203.0.113.1'] };
    program([named({ ...over, sourceRanges: ['192.0.2.0/24'], endpoints: [at('10.180.0.1')] })]);
    const { maps, clusterIps } = nft.table(4);
    const sizes = () => Object.values(maps).map(({ size }) => size);
    expect(sizes()).toEqual([3, 1, 0, 0, 1]);
    expect(clusterIps.addresses()).toEqual(['10.96.0.9']);
    program([named(over)]);
    expect(sizes()).toEqual([0, 0, 3, 1, 0]);
    program([]);
    expect(sizes()).toEqual([0, 0, 0, 0, 0]);
    expect(clusterIps.addresses()).toEqual([]);
  });

  it('keeps the clients of the endpoints that stay', () => {
    const three = [endpoint(1, 2, 8080, 4), endpoint(2, 1, 8080, 4), endpoint(3, 1, 8080, 4)];
    const cluster = new Cluster({
      mode: 'nftables',
      services: [service({ affinitySeconds: 100, endpoints: three })],
    });
    const open = (port: number): string =>
      cluster.fromPod(1, 1, tcp(podAddress(1, 1, 4), port, '10.96.0.9', 80, SYN)).at;
    const first = open(1000);
    const rest = [...three.filter(({ target }) => target.endsWith(first)), endpoint(2, 2, 8080, 4)];
    for (let port = 1001; port < 1020; port++) {
      cluster.setServices([service({ affinitySeconds: 100, endpoints: port % 2 ? rest : three })]);
      expect(open(port)).toBe(first);
    }
  });

  it('a NodePort answers on the primary address of the node only', () => {
    const cluster = new Cluster({
      mode: 'nftables',
      services: [service({ nodePort: 30080, endpoints: [endpoint(2, 1, 8080, 4)] })],
    });
    const open = (to: string) => cluster.fromPod(1, 1, tcp(podAddress(1, 1, 4), 1000, to, 30080, SYN)).at;
    expect(open('172.18.0.1')).toBe('pod-2-1');
    expect(open('10.244.1.1')).toBe('host node-1');
  });
});
