import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Store } from '../src/store.ts';
import { encodedJson, type StoredObject, type StoreEvent } from '../src/stored-object.ts';

let directory: string;
let path: string;
let open: Store[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'store-'));
  path = join(directory, 'store.db');
});
afterEach(() => {
  for (const store of open) store.close();
  open = [];
  rmSync(directory, { recursive: true, force: true });
});

function memory(options = {}): Store {
  const store = Store.open(':memory:', options);
  open.push(store);
  return store;
}

function pod(name: string, extra: object = {}, namespace = 'default'): StoredObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace }, ...extra };
}

function brief(event: StoreEvent): string {
  return `${event.revision} ${event.type} ${event.object.metadata.name}`;
}

test('revisions grow by one over all resources and mark each object', async () => {
  const store = memory();
  const first = await store.create('pods', pod('a'));
  const second = await store.create('services', { metadata: { name: 'a', namespace: 'default' } });
  const third = await store.update('pods', { ...first, extra: 1 } as StoredObject);
  expect([first, second, third].map((each) => each.metadata.resourceVersion)).toEqual(['1', '2', '3']);
  expect(store.revision).toBe(3);
  expect(store.get('pods', 'default', 'a')).toBe(third);
  expect(JSON.parse(encodedJson(third))).toEqual(third);
});

test('refuses duplicates, stale revisions and missing keys', async () => {
  const store = memory();
  const first = await store.create('pods', pod('a'));
  await expect(store.create('pods', pod('a'))).rejects.toMatchObject({ reason: 'exists', current: first });
  await store.update('pods', pod('a'), '1');
  await expect(store.update('pods', pod('a'), '1')).rejects.toMatchObject({ reason: 'conflict' });
  await expect(store.delete('pods', 'default', 'a', '1')).rejects.toMatchObject({ reason: 'conflict' });
  await expect(store.update('pods', pod('b'))).rejects.toMatchObject({ reason: 'missing' });
  await expect(store.delete('pods', 'default', 'b')).rejects.toMatchObject({ reason: 'missing' });
  await expect(store.create('pods', { metadata: {} })).rejects.toThrow('without metadata.name');
  expect(store.revision).toBe(2);
});

test('two writers of one turn cannot both win', async () => {
  const store = memory();
  await store.create('pods', pod('a'));
  const results = await Promise.allSettled([
    store.update('pods', pod('a', { by: 'one' }), '1'),
    store.update('pods', pod('a', { by: 'two' }), '1'),
  ]);
  expect(results.map((each) => each.status)).toEqual(['fulfilled', 'rejected']);
  expect(store.get('pods', 'default', 'a')).toMatchObject({ by: 'one' });
});

test('a deletion has its own revision and carries the last state', async () => {
  const store = memory();
  const events: StoreEvent[] = [];
  store.watch({ resource: 'pods' }, (event) => events.push(event));
  await store.create('pods', pod('a', { x: 1 }));
  const gone = await store.delete('pods', 'default', 'a');
  expect(gone).toEqual(pod('a', { x: 1, metadata: { ...pod('a').metadata, resourceVersion: '2' } }));
  expect(events[1]).toMatchObject({
    type: 'DELETED',
    revision: 2,
    object: gone,
    previous: { metadata: { resourceVersion: '1' } },
  });
  expect(store.get('pods', 'default', 'a')).toBeUndefined();
});

test('lists are ordered by namespace and name, and a held list never changes', async () => {
  const store = memory();
  for (const [namespace, name] of [
    ['b', 'x'],
    ['a', 'z'],
    ['a', 'a-1'],
    ['a', 'a'],
  ]) {
    await store.create('pods', pod(name!, {}, namespace));
  }
  const names = (list: readonly StoredObject[]) =>
    list.map((each) => `${each.metadata.namespace}/${each.metadata.name}`);
  const before = store.list('pods');
  expect(names(before)).toEqual(['a/a', 'a/a-1', 'a/z', 'b/x']);
  expect(store.list('pods')).toBe(before);
  await store.delete('pods', 'a', 'z');
  expect(before).toHaveLength(4);
  expect(names(store.list('pods', 'a'))).toEqual(['a/a', 'a/a-1']);
  expect(store.list('pods', 'nowhere')).toEqual([]);
  expect(store.list('nothing')).toEqual([]);
});

