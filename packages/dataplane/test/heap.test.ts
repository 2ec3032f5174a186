/** The claim that packets of known flows cost no memory. */

import { getHeapStatistics } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { ACK, Cluster, endpoint, GATEWAY, NODES, podAddress, service, setMacs, tcp, udp } from './cluster.ts';

const PACKETS = 20_000;
/** An optimizing compiler on a busy machine takes its time. */
const ATTEMPTS = 80;
/**
 * Less than two boxed numbers. V8 boxes a number of 2^31 or more (16 bytes) where it passes a call that the compiler did
 * not inline, and what it inlines depends on what ran before; the smallest object of the packet path has 24 bytes.
 */
const NOTHING = 20;

/** Bytes allocated for one call once it is optimized: the least of many attempts, the first below NOTHING ends them. */
function bytesPerCall(run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && least >= NOTHING; attempt++) {
    const before = allocated();
    for (let i = 0; i < PACKETS; i++) run();
    least = Math.min(least, (allocated() - before) / PACKETS);
  }
  return least;
}

function allocated(): number {
  // Counts everything ever allocated, collected or not; newer than the type package.
  return (getHeapStatistics() as unknown as { total_allocated_bytes: number }).total_allocated_bytes;
}

describe.each(['iptables', 'ipvs', 'nftables', 'ebpf'] as const)('mode %s', (mode) => {
  const a = podAddress(1, 1, 4);
  const a6 = podAddress(1, 1, 6);
  const services = [
    service({ endpoints: [endpoint(2, 1, 8080, 4)] }),
    service({ version: 6, endpoints: [endpoint(2, 1, 8080, 6)] }),
    service({
      name: 'web/sticky',
      clusterIp: '10.96.0.10',
      protocol: 17,
      affinitySeconds: 100,
      endpoints: [endpoint(1, 2, 8080, 4)],
    }),
  ];
  const cases: [string, string, Uint8Array][] = [
    ['a pod on another node', 'encap', tcp(a, 1000, podAddress(2, 1, 4), 80, ACK)],
    ['a ClusterIP', 'encap', tcp(a, 1001, '10.96.0.9', 80, ACK)],
    ['an IPv6 ClusterIP', 'encap', tcp(a6, 1001, 'fd00:10:96::9', 80, ACK)],
    ['a ClusterIP with affinity', 'deliver', udp(a, 1002, '10.96.0.10', 80)],
  ];
  it.each(cases)('later packets to %s allocate nothing', (_name, verdict, frame) => {
    const cluster = new Cluster({ mode, services });
    const [pipeline] = cluster.pipelines;
    setMacs(frame, NODES[0].pods[0].mac, GATEWAY);
    expect(pipeline.fromPod(1, frame, frame.length).verdict).toBe(verdict);
    expect(bytesPerCall(() => pipeline.fromPod(1, frame, frame.length))).toBeLessThan(NOTHING);
  });
});

describe('the measurement', () => {
  it('notices one object for each call', () => {
    const kept: unknown[] = new Array(8);
    let i = 0;
    expect(bytesPerCall(() => (kept[i++ & 7] = { i }))).toBeGreaterThan(NOTHING);
  });
});
