/** Which backend a flow gets, how evenly, for how long, and what becomes of it when backends go. */

import { formatIpv4 } from '@podwire/wire/address';
import { writeU16 } from '@podwire/wire/big-endian';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import type { ServiceEndpoint, ServicePort } from '../src/tables.ts';
import {
  ACK,
  Cluster,
  type ClusterOptions,
  endpoint,
  FIN,
  GATEWAY,
  NODES,
  podAddress,
  RST,
  SYN,
  service,
  setMacs,
  tcp,
  traceText,
  udp,
} from './cluster.ts';

const VIP = '10.96.0.9';
const A = podAddress(1, 1, 4);
const THREE = [endpoint(1, 2, 8080, 4), endpoint(2, 1, 8080, 4), endpoint(3, 1, 8080, 4)];

function open(cluster: Cluster, port: number, from = A): string {
  const [, n, id] = from.split('.').map(Number).slice(1);
  return cluster.fromPod(n, id - 4, tcp(from, port, VIP, 80, SYN)).at;
}

/** Chi-squared statistic of counts that should be equal. */
function chiSquared(counts: readonly number[]): number {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

const variants: [string, ClusterOptions][] = [
  ['iptables', { mode: 'iptables' }],
  ['ipvs', { mode: 'ipvs' }],
  ['nftables', { mode: 'nftables' }],
  ['ebpf, random', { mode: 'ebpf' }],
  ['ebpf, maglev', { mode: 'ebpf', options: { algorithm: 'maglev', maglevTableSize: 1021 } }],
];

describe.each(variants)('%s', (_name, options) => {
  it.each([2, 3, 6])('spreads new flows evenly over %d backends', (count) => {
    const endpoints = [1, 2, 3]
      .flatMap((n) => [endpoint(n, 1, 8080, 4), endpoint(n, 2, 8080, 4)])
      .slice(6 - count);
    const cluster = new Cluster({ ...options, seed: 42, services: [service({ endpoints })] });
    const counts = new Map<string, number>(endpoints.map((item) => [item.target.slice(4), 0]));
    const [pipeline] = cluster.pipelines;
    const frame = tcp(A, 1024, VIP, 80, SYN);
    setMacs(frame, NODES[0].pods[0].mac, GATEWAY);
    const seen = new Packet();
    for (let port = 1024; port < 1024 + 3000; port++) {
      writeU16(frame, 34, port);
      const outcome = pipeline.fromPod(1, frame, frame.length);
      seen.decodeIp(
        outcome.buffer,
        outcome.verdict === 'encap' ? 22 : outcome.start + 14,
        outcome.start + outcome.length,
      );
      const backend = endpoints.find((item) => item.address === formatIpv4(seen.dst3))!.target.slice(4);
      counts.set(backend, counts.get(backend)! + 1);
    }
    // 5 degrees of freedom: 20.5 is passed once in a thousand; the seed is fixed.
    expect(counts.size).toBe(count);
    expect(chiSquared([...counts.values()]), JSON.stringify([...counts])).toBeLessThan(20.5);
  });

  it('keeps a client at its backend while affinity lasts, and chooses again after', () => {
    const services = [service({ endpoints: THREE, affinitySeconds: 100 })];
    const cluster = new Cluster({ ...options, services });
    const first = open(cluster, 1000);
    for (let port = 1001; port < 1020; port++) {
      cluster.nowMs += 60_000;
      expect(open(cluster, port), 'the time slides with each connection').toBe(first);
    }
    const after = new Set<string>();
    for (let port = 1020; port < 1050; port++) {
      cluster.nowMs += 101_000;
      after.add(open(cluster, port));
    }
    // Maglev leaves the source port out with affinity: the same client finds the same backend again.
    expect(after.size).toBe(options.options?.algorithm === 'maglev' ? 1 : 3);
    // Another client is its own.
    const others = new Set(
      Array.from({ length: 15 }, (_, i) => i).map((i) =>
        open(new Cluster({ ...options, services, seed: i }), 1000, podAddress(1, 2, 4)),
      ),
    );
    const isFirstFixed = options.options?.algorithm === 'maglev' || options.mode === 'ipvs';
    expect(others.size).toBe(isFirstFixed ? 1 : 3);
  });

  it('a client whose backend goes gets another, affinity or not', () => {
    const cluster = new Cluster({
      ...options,
      services: [service({ endpoints: THREE, affinitySeconds: 100 })],
    });
    const first = open(cluster, 1000);
    const rest = THREE.filter((item) => !item.target.endsWith(first));
    cluster.setServices([service({ endpoints: rest, affinitySeconds: 100 })]);
    const second = open(cluster, 1001);
    expect(rest.map((item) => item.target)).toContain(`web/${second}`);
    expect(open(cluster, 1002)).toBe(second);
  });

  it('a backend that terminates keeps its connections and gets no new ones', () => {
    const cluster = new Cluster({ ...options, services: [service({ endpoints: THREE })] });
    const first = open(cluster, 1000);
    const leaving = (item: ServiceEndpoint): ServiceEndpoint =>
      item.target.endsWith(first) ? { ...item, ready: false, terminating: true } : item;
    const endpoints = THREE.map(leaving);
    const stay = endpoints.filter((item) => item.ready);
    cluster.setServices([service({ endpoints, clusterEndpoints: stay, localEndpoints: stay })]);
    // A SYN sent again: the kernel knows its flow, Cilium looks for a backend that stays.
    const again = cluster.fromPod(1, 1, tcp(A, 1000, VIP, 80, SYN)).at;
    if (options.mode !== 'ebpf') expect(again).toBe(first);
    else expect(again).not.toBe(first);
    const cluster2 = new Cluster({ ...options, services: [service({ endpoints: THREE })] });
    const at = open(cluster2, 1000);
    const back = cluster2.fromPod(
      Number(at.split('-')[1]),
      Number(at.split('-')[2]),
      tcp(THREE.find((item) => item.target.endsWith(at))!.address, 8080, A, 1000, SYN | ACK),
    );
    expect(back.at).toBe('pod-1-1');
    cluster2.fromPod(1, 1, tcp(A, 1000, VIP, 80, ACK));
    const endpoints2 = THREE.map((item) =>
      item.target.endsWith(at) ? { ...item, ready: false, terminating: true } : item,
    );
    const stay2 = endpoints2.filter((item) => item.ready);
    cluster2.setServices([
      service({ endpoints: endpoints2, clusterEndpoints: stay2, localEndpoints: stay2 }),
    ]);
    expect(cluster2.fromPod(1, 1, tcp(A, 1000, VIP, 80, ACK)).at).toBe(at);
    for (let port = 2000; port < 2040; port++) expect(open(cluster2, port)).not.toBe(at);
    // The old connection outlives even the endpoint's removal in the kernel; Cilium chooses another backend for it.
    cluster2.setServices([service({ endpoints: stay2 })]);
    const later = cluster2.fromPod(1, 1, tcp(A, 1000, VIP, 80, ACK));
    if (options.mode !== 'ebpf') expect(later.at).toBe(at);
    else expect(later.at, traceText(later)).not.toBe(at);
  });

  it('a connection that was closed may be opened again, to any backend', () => {
    const cluster = new Cluster({ ...options, services: [service({ endpoints: THREE })] });
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) {
      const at = open(cluster, 1000);
      seen.add(at);
      const item = THREE.find((each) => each.target.endsWith(at))!;
      const [, n, id] = at.split('-').map(Number);
      cluster.fromPod(n, id, tcp(item.address, 8080, A, 1000, RST | ACK));
      cluster.fromPod(1, 1, tcp(A, 1000, VIP, 80, RST));
    }
    expect(seen.size).toBe(options.options?.algorithm === 'maglev' ? 1 : 3);
  });

  it('a UDP client whose backend goes is sent to another', () => {
    const dns = (endpoints: ServiceEndpoint[]): ServicePort => service({ protocol: 17, endpoints });
    const cluster = new Cluster({ ...options, services: [dns(THREE)] });
    const ask = (): string => cluster.fromPod(1, 1, udp(A, 5000, VIP, 80)).at;
    const first = ask();
    expect(ask()).toBe(first);
    const rest = THREE.filter((item) => !item.target.endsWith(first));
    cluster.setServices([dns(rest)]);
    const second = ask();
    expect(rest.map((item) => item.target)).toContain(`web/${second}`);
    cluster.setServices([]);
    expect(ask()).toBe('drop 151');
    cluster.setServices([dns(THREE)]);
    expect(ask()).toMatch(/^pod/);
  });

  it('a UDP client that was refused while there were no endpoints is served when there are', () => {
    const dns = (endpoints: ServiceEndpoint[]): ServicePort => service({ protocol: 17, endpoints });
    const cluster = new Cluster({ ...options, services: [dns([])] });
    const ask = (): string => cluster.fromPod(1, 1, udp(A, 5000, VIP, 80)).at;
    expect(ask()).toBe('pod-1-1');
    cluster.setServices([dns(THREE)]);
    expect(ask()).toMatch(/^pod-[123]-[12]$/);
  });
});

