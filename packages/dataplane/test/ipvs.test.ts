/** IPVS: the schedulers, persistence, connection counts, and how servers leave. */

import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import { BackendFlows } from '../src/backend-flows.ts';
import type { IpvsTranslator } from '../src/service/ipvs.ts';
import { createScheduler, SCHEDULER_NAMES, type Schedulable } from '../src/service/ipvs-schedulers.ts';
import { sipHashWord } from '../src/service/siphash.ts';
import type { ServiceEndpoint, ServiceOptions, ServicePort } from '../src/tables.ts';
import {
  ACK,
  answerTo,
  Cluster,
  endpoint,
  FIN,
  podAddress,
  SYN,
  sctp,
  service,
  tcp,
  udp,
} from './cluster.ts';

interface Server extends Schedulable {
  weight: number;
}

function servers(...weights: number[]): Server[] {
  return weights.map((weight, i) => ({
    id: i + 1,
    words: [0, 0, 0xffff, 0x0af40100 + i],
    port: 8080,
    weight,
  }));
}

function packetFrom(from: string, port = 1000, to = '10.96.0.9'): Packet {
  const packet = new Packet();
  packet.decode(tcp(from, port, to, 80, SYN));
  return packet;
}

/** Ids of the servers chosen one after the other; each connection stays when `flows` counts. */
function picks(
  name: (typeof SCHEDULER_NAMES)[number],
  list: Server[],
  count: number,
  isActive = true,
): string {
  const flows = new BackendFlows();
  const scheduler = createScheduler<Server>(name, flows);
  const packet = packetFrom('10.244.1.5');
  let text = '';
  for (let i = 0; i < count; i++) {
    const server = scheduler.schedule(list, packet);
    text += server?.id ?? '-';
    if (server) flows.add(server.id, isActive);
  }
  return text;
}

