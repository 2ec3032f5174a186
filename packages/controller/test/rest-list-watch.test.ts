import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import WebSocket from 'ws';
import { TestServer } from './rest-harness.ts';

let server: TestServer;
beforeEach(async () => {
  server = await TestServer.start({ store: { historyLimit: 40 } });
});
afterEach(() => {
  expect(server.errors).toEqual([]);
  server.close();
});

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

function fill(names: readonly string[], labels: Record<string, string> = {}): Promise<unknown> {
  return Promise.all(names.map((name) => server.post(CONFIG_MAPS, { metadata: { name, labels } })));
}

type Named = { metadata: { name: string; namespace?: string } };
const namesOf = (items: Named[]) => items.map((each) => each.metadata.name);
const brief = (event: { type: string; object: Named }) => `${event.type} ${event.object.metadata.name}`;

test('a list has the revision it shows, in the order of names', async () => {
  await fill(['b', 'a', 'c']);
  const { json } = await server.get(CONFIG_MAPS);
  expect(json).toMatchObject({
    kind: 'ConfigMapList',
    apiVersion: 'v1',
    metadata: { resourceVersion: String(server.store.revision) },
  });
  expect(namesOf(json.items)).toEqual(['a', 'b', 'c']);
  expect((await server.get('/api/v1/namespaces/nowhere/configmaps')).json.items).toEqual([]);
  const everywhere = await server.get('/api/v1/configmaps');
  expect(namesOf(everywhere.json.items)).toEqual(['a', 'b', 'c']);
});

test('label and field selectors choose, and unknown fields are refused', async () => {
  await fill(['a', 'b'], { app: 'x', tier: '1' });
  await fill(['c'], { app: 'y' });
  const select = async (query: string) => {
    const { json } = await server.get(`${CONFIG_MAPS}?${query}`);
    return json.items ? namesOf(json.items) : json.message;
  };
  expect(await select('labelSelector=app%3Dx')).toEqual(['a', 'b']);
  expect(await select('labelSelector=app+in+(x,y),!tier')).toEqual(['c']);
  expect(await select('fieldSelector=metadata.name%3Db')).toEqual(['b']);
  expect(await select('fieldSelector=metadata.namespace!%3Ddefault')).toEqual([]);
  expect(await select('labelSelector=app%3Dx&fieldSelector=metadata.name!%3Da')).toEqual(['b']);
  expect(await select('fieldSelector=data.x%3Db')).toContain('data.x');
  const bad = await server.get('/api/v1/pods?fieldSelector=spec.foo%3Db');
  expect(bad.json).toMatchObject({ code: 400, message: 'field label not supported: spec.foo' });
  expect((await server.get(`${CONFIG_MAPS}?labelSelector=a+in`)).code).toBe(400);
});

test('pages show one moment, whatever is written in between', async () => {
  await fill(['a', 'b', 'c', 'd', 'e']);
  const first = (await server.get(`${CONFIG_MAPS}?limit=2`)).json;
  expect(namesOf(first.items)).toEqual(['a', 'b']);
  expect(first.metadata.remainingItemCount).toBe(3);
  await server.delete(`${CONFIG_MAPS}/c`);
  await server.patch(`${CONFIG_MAPS}/d`, { data: { new: '1' } });
  await fill(['bb', 'f']);
  const second = (await server.get(`${CONFIG_MAPS}?limit=2&continue=${first.metadata.continue}`)).json;
  expect(namesOf(second.items)).toEqual(['c', 'd']);
  expect(second.items[1].data).toBeUndefined();
  expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
  const third = (await server.get(`${CONFIG_MAPS}?limit=2&continue=${second.metadata.continue}`)).json;
  expect(namesOf(third.items)).toEqual(['e']);
  expect(third.metadata.continue).toBeUndefined();
});

test('a continue token that is too old answers 410 and a way to go on', async () => {
  await fill(['a', 'b', 'c', 'd']);
  const first = (await server.get(`${CONFIG_MAPS}?limit=2`)).json;
  await server.delete(`${CONFIG_MAPS}/c`);
  server.store.compact(server.store.revision);
  const gone = await server.get(`${CONFIG_MAPS}?limit=2&continue=${first.metadata.continue}`);
  expect(gone.json).toMatchObject({ code: 410, reason: 'Expired' });
  expect(gone.json.message).toContain('The provided continue parameter is too old');
  const rest = (await server.get(`${CONFIG_MAPS}?limit=2&continue=${gone.json.metadata.continue}`)).json;
  expect(namesOf(rest.items)).toEqual(['d']);
  expect((await server.get(`${CONFIG_MAPS}?continue=nonsense`)).json).toMatchObject({ code: 400 });
});

