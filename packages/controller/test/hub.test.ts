import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeObject } from '@podwire/kube/object';
import type { PeerIdentity } from '@podwire/sync/source';
import type { NodeDescription, PodStatusLike } from '@podwire/sync/types';
import { beforeEach, describe, expect, test } from 'vitest';
import { interestOf } from '../src/hub/interests.ts';
import { NodeRegistry } from '../src/hub/node-registry.ts';
import { mergePodStatus } from '../src/hub/pod-status.ts';
import { ReportApplier } from '../src/hub/reports.ts';
import { storeSource } from '../src/hub/store-source.ts';
import { labNodesIn, readLab } from '../src/lab.ts';
import { configMap, pod, startApi, type TestApi } from './hub-api.ts';

type NodeLike = KubeObject & {
  spec?: { taints?: unknown };
  status: {
    conditions: { type: string; status: string; reason: string; message: string }[];
    addresses: unknown;
  };
};
type PodLike = KubeObject & { status: PodStatusLike };

const NODE: NodeDescription = {
  labels: { 'kubernetes.io/arch': 'amd64' },
  annotations: { 'podwire.dev/vtep-mac': '66:00:00:00:00:01' },
  status: {
    addresses: [{ type: 'InternalIP', address: '127.0.0.11' }],
    capacity: { cpu: '2', memory: '4Gi', pods: '110' },
    allocatable: { cpu: '2', memory: '4Gi', pods: '110' },
    nodeInfo: { kubeletVersion: 'v1.32.0', operatingSystem: 'linux' },
  },
};

const LAB_NODE = {
  name: 'node-1',
  address: '127.0.0.11',
  zone: 'zone-a',
  labels: { disk: 'ssd' },
  taints: [],
};
const agent = (nodeName: string): PeerIdentity => ({ role: 'agent', nodeName, sessionId: 's' });

let { api, store, clock } = {} as TestApi;
let nodes: NodeRegistry;
let reports: ReportApplier;

beforeEach(async () => {
  ({ api, store, clock } = await startApi());
  const nowMs = () => clock.nowMs;
  nodes = new NodeRegistry({ api, labNodes: () => [LAB_NODE], nowMs });
  reports = new ReportApplier({ api, nodes, nowMs });
});

const node = () => api.get<NodeLike>('nodes', '', 'node-1')!;
const condition = (type: string) => node().status.conditions.find((each) => each.type === type);
const getPod = (name: string) => api.get<PodLike>('pods', 'default', name);

