/** Dumps as text people know: golden, line by line. */

import { describe, expect, it } from 'vitest';
import { iptablesSave } from '../src/dump/iptables-save.ts';
import { Pipeline } from '../src/pipeline.ts';
import { IptablesTranslator } from '../src/service/iptables.ts';
import type { ServicePort } from '../src/tables.ts';
import { endpoint, NODES, service, tablesOf } from './cluster.ts';

function dump(services: readonly ServicePort[], version: 4 | 6): string {
  const tables = tablesOf(NODES[0], services, 'iptables');
  const { services: translator } = new Pipeline({ nowMs: () => 0, random32: () => 0, tables });
  if (!(translator instanceof IptablesTranslator)) throw new Error('not in iptables mode');
  return iptablesSave(translator.ruleSet(version), tables, version);
}

describe('iptables-save', () => {
  it('without services: the hooks and the fixed chains', () => {
    expect(dump([], 4)).toMatchInlineSnapshot(`
      "*nat
      :PREROUTING ACCEPT [0:0]
      :INPUT ACCEPT [0:0]
      :OUTPUT ACCEPT [0:0]
      :POSTROUTING ACCEPT [0:0]
      :KUBE-MARK-MASQ - [0:0]
      :KUBE-NODEPORTS - [0:0]
      :KUBE-POSTROUTING - [0:0]
      :KUBE-SERVICES - [0:0]
      -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
      -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
      -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
      -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
      -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
      -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
      -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
      -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
      COMMIT
      *filter
      :INPUT ACCEPT [0:0]
      :FORWARD ACCEPT [0:0]
      :OUTPUT ACCEPT [0:0]
      :KUBE-EXTERNAL-SERVICES - [0:0]
      :KUBE-FIREWALL - [0:0]
      :KUBE-FORWARD - [0:0]
      :KUBE-NODEPORTS - [0:0]
      :KUBE-PROXY-FIREWALL - [0:0]
      :KUBE-SERVICES - [0:0]
      -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
      -A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
      -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
      -A INPUT -j KUBE-FIREWALL
      -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
      -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
      -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
      -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
      -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
      -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
      -A OUTPUT -j KUBE-FIREWALL
      -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
      -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
      -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
      -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      COMMIT
      "
    `);
  });

  it('ClusterIP with affinity, node port with policy Local, source ranges and nothing behind', () => {
    const some = service({
      name: 'web/api:http',
      nodePort: 30080,
      loadBalancerIps: ['203.0.113.1'],
      sourceRanges: ['192.0.2.0/24'],
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32000,
      affinitySeconds: 60,
      endpoints: [endpoint(1, 1, 8080, 4), endpoint(2, 1, 8080, 4)],
    });
    const none = service({
      name: 'web/none',
      clusterIp: '10.96.0.10',
      protocol: 17,
      externalIps: ['198.51.100.1'],
    });
    const lines = dump([some, none], 4).split('\n');
    const own = (line: string) => /^-A KUBE-(?!POSTROUTING|MARK|FIREWALL|FORWARD)/.test(line);
    expect(lines.filter(own).join('\n')).toMatchInlineSnapshot(`
      "-A KUBE-EXT-PFIHSTH5EH7M7ONE -s 10.244.0.0/16 -m comment --comment "pod traffic for web/api:http external destinations" -j KUBE-SVC-PFIHSTH5EH7M7ONE
      -A KUBE-EXT-PFIHSTH5EH7M7ONE -m comment --comment "masquerade LOCAL traffic for web/api:http external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
      -A KUBE-EXT-PFIHSTH5EH7M7ONE -m comment --comment "route LOCAL traffic for web/api:http external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-PFIHSTH5EH7M7ONE
      -A KUBE-EXT-PFIHSTH5EH7M7ONE -j KUBE-SVL-PFIHSTH5EH7M7ONE
      -A KUBE-FW-PFIHSTH5EH7M7ONE -s 192.0.2.0/24 -m comment --comment "web/api:http loadbalancer IP" -j KUBE-EXT-PFIHSTH5EH7M7ONE
      -A KUBE-NODEPORTS -p tcp -m comment --comment "web/api:http" -m tcp --dport 30080 -j KUBE-EXT-PFIHSTH5EH7M7ONE
      -A KUBE-SEP-7VR67E3QRFTKCOWQ -s 10.244.1.5/32 -m comment --comment "web/api:http" -j KUBE-MARK-MASQ
      -A KUBE-SEP-7VR67E3QRFTKCOWQ -p tcp -m comment --comment "web/api:http" -m recent --set --name KUBE-SEP-7VR67E3QRFTKCOWQ --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.244.1.5:8080
      -A KUBE-SEP-CL43D547LKHK2MYX -s 10.244.2.5/32 -m comment --comment "web/api:http" -j KUBE-MARK-MASQ
      -A KUBE-SEP-CL43D547LKHK2MYX -p tcp -m comment --comment "web/api:http" -m recent --set --name KUBE-SEP-CL43D547LKHK2MYX --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.244.2.5:8080
      -A KUBE-SERVICES -d 10.96.0.9/32 -p tcp -m comment --comment "web/api:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-PFIHSTH5EH7M7ONE
      -A KUBE-SERVICES -d 203.0.113.1/32 -p tcp -m comment --comment "web/api:http loadbalancer IP" -m tcp --dport 80 -j KUBE-FW-PFIHSTH5EH7M7ONE
      -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
      -A KUBE-SVC-PFIHSTH5EH7M7ONE ! -s 10.244.0.0/16 -d 10.96.0.9/32 -p tcp -m comment --comment "web/api:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
      -A KUBE-SVC-PFIHSTH5EH7M7ONE -m comment --comment "web/api:http -> 10.244.1.5:8080" -m recent --rcheck --seconds 60 --reap --name KUBE-SEP-7VR67E3QRFTKCOWQ --mask 255.255.255.255 --rsource -j KUBE-SEP-7VR67E3QRFTKCOWQ
      -A KUBE-SVC-PFIHSTH5EH7M7ONE -m comment --comment "web/api:http -> 10.244.2.5:8080" -m recent --rcheck --seconds 60 --reap --name KUBE-SEP-CL43D547LKHK2MYX --mask 255.255.255.255 --rsource -j KUBE-SEP-CL43D547LKHK2MYX
      -A KUBE-SVC-PFIHSTH5EH7M7ONE -m comment --comment "web/api:http -> 10.244.1.5:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-7VR67E3QRFTKCOWQ
      -A KUBE-SVC-PFIHSTH5EH7M7ONE -m comment --comment "web/api:http -> 10.244.2.5:8080" -j KUBE-SEP-CL43D547LKHK2MYX
      -A KUBE-SVL-PFIHSTH5EH7M7ONE -m comment --comment "web/api:http -> 10.244.1.5:8080" -m recent --rcheck --seconds 60 --reap --name KUBE-SEP-7VR67E3QRFTKCOWQ --mask 255.255.255.255 --rsource -j KUBE-SEP-7VR67E3QRFTKCOWQ
      -A KUBE-SVL-PFIHSTH5EH7M7ONE -m comment --comment "web/api:http -> 10.244.1.5:8080" -j KUBE-SEP-7VR67E3QRFTKCOWQ
      -A KUBE-EXTERNAL-SERVICES -d 198.51.100.1/32 -p udp -m comment --comment "web/none has no endpoints" -m udp --dport 80 -j REJECT --reject-with icmp-port-unreachable
      -A KUBE-NODEPORTS -p tcp -m comment --comment "web/api:http health check node port" -m tcp --dport 32000 -j ACCEPT
      -A KUBE-PROXY-FIREWALL -d 203.0.113.1/32 -p tcp -m comment --comment "web/api:http traffic not accepted by KUBE-FW-PFIHSTH5EH7M7ONE" -m tcp --dport 80 -j DROP
      -A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "web/none has no endpoints" -m udp --dport 80 -j REJECT --reject-with icmp-port-unreachable"
    `);
  });

  it('IPv6 in its own words', () => {
    const port = service({
      version: 6,
      name: 'web/api',
      nodePort: 30080,
      endpoints: [endpoint(1, 1, 8080, 6), endpoint(2, 1, 8080, 6)],
    });
    const none = service({ version: 6, name: 'web/none', clusterIp: 'fd00:10:96::10' });
    const lines = dump([port, none], 6).split('\n');
    expect(
      lines.filter((line) => line.includes('web/') || line.includes('::1')).join('\n'),
    ).toMatchInlineSnapshot(`
      "-A KUBE-EXT-36YCVCC32HJV2M2Q -m comment --comment "masquerade traffic for web/api external destinations" -j KUBE-MARK-MASQ
      -A KUBE-NODEPORTS -p tcp -m comment --comment "web/api" -m tcp --dport 30080 -j KUBE-EXT-36YCVCC32HJV2M2Q
      -A KUBE-SEP-5F4V5H7HU3JMEHZI -s fd00:10:244:2::5/128 -m comment --comment "web/api" -j KUBE-MARK-MASQ
      -A KUBE-SEP-5F4V5H7HU3JMEHZI -p tcp -m comment --comment "web/api" -m tcp -j DNAT --to-destination [fd00:10:244:2::5]:8080
      -A KUBE-SEP-SFXCW7DK4I4YQBED -s fd00:10:244:1::5/128 -m comment --comment "web/api" -j KUBE-MARK-MASQ
      -A KUBE-SEP-SFXCW7DK4I4YQBED -p tcp -m comment --comment "web/api" -m tcp -j DNAT --to-destination [fd00:10:244:1::5]:8080
      -A KUBE-SERVICES -d fd00:10:96::9/128 -p tcp -m comment --comment "web/api cluster IP" -m tcp --dport 80 -j KUBE-SVC-36YCVCC32HJV2M2Q
      -A KUBE-SERVICES ! -d ::1/128 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
      -A KUBE-SVC-36YCVCC32HJV2M2Q ! -s fd00:10:244::/48 -d fd00:10:96::9/128 -p tcp -m comment --comment "web/api cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
      -A KUBE-SVC-36YCVCC32HJV2M2Q -m comment --comment "web/api -> [fd00:10:244:1::5]:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-SFXCW7DK4I4YQBED
      -A KUBE-SVC-36YCVCC32HJV2M2Q -m comment --comment "web/api -> [fd00:10:244:2::5]:8080" -j KUBE-SEP-5F4V5H7HU3JMEHZI
      -A KUBE-SERVICES -d fd00:10:96::10/128 -p tcp -m comment --comment "web/none has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp6-port-unreachable"
    `);
    expect(dump([port, none], 4)).toBe(dump([], 4));
  });
});
