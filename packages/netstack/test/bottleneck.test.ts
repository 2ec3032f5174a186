import { describe, expect, it } from 'vitest';
import { FakeClock } from './fake-clock.ts';
import {
  connectUser,
  joinedStacks,
  type LinkFaults,
  listenUsers,
  type Pair,
  RecordingUser,
} from './simulated-network.ts';

/** Lets frames of one direction leave at a rate, out of a queue that drops what does not fit. */
function bottleneck(
  pair: Pair,
  faults: LinkFaults,
  to: 'a' | 'b',
  o: { bitsPerMs: number; queueFrames: number; delayMs: number },
) {
  const { bitsPerMs, queueFrames, delayMs } = o;
  const { clock } = pair;
  let freeMs = 0;
  let queued = 0;
  let drops = 0;
  faults.intercept = (frame) => {
    if (queued >= queueFrames) {
      drops++;
      return true;
    }
    queued++;
    const copy = frame.slice();
    freeMs = Math.max(freeMs, clock.nowMs) + (frame.length * 8) / bitsPerMs;
    clock.setTimer(
      () => {
        queued--;
        pair[to].receive(copy);
      },
      freeMs - clock.nowMs + delayMs,
    );
    return true;
  };
  return () => drops;
}

describe('congestion control at a bottleneck', () => {
  it.each([
    [100, 64, 2],
    [100, 20, 2],
    [1000, 100, 0.25],
    [10, 10, 2],
    [50, 80, 15],
  ])('fills %i Mb/s with a queue of %i frames and %f ms each way', (megabits, queueFrames, delayMs) => {
    const clock = new FakeClock();
    const pair = joinedStacks(clock, 1, { delayMs });
    const drops = bottleneck(pair, pair.forth, 'b', { bitsPerMs: megabits * 1000, queueFrames, delayMs });
    const bytes = megabits * 60_000;
    const servers = listenUsers(pair.b, 80, () => new RecordingUser());
    const client = new RecordingUser(new Uint8Array(bytes));
    connectUser(pair.a, client, { host: '10.0.0.2', port: 80 });
    const startMs = clock.nowMs;
    clock.runUntil(() => servers[0]?.ended === true, 60_000);
    expect(servers[0].receivedBytes).toBe(bytes);
    const idealMs = (bytes * 8) / (megabits * 1000);
    const share = idealMs / (clock.nowMs - startMs);
    if (process.env.SHOW_TIMES) console.log(megabits, queueFrames, share, drops(), pair.a.statistics);
    expect(drops()).toBeGreaterThan(0);
    // Nothing is late here, only lost, and hardly anything is sent again in vain.
    expect(pair.a.statistics.spuriousRecoveries).toBe(0);
    expect(pair.a.statistics.retransmits).toBeLessThan(drops() * 1.2 + 5);
    expect(share).toBeGreaterThan(0.5);
  });

  it('two connections share it', () => {
    const clock = new FakeClock();
    const pair = joinedStacks(clock, 1, { delayMs: 2 });
    bottleneck(pair, pair.forth, 'b', { bitsPerMs: 100_000, queueFrames: 50, delayMs: 2 });
    const servers = listenUsers(pair.b, 80, () => new RecordingUser());
    for (let i = 0; i < 2; i++) {
      connectUser(pair.a, new RecordingUser(new Uint8Array(40_000_000)), { host: '10.0.0.2', port: 80 });
    }
    clock.advance(3000);
    const [first, second] = servers.map((user) => user.receivedBytes);
    expect(Math.min(first, second) / Math.max(first, second)).toBeGreaterThan(0.3);
    expect(((first + second) * 8) / 3000 / 100_000).toBeGreaterThan(0.8);
  });
});
