import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestServer } from './rest-harness.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => {
  expect(server.errors).toEqual([]);
  server.close();
});

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';

function deployment(name: string, more: object = {}) {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'c', image: 'nginx' }] },
      },
      ...more,
    },
  };
}

function pod(name: string, spec: object = {}, metadata: object = {}) {
  return { metadata: { name, ...metadata }, spec: { containers: [{ name: 'c', image: 'nginx' }], ...spec } };
}

test('create fills in what the server owns', async () => {
  const answer = await server.post(CONFIG_MAPS, {
    metadata: { name: 'a', uid: 'mine', creationTimestamp: null, generation: 9, selfLink: '/x' },
    data: { k: 'v' },
  });
  expect(answer.code).toBe(201);
  const { metadata, ...rest } = answer.json;
  expect(rest).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', data: { k: 'v' } });
  expect(metadata.uid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(metadata).toMatchObject({
    name: 'a',
    namespace: 'default',
    resourceVersion: expect.stringMatching(/^\d+$/),
  });
  expect(metadata.generation).toBeUndefined();
  expect((await server.get(`${CONFIG_MAPS}/a`)).json).toEqual(answer.json);
});

test('create refuses what is there already, and what says it was there', async () => {
  await server.post(CONFIG_MAPS, { metadata: { name: 'twice' } });
  const again = await server.post(CONFIG_MAPS, { metadata: { name: 'twice' } });
  expect(again.json).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'configmaps "twice" already exists',
    reason: 'AlreadyExists',
    details: { name: 'twice', kind: 'configmaps' },
    code: 409,
  });
  const versioned = await server.post(CONFIG_MAPS, { metadata: { name: 'v', resourceVersion: '5' } });
  expect(versioned.json.message).toBe('resourceVersion should not be set on objects to be created');
});

