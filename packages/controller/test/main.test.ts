import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SyncClient } from '@podwire/sync/client';
import { joinCluster } from '@podwire/sync/join';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';

const directory = mkdtempSync(join(tmpdir(), 'controller-'));
const stateDir = join(directory, 'state');
const labFile = join(directory, 'lab.json');
const running = new Set<ChildProcess>();
let port = 0;

beforeAll(async () => {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.2', resolve));
  port = (probe.address() as AddressInfo).port;
  await new Promise((resolve) => probe.close(resolve));
  writeFileSync(labFile, JSON.stringify({ name: 'lab', controller: { address: '127.0.0.2', port } }));
});

afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

interface Run {
  child: ChildProcess;
  ready: Promise<{ ready: boolean; url: string } | undefined>;
  exit: Promise<{ code: number | null; stderr: string }>;
}

function run(...args: string[]): Run {
  const main = join(import.meta.dirname, '../src/main.ts');
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let stderr = '';
  child.stderr!.on('data', (data) => (stderr += data));
  const exit = new Promise<{ code: number | null; stderr: string }>((resolve) =>
    child.on('close', (code) => {
      running.delete(child);
      resolve({ code, stderr });
    }),
  );
  const ready = new Promise<{ ready: boolean; url: string } | undefined>((resolve) => {
    createInterface(child.stdout!)
      .once('line', (line) => resolve(JSON.parse(line)))
      .once('close', () => resolve(undefined));
  });
  return { child, ready, exit };
}

const start = () => run('--lab', labFile, '--state-dir', stateDir);

function get(path: string): Promise<{ status: number; body: { items: { metadata: { name: string } }[] } }> {
  const config = parse(readFileSync(join(stateDir, 'kubeconfig'), 'utf8'));
  const decode = (text: string) => Buffer.from(text, 'base64').toString();
  const { server, 'certificate-authority-data': ca } = config.clusters[0].cluster;
  const { 'client-certificate-data': cert, 'client-key-data': key } = config.users[0].user;
  const tls = { ca: decode(ca), cert: decode(cert), key: decode(key), agent: false };
  return new Promise((resolve, reject) => {
    request(new URL(path, server), tls, (response) => {
      let text = '';
      response.on('data', (data) => (text += data));
      response.on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) }));
    })
      .on('error', reject)
      .end();
  });
}

test('serves, survives SIGKILL without its peers losing anything, and ends on SIGTERM', async () => {
  const first = start();
  expect(await first.ready).toEqual({ ready: true, url: `https://127.0.0.2:${port}` });
  for (const file of ['kubeconfig', 'join.json', 'store.db']) {
    expect(statSync(join(stateDir, file)).mode & 0o077, file).toBe(0);
  }
  const { body } = await get('/api/v1/namespaces');
  expect(body.items.map(({ metadata }) => metadata.name)).toContain('kube-system');

  const { url, caPem, token } = JSON.parse(readFileSync(join(stateDir, 'join.json'), 'utf8'));
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const asked = { nodeName: 'node-1', addresses: ['127.0.0.2'], publicKey: spki };
  const joined = await joinCluster({ url, ca: caPem, token }, asked);
  expect(new X509Certificate(joined.certificatePem).subject).toContain('system:node:node-1');
  expect(joined.caPem).toBe(caPem);
  await expect(joinCluster({ url, ca: caPem, token: 'guessed' }, asked)).rejects.toThrow('answers 401');

  const client = new SyncClient({
    ...{ url, ca: caPem, token, role: 'agent', nodeName: 'node-1' },
    nowMs: () => Date.now(),
    random32: () => 7,
    log: { info: () => {}, warn: () => {} },
  });
  const synced = () => new Promise<void>((resolve) => client.once('synced', resolve));
  const firstSync = synced();
  client.connect();
  await firstSync;
  expect(client.state.get('services', 'kube-system', 'kube-dns')).toMatchObject({
    spec: { clusterIP: '10.96.0.10' },
  });
  const kept = client.state.list('services').length;

  first.child.kill('SIGKILL');
  await first.exit;
  expect(client.state.list('services')).toHaveLength(kept);
  const resumed = new Promise((resolve) => client.once('connected', (event) => resolve(event.resumed)));
  const second = start();
  await second.ready;
  const servedMs = performance.now();
  expect(await resumed).toBe(true);
  expect(performance.now() - servedMs).toBeLessThan(500);
  await client.close();

  second.child.kill('SIGTERM');
  expect((await second.exit).code).toBe(0);
});

test('names a port that is taken', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(port, '127.0.0.2', resolve));
  const { code, stderr } = await start().exit;
  holder.close();
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `Cannot serve the API on 127.0.0.2:${port}: the port is in use by another process; stop it, or choose another address in the lab file\n`,
  });
});

test('says in one line what is wrong with its arguments', async () => {
  expect(await run('--lab', 'nowhere.json', '--state-dir', stateDir).exit).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^Cannot read the lab file nowhere.json: ENOENT.*\n$/),
  });
  expect(await run('--lab', labFile).exit).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('--lab and --state-dir are needed'),
  });
  const never = join(directory, 'never');
  expect(await run('--lab', labFile, '--state-dir', never, '--colour').exit).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^Unknown option '--colour'/),
  });
  expect(existsSync(never)).toBe(false);
});
