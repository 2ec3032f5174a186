import { afterEach, describe, expect, test } from 'vitest';
import type { Namespace, OwnerReference, Pod } from '../src/loops/objects.ts';
import { deployment, pod, service, TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const configMap = (name: string, ownerReferences: OwnerReference[] = [], more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ownerReferences, ...more },
});
const ownedBy = (
  object: { apiVersion: string; kind: string; metadata: { name: string; uid: string } },
  block = true,
): OwnerReference => ({
  apiVersion: object.apiVersion,
  kind: object.kind,
  name: object.metadata.name,
  uid: object.metadata.uid,
  blockOwnerDeletion: block,
});
const maps = () =>
  cluster
    .list('configmaps')
    .map((each) => each.metadata.name)
    .filter((name) => name !== 'kube-root-ca.crt');

describe('deleting a Deployment', () => {
  test('in the background takes its ReplicaSets and pods along', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 2));
    await cluster.delete('deployments.apps', 'web', { propagationPolicy: 'Background' });
    expect([cluster.list('deployments.apps'), cluster.list('replicasets.apps'), cluster.pods()]).toEqual([
      [],
      [],
      [],
    ]);
  });

  test('in the foreground waits for the pods', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 2));
    cluster.agents.stopMs = 1_000;
    await cluster.delete('deployments.apps', 'web', { propagationPolicy: 'Foreground' });
    expect(cluster.get('deployments.apps', 'web').metadata.deletionTimestamp).toBeDefined();
    expect(cluster.pods().map((each) => Boolean(each.metadata.deletionTimestamp))).toEqual([true, true]);
    await cluster.advance(1_100);
    expect([cluster.list('deployments.apps'), cluster.list('replicasets.apps'), cluster.pods()]).toEqual([
      [],
      [],
      [],
    ]);
  });

  test('can leave the pods, which another then adopts', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 2));
    const before = cluster.pods().map((each) => each.metadata.uid);
    await cluster.delete('deployments.apps', 'web', { propagationPolicy: 'Orphan' });
    const [set] = cluster.list('replicasets.apps');
    expect(set.metadata.ownerReferences ?? []).toEqual([]);
    expect(cluster.pods().map((each) => each.metadata.uid)).toEqual(before);
    await cluster.create('deployments.apps', deployment('web', 2));
    expect(cluster.list('replicasets.apps')).toHaveLength(1);
    expect(cluster.list('replicasets.apps')[0].metadata.ownerReferences![0].kind).toBe('Deployment');
    expect(cluster.pods().map((each) => each.metadata.uid)).toEqual(before);
  });
});

describe('owners', () => {
  test('gone before their dependents came take those along', async () => {
    cluster = await TestCluster.start();
    const ghost = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ghost', uid: 'none' } };
    await cluster.create('configmaps', configMap('a', [ownedBy(ghost)]));
    expect(maps()).toEqual([]);
  });

  test('of which one is left keep the dependent, without the reference to the other', async () => {
    cluster = await TestCluster.start();
    const [a, b] = [
      await cluster.create('configmaps', configMap('a')),
      await cluster.create('configmaps', configMap('b')),
    ] as never[];
    await cluster.create('configmaps', configMap('c', [ownedBy(a), ownedBy(b)]));
    await cluster.delete('configmaps', 'a');
    expect(maps()).toEqual(['b', 'c']);
    expect(cluster.get('configmaps', 'c').metadata.ownerReferences!.map((owner) => owner.name)).toEqual([
      'b',
    ]);
    await cluster.delete('configmaps', 'b');
    expect(maps()).toEqual([]);
  });

  test('are told by uid, not by name', async () => {
    cluster = await TestCluster.start();
    const a = (await cluster.create('configmaps', configMap('a'))) as never;
    await cluster.create('configmaps', configMap('c', [{ ...ownedBy(a), uid: 'another' }]));
    expect(maps()).toEqual(['a']);
  });

  test('outside namespaces own things inside', async () => {
    cluster = await TestCluster.start();
    await cluster.create('configmaps', configMap('a', [ownedBy(cluster.node('node-1'))]));
    await cluster.api.delete('nodes', '', 'node-3');
    await cluster.settle();
    expect(maps()).toEqual(['a']);
    await cluster.api.delete('nodes', '', 'node-1');
    await cluster.settle();
    expect(maps()).toEqual([]);
  });

  test('of unknown kinds are left to whoever knows them', async () => {
    cluster = await TestCluster.start();
    const owner = { apiVersion: 'example.com/v1', kind: 'Thing', metadata: { name: 'x', uid: 'y' } };
    await cluster.create('configmaps', configMap('a', [ownedBy(owner)]));
    expect(maps()).toEqual(['a']);
  });

  test('form chains, and finalizers hold what they hold', async () => {
    cluster = await TestCluster.start();
    let owner = (await cluster.create('configmaps', configMap('m0'))) as never;
    for (let i = 1; i < 5; i++) {
      const finalizers = i === 3 ? ['example.com/hold'] : [];
      owner = (await cluster.create(
        'configmaps',
        configMap(`m${i}`, [ownedBy(owner)], { finalizers }),
      )) as never;
    }
    await cluster.delete('configmaps', 'm0');
    expect(maps()).toEqual(['m3', 'm4']);
    await cluster.patch('configmaps', 'm3', { metadata: { finalizers: null } });
    expect(maps()).toEqual([]);
  });

  test('deleted in the foreground do not wait for dependents that do not block', async () => {
    cluster = await TestCluster.start();
    const a = (await cluster.create('configmaps', configMap('a'))) as never;
    const hold = { finalizers: ['example.com/hold'] };
    await cluster.create('configmaps', configMap('blocks', [ownedBy(a)], hold));
    await cluster.create('configmaps', configMap('lets', [ownedBy(a, false)], hold));
    await cluster.delete('configmaps', 'a', { propagationPolicy: 'Foreground' });
    expect(maps()).toEqual(['a', 'blocks', 'lets']);
    await cluster.patch('configmaps', 'blocks', { metadata: { finalizers: null } });
    expect(maps()).toEqual(['lets']);
  });
});

