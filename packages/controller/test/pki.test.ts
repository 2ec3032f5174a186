import { spawnSync } from 'node:child_process';
import {
  createPrivateKey,
  type createPublicKey,
  generateKeyPairSync,
  randomBytes,
  X509Certificate,
} from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { kubeconfigYaml, openPki, type PkiOptions } from '../src/pki.ts';

const directory = mkdtempSync(join(tmpdir(), 'pki-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const SERVER_NAMES = ['127.0.0.1', '10.96.0.1', 'fd00:10:96::1', 'localhost', 'kubernetes.default.svc'];
const optionsFor = (name: string, more: Partial<PkiOptions> = {}): PkiOptions => ({
  directory: join(directory, name),
  serverNames: SERVER_NAMES,
  nowMs: () => Date.now(),
  randomBytes,
  ...more,
});
const pki = await openPki(optionsFor('one'));
const nodeKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const nodeCertPem = await pki.issueNodeCertificate({
  name: 'node-1',
  addresses: ['127.0.0.1'],
  publicKeySpki: nodeKeys.publicKey.export({ type: 'spki', format: 'der' }),
});

describe('certificates', () => {
  test('name what they are for', () => {
    const ca = new X509Certificate(pki.caPem);
    const server = new X509Certificate(pki.server.certPem);
    expect(ca.ca).toBe(true);
    expect(ca.verify(ca.publicKey)).toBe(true);
    expect(server.ca).toBe(false);
    expect(server.verify(ca.publicKey)).toBe(true);
    expect(server.checkIssued(ca)).toBe(true);
    for (const name of ['localhost', 'kubernetes.default.svc'])
      expect(server.checkHost(name), name).toBe(name);
    for (const ip of ['127.0.0.1', '10.96.0.1', 'fd00:10:96::1']) expect(server.checkIP(ip), ip).toBe(ip);
    expect(server.checkHost('evil.example')).toBeUndefined();
    expect(new X509Certificate(pki.admin.certPem).subject).toBe('O=system:masters\nCN=kubernetes-admin');
    expect(new X509Certificate(nodeCertPem).subject).toBe('O=system:nodes\nCN=system:node:node-1');
    expect(new X509Certificate(nodeCertPem).checkIP('127.0.0.1')).toBe('127.0.0.1');
  });

  test('serial numbers differ', () => {
    const serials = [pki.caPem, pki.server.certPem, pki.admin.certPem, nodeCertPem].map(
      (pem) => new X509Certificate(pem).serialNumber,
    );
    expect(new Set(serials).size).toBe(4);
  });

  const openssl = spawnSync('openssl', ['version']).status === 0;
  test.skipIf(!openssl)('openssl verifies the chains and their purposes', async () => {
    const file = (name: string, text: string) => {
      const path = join(directory, name);
      writeFileSync(path, text);
      return path;
    };
    const ca = file('ca.pem', pki.caPem);
    const verify = (purpose: string, pem: string) =>
      spawnSync(
        'openssl',
        ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', ca, file('leaf.pem', pem)],
        {
          encoding: 'utf8',
        },
      );
    for (const [purpose, pem] of [
      ['sslserver', pki.server.certPem],
      ['sslclient', pki.admin.certPem],
      ['sslclient', pki.kubeletClient.certPem],
      ['sslserver', nodeCertPem],
      ['sslclient', nodeCertPem],
    ] as const) {
      const { status, stderr } = verify(purpose, pem);
      expect({ status, stderr }, purpose).toEqual({ status: 0, stderr: '' });
    }
    expect(verify('sslserver', pki.admin.certPem).status).not.toBe(0);
    const stranger = await openPki(optionsFor('stranger'));
    expect(verify('sslserver', stranger.server.certPem).status).not.toBe(0);
  });

  test('TLS with certificates on both sides', async () => {
    const server = createServer({
      cert: pki.server.certPem,
      key: pki.server.keyPem,
      ca: pki.caPem,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const subjects: unknown[] = [];
    server.on('secureConnection', (socket: TLSSocket) => {
      subjects.push(socket.getPeerCertificate().subject);
      socket.end('hello');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const said = await new Promise<string>((resolve, reject) => {
      const socket = connect({
        port,
        host: '127.0.0.1',
        ca: pki.caPem,
        cert: pki.admin.certPem,
        key: pki.admin.keyPem,
      });
      socket.on('data', (data) => resolve(String(data))).on('error', reject);
    });
    server.close();
    expect(said).toBe('hello');
    expect(subjects).toEqual([{ O: 'system:masters', CN: 'kubernetes-admin' }]);
  });
});

describe('the directory', () => {
  test('keys are for the owner only', () => {
    const path = join(directory, 'one');
    for (const file of readdirSync(path).filter((name) => /\.key$|token/.test(name))) {
      expect(statSync(join(path, file)).mode & 0o777, file).toBe(0o600);
    }
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  test('is read again, not made again', async () => {
    const again = await openPki(optionsFor('one'));
    expect({ ...again, issueNodeCertificate: 0 }).toEqual({ ...pki, issueNodeCertificate: 0 });
  });

  test('that is whole is opened without loading what makes certificates', () => {
    const script = `
      import { openPki } from ${JSON.stringify(import.meta.resolve('../src/pki.ts'))};
      await openPki({ directory: ${JSON.stringify(join(directory, 'one'))}, serverNames: ['localhost'], nowMs: Date.now });
      process.stdout.write(typeof Reflect.getMetadata);`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'undefined', stderr: '' });
  });

  test('a new name of the server gets a new certificate over the same key', async () => {
    await openPki(optionsFor('moved'));
    const before = readFileSync(join(directory, 'moved', 'apiserver.crt'), 'utf8');
    const moved = await openPki(optionsFor('moved', { serverNames: [...SERVER_NAMES, 'controller'] }));
    const certificate = new X509Certificate(moved.server.certPem);
    expect(moved.server.certPem).not.toBe(before);
    expect(certificate.checkHost('controller')).toBe('controller');
    expect(certificate.checkPrivateKey(createPrivateKey(moved.server.keyPem))).toBe(true);
    expect((await openPki(optionsFor('moved'))).server).toEqual(moved.server);
  });

  test('a server certificate near its end is renewed', async () => {
    const old = await openPki(optionsFor('old', { nowMs: () => Date.now() - 3640 * 86_400_000 }));
    const renewed = await openPki(optionsFor('old'));
    expect(renewed.server.certPem).not.toBe(old.server.certPem);
  });
});

test('only P-256 keys are certified', async () => {
  const spki = (keys: { publicKey: ReturnType<typeof createPublicKey> }) =>
    keys.publicKey.export({ type: 'spki', format: 'der' });
  const certify = (publicKeySpki: Buffer) =>
    pki.issueNodeCertificate({ name: 'node-2', addresses: [], publicKeySpki });
  await expect(certify(spki(generateKeyPairSync('ec', { namedCurve: 'P-384' })))).rejects.toThrow(
    'not P-256',
  );
  await expect(certify(spki(generateKeyPairSync('ed25519')))).rejects.toThrow('not P-256');
  await expect(certify(randomBytes(91))).rejects.toThrow('not P-256');
});

test('the kubeconfig is YAML that kubectl reads', () => {
  const config = parse(kubeconfigYaml('lab', 'https://127.0.0.10:6443', pki.caPem, pki.admin));
  expect(config['current-context']).toBe('lab');
  expect(config.clusters[0].cluster.server).toBe('https://127.0.0.10:6443');
  expect(Buffer.from(config.users[0].user['client-key-data'], 'base64').toString()).toBe(pki.admin.keyPem);
});
