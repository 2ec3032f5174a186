import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { describe, expect, it } from 'vitest';
import { createSocketLb } from '../src/socket-lb.ts';
import { Cluster, endpoint, podAddress, SYN, service, tcp } from './cluster.ts';

const VIP = '10.96.0.9';
const THREE = [endpoint(1, 2, 8080, 4), endpoint(2, 1, 8080, 4), endpoint(3, 1, 8080, 4)];

function socketLbOf(cluster: Cluster, netnsCookie = 1) {
  const nowMs = () => cluster.nowMs;
  return createSocketLb({
    pipeline: cluster.pipelines[0],
    nowMs,
    random32: seededRandom32(netnsCookie),
    netnsCookie,
  });
}

describe('translation where sockets connect', () => {
  it.each([4, 6] as const)('sends a socket to a backend and tells it who it asked for, IPv%s', (version) => {
    const cluster = new Cluster({
      mode: 'ebpf',
      services: [service({ version, endpoints: [endpoint(2, 1, 8080, version)] })],
    });
    const lb = socketLbOf(cluster);
    const vip = version === 4 ? VIP : 'fd00:10:96::9';
    const backend = podAddress(2, 1, version);
    expect(lb.translate('tcp', vip, 80, 7)).toEqual({ address: backend, port: 8080 });
    expect(lb.reverse('tcp', backend, 8080, 7)).toEqual({ address: vip, port: 80 });
    // Of another socket, or another peer, nothing is known.
    expect(lb.reverse('tcp', backend, 8080, 8)).toBeUndefined();
    expect(lb.reverse('tcp', backend, 8081, 7)).toBeUndefined();
    // What it then sends needs no translation.
    const own = podAddress(1, 1, version);
    expect(cluster.fromPod(1, 1, tcp(own, 1000, backend, 8080, SYN)).seen).toBe(
      `${own}:1000 -> ${backend}:8080`,
    );
    expect(cluster.pipelines[0].conntrack.list(cluster.nowMs).every((entry) => entry.service === '')).toBe(
      true,
    );
  });

  it('leaves alone what is no service, and every mode but ebpf', () => {
    const services = [service({ endpoints: THREE })];
    const ebpf = socketLbOf(new Cluster({ mode: 'ebpf', services }));
    expect(ebpf.translate('tcp', VIP, 81, 1)).toBeUndefined();
    expect(ebpf.translate('udp', VIP, 80, 1)).toBeUndefined();
    expect(ebpf.translate('tcp', '192.0.2.1', 80, 1)).toBeUndefined();
    expect(ebpf.translate('tcp', 'not an address', 80, 1)).toBeUndefined();
    expect(
      socketLbOf(new Cluster({ mode: 'iptables', services })).translate('tcp', VIP, 80, 1),
    ).toBeUndefined();
  });

  it('says EHOSTUNREACH when a service has no backends', () => {
    const lb = socketLbOf(new Cluster({ mode: 'ebpf', services: [service()] }));
    expect(lb.translate('tcp', VIP, 80, 1)).toEqual({ error: 'EHOSTUNREACH' });
  });

  it('leaves a backend on the loopback of the node to the node', () => {
    const onNode = { ...endpoint(1, 1, 6443, 4), address: '127.0.0.10' };
    const cluster = new Cluster({ mode: 'ebpf', services: [service({ endpoints: [onNode] })] });
    expect(socketLbOf(cluster).translate('tcp', VIP, 80, 1)).toBeUndefined();
    expect(cluster.fromPod(1, 1, tcp(podAddress(1, 1, 4), 1000, VIP, 80, SYN)).seen).toContain(
      '-> 127.0.0.10:6443',
    );
  });

  it('chooses at random for TCP and by cookie for UDP', () => {
    const both = [service({ endpoints: THREE }), service({ protocol: 17, endpoints: THREE })];
    const lb = socketLbOf(new Cluster({ mode: 'ebpf', services: both }));
    const to = (protocol: 'tcp' | 'udp', cookie: number): unknown => {
      const result = lb.translate(protocol, VIP, 80, cookie);
      return result !== undefined && 'address' in result ? result.address : result;
    };
    expect(new Set(Array.from({ length: 50 }, () => to('tcp', 5))).size).toBe(3);
    expect(new Set(Array.from({ length: 50 }, () => to('udp', 5))).size).toBe(1);
    expect([0, 1, 2].map((cookie) => to('udp', cookie))).toEqual(THREE.map((item) => item.address));
  });

  it('keeps a network namespace, not an address, at its backend', () => {
    const cluster = new Cluster({
      mode: 'ebpf',
      services: [service({ endpoints: THREE, affinitySeconds: 10 })],
    });
    const lb = socketLbOf(cluster, 1);
    const first = lb.translate('tcp', VIP, 80, 1);
    for (let cookie = 2; cookie < 20; cookie++) {
      cluster.nowMs += 9000;
      expect(lb.translate('tcp', VIP, 80, cookie)).toEqual(first);
    }
    const others = new Set(
      Array.from({ length: 20 }, (_, i) =>
        JSON.stringify(socketLbOf(cluster, 100 + i).translate('tcp', VIP, 80, 1)),
      ),
    );
    expect(others.size).toBe(3);
    // It goes when the backend goes.
    const address = (first as { address: string }).address;
    cluster.setServices([
      service({ endpoints: THREE.filter((item) => item.address !== address), affinitySeconds: 10 }),
    ]);
    expect(lb.translate('tcp', VIP, 80, 50)).not.toEqual(first);
  });

  it('reaches node ports of its own node, local policy or not', () => {
    const services = [
      service({ nodePort: 30080, externalTrafficPolicy: 'Local', endpoints: [endpoint(2, 1, 8080, 4)] }),
    ];
    const lb = socketLbOf(new Cluster({ mode: 'ebpf', services }));
    expect(lb.translate('tcp', '172.18.0.1', 30080, 1)).toEqual({ address: podAddress(2, 1, 4), port: 8080 });
    expect(lb.translate('tcp', '172.18.0.2', 30080, 1)).toBeUndefined();
  });

  it('remembers a bounded number of peers', () => {
    const lb = socketLbOf(new Cluster({ mode: 'ebpf', services: [service({ endpoints: [THREE[1]] })] }));
    for (let cookie = 0; cookie < 5000; cookie++) lb.translate('tcp', VIP, 80, cookie);
    expect(lb.reverse('tcp', THREE[1].address, 8080, 0)).toBeUndefined();
    expect(lb.reverse('tcp', THREE[1].address, 8080, 4999)).toEqual({ address: VIP, port: 80 });
  });
});
