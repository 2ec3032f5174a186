import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { LOOPBACK_CERTIFICATE } from '@podwire/testkit/loopback-certificate';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { SyncClient } from '../src/client.ts';
import { emitClientFrame, emitServerFrame, parseServerFrame } from '../src/codec.ts';
import type { Hello, ServerFrame } from '../src/gen/sync-proto.ts';
import { CLOSE, type Report, SYNC_PATH } from '../src/types.ts';
import {
  everything,
  FakeStore,
  newClient,
  recordChanges,
  startHub,
  type TestHub,
  TOKEN,
  until,
  WHOLE,
} from './harness.ts';

const hubs: TestHub[] = [];
const clients: SyncClient[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all(hubs.splice(0).map((hub) => hub.kill()));
});

async function hubOf(...args: Parameters<typeof startHub>): Promise<TestHub> {
  const hub = await startHub(...args);
  hubs.push(hub);
  return hub;
}

function join(url: string, options: Parameters<typeof newClient>[1] = {}): SyncClient {
  const client = newClient(url, options);
  clients.push(client);
  client.connect();
  return client;
}

const names = (client: SyncClient, resource: string) =>
  client.state.list(resource).map((object) => `${object.metadata.namespace}/${object.metadata.name}`);

describe('state', () => {
  test('a snapshot, then deltas', async () => {
    const store = new FakeStore();
    store.put('services', 'default', 'web', { spec: { clusterIP: '10.96.0.9' } });
    store.put('deployments.apps', 'default', 'web');
    const { url } = await hubOf(store);
    const client = join(url);
    const changes = recordChanges(client);
    await until(() => client.state.synced, 'snapshot');
    expect(client.state.get('services', 'default', 'web')).toMatchObject({
      spec: { clusterIP: '10.96.0.9' },
    });
    expect(client.settings?.clusterDNS).toEqual(['10.96.0.10']);
    expect(client.state.revision).toBe(2);

    store.put('pods', 'default', 'a');
    store.put('services', 'default', 'web', { spec: { clusterIP: '10.96.0.10' } });
    await until(() => client.state.revision === 4, 'delta');
    expect(client.state.get('services', 'default', 'web')).toMatchObject({
      spec: { clusterIP: '10.96.0.10' },
    });
    store.remove('pods', 'default', 'a');
    await until(() => client.state.revision === 5, 'removal');
    expect(client.state.list('pods')).toEqual([]);
    expect(changes).toEqual([
      'ADDED services default/web',
      'ADDED pods default/a',
      'MODIFIED services default/web',
      'DELETED pods default/a',
    ]);
  });

  test('a large snapshot comes in chunks and as one change', async () => {
    const store = new FakeStore();
    for (let i = 0; i < 500; i++) store.put('pods', 'default', `pod-${i}`, { data: 'x'.repeat(2000) });
    const { url } = await hubOf(store, { limits: { chunkBytes: 64 << 10 } });
    const client = join(url);
    let told = 0;
    client.on('change', () => told++);
    await until(() => client.state.synced, 'snapshot');
    expect(client.state.list('pods')).toHaveLength(500);
    expect(told).toBe(1);
  });

  test('each object is encoded once for all agents', async () => {
    const store = new FakeStore();
    for (let i = 0; i < 10; i++) store.put('pods', 'default', `pod-${i}`);
    const { hub, url } = await hubOf(store);
    const agents = ['node-1', 'node-2', 'node-3'].map((nodeName) => join(url, { nodeName }));
    await until(() => agents.every((agent) => agent.state.synced), 'snapshots');
    store.put('pods', 'default', 'pod-0', { changed: true });
    await until(() => agents.every((agent) => agent.state.revision === 11), 'deltas');
    expect(hub.encoder.encoded).toBe(11);
  });

  test('an object whose visibility depends on another comes and goes with it', async () => {
    const store = new FakeStore();
    store.put('configmaps', 'a', 'settings');
    store.put('configmaps', 'b', 'settings');
    // Config maps show while their namespace has a pod.
    const interest = () => {
      const pods = () => new Set(store.list('pods').map((pod) => pod.metadata.namespace));
      let shown = pods();
      return {
        resources: ['pods', 'configmaps'],
        scoped: ['configmaps'],
        view: (resource: string, object: { metadata: { namespace?: string } }) =>
          resource === 'pods' || (resource === 'configmaps' && shown.has(object.metadata.namespace))
            ? WHOLE
            : undefined,
        observe: () => {
          const before = shown;
          shown = pods();
          return [...before.symmetricDifference(shown)].map((namespace) => ({
            resource: 'configmaps',
            namespace: namespace!,
          }));
        },
      };
    };
    const first = await hubOf(store, { interest });
    const client = join(first.url);
    await until(() => client.state.synced, 'snapshot');
    expect(names(client, 'configmaps')).toEqual([]);
    store.put('pods', 'a', 'one');
    await until(() => names(client, 'configmaps').length > 0, 'config map of the namespace');
    expect(names(client, 'configmaps')).toEqual(['a/settings']);

    await first.kill();
    hubs.splice(0);
    store.remove('pods', 'a', 'one');
    store.put('pods', 'b', 'two');
    await hubOf(store, { interest }, first.port);
    await until(() => client.state.revision === store.revision(), 'resumption');
    expect(names(client, 'configmaps')).toEqual(['b/settings']);
    store.remove('pods', 'b', 'two');
    await until(() => names(client, 'configmaps').length === 0, 'nothing left');
  });

  test('a change that does not show in the view is not sent', async () => {
    const store = new FakeStore();
    const view = {
      ...WHOLE,
      same: (a: object, b: object) =>
        JSON.stringify(a['spec' as never]) === JSON.stringify(b['spec' as never]),
    };
    const { url, hub } = await hubOf(store, { interest: () => ({ ...everything(), view: () => view }) });
    const client = join(url);
    await until(() => client.state.synced, 'snapshot');
    store.put('pods', 'a', 'one', { spec: 1, status: 1 });
    await until(() => client.state.list('pods').length === 1, 'the pod');
    store.put('pods', 'a', 'one', { spec: 1, status: 2 });
    store.put('pods', 'a', 'two', { spec: 1 });
    await until(() => client.state.list('pods').length === 2, 'the other pod');
    expect(client.state.get('pods', 'a', 'one')).toMatchObject({ status: 1 });
    expect(hub.encoder.encoded).toBe(2);
  });
});

