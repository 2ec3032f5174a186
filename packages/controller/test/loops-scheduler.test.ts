import { afterEach, describe, expect, test } from 'vitest';
import type { Node, Pod } from '../src/loops/objects.ts';
import { deployment, pod, podTemplate, service, TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const nodeOf = (name: string) => cluster.get<Pod>('pods', name).spec.nodeName;
const terms = (key: string, operator: string, values?: string[]) => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key, operator, ...(values ? { values } : {}) }] }],
    },
  },
});
const near = (kind: 'podAffinity' | 'podAntiAffinity', app: string, topologyKey: string) => ({
  [kind]: {
    requiredDuringSchedulingIgnoredDuringExecution: [
      { labelSelector: { matchLabels: { app } }, topologyKey },
    ],
  },
});
const ZONE = 'topology.kubernetes.io/zone';
const HOST = 'kubernetes.io/hostname';

test('binds a pod and says so', async () => {
  cluster = await TestCluster.start();
  await cluster.create('pods', pod('a'));
  const a = cluster.get<Pod>('pods', 'a');
  expect(a.spec.nodeName).toMatch(/^node-[123]$/);
  expect(cluster.condition(a, 'PodScheduled')).toMatchObject({ status: 'True' });
  expect(cluster.events('a')).toEqual([`Scheduled: Successfully assigned default/a to ${a.spec.nodeName}`]);
});

const MESSAGES: { name: string; spec: object; message: string }[] = [
  {
    name: 'nodeSelector',
    spec: { nodeSelector: { disk: 'ssd' } },
    message:
      "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
  },
  {
    name: 'resources',
    spec: { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '5', memory: '1Gi' } } }] },
    message:
      '0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.',
  },
  {
    name: 'several resources',
    spec: {
      preemptionPolicy: 'Never',
      containers: [
        {
          name: 'c',
          image: 'i',
          resources: { requests: { cpu: '5', 'nvidia.com/gpu': '1' }, limits: { 'nvidia.com/gpu': '1' } },
        },
      ],
    },
    message:
      '0/3 nodes are available: 3 Insufficient cpu, 3 Insufficient nvidia.com/gpu. preemption: not eligible due to preemptionPolicy=Never.',
  },
  {
    name: 'pod affinity',
    spec: { affinity: near('podAffinity', 'nobody', ZONE) },
    message:
      "0/3 nodes are available: 3 node(s) didn't match pod affinity rules. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
  },
  {
    name: 'missing topology label',
    spec: {
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule', labelSelector: {} },
      ],
    },
    message:
      "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints (missing required label). preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
  },
];

test.each(MESSAGES)('explains why no node will do: $name', async ({ spec, message }) => {
  cluster = await TestCluster.start();
  await cluster.create('pods', pod('a', spec));
  expect(nodeOf('a')).toBeUndefined();
  expect(cluster.condition(cluster.get('pods', 'a'), 'PodScheduled')).toMatchObject({
    status: 'False',
    reason: 'Unschedulable',
    message,
  });
  expect(cluster.events('a')).toEqual([`FailedScheduling: ${message}`]);
});

test('counts a different reason for each node', async () => {
  cluster = await TestCluster.start({
    node: (_, i) => ({
      spec:
        i === 1
          ? { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] }
          : i === 2
            ? { unschedulable: true }
            : {},
      allocatable: { cpu: '1', memory: '1Gi', pods: '0' },
    }),
  });
  await cluster.create('pods', pod('a'));
  expect(cluster.events('a')).toEqual([
    'FailedScheduling: 0/3 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were unschedulable. preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.',
  ]);
});

test('waits for a node, and for one that suits', async () => {
  cluster = await TestCluster.start({ nodes: 0 });
  await cluster.create('pods', pod('a', { nodeSelector: { disk: 'ssd' } }));
  expect(cluster.events('a')).toEqual(['FailedScheduling: no nodes available to schedule pods']);
  await cluster.addNode('node-1', 1);
  await cluster.settle();
  expect(nodeOf('a')).toBeUndefined();
  await cluster.api.patch('nodes', '', 'node-1', { metadata: { labels: { disk: 'ssd' } } });
  await cluster.settle();
  expect(nodeOf('a')).toBe('node-1');
});