test('resourceVersion and its match choose the moment', async () => {
  await fill(['a']);
  const revision = server.store.revision;
  await fill(['b']);
  const list = (query: string) => server.get(`${CONFIG_MAPS}?${query}`);
  expect(namesOf((await list('resourceVersion=0')).json.items)).toEqual(['a', 'b']);
  expect(namesOf((await list(`resourceVersion=${revision}`)).json.items)).toEqual(['a', 'b']);
  const exact = await list(`resourceVersion=${revision}&resourceVersionMatch=Exact`);
  expect(namesOf(exact.json.items)).toEqual(['a']);
  const future = await list('resourceVersion=99999');
  expect(future.json).toMatchObject({
    code: 504,
    reason: 'Timeout',
    details: { causes: [{ reason: 'ResourceVersionTooLarge' }], retryAfterSeconds: 1 },
  });
  expect((await list('resourceVersionMatch=Exact')).json).toMatchObject({ code: 422, reason: 'Invalid' });
  expect((await list('resourceVersion=x')).json.code).toBe(422);
});

test('a watch tells what is there, then what happens', async () => {
  await fill(['a']);
  const watch = await server.watch(`${CONFIG_MAPS}?watch=true`);
  expect(brief(await watch.next())).toBe('ADDED a');
  await fill(['b']);
  await server.patch(`${CONFIG_MAPS}/b`, { data: { x: '1' } });
  const gone = await server.delete(`${CONFIG_MAPS}/b`);
  expect(gone.code).toBe(200);
  const events = await watch.take(3);
  expect(events.map(brief)).toEqual(['ADDED b', 'MODIFIED b', 'DELETED b']);
  expect(events[2].object.metadata.resourceVersion).toBe(String(server.store.revision));
  watch.close();
});

test('a watch goes on from a revision, and 410 comes as an event', async () => {
  await fill(['a']);
  const revision = server.store.revision;
  await fill(['b', 'c']);
  const watch = await server.watch(`${CONFIG_MAPS}?watch=1&resourceVersion=${revision}`);
  expect((await watch.take(2)).map(brief).sort()).toEqual(['ADDED b', 'ADDED c']);
  watch.close();
  for (let i = 0; i < 60; i++) await server.patch(`${CONFIG_MAPS}/a`, { data: { i: String(i) } });
  const late = await server.watch(`${CONFIG_MAPS}?watch=1&resourceVersion=${revision}`);
  const event = await late.next();
  expect(event).toMatchObject({
    type: 'ERROR',
    object: { kind: 'Status', code: 410, reason: 'Expired' },
  });
  expect(event.object.message).toMatch(/^too old resource version: \d+ \(\d+\)$/);
  expect(await late.next()).toBeUndefined();
});

