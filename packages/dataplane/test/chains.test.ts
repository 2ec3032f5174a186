/** The iptables mode as data: names and rules are those of kube-proxy. */

import { describe, expect, it } from 'vitest';
import { wordsText } from '../src/packet-text.ts';
import { endpointChainName, serviceChainSuffix } from '../src/service/chain-names.ts';
import { buildServiceRules, type Rule } from '../src/service/iptables-chains.ts';
import type { ServiceEndpoint, ServicePort } from '../src/tables.ts';
import { service } from './cluster.ts';

const at = (address: string, over: Partial<ServiceEndpoint> = {}): ServiceEndpoint => ({
  address,
  port: 80,
  ready: true,
  serving: true,
  terminating: false,
  local: false,
  nodeName: '',
  zone: '',
  target: '',
  ...over,
});

/** A rule in the words of iptables-save, without quotes and comments. */
function words(rule: Rule): string {
  const parts: string[] = [];
  if (rule.source) parts.push(`-s ${rule.source.prefix}`);
  if (rule.destination) parts.push(`-d ${wordsText(rule.destination)}`);
  if (rule.protocol) parts.push(`-p ${rule.protocol}`);
  if (rule.destinationPort) parts.push(`--dport ${rule.destinationPort}`);
  if (rule.destinationLocal) parts.push('--dst-type LOCAL');
  if (rule.sourceScope) parts.push(`[${rule.sourceScope}]`);
  if (rule.threshold >= 0) parts.push(`--probability ${(rule.threshold / 0x80000000).toFixed(10)}`);
  if (rule.recent)
    parts.push(`--${rule.recent.operation}${rule.recent.seconds ? ` --seconds ${rule.recent.seconds}` : ''}`);
  const target = rule.chain?.name ?? rule.target.toUpperCase();
  parts.push(`-j ${target}`);
  if (rule.endpoint) parts.push(`${rule.endpoint.address}:${rule.endpoint.port}`);
  return parts.join(' ');
}

function dump(port: ServicePort, nodeAddresses: readonly string[] = []): string[] {
  const built = buildServiceRules(port, nodeAddresses, undefined);
  return [
    ...built.services.map((rule) => `KUBE-SERVICES ${words(rule)}`),
    ...built.nodePorts.map((rule) => `KUBE-NODEPORTS ${words(rule)}`),
    ...built.filterServices.map((rule) => `filter/KUBE-SERVICES ${words(rule)}`),
    ...built.filterExternal.map((rule) => `filter/KUBE-EXTERNAL-SERVICES ${words(rule)}`),
    ...built.firewall.map((rule) => `filter/KUBE-PROXY-FIREWALL ${words(rule)}`),
    ...built.chains.flatMap((chain) => chain.rules.map((rule) => `${chain.name} ${words(rule)}`)),
  ];
}

describe('chain names', () => {
  // kubernetes pkg/proxy/iptables/proxier_test.go, TestOverallIPTablesRules.
  const svc1 = service({ name: 'ns1/svc1:p80' });
  const svc2 = service({ name: 'ns2/svc2:p80' });
  it('are those that kube-proxy makes', () => {
    expect(serviceChainSuffix(svc1)).toBe('XPGD46QRK7WJZT7O');
    expect(endpointChainName(svc1, at('10.180.0.1'))).toBe('KUBE-SEP-SXIVWICOYRO3J4NJ');
    expect(serviceChainSuffix(svc2)).toBe('GNZBNJ2PO5MGZ6GT');
    expect(endpointChainName(svc2, at('10.180.0.2'))).toBe('KUBE-SEP-RS4RBKLTHTF2IUXJ');
  });
});

