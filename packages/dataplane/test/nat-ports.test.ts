import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import { wordsOf } from '../src/address-words.ts';
import { Conntrack, type FlowTuple } from '../src/conntrack.ts';
import { choosePort } from '../src/nat-ports.ts';
import { CLIENT_OUTSIDE, Cluster, endpoint, NODES, podAddress, SYN, service, tcp, udp } from './cluster.ts';

const tuple = (src: string, srcPort: number, dst: string, dstPort: number): FlowTuple => {
  const [src0, src1, src2, src3] = wordsOf(src);
  const [dst0, dst1, dst2, dst3] = wordsOf(dst);
  return { src0, src1, src2, src3, dst0, dst1, dst2, dst3, srcPort, dstPort };
};
const packet = new Packet();
packet.decode(udp('10.244.1.5', 1, '10.244.2.5', 2));

/** A table in which answers from B:80 to the node are taken on all these ports. */
function taken(ports: Iterable<number>): Conntrack {
  const table = new Conntrack();
  for (const port of ports) {
    table.insert(
      tuple(`10.0.${port >> 8}.${port & 255}`, 9, '10.96.0.9', 80),
      tuple('10.244.2.5', 80, '10.244.1.1', port),
      packet,
      0,
    );
  }
  return table;
}
const range = (from: number, to: number, except: number[] = []): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i).filter((port) => !except.includes(port));

describe('source ports of translated flows', () => {
  it.each([
    [80, 1, 511],
    [600, 600, 1023],
    [5000, 1024, 65_535],
  ])('Linux: for client port %d between %d and %d, from a random start', (port, low, high) => {
    const random = seededRandom32(port);
    const chosen = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const reply = tuple('10.244.2.5', 80, '10.244.1.1', port);
      expect(choosePort(new Conntrack(), reply, 17, 'linux', false, random, 0)).toBe(true);
      expect(reply.dstPort).toBeGreaterThanOrEqual(low);
      expect(reply.dstPort).toBeLessThanOrEqual(high);
      chosen.add(reply.dstPort);
    }
    expect(chosen.size).toBeGreaterThan(100);
  });

  it('Linux: finds a free one among taken ones, and gives up when there is none', () => {
    const nearlyFull = taken(range(1, 511, [321]));
    const reply = tuple('10.244.2.5', 80, '10.244.1.1', 80);
    expect(choosePort(nearlyFull, reply, 17, 'linux', false, () => (320 * 65_536 * 65_536) / 511, 0)).toBe(
      true,
    );
    expect(reply.dstPort).toBe(321);
    const full = taken(range(1, 511));
    expect(
      choosePort(full, tuple('10.244.2.5', 80, '10.244.1.1', 80), 17, 'linux', false, seededRandom32(1), 0),
    ).toBe(false);
  });

  it("Cilium: keeps the client's port when it is free, else takes one above the NodePort range", () => {
    const free = tuple('10.244.2.5', 80, '10.244.1.1', 5000);
    expect(choosePort(new Conntrack(), free, 17, 'cilium', false, seededRandom32(1), 0)).toBe(true);
    expect(free.dstPort).toBe(5000);
    const other = tuple('10.244.2.5', 80, '10.244.1.1', 5000);
    expect(choosePort(taken([5000]), other, 17, 'cilium', false, seededRandom32(1), 0)).toBe(true);
    expect(other.dstPort).toBeGreaterThanOrEqual(32_768);
    const full = taken([5000, ...range(32_768, 65_535)]);
    expect(
      choosePort(
        full,
        tuple('10.244.2.5', 80, '10.244.1.1', 5000),
        17,
        'cilium',
        false,
        seededRandom32(1),
        0,
      ),
    ).toBe(false);
  });

  it('an echo has one id for both directions', () => {
    const reply = tuple('10.244.2.5', 7, '10.244.1.1', 7);
    expect(choosePort(new Conntrack(), reply, 1, 'linux', false, seededRandom32(9), 0)).toBe(true);
    expect(reply.srcPort).toBe(reply.dstPort);
  });

  it('a protocol without ports is free or not', () => {
    const reply = tuple('10.244.2.5', 0, '10.244.1.1', 0);
    expect(choosePort(new Conntrack(), reply, 47, 'linux', false, seededRandom32(9), 0)).toBe(true);
  });
});

describe('two flows whose answers would look the same', () => {
  it.each([
    { mode: 'iptables', gives: 'a new port for the second' },
    { mode: 'ebpf', gives: 'one flow for both, as Cilium has it' },
  ] as const)('$mode: $gives', ({ mode }) => {
    const cluster = new Cluster({ mode, services: [service({ endpoints: [endpoint(2, 1, 8080, 4)] })] });
    const a = podAddress(1, 1, 4);
    const b = podAddress(2, 1, 4);
    expect(cluster.fromPod(1, 1, tcp(a, 4000, b, 8080, SYN)).seen).toBe(`${a}:4000 -> ${b}:8080`);
    const second = cluster.fromPod(1, 1, tcp(a, 4000, '10.96.0.9', 80, SYN));
    expect(second.at).toBe('pod-2-1');
    if (mode === 'ebpf') expect(second.seen).toBe(`${a}:4000 -> ${b}:8080`);
    else expect(second.seen).toMatch(new RegExp(`^${a}:(?!4000 )\\d+ -> ${b}:8080$`));
  });

  it('a node without a free port says so', () => {
    const cluster = new Cluster({
      mode: 'ebpf',
      services: [service({ nodePort: 30080, endpoints: [endpoint(2, 1, 8080, 4)] })],
    });
    const [{ conntrack }] = cluster.pipelines;
    packet.decode(tcp('10.244.1.5', 1, '10.244.2.5', 2, SYN));
    for (const port of [4000, ...range(32_768, 65_535)]) {
      conntrack.insert(
        tuple(`10.1.${port >> 8}.${port & 255}`, 9, '10.96.0.9', 80),
        tuple(podAddress(2, 1, 4), 8080, NODES[0].gateway.v4, port),
        packet,
        cluster.nowMs,
      );
    }
    expect(cluster.fromHost(1, tcp(CLIENT_OUTSIDE, 4000, '172.18.0.1', 30080, SYN)).at).toBe('drop 167');
  });

  it('a full table says so, and known flows go on', () => {
    const cluster = new Cluster({ mode: 'iptables', maxFlows: 2 });
    const a = podAddress(1, 1, 4);
    const b = podAddress(1, 2, 4);
    for (const port of [1, 2]) {
      cluster.fromPod(1, 1, tcp(a, port, b, 80, SYN));
      cluster.fromPod(1, 2, tcp(b, 80, a, port, 0x12));
      cluster.fromPod(1, 1, tcp(a, port, b, 80, 0x10));
    }
    expect(cluster.fromPod(1, 1, tcp(a, 3, b, 80, SYN)).at).toBe('drop 155');
    expect(cluster.fromPod(1, 1, tcp(a, 1, b, 80, 0x10)).at).toBe('pod-1-2');
    expect(cluster.pipelines[0].conntrack.counters.insertFailed).toBe(1);
  });
});
