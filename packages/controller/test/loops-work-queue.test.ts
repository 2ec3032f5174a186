import { conflict, forbidden, internalError } from '@podwire/kube/status';
import { describe, expect, test } from 'vitest';
import type { Log } from '../src/loops/log.ts';
import { backoffMs, WorkQueue } from '../src/loops/work-queue.ts';
import { FakeClock } from './loops-harness.ts';

const turn = async () => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
};

function harness(reconcile: (key: string) => Promise<number | undefined>, concurrency?: number) {
  const clock = new FakeClock();
  const lines: string[] = [];
  const write = (level: string) => (_: object, message: string) => void lines.push(`${level} ${message}`);
  const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  const queue = new WorkQueue({
    name: 'test',
    reconcile,
    clock,
    log,
    ...(concurrency ? { concurrency } : {}),
  });
  return { clock, lines, queue, advance: (ms: number) => clock.advance(ms, turn) };
}

describe('a work queue', () => {
  test('works on a key once however often it is added', async () => {
    const seen: string[] = [];
    const { queue } = harness(async (key) => void seen.push(key));
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
    expect(seen).toEqual([]);
    await turn();
    expect(seen).toEqual(['a', 'b']);
  });

  test('never works on one key twice at a time, and again when it was added meanwhile', async () => {
    let running = 0;
    let most = 0;
    let runs = 0;
    const { queue } = harness(async () => {
      runs++;
      most = Math.max(most, ++running);
      await turn();
      running--;
      return undefined;
    });
    queue.add('a');
    await Promise.resolve();
    queue.add('a');
    queue.add('a');
    for (let i = 0; i < 5; i++) await turn();
    expect({ most, runs }).toEqual({ most: 1, runs: 2 });
  });

  test('works on no more keys at a time than it may', async () => {
    let running = 0;
    let most = 0;
    const done: string[] = [];
    const { queue } = harness(async (key) => {
      most = Math.max(most, ++running);
      await turn();
      running--;
      done.push(key);
      return undefined;
    }, 2);
    for (const key of 'abcde') queue.add(key);
    for (let i = 0; i < 8; i++) await turn();
    expect(most).toBe(2);
    expect(done.sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('retries a failure later and later, and starts over after a success', async () => {
    let runs = 0;
    let failing = true;
    const { queue, advance, lines } = harness(async () => {
      runs++;
      if (failing) throw internalError('no');
      return undefined;
    });
    queue.add('a');
    await turn();
    expect(runs).toBe(1);
    await advance(4);
    expect(runs).toBe(1);
    await advance(2.5);
    expect(runs).toBe(2);
    await advance(1_000);
    expect(runs).toBeGreaterThan(5);
    expect(runs).toBeLessThan(10);
    expect(lines.every((line) => line === 'warn reconcile failed')).toBe(true);
    failing = false;
    await advance(60_000);
    const after = runs;
    await advance(600_000);
    expect(runs).toBe(after);
  });

  test('takes a write conflict quietly', async () => {
    let runs = 0;
    const { queue, advance, lines } = harness(async () => {
      if (runs++ === 0) throw conflict('pods', 'a');
      return undefined;
    });
    queue.add('a');
    await turn();
    await advance(10);
    expect(runs).toBe(2);
    expect(lines).toEqual(['debug refused for now']);
  });

  test('warns of a refusal only when it stays', async () => {
    const { queue, advance, lines } = harness(async () => {
      throw forbidden('pods', 'a', 'serviceaccount "b" not found');
    });
    queue.add('a');
    await turn();
    await advance(600);
    expect(new Set(lines)).toEqual(new Set(['debug refused for now']));
    await advance(60_000);
    expect(lines.at(-1)).toBe('warn reconcile failed');
  });

  test('comes back when asked to, at the earliest of several times', async () => {
    const { queue, clock, advance } = harness(async () => {
      times.push(clock.nowMs() - startMs);
      return times.length === 1 ? 500 : undefined;
    });
    const startMs = clock.nowMs();
    const times: number[] = [];
    queue.addAfter('a', 300);
    queue.addAfter('a', 100);
    queue.addAfter('a', 200);
    await advance(2_000);
    expect(times).toEqual([100, 600]);
  });

  test('starts nothing after it was stopped', async () => {
    let runs = 0;
    const { queue, advance } = harness(async () => void runs++);
    queue.add('a');
    queue.addAfter('b', 10);
    queue.stop();
    queue.add('c');
    await advance(100);
    expect(runs).toBe(0);
  });
});

test('waits double up to half a minute', () => {
  const waits = [0, 1, 2, 3, 12, 13, 40].map((failures) => backoffMs(failures, () => 0));
  expect(waits).toEqual([5, 10, 20, 40, 20_480, 30_000, 30_000]);
  expect(backoffMs(0, () => 199)).toBeCloseTo(5.995);
});
