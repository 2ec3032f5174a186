import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ipVersionOf } from '@podwire/wire/address';
import { type CertificateRequest, issueCertificate, type Subject } from './pki/certificate.ts';

const DAY_MS = 86_400_000;
const LIFETIME_MS = 3650 * DAY_MS;
/** Clocks of machines that share a lab may differ. */
const BACKDATE_MS = DAY_MS;
/** The server's certificate is made anew when it ends sooner. */
const RENEW_MS = 30 * DAY_MS;

const AUTHORITY: Subject = { commonName: 'podwire' };

export interface KeyedCertificate {
  certPem: string;
  keyPem: string;
}

/** Credentials of one cluster. */
export interface Pki {
  caPem: string;
  /** What the API server shows. */
  server: KeyedCertificate;
  /** O=system:masters, for the kubeconfig. */
  admin: KeyedCertificate;
  /** What the API server shows to agents. */
  kubeletClient: KeyedCertificate;
  /** Bearer token that lets agents and DNS servers join. */
  token: string;
  /** Signs the tokens of service accounts. */
  serviceAccountKey: Buffer;
  /**
   * A certificate for an agent's HTTPS endpoint, in PEM. `publicKeySpki` is DER. Throws an Error with one line when the key is not
   * P-256.
   */
  issueNodeCertificate(node: { name: string; addresses: readonly string[]; publicKeySpki: Buffer }): string;
}

export interface PkiOptions {
  /** `<state-dir>/pki`; keys in it are readable by the owner only. */
  directory: string;
  /** Names and addresses of the API server. */
  serverNames: readonly string[];
  nowMs: () => number;
  randomBytes: (size: number) => Buffer;
}

/** Reads the cluster's credentials, or makes them when there are none. A directory is either whole or not there. */
export function openPki(options: PkiOptions): Pki {
  const { directory } = options;
  const next = `${directory}.next`;
  rmSync(next, { recursive: true, force: true });
  if (!existsSync(directory)) {
    mkdirSync(next, { recursive: true, mode: 0o700 });
    makeAll(next, options);
    renameSync(next, directory);
  }
  const read = (file: string): string => readFileSync(join(directory, file), 'utf8');
  const keyed = (name: string): KeyedCertificate => ({
    certPem: read(`${name}.crt`),
    keyPem: read(`${name}.key`),
  });
  const caPem = read('ca.crt');
  const authorityKey = createPrivateKey(read('ca.key'));
  let server = keyed('apiserver');
  if (!serves(server.certPem, options)) {
    // The key stays: a crash between two files would else leave a pair that does not match.
    const publicKeySpki = spkiOf(createPrivateKey(server.keyPem));
    const certPem = issue(options, authorityKey, serverRequest(options, publicKeySpki));
    writeFile(join(directory, 'apiserver.crt'), certPem, 0o644);
    server = { certPem, keyPem: server.keyPem };
  }
  return {
    caPem,
    server,
    admin: keyed('admin'),
    kubeletClient: keyed('apiserver-kubelet-client'),
    token: read('token').trim(),
    serviceAccountKey: Buffer.from(read('sa.key'), 'base64url'),
    issueNodeCertificate({ name, addresses, publicKeySpki }) {
      const subject = { organization: 'system:nodes', commonName: `system:node:${name}` };
      const usable = onP256(publicKeySpki);
      if (usable === undefined)
        throw new Error(`Cannot certify node "${name}": its public key is not P-256 SPKI in DER`);
      const names = [name, ...addresses];
      return issue(options, authorityKey, {
        subject,
        publicKeySpki: usable,
        usage: 'server and client',
        names,
      });
    },
  };
}

/** A kubeconfig with all credentials inside. */
export function kubeconfigYaml(name: string, server: string, caPem: string, user: KeyedCertificate): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return `apiVersion: v1
kind: Config
clusters:
- name: ${name}
  cluster:
    server: ${server}
    certificate-authority-data: ${base64(caPem)}
users:
- name: ${name}-admin
  user:
    client-certificate-data: ${base64(user.certPem)}
    client-key-data: ${base64(user.keyPem)}
contexts:
- name: ${name}
  context:
    cluster: ${name}
    user: ${name}-admin
current-context: ${name}
`;
}

/** Written beside its place and renamed: a reader sees the old file or the new one, whole. */
export function writeFile(path: string, text: string, mode: number): void {
  const next = `${path}.next`;
  rmSync(next, { force: true });
  writeFileSync(next, text, { mode });
  renameSync(next, path);
}

function makeAll(directory: string, options: PkiOptions): void {
  const write = (file: string, text: string, mode: number): void =>
    writeFileSync(join(directory, file), text, { mode });
  const writePair = (
    name: string,
    authority: KeyObject | undefined,
    request: (publicKeySpki: Buffer) => Asked,
  ): KeyObject => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    write(`${name}.crt`, issue(options, authority ?? privateKey, request(spkiOf(privateKey))), 0o644);
    write(`${name}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600);
    return privateKey;
  };
  const masters =
    (commonName: string) =>
    (publicKeySpki: Buffer): Asked => ({
      subject: { organization: 'system:masters', commonName },
      publicKeySpki,
      usage: 'client',
    });
  const authority = writePair('ca', undefined, (publicKeySpki) => ({
    subject: AUTHORITY,
    publicKeySpki,
    usage: 'authority',
  }));
  writePair('apiserver', authority, (publicKeySpki) => serverRequest(options, publicKeySpki));
  writePair('admin', authority, masters('kubernetes-admin'));
  writePair('apiserver-kubelet-client', authority, masters('kube-apiserver-kubelet-client'));
  write('token', `${options.randomBytes(24).toString('base64url')}\n`, 0o600);
  write('sa.key', `${options.randomBytes(32).toString('base64url')}\n`, 0o600);
}

type Asked = Omit<CertificateRequest, 'serial' | 'notBeforeMs' | 'notAfterMs'>;

function serverRequest(options: PkiOptions, publicKeySpki: Buffer): Asked {
  const subject = { commonName: 'kube-apiserver' };
  return { subject, publicKeySpki, usage: 'server', names: options.serverNames };
}

function issue(options: PkiOptions, privateKey: KeyObject, request: Asked): string {
  const nowMs = options.nowMs();
  const times = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + LIFETIME_MS };
  const serial = options.randomBytes(16);
  return issueCertificate({ ...request, ...times, serial }, { subject: AUTHORITY, privateKey });
}

function serves(certPem: string, options: PkiOptions): boolean {
  const certificate = new X509Certificate(certPem);
  if (certificate.validToDate.getTime() < options.nowMs() + RENEW_MS) return false;
  return options.serverNames.every((name) =>
    ipVersionOf(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name),
  );
}

function spkiOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
}

/** The key re-encoded by OpenSSL, which has then checked that the point is on the curve; undefined for any other key. */
function onP256(publicKeySpki: Buffer): Buffer | undefined {
  try {
    const key = createPublicKey({ key: publicKeySpki, type: 'spki', format: 'der' });
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return undefined;
    const spki = key.export({ type: 'spki', format: 'der' });
    return spki.length === 91 ? spki : undefined;
  } catch {
    return undefined;
  }
}