describe('nodes', () => {
  test('an agent registers its Node, with labels from the lab', async () => {
    await nodes.heartbeat('node-1', true);
    await nodes.describe('node-1', NODE);
    expect(node()).toMatchObject({
      metadata: {
        labels: {
          'kubernetes.io/hostname': 'node-1',
          'kubernetes.io/os': 'linux',
          'kubernetes.io/arch': 'amd64',
          'topology.kubernetes.io/zone': 'zone-a',
          disk: 'ssd',
        },
        annotations: { 'podwire.dev/vtep-mac': '66:00:00:00:00:01' },
      },
      status: { addresses: [{ type: 'InternalIP', address: '127.0.0.11' }] },
    });
    expect(condition('Ready')).toMatchObject({ status: 'True', reason: 'KubeletReady' });
    expect(condition('MemoryPressure')).toMatchObject({ status: 'False' });
  });

  test('registering again writes nothing, and keeps what people wrote', async () => {
    await nodes.describe('node-1', NODE);
    await api.patch('nodes', '', 'node-1', { metadata: { labels: { mine: 'yes' } } });
    const before = store.revision;
    await nodes.describe('node-1', NODE);
    expect(store.revision).toBe(before);
    await nodes.describe('node-1', { ...NODE, labels: { 'kubernetes.io/arch': 'arm64' } });
    expect(node().metadata.labels).toMatchObject({ mine: 'yes', 'kubernetes.io/arch': 'arm64', disk: 'ssd' });
  });

  test('a node that the lab file gained meanwhile has its zone', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'hub-')), 'lab.json');
    const write = (names: string[]) => {
      const nodes = names.map((name) => ({ ...LAB_NODE, name, zone: `zone-of-${name}` }));
      writeFileSync(path, JSON.stringify({ controller: { address: '127.0.0.10' }, nodes }));
    };
    write(['node-1']);
    const labNodes = labNodesIn(path, readLab(path));
    const registry = new NodeRegistry({ api, labNodes, nowMs: () => clock.nowMs });
    write(['node-1', 'added']);
    await registry.describe('added', NODE);
    writeFileSync(path, '{"half":');
    await registry.describe('node-1', NODE);
    const zoneOf = (name: string) =>
      api.get<NodeLike>('nodes', '', name)?.metadata.labels?.['topology.kubernetes.io/zone'];
    expect([zoneOf('node-1'), zoneOf('added')]).toEqual(['zone-of-node-1', 'zone-of-added']);
  });

  test('a node stays Ready when its agent finds a restarted controller', async () => {
    await nodes.heartbeat('node-1', true);
    await nodes.describe('node-1', NODE);
    const before = store.revision;
    const restarted = new NodeRegistry({ api, labNodes: () => [LAB_NODE], nowMs: () => clock.nowMs });
    await restarted.describe('node-1', NODE);
    await restarted.heartbeat('node-1', true);
    expect(condition('Ready')).toMatchObject({ status: 'True' });
    expect(store.revision).toBe(before);
  });

  test('taints are given once', async () => {
    const taints = [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }];
    await nodes.describe('node-1', { ...NODE, taints });
    expect(node().spec?.taints).toMatchObject(taints);
    await api.patch('nodes', '', 'node-1', { spec: { taints: null } });
    await nodes.describe('node-1', { ...NODE, taints });
    expect(node().spec?.taints).toBeUndefined();
  });

  test('heartbeats stay in memory until readiness changes', async () => {
    await nodes.describe('node-1', NODE);
    expect(condition('Ready')).toMatchObject({ status: 'False', reason: 'KubeletNotReady' });
    await nodes.heartbeat('node-1', true);
    expect(condition('Ready')).toMatchObject({ status: 'True' });
    const before = store.revision;
    for (let i = 0; i < 20; i++) {
      clock.nowMs += 500;
      await nodes.heartbeat('node-1', true);
    }
    expect(store.revision).toBe(before);
    expect(nodes.lastHeartbeatMs('node-1')).toBe(clock.nowMs);
    expect(nodes.lastHeartbeatMs('node-2')).toBe(-Infinity);
    await nodes.heartbeat('node-1', false, 'NetworkNotReady', 'no pod CIDR yet');
    expect(condition('Ready')).toMatchObject({
      status: 'False',
      reason: 'NetworkNotReady',
      message: 'no pod CIDR yet',
    });
  });

  test('a node that another writer marked Unknown is Ready again with its next heartbeat', async () => {
    await nodes.describe('node-1', NODE);
    await nodes.heartbeat('node-1', true);
    const conditions = node().status.conditions.map((each) => ({
      ...each,
      status: 'Unknown',
      reason: 'NodeStatusUnknown',
    }));
    await api.patch('nodes', '', 'node-1', { status: { conditions } }, { subresource: 'status' });
    await nodes.heartbeat('node-1', true);
    expect(condition('Ready')).toMatchObject({ status: 'True', reason: 'KubeletReady' });
    expect(condition('DiskPressure')).toMatchObject({ status: 'False', reason: 'KubeletHasNoDiskPressure' });
  });

  test('a refused update shows in the conditions until it is accepted', async () => {
    await nodes.describe('node-1', NODE);
    await nodes.syncRefused('node-1', '');
    expect(condition('SyncRefused')).toBeUndefined();
    await nodes.syncRefused('node-1', 'cannot use service web');
    expect(condition('SyncRefused')).toMatchObject({ status: 'True', message: 'cannot use service web' });
    await nodes.syncRefused('node-1', '');
    expect(condition('SyncRefused')).toMatchObject({ status: 'False' });
  });

  test('leases of the nodes that live are renewed, in one commit', async () => {
    await nodes.describe('node-1', NODE);
    await nodes.heartbeat('node-1', true);
    const lease = () =>
      api.get<KubeObject & { spec: { renewTime: string } }>(
        'leases.coordination.k8s.io',
        'kube-node-lease',
        'node-1',
      )!;
    expect(lease()).toMatchObject({
      metadata: { ownerReferences: [{ kind: 'Node', name: 'node-1', uid: node().metadata.uid }] },
      spec: { holderIdentity: 'node-1', renewTime: '2030-01-01T00:00:00.000000Z' },
    });
    clock.nowMs += 10_000;
    await nodes.renewLeases(10_000);
    expect(lease().spec.renewTime).toBe('2030-01-01T00:00:10.000000Z');
    clock.nowMs += 10_000;
    await nodes.renewLeases(10_000);
    expect(lease().spec.renewTime).toBe('2030-01-01T00:00:10.000000Z');
  });
});

