/** Dumps as text people know: golden, line by line. */

import { describe, expect, it } from 'vitest';
import { ciliumLbList } from '../src/dump/cilium-lb.ts';
import { conntrackList } from '../src/dump/conntrack.ts';
import { DUMP_FORMATS, type DumpFormat, dump as dumpAs } from '../src/dump/dump.ts';
import { iptablesSave } from '../src/dump/iptables-save.ts';
import { nftList } from '../src/dump/nft.ts';
import { Pipeline } from '../src/pipeline.ts';
import { EbpfTranslator } from '../src/service/ebpf.ts';
import { IptablesTranslator } from '../src/service/iptables.ts';
import { NftablesTranslator } from '../src/service/nftables.ts';
import type { ServicePort } from '../src/tables.ts';
import { ACK, answerTo, Cluster, endpoint, NODES, SYN, service, tablesOf, tcp, udp } from './cluster.ts';

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

describe('nft list table', () => {
  const nft = (services: readonly ServicePort[], version: 4 | 6): string => {
    const tables = tablesOf(NODES[0], services, 'nftables');
    const { services: translator } = new Pipeline({ nowMs: () => 0, random32: () => 0, tables });
    if (!(translator instanceof NftablesTranslator)) throw new Error('not in nftables mode');
    return nftList(translator, tables, version);
  };

  it('everything a Service can have', () => {
    const some = service({
      nodePort: 30080,
      loadBalancerIps: ['203.0.113.1'],
      sourceRanges: ['192.0.2.0/24'],
      externalTrafficPolicy: 'Local',
      affinitySeconds: 5400,
      endpoints: [endpoint(1, 1, 8080, 4), endpoint(2, 1, 8080, 4)],
    });
    const none = service({
      name: 'web/none',
      service: 'none',
      portName: '',
      clusterIp: '10.96.0.10',
      protocol: 17,
    });
    expect(nft([some, none], 4)).toMatchInlineSnapshot(`
      "table ip kube-proxy {
      	comment "rules for kube-proxy"
      	set cluster-ips {
      		type ipv4_addr
      		comment "Active ClusterIPs"
      		elements = { 10.96.0.9,
      			     10.96.0.10 }
      	}

      	set nodeport-ips {
      		type ipv4_addr
      		comment "IPs that accept NodePort traffic"
      		elements = { 172.18.0.1 }
      	}

      	set affinity-RHRUAN4Q-web/api/tcp/http__10.244.1.5/8080 {
      		type ipv4_addr
      		size 65535
      		flags dynamic,timeout
      		timeout 1h30m
      	}

      	set affinity-R2QULRKF-web/api/tcp/http__10.244.2.5/8080 {
      		type ipv4_addr
      		size 65535
      		flags dynamic,timeout
      		timeout 1h30m
      	}

      	map firewall-ips {
      		type ipv4_addr . inet_proto . inet_service : verdict
      		comment "destinations that are subject to LoadBalancerSourceRanges"
      		elements = { 203.0.113.1 . tcp . 80 comment "web/api:http" : goto firewall-HM3POKXT-web/api/tcp/http }
      	}

      	map no-endpoint-nodeports {
      		type inet_proto . inet_service : verdict
      		comment "vmap to drop or reject packets to service nodeports with no endpoints"
      	}

      	map no-endpoint-services {
      		type ipv4_addr . inet_proto . inet_service : verdict
      		comment "vmap to drop or reject packets to services with no endpoints"
      		elements = { 10.96.0.10 . udp . 80 comment "web/none" : goto reject-chain }
      	}

      	map service-ips {
      		type ipv4_addr . inet_proto . inet_service : verdict
      		comment "ClusterIP, ExternalIP and LoadBalancer IP traffic"
      		elements = { 10.96.0.9 . tcp . 80 comment "web/api:http" : goto service-HM3POKXT-web/api/tcp/http,
      			     203.0.113.1 . tcp . 80 comment "web/api:http" : goto external-HM3POKXT-web/api/tcp/http }
      	}

      	map service-nodeports {
      		type inet_proto . inet_service : verdict
      		comment "NodePort traffic"
      		elements = { tcp . 30080 comment "web/api:http" : goto external-HM3POKXT-web/api/tcp/http }
      	}

      	chain mark-for-masquerade {
      		meta mark set meta mark | 0x00004000
      	}

      	chain masquerading {
      		meta mark & 0x00004000 == 0x00000000 return
      		meta mark set meta mark ^ 0x00004000
      		masquerade fully-random
      	}

      	chain reject-chain {
      		reject
      	}

      	chain cluster-ips-check {
      		ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
      		ip daddr 10.96.0.0/16 drop comment "Drop traffic to unallocated ClusterIPs"
      	}

      	chain firewall-check {
      		ip daddr . meta l4proto . th dport vmap @firewall-ips
      	}

      	chain nodeport-endpoints-check {
      		ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
      	}

      	chain service-endpoints-check {
      		ip daddr . meta l4proto . th dport vmap @no-endpoint-services
      	}

      	chain endpoint-RHRUAN4Q-web/api/tcp/http__10.244.1.5/8080 {
      		ip saddr 10.244.1.5 jump mark-for-masquerade
      		update @affinity-RHRUAN4Q-web/api/tcp/http__10.244.1.5/8080 { ip saddr }
      		meta l4proto tcp dnat to 10.244.1.5:8080
      	}

      	chain endpoint-R2QULRKF-web/api/tcp/http__10.244.2.5/8080 {
      		ip saddr 10.244.2.5 jump mark-for-masquerade
      		update @affinity-R2QULRKF-web/api/tcp/http__10.244.2.5/8080 { ip saddr }
      		meta l4proto tcp dnat to 10.244.2.5:8080
      	}

      	chain service-HM3POKXT-web/api/tcp/http {
      		ip daddr 10.96.0.9 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
      		ip saddr @affinity-RHRUAN4Q-web/api/tcp/http__10.244.1.5/8080 goto endpoint-RHRUAN4Q-web/api/tcp/http__10.244.1.5/8080
      		ip saddr @affinity-R2QULRKF-web/api/tcp/http__10.244.2.5/8080 goto endpoint-R2QULRKF-web/api/tcp/http__10.244.2.5/8080
      		numgen random mod 2 vmap { 0 : goto endpoint-RHRUAN4Q-web/api/tcp/http__10.244.1.5/8080, 1 : goto endpoint-R2QULRKF-web/api/tcp/http__10.244.2.5/8080 }
      	}

      	chain local-HM3POKXT-web/api/tcp/http {
      		ip saddr @affinity-RHRUAN4Q-web/api/tcp/http__10.244.1.5/8080 goto endpoint-RHRUAN4Q-web/api/tcp/http__10.244.1.5/8080
      		numgen random mod 1 vmap { 0 : goto endpoint-RHRUAN4Q-web/api/tcp/http__10.244.1.5/8080 }
      	}

      	chain external-HM3POKXT-web/api/tcp/http {
      		ip saddr 10.244.0.0/16 goto service-HM3POKXT-web/api/tcp/http comment "short-circuit pod traffic"
      		fib saddr type local jump mark-for-masquerade comment "masquerade local traffic"
      		fib saddr type local goto service-HM3POKXT-web/api/tcp/http comment "short-circuit local traffic"
      		goto local-HM3POKXT-web/api/tcp/http
      	}

      	chain firewall-HM3POKXT-web/api/tcp/http {
      		ip saddr != 192.0.2.0/24 drop
      	}

      	chain services {
      		ip daddr . meta l4proto . th dport vmap @service-ips
      		ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
      	}

      	chain filter-prerouting-pre-dnat {
      		type filter hook prerouting priority dstnat - 10; policy accept;
      		ct state new jump firewall-check
      	}

      	chain filter-output-pre-dnat {
      		type filter hook output priority -110; policy accept;
      		ct state new jump firewall-check
      	}

      	chain filter-input {
      		type filter hook input priority filter; policy accept;
      		ct state new jump nodeport-endpoints-check
      		ct state new jump service-endpoints-check
      	}

      	chain filter-forward {
      		type filter hook forward priority filter; policy accept;
      		ct state new jump service-endpoints-check
      		ct state new jump cluster-ips-check
      	}

      	chain filter-output {
      		type filter hook output priority filter; policy accept;
      		ct state new jump service-endpoints-check
      		ct state new jump cluster-ips-check
      	}

      	chain nat-prerouting {
      		type nat hook prerouting priority dstnat; policy accept;
      		jump services
      	}

      	chain nat-output {
      		type nat hook output priority -100; policy accept;
      		jump services
      	}

      	chain nat-postrouting {
      		type nat hook postrouting priority srcnat; policy accept;
      		jump masquerading
      	}
      }
      "
    `);
  });

  it('IPv6 in its own words', () => {
    const port = service({ version: 6, endpoints: [endpoint(1, 1, 8080, 6)] });
    const lines = nft([port], 6).split('\n');
    expect(lines[0]).toBe('table ip6 kube-proxy {');
    expect(lines.filter((line) => line.includes('fd00:'))).toMatchInlineSnapshot(`
      [
        "		elements = { fd00:10:96::9 }",
        "		elements = { fd00:10:96::9 . tcp . 80 comment "web/api:http" : goto service-HM3POKXT-web/api/tcp/http }",
        "		ip6 daddr fd00:10:96::/112 drop comment "Drop traffic to unallocated ClusterIPs"",
        "		ip6 saddr fd00:10:244:1::5 jump mark-for-masquerade",
        "		meta l4proto tcp dnat to [fd00:10:244:1::5]:8080",
        "		ip6 daddr fd00:10:96::9 tcp dport 80 ip6 saddr != fd00:10:244::/48 jump mark-for-masquerade",
      ]
    `);
  });
});

