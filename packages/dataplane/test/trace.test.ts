/** What a trace says, in order: people read it. */

import { describe, expect, it } from 'vitest';
import { answerTo, Cluster, endpoint, podAddress, SYN, service, tcp } from './cluster.ts';

const A = podAddress(1, 1, 4);
const VIP = '10.96.0.9';

function lines(arrived: ReturnType<Cluster['fromPod']>): string[][] {
  return arrived.trace.map((trace) =>
    trace.steps.map((step) => `${step.stage} ${step.verdict}: ${step.text}`),
  );
}

describe('a request through a Service to another node', () => {
  it('iptables', () => {
    const cluster = new Cluster({
      mode: 'iptables',
      services: [service({ name: 'ns1/svc1:p80', endpoints: [endpoint(2, 1, 8080, 4)] })],
    });
    const there = cluster.fromPod(1, 1, tcp(A, 41822, VIP, 80, SYN));
    expect(lines(there)).toEqual([
      [
        'decode ok: pod web/pod-1-1  10.244.1.5:41822 -> 10.96.0.9:80 SYN',
        'source-check ok: address and MAC belong to web/pod-1-1',
        'conntrack ok: NEW',
        expect.stringMatching(
          /^service translate: DNAT -> 10\.244\.2\.5:8080 {2}\(svc ns1\/svc1:p80, backend 1 of 1, random; KUBE-SERVICES > KUBE-SVC-XPGD46QRK7WJZT7O > KUBE-SEP-[A-Z2-7]{16}\)$/,
        ),
        'egress-policy allow: no policy selects web/pod-1-1 for egress',
        'route ok: 10.244.2.5 by 10.244.2.0/24 -> node node-2',
        'encap send: VXLAN vni=1 172.18.0.1 -> 172.18.0.2  (+50 B)  10.244.1.5:41822 -> 10.244.2.5:8080 SYN',
      ],
      [
        'decap ok: VXLAN vni=1 from node-1 (172.18.0.1)  10.244.1.5:41822 -> 10.244.2.5:8080 SYN',
        'conntrack ok: NEW',
        'route ok: 10.244.2.5 by 10.244.2.5/32 -> pod web/pod-2-1 on this node',
        'ingress-policy allow: no policy selects web/pod-2-1 for ingress',
        'deliver send: to pod web/pod-2-1  10.244.1.5:41822 -> 10.244.2.5:8080 SYN',
      ],
    ]);
    expect(lines(cluster.fromPod(2, 1, answerTo(there.frame)))[1]).toEqual([
      'decap ok: VXLAN vni=1 from node-2 (172.18.0.2)  10.244.2.5:8080 -> 10.244.1.5:41822 SYN+ACK',
      'conntrack ok: known flow, reply direction, SYN_RECV, svc ns1/svc1:p80',
      'route ok: 10.244.1.5 by 10.244.1.5/32 -> pod web/pod-1-1 on this node',
      'service translate: un-DNAT: source 10.244.2.5:8080 -> 10.96.0.9:80',
      'deliver send: to pod web/pod-1-1  10.96.0.9:80 -> 10.244.1.5:41822 SYN+ACK',
    ]);
  });

  it('ebpf', () => {
    const services = [service({ endpoints: [endpoint(2, 1, 8080, 4)] })];
    const cluster = new Cluster({ mode: 'ebpf', services });
    const step = () =>
      lines(cluster.fromPod(1, 1, tcp(A, 41822, VIP, 80, SYN)))[0].filter((line) =>
        /^(service|conntrack)/.test(line),
      );
    expect(step()).toEqual([
      'service translate: DNAT -> 10.244.2.5:8080  (svc web/api:http, backend 1 of 1, random)',
      'conntrack ok: NEW',
    ]);
    expect(step()).toEqual([
      'service translate: DNAT -> 10.244.2.5:8080  (svc web/api:http, backend 1 of 1, CT_SERVICE)',
      'conntrack ok: known flow, original direction, SYN_SENT, svc web/api:http',
    ]);
  });
});

describe('what did not arrive says why', () => {
  it('no endpoints, refused by a chain', () => {
    const cluster = new Cluster({ mode: 'iptables', services: [service()] });
    const [own] = lines(cluster.fromPod(1, 1, tcp(A, 1, VIP, 80, SYN)));
    expect(own.slice(-3)).toEqual([
      'service reject: REJECT  (web/api:http has no endpoints)',
      'drop reject: Service backend not found (158): no endpoints',
      'reply reply: ICMP port unreachable from 10.244.1.1 to 10.244.1.5',
    ]);
  });

  it('a hairpin shows its masquerade', () => {
    const services = [service({ endpoints: [endpoint(1, 1, 8080, 4)] })];
    const [own] = lines(new Cluster({ mode: 'iptables', services }).fromPod(1, 1, tcp(A, 1, VIP, 80, SYN)));
    expect(own.find((line) => line.startsWith('service'))).toMatch(
      /KUBE-SEP-[A-Z2-7]{16}; KUBE-MARK-MASQ\)$/,
    );
    expect(own.find((line) => line.startsWith('snat'))).toMatch(
      /^snat translate: SNAT -> 10\.244\.1\.1:\d+ {2}\(masquerade to node node-1\)$/,
    );
    const [cilium] = lines(new Cluster({ mode: 'ebpf', services }).fromPod(1, 1, tcp(A, 1, VIP, 80, SYN)));
    expect(cilium.find((line) => line.startsWith('snat'))).toBe(
      'snat translate: SNAT -> 169.254.42.1:1  (service loopback: the backend is the client itself)',
    );
  });

  it('a ClusterIP that nothing translated', () => {
    const [own] = lines(new Cluster({ mode: 'iptables' }).fromPod(1, 1, tcp(A, 1, VIP, 80, SYN)));
    expect(own.at(-1)).toBe(
      'drop drop: Stale or unroutable IP (151): nothing translated this service address',
    );
  });
});
