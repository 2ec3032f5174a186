import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { describe, expect, it } from 'vitest';
import { newHashKey } from '../src/keyed-hash.ts';
import { PortAllocator } from '../src/ports.ts';
import { addRttSample, backedOffRto, newRttEstimator } from '../src/tcp/rtt.ts';
import { type Deadline, TimerQueue } from '../src/timers.ts';
import { FakeClock } from './fake-clock.ts';

class Alarm implements Deadline {
  dueMs = 0;
  heapIndex = -1;
  wantedMs = 0;
  readonly rung: number[] = [];
  readonly queue: TimerQueue;

  constructor(queue: TimerQueue) {
    this.queue = queue;
  }

  set(atMs: number): void {
    this.wantedMs = atMs;
    this.queue.wake(this, atMs);
  }

  clear(): void {
    this.wantedMs = 0;
  }

  expire(nowMs: number): void {
    if (this.wantedMs === 0) return;
    if (this.wantedMs > nowMs) this.queue.wake(this, this.wantedMs);
    else {
      this.rung.push(nowMs);
      this.wantedMs = 0;
    }
  }
}

describe('TimerQueue', () => {
  it('rings every alarm at its time, with one timer', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random32 = seededRandom32(seed);
      const clock = new FakeClock(0);
      const queue = new TimerQueue(() => clock.nowMs, clock.setTimer);
      const alarms = Array.from({ length: 40 }, () => new Alarm(queue));
      const expected = alarms.map(() => [] as number[]);
      for (let turn = 0; turn < 500; turn++) {
        const i = random32() % alarms.length;
        const alarm = alarms[i];
        const action = random32() % 4;
        if (action === 0) alarm.clear();
        else if (action === 1) {
          queue.cancel(alarm);
          alarm.clear();
        } else alarm.set(clock.nowMs + 1 + (random32() % 100));
        expect(clock.timers).toBeLessThanOrEqual(1);
        const wanted = alarms.map((a) => a.wantedMs);
        const untilMs = clock.nowMs + (random32() % 10);
        clock.advance(untilMs - clock.nowMs);
        wanted.forEach((atMs, j) => {
          if (atMs > 0 && atMs <= untilMs) expected[j].push(atMs);
        });
      }
      alarms.forEach((alarm, i) => {
        expect(alarm.rung, `seed ${seed}`).toEqual(expected[i]);
      });
      for (const alarm of alarms) queue.cancel(alarm);
      expect([queue.size, clock.timers]).toEqual([0, 0]);
    }
  });
});

describe('retransmission timeout (RFC 6298)', () => {
  it('follows the round trip, never under the floor, doubles up to the ceiling', () => {
    const rtt = newRttEstimator(1000, 200, 60_000);
    expect(backedOffRto(rtt, 0)).toBe(1000);
    addRttSample(rtt, 100);
    expect(rtt.rtoMs).toBe(300);
    for (let i = 0; i < 100; i++) addRttSample(rtt, 100);
    expect(rtt.rtoMs).toBeCloseTo(300, 3);
    for (let i = 0; i < 20; i++) addRttSample(rtt, i % 2 === 0 ? 0 : 1000);
    expect(rtt.rtoMs).toBeGreaterThan(1500);
    expect(backedOffRto(rtt, 3)).toBeCloseTo(Math.min(60_000, rtt.rtoMs * 8), 3);
    expect(backedOffRto(rtt, 30)).toBe(60_000);
  });
});

describe('ephemeral ports (RFC 6056)', () => {
  it('gives every port of 32768 to 60999 before it says that there is none', () => {
    const ports = new PortAllocator(newHashKey(seededRandom32(1)), 5);
    const used = new Set<number>();
    for (let i = 0; i < 28_232; i++) {
      const port = ports.allocate([1, 2, 3], (candidate) => !used.has(candidate));
      expect(port >= 32_768 && port <= 60_999).toBe(true);
      used.add(port);
    }
    expect(used.size).toBe(28_232);
    expect(ports.allocate([1, 2, 3], (candidate) => !used.has(candidate))).toBe(0);
  });

  it('starts elsewhere for another destination', () => {
    const first = (words: number[]) =>
      new PortAllocator(newHashKey(seededRandom32(1)), 0).allocate(words, () => true);
    expect(new Set([first([1]), first([2]), first([3]), first([4])]).size).toBe(4);
  });
});