describe('reconnecting', () => {
  test('resumes with what was missed when history still covers it', async () => {
    const store = new FakeStore();
    store.put('services', 'default', 'web');
    store.put('services', 'default', 'old');
    const first = await hubOf(store);
    const client = join(first.url);
    await until(() => client.state.synced, 'snapshot');
    const changes = recordChanges(client);
    const resumed: boolean[] = [];
    client.on('connected', (event) => resumed.push(event.resumed));
    await first.kill();
    await until(() => !client.connected, 'loss');
    expect(names(client, 'services')).toEqual(['default/web', 'default/old']);
    store.put('pods', 'default', 'a');
    store.remove('services', 'default', 'old');
    store.put('deployments.apps', 'default', 'unseen');
    const second = await hubOf(store, {}, first.port);
    await until(() => client.state.revision === store.revision(), 'resumption');
    expect(resumed).toEqual([true]);
    expect(changes).toEqual(['ADDED pods default/a', 'DELETED services default/old']);
    expect(second.hub.encoder.encoded).toBe(1);
  });

  test('takes a snapshot when history is lost, and tells only of what differs', async () => {
    const store = new FakeStore();
    store.put('services', 'default', 'web');
    store.put('services', 'default', 'old');
    const first = await hubOf(store);
    const client = join(first.url);
    await until(() => client.state.synced, 'snapshot');
    const changes = recordChanges(client);
    await first.kill();
    store.remove('services', 'default', 'old');
    store.put('pods', 'default', 'a');
    store.compacted = store.revision();
    const second = await hubOf(store, {}, first.port);
    await until(() => client.state.revision === store.revision(), 'new snapshot');
    expect(changes.sort()).toEqual(['ADDED pods default/a', 'DELETED services default/old']);
    expect(second.hub.encoder.encoded).toBe(2);
  });

  test('another store: revisions mean nothing, contents are compared', async () => {
    const store = new FakeStore();
    store.put('services', 'default', 'web', { spec: 1 });
    store.put('services', 'default', 'api', { spec: 1 });
    const first = await hubOf(store);
    const client = join(first.url);
    await until(() => client.state.synced, 'snapshot');
    const changes = recordChanges(client);
    await first.kill();
    const other = new FakeStore();
    other.instanceId = 'store-2';
    other.put('services', 'default', 'web', { spec: 1 });
    other.put('services', 'default', 'api', { spec: 2 });
    await hubOf(other, {}, first.port);
    await until(() => client.state.instanceId === 'store-2', 'the other store');
    expect(changes).toEqual(['MODIFIED services default/api']);
  });

  test('a controller that is back is found within half a second', async () => {
    const store = new FakeStore();
    const first = await hubOf(store);
    const client = join(first.url);
    await until(() => client.connected, 'connection');
    await first.kill();
    await new Promise((resolve) => setTimeout(resolve, 700));
    await hubOf(store, {}, first.port);
    const startMs = performance.now();
    await until(() => client.connected, 'connection');
    expect(performance.now() - startMs).toBeLessThan(500);
  });

  test('an idle peer moves on with the store, so that it can still resume later', async () => {
    const store = new FakeStore();
    const { url } = await hubOf(store, { limits: { pingIntervalMs: 20 } });
    const client = join(url);
    await until(() => client.state.synced, 'snapshot');
    for (let i = 0; i < 5; i++) store.put('leases.coordination.k8s.io', 'kube-node-lease', `node-${i}`);
    await until(() => client.state.revision === 5, 'revision without changes');
    expect(client.connected).toBe(true);
  });

  test('a second connection of a node takes over', async () => {
    const store = new FakeStore();
    const { url, hub } = await hubOf(store);
    const first = join(url);
    const codes: number[] = [];
    first.on('disconnected', ({ code }) => codes.push(code));
    await until(() => first.connected, 'first');
    await first.close();
    const second = join(url);
    await until(() => second.connected, 'second');
    expect(hub.peers().map((peer) => peer.nodeName)).toEqual(['node-1']);
    const third = join(url);
    await until(() => third.connected, 'third');
    await second.close();
    expect(hub.peers()).toHaveLength(1);
  });
});