test('generateName makes names that differ', async () => {
  const names = new Set<string>();
  for (let i = 0; i < 3; i++) {
    const { json } = await server.post(CONFIG_MAPS, { metadata: { generateName: 'gen-' } });
    expect(json.metadata.name).toMatch(/^gen-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    names.add(json.metadata.name);
  }
  expect(names.size).toBe(3);
});

test('a namespace must exist, agree with the URL and not be going away', async () => {
  const missing = await server.post('/api/v1/namespaces/nowhere/configmaps', { metadata: { name: 'a' } });
  expect(missing.json).toMatchObject({ code: 404, message: 'namespaces "nowhere" not found' });
  const other = await server.post(CONFIG_MAPS, { metadata: { name: 'a', namespace: 'other' } });
  expect(other.json).toMatchObject({
    code: 400,
    message: 'the namespace of the provided object does not match the namespace sent on the request',
  });
  await server.post('/api/v1/namespaces', { metadata: { name: 'leaving' } });
  const deleted = await server.delete('/api/v1/namespaces/leaving');
  expect(deleted).toMatchObject({ code: 200, json: { kind: 'Namespace', status: { phase: 'Terminating' } } });
  const late = await server.post('/api/v1/namespaces/leaving/configmaps', { metadata: { name: 'a' } });
  expect(late.json).toMatchObject({
    code: 403,
    message:
      'configmaps "a" is forbidden: unable to create new content in namespace leaving because it is being terminated',
    details: { causes: [{ reason: 'NamespaceTerminating' }] },
  });
  expect((await server.delete('/api/v1/namespaces/leaving')).json).toMatchObject({
    code: 409,
    reason: 'Conflict',
  });
  const finalized = await server.put('/api/v1/namespaces/leaving/finalize', {
    metadata: { name: 'leaving' },
    spec: { finalizers: [] },
  });
  expect(finalized.code).toBe(200);
  expect((await server.get('/api/v1/namespaces/leaving')).code).toBe(404);
  const immortal = await server.delete('/api/v1/namespaces/default');
  expect(immortal.json.message).toBe('namespaces "default" is forbidden: this namespace may not be deleted');
});

test('the body must be of the kind and version of the URL', async () => {
  const version = await server.post(CONFIG_MAPS, {
    apiVersion: 'v2',
    kind: 'ConfigMap',
    metadata: { name: 'a' },
  });
  expect(version.json.message).toBe(
    'the API version in the data (v2) does not match the expected API version (v1)',
  );
  const kind = await server.post(CONFIG_MAPS, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' } });
  expect(kind.json.message).toMatch(/^Secret in version "v1" cannot be handled as a ConfigMap: /);
  const type = await server.post(DEPLOYMENTS, deployment('typed', { replicas: '3' }));
  expect(type.json).toMatchObject({ code: 400, reason: 'BadRequest' });
  expect(type.json.message).toBe(
    'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
  );
});

test('PUT replaces the newest state only', async () => {
  const { json: first } = await server.post(CONFIG_MAPS, { metadata: { name: 'put' }, data: { v: '1' } });
  const { json: second } = await server.put(`${CONFIG_MAPS}/put`, { ...first, data: { v: '2' } });
  expect(second.data).toEqual({ v: '2' });
  expect(second.metadata).toMatchObject({
    uid: first.metadata.uid,
    creationTimestamp: first.metadata.creationTimestamp,
  });
  const stale = await server.put(`${CONFIG_MAPS}/put`, { ...first, data: { v: '3' } });
  expect(stale.json).toMatchObject({
    code: 409,
    reason: 'Conflict',
    message:
      'Operation cannot be fulfilled on configmaps "put": the object has been modified; please apply your changes to the latest version and try again',
  });
  const { resourceVersion: _, ...unversioned } = first.metadata;
  expect((await server.put(`${CONFIG_MAPS}/put`, { ...first, metadata: unversioned })).code).toBe(200);
  const stranger = await server.put(`${CONFIG_MAPS}/put`, { metadata: { name: 'put', uid: 'other' } });
  expect(stranger.json.message).toContain(
    'Precondition failed: UID in precondition: other, UID in object meta: ',
  );
  const misnamed = await server.put(`${CONFIG_MAPS}/put`, { metadata: { name: 'putt' } });
  expect(misnamed.json.message).toBe(
    'the name of the object (putt) does not match the name on the URL (put)',
  );
  expect((await server.put(`${CONFIG_MAPS}/absent`, { metadata: { name: 'absent' } })).code).toBe(404);
});

test('a write that changes nothing makes no new revision', async () => {
  const { json: first } = await server.post(CONFIG_MAPS, { metadata: { name: 'same' }, data: { v: '1' } });
  const revision = server.store.revision;
  expect((await server.put(`${CONFIG_MAPS}/same`, first)).json).toEqual(first);
  await server.patch(`${CONFIG_MAPS}/same`, { data: { v: '1' } });
  expect(server.store.revision).toBe(revision);
});

test('leases are created by PUT and need a resourceVersion to be changed', async () => {
  const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases/l';
  expect((await server.put(path, { metadata: { name: 'l' }, spec: {} })).code).toBe(201);
  const blind = await server.put(path, { metadata: { name: 'l' }, spec: { holderIdentity: 'x' } });
  expect(blind.json).toMatchObject({ code: 422, reason: 'Invalid' });
  expect(blind.json.message).toContain(
    'metadata.resourceVersion: Invalid value: 0: must be specified for an update',
  );
});

test('generation counts changes of the spec, and status is written through /status only', async () => {
  const { json: created } = await server.post(DEPLOYMENTS, { ...deployment('gen'), status: { replicas: 7 } });
  expect(created.metadata.generation).toBe(1);
  expect(created.status).toEqual({});
  const path = `${DEPLOYMENTS}/gen`;
  const labelled = await server.patch(path, { metadata: { labels: { x: 'y' } } });
  expect(labelled.json.metadata.generation).toBe(1);
  const scaled = await server.patch(path, { spec: { replicas: 3 }, status: { replicas: 9 } });
  expect(scaled.json).toMatchObject({ metadata: { generation: 2 }, status: {} });
  const status = await server.patch(`${path}/status`, {
    metadata: { annotations: { a: 'b' }, labels: { x: 'z' } },
    spec: { replicas: 100 },
    status: { observedGeneration: 2, replicas: 3 },
  });
  expect(status.json).toMatchObject({
    metadata: { generation: 2, annotations: { a: 'b' }, labels: { x: 'y' } },
    spec: { replicas: 3 },
    status: { observedGeneration: 2, replicas: 3 },
  });
});

test('/scale shows and sets replicas', async () => {
  await server.post(DEPLOYMENTS, deployment('scaled'));
  const path = `${DEPLOYMENTS}/scaled/scale`;
  const { json: scale } = await server.get(path);
  expect(scale).toMatchObject({
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name: 'scaled', namespace: 'default' },
    spec: { replicas: 2 },
    status: { replicas: 0, selector: 'app=scaled' },
  });
  const put = await server.put(path, { ...scale, spec: { replicas: 5 } });
  expect(put.json.spec).toEqual({ replicas: 5 });
  expect((await server.put(path, { ...scale, spec: { replicas: 6 } })).code).toBe(409);
  expect((await server.patch(path, { spec: { replicas: 0 } })).json.spec).toEqual({});
  expect((await server.get(`${DEPLOYMENTS}/scaled`)).json.spec.replicas).toBe(0);
  const negative = await server.patch(path, { spec: { replicas: -1 } });
  expect(negative.json.message).toBe(
    'Scale.autoscaling "scaled" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
  );
  expect((await server.get('/apis/apps/v1/namespaces/default/daemonsets/x/scale')).code).toBe(404);
});

test('dry runs answer like the real thing and change nothing', async () => {
  const revision = server.store.revision;
  const created = await server.post(`${CONFIG_MAPS}?dryRun=All`, { metadata: { name: 'dry' } });
  expect(created).toMatchObject({ code: 201, json: { metadata: { name: 'dry', uid: expect.any(String) } } });
  expect((await server.get(`${CONFIG_MAPS}/dry`)).code).toBe(404);
  expect(server.store.revision).toBe(revision);
  await server.post(CONFIG_MAPS, { metadata: { name: 'wet' }, data: { a: '1' } });
  const patched = await server.patch(`${CONFIG_MAPS}/wet?dryRun=All`, { data: { a: '2' } });
  expect(patched.json.data).toEqual({ a: '2' });
  expect((await server.delete(`${CONFIG_MAPS}/wet?dryRun=All`)).code).toBe(200);
  expect((await server.get(`${CONFIG_MAPS}/wet`)).json.data).toEqual({ a: '1' });
  const odd = await server.post(`${CONFIG_MAPS}?dryRun=Some`, { metadata: { name: 'dry' } });
  expect(odd.json).toMatchObject({ code: 422, reason: 'Invalid' });
  expect(odd.json.message).toContain('dryRun: Unsupported value: ["Some"]: supported values: "All"');
});

test('DELETE answers with a Status, or with the object where upstream does', async () => {
  const { json } = await server.post(CONFIG_MAPS, { metadata: { name: 'gone' } });
  expect((await server.delete(`${CONFIG_MAPS}/gone`)).json).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name: 'gone', kind: 'configmaps', uid: json.metadata.uid },
    code: 200,
  });
  expect((await server.delete(`${CONFIG_MAPS}/gone`)).json).toMatchObject({
    code: 404,
    message: 'configmaps "gone" not found',
    details: { name: 'gone', kind: 'configmaps' },
  });
  await server.post('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'sa' } });
  const account = await server.delete('/api/v1/namespaces/default/serviceaccounts/sa');
  expect(account.json.kind).toBe('ServiceAccount');
});

