import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  type webcrypto,
  X509Certificate,
} from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ipVersionOf } from '@podwire/wire/address';
import type { CertificateRequest, Issuer, Subject } from './pki/certificate.ts';

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
   * A certificate for an agent's HTTPS endpoint, in PEM. `publicKeySpki` is DER. Rejects with an Error of one line when the key is
   * not P-256.
   */
  issueNodeCertificate(node: {
    name: string;
    addresses: readonly string[];
    publicKeySpki: Buffer;
  }): Promise<string>;
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
export async function openPki(options: PkiOptions): Promise<Pki> {
  const { directory } = options;
  const next = `${directory}.next`;
  rmSync(next, { recursive: true, force: true });
  if (!existsSync(directory)) {
    mkdirSync(next, { recursive: true, mode: 0o700 });
    await makeAll(next, options);
    renameSync(next, directory);
  }
  const read = (file: string): string => readFileSync(join(directory, file), 'utf8');
  const keyed = (name: string): KeyedCertificate => ({
    certPem: read(`${name}.crt`),
    keyPem: read(`${name}.key`),
  });
  const caPem = read('ca.crt');
  const certify = certifier(options, createPrivateKey(read('ca.key')));
  let server = keyed('apiserver');
  if (!serves(server.certPem, options)) {
    // The key stays: a crash between two files would else leave a pair that does not match.
    const publicKey = createPublicKey(createPrivateKey(server.keyPem));
    const certPem = await certify(serverRequest(options, publicKey));
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
    async issueNodeCertificate({ name, addresses, publicKeySpki }) {
      const publicKey = p256Key(publicKeySpki);
      if (publicKey === undefined)
        throw new Error(`Cannot certify node "${name}": its public key is not P-256 SPKI in DER`);
      const subject = { organization: 'system:nodes', commonName: `system:node:${name}` };
      const names = [name, ...addresses];
      return certify({ subject, publicKey, usage: 'server and client', names });
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

async function makeAll(directory: string, options: PkiOptions): Promise<void> {
  const write = (file: string, text: string, mode: number): void =>
    writeFileSync(join(directory, file), text, { mode });
  const authority = makeKey();
  const certify = certifier(options, authority);
  const writePair = async (name: string, key: KeyObject, request: Asked): Promise<void> => {
    write(`${name}.key`, key.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600);
    write(`${name}.crt`, await certify(request), 0o644);
  };
  const client = (name: string, commonName: string): Promise<void> => {
    const key = makeKey();
    const subject = { organization: 'system:masters', commonName };
    return writePair(name, key, { subject, publicKey: createPublicKey(key), usage: 'client' });
  };
  const server = makeKey();
  await Promise.all([
    writePair('ca', authority, {
      subject: AUTHORITY,
      publicKey: createPublicKey(authority),
      usage: 'authority',
    }),
    writePair('apiserver', server, serverRequest(options, createPublicKey(server))),
    client('admin', 'kubernetes-admin'),
    client('apiserver-kubelet-client', 'kube-apiserver-kubelet-client'),
  ]);
  write('token', `${options.randomBytes(24).toString('base64url')}\n`, 0o600);
  write('sa.key', `${options.randomBytes(32).toString('base64url')}\n`, 0o600);
}

type Asked = Pick<CertificateRequest, 'subject' | 'usage' | 'names'> & { publicKey: KeyObject };

function serverRequest(options: PkiOptions, publicKey: KeyObject): Asked {
  const subject = { commonName: 'kube-apiserver' };
  return { subject, publicKey, usage: 'server', names: options.serverNames };
}

type Certify = (request: Asked) => Promise<string>;

/** Issues certificates in the authority's name; what that takes is loaded with the first one. */
function certifier(options: PkiOptions, privateKey: KeyObject): Certify {
  let issuer: Promise<Issuer> | undefined;
  return async ({ publicKey, ...request }) => {
    const { issueCertificate, issuerOf } = await import('./pki/certificate.ts');
    issuer ??= issuerOf(AUTHORITY, {
      publicKey: webKey(createPublicKey(privateKey)),
      privateKey: webKey(privateKey),
    });
    const nowMs = options.nowMs();
    const times = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + LIFETIME_MS };
    const serial = options.randomBytes(16);
    return issueCertificate({ ...request, publicKey: webKey(publicKey), ...times, serial }, await issuer);
  };
}

function makeKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

function webKey(key: KeyObject): webcrypto.CryptoKey {
  const usages = key.type === 'private' ? ['sign'] : ['verify'];
  return key.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, usages as webcrypto.KeyUsage[]);
}

function serves(certPem: string, options: PkiOptions): boolean {
  const certificate = new X509Certificate(certPem);
  if (certificate.validToDate.getTime() < options.nowMs() + RENEW_MS) return false;
  return options.serverNames.every((name) =>
    ipVersionOf(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name),
  );
}

/** Checked by OpenSSL: the point is on the curve. Undefined for any other key. */
function p256Key(publicKeySpki: Buffer): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: publicKeySpki, type: 'spki', format: 'der' });
    return key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? key : undefined;
  } catch {
    return undefined;
  }
}
