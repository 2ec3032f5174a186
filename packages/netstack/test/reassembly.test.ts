import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { buildUdp } from '@podwire/wire/build';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import { Reassembly } from '../src/reassembly.ts';
import { newStatistics } from '../src/statistics.ts';
import { FakeClock } from './fake-clock.ts';
import { joinedStacks, patternBytes } from './simulated-network.ts';

/** Cuts an IPv4 frame into fragments with `size` bytes of payload each. */
function fragments(frame: Uint8Array, size: number, identification = 7): Uint8Array[] {
  const payload = frame.subarray(34);
  const list: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += size) {
    const piece = payload.subarray(at, at + size);
    list.push(fragment(frame, at, piece, at + size < payload.length, identification));
  }
  return list;
}

function fragment(frame: Uint8Array, at: number, piece: Uint8Array, more: boolean, identification = 7) {
  const out = new Uint8Array(34 + piece.length);
  out.set(frame.subarray(0, 34));
  out.set(piece, 34);
  const view = new DataView(out.buffer);
  view.setUint16(16, 20 + piece.length);
  view.setUint16(18, identification);
  view.setUint16(20, (at >> 3) | (more ? 0x2000 : 0));
  return out;
}

function shuffled<T>(list: T[], seed: number): T[] {
  const random32 = seededRandom32(seed);
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = random32() % (i + 1);
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
}

const WHOLE = buildUdp({
  src: '10.0.0.2',
  dst: '10.0.0.1',
  srcPort: 5,
  dstPort: 9,
  payload: patternBytes(5000, 1),
});

function setUp() {
  const statistics = newStatistics();
  const reassembly = new Reassembly(statistics);
  const packet = new Packet();
  const add = (frame: Uint8Array, nowMs = 0) => {
    expect(packet.decode(frame)).toBe(0);
    return reassembly.add(packet, nowMs);
  };
  return { statistics, reassembly, add };
}

describe('reassembly', () => {
  it('puts fragments together in any order', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { add, reassembly } = setUp();
      const pieces = shuffled(fragments(WHOLE, 8 * (seed * 7)), seed);
      const last = pieces.pop()!;
      for (const piece of pieces) expect(add(piece)).toBeUndefined();
      const frame = add(last);
      expect(Buffer.compare(frame!.subarray(34), WHOLE.subarray(34)), `seed ${seed}`).toBe(0);
      expect([reassembly.size, reassembly.bytes]).toEqual([0, 0]);
    }
  });

  it('takes an exact repetition, ends a packet on overlap', () => {
    const { add, statistics, reassembly } = setUp();
    const pieces = fragments(WHOLE, 800);
    add(pieces[0]);
    add(pieces[1]);
    add(pieces[1]);
    for (const piece of pieces.slice(2, -1)) add(piece);
    expect(add(pieces.at(-1)!)).toBeDefined();
    add(pieces[0]);
    expect(add(fragment(WHOLE, 400, WHOLE.subarray(434, 1234), true))).toBeUndefined();
    expect(statistics.reassemblyFailures).toBe(1);
    expect(reassembly.bytes).toBe(0);
  });

  it('keeps packets with different identification apart', () => {
    const { add } = setUp();
    const one = fragments(WHOLE, 2600, 1);
    const two = fragments(WHOLE, 2600, 2);
    expect([add(one[0]), add(two[1])]).toEqual([undefined, undefined]);
    expect(add(one[1])).toBeDefined();
    expect(add(two[0])).toBeDefined();
  });

  it('forgets after 30 seconds', () => {
    const { add, reassembly } = setUp();
    const [first, second] = fragments(WHOLE, 2600);
    add(first, 0);
    expect(reassembly.size).toBe(1);
    expect(add(second, 30_001)).toBeUndefined();
    expect(reassembly.size).toBe(1);
  });

  it('bounds what it holds', () => {
    const { add, reassembly } = setUp();
    for (let id = 0; id < 1000; id++) add(fragments(WHOLE, 2600, id)[0]);
    expect(reassembly.size).toBe(64);
    const one = setUp();
    for (let at = 16; at < 65_000; at += 16) {
      one.add(fragment(WHOLE, at, new Uint8Array(8), true));
    }
    expect(one.reassembly.bytes).toBeLessThanOrEqual(256 * 8);
    const big = setUp();
    for (let id = 0; id < 200; id++) {
      big.add(fragment(WHOLE, 0, WHOLE.subarray(34, 34 + 4800), true, id));
      for (let k = 1; k < 12; k++)
        big.add(fragment(WHOLE, k * 5000, WHOLE.subarray(34, 34 + 4800), true, id));
    }
    expect(big.reassembly.bytes).toBeLessThanOrEqual(2 << 20);
    expect(big.reassembly.bytes).toBeGreaterThan(1.9 * (1 << 20));
  });

  it('fragments of a stack survive reordering and duplication on the way', () => {
    for (const host of ['10.0.0.2', 'fd00::2']) {
      for (let seed = 1; seed <= 5; seed++) {
        const clock = new FakeClock();
        const { a, b } = joinedStacks(clock, seed, { reorder: 0.5, duplicate: 0.3, delayMs: 1 });
        const received: Buffer[] = [];
        b.bindUdp({ port: 9 }).on('message', (data) => received.push(data));
        const bytes = patternBytes(30_000, seed);
        a.bindUdp().send(bytes, 9, host);
        clock.advance(100);
        expect(received.length, `seed ${seed}`).toBeGreaterThan(0);
        expect(Buffer.compare(received[0], bytes)).toBe(0);
      }
    }
  });
});