test('preconditions guard a deletion', async () => {
  const { json } = await server.post(CONFIG_MAPS, { metadata: { name: 'guarded' } });
  const wrong = await server.delete(`${CONFIG_MAPS}/guarded`, { preconditions: { uid: 'other' } });
  expect(wrong.json).toMatchObject({ code: 409, reason: 'Conflict' });
  expect(wrong.json.message).toContain(
    'the UID in the precondition (other) does not match the UID in record',
  );
  const stale = await server.delete(`${CONFIG_MAPS}/guarded`, { preconditions: { resourceVersion: '1' } });
  expect(stale.json.message).toContain('the ResourceVersion in the precondition (1) does not match');
  const { uid, resourceVersion } = json.metadata;
  expect(
    (await server.delete(`${CONFIG_MAPS}/guarded`, { preconditions: { uid, resourceVersion } })).code,
  ).toBe(200);
});

test('finalizers hold an object until the last is removed', async () => {
  await server.post(CONFIG_MAPS, { metadata: { name: 'held', finalizers: ['example.com/a'] } });
  const marked = await server.delete(`${CONFIG_MAPS}/held`);
  expect(marked.json).toMatchObject({
    kind: 'ConfigMap',
    metadata: { deletionTimestamp: expect.any(String), deletionGracePeriodSeconds: 0 },
  });
  const revived = await server.patch(`${CONFIG_MAPS}/held`, { metadata: { deletionTimestamp: null } });
  expect(revived.json.metadata.deletionTimestamp).toBe(marked.json.metadata.deletionTimestamp);
  expect((await server.delete(`${CONFIG_MAPS}/held`)).code).toBe(200);
  await server.patch(`${CONFIG_MAPS}/held`, { metadata: { finalizers: null } });
  expect((await server.get(`${CONFIG_MAPS}/held`)).code).toBe(404);
});

