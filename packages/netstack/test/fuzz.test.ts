import { seededRandom32 } from '@podwire/testkit/seeded-random';
import {
  buildIcmpEcho,
  buildIcmpError,
  buildNeighborSolicitation,
  buildTcp,
  buildUdp,
} from '@podwire/wire/build';
import { fillIpv4Checksum } from '@podwire/wire/ipv4';
import { Packet } from '@podwire/wire/packet';
import { fillTransportChecksum } from '@podwire/wire/transport-checksum';
import { describe, expect, it } from 'vitest';
import { NetStack } from '../src/stack.ts';
import { FakeClock } from './fake-clock.ts';
import { listenUsers, patternBytes, RecordingUser } from './simulated-network.ts';

const MAC = '02:00:00:00:00:01';

function target(seed: number) {
  const clock = new FakeClock();
  const sent: Uint8Array[] = [];
  const stack = new NetStack({
    nowMs: () => clock.nowMs,
    random32: seededRandom32(seed),
    setTimer: clock.setTimer,
    defer: clock.defer,
    interface: {
      name: 'eth0',
      mac: MAC,
      mtu: 1500,
      neighborMac: '02:00:00:00:00:99',
      transmit: (frame) => {
        sent.push(frame.slice());
        if (sent.length > 50) sent.shift();
      },
    },
    addresses: [
      { address: '10.0.0.1', prefixLength: 24 },
      { address: 'fd00::1', prefixLength: 64 },
    ],
  });
  const users = listenUsers(stack, 80, () => {
    const user = new RecordingUser(patternBytes(20_000, 1));
    user.endAfterWrite = false;
    return user;
  });
  stack.bindUdp({ port: 53 }).on('message', () => {});
  return { clock, sent, stack, users };
}

describe('hostile input', () => {
  it('random bytes never throw', () => {
    for (let seed = 1; seed <= 4; seed++) {
      const { clock, stack } = target(seed);
      const random32 = seededRandom32(seed);
      for (let i = 0; i < 5000; i++) {
        const frame = new Uint8Array(random32() % 200);
        for (let k = 0; k < frame.length; k++) frame[k] = random32();
        if (frame.length >= 20 && i % 4 !== 0) {
          frame.set([2, 0, 0, 0, 0, 1]);
          frame.set(
            [
              [0x08, 0x00],
              [0x08, 0x06],
              [0x86, 0xdd],
            ][i % 3],
            12,
          );
          frame[14] = i % 3 === 2 ? 0x60 : 0x45;
        }
        stack.receive(frame);
      }
      clock.settle();
      stack.close();
    }
  });

  it('broken copies of good frames, with right checksums, never throw and leave nothing behind', () => {
    for (let seed = 1; seed <= 4; seed++) {
      const { clock, sent, stack } = target(seed);
      const random32 = seededRandom32(seed);
      const templates = goodFrames();
      for (let i = 0; i < 8000; i++) {
        const source =
          random32() % 3 === 0 && sent.length > 0 ? reply(sent[random32() % sent.length]) : undefined;
        const frame = (source ?? templates[random32() % templates.length]).slice();
        for (let k = random32() % 4; k > 0; k--) frame[14 + (random32() % (frame.length - 14))] = random32();
        const cut = random32() % 10 === 0 ? frame.subarray(0, random32() % frame.length) : frame;
        repair(cut);
        stack.receive(cut);
        if (random32() % 8 === 0) clock.settle();
        if (random32() % 50 === 0) clock.advance(random32() % 300);
      }
      clock.settle();
      const rows = stack.sockets().length;
      expect(rows, `sockets, seed ${seed}`).toBeLessThan(2000);
      // Connections that nobody keeps up time out; what is left is closed with the stack.
      clock.advance(3_600_000);
      stack.close();
      expect(stack.sockets(), `seed ${seed}`).toEqual([]);
      expect(clock.timers, `timers, seed ${seed}`).toBe(0);
    }
  });

  it('a connection survives random segments of its own four-tuple with random sequence numbers', () => {
    for (let seed = 1; seed <= 4; seed++) {
      const { clock, sent, stack, users } = target(seed);
      const random32 = seededRandom32(seed);
      const isn = random32();
      const segment = (flags: number, sequence: number, acknowledgment: number, payload = 0) =>
        buildTcp({
          src: '10.0.0.99',
          dst: '10.0.0.1',
          dstMac: MAC,
          srcPort: 40_000,
          dstPort: 80,
          flags,
          sequence: sequence >>> 0,
          acknowledgment: acknowledgment >>> 0,
          window: random32() & 0xffff,
          payload: new Uint8Array(payload),
          options:
            random32() % 3 === 0
              ? { sackBlocks: [{ left: random32(), right: random32() }] }
              : random32() % 3 === 0
                ? { timestamps: { value: random32(), echo: random32() } }
                : {},
        });
      stack.receive(segment(2, isn, 0));
      clock.settle();
      const packet = new Packet();
      packet.decode(sent[0]);
      const theirs = new DataView(sent[0].buffer).getUint32(packet.l4 + 4);
      stack.receive(segment(16, isn + 1, theirs + 1));
      clock.settle();
      let mostReceived = 0;
      let mostRanges = 0;
      let leastFlight = 0;
      for (let i = 0; i < 4000; i++) {
        const near = (base: number) =>
          base + (random32() % 3 === 0 ? random32() : (random32() % 70_000) - 2000);
        stack.receive(segment(random32() & 0x3f, near(isn), near(theirs), random32() % 1400));
        if (i % 7 === 0) clock.settle();
        if (i % 97 === 0) clock.advance(random32() % 1000);
        const connection = users[0]?.connection;
        if (connection === undefined || connection.state === 0) continue;
        mostReceived = Math.max(mostReceived, connection.receiveQueue.bytes);
        mostRanges = Math.max(mostRanges, connection.scoreboard.count);
        leastFlight = Math.min(leastFlight, (connection.sndNxt - connection.sndUna) | 0);
      }
      expect(mostReceived, `seed ${seed}`).toBeLessThanOrEqual(600_000);
      expect(mostRanges, `seed ${seed}`).toBeLessThanOrEqual(256);
      expect(leastFlight, `seed ${seed}`).toBeGreaterThanOrEqual(0);
      clock.advance(3_600_000);
      stack.close();
      expect(clock.timers).toBe(0);
    }
  });

  it('a flood of SYNs from anywhere holds no more than the backlog', () => {
    const { clock, stack } = target(1);
    const random32 = seededRandom32(9);
    for (let i = 0; i < 20_000; i++) {
      stack.receive(
        buildTcp({
          src: `10.${random32() & 255}.${random32() & 255}.${1 + (random32() % 250)}`,
          dst: '10.0.0.1',
          dstMac: MAC,
          srcPort: 1 + (random32() % 65_000),
          dstPort: 80,
          flags: 2,
          sequence: random32(),
        }),
      );
      if (i % 64 === 0) clock.settle();
    }
    clock.settle();
    expect(stack.sockets().length).toBeLessThanOrEqual(511 + 2);
    clock.advance(120_000);
    expect(stack.sockets()).toHaveLength(2);
  });
});

