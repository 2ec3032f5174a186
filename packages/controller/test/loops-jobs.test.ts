import { afterEach, describe, expect, test } from 'vitest';
import { formatIndexes, parseIndexes } from '../src/loops/job/indexes.ts';
import type { Job, Pod } from '../src/loops/objects.ts';
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
