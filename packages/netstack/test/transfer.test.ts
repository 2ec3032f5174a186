import { Packet } from '@podwire/wire/packet';
import {
  TCP_OPTION_MSS,
  TCP_OPTION_SACK_PERMITTED,
  TCP_OPTION_TIMESTAMPS,
  TCP_OPTION_WINDOW_SCALE,
  TCP_SYN,
} from '@podwire/wire/tcp';
import { fillTransportChecksum } from '@podwire/wire/transport-checksum';
import { describe, expect, it } from 'vitest';
import type { StackOptions } from '../src/stack.ts';
import { FakeClock } from './fake-clock.ts';
import {
  connectUser,
  joinedStacks,
  type LinkFaults,
  listenUsers,
  patternBytes,
  RecordingUser,
} from './simulated-network.ts';

interface Case {
  name: string;
  bytes: number;
  seeds: number;
  faults: LinkFaults;
  options?: { a?: Partial<StackOptions>; b?: Partial<StackOptions>; mtu?: number };
  /** Simulated time in which it must be over. */
  limitMs: number;
  host?: string;
  /** Options that a middlebox removes from every SYN. */
  strip?: number[];
}

const small = { tcp: { receiveBufferBytes: 700 } };

const CASES: Case[] = [
  { name: 'a perfect link', bytes: 3_000_000, seeds: 2, faults: {}, limitMs: 1000 },
  { name: 'a perfect link, IPv6', bytes: 1_000_000, seeds: 1, faults: {}, limitMs: 1000, host: 'fd00::2' },
  { name: '10 ms each way', bytes: 3_000_000, seeds: 2, faults: { delayMs: 10 }, limitMs: 2000 },
  { name: '1 % loss', bytes: 2_000_000, seeds: 6, faults: { loss: 0.01, delayMs: 2 }, limitMs: 20_000 },
  { name: '5 % loss', bytes: 1_000_000, seeds: 6, faults: { loss: 0.05, delayMs: 2 }, limitMs: 60_000 },
  { name: '20 % loss', bytes: 200_000, seeds: 10, faults: { loss: 0.2, delayMs: 2 }, limitMs: 600_000 },
  {
    name: 'reordering',
    bytes: 1_000_000,
    seeds: 6,
    faults: { reorder: 0.3, reorderMs: 4, delayMs: 1 },
    limitMs: 30_000,
  },
  {
    name: 'duplication',
    bytes: 1_000_000,
    seeds: 4,
    faults: { duplicate: 0.5, delayMs: 1 },
    limitMs: 10_000,
  },
  {
    name: 'corruption',
    bytes: 500_000,
    seeds: 4,
    faults: { corrupt: 0.02, delayMs: 1 },
    limitMs: 60_000,
  },
  {
    name: 'loss, reordering, duplication and corruption',
    bytes: 500_000,
    seeds: 12,
    faults: { loss: 0.05, reorder: 0.1, reorderMs: 10, duplicate: 0.05, corrupt: 0.01, delayMs: 3 },
    limitMs: 120_000,
  },
  {
    name: 'a window of half a segment',
    bytes: 60_000,
    seeds: 2,
    faults: { delayMs: 1 },
    options: { b: small },
    limitMs: 60_000,
  },
  {
    name: 'a window of half a segment and 10 % loss',
    bytes: 20_000,
    seeds: 6,
    faults: { loss: 0.1, delayMs: 1 },
    options: { b: small },
    limitMs: 600_000,
  },
  {
    name: '5 % loss and reordering, without SACK',
    bytes: 300_000,
    seeds: 6,
    faults: { loss: 0.05, reorder: 0.1, delayMs: 2 },
    strip: [TCP_OPTION_SACK_PERMITTED],
    limitMs: 60_000,
  },
  {
    name: '5 % loss, without timestamps',
    bytes: 300_000,
    seeds: 6,
    faults: { loss: 0.05, delayMs: 2 },
    strip: [TCP_OPTION_TIMESTAMPS],
    limitMs: 60_000,
  },
  {
    name: '5 % loss, without any option',
    bytes: 100_000,
    seeds: 6,
    faults: { loss: 0.05, duplicate: 0.05, reorder: 0.05, delayMs: 2 },
    strip: [TCP_OPTION_SACK_PERMITTED, TCP_OPTION_TIMESTAMPS, TCP_OPTION_WINDOW_SCALE, TCP_OPTION_MSS],
    limitMs: 60_000,
  },
  {
    name: 'a small MTU and loss, IPv6',
    bytes: 300_000,
    seeds: 4,
    faults: { loss: 0.03, delayMs: 1 },
    options: { mtu: 1280 },
    limitMs: 60_000,
    host: 'fd00::2',
  },
];

describe('bulk transfer is byte-exact both ways', () => {
  for (const c of CASES) {
    it(`over ${c.name}`, () => {
      for (let seed = 1; seed <= c.seeds; seed++) run(c, seed);
    });
  }
});

function run(c: Case, seed: number): void {
  const clock = new FakeClock();
  const pair = joinedStacks(clock, seed, c.faults, c.options);
  const { a, b } = pair;
  pair.forth.intercept = pair.back.intercept = (frame) => {
    stripSynOptions(frame, c.strip ?? []);
    return false;
  };
  const forth = patternBytes(c.bytes, seed);
  const back = patternBytes(Math.floor(c.bytes / 3), seed + 1);
  const servers = listenUsers(b, 80, () => new RecordingUser(back));
  const client = new RecordingUser(forth);
  connectUser(a, client, { host: c.host ?? '10.0.0.2', port: 80 });
  const startMs = clock.nowMs;
  const done = () => client.isClosed && servers.length > 0 && servers[0].isClosed;
  clock.runUntil(done, c.limitMs + 5000);
  const label = `seed ${seed} of ${c.name}`;
  const server = servers[0];
  expect(server?.receivedBytes, `bytes to the server, ${label}`).toBe(forth.length);
  expect(client.receivedBytes, `bytes to the client, ${label}`).toBe(back.length);
  expect(Buffer.compare(server.received, forth), label).toBe(0);
  expect(Buffer.compare(client.received, back), label).toBe(0);
  expect([client.code, server.code], label).toEqual([undefined, undefined]);
  expect(clock.nowMs - startMs, `simulated time, ${label}`).toBeLessThan(c.limitMs + 2000);
  if (process.env.SHOW_TIMES) {
    const s = a.statistics;
    console.log(
      label,
      `${(clock.nowMs - startMs).toFixed(0)} ms`,
      `rtx ${s.retransmits} rto ${s.timeouts} fast ${s.fastRecoveries} out ${s.segmentsOut}`,
    );
  }
  a.close();
  b.close();
}

/** Overwrites options of a SYN with no-operations and repairs the checksum. */
function stripSynOptions(frame: Uint8Array, kinds: readonly number[]): void {
  const packet = new Packet();
  if (packet.decode(frame) !== 0 || packet.l4 < 0 || (packet.tcpFlags & TCP_SYN) === 0) return;
  for (let at = packet.l4 + 20; at < packet.payload; ) {
    const kind = frame[at];
    const length = kind <= 1 ? 1 : frame[at + 1];
    if (kinds.includes(kind)) frame.fill(1, at, at + length);
    at += length;
  }
  fillTransportChecksum(frame, packet.version, packet.l3, packet.protocol, packet.l4, packet.end);
}
