import { afterEach, describe, expect, test } from 'vitest';
import { localTimeReader, nextTime, parseSchedule } from '../src/loops/cronjob/schedule.ts';
import { formatIndexes, parseIndexes } from '../src/loops/job/indexes.ts';
import type { CronJob, Job, Pod } from '../src/loops/objects.ts';
import { podTemplate, TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster?.stop());

function job(spec: Record<string, unknown> = {}) {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'task', namespace: 'default' },
    spec: {
      parallelism: 1,
      completions: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      template: podTemplate('task', { restartPolicy: 'Never' }),
      ...spec,
    },
  };
}

const status = () => cluster.get<Job>('jobs.batch', 'task').status!;
const active = () =>
  cluster.pods().filter((each) => each.status?.phase === 'Running' && !each.metadata.deletionTimestamp);
const finish = async (phase: 'Succeeded' | 'Failed', count = 1) => {
  for (const each of active().slice(0, count)) await cluster.agents.finish(each, phase);
  await cluster.settle();
};

test('runs one pod to completion', async () => {
  cluster = await TestCluster.start();
  await cluster.create('jobs.batch', job());
  const { metadata, spec } = cluster.get<Job>('jobs.batch', 'task');
  expect(spec.selector!.matchLabels).toEqual({ 'batch.kubernetes.io/controller-uid': metadata.uid });
  expect(active()[0].metadata.labels).toMatchObject({
    app: 'task',
    'job-name': 'task',
    'controller-uid': metadata.uid,
  });
  expect(status()).toMatchObject({ active: 1, ready: 1 });
  await finish('Succeeded');
  expect(status()).toMatchObject({ succeeded: 1, ready: 0, uncountedTerminatedPods: {} });
  expect(status().active).toBeUndefined();
  expect(status().completionTime).toBeDefined();
  expect(cluster.condition({ status: status() }, 'Complete')).toMatchObject({
    status: 'True',
    reason: 'CompletionsReached',
  });
  expect(cluster.pods()[0].metadata.finalizers ?? []).toEqual([]);
  expect(cluster.events('task').at(-1)).toBe('Completed: Job completed');
});

test('keeps to parallelism until enough have succeeded', async () => {
  cluster = await TestCluster.start();
  await cluster.create('jobs.batch', job({ completions: 5, parallelism: 2 }));
  let most = 0;
  for (let i = 0; i < 5; i++) {
    most = Math.max(most, active().length);
    await finish('Succeeded');
  }
  expect(most).toBe(2);
  expect(status()).toMatchObject({ succeeded: 5 });
  expect(cluster.pods()).toHaveLength(5);
  expect(cluster.condition({ status: status() }, 'Complete')?.status).toBe('True');
});

test('tries again after a growing delay, and gives up past the limit', async () => {
  cluster = await TestCluster.start();
  await cluster.create('jobs.batch', job({ backoffLimit: 2 }));
  await finish('Failed');
  expect(active()).toHaveLength(0);
  await cluster.advance(9_000);
  expect(active()).toHaveLength(0);
  await cluster.advance(2_000);
  expect(active()).toHaveLength(1);
  await finish('Failed');
  await cluster.advance(19_000);
  expect(active()).toHaveLength(0);
  await cluster.advance(2_000);
  await finish('Failed');
  expect(status().failed).toBe(3);
  expect(cluster.condition({ status: status() }, 'Failed')).toMatchObject({
    status: 'True',
    reason: 'BackoffLimitExceeded',
    message: 'Job has reached the specified backoff limit',
  });
  await cluster.advance(600_000);
  expect(cluster.pods()).toHaveLength(3);
});

test('is stopped by its deadline', async () => {
  cluster = await TestCluster.start();
  await cluster.create('jobs.batch', job({ activeDeadlineSeconds: 30, parallelism: 2, completions: 2 }));
  await cluster.advance(29_000);
  expect(active()).toHaveLength(2);
  await cluster.advance(2_000);
  expect(active()).toHaveLength(0);
  expect(status()).toMatchObject({ failed: 2 });
  expect(cluster.condition({ status: status() }, 'Failed')).toMatchObject({ reason: 'DeadlineExceeded' });
});

