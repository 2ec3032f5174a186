import { afterEach, expect, test } from 'vitest';
import type { DaemonSet, Pod } from '../src/loops/objects.ts';
import { isPodReady } from '../src/loops/pod-state.ts';
import { podTemplate, TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

function daemonSet(spec: Record<string, unknown> = {}) {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'agent', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'agent' } },
      template: podTemplate('agent'),
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      revisionHistoryLimit: 10,
      ...spec,
    },
  };
}

const newImage = (image: string) => {
  const [container] = podTemplate('agent').spec.containers;
  return { spec: { template: { spec: { containers: [{ ...container, image }] } } } };
};
const nodes = () =>
  cluster
    .pods()
    .map((each) => each.spec.nodeName)
    .sort();
const images = () =>
  cluster
    .pods()
    .map((each) => each.spec.containers[0].image)
    .sort();

test('runs one pod on each node, also on nodes that come later', async () => {
  cluster = await TestCluster.start();
  await cluster.create('daemonsets.apps', daemonSet());
  expect(nodes()).toEqual(['node-1', 'node-2', 'node-3']);
  expect(cluster.get<DaemonSet>('daemonsets.apps', 'agent').status).toMatchObject({
    observedGeneration: 1,
    currentNumberScheduled: 3,
    desiredNumberScheduled: 3,
    numberMisscheduled: 0,
    numberReady: 3,
    numberAvailable: 3,
    updatedNumberScheduled: 3,
  });
  await cluster.addNode('node-4', 4);
  await cluster.settle();
  expect(nodes()).toHaveLength(4);
  await cluster.api.delete('nodes', '', 'node-4');
  await cluster.settle();
  expect(nodes()).toEqual(['node-1', 'node-2', 'node-3']);
});

test('keeps to nodes that suit, follows their labels, and runs on cordoned ones', async () => {
  cluster = await TestCluster.start({
    node: (_, i) =>
      i === 3
        ? { spec: { taints: [{ key: 'gpu', effect: 'NoSchedule' }] } }
        : { labels: { disk: i === 1 ? 'ssd' : 'hdd' } },
  });
  await cluster.create(
    'daemonsets.apps',
    daemonSet({ template: podTemplate('agent', { nodeSelector: { disk: 'ssd' } }) }),
  );
  expect(nodes()).toEqual(['node-1']);
  await cluster.api.patch('nodes', '', 'node-2', {
    metadata: { labels: { disk: 'ssd' } },
    spec: { unschedulable: true },
  });
  await cluster.settle();
  expect(nodes()).toEqual(['node-1', 'node-2']);
  await cluster.api.patch('nodes', '', 'node-1', { metadata: { labels: { disk: 'none' } } });
  await cluster.settle();
  expect(nodes()).toEqual(['node-2']);
});

test('stays on a lost node and is not started elsewhere in its place', async () => {
  cluster = await TestCluster.start();
  await cluster.create('daemonsets.apps', daemonSet());
  cluster.agents.kill('node-2');
  await cluster.advance(30_000);
  expect(nodes()).toEqual(['node-1', 'node-2', 'node-3']);
  expect(cluster.pods().filter(isPodReady)).toHaveLength(2);
  expect(cluster.get<DaemonSet>('daemonsets.apps', 'agent').status).toMatchObject({ numberReady: 2 });
});

test('replaces one pod after the other', async () => {
  cluster = await TestCluster.start();
  await cluster.create('daemonsets.apps', daemonSet());
  cluster.agents.startMs = 500;
  cluster.agents.stopMs = 500;
  let least = 3;
  cluster.observe<Pod>('pods', () => {
    least = Math.min(
      least,
      cluster.pods().filter((each) => isPodReady(each) && !each.metadata.deletionTimestamp).length,
    );
  });
  await cluster.patch('daemonsets.apps', 'agent', newImage('agent:2'));
  await cluster.advance(10_000);
  expect(images()).toEqual(['agent:2', 'agent:2', 'agent:2']);
  expect(least).toBe(2);
  expect(cluster.list('controllerrevisions.apps')).toHaveLength(2);
});

test('with surge starts the new pod before the old one goes', async () => {
  cluster = await TestCluster.start();
  const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
  await cluster.create('daemonsets.apps', daemonSet({ updateStrategy }));
  cluster.agents.startMs = 500;
  cluster.agents.stopMs = 500;
  let least = 3;
  cluster.observe<Pod>('pods', () => {
    const serving = cluster.pods().filter((each) => isPodReady(each) && !each.metadata.deletionTimestamp);
    least = Math.min(least, new Set(serving.map((each) => each.spec.nodeName)).size);
  });
  await cluster.patch('daemonsets.apps', 'agent', newImage('agent:2'));
  await cluster.advance(10_000);
  expect(images()).toEqual(['agent:2', 'agent:2', 'agent:2']);
  expect(least).toBe(3);
});