test('writes of one turn share a commit, and watchers hear of it before the writers', async () => {
  const store = memory();
  const heard: string[] = [];
  store.watch({}, (event) => heard.push(brief(event)));
  const writes = ['a', 'b', 'c'].map((name) =>
    store.create('pods', pod(name)).then((object) => heard.push(`resolved ${object.metadata.name}`)),
  );
  expect(store.revision).toBe(3);
  expect(store.committedRevision).toBe(0);
  await Promise.resolve();
  expect(heard).toEqual([]);
  await Promise.all(writes);
  expect(heard).toEqual(['1 ADDED a', '2 ADDED b', '3 ADDED c', 'resolved a', 'resolved b', 'resolved c']);
});

test('a watch replays what is past, then follows, filtered by resource and namespace', async () => {
  const store = memory();
  await store.create('pods', pod('a'));
  await store.create('services', pod('s'));
  await store.create('pods', pod('b', {}, 'other'));
  const all: string[] = [];
  const some: string[] = [];
  store.watch({ since: 1 }, (event) => all.push(brief(event)));
  const stop = store.watch({ resource: 'pods', namespace: 'default', since: 0 }, (event) =>
    some.push(brief(event)),
  );
  expect(all).toEqual(['2 ADDED s', '3 ADDED b']);
  await store.delete('pods', 'default', 'a');
  stop();
  await store.create('pods', pod('c'));
  expect(some).toEqual(['1 ADDED a', '4 DELETED a']);
  expect(all).toEqual(['2 ADDED s', '3 ADDED b', '4 DELETED a', '5 ADDED c']);
});

test('a watch may start in the future', async () => {
  const store = memory();
  const events: string[] = [];
  store.watch({ since: 2 }, (event) => events.push(brief(event)));
  for (const name of ['a', 'b', 'c']) await store.create('pods', pod(name));
  expect(events).toEqual(['3 ADDED c']);
});

test('a listener that writes, flushes and watches leaves one order for all', async () => {
  const store = memory();
  const first: string[] = [];
  const second: string[] = [];
  const nested: string[] = [];
  store.watch({}, (event) => {
    first.push(brief(event));
    if (event.revision !== 1) return;
    void store.create('pods', pod('echo'));
    store.watch({ since: 0 }, (inner) => nested.push(brief(inner)));
  });
  store.watch({}, (event) => second.push(brief(event)));
  await Promise.all([store.create('pods', pod('a')), store.create('pods', pod('b'))]);
  await new Promise(setImmediate);
  const order = ['1 ADDED a', '2 ADDED b', '3 ADDED echo'];
  expect(first).toEqual(order);
  expect(second).toEqual(order);
  expect(nested).toEqual(order);
});

test('history before the window answers compacted, and is bounded by count', async () => {
  const store = memory({ historyLimit: 20, recentLimit: 5 });
  for (let i = 0; i < 100; i++) await store.create('pods', pod(`p${i}`));
  expect(store.compactedRevision).toBeGreaterThanOrEqual(75);
  expect(store.compactedRevision).toBeLessThanOrEqual(80);
  expect(() => store.watch({ since: 10 }, () => {})).toThrow(
    expect.objectContaining({ reason: 'compacted' }),
  );
  const events: string[] = [];
  store.watch({ since: store.compactedRevision }, (event) => events.push(brief(event)));
  expect(events).toHaveLength(100 - store.compactedRevision);
  expect(() => store.listAt('pods', undefined, 10)).toThrow(expect.objectContaining({ reason: 'compacted' }));
});