describe('cilium bpf lb list', () => {
  it('slot 0 says what a frontend is, the others are its backends', () => {
    const some = service({
      nodePort: 30080,
      loadBalancerIps: ['203.0.113.1'],
      sourceRanges: ['192.0.2.0/24'],
      externalTrafficPolicy: 'Local',
      affinitySeconds: 60,
      endpoints: [endpoint(1, 1, 8080, 4), endpoint(2, 1, 8080, 4)],
    });
    const none = service({ version: 6, name: 'web/none', protocol: 17 });
    const tables = tablesOf(NODES[0], [some, none], 'ebpf');
    const { services } = new Pipeline({ nowMs: () => 0, random32: () => 0, tables });
    if (!(services instanceof EbpfTranslator)) throw new Error('not in ebpf mode');
    expect(ciliumLbList(services.maps)).toMatchInlineSnapshot(`
      "SERVICE ADDRESS              BACKEND ADDRESS (REVNAT_ID) (SLOT)
      10.96.0.9:80/TCP (0)         0.0.0.0:0 (1) (0) [ClusterIP, sessionAffinity, non-routable]
      10.96.0.9:80/TCP (1)         10.244.1.5:8080/TCP (1) (1)
      10.96.0.9:80/TCP (2)         10.244.2.5:8080/TCP (1) (2)
      172.18.0.1:30080/TCP (0)     0.0.0.0:0 (3) (0) [NodePort, Local, two-scopes, sessionAffinity]
      172.18.0.1:30080/TCP (1)     10.244.1.5:8080/TCP (3) (1)
      172.18.0.1:30080/TCP/i (0)   0.0.0.0:0 (3) (0) [NodePort, Local, two-scopes, sessionAffinity]
      172.18.0.1:30080/TCP/i (1)   10.244.1.5:8080/TCP (3) (1)
      172.18.0.1:30080/TCP/i (2)   10.244.2.5:8080/TCP (3) (2)
      203.0.113.1:80/TCP (0)       0.0.0.0:0 (2) (0) [LoadBalancer, Local, two-scopes, sessionAffinity, check source-range]
      203.0.113.1:80/TCP (1)       10.244.1.5:8080/TCP (2) (1)
      203.0.113.1:80/TCP/i (0)     0.0.0.0:0 (2) (0) [LoadBalancer, Local, two-scopes, sessionAffinity, check source-range]
      203.0.113.1:80/TCP/i (1)     10.244.1.5:8080/TCP (2) (1)
      203.0.113.1:80/TCP/i (2)     10.244.2.5:8080/TCP (2) (2)
      [fd00:10:96::9]:80/UDP (0)   [::]:0 (4) (0) [ClusterIP, non-routable]
      "
    `);
  });
});

