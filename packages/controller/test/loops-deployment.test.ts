import { afterEach, describe, expect, test } from 'vitest';
import type { Deployment, Pod, ReplicaSet } from '../src/loops/objects.ts';
import { isPodReady } from '../src/loops/pod-state.ts';
import { deployment, podTemplate, TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const newImage = (image: string) => {
  const [container] = podTemplate('web').spec.containers;
  return { spec: { template: { spec: { containers: [{ ...container, image }] } } } };
};
const sizes = () =>
  cluster
    .list<ReplicaSet>('replicasets.apps')
    .map((set) => [set.metadata.annotations!['deployment.kubernetes.io/revision'], set.spec.replicas])
    .sort();

describe('a new Deployment', () => {
  test('becomes available, with the status and events a user knows', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 3));
    const web = cluster.get<Deployment>('deployments.apps', 'web');
    expect(web.status).toMatchObject({
      observedGeneration: 1,
      replicas: 3,
      updatedReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
    });
    expect(web.status!.unavailableReplicas).toBeUndefined();
    expect(web.metadata.generation).toBe(1);
    expect(web.metadata.annotations).toEqual({ 'deployment.kubernetes.io/revision': '1' });
    const [set] = cluster.list<ReplicaSet>('replicasets.apps');
    expect(set.metadata.name).toMatch(/^web-[bcdfghjklmnpqrstvwxz2456789]+$/);
    expect(set.spec.selector.matchLabels).toEqual({
      app: 'web',
      'pod-template-hash': set.metadata.labels!['pod-template-hash'],
    });
    expect(cluster.condition(web, 'Available')).toMatchObject({
      status: 'True',
      reason: 'MinimumReplicasAvailable',
      message: 'Deployment has minimum availability.',
    });
    expect(cluster.condition(web, 'Progressing')).toMatchObject({
      status: 'True',
      reason: 'NewReplicaSetAvailable',
      message: `ReplicaSet "${set.metadata.name}" has successfully progressed.`,
    });
    expect(cluster.events('web')).toEqual([
      `ScalingReplicaSet: Scaled up replica set ${set.metadata.name} from 0 to 3`,
    ]);
    expect(
      cluster
        .events(set.metadata.name)
        .every((text) => text.startsWith('SuccessfulCreate: Created pod: web-')),
    ).toBe(true);
    expect(new Set(cluster.pods().map((pod) => pod.spec.nodeName)).size).toBe(3);
    expect(cluster.log.filter(({ level }) => level === 'warn')).toEqual([]);
  });

  test('is not available before minReadySeconds have passed', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 2, { minReadySeconds: 10 }));
    const available = () => cluster.get<Deployment>('deployments.apps', 'web').status!.availableReplicas ?? 0;
    await cluster.advance(9_000);
    expect(available()).toBe(0);
    await cluster.advance(1_500);
    expect(available()).toBe(2);
  });

  test('reports a missed progress deadline', async () => {
    cluster = await TestCluster.start();
    cluster.agents.isReady = () => false;
    await cluster.create('deployments.apps', deployment('web', 1, { progressDeadlineSeconds: 60 }));
    await cluster.advance(55_000);
    const progressing = () => cluster.condition(cluster.get('deployments.apps', 'web'), 'Progressing');
    expect(progressing()).toMatchObject({ status: 'True', reason: 'ReplicaSetUpdated' });
    await cluster.advance(10_000);
    expect(progressing()).toMatchObject({ status: 'False', reason: 'ProgressDeadlineExceeded' });
    cluster.agents.isReady = () => true;
    await cluster.agents.refresh();
    await cluster.settle();
    expect(progressing()).toMatchObject({ status: 'True', reason: 'NewReplicaSetAvailable' });
  });
});

