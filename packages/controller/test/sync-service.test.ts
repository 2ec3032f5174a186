import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeObject } from '@podwire/kube/object';
import { SyncClient } from '@podwire/sync/client';
import { joinCluster } from '@podwire/sync/join';
import { type ClusterSettings, JOIN_PATH } from '@podwire/sync/types';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { handleJoin } from '../src/hub/join.ts';
import { type SyncService, startSyncService } from '../src/hub/sync-service.ts';
import type { Lab } from '../src/lab.ts';
import { openPki } from '../src/pki.ts';
import { configMap, pod, startApi, type TestApi } from './hub-api.ts';

const directory = mkdtempSync(join(tmpdir(), 'sync-service-'));
const pki = await openPki({
  directory: join(directory, 'pki'),
  serverNames: ['127.0.0.1'],
  nowMs: () => Date.now(),
  randomBytes,
});
const lab: Lab = {
  name: 'lab',
  mode: 'ebpf',
  ipFamilies: ['IPv4'],
  podCIDRs: ['10.244.0.0/16'],
  serviceCIDRs: ['10.96.0.0/16'],
  controller: { address: '127.0.0.1', port: 0 },
  nodes: [],
  probeDelayScale: 0.02,
  nodeGraceSeconds: 2,
  evictionSeconds: 1,
  vni: 1,
  mtu: 1450,
};
const log = { info: () => {}, warn: () => {} };
const server = createServer({ cert: pki.server.certPem, key: pki.server.keyPem }, (request, response) => {
  if (request.url === JOIN_PATH) void handleJoin(pki, request, response);
  else response.writeHead(404).end();
});
let test_: TestApi;
let service: SyncService;
let url = '';
const clients: SyncClient[] = [];

beforeAll(async () => {
  test_ = await startApi();
  service = startSyncService({
    ...test_,
    labNodes: () => lab.nodes,
    settings: { mode: lab.mode } as ClusterSettings,
    joinToken: pki.token,
    nowMs: () => test_.clock.nowMs,
    log,
  });
  server.on('upgrade', (request, socket, head) => service.handleUpgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await service.stop();
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

function connect(nodeName: string): SyncClient {
  const client = new SyncClient({
    url,
    ca: pki.caPem,
    token: pki.token,
    role: 'agent',
    nodeName,
    node: {
      labels: {},
      annotations: {},
      status: { addresses: [], capacity: {}, allocatable: {}, nodeInfo: {} },
    },
    nowMs: () => Date.now(),
    random32: () => randomBytes(4).readUInt32LE(),
    log,
  });
  clients.push(client);
  client.connect();
  return client;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 2000) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('an agent joins, runs a pod and sees it go, all through the API', async () => {
  const { api } = test_;
  const agent = connect('node-1');
  const other = connect('node-2');
  await until(() => agent.state.synced && other.state.synced, 'snapshots');
  expect(agent.settings?.mode).toBe('ebpf');
  agent.report({ kind: 'heartbeat', ready: true });
  await until(() => agent.state.list('nodes').length === 2, 'both Nodes');
  expect(service.peers().map(({ nodeName }) => nodeName)).toEqual(['node-1', 'node-2']);

  await api.create('configmaps', configMap('settings', 'default', 'x'));
  const { metadata } = await api.create('pods', pod('a', 'node-1'));
  const { uid } = metadata;
  await until(() => agent.state.list('pods').length === 1, 'the pod');
  expect(agent.state.get('configmaps', 'default', 'settings')).toMatchObject({ data: { value: 'x' } });
  await until(() => other.state.list('pods').length === 1, 'the trimmed pod');
  expect(other.state.get('configmaps', 'default', 'settings')).toBeUndefined();
  expect(other.state.list<KubeObject & { spec: object }>('pods')[0]!.spec).not.toHaveProperty(
    'serviceAccountName',
  );

  const status = { phase: 'Running', podIP: '10.244.1.5', podIPs: [{ ip: '10.244.1.5' }] };
  agent.report({ kind: 'podStatus', namespace: 'default', name: 'a', uid: uid!, status });
  await until(
    () =>
      api.get<KubeObject & { status: { phase: string } }>('pods', 'default', 'a')?.status.phase === 'Running',
    'status',
  );
  await until(
    () => 'podIP' in (other.state.list('pods')[0]!.status as object),
    'the address on the other node',
  );

  await api.delete('pods', 'default', 'a');
  await until(() => agent.state.list('pods')[0]!.metadata.deletionTimestamp !== undefined, 'deletion');
  agent.report({ kind: 'podDeleted', namespace: 'default', name: 'a', uid: uid! });
  await until(() => other.state.list('pods').length === 0, 'removal');
  await until(() => agent.state.list('configmaps').length === 0, 'config gone with the last pod');
  expect(api.get('pods', 'default', 'a')).toBeUndefined();
});

describe('joining', () => {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = keys.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const ask = (body: object, token = pki.token) =>
    joinCluster({ url, ca: pki.caPem, token }, body as Parameters<typeof joinCluster>[1]);

  test('certifies the key an agent brings', async () => {
    const answer = await ask({ nodeName: 'node-1', addresses: ['127.0.0.11'], publicKey });
    const certificate = new X509Certificate(answer.certificatePem);
    expect(certificate.checkPrivateKey(keys.privateKey)).toBe(true);
    expect(certificate.checkIP('127.0.0.11')).toBe('127.0.0.11');
    expect(certificate.verify(new X509Certificate(answer.caPem).publicKey)).toBe(true);
  });

  test('refuses in words', async () => {
    const good = { nodeName: 'node-1', addresses: [], publicKey };
    await expect(ask(good, 'wrong')).rejects.toThrow(
      'it answers 401 the join credential is missing or wrong',
    );
    await expect(ask({ ...good, nodeName: 'Node 1' })).rejects.toThrow('400 nodeName is no DNS name');
    await expect(ask({ ...good, addresses: ['a b'] })).rejects.toThrow('400 addresses must be');
    await expect(ask({ ...good, publicKey: 'AAAA' })).rejects.toThrow('its public key is not P-256');
    await expect(ask({ ...good, publicKey: 'A'.repeat(20_000) })).rejects.toThrow();
    await expect(
      joinCluster({ url: 'https://127.0.0.1:1', ca: pki.caPem, token: 'x' }, good),
    ).rejects.toThrow('Cannot join the cluster at https://127.0.0.1:1: connect ECONNREFUSED');
  });
});