test('objects enter and leave a selected watch', async () => {
  const watch = await server.watch(`${CONFIG_MAPS}?watch=true&labelSelector=app%3Dx`);
  await fill(['a']);
  await server.patch(`${CONFIG_MAPS}/a`, { metadata: { labels: { app: 'x' } }, data: { v: '1' } });
  await server.patch(`${CONFIG_MAPS}/a`, { data: { v: '2' } });
  await server.patch(`${CONFIG_MAPS}/a`, { metadata: { labels: { app: 'y' } }, data: { v: '3' } });
  const revision = String(server.store.revision);
  await server.patch(`${CONFIG_MAPS}/a`, { metadata: { labels: { app: 'x' } } });
  await server.delete(`${CONFIG_MAPS}/a`);
  const events = await watch.take(5);
  expect(events.map(brief)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a', 'ADDED a', 'DELETED a']);
  // It left in its last state that was selected, at the revision at which it left.
  expect(events[2].object.data).toEqual({ v: '2' });
  expect(events[2].object.metadata.resourceVersion).toBe(revision);
  watch.close();
});

test('a streamed list ends with a bookmark that says so', async () => {
  await fill(['a', 'b']);
  const revision = String(server.store.revision);
  const query =
    'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  const watch = await server.watch(`${CONFIG_MAPS}?${query}`);
  expect((await watch.take(2)).map(brief)).toEqual(['ADDED a', 'ADDED b']);
  expect(await watch.next()).toEqual({
    type: 'BOOKMARK',
    object: {
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: {
        resourceVersion: revision,
        creationTimestamp: null,
        annotations: { 'k8s.io/initial-events-end': 'true' },
      },
    },
  });
  await fill(['c']);
  expect(brief(await watch.next())).toBe('ADDED c');
  watch.close();
  const refused = await server.get(`${CONFIG_MAPS}?watch=true&sendInitialEvents=true`);
  expect(refused.json).toMatchObject({ code: 422, reason: 'Invalid' });
});

test('a watch ends at its timeout, with a last bookmark', async () => {
  const watch = await server.watch(`${CONFIG_MAPS}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true`);
  expect(await watch.next()).toMatchObject({ type: 'BOOKMARK', object: { kind: 'ConfigMap' } });
  expect(await watch.next()).toBeUndefined();
});

test('tables come with columns and metadata of each row', async () => {
  await fill(['a', 'b']);
  const { json } = await server.get(CONFIG_MAPS, { accept: TABLE });
  expect(json).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' });
  expect(json.columnDefinitions[0]).toMatchObject({ name: 'Name', type: 'string', format: 'name' });
  expect(json.rows.map((row: { cells: unknown[] }) => row.cells[0])).toEqual(['a', 'b']);
  expect(json.rows[0].object).toMatchObject({
    kind: 'PartialObjectMetadata',
    apiVersion: 'meta.k8s.io/v1',
    metadata: { name: 'a', uid: expect.any(String) },
  });
  const whole = await server.get(`${CONFIG_MAPS}/a?includeObject=Object`, { accept: TABLE });
  expect(whole.json.rows[0].object).toMatchObject({ kind: 'ConfigMap' });
  const none = await server.get(`${CONFIG_MAPS}?includeObject=None`, { accept: TABLE });
  expect(none.json.rows[0].object).toBeUndefined();
  const watch = await server.watch(`${CONFIG_MAPS}?watch=true`, TABLE);
  const [first, second] = await watch.take(2);
  expect(first.object).toMatchObject({ kind: 'Table', rows: [{ cells: expect.arrayContaining(['a']) }] });
  expect(first.object.columnDefinitions).toEqual(json.columnDefinitions);
  expect(second.object.columnDefinitions).toBeNull();
  watch.close();
});

test('metadata alone can be had of objects, lists and watches', async () => {
  await fill(['a']);
  const as = (kind: string) => `application/json;as=${kind};v=v1;g=meta.k8s.io`;
  const one = await server.get(`${CONFIG_MAPS}/a`, { accept: as('PartialObjectMetadata') });
  expect(Object.keys(one.json)).toEqual(['kind', 'apiVersion', 'metadata']);
  const list = await server.get(CONFIG_MAPS, { accept: as('PartialObjectMetadataList') });
  expect(list.json).toMatchObject({
    kind: 'PartialObjectMetadataList',
    items: [{ metadata: { name: 'a' } }],
  });
  const watch = await server.watch(`${CONFIG_MAPS}?watch=true`, as('PartialObjectMetadata'));
  expect((await watch.next()).object.kind).toBe('PartialObjectMetadata');
  watch.close();
  expect((await server.get(`${CONFIG_MAPS}/a`, { accept: as('Nothing') })).code).toBe(406);
});

test('browsers watch over WebSocket', async () => {
  await fill(['a']);
  const socket = new WebSocket(
    `wss://127.0.0.1:${server.port}${CONFIG_MAPS}?watch=true`,
    [
      `base64url.bearer.authorization.k8s.io.${Buffer.from('secret').toString('base64url')}`,
      'base64.binary.k8s.io',
    ],
    { ca: server.pki.caPem },
  );
  const message = await new Promise<string>((resolve, reject) => {
    socket.once('message', (data: Buffer) => resolve(data.toString()));
    socket.once('error', reject);
  });
  expect(socket.protocol).toBe('base64.binary.k8s.io');
  expect(brief(JSON.parse(Buffer.from(message, 'base64').toString()))).toBe('ADDED a');
  socket.terminate();
});

test('a client that reads nothing is cut off, the others go on', async () => {
  const reader = await server.watch(`${CONFIG_MAPS}?watch=true`);
  const idle = await server.watch(`${CONFIG_MAPS}?watch=true`);
  idle.pause();
  await server.post(CONFIG_MAPS, { metadata: { name: 'big' } });
  expect(brief(await reader.next())).toBe('ADDED big');
  let cut = false;
  for (let i = 0; i < 60 && !cut; i++) {
    const noise = randomBytes(750_000).toString('base64');
    await server.api.patch('configmaps', 'default', 'big', { data: { noise } });
    expect(brief(await reader.next())).toBe('MODIFIED big');
    cut = server.openWatches === 1;
  }
  expect(cut).toBe(true);
  reader.close();
  idle.close();
});
