import type { webcrypto } from 'node:crypto';
import type { Extension, JsonName } from '@peculiar/x509';
import { ipVersionOf } from '@podwire/wire/address';
import { x509 } from './x509-library.ts';

/*
 * X.509 v3 certificates with ECDSA P-256 keys (RFC 5280, RFC 5758). Imported only where one is to be made: most starts need none, and
 * the library takes its time to load.
 */

export interface Subject {
  commonName: string;
  /** Kubernetes reads groups from it. */
  organization?: string;
}

export interface CertificateRequest {
  subject: Subject;
  publicKey: webcrypto.CryptoKey;
  usage: 'authority' | 'server' | 'client' | 'server and client';
  /** DNS names and IP addresses as text. */
  names?: readonly string[];
  /** 8 to 20 random bytes. */
  serial: Uint8Array;
  notBeforeMs: number;
  notAfterMs: number;
}

/** Who signs, with what every certificate says about its issuer. */
export interface Issuer {
  readonly subject: Subject;
  readonly privateKey: webcrypto.CryptoKey;
  readonly keyIdentifier: Extension;
}

export async function issuerOf(
  subject: Subject,
  keys: { publicKey: webcrypto.CryptoKey; privateKey: webcrypto.CryptoKey },
): Promise<Issuer> {
  const keyIdentifier = await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey);
  return { subject, privateKey: keys.privateKey, keyIdentifier };
}

/** Signs a certificate and returns it as PEM. */
export async function issueCertificate(request: CertificateRequest, issuer: Issuer): Promise<string> {
  const publicKey = await x509.PublicKey.create(request.publicKey);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: positive(request.serial).toString('hex'),
    subject: nameOf(request.subject),
    issuer: nameOf(issuer.subject),
    notBefore: new Date(request.notBeforeMs),
    notAfter: new Date(request.notAfterMs),
    publicKey,
    signingKey: issuer.privateKey,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      ...usageOf(request.usage),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      issuer.keyIdentifier,
      ...namesOf(request.names ?? []),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** RFC 5280, 4.1.2.2: a positive integer; every serial number is of the same length. */
function positive(serial: Uint8Array): Buffer {
  const bytes = Buffer.from(serial);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes;
}

function nameOf({ organization, commonName }: Subject): JsonName {
  const parts = organization === undefined ? [] : [{ O: [organization] }];
  return [...parts, { CN: [commonName] }];
}

function usageOf(usage: CertificateRequest['usage']): Extension[] {
  const { digitalSignature, keyCertSign, cRLSign } = x509.KeyUsageFlags;
  if (usage === 'authority') {
    return [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(digitalSignature | keyCertSign | cRLSign, true),
    ];
  }
  const purposes = [];
  if (usage.includes('server')) purposes.push(x509.ExtendedKeyUsage.serverAuth);
  if (usage.includes('client')) purposes.push(x509.ExtendedKeyUsage.clientAuth);
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(purposes),
  ];
}

function namesOf(names: readonly string[]): Extension[] {
  if (names.length === 0) return [];
  const general = names.map((value) => ({ type: ipVersionOf(value) === 0 ? 'dns' : 'ip', value }) as const);
  return [new x509.SubjectAlternativeNameExtension(general)];
}