describe('conntrack -L', () => {
  const api = service({ endpoints: [endpoint(2, 1, 8080, 4)] });

  it('a masqueraded connection, a datagram without an answer', () => {
    const cluster = new Cluster({ mode: 'iptables', services: [api] });
    const opened = cluster.fromHost(1, tcp('172.18.0.1', 40_000, '10.96.0.9', 80, SYN));
    cluster.fromPod(2, 1, answerTo(opened.frame));
    cluster.fromHost(1, tcp('172.18.0.1', 40_000, '10.96.0.9', 80, ACK));
    cluster.nowMs += 5000;
    cluster.fromPod(1, 1, udp('10.244.1.5', 5353, '10.244.1.6', 53));
    const { conntrack } = cluster.pipelines[0];
    const sourcePort = /:(\d+) ->/.exec(opened.seen)![1];
    const text = conntrackList(conntrack.list(cluster.nowMs));
    expect(text.replaceAll(sourcePort, 'PORT')).toMatchInlineSnapshot(`
      "tcp      6 86395 ESTABLISHED src=172.18.0.1 dst=10.96.0.9 sport=40000 dport=80 packets=2 bytes=81 src=10.244.2.5 dst=10.244.1.1 sport=8080 dport=PORT packets=1 bytes=40 [ASSURED] mark=0 use=1
      udp      17 30 src=10.244.1.5 dst=10.244.1.6 sport=5353 dport=53 packets=1 bytes=36 [UNREPLIED] src=10.244.1.6 dst=10.244.1.5 sport=53 dport=5353 packets=0 bytes=0 mark=0 use=1
      "
    `);
  });

  it('leaves out what only eBPF has', () => {
    const cluster = new Cluster({ mode: 'ebpf', services: [api] });
    cluster.fromPod(1, 1, tcp('10.244.1.5', 40_000, '10.96.0.9', 80, SYN));
    const entries = cluster.pipelines[0].conntrack.list(cluster.nowMs);
    expect(entries.some((entry) => entry.isServiceChoice)).toBe(true);
    expect(conntrackList(entries).trim().split('\n').length).toBe(entries.length - 1);
  });
});

