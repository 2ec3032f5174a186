/** Whatever arrives, the pipeline answers with a verdict and never throws. */

import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { buildIcmpError, buildVxlanPayload } from '@podwire/wire/build';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../src/outcome.ts';
import { PacketTrace } from '../src/trace.ts';
import {
  ACK,
  Cluster,
  endpoint,
  GATEWAY,
  NODES,
  podAddress,
  SYN,
  service,
  setMacs,
  tcp,
  udp,
} from './cluster.ts';

const ROUNDS = 3000;

describe.each(['iptables', 'ebpf'] as const)('mode %s', (mode) => {
  it.each([1, 2])('random bytes and broken packets, seed %d', (seed) => {
    const random = seededRandom32(seed);
    const services = [4, 6].map((version) =>
      service({
        version: version as 4 | 6,
        nodePort: 30080,
        affinitySeconds: 5,
        endpoints: [endpoint(1, 2, 8080, version as 4 | 6), endpoint(2, 1, 8080, version as 4 | 6)],
      }),
    );
    const cluster = new Cluster({ mode, services, seed, maxFlows: 300 });
    const [pipeline] = cluster.pipelines;
    const packet = new Packet();
    let forwarded = 0;

    const check = (outcome: Outcome): void => {
      let next: Outcome | undefined = outcome;
      while (next !== undefined) {
        if (next.verdict === 'drop') {
          expect(next.reason).toBeGreaterThan(0);
          expect(next.frame.length).toBe(0);
          return;
        }
        forwarded++;
        const frame = next.verdict === 'encap' ? next.frame.subarray(8) : next.frame;
        expect(packet.decode(frame.slice()), 'what leaves is well formed').toBe(0);
        if (next.verdict === 'deliver') expect(next.endpointId).toBeGreaterThan(0);
        next = next.more ? pipeline.nextFragment() : undefined;
      }
    };

    for (let round = 0; round < ROUNDS; round++) {
      cluster.nowMs += random() % 100;
      const frame = somePacket(random);
      const direction = random() % 3;
      if (direction === 0) setMacs(frame, NODES[0].pods[0].mac, GATEWAY);
      else if (direction === 1) setMacs(frame, NODES[1].mac, NODES[0].mac);
      damage(frame, random);
      const length = random() % 10 === 0 ? random() % (frame.length + 10) : frame.length;
      const trace = random() % 4 === 0 ? new PacketTrace() : undefined;
      if (direction === 0) check(pipeline.fromPod(1, frame, length, trace));
      else if (direction === 2) check(pipeline.fromHost(frame, length, trace));
      else {
        const datagram = buildVxlanPayload(1, frame);
        check(
          pipeline.fromUnderlay(
            datagram,
            random() % 10 === 0 ? length : datagram.length,
            '172.18.0.2',
            trace,
          ),
        );
      }
      if (trace !== undefined) expect(trace.steps.length).toBeGreaterThan(0);
    }
    expect(forwarded, 'some of it was whole').toBeGreaterThan(ROUNDS / 10);
    expect(pipeline.conntrack.size).toBeLessThanOrEqual(300);
  });
});

function somePacket(random: () => number): Uint8Array {
  const version = random() % 2 === 0 ? 4 : 6;
  const address = (): string => {
    const choices = [
      podAddress(1, 1, version),
      podAddress(1, 2, version),
      podAddress(2, 1, version),
      version === 4 ? '10.96.0.9' : 'fd00:10:96::9',
      version === 4 ? '172.18.0.1' : 'fd18::1',
      version === 4 ? '10.244.1.1' : 'fd00:10:244:1::1',
      version === 4 ? '224.0.0.1' : 'ff02::1',
      version === 4 ? '10.244.1.77' : 'fd00:10:244:1::77',
    ];
    return choices[random() % choices.length];
  };
  const from = random() % 2 === 0 ? podAddress(1, 1, version) : address();
  const to = address();
  const ports = [80, 8080, 30080, 53, 8472, random() % 65_536];
  const fromPort = ports[random() % ports.length];
  const toPort = ports[random() % ports.length];
  switch (random() % 5) {
    case 0:
      return crypto(random, random() % 200);
    case 1:
      return udp(from, fromPort, to, toPort, 'x'.repeat(random() % 1600));
    case 2:
      return buildIcmpError({
        about: udp(to, toPort, from, fromPort),
        src: from,
        type: version === 4 ? 3 : 1,
        code: random() % 5,
      });
    default:
      return tcp(from, fromPort, to, toPort, [SYN, ACK, SYN | ACK, random() & 0xff][random() % 4]);
  }
}

function crypto(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length: Math.max(length, 12) }, () => random());
}

function damage(frame: Uint8Array, random: () => number): void {
  if (random() % 2 === 0) return;
  for (let i = random() % 4; i >= 0; i--)
    frame[12 + (random() % Math.max(1, Math.min(frame.length - 12, 60)))] = random();
}
