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
import * as der from '../src/pki/der.ts';
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
const pki = openPki(optionsFor('one'));
const nodeKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const nodeCertPem = pki.issueNodeCertificate({
  name: 'node-1',
  addresses: ['127.0.0.1'],
  publicKeySpki: nodeKeys.publicKey.export({ type: 'spki', format: 'der' }),
});

describe('DER', () => {
  const hex = (bytes: Buffer) => bytes.toString('hex');

  test('integers are positive and minimal', () => {
    expect(hex(der.integer(2))).toBe('020102');
    expect(hex(der.integer(Buffer.from('80', 'hex')))).toBe('02020080');
    expect(hex(der.integer(Buffer.from('00007f', 'hex')))).toBe('02017f');
  });

  test('lengths take the short form below 128', () => {
    expect(hex(der.octetString(Buffer.alloc(127))).slice(0, 4)).toBe('047f');
    expect(hex(der.octetString(Buffer.alloc(128))).slice(0, 6)).toBe('048180');
    expect(hex(der.octetString(Buffer.alloc(300))).slice(0, 8)).toBe('0482012c');
  });

  test('object identifiers, times, booleans', () => {
    expect(hex(der.objectIdentifier('1.2.840.10045.4.3.2'))).toBe('06082a8648ce3d040302');
    expect(der.time(Date.UTC(2049, 11, 31, 23, 59, 59)).toString('latin1', 2)).toBe('491231235959Z');
    expect(der.time(Date.UTC(2050, 0, 1)).toString('latin1', 2)).toBe('20500101000000Z');
    expect(hex(der.boolean(true))).toBe('0101ff');
  });
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
  test.skipIf(!openssl)('openssl verifies the chains and their purposes', () => {
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
    const stranger = openPki(optionsFor('stranger'));
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

  test('is read again, not made again', () => {
    const again = openPki(optionsFor('one'));
    expect({ ...again, issueNodeCertificate: 0 }).toEqual({ ...pki, issueNodeCertificate: 0 });
  });

  test('a new name of the server gets a new certificate over the same key', () => {
    openPki(optionsFor('moved'));
    const before = readFileSync(join(directory, 'moved', 'apiserver.crt'), 'utf8');
    const moved = openPki(optionsFor('moved', { serverNames: [...SERVER_NAMES, 'controller'] }));
    const certificate = new X509Certificate(moved.server.certPem);
    expect(moved.server.certPem).not.toBe(before);
    expect(certificate.checkHost('controller')).toBe('controller');
    expect(certificate.checkPrivateKey(createPrivateKey(moved.server.keyPem))).toBe(true);
    expect(openPki(optionsFor('moved')).server).toEqual(moved.server);
  });

  test('a server certificate near its end is renewed', () => {
    const old = openPki(optionsFor('old', { nowMs: () => Date.now() - 3640 * 86_400_000 }));
    const renewed = openPki(optionsFor('old'));
    expect(renewed.server.certPem).not.toBe(old.server.certPem);
  });
});

test('only P-256 keys are certified', () => {
  const spki = (keys: { publicKey: ReturnType<typeof createPublicKey> }) =>
    keys.publicKey.export({ type: 'spki', format: 'der' });
  const certify = (publicKeySpki: Buffer) => () =>
    pki.issueNodeCertificate({ name: 'node-2', addresses: [], publicKeySpki });
  expect(certify(spki(generateKeyPairSync('ec', { namedCurve: 'P-384' })))).toThrow('not P-256');
  expect(certify(spki(generateKeyPairSync('ed25519')))).toThrow('not P-256');
  expect(certify(randomBytes(91))).toThrow('not P-256');
});

test('the kubeconfig is YAML that kubectl reads', () => {
  const config = parse(kubeconfigYaml('lab', 'https://127.0.0.10:6443', pki.caPem, pki.admin));
  expect(config['current-context']).toBe('lab');
  expect(config.clusters[0].cluster.server).toBe('https://127.0.0.10:6443');
  expect(Buffer.from(config.users[0].user['client-key-data'], 'base64').toString()).toBe(pki.admin.keyPem);
});