describe('a rolling update', () => {
  const cases = [
    { replicas: 10, maxSurge: '25%', maxUnavailable: '25%', least: 8, most: 13 },
    { replicas: 3, maxSurge: 1, maxUnavailable: 0, least: 3, most: 4 },
    { replicas: 3, maxSurge: 0, maxUnavailable: 1, least: 2, most: 3 },
    { replicas: 4, maxSurge: '100%', maxUnavailable: 0, least: 4, most: 8 },
    { replicas: 1, maxSurge: '25%', maxUnavailable: '25%', least: 1, most: 2 },
  ];
  test.each(cases)(
    'of $replicas keeps between $least and $most pods (surge $maxSurge, unavailable $maxUnavailable)',
    async (row) => {
      cluster = await TestCluster.start();
      const { replicas, maxSurge, maxUnavailable } = row;
      const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } };
      await cluster.create('deployments.apps', deployment('web', replicas, { strategy }));
      // Pods take their time, so that every step in between can be seen.
      cluster.agents.startMs = 700;
      cluster.agents.stopMs = 300;
      let least = Infinity;
      let most = 0;
      cluster.observe<Pod>('pods', () => {
        const alive = cluster.pods().filter((pod) => pod.metadata.deletionTimestamp === undefined);
        least = Math.min(least, alive.filter(isPodReady).length);
        most = Math.max(most, alive.length);
      });
      await cluster.patch('deployments.apps', 'web', newImage('web:2'));
      await cluster.advance(30_000);
      expect({ least, most }).toEqual({ least: row.least, most: row.most });
      expect(sizes()).toEqual([
        ['1', 0],
        ['2', replicas],
      ]);
      expect(cluster.pods().map((pod) => pod.spec.containers[0].image)).toEqual(
        Array(replicas).fill('web:2'),
      );
      expect(cluster.get<Deployment>('deployments.apps', 'web').status).toMatchObject({
        replicas,
        updatedReplicas: replicas,
      });
    },
  );

  test('that never becomes ready stops at maxUnavailable, and going back reuses the old ReplicaSet', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 4));
    cluster.agents.isReady = (pod) => pod.spec.containers[0].image !== 'broken';
    await cluster.patch('deployments.apps', 'web', newImage('broken'));
    await cluster.advance(5_000);
    expect(cluster.pods().filter(isPodReady)).toHaveLength(3);
    expect(sizes()).toEqual([
      ['1', 3],
      ['2', 2],
    ]);
    await cluster.patch('deployments.apps', 'web', newImage('web:1'));
    await cluster.advance(5_000);
    expect(sizes()).toEqual([
      ['2', 0],
      ['3', 4],
    ]);
    const [set] = cluster.list<ReplicaSet>('replicasets.apps').filter((each) => each.spec.replicas > 0);
    expect(set.metadata.annotations!['deployment.kubernetes.io/revision-history']).toBe('1');
    expect(cluster.get<Deployment>('deployments.apps', 'web').metadata.annotations).toEqual({
      'deployment.kubernetes.io/revision': '3',
    });
  });

  test('keeps only so many old ReplicaSets', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 1, { revisionHistoryLimit: 2 }));
    for (let i = 2; i <= 6; i++) await cluster.patch('deployments.apps', 'web', newImage(`web:${i}`));
    expect(sizes()).toEqual([
      ['4', 0],
      ['5', 0],
      ['6', 1],
    ]);
  });

  test('does nothing while paused, and all at once when resumed', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 2));
    await cluster.patch('deployments.apps', 'web', { spec: { paused: true } });
    await cluster.patch('deployments.apps', 'web', newImage('web:2'));
    await cluster.patch('deployments.apps', 'web', newImage('web:3'));
    expect(sizes()).toEqual([['1', 2]]);
    expect(cluster.condition(cluster.get('deployments.apps', 'web'), 'Progressing')).toMatchObject({
      status: 'Unknown',
      reason: 'DeploymentPaused',
    });
    await cluster.patch('deployments.apps', 'web', { spec: { replicas: 3 } });
    expect(sizes()).toEqual([['1', 3]]);
    await cluster.patch('deployments.apps', 'web', { spec: { paused: false } });
    expect(sizes()).toEqual([
      ['1', 0],
      ['2', 3],
    ]);
  });

  test('shares a change of size out in proportion while it is under way', async () => {
    cluster = await TestCluster.start();
    const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } };
    await cluster.create('deployments.apps', deployment('web', 10, { strategy }));
    cluster.agents.isReady = (pod) => pod.spec.containers[0].image !== 'broken';
    await cluster.patch('deployments.apps', 'web', newImage('broken'));
    expect(sizes()).toEqual([
      ['1', 8],
      ['2', 5],
    ]);
    await cluster.patch('deployments.apps', 'web', { spec: { replicas: 15 } });
    // The example of the Deployment documentation: 15 + 3 pods, three of the five more to the larger set.
    expect(sizes()).toEqual([
      ['1', 11],
      ['2', 7],
    ]);
  });
});