test('gives each pod of an Indexed Job its index, and a failed one another pod', async () => {
  cluster = await TestCluster.start();
  await cluster.create('jobs.batch', job({ completions: 4, parallelism: 3, completionMode: 'Indexed' }));
  const index = (each: Pod) => each.metadata.annotations!['batch.kubernetes.io/job-completion-index'];
  expect(active().map(index).sort()).toEqual(['0', '1', '2']);
  const [first] = active();
  expect(first.metadata.name).toMatch(/^task-0-[a-z0-9]{5}$/);
  expect(first.spec.hostname).toBe('task-0');
  expect(first.spec.containers[0].env).toContainEqual({ name: 'JOB_COMPLETION_INDEX', value: '0' });
  await cluster.agents.finish(active().find((each) => index(each) === '1')!, 'Failed');
  await cluster.settle();
  await cluster.advance(11_000);
  expect(active().map(index).sort()).toEqual(['0', '1', '2']);
  await finish('Succeeded', 3);
  expect(status()).toMatchObject({ succeeded: 3, completedIndexes: '0-2' });
  expect(active().map(index)).toEqual(['3']);
  await finish('Succeeded');
  expect(status()).toMatchObject({ succeeded: 4, completedIndexes: '0-3', failed: 1 });
});

test('is suspended and resumed', async () => {
  cluster = await TestCluster.start();
  await cluster.create('jobs.batch', job());
  await cluster.patch('jobs.batch', 'task', { spec: { suspend: true } });
  expect(active()).toHaveLength(0);
  expect(cluster.condition({ status: status() }, 'Suspended')).toMatchObject({
    status: 'True',
    reason: 'JobSuspended',
  });
  await cluster.patch('jobs.batch', 'task', { spec: { suspend: false } });
  expect(active()).toHaveLength(1);
  expect(cluster.condition({ status: status() }, 'Suspended')).toMatchObject({
    status: 'False',
    reason: 'JobResumed',
  });
  await finish('Succeeded');
  expect(status()).toMatchObject({ succeeded: 1 });
  expect(status().failed).toBeUndefined();
});

test('cleans up after itself', async () => {
  cluster = await TestCluster.start();
  await cluster.create('jobs.batch', job({ ttlSecondsAfterFinished: 60 }));
  await finish('Succeeded');
  await cluster.advance(59_000);
  expect(cluster.list('jobs.batch')).toHaveLength(1);
  await cluster.advance(2_000);
  expect([cluster.list('jobs.batch'), cluster.pods()]).toEqual([[], []]);
});

test('counts a pod that is lost with its node, and starts another', async () => {
  cluster = await TestCluster.start();
  await cluster.create('jobs.batch', job());
  cluster.agents.kill(active()[0].spec.nodeName!);
  await cluster.advance(20_000);
  expect(cluster.pods().filter((each) => cluster.agents.alive.has(each.spec.nodeName!))).toHaveLength(1);
  await finish('Succeeded');
  expect(status()).toMatchObject({ succeeded: 1 });
});

test('a deleted Job takes its pods along', async () => {
  cluster = await TestCluster.start();
  await cluster.create('jobs.batch', job());
  await cluster.delete('jobs.batch', 'task', { propagationPolicy: 'Background' });
  expect(cluster.pods()).toEqual([]);
});

describe('index lists', () => {
  const cases: [text: string, indexes: number[]][] = [
    ['', []],
    ['0', [0]],
    ['0,2', [0, 2]],
    ['1-3,5,7-9', [1, 2, 3, 5, 7, 8, 9]],
  ];
  test.each(cases)('%j', (text, indexes) => {
    expect(formatIndexes(new Set(indexes))).toBe(text);
    expect([...parseIndexes(text, 100)]).toEqual(indexes);
  });
});

