import { afterEach, describe, expect, test } from 'vitest';
import { planSlices } from '../src/loops/endpointslice.ts';
import type { EndpointSlice, Endpoints, Pod, SliceEndpoint } from '../src/loops/objects.ts';
import { deployment, pod, podTemplate, service, TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster?.stop());

const slices = (name = 'web') =>
  cluster
    .list<EndpointSlice>('endpointslices.discovery.k8s.io')
    .filter((slice) => slice.metadata.labels!['kubernetes.io/service-name'] === name);
const endpoints = (name = 'web') => slices(name).flatMap((slice) => slice.endpoints);

test('a Service gets a slice and an Endpoints object of its pods', async () => {
  cluster = await TestCluster.start();
  await cluster.create('services', {
    ...service('web'),
    metadata: { name: 'web', namespace: 'default', labels: { tier: 'front' } },
  });
  await cluster.create('deployments.apps', deployment('web', 2));
  const [slice] = slices();
  const [uid] = slice.metadata.ownerReferences!.map((owner) => owner.uid);
  expect(uid).toBe(cluster.get('services', 'web').metadata.uid);
  expect(slice.metadata.name).toMatch(/^web-[a-z0-9]{5}$/);
  expect(slice).toMatchObject({
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    metadata: {
      labels: {
        tier: 'front',
        'kubernetes.io/service-name': 'web',
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
    },
  });
  const pods = cluster.pods();
  expect(slice.endpoints).toHaveLength(2);
  for (const { metadata, spec, status } of pods) {
    expect(slice.endpoints).toContainEqual({
      addresses: [status!.podIP],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: spec.nodeName,
      zone: cluster.node(spec.nodeName!).metadata.labels!['topology.kubernetes.io/zone'],
      targetRef: { kind: 'Pod', namespace: 'default', name: metadata.name, uid: metadata.uid },
    });
  }
  const { subsets, metadata } = cluster.get<Endpoints>('endpoints', 'web');
  expect(metadata.labels).toEqual({
    tier: 'front',
    'endpoints.kubernetes.io/managed-by': 'endpoint-controller',
  });
  expect(subsets).toHaveLength(1);
  expect(subsets![0].ports).toEqual([{ name: 'http', port: 8080, protocol: 'TCP' }]);
  expect(subsets![0].addresses!.map(({ ip }) => ip).sort()).toEqual(
    pods.map((each) => each.status!.podIP).sort(),
  );

  await cluster.delete('services', 'web');
  expect(slices()).toEqual([]);
  expect(cluster.get('endpoints', 'web')).toBeUndefined();
});

describe('conditions', () => {
  test('tell ready, serving and terminating', async () => {
    cluster = await TestCluster.start();
    await cluster.create('services', service('web'));
    await cluster.create(
      'services',
      service('all', { selector: { app: 'web' }, publishNotReadyAddresses: true }),
    );
    cluster.agents.isReady = (each) => each.metadata.name !== 'b';
    for (const name of ['a', 'b']) await cluster.create('pods', pod(name, {}, { app: 'web' }));
    const states = (name: string) =>
      Object.fromEntries(
        endpoints(name).map((each) => [
          each.targetRef!.name,
          Object.values(each.conditions!).map(Number).join(''),
        ]),
      );
    expect(states('web')).toEqual({ a: '110', b: '000' });
    expect(states('all')).toEqual({ a: '110', b: '100' });
    const addresses = () =>
      cluster
        .get<Endpoints>('endpoints', 'web')
        .subsets!.map((subset) => [subset.addresses?.length ?? 0, subset.notReadyAddresses?.length ?? 0]);
    expect(addresses()).toEqual([[1, 1]]);
    cluster.agents.stopMs = 1_000;
    await cluster.delete('pods', 'a');
    expect(states('web')).toEqual({ a: '011', b: '000' });
    expect(states('all')).toEqual({ a: '111', b: '100' });
    expect(addresses()).toEqual([[0, 1]]);
    await cluster.advance(1_100);
    expect(states('web')).toEqual({ b: '000' });
  });

  test('leave out finished pods', async () => {
    cluster = await TestCluster.start();
    await cluster.create('services', service('web'));
    await cluster.create('pods', pod('web', { restartPolicy: 'Never' }));
    expect(endpoints()).toHaveLength(1);
    await cluster.agents.finish(cluster.get<Pod>('pods', 'web'), 'Succeeded');
    await cluster.settle();
    expect(endpoints()).toEqual([]);
  });
});

test('headless Services carry the label and hostnames', async () => {
  cluster = await TestCluster.start();
  await cluster.create('services', service('web', { clusterIP: 'None' }));
  await cluster.create('pods', pod('a', { hostname: 'first', subdomain: 'web' }, { app: 'web' }));
  await cluster.create('pods', pod('b', { hostname: 'second', subdomain: 'elsewhere' }, { app: 'web' }));
  expect(slices()[0].metadata.labels).toMatchObject({ 'service.kubernetes.io/headless': '' });
  expect(endpoints().map((each) => [each.targetRef!.name, each.hostname])).toEqual([
    ['a', 'first'],
    ['b', undefined],
  ]);
  expect(
    cluster
      .get<Endpoints>('endpoints', 'web')
      .subsets![0].addresses!.map(({ hostname }) => hostname)
      .sort(),
  ).toEqual(['first', undefined]);
});

test('a named target port may mean different numbers in different pods', async () => {
  cluster = await TestCluster.start();
  await cluster.create('services', service('web'));
  const container = (containerPort: number) => ({
    containers: [
      { ...podTemplate('web').spec.containers[0], ports: [{ name: 'http', containerPort, protocol: 'TCP' }] },
    ],
  });
  await cluster.create('pods', pod('a', container(8080), { app: 'web' }));
  await cluster.create('pods', pod('b', container(9090), { app: 'web' }));
  const found = slices().map((slice) => [
    slice.ports![0].port,
    slice.endpoints.map((each) => each.targetRef!.name),
  ]);
  expect(found.sort()).toEqual([
    [8080, ['a']],
    [9090, ['b']],
  ]);
});

test('slices hold a hundred endpoints, keep their names, and one empty slice is left at the end', async () => {
  cluster = await TestCluster.start();
  await cluster.create('services', service('web'));
  await cluster.create('deployments.apps', deployment('web', 250));
  await cluster.advance(1_000);
  const sizes = () =>
    slices()
      .map((slice) => slice.endpoints.length)
      .sort((a, b) => b - a);
  expect(sizes().reduce((sum, size) => sum + size, 0)).toBe(250);
  expect(sizes()).toHaveLength(3);
  expect(Math.max(...sizes())).toBe(100);
  const names = new Set(slices().map((slice) => slice.metadata.name));
  await cluster.patch('deployments.apps', 'web', { spec: { replicas: 20 } });
  expect(sizes().reduce((sum, size) => sum + size, 0)).toBe(20);
  expect(slices().every((slice) => names.has(slice.metadata.name))).toBe(true);
  await cluster.patch('deployments.apps', 'web', { spec: { replicas: 0 } });
  expect(slices().map((slice) => [names.has(slice.metadata.name), slice.endpoints])).toEqual([[true, []]]);
  const [{ metadata }] = slices();
  await cluster.patch('deployments.apps', 'web', { spec: { replicas: 1 } });
  expect(slices().map((slice) => slice.metadata.name)).toEqual([metadata.name]);
  expect(slices()[0].ports).toEqual([{ name: 'http', port: 8080, protocol: 'TCP' }]);
});

test('one changed pod changes one slice', async () => {
  cluster = await TestCluster.start();
  await cluster.create('services', service('web'));
  await cluster.create('deployments.apps', deployment('web', 150));
  await cluster.advance(1_000);
  const before = new Map(slices().map((slice) => [slice.metadata.name, slice.metadata.resourceVersion]));
  cluster.agents.isReady = () => false;
  const [changed] = cluster.pods();
  cluster.agents.isReady = (each) => each.metadata.name !== changed.metadata.name;
  await cluster.agents.refresh();
  await cluster.settle();
  const written = slices().filter(
    (slice) => before.get(slice.metadata.name) !== slice.metadata.resourceVersion,
  );
  expect(written).toHaveLength(1);
  expect(endpoints().filter((each) => !each.conditions!.ready)).toHaveLength(1);
});

test('dual-stack Services get a slice for each family', async () => {
  cluster = await TestCluster.start({
    serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'],
    settings: { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/48'] },
  });
  expect(cluster.node('node-2').spec!.podCIDRs).toEqual(['10.244.2.0/24', 'fd00:10:244:2::/64']);
  await cluster.create('services', service('web', { ipFamilyPolicy: 'PreferDualStack' }));
  await cluster.create('pods', pod('web'));
  const { status } = cluster.get<Pod>('pods', 'web');
  const podIPs = [{ ip: status!.podIP }, { ip: 'FD00:10:244:1:0:0:0:5' }];
  await cluster.api.patch('pods', 'default', 'web', { status: { podIPs } }, { subresource: 'status' });
  await cluster.settle();
  const found = Object.fromEntries(
    slices().map((slice) => [slice.addressType, slice.endpoints[0]?.addresses]),
  );
  expect(found).toEqual({ IPv4: [status!.podIP], IPv6: ['fd00:10:244:1::5'] });
});

test('traffic distribution gives hints', async () => {
  cluster = await TestCluster.start();
  await cluster.create('services', service('web', { trafficDistribution: 'PreferClose' }));
  await cluster.create('pods', pod('web', { nodeSelector: { 'kubernetes.io/hostname': 'node-2' } }));
  expect(endpoints()[0].hints).toEqual({ forZones: [{ name: 'zone-b' }] });
});

test('Endpoints written by hand are mirrored', async () => {
  cluster = await TestCluster.start();
  await cluster.create(
    'services',
    service('db', { selector: undefined, ports: [{ port: 5432, protocol: 'TCP', targetPort: 5432 }] }),
  );
  expect(slices('db')).toEqual([]);
  await cluster.create('endpoints', {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'db', namespace: 'default' },
    subsets: [
      { addresses: [{ ip: '192.0.2.7' }, { ip: '192.0.2.8' }], ports: [{ port: 5432, protocol: 'TCP' }] },
    ],
  });
  expect(
    slices('db').map((slice) => slice.metadata.labels!['endpointslice.kubernetes.io/managed-by']),
  ).toEqual(['endpointslicemirroring-controller.k8s.io']);
  expect(endpoints('db').map((each) => [each.addresses, each.conditions])).toEqual([
    [['192.0.2.7'], { ready: true }],
    [['192.0.2.8'], { ready: true }],
  ]);
  await cluster.patch('endpoints', 'db', {
    subsets: [{ addresses: [{ ip: '192.0.2.9' }], ports: [{ port: 5432, protocol: 'TCP' }] }],
  });
  expect(endpoints('db').map((each) => each.addresses)).toEqual([['192.0.2.9']]);
  await cluster.delete('endpoints', 'db');
  expect(slices('db')).toEqual([]);
});

describe('the plan', () => {
  const endpoint = (i: number): SliceEndpoint => ({
    addresses: [`10.0.${i >> 8}.${i & 255}`],
    targetRef: { uid: `u${i}` },
  });
  const slice = (name: string, indices: number[]) =>
    ({
      metadata: { name, uid: name, labels: {} },
      addressType: 'IPv4',
      ports: [],
      endpoints: indices.map(endpoint),
    }) as unknown as EndpointSlice;
  const group = (indices: number[]) => ({
    ports: [],
    endpoints: new Map(indices.map((i) => [`u${i} ${endpoint(i).addresses[0]}`, endpoint(i)])),
  });
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

  const cases: {
    name: string;
    existing: EndpointSlice[];
    wanted: number[];
    create: number[];
    update: string[];
    remove: string[];
  }[] = [
    {
      name: 'nothing changes',
      existing: [slice('a', [1, 2])],
      wanted: [1, 2],
      create: [],
      update: [],
      remove: [],
    },
    { name: 'one more', existing: [slice('a', [1])], wanted: [1, 2], create: [], update: ['a'], remove: [] },
    {
      name: 'into the slice that changes',
      existing: [slice('a', range(0, 50)), slice('b', range(50, 100))],
      wanted: [...range(0, 99), 200],
      create: [],
      update: ['b'],
      remove: [],
    },
    {
      name: 'past a full slice',
      existing: [slice('a', range(0, 100))],
      wanted: range(0, 101),
      create: [1],
      update: [],
      remove: [],
    },
    {
      name: 'an emptied slice goes',
      existing: [slice('a', [1]), slice('b', [2])],
      wanted: [1],
      create: [],
      update: [],
      remove: ['b'],
    },
    {
      name: 'all replaced, name kept',
      existing: [slice('a', [1])],
      wanted: [2],
      create: [],
      update: ['a'],
      remove: [],
    },
    { name: 'none left', existing: [slice('a', [1])], wanted: [], create: [], update: ['a'], remove: [] },
    {
      name: 'from nothing',
      existing: [],
      wanted: range(0, 250),
      create: [100, 100, 50],
      update: [],
      remove: [],
    },
  ];
  test.each(cases)('$name', ({ existing, wanted, create, update, remove }) => {
    const plan = planSlices(existing, wanted.length > 0 ? [group(wanted)] : [], {});
    expect(plan.create.map((each) => each.endpoints.length)).toEqual(create);
    expect(plan.update.map((each) => each.metadata.name)).toEqual(update);
    expect(plan.remove.map((each) => each.metadata.name)).toEqual(remove);
    const all = [
      ...existing
        .filter((each) => !update.includes(each.metadata.name) && !remove.includes(each.metadata.name))
        .flatMap((each) => each.endpoints),
      ...plan.update.flatMap((each) => each.endpoints),
      ...plan.create.flatMap((each) => each.endpoints),
    ];
    expect(all.map((each) => each.targetRef!.uid).sort()).toEqual(wanted.map((i) => `u${i}`).sort());
  });
});