describe('what a change leaves alone', () => {
  it('iptables: the affinity list of an endpoint that went is forgotten with it', () => {
    const comesBack = new Set<boolean>();
    for (let seed = 1; seed <= 20; seed++) {
      const services = (endpoints: ServiceEndpoint[]) => [service({ endpoints, affinitySeconds: 100 })];
      const cluster = new Cluster({ mode: 'iptables', seed, services: services(THREE) });
      const first = open(cluster, 1000);
      cluster.setServices(services(THREE.filter((item) => !item.target.endsWith(first))));
      cluster.setServices(services(THREE));
      const again = open(cluster, 1001);
      expect(open(cluster, 1002)).toBe(again);
      comesBack.add(again === first);
    }
    expect(comesBack).toEqual(new Set([true, false]));
  });

  it('ebpf: FIN, then silence: the choice is forgotten in a minute', () => {
    const cluster = new Cluster({ mode: 'ebpf', services: [service({ endpoints: THREE })] });
    open(cluster, 1000);
    cluster.fromPod(1, 1, tcp(A, 1000, VIP, 80, FIN | ACK));
    const choices = () =>
      cluster.pipelines[0].conntrack.list(cluster.nowMs).filter((entry) => entry.isServiceChoice);
    expect(choices()).toMatchObject([{ service: 'web/api:http', expiresInSeconds: 60 }]);
    cluster.nowMs += 60_000;
    expect(choices()).toEqual([]);
  });
});
