/**
 * Names of kube-proxy's nftables chains and sets (K: nftables/proxier.go): eight characters of
 * base32(sha256(name)), then the name itself in words, cut where the kernel's limit is.
 */

import { createHash } from 'node:crypto';
import type { ServiceEndpoint, ServicePort } from '../tables.ts';
import { base32 } from './base32.ts';
import { protocolText } from './chain-names.ts';

/** 128 characters, less the longest prefix with its hyphen. */
const BASE_LENGTH = 112;

/** `ULMVA6XW-ns1/svc1/tcp/p80`: what service-, local-, external- and firewall- of a service port end in. */
export function servicePortNameBase(port: ServicePort): string {
  return hashed(`${port.namespace}/${port.service}/${protocolText(port)}/${port.portName}`);
}

/** `5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80`: what endpoint- and affinity- of an endpoint end in. */
export function endpointNameBase(port: ServicePort, endpoint: ServiceEndpoint): string {
  // A chain's name cannot hold colons.
  const address = endpoint.address.replaceAll(':', '.');
  const service = `${port.namespace}/${port.service}/${protocolText(port)}/${port.portName}`;
  return hashed(`${service}__${address}/${endpoint.port}`);
}

function hashed(text: string): string {
  const name = `${base32(createHash('sha256').update(text).digest(), 8)}-${text}`;
  return name.length > BASE_LENGTH ? `${name.slice(0, BASE_LENGTH - 3)}...` : name;
}
