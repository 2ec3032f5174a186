import { afterEach, expect, test } from 'vitest';
import { deployment, pod, TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

test('Events go an hour after they last happened', async () => {
  cluster = await TestCluster.start();
  await cluster.create('pods', pod('a', { nodeSelector: { disk: 'ssd' } }));
  await cluster.create('pods', pod('b'));
  expect([cluster.events('a').length, cluster.events('b').length]).toEqual([1, 1]);
  await cluster.advance(30 * 60_000);
  const [event] = cluster.list('events').filter((each) => each.metadata.name.startsWith('a.'));
  const lastTimestamp = new Date(cluster.clock.nowMs()).toISOString();
  await cluster.patch('events', event.metadata.name, { count: 2, lastTimestamp });
  await cluster.advance(31 * 60_000);
  expect([cluster.events('a').length, cluster.events('b').length]).toEqual([1, 0]);
  await cluster.advance(31 * 60_000);
  expect(cluster.list('events')).toEqual([]);
});

const budget = (spec: object) => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name: 'web', namespace: 'default' },
  spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
});
const CASES = [
  { spec: { minAvailable: 2 }, desiredHealthy: 2, disruptionsAllowed: 2 },
  { spec: { minAvailable: '100%' }, desiredHealthy: 4, disruptionsAllowed: 0 },
  { spec: { maxUnavailable: 1 }, desiredHealthy: 3, disruptionsAllowed: 1 },
  { spec: { maxUnavailable: '30%' }, desiredHealthy: 2, disruptionsAllowed: 2 },
];

test.each(CASES)('a budget of $spec leaves $disruptionsAllowed of four', async ({ spec, ...expected }) => {
  cluster = await TestCluster.start();
  await cluster.create('poddisruptionbudgets.policy', budget(spec));
  await cluster.create('deployments.apps', deployment('web', 4));
  expect(cluster.get('poddisruptionbudgets.policy', 'web').status).toMatchObject({
    currentHealthy: 4,
    expectedPods: 4,
    ...expected,
  });
  const ready = expected.disruptionsAllowed > 0 ? 'SufficientPods' : 'InsufficientPods';
  expect(
    cluster.condition(cluster.get('poddisruptionbudgets.policy', 'web'), 'DisruptionAllowed'),
  ).toMatchObject({ reason: ready });
});