function goodFrames(): Uint8Array[] {
  const v4 = { src: '10.0.0.99', dst: '10.0.0.1', dstMac: MAC };
  const v6 = { src: 'fd00::99', dst: 'fd00::1', dstMac: MAC };
  const frames: Uint8Array[] = [];
  for (const o of [v4, v6]) {
    for (const flags of [2, 16, 17, 4, 18, 24, 0]) {
      frames.push(
        buildTcp({
          ...o,
          srcPort: 40_000,
          dstPort: 80,
          flags,
          sequence: 1000,
          acknowledgment: 2000,
          payload: 'payload',
          options: {
            maxSegmentSize: 1460,
            sackPermitted: true,
            windowScale: 7,
            timestamps: { value: 1, echo: 2 },
          },
        }),
      );
    }
    frames.push(buildUdp({ ...o, srcPort: 5, dstPort: 53, payload: 'query' }));
    frames.push(buildUdp({ ...o, srcPort: 5, dstPort: 99, payload: 'nobody' }));
    frames.push(buildIcmpEcho({ ...o, id: 1, sequence: 2, payload: 'ping' }));
  }
  const about = buildTcp({ ...v4, src: v4.dst, dst: v4.src, srcPort: 80, dstPort: 40_000, flags: 16 });
  frames.push(buildIcmpError({ about, src: '10.0.0.254', type: 3, code: 4, rest: 500 }));
  frames.push(buildNeighborSolicitation({ srcMac: '02:00:00:00:00:99', src: 'fd00::99', target: 'fd00::1' }));
  return frames;
}

/** The peer's idea of an answer: addresses and ports turned round, the acknowledgment of the right size. */
function reply(frame: Uint8Array): Uint8Array | undefined {
  const packet = new Packet();
  if (packet.decode(frame) !== 0 || packet.l4 < 0) return undefined;
  const out = frame.slice();
  const size = packet.version === 4 ? 4 : 16;
  const at = packet.l3 + (packet.version === 4 ? 12 : 8);
  out.set(frame.subarray(at, at + size), at + size);
  out.set(frame.subarray(at + size, at + 2 * size), at);
  out.set([2, 0, 0, 0, 0, 1]);
  if (packet.protocol !== 6) return out;
  const view = new DataView(out.buffer);
  const seq = view.getUint32(packet.l4 + 4);
  const ack = view.getUint32(packet.l4 + 8);
  out.set(frame.subarray(packet.l4, packet.l4 + 2), packet.l4 + 2);
  out.set(frame.subarray(packet.l4 + 2, packet.l4 + 4), packet.l4);
  view.setUint32(packet.l4 + 4, ack);
  view.setUint32(
    packet.l4 + 8,
    (seq + packet.end - packet.payload + (out[packet.l4 + 13] & 2 ? 1 : 0)) >>> 0,
  );
  return out;
}

function repair(frame: Uint8Array): void {
  const packet = new Packet();
  if (packet.decode(frame) !== 0 || packet.l3 < 0) return;
  if (packet.version === 4) fillIpv4Checksum(frame, packet.l3);
  if (packet.l4 >= 0 && packet.fragmentOffset === 0 && !packet.moreFragments) {
    fillTransportChecksum(frame, packet.version, packet.l3, packet.protocol, packet.l4, packet.end);
  }
}