describe('refusals', () => {
  test('a refused delta leaves the last good state, and comes again with the next change', async () => {
    const store = new FakeStore();
    store.put('services', 'default', 'web', { spec: 'good' });
    const { url, hub, refusals } = await hubOf(store);
    const client = join(url, {
      validate: (changes) => {
        const bad = changes.find(({ object }) => object.spec === 'bad');
        if (bad) throw new Error(`cannot use service ${bad.object.metadata.name}`);
      },
    });
    await until(() => client.state.synced, 'snapshot');
    store.put('services', 'default', 'web', { spec: 'bad' });
    store.put('services', 'default', 'other', { spec: 'good' });
    await until(() => refusals.length === 1, 'refusal');
    expect(refusals).toEqual(['cannot use service web']);
    expect(hub.peers()[0]).toMatchObject({ revision: 1, refusal: 'cannot use service web' });
    expect(client.state.get('services', 'default', 'web')).toMatchObject({ spec: 'good' });
    expect(client.state.get('services', 'default', 'other')).toBeUndefined();

    store.put('services', 'default', 'web', { spec: 'better' });
    await until(() => client.state.revision === 4, 'recovery');
    expect(client.state.get('services', 'default', 'web')).toMatchObject({ spec: 'better' });
    expect(client.state.get('services', 'default', 'other')).toMatchObject({ spec: 'good' });
    expect(refusals).toEqual(['cannot use service web', '']);
  });

  test('a refused snapshot is offered again as a snapshot', async () => {
    const store = new FakeStore();
    store.put('services', 'default', 'web', { spec: 'bad' });
    const { url, refusals } = await hubOf(store);
    const client = join(url, {
      validate: (changes) => {
        if (changes.some(({ object }) => object.spec === 'bad')) throw new Error('no');
      },
    });
    await until(() => refusals.length === 1, 'refusal');
    expect(client.state.synced).toBe(false);
    store.put('services', 'default', 'web', { spec: 'good' });
    await until(() => client.state.synced, 'snapshot');
    expect(client.state.list('services')).toHaveLength(1);
  });

  test('a refused update is not offered again and again', async () => {
    const store = new FakeStore();
    store.put('services', 'default', 'web');
    let ticks = 0;
    const nowMs = () => ++ticks / 1000;
    const { url, hub } = await hubOf(store, { nowMs, limits: { pingIntervalMs: 5 } });
    let asked = 0;
    const client = join(url, {
      validate: () => {
        asked += 1;
        throw new Error('never');
      },
    });
    await until(() => hub.peers()[0]?.refusal === 'never', 'refusal');
    const before = ticks;
    await until(() => ticks > before + 10, 'some ticks of the hub');
    expect(asked).toBe(1);
    expect(client.connected).toBe(true);
  });

  test('a refused update is retried after a while even when nothing changes', async () => {
    const store = new FakeStore();
    let broken = true;
    store.put('services', 'default', 'web');
    const { url } = await hubOf(store, { limits: { refusedRetryMs: 50, pingIntervalMs: 20 } });
    const client = join(url, {
      validate: () => {
        if (broken) throw new Error('not now');
      },
    });
    await until(() => client.connected, 'connection');
    broken = false;
    await until(() => client.state.synced, 'retry');
  });
});