describe('ipvsadm -Ln', () => {
  it('virtual servers with their real servers and how many connections those have', () => {
    const endpoints = [endpoint(1, 1, 8080, 4), endpoint(2, 1, 8080, 4)];
    const services = [
      service({ name: 'web/dns', clusterIp: '10.96.0.10', protocol: 17, port: 53, endpoints }),
      service({ endpoints, affinitySeconds: 10_800 }),
      service({ version: 6, name: 'web/six', endpoints: [endpoint(2, 1, 8080, 6)] }),
    ];
    const cluster = new Cluster({ mode: 'ipvs', services });
    const opened = cluster.fromPod(1, 2, tcp('10.244.1.6', 40_000, '10.96.0.9', 80, SYN));
    expect(opened.seen).toBe('10.244.1.6:40000 -> 10.244.1.5:8080');
    cluster.fromPod(1, 1, answerTo(opened.frame));
    cluster.fromPod(1, 2, tcp('10.244.1.6', 40_000, '10.96.0.9', 80, ACK));
    cluster.fromPod(1, 2, udp('10.244.1.6', 40_000, '10.96.0.10', 53));
    const text = dumpAs(cluster.pipelines[0], 'ipvsadm', cluster.nowMs)!;
    expect(text.replaceAll(/ +$/gm, '')).toMatchInlineSnapshot(`
      "IP Virtual Server version 1.2.1 (size=4096)
      Prot LocalAddress:Port Scheduler Flags
        -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
      TCP  10.96.0.9:80 rr persistent 10800
        -> 10.244.1.5:8080              Masq    1      1          0
        -> 10.244.2.5:8080              Masq    1      0          0
      TCP  [fd00:10:96::9]:80 rr
        -> [fd00:10:244:2::5]:8080      Masq    1      0          0
      UDP  10.96.0.10:53 rr
        -> 10.244.1.5:8080              Masq    1      0          1
        -> 10.244.2.5:8080              Masq    1      0          0
      "
    `);
  });
});

describe('formats', () => {
  it('a mode prints what it keeps and nothing else', () => {
    const formats = Object.keys(DUMP_FORMATS) as DumpFormat[];
    const printed = (['iptables', 'ipvs', 'nftables', 'ebpf'] as const).map((mode) => {
      const { pipelines, nowMs } = new Cluster({ mode });
      return [mode, formats.filter((format) => dumpAs(pipelines[0], format, nowMs) !== undefined)];
    });
    expect(Object.fromEntries(printed)).toEqual({
      iptables: ['iptables-save', 'ip6tables-save', 'conntrack'],
      ipvs: ['ipvsadm', 'conntrack'],
      nftables: ['nft', 'conntrack'],
      ebpf: ['cilium-lb', 'conntrack'],
    });
  });
});