const PLACES: { name: string; spec: object; on: RegExp }[] = [
  { name: 'In', spec: { affinity: terms(ZONE, 'In', ['zone-b']) }, on: /node-2/ },
  { name: 'NotIn', spec: { affinity: terms(ZONE, 'NotIn', ['zone-a', 'zone-c']) }, on: /node-2/ },
  { name: 'Exists', spec: { affinity: terms('disk', 'Exists') }, on: /node-3/ },
  { name: 'Gt', spec: { affinity: terms('cores', 'Gt', ['2']) }, on: /node-3/ },
  { name: 'Lt', spec: { affinity: terms('cores', 'Lt', ['2']) }, on: /node-1/ },
  { name: 'nodeSelector', spec: { nodeSelector: { disk: 'ssd' } }, on: /node-3/ },
  {
    name: 'matchFields',
    spec: {
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [
              { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['node-2'] }] },
            ],
          },
        },
      },
    },
    on: /node-2/,
  },
  {
    name: 'preferred',
    spec: {
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            {
              weight: 100,
              preference: { matchExpressions: [{ key: ZONE, operator: 'In', values: ['zone-c'] }] },
            },
          ],
        },
      },
    },
    on: /node-3/,
  },
];

test.each(PLACES)('chooses by node affinity: $name', async ({ spec, on }) => {
  cluster = await TestCluster.start({
    node: (_, i) => ({ labels: { cores: String(i), ...(i === 3 ? { disk: 'ssd' } : {}) } }),
  });
  await cluster.create('pods', pod('a', spec));
  expect(nodeOf('a')).toMatch(on);
});

test('respects and prefers by taints', async () => {
  const taints = (i: number) =>
    [
      [{ key: 'a', value: 'x', effect: 'NoSchedule' }],
      [{ key: 'b', effect: 'PreferNoSchedule' }],
      [{ key: 'c', effect: 'NoExecute' }],
    ][i - 1];
  cluster = await TestCluster.start({ node: (_, i) => ({ spec: { taints: taints(i) } }) });
  await cluster.create('pods', pod('plain'));
  expect(nodeOf('plain')).toBe('node-2');
  const tolerations = [{ key: 'a', operator: 'Equal', value: 'x', effect: 'NoSchedule' }];
  await cluster.create('pods', pod('tolerant', { tolerations }));
  expect(nodeOf('tolerant')).toBe('node-1');
  await cluster.create(
    'pods',
    pod('daemon', { tolerations: [{ operator: 'Exists' }], nodeSelector: { [HOST]: 'node-3' } }),
  );
  expect(nodeOf('daemon')).toBe('node-3');
});

describe('spreading', () => {
  test('puts the replicas of a Deployment on different nodes', async () => {
    cluster = await TestCluster.start();
    await cluster.create('services', service('web'));
    await cluster.create('deployments.apps', deployment('web', 6));
    const perNode = new Map<string, number>();
    for (const { spec } of cluster.pods())
      perNode.set(spec.nodeName!, (perNode.get(spec.nodeName!) ?? 0) + 1);
    expect([...perNode.values()]).toEqual([2, 2, 2]);
  });

  test('over zones keeps within maxSkew', async () => {
    cluster = await TestCluster.start({ nodes: 4 });
    const topologySpreadConstraints = [
      {
        maxSkew: 1,
        topologyKey: ZONE,
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { app: 'web' } },
      },
    ];
    const template = podTemplate('web', { topologySpreadConstraints });
    await cluster.create('deployments.apps', deployment('web', 6, { template }));
    const zones = cluster.pods().map((each) => cluster.node(each.spec.nodeName!).metadata.labels![ZONE]);
    expect(zones.sort()).toEqual(['zone-a', 'zone-a', 'zone-b', 'zone-b', 'zone-c', 'zone-c']);
  });

  test('with minDomains waits for a second domain', async () => {
    cluster = await TestCluster.start({ nodes: 1 });
    const topologySpreadConstraints = [
      {
        maxSkew: 1,
        minDomains: 2,
        topologyKey: HOST,
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { app: 'web' } },
        matchLabelKeys: ['pod-template-hash'],
      },
    ];
    const template = podTemplate('web', { topologySpreadConstraints });
    await cluster.create('deployments.apps', deployment('web', 2, { template }));
    expect(cluster.pods().filter((each) => each.spec.nodeName)).toHaveLength(1);
    await cluster.addNode('node-2', 2);
    await cluster.settle();
    expect(
      cluster
        .pods()
        .map((each) => each.spec.nodeName)
        .sort(),
    ).toEqual(['node-1', 'node-2']);
  });
});