describe('pod status', () => {
  test('conditions of others stay; an unchanged condition keeps its transition time; an ended pod stays ended', () => {
    const stored: PodStatusLike = {
      phase: 'Running',
      qosClass: 'BestEffort',
      conditions: [
        { type: 'Ready', status: 'True', lastTransitionTime: '2029-01-01T00:00:00Z' },
        { type: 'PodScheduled', status: 'True', lastTransitionTime: '2029-01-01T00:00:00Z' },
        { type: 'example.com/gate', status: 'True' },
      ],
    };
    const reported: PodStatusLike = {
      phase: 'Failed',
      podIP: '10.244.1.5',
      conditions: [
        { type: 'Ready', status: 'True', lastTransitionTime: '2030-01-01T00:00:00Z' },
        { type: 'Initialized', status: 'True' },
      ],
    };
    const merged = mergePodStatus(stored, reported, Date.UTC(2030, 0, 2));
    expect(merged).toEqual({
      phase: 'Failed',
      podIP: '10.244.1.5',
      qosClass: 'BestEffort',
      conditions: [
        { type: 'Ready', status: 'True', lastTransitionTime: '2029-01-01T00:00:00Z' },
        { type: 'Initialized', status: 'True', lastTransitionTime: '2030-01-02T00:00:00Z' },
        { type: 'PodScheduled', status: 'True', lastTransitionTime: '2029-01-01T00:00:00Z' },
        { type: 'example.com/gate', status: 'True' },
      ],
    });
    expect(mergePodStatus(merged, { phase: 'Running' }, 0).phase).toBe('Failed');
  });

  test('is applied once, for the pod of that uid on that node only', async () => {
    const { metadata } = await api.create('pods', pod('a', 'node-1'));
    const report = (fields: object) => ({
      kind: 'podStatus' as const,
      namespace: 'default',
      name: 'a',
      uid: metadata.uid!,
      status: { phase: 'Running', podIP: '10.244.1.5', podIPs: [{ ip: '10.244.1.5' }] },
      ...fields,
    });
    expect(await reports.apply(agent('node-1'), [report({})])).toEqual([undefined]);
    expect(getPod('a')?.status).toMatchObject({
      phase: 'Running',
      podIP: '10.244.1.5',
      qosClass: 'BestEffort',
    });
    const before = store.revision;
    expect(await reports.apply(agent('node-1'), [report({})])).toEqual([undefined]);
    expect(store.revision).toBe(before);
    expect(await reports.apply(agent('node-2'), [report({})])).toEqual([
      'pod default/a is on node-1, not on node-2',
    ]);
    expect(await reports.apply(agent('node-1'), [report({ uid: 'other' }), report({ name: 'b' })])).toEqual([
      'pod default/a with uid other is no more',
      `pod default/b with uid ${metadata.uid} is no more`,
    ]);
    expect(await reports.apply({ role: 'dns', nodeName: 'node-1', sessionId: 's' }, [report({})])).toEqual([
      'a dns may not report podStatus',
    ]);
  });

  test('a deletion confirmed by the node removes the pod; its last status is seen first', async () => {
    const { metadata } = await api.create('pods', pod('a', 'node-1'));
    const uid = metadata.uid!;
    const gone = { kind: 'podDeleted' as const, namespace: 'default', name: 'a', uid };
    expect(await reports.apply(agent('node-1'), [gone])).toEqual(['pod default/a is not being deleted']);
    await api.delete('pods', 'default', 'a');
    expect(getPod('a')?.metadata.deletionTimestamp).toBeDefined();
    const phases: unknown[] = [];
    const stop = api.watch<PodLike>('pods', ({ type, object }) => phases.push([type, object.status.phase]));
    phases.length = 0;
    const last = {
      kind: 'podStatus' as const,
      namespace: 'default',
      name: 'a',
      uid,
      status: { phase: 'Succeeded' },
    };
    expect(await reports.apply(agent('node-1'), [last, gone])).toEqual([undefined, undefined]);
    stop();
    expect(getPod('a')).toBeUndefined();
    expect(phases).toEqual([
      ['MODIFIED', 'Succeeded'],
      ['DELETED', 'Succeeded'],
    ]);
  });

  test('events are made, then updated under the same name', async () => {
    const event = (count: number) => ({
      kind: 'event' as const,
      event: {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: 'a.1', namespace: 'default' },
        involvedObject: { kind: 'Pod', namespace: 'default', name: 'a' },
        reason: 'BackOff',
        message: 'Back-off restarting failed container',
        type: 'Warning',
        count,
        firstTimestamp: '2030-01-01T00:00:00Z',
        lastTimestamp: '2030-01-01T00:00:00Z',
        source: { component: 'kubelet', host: 'node-1' },
      },
    });
    expect(await reports.apply(agent('node-1'), [event(1)])).toEqual([undefined]);
    expect(await reports.apply(agent('node-1'), [event(2)])).toEqual([undefined]);
    expect(api.list<KubeObject>('events')).toMatchObject([{ count: 2, reason: 'BackOff' }]);
    const [refusal] = await reports.apply(agent('node-1'), [
      { kind: 'event', event: { ...event(1).event, metadata: { name: 'b', namespace: 'nowhere' } } },
    ]);
    expect(refusal).toContain('nowhere');
  });
});

