import { afterEach, describe, expect, test } from 'vitest';
import type { EndpointSlice, Node, Pod } from '../src/loops/objects.ts';
import { isPodReady } from '../src/loops/pod-state.ts';
import { evictionTimeMs } from '../src/loops/taint-eviction.ts';
import { deployment, pod, podTemplate, service, TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster?.stop());

const taints = (name: string) =>
  (cluster.node(name).spec!.taints ?? [])
    .map((taint) => `${taint.key.replace('node.kubernetes.io/', '')}:${taint.effect}`)
    .sort();
const ready = (name: string) => cluster.condition(cluster.node(name), 'Ready')!;
const readyEndpoints = () =>
  cluster
    .list<EndpointSlice>('endpointslices.discovery.k8s.io')
    .flatMap((slice) => slice.endpoints)
    .filter((endpoint) => endpoint.conditions!.ready)
    .map((endpoint) => endpoint.nodeName);

describe('a lost node', () => {
  test('goes NotReady within the grace, its endpoints vanish at once, its pods move', async () => {
    cluster = await TestCluster.start();
    await cluster.create('services', service('web'));
    await cluster.create('deployments.apps', deployment('web', 3));
    expect(readyEndpoints().sort()).toEqual(['node-1', 'node-2', 'node-3']);
    cluster.agents.kill('node-2');
    await cluster.advance(1_900);
    expect(ready('node-2').status).toBe('True');
    expect(readyEndpoints()).toContain('node-2');
    await cluster.advance(400);
    expect(ready('node-2')).toMatchObject({
      status: 'Unknown',
      reason: 'NodeStatusUnknown',
      message: 'Kubelet stopped posting node status.',
    });
    expect(taints('node-2')).toEqual(['unreachable:NoExecute', 'unreachable:NoSchedule']);
    expect(readyEndpoints().sort()).toEqual(['node-1', 'node-3']);
    expect(cluster.events('node-2')).toContain('NodeNotReady: Node node-2 status is now: NodeNotReady');
    // One second of toleration later the pod is replaced, and no trace of the old one is left.
    await cluster.advance(1_100);
    expect(
      cluster
        .pods()
        .map((each) => each.spec.nodeName)
        .sort(),
    ).not.toContain('node-2');
    expect(cluster.pods().filter(isPodReady)).toHaveLength(3);
    expect(readyEndpoints()).toHaveLength(3);
  });

  test('is used again when it returns', async () => {
    cluster = await TestCluster.start({ nodeTolerationSeconds: 60 });
    await cluster.create('services', service('web'));
    await cluster.create('deployments.apps', deployment('web', 3));
    cluster.agents.kill('node-2');
    await cluster.advance(3_000);
    expect(readyEndpoints()).toHaveLength(2);
    const stranded = cluster.pods().find((each) => each.spec.nodeName === 'node-2')!;
    expect(cluster.condition(stranded, 'Ready')).toMatchObject({ status: 'False', reason: 'NodeNotReady' });
    cluster.agents.alive.add('node-2');
    await cluster.advance(400);
    expect(ready('node-2')).toMatchObject({ status: 'True', reason: 'KubeletReady' });
    expect(taints('node-2')).toEqual([]);
    expect(readyEndpoints()).toHaveLength(3);
    await cluster.advance(120_000);
    expect(cluster.get<Pod>('pods', stranded.metadata.name).metadata.uid).toBe(stranded.metadata.uid);
  });

  test('gives up the pods of a StatefulSet too, as its processes are known to be dead', async () => {
    cluster = await TestCluster.start();
    await cluster.create('statefulsets.apps', {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'db', namespace: 'default' },
      spec: {
        replicas: 3,
        serviceName: 'db',
        selector: { matchLabels: { app: 'db' } },
        template: podTemplate('db'),
        podManagementPolicy: 'OrderedReady',
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      },
    });
    const lost = cluster.get<Pod>('pods', 'db-1');
    cluster.agents.kill(lost.spec.nodeName!);
    await cluster.advance(5_000);
    const moved = cluster.get<Pod>('pods', 'db-1');
    expect(moved.metadata.uid).not.toBe(lost.metadata.uid);
    expect(moved.spec.nodeName).not.toBe(lost.spec.nodeName);
    expect(isPodReady(moved)).toBe(true);
  });

  test('keeps its daemons, and pods that tolerate it', async () => {
    cluster = await TestCluster.start();
    const tolerations = [{ key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' }];
    await cluster.create(
      'pods',
      pod('stays', { tolerations, nodeSelector: { 'kubernetes.io/hostname': 'node-1' } }),
    );
    cluster.agents.kill('node-1');
    await cluster.advance(60_000);
    expect(cluster.get<Pod>('pods', 'stays').metadata.deletionTimestamp).toBeUndefined();
  });

  test('that is the only one keeps its pods: the fault may be here', async () => {
    cluster = await TestCluster.start({ nodes: 1 });
    await cluster.create('deployments.apps', deployment('web', 2));
    const before = cluster.pods().map((each) => each.metadata.uid);
    cluster.agents.kill('node-1');
    await cluster.advance(30_000);
    expect(taints('node-1')).toEqual(['unreachable:NoSchedule']);
    expect(cluster.pods().map((each) => each.metadata.uid)).toEqual(before);
    cluster.agents.alive.add('node-1');
    await cluster.advance(1_000);
    expect(cluster.pods().filter(isPodReady)).toHaveLength(2);
  });
});

test('after a restart of the controller, nodes have time to be heard from again', async () => {
  cluster = await TestCluster.start({ loops: false });
  cluster.agents.kill('node-1');
  cluster.agents.kill('node-2');
  await cluster.advance(60_000);
  cluster.startLoops();
  await cluster.advance(5_000);
  expect(['node-1', 'node-2', 'node-3'].map((name) => ready(name).status)).toEqual(['True', 'True', 'True']);
  cluster.agents.alive.add('node-1');
  await cluster.advance(5_500);
  expect(['node-1', 'node-2', 'node-3'].map((name) => ready(name).status)).toEqual([
    'True',
    'Unknown',
    'True',
  ]);
});

describe('taints', () => {
  test('follow conditions and cordon, and leave those of people alone', async () => {
    cluster = await TestCluster.start();
    const own = { key: 'team', value: 'a', effect: 'NoSchedule' };
    await cluster.api.patch('nodes', '', 'node-1', { spec: { taints: [own], unschedulable: true } });
    await cluster.settle();
    expect(taints('node-1')).toEqual(['team:NoSchedule', 'unschedulable:NoSchedule']);
    const conditions = [
      { type: 'Ready', status: 'False', reason: 'KubeletNotReady' },
      { type: 'DiskPressure', status: 'True' },
    ];
    await cluster.api.patch('nodes', '', 'node-1', { status: { conditions } }, { subresource: 'status' });
    await cluster.settle();
    expect(taints('node-1')).toEqual([
      'disk-pressure:NoSchedule',
      'not-ready:NoExecute',
      'not-ready:NoSchedule',
      'team:NoSchedule',
      'unschedulable:NoSchedule',
    ]);
    const healthy = [{ type: 'Ready', status: 'True' }];
    await cluster.api.patch('nodes', '', 'node-1', { spec: { unschedulable: null } });
    await cluster.api.patch(
      'nodes',
      '',
      'node-1',
      { status: { conditions: healthy } },
      { subresource: 'status' },
    );
    await cluster.settle();
    expect(cluster.node('node-1').spec!.taints).toEqual([own]);
  });

  test('of people evict after the time a pod tolerates', async () => {
    cluster = await TestCluster.start();
    const tolerations = [
      { key: 'maintenance', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 },
    ];
    for (const [name, spec] of [
      ['a', {}],
      ['b', { tolerations }],
      ['c', { tolerations: [{ operator: 'Exists' }] }],
    ] as const) {
      await cluster.create(
        'pods',
        pod(name, { ...spec, nodeSelector: { 'kubernetes.io/hostname': 'node-1' } }),
      );
    }
    await cluster.api.patch('nodes', '', 'node-1', {
      spec: { taints: [{ key: 'maintenance', effect: 'NoExecute' }] },
    });
    await cluster.settle();
    const left = () => cluster.pods().map((each) => each.metadata.name);
    expect(left()).toEqual(['b', 'c']);
    await cluster.advance(29_000);
    expect(left()).toEqual(['b', 'c']);
    await cluster.advance(2_000);
    expect(left()).toEqual(['c']);
    expect(cluster.events('b')).toContain('TaintManagerEviction: Marking for deletion Pod default/b');
  });

  test('removed in time evict nobody', async () => {
    cluster = await TestCluster.start();
    const tolerations = [
      { key: 'maintenance', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 },
    ];
    await cluster.create(
      'pods',
      pod('a', { tolerations, nodeSelector: { 'kubernetes.io/hostname': 'node-1' } }),
    );
    await cluster.api.patch('nodes', '', 'node-1', {
      spec: { taints: [{ key: 'maintenance', effect: 'NoExecute' }] },
    });
    await cluster.advance(20_000);
    await cluster.api.patch('nodes', '', 'node-1', { spec: { taints: null } });
    await cluster.advance(60_000);
    expect(cluster.pods()).toHaveLength(1);
  });

  const cases: { name: string; tolerations: object[]; atMs: number }[] = [
    { name: 'none', tolerations: [], atMs: 1_000 },
    { name: 'for ever', tolerations: [{ operator: 'Exists' }], atMs: Infinity },
    {
      name: 'for a time',
      tolerations: [{ key: 'a', operator: 'Exists', tolerationSeconds: 5 }],
      atMs: 6_000,
    },
    {
      name: 'the shorter of two',
      tolerations: [
        { key: 'a', operator: 'Exists', tolerationSeconds: 5 },
        { operator: 'Exists', tolerationSeconds: 2 },
      ],
      atMs: 3_000,
    },
    {
      name: 'another effect',
      tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoSchedule' }],
      atMs: 1_000,
    },
    { name: 'another value', tolerations: [{ key: 'a', operator: 'Equal', value: 'y' }], atMs: 1_000 },
  ];
  test.each(cases)('tolerated: $name', ({ tolerations, atMs }) => {
    const node = { spec: { taints: [{ key: 'a', value: 'x', effect: 'NoExecute' }] } } as Node;
    expect(evictionTimeMs({ spec: { tolerations } } as unknown as Pod, node, new Map([['a=x', 1_000]]))).toBe(
      atMs,
    );
  });
});

describe('a node that is removed', () => {
  test('takes its pods along, daemons too, and its pod CIDR is free again', async () => {
    cluster = await TestCluster.start();
    await cluster.create('deployments.apps', deployment('web', 3));
    expect(cluster.node('node-2').spec).toMatchObject({
      podCIDR: '10.244.2.0/24',
      podCIDRs: ['10.244.2.0/24'],
    });
    cluster.agents.kill('node-2');
    await cluster.api.delete('nodes', '', 'node-2');
    await cluster.settle();
    expect(cluster.pods().map((each) => each.spec.nodeName)).not.toContain('node-2');
    expect(cluster.pods().filter(isPodReady)).toHaveLength(3);
    await cluster.addNode('worker', 4);
    await cluster.addNode('other', 5);
    await cluster.settle();
    expect(['worker', 'other'].map((name) => cluster.node(name).spec!.podCIDR)).toEqual([
      '10.244.0.0/24',
      '10.244.2.0/24',
    ]);
  });
});

test('pod CIDRs run out with an event, and are given when one is free', async () => {
  cluster = await TestCluster.start({ nodes: 2, settings: { podCidrs: ['10.0.0.0/23'] } });
  await cluster.addNode('node-3', 3);
  await cluster.settle();
  expect(cluster.node('node-3').spec!.podCIDR).toBeUndefined();
  expect(cluster.events('node-3')).toContain('CIDRNotAvailable: Node node-3 status is now: CIDRNotAvailable');
  await cluster.api.delete('nodes', '', 'node-1');
  await cluster.settle();
  expect(cluster.node('node-3').spec!.podCIDR).toBe('10.0.1.0/24');
});
