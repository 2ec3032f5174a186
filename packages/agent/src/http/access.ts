/**
 * Who may use the agent's HTTP endpoint: the API server by its client certificate, administrators of the cluster by
 * theirs, and whoever holds the cluster's join credential.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

/** Organization of the API server's and the administrators' certificates. */
const MASTERS = 'system:masters';

/** Whether a request may go on; the certificate's chain was checked against the cluster's authority by TLS. */
export function isAllowed(request: IncomingMessage, joinToken: string): boolean {
  const socket = request.socket as TLSSocket;
  if (socket.authorized) {
    const organization = socket.getPeerCertificate().subject?.O as string | string[] | undefined;
    if (organization === MASTERS || (Array.isArray(organization) && organization.includes(MASTERS)))
      return true;
  }
  const bearer = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
  // Compared by digest, so that the time it takes says nothing about a guess.
  return bearer !== undefined && timingSafeEqual(digest(bearer), digest(joinToken));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