describe('affinity between pods', () => {
  test('brings pods together and keeps them apart', async () => {
    cluster = await TestCluster.start();
    await cluster.create('pods', pod('db', { nodeSelector: { [HOST]: 'node-2' } }));
    await cluster.create('pods', pod('client', { affinity: near('podAffinity', 'db', HOST) }));
    expect(nodeOf('client')).toBe('node-2');
    await cluster.create('pods', pod('rival', { affinity: near('podAntiAffinity', 'db', ZONE) }));
    expect(nodeOf('rival')).not.toBe('node-2');
    // The rule of a pod that is already there holds against newcomers too.
    await cluster.create('pods', pod('db-2', { nodeSelector: { [HOST]: nodeOf('rival') } }, { app: 'db' }));
    expect(cluster.events('db-2')[0]).toContain("1 node(s) didn't satisfy existing pods anti-affinity rules");
  });

  test('lets the first of a group that wants to be together start', async () => {
    cluster = await TestCluster.start();
    const template = podTemplate('web', { affinity: near('podAffinity', 'web', HOST) });
    await cluster.create('deployments.apps', deployment('web', 3, { template }));
    expect(new Set(cluster.pods().map((each) => each.spec.nodeName)).size).toBe(1);
  });

  test('one replica a node, and the next when a node comes', async () => {
    cluster = await TestCluster.start();
    const template = podTemplate('web', { affinity: near('podAntiAffinity', 'web', HOST) });
    await cluster.create('deployments.apps', deployment('web', 4, { template }));
    expect(cluster.pods().filter((each) => !each.spec.nodeName)).toHaveLength(1);
    await cluster.addNode('node-4', 4);
    await cluster.settle();
    expect(new Set(cluster.pods().map((each) => each.spec.nodeName)).size).toBe(4);
  });
});

test('gives room back when pods go', async () => {
  cluster = await TestCluster.start({
    nodes: 1,
    node: () => ({ allocatable: { cpu: '1', memory: '1Gi', pods: '110' } }),
  });
  const half = { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '600m' } } }] };
  await cluster.create('pods', pod('a', half));
  await cluster.create('pods', pod('b', half));
  expect([nodeOf('a'), nodeOf('b')]).toEqual(['node-1', undefined]);
  await cluster.delete('pods', 'a');
  expect(nodeOf('b')).toBe('node-1');
});

test('keeps host ports apart', async () => {
  cluster = await TestCluster.start({ nodes: 2 });
  const spec = {
    containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, hostPort: 8080, protocol: 'TCP' }] }],
  };
  for (const name of ['a', 'b', 'c']) await cluster.create('pods', pod(name, spec));
  expect([nodeOf('a'), nodeOf('b')].sort()).toEqual(['node-1', 'node-2']);
  expect(cluster.events('c')[0]).toContain("2 node(s) didn't have free ports for the requested pod ports");
});

test('leaves alone gated pods, pods of other schedulers and pods that name their node', async () => {
  cluster = await TestCluster.start();
  await cluster.create('pods', pod('gated', { schedulingGates: [{ name: 'wait' }] }));
  expect(cluster.condition(cluster.get('pods', 'gated'), 'PodScheduled')).toMatchObject({
    reason: 'SchedulingGated',
  });
  await cluster.patch('pods', 'gated', { spec: { schedulingGates: null } });
  expect(nodeOf('gated')).toBeDefined();
  await cluster.create('pods', pod('foreign', { schedulerName: 'mine' }));
  expect(nodeOf('foreign')).toBeUndefined();
  await cluster.create('pods', pod('fixed', { nodeName: 'node-2' }));
  expect(cluster.get<Pod>('pods', 'fixed').status!.phase).toBe('Running');
});

test('places the more important pod first', async () => {
  cluster = await TestCluster.start({ nodes: 0 });
  const spec = { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '3' } } }] };
  await cluster.create('priorityclasses.scheduling.k8s.io', {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: 'high' },
    value: 100,
  });
  await cluster.create('pods', pod('low', spec));
  await cluster.create('pods', pod('high', { ...spec, priorityClassName: 'high' }));
  await cluster.addNode('node-1', 1);
  await cluster.settle();
  expect([nodeOf('low'), nodeOf('high')]).toEqual([undefined, 'node-1']);
});

test('spreads hundreds of pods evenly over nine nodes', async () => {
  cluster = await TestCluster.start({ nodes: 9 });
  await cluster.create('deployments.apps', deployment('web', 450));
  await cluster.advance(1_000);
  const counts = cluster.api
    .list<Node>('nodes')
    .map(({ metadata }) => cluster.pods().filter((each) => each.spec.nodeName === metadata.name).length);
  expect(counts).toEqual(Array(9).fill(50));
});