/** A peer that speaks by hand. */
async function rawPeer(url: string, token = TOKEN) {
  const socket = new WebSocket(url.replace('https', 'wss') + SYNC_PATH, {
    ca: LOOPBACK_CERTIFICATE,
    headers: { authorization: `Bearer ${token}` },
  });
  const frames: ServerFrame[] = [];
  const result = { socket, frames, code: 0, reason: '' };
  socket.on('message', (data: Buffer) => frames.push(parseServerFrame(data)!));
  socket.on('error', () => {});
  socket.on('close', (code, reason) => {
    result.code = code;
    result.reason = reason.toString();
  });
  await new Promise((resolve) => socket.once('open', resolve).once('close', resolve));
  return result;
}

const HELLO: Hello = { protocolVersion: 1, role: 1, nodeName: 'node-1', sessionId: 's' };
const hello = (fields: Partial<Hello> = {}) =>
  emitClientFrame({ kind: 'hello', value: { ...HELLO, ...fields } });

describe('slow peers', () => {
  test('changes of one key merge while an update is unanswered', async () => {
    const store = new FakeStore();
    const { url, hub } = await hubOf(store);
    const peer = await rawPeer(url);
    peer.socket.send(hello());
    await until(() => peer.frames.at(-1)?.kind === 'snapshotEnd', 'snapshot');
    for (let i = 1; i <= 1000; i++) {
      store.put('pods', 'default', `pod-${i % 10}`, { turn: i });
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    store.remove('pods', 'default', 'pod-0');
    expect(hub.peers()[0]).toMatchObject({ pending: 10 });
    const frames = peer.frames.length;
    peer.socket.send(emitClientFrame({ kind: 'ack', value: { nonce: '1', revision: 0 } }));
    await until(() => peer.frames.length > frames, 'delta');
    const delta = peer.frames.at(-1)!;
    expect(
      delta.kind === 'delta' && delta.value.resources.map((r) => JSON.parse(String(r.object)).turn),
    ).toEqual([991, 992, 993, 994, 995, 996, 997, 998, 999]);
    expect(delta).toMatchObject({
      value: { fromRevision: 0, toRevision: 1001, removed: [{ name: 'pod-0' }] },
    });
    expect(hub.encoder.encoded).toBe(9);
    peer.socket.terminate();
  });

  test('a peer too far behind is disconnected with a reason', async () => {
    const store = new FakeStore();
    const { url } = await hubOf(store, { limits: { maxPending: 50 } });
    const peer = await rawPeer(url);
    peer.socket.send(hello());
    await until(() => peer.frames.at(-1)?.kind === 'snapshotEnd', 'snapshot');
    for (let i = 0; i <= 50; i++) store.put('pods', 'default', `pod-${i}`);
    await until(() => peer.code !== 0, 'end');
    expect(peer).toMatchObject({ code: CLOSE.slowConsumer, reason: '51 changes wait' });
  });

  test('a peer that does not answer an update is disconnected', async () => {
    const { url } = await hubOf(new FakeStore(), { limits: { answerMs: 30, pingIntervalMs: 10 } });
    const peer = await rawPeer(url);
    peer.socket.send(hello());
    await until(() => peer.code !== 0, 'end');
    expect(peer.code).toBe(CLOSE.slowConsumer);
  });

  test('a peer that falls silent is disconnected', async () => {
    const { hub, url } = await hubOf(new FakeStore(), { limits: { silentIntervals: 3, pingIntervalMs: 10 } });
    const peer = await rawPeer(url);
    peer.socket.send(hello());
    await until(() => hub.peers().length === 1, 'welcome');
    // It reads no more, so it answers no ping.
    peer.socket.pause();
    await until(() => hub.peers().length === 0, 'the hub to give it up');
    peer.socket.resume();
    await until(() => peer.code !== 0, 'end');
    expect([CLOSE.silent, 1006]).toContain(peer.code);
  });

  test('a delta larger than a chunk comes in parts and is applied at once', async () => {
    const store = new FakeStore();
    const { url } = await hubOf(store, { limits: { chunkBytes: 4096 } });
    const client = join(url);
    await until(() => client.state.synced, 'snapshot');
    const sizes: number[] = [];
    client.on('change', (changes) => sizes.push(changes.length));
    for (let i = 0; i < 40; i++) store.put('pods', 'default', `pod-${i}`, { data: 'x'.repeat(1000) });
    await until(() => client.state.revision === 40, 'delta');
    expect(sizes).toEqual([40]);
  });
});

describe('what the controller refuses', () => {
  const cases: { name: string; send: Uint8Array | string; code: number }[] = [
    { name: 'bytes that are no frame', send: Buffer.from('ffffffff', 'hex'), code: CLOSE.malformedFrame },
    { name: 'a text message', send: 'hello', code: CLOSE.malformedFrame },
    { name: 'another protocol version', send: hello({ protocolVersion: 2 }), code: CLOSE.unsupportedVersion },
    { name: 'no role', send: hello({ role: 9 }), code: CLOSE.badHello },
    { name: 'a node name that is none', send: hello({ nodeName: '../x' }), code: CLOSE.badHello },
    {
      name: 'an answer before Hello',
      send: emitClientFrame({ kind: 'ack', value: { nonce: '1', revision: 1 } }),
      code: CLOSE.unexpectedFrame,
    },
    { name: 'a message that is too long', send: Buffer.alloc(70_000), code: CLOSE.frameTooLong },
  ];
  for (const { name, send, code } of cases) {
    test(name, async () => {
      const { url } = await hubOf(new FakeStore(), { limits: { maxFrameBytes: 65_536 } });
      const peer = await rawPeer(url);
      peer.socket.send(send);
      await until(() => peer.code !== 0, 'end');
      expect(peer.code).toBe(code);
    });
  }

  test('a second Hello, and an answer to no update', async () => {
    const { url } = await hubOf(new FakeStore());
    const [one, two] = [await rawPeer(url), await rawPeer(url)];
    one.socket.send(hello());
    one.socket.send(hello());
    two.socket.send(hello({ nodeName: 'node-2' }));
    two.socket.send(emitClientFrame({ kind: 'ack', value: { nonce: '77', revision: 1 } }));
    await until(() => one.code !== 0 && two.code !== 0, 'end');
    expect([one.code, two.code]).toEqual([CLOSE.unexpectedFrame, CLOSE.unexpectedFrame]);
  });

  test('nobody says Hello', async () => {
    const { url } = await hubOf(new FakeStore(), { limits: { helloMs: 20 } });
    const peer = await rawPeer(url);
    await until(() => peer.code !== 0, 'end');
    expect(peer.code).toBe(CLOSE.badHello);
  });

  test('a wrong credential gets 401 and no WebSocket', async () => {
    const { url } = await hubOf(new FakeStore());
    const logged: string[] = [];
    const client = join(url, {
      token: 'wrong',
      log: { info: () => {}, warn: (fields) => logged.push(String((fields as { reason?: string }).reason)) },
    });
    await until(() => logged.length > 0, 'warning');
    expect(logged[0]).toBe('the controller answers 401 Unauthorized');
    expect(client.connected).toBe(false);
  });

  test('random bytes, before and after Hello, end the connection and nothing else', async () => {
    const store = new FakeStore();
    const { url, port } = await hubOf(store);
    for (let i = 0; i < 20; i++) {
      const peer = await rawPeer(url);
      if (i % 2 === 0) peer.socket.send(hello({ nodeName: `node-${i}` }));
      for (let n = 0; n < 20; n++) peer.socket.send(randomBytes(1 + ((i * n) % 100)));
      await until(() => peer.code !== 0, 'end');
    }
    const plain = connect(port, '127.0.0.1', () => plain.end(randomBytes(300)));
    await new Promise((resolve) => plain.on('error', () => {}).on('close', resolve));
    const client = join(url);
    await until(() => client.state.synced, 'a good peer');
  });
});

describe('what the client refuses', () => {
  const welcome = (fields = {}): ServerFrame => ({
    kind: 'welcome',
    value: {
      protocolVersion: 1,
      instanceId: 'i',
      revision: 1,
      resumed: false,
      pingIntervalMs: 1000,
      settings: Buffer.from('{}'),
      ...fields,
    },
  });
  const delta = (fields = {}): ServerFrame => ({
    kind: 'delta',
    value: {
      nonce: '1',
      fromRevision: 3,
      toRevision: 4,
      more: false,
      replaced: [],
      removed: [],
      resources: [],
      ...fields,
    },
  });
  const begin: ServerFrame = { kind: 'snapshotBegin', value: { nonce: '1', revision: 3, resourceCount: 0 } };
  const end: ServerFrame = { kind: 'snapshotEnd', value: { nonce: '1' } };
  const cases: { name: string; frames: (ServerFrame | Uint8Array)[]; code: number }[] = [
    { name: 'noise', frames: [Buffer.from('ff00ff', 'hex')], code: CLOSE.malformedFrame },
    { name: 'a delta before Welcome', frames: [delta()], code: CLOSE.unexpectedFrame },
    { name: 'a delta without a snapshot', frames: [welcome(), delta()], code: CLOSE.unexpectedFrame },
    {
      name: 'a delta from elsewhere',
      frames: [welcome(), begin, end, delta({ fromRevision: 2 })],
      code: CLOSE.unexpectedFrame,
    },
    { name: 'a second Welcome', frames: [welcome(), welcome()], code: CLOSE.unexpectedFrame },
    { name: 'a snapshot in a snapshot', frames: [welcome(), begin, begin], code: CLOSE.unexpectedFrame },
    { name: 'an end without a begin', frames: [welcome(), end], code: CLOSE.unexpectedFrame },
    {
      name: 'settings that are no JSON',
      frames: [welcome({ settings: Buffer.from('{') })],
      code: CLOSE.malformedFrame,
    },
    { name: 'another version', frames: [welcome({ protocolVersion: 9 })], code: CLOSE.unsupportedVersion },
    {
      name: 'too many resources',
      frames: [welcome(), { kind: 'snapshotBegin', value: { nonce: '1', revision: 3, resourceCount: 1e6 } }],
      code: CLOSE.tooMany,
    },
  ];
  for (const { name, frames, code } of cases) {
    test(name, async () => {
      const { createServer } = await import('node:https');
      const { WebSocketServer } = await import('ws');
      const { LOOPBACK_KEY } = await import('@podwire/testkit/loopback-certificate');
      const server = createServer({ cert: LOOPBACK_CERTIFICATE, key: LOOPBACK_KEY });
      const sockets = new WebSocketServer({ server });
      const codes: number[] = [];
      sockets.on('connection', (socket) => {
        socket.on('close', (closeCode) => codes.push(closeCode));
        for (const frame of frames) socket.send(frame instanceof Uint8Array ? frame : emitServerFrame(frame));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const client = join(`https://127.0.0.1:${(server.address() as { port: number }).port}`);
      await until(() => codes.length > 0, 'end');
      expect(codes[0]).toBe(code);
      await client.close();
      for (const socket of sockets.clients) socket.terminate();
      server.close();
    });
  }
});

describe('reports', () => {
  const podStatus = (uid: string, phase: string): Report => ({
    kind: 'podStatus',
    namespace: 'default',
    name: uid,
    uid,
    status: { phase },
  });

  test('are merged by key while nobody listens, and delivered in order', async () => {
    const store = new FakeStore();
    const first = await hubOf(store);
    await first.kill();
    hubs.splice(0);
    const client = join(first.url);
    client.report(podStatus('a', 'Pending'));
    client.report(podStatus('b', 'Pending'));
    client.report(podStatus('a', 'Running'));
    client.report({ kind: 'heartbeat', ready: true });
    const { reports } = await hubOf(store, {}, first.port);
    client.report({ kind: 'podDeleted', namespace: 'default', name: 'a', uid: 'a' });
    await until(() => client.unacknowledgedReports === 0, 'acknowledgement');
    expect(reports).toEqual([
      podStatus('a', 'Running'),
      podStatus('b', 'Pending'),
      { kind: 'podDeleted', namespace: 'default', name: 'a', uid: 'a' },
    ]);
  });

  test('stay until the controller has them safe: a crash before the acknowledgement loses nothing', async () => {
    const store = new FakeStore();
    let asked = 0;
    const never = new Promise<never>(() => {});
    const first = await hubOf(store, {
      onReport: () => {
        asked += 1;
        return never;
      },
    });
    const client = join(first.url);
    await until(() => client.connected, 'connection');
    client.report(podStatus('a', 'Running'));
    await until(() => asked === 1, 'first delivery');
    client.report(podStatus('a', 'Failed'));
    client.report(podStatus('b', 'Running'));
    await first.kill();
    const { reports } = await hubOf(store, {}, first.port);
    await until(() => client.unacknowledgedReports === 0, 'acknowledgement');
    expect(reports).toEqual([podStatus('a', 'Failed'), podStatus('b', 'Running')]);
  });

  test('are sent again when the controller fails, and dropped when it refuses', async () => {
    const store = new FakeStore();
    let failures = 1;
    const seen: string[] = [];
    const { url } = await hubOf(store, {
      onReport: async (_peer, reports) => {
        if (failures-- > 0) throw new Error('disk full');
        return reports.map((report) => {
          seen.push(report.kind);
          return report.kind === 'event' ? 'Event "x" is invalid' : undefined;
        });
      },
    });
    const warnings: string[] = [];
    const client = join(url, {
      limits: { reportRetryMs: 30 },
      log: { info: () => {}, warn: (fields) => warnings.push(JSON.stringify(fields)) },
    });
    await until(() => client.connected, 'connection');
    client.report({ kind: 'event', event: { apiVersion: 'v1', kind: 'Event', metadata: { name: 'x' } } });
    client.report(podStatus('a', 'Running'));
    await until(() => client.unacknowledgedReports === 0, 'acknowledgement');
    expect(seen).toEqual(['event', 'podStatus']);
    expect(warnings).toEqual(['{"error":"Event \\"x\\" is invalid"}']);
  });

  test('the node describes itself at each connect; heartbeats arrive while connected', async () => {
    const node = {
      labels: {},
      annotations: {},
      status: { addresses: [], capacity: {}, allocatable: {}, nodeInfo: {} },
    };
    const { url, reports } = await hubOf(new FakeStore());
    const client = join(url, { node });
    await until(() => client.connected, 'connection');
    client.report({ kind: 'heartbeat', ready: false, reason: 'Starting' });
    await until(() => reports.length === 2, 'both');
    expect(reports).toContainEqual({ kind: 'node', node });
    expect(reports).toContainEqual({ kind: 'heartbeat', ready: false, reason: 'Starting', message: '' });
  });

  test('close waits for what is under way', async () => {
    const { url, reports } = await hubOf(new FakeStore());
    const client = join(url);
    await until(() => client.connected, 'connection');
    client.report(podStatus('a', 'Succeeded'));
    await client.close({ flushMs: 2_000 });
    expect(reports).toEqual([podStatus('a', 'Succeeded')]);
  });
});