describe('schedulers', () => {
  it('choose in the order the kernel does', () => {
    expect(picks('rr', servers(1, 1, 1), 7)).toBe('1231231');
    expect(picks('rr', servers(1, 0, 1), 5)).toBe('13131');
    expect(picks('wrr', servers(1, 1, 1), 7)).toBe('1231231');
    // Weights 4, 3, 2: the sequence of the LVS documentation, AABABCABC.
    expect(picks('wrr', servers(4, 3, 2), 9)).toBe('112123123');
    expect(picks('lc', servers(1, 1, 1), 6)).toBe('123123');
    expect(picks('wlc', servers(2, 1), 6)).toBe('121121');
    expect(picks('sed', servers(2, 1), 6)).toBe('112112');
    // An idle server first, though the heavier one would be faster.
    expect(picks('nq', servers(3, 1), 6)).toBe('121111');
    for (const name of SCHEDULER_NAMES) {
      expect(picks(name, servers(0, 0), 2), name).toBe('--');
      expect(picks(name, [], 1), name).toBe('-');
    }
  });

  it('lc and wlc: one active connection weighs as much as 256 inactive ones', () => {
    const flows = new BackendFlows();
    const list = servers(1, 1);
    flows.add(1, true);
    for (let i = 0; i < 255; i++) flows.add(2, false);
    const packet = packetFrom('10.244.1.5');
    for (const name of ['lc', 'wlc'] as const) {
      expect(createScheduler<Server>(name, flows).schedule(list, packet)?.id).toBe(2);
    }
    flows.add(2, false);
    flows.add(2, false);
    for (const name of ['lc', 'wlc'] as const) {
      expect(createScheduler<Server>(name, flows).schedule(list, packet)?.id).toBe(1);
    }
  });

  it('rr goes on where it was when a server before it goes', () => {
    const list = servers(1, 1, 1, 1);
    const scheduler = createScheduler<Server>('rr', new BackendFlows());
    const packet = packetFrom('10.244.1.5');
    const next = () => scheduler.schedule(list, packet)?.id;
    expect([next(), next()]).toEqual([1, 2]);
    list.splice(0, 1);
    scheduler.changed(0);
    expect([next(), next(), next()]).toEqual([3, 4, 2]);
  });

  it('sh goes by the client, dh by the frontend, mh by the client and its port', () => {
    const list = servers(1, 1, 1);
    const choose = (name: 'sh' | 'dh' | 'mh', packets: Packet[]) => {
      const scheduler = createScheduler<Server>(name, new BackendFlows());
      return new Set(packets.map((packet) => scheduler.schedule(list, packet)!.id)).size;
    };
    const clients = Array.from({ length: 40 }, (_, i) => packetFrom(`10.244.1.${i + 2}`));
    const ports = Array.from({ length: 40 }, (_, i) => packetFrom('10.244.1.5', 1000 + i));
    const frontends = Array.from({ length: 40 }, (_, i) =>
      packetFrom('10.244.1.5', 1000, `10.96.0.${i + 2}`),
    );
    expect(['sh', 'dh', 'mh'].map((name) => choose(name as 'sh', clients))).toEqual([3, 1, 3]);
    expect(['sh', 'dh', 'mh'].map((name) => choose(name as 'sh', ports))).toEqual([1, 1, 3]);
    expect(['sh', 'dh', 'mh'].map((name) => choose(name as 'sh', frontends))).toEqual([1, 3, 1]);
  });

  it('sh and dh take the bucket of hash_32, and refuse who hashes to a server that leaves', () => {
    const list = servers(1, 1, 1);
    const scheduler = createScheduler<Server>('sh', new BackendFlows());
    // 0x0af40105 * 0x61c88647 = ...; the top byte is the bucket, dealt out in turn.
    const bucket = Math.imul(0x0af40105, 0x61c88647) >>> 24;
    const packet = packetFrom('10.244.1.5');
    const chosen = scheduler.schedule(list, packet)!;
    expect(chosen).toBe(list[bucket % 3]);
    chosen.weight = 0;
    scheduler.changed(-1);
    expect(scheduler.schedule(list, packet)).toBeUndefined();
  });

  it('mh moves few clients when one of ten servers goes', () => {
    const list = servers(...Array.from({ length: 10 }, () => 1));
    const clients = Array.from({ length: 500 }, (_, i) => packetFrom('10.244.1.5', 2000 + i));
    const scheduler = createScheduler<Server>('mh', new BackendFlows());
    const before = clients.map((packet) => scheduler.schedule(list, packet)!);
    const gone = list.splice(4, 1)[0];
    scheduler.changed(4);
    const moved = clients.filter((packet, i) => scheduler.schedule(list, packet) !== before[i]);
    const had = before.filter((server) => server === gone).length;
    expect(had).toBeGreaterThan(25);
    // Those of the server that went, and a few more.
    expect(moved.length).toBeGreaterThanOrEqual(had);
    expect(moved.length - had).toBeLessThan(25);
  });

  it('SipHash-2-4 of the four bytes 00 01 02 03, from the reference vectors', () => {
    expect(sipHashWord(0x03020100, [0x03020100, 0x07060504], [0x0b0a0908, 0x0f0e0d0c], 2, 4)).toEqual([
      0x277187b7, 0xcf2794e0,
    ]);
  });
});

const A = podAddress(1, 1, 4);
const VIP = '10.96.0.9';
const THREE = [endpoint(1, 2, 8080, 4), endpoint(2, 1, 8080, 4), endpoint(3, 1, 8080, 4)];

function lab(services: ServicePort[], options?: ServiceOptions) {
  const cluster = new Cluster({ mode: 'ipvs', services, options });
  const { table } = cluster.pipelines[0].services as IpvsTranslator;
  const flows = cluster.pipelines[0].conntrack.backendFlows;
  /** `address:port weight active inactive` of the ClusterIP's servers, as ipvsadm -Ln lists them. */
  const list = (): string[] => {
    const virtual = table.list().find(({ kind }) => kind === 'ClusterIP');
    return (virtual?.servers ?? []).map(
      ({ id, endpoint: { target }, weight }) =>
        `${target.slice(4)} ${weight} ${flows.activeOf(id)} ${flows.inactiveOf(id)}`,
    );
  };
  const answer = (frame: Uint8Array, at: string, flags: number): void => {
    const [, n, id] = at.split('-').map(Number);
    cluster.fromPod(n, id, answerTo(frame, flags));
  };
  const open = (port: number): string => {
    const there = cluster.fromPod(1, 1, tcp(A, port, VIP, 80, SYN));
    if (!there.at.startsWith('pod')) return there.at;
    answer(there.frame, there.at, SYN | ACK);
    cluster.fromPod(1, 1, tcp(A, port, VIP, 80, ACK));
    return there.at;
  };
  const close = (port: number): void => {
    const there = cluster.fromPod(1, 1, tcp(A, port, VIP, 80, FIN | ACK));
    answer(there.frame, there.at, FIN | ACK);
    cluster.fromPod(1, 1, tcp(A, port, VIP, 80, ACK));
  };
  return { cluster, table, list, open, close };
}

