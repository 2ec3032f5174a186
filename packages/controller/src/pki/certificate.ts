import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { ipVersionOf, parseIpv4, parseIpv6 } from '@podwire/wire/address';
import * as der from './der.ts';

/*
 * X.509 v3 certificates with ECDSA P-256 keys (RFC 5280, RFC 5758).
 *
 *   Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue BIT STRING }
 *   TBSCertificate ::= SEQUENCE { [0] version, serialNumber, signature, issuer, validity, subject,
 *                                 subjectPublicKeyInfo, [3] extensions }
 *
 * Written by hand because this is all of X.509 that a cluster needs, and loading a general library takes longer than everything
 * else the controller does before it serves.
 */

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};

export interface Subject {
  commonName: string;
  /** Kubernetes reads groups from it. */
  organization?: string;
}

export interface CertificateRequest {
  subject: Subject;
  /** DER SubjectPublicKeyInfo. */
  publicKeySpki: Buffer;
  usage: 'authority' | 'server' | 'client' | 'server and client';
  /** DNS names and IP addresses as text. */
  names?: readonly string[];
  /** 8 to 20 random bytes. */
  serial: Uint8Array;
  notBeforeMs: number;
  notAfterMs: number;
}

export interface Issuer {
  subject: Subject;
  privateKey: KeyObject;
}

/** Signs a certificate and returns it as PEM. */
export function issueCertificate(request: CertificateRequest, issuer: Issuer): string {
  const algorithm = der.sequence(der.objectIdentifier(OID.ecdsaWithSha256));
  const issuerSpki = createPublicKey(issuer.privateKey).export({ type: 'spki', format: 'der' });
  const toBeSigned = der.sequence(
    der.explicit(0, der.integer(2)),
    der.integer(positive(request.serial)),
    algorithm,
    nameOf(issuer.subject),
    der.sequence(der.time(request.notBeforeMs), der.time(request.notAfterMs)),
    nameOf(request.subject),
    request.publicKeySpki,
    der.explicit(3, der.sequence(...extensionsOf(request, issuerSpki))),
  );
  const signature = sign('sha256', toBeSigned, issuer.privateKey);
  return pemOf('CERTIFICATE', der.sequence(toBeSigned, algorithm, der.bitString(signature)));
}

function positive(serial: Uint8Array): Buffer {
  const bytes = Buffer.from(serial);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes;
}

function nameOf({ organization, commonName }: Subject): der.Der {
  const attribute = (type: string, value: string) =>
    der.set(der.sequence(der.objectIdentifier(type), der.utf8String(value)));
  const parts = organization === undefined ? [] : [attribute(OID.organization, organization)];
  return der.sequence(...parts, attribute(OID.commonName, commonName));
}

function extensionsOf(request: CertificateRequest, issuerSpki: Buffer): der.Der[] {
  const authority = request.usage === 'authority';
  const extension = (type: string, critical: boolean, value: der.Der) =>
    der.sequence(
      der.objectIdentifier(type),
      ...(critical ? [der.boolean(true)] : []),
      der.octetString(value),
    );
  // KeyUsage bits: digitalSignature 0, keyCertSign 5, cRLSign 6.
  const keyUsage = authority
    ? der.bitString(Buffer.of(0b1000_0110), 1)
    : der.bitString(Buffer.of(0b1000_0000), 7);
  const extensions = [
    extension(OID.basicConstraints, true, der.sequence(...(authority ? [der.boolean(true)] : []))),
    extension(OID.keyUsage, true, keyUsage),
    extension(OID.subjectKeyIdentifier, false, der.octetString(keyIdentifier(request.publicKeySpki))),
    extension(OID.authorityKeyIdentifier, false, der.sequence(der.implicit(0, keyIdentifier(issuerSpki)))),
  ];
  if (!authority) {
    const purposes = [];
    if (request.usage.includes('server')) purposes.push(der.objectIdentifier(OID.serverAuth));
    if (request.usage.includes('client')) purposes.push(der.objectIdentifier(OID.clientAuth));
    extensions.push(extension(OID.extendedKeyUsage, false, der.sequence(...purposes)));
  }
  if (request.names && request.names.length > 0) {
    extensions.push(extension(OID.subjectAltName, false, der.sequence(...request.names.map(generalName))));
  }
  return extensions;
}

/** GeneralName: [2] dNSName, [7] iPAddress. */
function generalName(name: string): der.Der {
  switch (ipVersionOf(name)) {
    case 4: {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(parseIpv4(name)!);
      return der.implicit(7, bytes);
    }
    case 6:
      return der.implicit(7, parseIpv6(name)!);
    default:
      return der.implicit(2, Buffer.from(name, 'ascii'));
  }
}

/** RFC 5280, 4.2.1.2 (1): SHA-1 of the subjectPublicKey bits, which end every P-256 SubjectPublicKeyInfo: 65 bytes. */
function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha1').update(spki.subarray(-65)).digest();
}

function pemOf(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