describe('what peers see', () => {
  const keys = (objects: readonly KubeObject[]) =>
    objects.map((o) => `${o.metadata.namespace}/${o.metadata.name}`);

  test('an agent: own pods whole, others trimmed, config of the namespaces it has pods in', async () => {
    await api.create('configmaps', configMap('settings', 'default', 'a'));
    await api.create('configmaps', configMap('settings', 'kube-system', 'b'));
    await api.create('pods', pod('mine', 'node-1'));
    await api.create('pods', pod('other', 'node-2', 'kube-system'));
    await api.create('pods', pod('pending', undefined));
    const source = storeSource(store);
    source.revision();
    const interest = interestOf(agent('node-1'), source);
    const seen = (resource: string) =>
      source.list(resource).flatMap((object) => interest.view(resource, object)?.apply(object) ?? []);
    expect(keys(seen('configmaps'))).toEqual(['default/settings']);
    const pods = seen('pods');
    expect(keys(pods)).toEqual(['default/mine', 'kube-system/other']);
    expect(pods[0]).toMatchObject({
      spec: { containers: [{ image: 'pause' }], serviceAccountName: 'default' },
    });
    expect(pods[1]).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: 'other',
        namespace: 'kube-system',
        uid: pods[1]!.metadata.uid,
        resourceVersion: pods[1]!.metadata.resourceVersion,
        labels: { app: 'other' },
      },
      spec: {
        nodeName: 'node-2',
        containers: [{ name: 'main', ports: [{ name: 'http', containerPort: 80, protocol: 'TCP' }] }],
      },
      status: { phase: 'Pending' },
    });
    expect(keys(seen('nodes'))).toEqual([]);
    expect(interest.view('deployments.apps', pod('x', undefined))).toBeUndefined();
  });

  test('the first pod of a namespace brings its config, the last takes it away', async () => {
    const source = storeSource(store);
    const interest = interestOf(agent('node-1'), source);
    const scopes: string[] = [];
    store.watch({}, (event) => {
      for (const { resource, namespace } of interest.observe(event as never)) {
        const now = interest.view('configmaps', configMap('x', namespace, '')) ? 'seen' : 'hidden';
        scopes.push(`${resource} ${namespace} ${now}`);
      }
    });
    await api.create('pods', pod('a', 'node-1'));
    await api.create('pods', pod('b', 'node-1'));
    await api.create('pods', pod('c', 'node-2', 'kube-system'));
    for (const name of ['a', 'b']) await api.delete('pods', 'default', name, { gracePeriodSeconds: 0 });
    expect(scopes).toEqual([
      'configmaps default seen',
      'secrets default seen',
      'configmaps default hidden',
      'secrets default hidden',
    ]);
  });

  test("another node's pod is sent again only for what others need of it", async () => {
    const source = storeSource(store);
    const interest = interestOf(agent('node-1'), source);
    const created = await api.create('pods', pod('other', 'node-2'));
    const view = interest.view('pods', created)!;
    const with_ = (fields: object): KubeObject => ({ ...created, ...fields });
    const probed = with_({ status: { phase: 'Pending', conditions: [{ type: 'Ready', status: 'True' }] } });
    const relabelled = with_({ metadata: { ...created.metadata, labels: { app: 'new' } } });
    const addressed = with_({ status: { phase: 'Pending', podIP: '10.244.2.5' } });
    expect(view.same!(created, probed)).toBe(true);
    expect(view.same!(created, relabelled)).toBe(false);
    expect(view.same!(created, addressed)).toBe(false);
  });

  test('a DNS server sees names and addresses only', () => {
    const interest = interestOf({ role: 'dns', nodeName: 'node-1', sessionId: 's' }, storeSource(store));
    expect(interest.resources).toEqual(['namespaces', 'services', 'endpointslices.discovery.k8s.io', 'pods']);
    expect(interest.view('secrets', configMap('x', 'default', ''))).toBeUndefined();
    expect(interest.view('pods', pod('a', 'node-1'))?.name).toBe('other pod');
  });

  test('history covers what the store still has, and says when it does not', async () => {
    const source = storeSource(store);
    const since = source.revision();
    await api.create('configmaps', configMap('one', 'default', ''));
    await api.create('configmaps', configMap('two', 'default', ''));
    expect(source.history(since)?.map(({ type, object }) => [type, object.metadata.name])).toEqual([
      ['ADDED', 'one'],
      ['ADDED', 'two'],
    ]);
    store.compact(since + 1);
    expect(source.history(since)).toBeUndefined();
  });
});