const without = (index: number): ServiceEndpoint[] => THREE.filter((_, i) => i !== index);

describe('connections', () => {
  it('are counted active while established, inactive before and after', () => {
    const { cluster, list, open, close } = lab([service({ endpoints: THREE })]);
    expect([1000, 1001, 1002, 1003].map(open)).toEqual(['pod-1-2', 'pod-2-1', 'pod-3-1', 'pod-1-2']);
    expect(list()).toEqual(['pod-1-2 1 2 0', 'pod-2-1 1 1 0', 'pod-3-1 1 1 0']);
    cluster.fromPod(1, 1, tcp(A, 1004, VIP, 80, SYN));
    close(1001);
    expect(list()).toEqual(['pod-1-2 1 2 0', 'pod-2-1 1 0 2', 'pod-3-1 1 1 0']);
    cluster.nowMs += 86_400_000;
    cluster.pipelines[0].conntrack.collectGarbage(cluster.nowMs, 100);
    expect(list()).toEqual(['pod-1-2 1 0 0', 'pod-2-1 1 0 0', 'pod-3-1 1 0 0']);
  });

  it('least connections sends new ones to where connections closed', () => {
    const { open, close, cluster } = lab([service({ endpoints: THREE })], { ipvsScheduler: 'lc' });
    expect([1000, 1001, 1002].map(open)).toEqual(['pod-1-2', 'pod-2-1', 'pod-3-1']);
    close(1001);
    cluster.nowMs += 1000;
    expect([1010, 1011].map(open)).toEqual(['pod-2-1', 'pod-1-2']);
  });

  it('a service with many frontends has a virtual server for each, on kube-ipvs0 or the node', () => {
    const { table } = lab([
      service({
        nodePort: 30080,
        externalIps: ['198.51.100.1'],
        loadBalancerIps: ['203.0.113.1'],
        endpoints: THREE,
      }),
    ]);
    expect(table.list().map(({ kind, address, port }) => `${kind} ${address}:${port}`)).toEqual([
      'ClusterIP 10.96.0.9:80',
      'ExternalIP 198.51.100.1:80',
      'LoadBalancer 203.0.113.1:80',
      'NodePort 172.18.0.1:30080',
      'NodePort 10.244.1.1:30080',
    ]);
    expect(table.boundAddresses.addresses()).toEqual(['10.96.0.9', '198.51.100.1', '203.0.113.1']);
  });
});