describe('rules of one service port', () => {
  it('ClusterIP with three endpoints: each gets its share of what the ones before leave', () => {
    const endpoints = [at('10.180.0.1'), at('10.180.0.2'), at('10.180.0.3')];
    expect(dump(service({ name: 'ns1/svc1:p80', endpoints }))).toEqual([
      'KUBE-SERVICES -d 10.96.0.9 -p 6 --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O',
      'KUBE-SVC-XPGD46QRK7WJZT7O -d 10.96.0.9 -p 6 --dport 80 [outside-cluster] -j MARK-MASQ',
      'KUBE-SVC-XPGD46QRK7WJZT7O --probability 0.3333333335 -j KUBE-SEP-SXIVWICOYRO3J4NJ',
      expect.stringMatching(/^KUBE-SVC-XPGD46QRK7WJZT7O --probability 0\.5000000000 -j KUBE-SEP-/),
      expect.stringMatching(/^KUBE-SVC-XPGD46QRK7WJZT7O -j KUBE-SEP-/),
      'KUBE-SEP-SXIVWICOYRO3J4NJ -s 10.180.0.1/32 -j MARK-MASQ',
      'KUBE-SEP-SXIVWICOYRO3J4NJ -p 6 -j DNAT 10.180.0.1:80',
      expect.stringMatching(/-s 10\.180\.0\.2\/32 -j MARK-MASQ$/),
      expect.stringMatching(/-p 6 -j DNAT 10\.180\.0\.2:80$/),
      expect.stringMatching(/-s 10\.180\.0\.3\/32 -j MARK-MASQ$/),
      expect.stringMatching(/-p 6 -j DNAT 10\.180\.0\.3:80$/),
    ]);
  });

  it('NodePort with external policy Local: pods and the node go on to all endpoints, others only to local ones', () => {
    const local = at('10.180.0.1', { local: true });
    const port = service({
      name: 'ns1/svc1:p80',
      nodePort: 30080,
      externalTrafficPolicy: 'Local',
      endpoints: [local, at('10.180.0.2')],
      clusterEndpoints: [local, at('10.180.0.2')],
      localEndpoints: [local],
    });
    const lines = dump(port);
    expect(lines).toContain('KUBE-NODEPORTS -p 6 --dport 30080 -j KUBE-EXT-XPGD46QRK7WJZT7O');
    expect(lines.filter((line) => line.startsWith('KUBE-EXT-'))).toEqual([
      'KUBE-EXT-XPGD46QRK7WJZT7O [inside-cluster] -j KUBE-SVC-XPGD46QRK7WJZT7O',
      'KUBE-EXT-XPGD46QRK7WJZT7O [local] -j MARK-MASQ',
      'KUBE-EXT-XPGD46QRK7WJZT7O [local] -j KUBE-SVC-XPGD46QRK7WJZT7O',
      'KUBE-EXT-XPGD46QRK7WJZT7O -j KUBE-SVL-XPGD46QRK7WJZT7O',
    ]);
    expect(lines.filter((line) => line.startsWith('KUBE-SVL-'))).toEqual([
      'KUBE-SVL-XPGD46QRK7WJZT7O -j KUBE-SEP-SXIVWICOYRO3J4NJ',
    ]);
    expect(lines.filter((line) => line.startsWith('KUBE-SEP-SX')).length, 'an endpoint has one chain').toBe(
      2,
    );
  });

  it('nothing to go to: REJECT without endpoints, DROP without local ones', () => {
    const over = { nodePort: 30080, externalIps: ['198.51.100.1'], loadBalancerIps: ['203.0.113.1'] };
    expect(dump(service(over))).toEqual([
      'filter/KUBE-SERVICES -d 10.96.0.9 -p 6 --dport 80 -j REJECT',
      'filter/KUBE-EXTERNAL-SERVICES -d 198.51.100.1 -p 6 --dport 80 -j REJECT',
      'filter/KUBE-EXTERNAL-SERVICES -d 203.0.113.1 -p 6 --dport 80 -j REJECT',
      'filter/KUBE-EXTERNAL-SERVICES -p 6 --dport 30080 --dst-type LOCAL -j REJECT',
    ]);
    const elsewhere = service({
      ...over,
      endpoints: [at('10.180.0.2')],
      localEndpoints: [],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Local',
    });
    expect(dump(elsewhere).filter((line) => line.startsWith('filter'))).toEqual([
      'filter/KUBE-SERVICES -d 10.96.0.9 -p 6 --dport 80 -j DROP',
      'filter/KUBE-EXTERNAL-SERVICES -d 198.51.100.1 -p 6 --dport 80 -j DROP',
      'filter/KUBE-EXTERNAL-SERVICES -d 203.0.113.1 -p 6 --dport 80 -j DROP',
      'filter/KUBE-EXTERNAL-SERVICES -p 6 --dport 30080 --dst-type LOCAL -j DROP',
    ]);
  });

  it('source ranges stand before the load balancer address, and let the node in when they hold it', () => {
    const port = service({
      name: 'ns2/svc2:p80',
      loadBalancerIps: ['203.0.113.1'],
      sourceRanges: ['192.0.2.0/24', '172.18.0.0/16'],
      endpoints: [at('10.180.0.2')],
    });
    const lines = dump(port, ['172.18.0.1']);
    expect(lines.slice(0, 3)).toEqual([
      'KUBE-SERVICES -d 10.96.0.9 -p 6 --dport 80 -j KUBE-SVC-GNZBNJ2PO5MGZ6GT',
      'KUBE-SERVICES -d 203.0.113.1 -p 6 --dport 80 -j KUBE-FW-GNZBNJ2PO5MGZ6GT',
      'filter/KUBE-PROXY-FIREWALL -d 203.0.113.1 -p 6 --dport 80 -j DROP',
    ]);
    expect(lines.filter((line) => line.startsWith('KUBE-FW-'))).toEqual([
      'KUBE-FW-GNZBNJ2PO5MGZ6GT -s 192.0.2.0/24 -j KUBE-EXT-GNZBNJ2PO5MGZ6GT',
      'KUBE-FW-GNZBNJ2PO5MGZ6GT -s 172.18.0.0/16 -j KUBE-EXT-GNZBNJ2PO5MGZ6GT',
      'KUBE-FW-GNZBNJ2PO5MGZ6GT -s 203.0.113.1/32 -j KUBE-EXT-GNZBNJ2PO5MGZ6GT',
    ]);
    expect(dump(port, ['10.0.0.1']).filter((line) => line.startsWith('KUBE-FW-')).length).toBe(2);
  });

  it('affinity asks first and remembers last', () => {
    const lines = dump(
      service({
        name: 'ns1/svc1:p80',
        affinitySeconds: 10_800,
        endpoints: [at('10.180.0.1'), at('10.180.0.2')],
      }),
    );
    expect(
      lines.filter((line) => line.includes('SVC-XPGD46QRK7WJZT7O -')).map((line) => line.split(' -j ')[0]),
    ).toEqual([
      'KUBE-SVC-XPGD46QRK7WJZT7O -d 10.96.0.9 -p 6 --dport 80 [outside-cluster]',
      'KUBE-SVC-XPGD46QRK7WJZT7O --rcheck --seconds 10800',
      'KUBE-SVC-XPGD46QRK7WJZT7O --rcheck --seconds 10800',
      'KUBE-SVC-XPGD46QRK7WJZT7O --probability 0.5000000000',
      'KUBE-SVC-XPGD46QRK7WJZT7O',
    ]);
    expect(lines).toContain('KUBE-SEP-SXIVWICOYRO3J4NJ -p 6 --set -j DNAT 10.180.0.1:80');
  });

  it('masquerade-all marks without asking where the client is', () => {
    const port = service({ name: 'ns1/svc1:p80', endpoints: [at('10.180.0.1')] });
    const built = buildServiceRules(port, [], { masqueradeAll: true });
    expect(words(built.chains[0].rules[0])).toBe('-d 10.96.0.9 -p 6 --dport 80 -j MARK-MASQ');
  });
});