describe('a CronJob', () => {
  const cronJob = (spec: Record<string, unknown> = {}) => ({
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'tick', namespace: 'default' },
    spec: {
      schedule: '*/5 * * * *',
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
      jobTemplate: { spec: job().spec },
      ...spec,
    },
  });
  const jobs = () => cluster.list<Job>('jobs.batch').map((each) => each.metadata.name);

  test('starts a Job at each time, and keeps some of them', async () => {
    cluster = await TestCluster.start();
    await cluster.create('cronjobs.batch', cronJob({ successfulJobsHistoryLimit: 1 }));
    const minute = cluster.clock.nowMs() / 60_000;
    await cluster.advance(4 * 60_000);
    expect(jobs()).toEqual([]);
    await cluster.advance(60_000);
    expect(jobs()).toEqual([`tick-${minute + 5}`]);
    expect(cluster.get<CronJob>('cronjobs.batch', 'tick').status).toMatchObject({
      lastScheduleTime: '2030-01-01T00:05:00Z',
      active: [{ kind: 'Job', name: `tick-${minute + 5}` }],
    });
    for (let i = 0; i < 2; i++) {
      await finish('Succeeded');
      await cluster.advance(5 * 60_000);
    }
    expect(jobs()).toEqual([`tick-${minute + 10}`, `tick-${minute + 15}`]);
    expect(cluster.get<CronJob>('cronjobs.batch', 'tick').status!.active).toHaveLength(1);
    await cluster.delete('cronjobs.batch', 'tick', { propagationPolicy: 'Background' });
    expect([jobs(), cluster.pods()]).toEqual([[], []]);
  });

  test.each([
    ['Allow', 2],
    ['Forbid', 1],
    ['Replace', 1],
  ])('with policy %s has %i running after two times', async (concurrencyPolicy, count) => {
    cluster = await TestCluster.start();
    await cluster.create('cronjobs.batch', cronJob({ concurrencyPolicy }));
    await cluster.advance(5 * 60_000);
    const [first] = jobs();
    await cluster.advance(5 * 60_000);
    expect(active()).toHaveLength(count);
    expect(jobs().includes(first)).toBe(concurrencyPolicy !== 'Replace');
  });

  test('starts nothing while suspended, nor twice after a restart', async () => {
    cluster = await TestCluster.start();
    await cluster.create('cronjobs.batch', cronJob({ suspend: true }));
    await cluster.advance(30 * 60_000);
    expect(jobs()).toEqual([]);
    await cluster.patch('cronjobs.batch', 'tick', { spec: { suspend: false } });
    expect(jobs()).toHaveLength(1);
  });
});

describe('schedules', () => {
  const from = Date.UTC(2030, 0, 1, 10, 30);
  const cases: [schedule: string, timeZone: string, next: string][] = [
    ['* * * * *', 'UTC', '2030-01-01T10:31:00.000Z'],
    ['0 * * * *', 'UTC', '2030-01-01T11:00:00.000Z'],
    ['30 10 * * *', 'UTC', '2030-01-02T10:30:00.000Z'],
    ['15,45 9-17/4 * * *', 'UTC', '2030-01-01T13:15:00.000Z'],
    ['0 0 * * sun', 'UTC', '2030-01-06T00:00:00.000Z'],
    ['0 0 * * 7', 'UTC', '2030-01-06T00:00:00.000Z'],
    ['0 0 13 * 5', 'UTC', '2030-01-04T00:00:00.000Z'],
    ['0 0 29 feb *', 'UTC', '2032-02-29T00:00:00.000Z'],
    ['@monthly', 'UTC', '2030-02-01T00:00:00.000Z'],
    ['0 9 * * *', 'Europe/Berlin', '2030-01-02T08:00:00.000Z'],
    ['0 9 1 7 *', 'Europe/Berlin', '2030-07-01T07:00:00.000Z'],
  ];
  test.each(cases)('%s in %s', (text, timeZone, next) => {
    const at = nextTime(parseSchedule(text)!, from, localTimeReader(timeZone)!);
    expect(new Date(at!).toISOString()).toBe(next);
  });

  test.each(['', '* * * *', '60 * * * *', '* 24 * * *', '5-1 * * * *', '*/0 * * * *', 'x * * * *'])(
    '%j is none',
    (text) => {
      expect(parseSchedule(text)).toBeUndefined();
    },
  );

  test('may never come, and zones may not exist', () => {
    expect(nextTime(parseSchedule('0 0 31 2 *')!, from, localTimeReader('UTC')!)).toBeUndefined();
    expect(localTimeReader('Mars/Olympus')).toBeUndefined();
  });
});