describe('leaving', () => {
  it('TCP: weight 0 while it has connections, deleted at the check of the minute after', () => {
    const { cluster, list, open, close } = lab([service({ endpoints: THREE })]);
    expect(open(1000)).toBe('pod-1-2');
    cluster.setServices([service({ endpoints: without(0) })]);
    expect(list()).toEqual(['pod-1-2 0 1 0', 'pod-2-1 1 0 0', 'pod-3-1 1 0 0']);
    // New connections go elsewhere, the old one goes on.
    expect([1001, 1002, 1003].map(open)).toEqual(['pod-2-1', 'pod-3-1', 'pod-2-1']);
    expect(cluster.fromPod(1, 1, tcp(A, 1000, VIP, 80, ACK)).at).toBe('pod-1-2');
    cluster.nowMs += 60_000;
    open(1004);
    expect(list()[0]).toBe('pod-1-2 0 1 0');
    close(1000);
    cluster.nowMs += 121_000;
    open(1005);
    expect(list().map((line) => line.slice(0, 9))).toEqual(['pod-2-1 1', 'pod-3-1 1']);
  });

  it('TCP: deleted at once when it has no connections, and back with weight 1 when its endpoint comes back', () => {
    const { cluster, list, open } = lab([service({ endpoints: THREE })]);
    open(1000);
    cluster.setServices([service({ endpoints: without(2) })]);
    expect(list()).toEqual(['pod-1-2 1 1 0', 'pod-2-1 1 0 0']);
    cluster.setServices([service({ endpoints: without(0) })]);
    cluster.setServices([service({ endpoints: THREE })]);
    expect(list()).toEqual(['pod-1-2 1 1 0', 'pod-2-1 1 0 0', 'pod-3-1 1 0 0']);
  });

  it('UDP and SCTP: at once, and its flows with it', () => {
    for (const protocol of [17, 132] as const) {
      const { cluster, list } = lab([service({ protocol, endpoints: THREE })]);
      const ask = () =>
        cluster.fromPod(1, 1, protocol === 17 ? udp(A, 5000, VIP, 80) : sctp(A, 5000, VIP, 80, 1)).at;
      expect([ask(), ask()]).toEqual(['pod-1-2', 'pod-1-2']);
      cluster.setServices([service({ protocol, endpoints: without(0) })]);
      expect(list()).toEqual(['pod-2-1 1 0 0', 'pod-3-1 1 0 0']);
      expect(ask()).toBe('pod-2-1');
    }
  });

  it('a virtual server that goes takes its connections along', () => {
    const { cluster, list, open } = lab([service({ endpoints: THREE })]);
    open(1000);
    cluster.setServices([]);
    expect(list()).toEqual([]);
    expect(cluster.pipelines[0].conntrack.size).toBe(0);
    expect(cluster.fromPod(1, 1, tcp(A, 1000, VIP, 80, ACK)).at).toBe('drop 151');
  });

  it('counts nothing of another mode', () => {
    const { cluster, open } = lab([service({ endpoints: THREE })]);
    open(1000);
    cluster.mode = 'iptables';
    cluster.setServices(cluster.services);
    expect(cluster.fromPod(1, 1, tcp(A, 1000, VIP, 80, ACK)).at, 'flows stay').toBe('pod-1-2');
    cluster.mode = 'ipvs';
    cluster.setServices(cluster.services);
    const { table } = cluster.pipelines[0].services as IpvsTranslator;
    expect(table.list()[0].servers.map((server) => table.connectionsOf(server))).toEqual([0, 0, 0]);
    expect(cluster.fromPod(1, 1, tcp(A, 1000, VIP, 80, ACK)).at).toBe('pod-1-2');
  });
});

describe('persistence', () => {
  it('each frontend has its own: a client may have two servers', () => {
    const { cluster } = lab([service({ nodePort: 30080, affinitySeconds: 100, endpoints: THREE })]);
    const to = (address: string, port: number) => (from: number) =>
      cluster.fromPod(1, 1, tcp(A, from, address, port, SYN)).at;
    const other = cluster.fromPod(1, 2, tcp(podAddress(1, 2, 4), 1, '172.18.0.1', 30080, SYN)).at;
    expect([1000, 1001, 1002].map(to(VIP, 80))).toEqual(['pod-1-2', 'pod-1-2', 'pod-1-2']);
    expect(other).toBe('pod-1-2');
    expect([1003, 1004].map(to('172.18.0.1', 30080))).toEqual(['pod-2-1', 'pod-2-1']);
  });

  it('is shown with what time is left, and not kept for a server that leaves', () => {
    const { cluster, table, open } = lab([service({ affinitySeconds: 100, endpoints: THREE })]);
    open(1000);
    cluster.nowMs += 40_000;
    const [virtual] = table.list();
    expect(virtual.templates(cluster.nowMs)).toMatchObject([{ client: A, expiresInSeconds: 60 }]);
    cluster.setServices([service({ affinitySeconds: 100, endpoints: without(0) })]);
    expect(open(1001)).toBe('pod-2-1');
    expect(open(1002)).toBe('pod-2-1');
  });
});