test('propagation policies become finalizers for the garbage collector', async () => {
  for (const [policy, code, finalizers] of [
    ['Foreground', 202, ['foregroundDeletion']],
    ['Orphan', 200, ['orphan']],
  ] as const) {
    const name = policy.toLowerCase();
    await server.post(DEPLOYMENTS, deployment(name));
    const answer = await server.delete(`${DEPLOYMENTS}/${name}`, { propagationPolicy: policy });
    expect(answer.code).toBe(code);
    expect(answer.json.metadata).toMatchObject({
      finalizers,
      generation: 2,
      deletionTimestamp: expect.any(String),
    });
  }
  await server.delete(`${DEPLOYMENTS}/orphan`, { propagationPolicy: 'Background' });
  expect((await server.get(`${DEPLOYMENTS}/orphan`)).code).toBe(404);
  const unknown = await server.delete(`${DEPLOYMENTS}/foreground?propagationPolicy=Sideways`);
  expect(unknown.json.message).toContain('propagationPolicy: Unsupported value: "Sideways"');
});

test('a pod on a node dies slowly, one without a node at once', async () => {
  const created = await server.post(PODS, pod('lone'));
  expect(created.json.status).toEqual({ phase: 'Pending', qosClass: 'BestEffort' });
  expect((await server.delete(`${PODS}/lone`)).code).toBe(200);
  expect((await server.get(`${PODS}/lone`)).code).toBe(404);

  await server.post(PODS, pod('placed', { terminationGracePeriodSeconds: 30 }));
  const bound = await server.post(`${PODS}/placed/binding`, {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'placed' },
    target: { kind: 'Node', name: 'node-1' },
  });
  expect(bound.json).toMatchObject({ kind: 'Status', status: 'Success', code: 201 });
  const placed = (await server.get(`${PODS}/placed`)).json;
  expect(placed.spec.nodeName).toBe('node-1');
  expect(placed.status.conditions).toMatchObject([{ type: 'PodScheduled', status: 'True' }]);
  const again = await server.post(`${PODS}/placed/binding`, {
    metadata: { name: 'placed' },
    target: { name: 'node-2' },
  });
  expect(again.json).toMatchObject({ code: 409 });
  expect(again.json.message).toContain('pod placed is already assigned to node "node-1"');

  const { json: first } = await server.delete(`${PODS}/placed`);
  expect(first.metadata.deletionGracePeriodSeconds).toBe(30);
  const lifeMs = Date.parse(first.metadata.deletionTimestamp) - Date.now();
  expect(lifeMs).toBeGreaterThan(20_000);
  const { json: longer } = await server.delete(`${PODS}/placed`, { gracePeriodSeconds: 60 });
  expect(longer.metadata.deletionTimestamp).toBe(first.metadata.deletionTimestamp);
  const { json: shorter } = await server.delete(`${PODS}/placed`, { gracePeriodSeconds: 10 });
  expect(shorter.metadata.deletionGracePeriodSeconds).toBe(10);
  expect(Date.parse(first.metadata.deletionTimestamp) - Date.parse(shorter.metadata.deletionTimestamp)).toBe(
    20_000,
  );
  await server.delete(`${PODS}/placed`, { gracePeriodSeconds: 0 });
  expect((await server.get(`${PODS}/placed`)).code).toBe(404);
});

