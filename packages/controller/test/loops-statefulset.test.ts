import { afterEach, describe, expect, test } from 'vitest';
import type { ControllerRevision, Pod, StatefulSet } from '../src/loops/objects.ts';
import { podTemplate, TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

function statefulSet(replicas: number, spec: Record<string, unknown> = {}) {
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db', namespace: 'default' },
    spec: {
      replicas,
      serviceName: 'db',
      selector: { matchLabels: { app: 'db' } },
      template: podTemplate('db'),
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      revisionHistoryLimit: 10,
      ...spec,
    },
  };
}

const newImage = (image: string) => {
  const [container] = podTemplate('db').spec.containers;
  return { spec: { template: { spec: { containers: [{ ...container, image }] } } } };
};
const names = () => cluster.pods().map((pod) => pod.metadata.name);
const images = () => cluster.pods().map((pod) => pod.spec.containers[0].image);

test('starts pods in order, each when the one before is ready, with stable identities', async () => {
  cluster = await TestCluster.start();
  cluster.agents.startMs = 1_000;
  await cluster.create('statefulsets.apps', statefulSet(3));
  expect(names()).toEqual(['db-0']);
  await cluster.advance(1_100);
  expect(names()).toEqual(['db-0', 'db-1']);
  await cluster.advance(2_200);
  expect(names()).toEqual(['db-0', 'db-1', 'db-2']);
  await cluster.advance(1_000);
  const pod = cluster.get<Pod>('pods', 'db-1');
  const [revision] = cluster.list<ControllerRevision>('controllerrevisions.apps');
  expect(pod.metadata.labels).toEqual({
    app: 'db',
    'apps.kubernetes.io/pod-index': '1',
    'controller-revision-hash': revision.metadata.name,
    'statefulset.kubernetes.io/pod-name': 'db-1',
  });
  expect(pod.spec).toMatchObject({ hostname: 'db-1', subdomain: 'db' });
  expect(cluster.get<StatefulSet>('statefulsets.apps', 'db').status).toMatchObject({
    replicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
    currentReplicas: 3,
    updatedReplicas: 3,
    currentRevision: revision.metadata.name,
    updateRevision: revision.metadata.name,
  });
  expect(cluster.events('db')).toEqual(
    [0, 1, 2].map((i) => `SuccessfulCreate: create Pod db-${i} in StatefulSet db successful`),
  );
});

test('starts all at once when Parallel', async () => {
  cluster = await TestCluster.start();
  cluster.agents.startMs = 1_000;
  await cluster.create('statefulsets.apps', statefulSet(3, { podManagementPolicy: 'Parallel' }));
  expect(names()).toEqual(['db-0', 'db-1', 'db-2']);
});

test('shrinks from the highest ordinal, one at a time', async () => {
  cluster = await TestCluster.start();
  await cluster.create('statefulsets.apps', statefulSet(3));
  cluster.agents.stopMs = 1_000;
  await cluster.patch('statefulsets.apps', 'db', { spec: { replicas: 1 } });
  const terminating = () =>
    cluster
      .pods()
      .filter((pod) => pod.metadata.deletionTimestamp)
      .map((pod) => pod.metadata.name);
  expect(terminating()).toEqual(['db-2']);
  await cluster.advance(1_100);
  expect(terminating()).toEqual(['db-1']);
  await cluster.advance(1_100);
  expect(names()).toEqual(['db-0']);
});

test('replaces a deleted pod under its old name, after the old one is gone', async () => {
  cluster = await TestCluster.start();
  await cluster.create('statefulsets.apps', statefulSet(2));
  cluster.agents.stopMs = 1_000;
  const { uid } = cluster.get<Pod>('pods', 'db-0').metadata;
  await cluster.delete('pods', 'db-0');
  expect(cluster.get<Pod>('pods', 'db-0').metadata.uid).toBe(uid);
  await cluster.advance(1_100);
  expect(cluster.get<Pod>('pods', 'db-0').metadata.uid).not.toBe(uid);
});

describe('a rolling update', () => {
  test('goes from the highest ordinal down, waiting for each pod', async () => {
    cluster = await TestCluster.start();
    await cluster.create('statefulsets.apps', statefulSet(3));
    const order: string[] = [];
    cluster.observe<Pod>('pods', ({ type, object }) => {
      if (type === 'ADDED' && object.spec.containers[0].image === 'web:2') order.push(object.metadata.name);
    });
    cluster.agents.startMs = 1_000;
    await cluster.patch('statefulsets.apps', 'db', newImage('web:2'));
    expect(images()).toEqual(['web:1', 'web:1', 'web:2']);
    await cluster.advance(10_000);
    expect(order).toEqual(['db-2', 'db-1', 'db-0']);
    const { status } = cluster.get<StatefulSet>('statefulsets.apps', 'db');
    expect(status!.currentRevision).toBe(status!.updateRevision);
    expect(cluster.list('controllerrevisions.apps')).toHaveLength(2);
  });

  test('stops at the partition, and pods below it come back with the old revision', async () => {
    cluster = await TestCluster.start();
    const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 2 } };
    await cluster.create('statefulsets.apps', statefulSet(3, { updateStrategy }));
    await cluster.patch('statefulsets.apps', 'db', newImage('web:2'));
    expect(images()).toEqual(['web:1', 'web:1', 'web:2']);
    await cluster.delete('pods', 'db-0');
    expect(images()).toEqual(['web:1', 'web:1', 'web:2']);
    const { status } = cluster.get<StatefulSet>('statefulsets.apps', 'db');
    expect(status).toMatchObject({ currentReplicas: 2, updatedReplicas: 1 });
    const noPartition = { spec: { updateStrategy: { rollingUpdate: { partition: 0 } } } };
    await cluster.patch('statefulsets.apps', 'db', noPartition);
    expect(images()).toEqual(['web:2', 'web:2', 'web:2']);
  });

  test('leaves pods alone when OnDelete', async () => {
    cluster = await TestCluster.start();
    await cluster.create('statefulsets.apps', statefulSet(2, { updateStrategy: { type: 'OnDelete' } }));
    await cluster.patch('statefulsets.apps', 'db', newImage('web:2'));
    expect(images()).toEqual(['web:1', 'web:1']);
    await cluster.delete('pods', 'db-1');
    expect(images()).toEqual(['web:1', 'web:2']);
  });
});

test('makes a volume claim for each pod and mounts it', async () => {
  cluster = await TestCluster.start();
  const volumeClaimTemplates = [
    {
      metadata: { name: 'data' },
      spec: {
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage: '1Gi' } },
        volumeMode: 'Filesystem',
      },
    },
  ];
  await cluster.create('statefulsets.apps', statefulSet(2, { volumeClaimTemplates }));
  expect(cluster.list('persistentvolumeclaims').map((claim) => claim.metadata.name)).toEqual([
    'data-db-0',
    'data-db-1',
  ]);
  expect(cluster.get<Pod>('pods', 'db-1').spec.volumes).toEqual([
    { name: 'data', persistentVolumeClaim: { claimName: 'data-db-1' } },
  ]);
});