test('a list can be had as it was', async () => {
  const store = memory({ recentLimit: 2 });
  await store.create('pods', pod('a', { x: 1 }));
  await store.create('pods', pod('b', {}, 'other'));
  await store.update('pods', pod('a', { x: 2 }));
  await store.delete('pods', 'default', 'a');
  await store.create('pods', pod('a', { x: 3 }));
  const at = (revision: number, namespace?: string) =>
    store
      .listAt('pods', namespace, revision)
      .map((each) => `${each.metadata.name}${'x' in each ? each.x : ''}`);
  expect(at(1)).toEqual(['a1']);
  expect(at(2)).toEqual(['a1', 'b']);
  expect(at(3)).toEqual(['a2', 'b']);
  expect(at(4)).toEqual(['b']);
  expect(at(5)).toEqual(['a3', 'b']);
  expect(at(3, 'default')).toEqual(['a2']);
});

test('state, history and identity survive reopening, compaction included', async () => {
  const store = Store.open(path, { historyLimit: 1000 });
  await store.create('pods', pod('a', { x: 1 }));
  await store.create('pods', pod('b'));
  await store.update('pods', pod('a', { x: 2 }));
  await store.update('pods', pod('a', { x: 3 }));
  await store.delete('pods', 'default', 'b');
  store.compact(3);
  store.close();

  const again = Store.open(path);
  open.push(again);
  expect(again.instanceId).toBe(store.instanceId);
  expect(again.revision).toBe(5);
  expect(again.compactedRevision).toBe(3);
  expect(again.list('pods')).toMatchObject([{ metadata: { name: 'a' }, x: 3 }]);
  const events: StoreEvent[] = [];
  again.watch({ since: 3 }, (event) => events.push(event));
  expect(events).toMatchObject([
    { type: 'MODIFIED', revision: 4, object: { x: 3 }, previous: { x: 2 } },
    { type: 'DELETED', revision: 5, previous: { metadata: { name: 'b', resourceVersion: '2' } } },
  ]);
  again.compact(5);
  again.close();

  // Nothing of the log is left above the live object: the counter must not fall back.
  const third = Store.open(path);
  open.push(third);
  expect(third.revision).toBe(5);
  expect((await third.create('pods', pod('c'))).metadata.resourceVersion).toBe('6');
});

test('a second process on the same file is told so', () => {
  open.push(Store.open(path));
  expect(() => Store.open(path)).toThrow(/Cannot open the store ".*store.db": .*locked.*no other controller/);
});

test('a batch that the disk refuses is rejected and undone whole', async () => {
  Store.open(path).close();
  const database = new DatabaseSync(path);
  database.exec(`CREATE TRIGGER full BEFORE INSERT ON log WHEN NEW.name = 'b'
    BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`);
  database.close();
  const store = Store.open(path);
  open.push(store);
  const first = await store.create('pods', pod('a'));
  const heard: StoreEvent[] = [];
  store.watch({}, (event) => heard.push(event));
  const batch = [
    store.delete('pods', 'default', 'a'),
    store.create('pods', pod('a')),
    store.create('pods', pod('b')),
  ];
  for (const result of await Promise.allSettled(batch)) {
    expect(result).toMatchObject({ status: 'rejected', reason: { message: 'database or disk is full' } });
  }
  expect(store.list('pods')).toEqual([first]);
  expect(store.revision).toBe(1);
  expect(heard).toEqual([]);
  expect((await store.create('pods', pod('c'))).metadata.resourceVersion).toBe('2');
});

test('what cannot be encoded, or comes after close, is refused without a trace', async () => {
  const store = memory();
  const circular = pod('b');
  await expect(store.create('pods', Object.assign(circular, { self: circular }))).rejects.toThrow('circular');
  expect(store.revision).toBe(0);
  expect(store.list('pods')).toEqual([]);
  store.close();
  await expect(store.create('pods', pod('d'))).rejects.toThrow('the store is closed');
});
