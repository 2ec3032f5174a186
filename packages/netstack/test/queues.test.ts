import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { describe, expect, it } from 'vitest';
import { ReceiveQueue } from '../src/tcp/receive-queue.ts';
import { Scoreboard } from '../src/tcp/scoreboard.ts';
import { SendQueue, SlabPool } from '../src/tcp/send-queue.ts';
import { patternBytes } from './simulated-network.ts';

// Each structure is compared with a naive one that keeps every byte on its own.

describe('ReceiveQueue', () => {
  it('gives every byte once, in order, whatever pieces come when', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random32 = seededRandom32(seed);
      const total = 1 + (random32() % 5000);
      const bytes = patternBytes(total, seed);
      const base = random32() | 0;
      const queue = new ReceiveQueue();
      const have = new Array<boolean>(total).fill(false);
      const read: Buffer[] = [];
      const edges = new Int32Array(8);
      let next = 0;
      for (let turn = 0; next < total && turn < 100_000; turn++) {
        const start = Math.max(next, Math.min(total - 1, next + (random32() % 400) - 50));
        const end = Math.min(total, start + 1 + (random32() % 200));
        const frame = new Uint8Array(20 + end - start);
        frame.set(bytes.subarray(start, end), 20);
        if (start === next) {
          queue.append(frame, 20, frame.length);
          next = ((queue.advance((base + end) | 0) - base) | 0) >>> 0;
        } else expect(queue.hold((base + start) | 0, frame, 20, frame.length)).toBe(true);
        have.fill(true, start, end);
        frame.fill(0);
        const naiveNext = have.indexOf(false);
        expect(next, `seed ${seed}`).toBe(naiveNext < 0 ? total : naiveNext);
        const blocks = queue.sackBlocks(edges, 4);
        expect(blocks > 0).toBe(queue.hasGaps);
        for (let i = 0; i < blocks; i++) {
          const left = (edges[2 * i] - base) | 0;
          const right = (edges[2 * i + 1] - base) | 0;
          expect(have.slice(left, right).every(Boolean), `seed ${seed}`).toBe(true);
          expect([have[left - 1], have[right] ?? false], `seed ${seed}`).toEqual([false, false]);
        }
        if (blocks > 0 && start > next) {
          // RFC 2018 4: the first block holds the segment that came last.
          expect(((edges[0] - base) | 0) <= start && ((edges[1] - base) | 0) >= end).toBe(true);
        }
        if (random32() % 3 === 0) {
          for (let chunk = queue.read(); chunk !== undefined; chunk = queue.read())
            read.push(Buffer.from(chunk));
          expect(queue.bytes).toBe(0);
        }
      }
      for (let chunk = queue.read(); chunk !== undefined; chunk = queue.read()) read.push(chunk);
      expect(Buffer.compare(Buffer.concat(read), bytes), `seed ${seed}`).toBe(0);
      expect(queue.hasGaps).toBe(false);
    }
  });

  it('holds a bounded number of pieces', () => {
    const queue = new ReceiveQueue();
    let held = 0;
    for (let seq = 2; seq < 20_000; seq += 2) if (queue.hold(seq, new Uint8Array(1), 0, 1)) held++;
    expect(held).toBe(1024);
  });

  it('counts only what it still holds', () => {
    const queue = new ReceiveQueue();
    const frame = new Uint8Array(100);
    let next = 0;
    for (let i = 0; i < 3000; i++) {
      expect(queue.hold(next + 1, frame, 0, 100)).toBe(true);
      queue.append(frame, 0, 1);
      next = queue.advance(next + 1);
      expect(next).toBe((i + 1) * 101);
      while (queue.read() !== undefined);
    }
  });

  it('joins a run of segments into few chunks', () => {
    const queue = new ReceiveQueue();
    const frame = new Uint8Array(1448);
    for (let i = 0; i < 200; i++) queue.append(frame, 0, 1448);
    let chunks = 0;
    let bytes = 0;
    for (let chunk = queue.read(); chunk !== undefined; chunk = queue.read()) {
      chunks++;
      bytes += chunk.length;
    }
    expect(bytes).toBe(200 * 1448);
    expect(chunks).toBeLessThanOrEqual(7);
  });
});

describe('Scoreboard', () => {
  it('agrees with a set of bytes', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random32 = seededRandom32(seed);
      const base = random32() | 0;
      const board = new Scoreboard();
      const naive = new Set<number>();
      let una = 0;
      for (let turn = 0; turn < 200; turn++) {
        if (random32() % 10 === 0) {
          una += random32() % 50;
          board.advance((base + una) | 0);
          for (const byte of naive) if (byte < una) naive.delete(byte);
        } else {
          const start = una + (random32() % 500);
          const end = start + 1 + (random32() % 40);
          const before = naive.size;
          for (let byte = start; byte < end; byte++) naive.add(byte);
          expect(board.add((base + start) | 0, (base + end) | 0), `seed ${seed}`).toBe(naive.size > before);
        }
        expect(board.bytes, `seed ${seed} turn ${turn}`).toBe(naive.size);
        let listed = 0;
        let span = 0;
        for (let i = 0; i < board.count; i++) {
          const start = (board.starts[i] - base) | 0;
          const end = (board.ends[i] - base) | 0;
          for (let byte = start; byte < end; byte++) if (naive.has(byte)) listed++;
          span += end - start;
          if (i > 0) expect((board.starts[i] - board.ends[i - 1]) | 0).toBeGreaterThan(0);
        }
        expect([listed, span]).toEqual([naive.size, naive.size]);
      }
    }
  });

  it('holds a bounded number of ranges', () => {
    const board = new Scoreboard();
    for (let i = 0; i < 5000; i++) board.add(i * 2, i * 2 + 1);
    expect(board.count).toBe(256);
    expect(board.bytes).toBe(256);
  });
});

describe('SendQueue', () => {
  it('agrees with one long buffer', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random32 = seededRandom32(seed);
      const bytes = patternBytes(200_000, seed);
      const pool = new SlabPool();
      const queue = new SendQueue(pool);
      let head = 0;
      let tail = 0;
      while (head < bytes.length) {
        if (random32() % 2 === 0 && tail < bytes.length) {
          const size = Math.min(bytes.length - tail, random32() % 40_000);
          const offset = random32() % 3;
          const chunk = new Uint8Array(size + offset);
          chunk.set(bytes.subarray(tail, tail + size), offset);
          queue.append(chunk, offset, chunk.length);
          chunk.fill(0);
          tail += size;
        } else {
          const count = Math.min(tail - head, random32() % 40_000);
          queue.drop(count);
          head += count;
        }
        expect(queue.length).toBe(tail - head);
        if (tail > head) {
          const position = random32() % (tail - head);
          const length = 1 + (random32() % Math.min(20_000, tail - head - position));
          const out = new Uint8Array(length + 4);
          queue.copy(position, length, out, 2);
          const like = bytes.subarray(head + position, head + position + length);
          expect(Buffer.compare(out.subarray(2, 2 + length), like), `seed ${seed}`).toBe(0);
          expect([out[0], out[1], out[length + 2]]).toEqual([0, 0, 0]);
        }
      }
    }
  });
});
