import { describe, expect, it } from 'vitest';
import { type ProbeKind, ProbePace, type ProbeResult, Prober, probeTimes } from '../src/probes/prober.ts';
import { FakeClock } from './fake-clock.ts';

function start(kind: ProbeKind, probe: object, results: boolean[], delayScale = 1) {
  const clock = new FakeClock(0);
  const attemptsAt: number[] = [];
  const verdicts: [number, boolean][] = [];
  const failures: string[] = [];
  const prober = new Prober({
    kind,
    probe,
    delayScale,
    setTimer: clock.setTimer,
    pace: new ProbePace(),
    attempt: async (): Promise<ProbeResult> => {
      attemptsAt.push(clock.nowMs());
      const ok = results.length > 1 ? results.shift()! : results[0]!;
      return { ok, message: ok ? '' : 'no' };
    },
    onFailure: (message) => failures.push(message),
    onVerdict: (ok) => verdicts.push([clock.nowMs(), ok]),
  });
  prober.start();
  return { clock, prober, attemptsAt, verdicts, failures };
}

describe('a probe', () => {
  it('waits initialDelaySeconds, then runs every periodSeconds', async () => {
    const run = start('readiness', { initialDelaySeconds: 5, periodSeconds: 3 }, [true]);
    await run.clock.advance(4999);
    expect(run.attemptsAt).toEqual([]);
    await run.clock.advance(7001);
    expect(run.attemptsAt).toEqual([5000, 8000, 11000]);
    expect(run.verdicts).toEqual([[5000, true]]);
  });

  it('scales both by the lab, but no period below 50 ms', async () => {
    const run = start('readiness', { initialDelaySeconds: 5, periodSeconds: 10 }, [true], 0.02);
    await run.clock.advance(500);
    expect(run.attemptsAt).toEqual([100, 300, 500]);
    expect(probeTimes({ periodSeconds: 1 }, 0.02).periodMs).toBe(50);
    expect(probeTimes({}, 1)).toEqual({
      initialDelayMs: 0,
      periodMs: 10_000,
      timeoutMs: 1000,
      successThreshold: 1,
      failureThreshold: 3,
    });
  });

  it('changes its verdict after as many results in a row as the threshold says', async () => {
    const run = start('readiness', { periodSeconds: 1, failureThreshold: 3, successThreshold: 2 }, [
      true,
      true,
      false,
      false,
      true,
      false,
      false,
      false,
      true,
      false,
      true,
      true,
    ]);
    await run.clock.advance(11_000);
    expect(run.verdicts).toEqual([
      [1000, true],
      [7000, false],
      [11_000, true],
    ]);
    expect(run.failures).toHaveLength(6);
  });

  it('of liveness ends with its first failed verdict: the container is restarted', async () => {
    const run = start('liveness', { periodSeconds: 1, failureThreshold: 2 }, [true, false]);
    await run.clock.advance(60_000);
    expect(run.verdicts).toEqual([
      [0, true],
      [2000, false],
    ]);
    expect(run.attemptsAt).toEqual([0, 1000, 2000]);
    expect(run.clock.pending).toBe(0);
  });

  it('of startup ends with success', async () => {
    const run = start('startup', { periodSeconds: 1, failureThreshold: 30 }, [false, false, true]);
    await run.clock.advance(60_000);
    expect(run.attemptsAt).toEqual([0, 1000, 2000]);
    expect(run.verdicts).toEqual([[2000, true]]);
  });

  it('takes an exception for a failure, and says nothing once stopped', async () => {
    const clock = new FakeClock(0);
    const failures: string[] = [];
    const prober = new Prober({
      kind: 'readiness',
      probe: { periodSeconds: 1 },
      delayScale: 1,
      setTimer: clock.setTimer,
      pace: new ProbePace(),
      attempt: () => Promise.reject(new Error('broken')),
      onFailure: (message) => failures.push(message),
      onVerdict: () => {},
    });
    prober.start();
    await clock.advance(1000);
    expect(failures).toEqual(['broken', 'broken']);
    prober.stop();
    await clock.advance(5000);
    expect(failures).toHaveLength(2);
  });

  it('that succeeds is stretched where the node runs many, and one that fails is not', async () => {
    const pace = new ProbePace();
    const leave = Array.from({ length: 20 }, () => pace.enter(100));
    expect(pace.factor).toBe(4);
    const clock = new FakeClock(0);
    const attemptsAt: number[] = [];
    let ok = false;
    const prober = new Prober({
      kind: 'readiness',
      probe: { periodSeconds: 10, failureThreshold: 2 },
      delayScale: 1,
      pace,
      setTimer: clock.setTimer,
      attempt: async () => {
        attemptsAt.push(clock.nowMs());
        return { ok, message: '' };
      },
      onFailure: () => {},
      onVerdict: () => {},
    });
    prober.start();
    await clock.advance(10_000);
    ok = true;
    await clock.advance(50_400);
    ok = false;
    await clock.advance(60_000);
    expect(attemptsAt).toEqual([0, 10_000, 20_000, 60_020, 100_040, 110_040, 120_040]);
    prober.stop();
    for (const each of leave) each();
    expect(pace.factor).toBe(1);
  });
});
