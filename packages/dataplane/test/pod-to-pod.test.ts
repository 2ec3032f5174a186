import { describe, expect, it } from 'vitest';
import { ACK, answerTo, Cluster, podAddress, SYN, tcp } from './cluster.ts';

describe.each(['iptables', 'ebpf'] as const)('pod to pod, mode %s', (mode) => {
  it.each([4, 6] as const)('on one node and across nodes, IPv%s', (version) => {
    const cluster = new Cluster({ mode });
    const a = podAddress(1, 1, version);
    for (const [node, id, ttl, encapsulations] of [
      [1, 2, 63, 0],
      [2, 1, 62, 1],
    ] as const) {
      const b = podAddress(node, id, version);
      const there = cluster.fromPod(1, 1, tcp(a, 1000, b, 80, SYN));
      expect(there).toMatchObject({
        at: `pod-${node}-${id}`,
        seen: `${a}:1000 -> ${b}:80`,
        ttl,
        encapsulations,
      });
      const back = cluster.fromPod(node, id, answerTo(there.frame));
      expect(back).toMatchObject({ at: 'pod-1-1', seen: `${b}:80 -> ${a}:1000`, ttl });
      expect(cluster.fromPod(1, 1, tcp(a, 1000, b, 80, ACK))).toMatchObject({ at: `pod-${node}-${id}` });
    }
  });
});