describe('a namespace', () => {
  const create = (name: string) =>
    cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });

  test('comes with its label, its ServiceAccount and its CA, which come back', async () => {
    cluster = await TestCluster.start();
    await create('team');
    expect(cluster.get<Namespace>('namespaces', 'team', '').metadata.labels).toEqual({
      'kubernetes.io/metadata.name': 'team',
    });
    expect(cluster.list('serviceaccounts', 'team').map((each) => each.metadata.name)).toEqual(['default']);
    expect(cluster.get('configmaps', 'kube-root-ca.crt', 'team')).toMatchObject({ data: { 'ca.crt': 'CA' } });
    await cluster.delete('serviceaccounts', 'default', {}, 'team');
    await cluster.delete('configmaps', 'kube-root-ca.crt', {}, 'team');
    expect(cluster.list('serviceaccounts', 'team')).toHaveLength(1);
    await cluster.patch('configmaps', 'kube-root-ca.crt', { data: { 'ca.crt': 'x' } }, 'team');
    expect(cluster.get('configmaps', 'kube-root-ca.crt', 'team')).toMatchObject({ data: { 'ca.crt': 'CA' } });
  });

  test('goes when its content is gone, and says what it waits for', async () => {
    cluster = await TestCluster.start();
    await create('team');
    const inTeam = <T extends { metadata: object }>(object: T) => ({
      ...object,
      metadata: { ...object.metadata, namespace: 'team' },
    });
    await cluster.create('deployments.apps', inTeam(deployment('web', 2)));
    await cluster.create('services', inTeam(service('web')));
    await cluster.create('pods', inTeam(pod('alone')));
    cluster.agents.stopMs = 1_000;
    await cluster.api.delete('namespaces', '', 'team');
    await cluster.settle();
    const team = cluster.get<Namespace>('namespaces', 'team', '');
    expect(team.status!.phase).toBe('Terminating');
    expect(cluster.condition(team, 'NamespaceContentRemaining')).toMatchObject({
      status: 'True',
      reason: 'SomeResourcesRemain',
      message: 'Some resources are remaining: pods. has 3 resource instances',
    });
    expect(cluster.list<Pod>('pods', 'team').every((each) => each.metadata.deletionTimestamp)).toBe(true);
    await expect(cluster.api.create('configmaps', inTeam(configMap('late')))).rejects.toThrow(
      'because it is being terminated',
    );
    await cluster.advance(1_100);
    expect(cluster.get('namespaces', 'team', '')).toBeUndefined();
    expect(cluster.log.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });

  test('that is empty goes at once', async () => {
    cluster = await TestCluster.start();
    await create('team');
    await cluster.api.delete('namespaces', '', 'team');
    await cluster.settle();
    expect(cluster.get('namespaces', 'team', '')).toBeUndefined();
  });
});