test('a collection is deleted by selector', async () => {
  for (const name of ['x', 'y', 'z']) {
    await server.post(CONFIG_MAPS, {
      metadata: { name: `all-${name}`, labels: { set: name === 'z' ? 'b' : 'a' } },
    });
  }
  const answer = await server.delete(`${CONFIG_MAPS}?labelSelector=set%3Da`);
  expect(answer.json.kind).toBe('ConfigMapList');
  expect(answer.json.items.map((each: { metadata: { name: string } }) => each.metadata.name)).toEqual([
    'all-x',
    'all-y',
  ]);
  expect((await server.get(`${CONFIG_MAPS}/all-x`)).code).toBe(404);
  expect((await server.get(`${CONFIG_MAPS}/all-z`)).code).toBe(200);
});

test('admission gives pods their account, priority and tolerations', async () => {
  const { json } = await server.post(PODS, pod('admitted'));
  expect(json.spec).toMatchObject({
    serviceAccountName: 'default',
    priority: 0,
    preemptionPolicy: 'PreemptLowerPriority',
  });
  expect(json.spec.tolerations).toEqual([
    { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
    {
      key: 'node.kubernetes.io/unreachable',
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: 300,
    },
  ]);
  const critical = await server.post(PODS, pod('critical', { priorityClassName: 'system-node-critical' }));
  expect(critical.json.spec.priority).toBe(2_000_001_000);
  const unknown = await server.post(PODS, pod('unknown', { priorityClassName: 'vip' }));
  expect(unknown.json.message).toBe('pods "unknown" is forbidden: no PriorityClass with name vip was found');
  const stranger = await server.post(PODS, pod('stranger', { serviceAccountName: 'nobody' }));
  expect(stranger.json.message).toBe(
    'pods "stranger" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found',
  );
});

test('an eviction asks the disruption budget', async () => {
  const labels = { app: 'budget' };
  const ready = { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } };
  for (const name of ['e1', 'e2']) {
    await server.post(PODS, pod(name, { nodeName: 'node-1' }, { labels }));
    await server.patch(`${PODS}/${name}/status`, ready);
  }
  await server.post('/apis/policy/v1/namespaces/default/poddisruptionbudgets', {
    metadata: { name: 'b' },
    spec: { minAvailable: 1, selector: { matchLabels: labels } },
  });
  const evict = (name: string) =>
    server.post(`${PODS}/${name}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name },
    });
  expect((await evict('e1')).code).toBe(201);
  expect((await server.get(`${PODS}/e1`)).json.metadata.deletionTimestamp).toBeDefined();
  const refused = await evict('e2');
  expect(refused.json).toMatchObject({
    code: 429,
    reason: 'TooManyRequests',
    message: "Cannot evict pod as it would violate the pod's disruption budget.",
    details: {
      causes: [
        {
          reason: 'DisruptionBudget',
          message: 'The disruption budget b needs 1 healthy pods and has 1 currently',
        },
      ],
    },
  });
  expect((await evict('nobody')).code).toBe(404);
});

test('events have two faces', async () => {
  await server.post('/api/v1/namespaces/default/events', {
    metadata: { name: 'ev' },
    involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
    reason: 'Started',
    message: 'hello',
    count: 3,
    type: 'Normal',
  });
  const path = '/apis/events.k8s.io/v1/namespaces/default/events';
  expect((await server.get(`${path}/ev`)).json).toMatchObject({
    apiVersion: 'events.k8s.io/v1',
    regarding: { kind: 'Pod', name: 'p' },
    note: 'hello',
    deprecatedCount: 3,
  });
  const created = await server.post(path, {
    metadata: { name: 'ev2' },
    regarding: { kind: 'Pod', name: 'q' },
    note: 'ho',
  });
  expect(created.json).toMatchObject({ apiVersion: 'events.k8s.io/v1', note: 'ho' });
  expect((await server.get('/api/v1/namespaces/default/events/ev2')).json).toMatchObject({
    apiVersion: 'v1',
    message: 'ho',
    involvedObject: { name: 'q' },
  });
  const selected = await server.get(
    '/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dp',
  );
  expect(selected.json.items).toHaveLength(1);
});

test('an in-process watch tells of an object before its changes, even those its own handler makes', async () => {
  const { api, store } = server;
  const events: string[] = [];
  for (const name of ['w1', 'w2']) {
    await api.create('limitranges', {
      apiVersion: 'v1',
      kind: 'LimitRange',
      metadata: { name, namespace: 'default' },
      spec: { limits: [] },
    });
  }
  const stop = api.watch<{ metadata: { name: string; labels?: object } }>(
    'limitranges',
    ({ type, object }) => {
      events.push(`${type} ${object.metadata.name}`);
      if (type !== 'ADDED' || object.metadata.name !== 'w1') return;
      void api.patch('limitranges', 'default', 'w2', { metadata: { labels: { a: 'b' } } });
      store.flush();
    },
  );
  expect(events).toEqual(['ADDED w1', 'ADDED w2', 'MODIFIED w2']);
  stop();
});

test('the in-process face obeys the same rules', async () => {
  const { api } = server;
  const events: string[] = [];
  const stop = api.watch<{ metadata: { name: string } }>('secrets', ({ type, object }) =>
    events.push(`${type} ${object.metadata.name}`),
  );
  type Secret = { apiVersion: string; kind: string; metadata: Record<string, unknown>; data?: unknown };
  const input: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'default' } };
  const created = await api.create('secrets', input);
  expect(input.metadata).toEqual({ name: 's', namespace: 'default' });
  expect(created.metadata.uid).toBeDefined();
  await expect(api.create('secrets', input)).rejects.toMatchObject({ code: 409, reason: 'AlreadyExists' });
  const patched = await api.patch<Secret>('secrets', 'default', 's', { data: { a: 'Yg==' } });
  expect(patched.data).toEqual({ a: 'Yg==' });
  await expect(api.update('secrets', created)).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
  expect(api.get<Secret>('secrets', 'default', 's')).toBe(api.list<Secret>('secrets')[0]);
  await api.delete('secrets', 'default', 's');
  await expect(api.delete('secrets', 'default', 's')).rejects.toMatchObject({ code: 404 });
  expect(events).toEqual(['ADDED s', 'MODIFIED s', 'DELETED s']);
  stop();
  await expect(api.create('nothings', input)).rejects.toMatchObject({ code: 404 });
});