describe('Recreate', () => {
  test('starts new pods only when the last old one is gone', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 3, { strategy: { type: 'Recreate' } }));
    cluster.agents.stopMs = 1_000;
    let together = false;
    cluster.observe<Pod>('pods', () => {
      together ||= new Set(cluster.pods().map((pod) => pod.spec.containers[0].image)).size > 1;
    });
    await cluster.patch('deployments.apps', 'web', newImage('web:2'));
    expect(cluster.pods().every((pod) => pod.metadata.deletionTimestamp)).toBe(true);
    await cluster.advance(1_500);
    expect(cluster.pods().map((pod) => pod.spec.containers[0].image)).toEqual(['web:2', 'web:2', 'web:2']);
    expect(together).toBe(false);
  });
});

describe('pods of a ReplicaSet', () => {
  test('are replaced when deleted, and let go when relabelled', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 2));
    const [first, second] = cluster.pods();
    await cluster.delete('pods', first.metadata.name);
    expect(cluster.pods()).toHaveLength(2);
    await cluster.patch('pods', second.metadata.name, { metadata: { labels: { app: 'debug' } } });
    expect(cluster.pods({ app: 'web' })).toHaveLength(2);
    expect(cluster.get<Pod>('pods', second.metadata.name).metadata.ownerReferences ?? []).toEqual([]);
    // Labelled back, the pod is one too many again: the youngest goes, or it itself.
    await cluster.patch('pods', second.metadata.name, { metadata: { labels: { app: 'web' } } });
    expect(cluster.pods({ app: 'web' })).toHaveLength(2);
  });

  test('that are least useful go first', async () => {
    cluster = await TestCluster.start();
    cluster.agents.isReady = (pod) => pod.spec.nodeName !== 'node-2';
    await cluster.create('deployments.apps', deployment('web', 3));
    const spared = cluster.pods().find((pod) => pod.spec.nodeName === 'node-1')!;
    const cheap = cluster.pods().find((pod) => pod.spec.nodeName === 'node-3')!;
    const annotations = { 'controller.kubernetes.io/pod-deletion-cost': '-5' };
    await cluster.patch('pods', cheap.metadata.name, { metadata: { annotations } });
    await cluster.patch('deployments.apps', 'web', { spec: { replicas: 2 } });
    expect(
      cluster
        .pods()
        .map((pod) => pod.spec.nodeName)
        .sort(),
    ).toEqual(['node-1', 'node-3']);
    await cluster.patch('deployments.apps', 'web', { spec: { replicas: 1 } });
    expect(cluster.pods().map((pod) => pod.metadata.name)).toEqual([spared.metadata.name]);
  });
});

test('a pod that is refused shows in the status and as one Event, until it is let in', async () => {
  cluster = await TestCluster.start();
  const template = podTemplate('web', { serviceAccountName: 'robot' });
  await cluster.create('deployments.apps', deployment('web', 2, { template }));
  await cluster.advance(500);
  const [set] = cluster.list<ReplicaSet>('replicasets.apps');
  const refusal = `pods "${set.metadata.name}-" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found`;
  expect(cluster.events(set.metadata.name)).toEqual([`FailedCreate: Error creating: ${refusal}`]);
  expect(cluster.condition(cluster.get('deployments.apps', 'web'), 'ReplicaFailure')).toMatchObject({
    status: 'True',
    reason: 'FailedCreate',
  });
  await cluster.create('serviceaccounts', {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'robot', namespace: 'default' },
  });
  await cluster.advance(2_000);
  expect(cluster.get<Deployment>('deployments.apps', 'web').status!.availableReplicas).toBe(2);
  expect(cluster.condition(cluster.get('deployments.apps', 'web'), 'ReplicaFailure')).toBeUndefined();
});
