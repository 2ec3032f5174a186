import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

export interface User {
  username: string;
  uid?: string;
  groups: readonly string[];
  extra?: Readonly<Record<string, readonly string[]>>;
}

export interface AuthenticationOptions {
  /** Bearer tokens and whom they stand for. */
  tokens: ReadonlyMap<string, User>;
  /** Secret that signs the tokens of service accounts. */
  signingKey: Uint8Array;
  nowMs: () => number;
}

const AUTHENTICATED = 'system:authenticated';

/** Whom a request comes from: a client certificate of our CA (CN is the user, O the groups) or a bearer token. */
export function authenticate(request: IncomingMessage, options: AuthenticationOptions): User | undefined {
  const socket = request.socket as TLSSocket;
  if (socket.authorized) {
    const { subject } = socket.getPeerCertificate();
    const username = first(subject?.CN);
    if (username !== undefined) return { username, groups: [...all(subject?.O), AUTHENTICATED] };
  }
  const token = bearerToken(request);
  return token === undefined ? undefined : userOfToken(token, options);
}

/** From the Authorization header, or the subprotocol browsers must use instead (base64url.bearer.authorization.k8s.io.TOKEN). */
function bearerToken(request: IncomingMessage): string | undefined {
  const match = /^Bearer +([^\s]+) *$/i.exec(request.headers.authorization ?? '');
  if (match !== null) return match[1];
  for (const each of String(request.headers['sec-websocket-protocol'] ?? '').split(',')) {
    const prefix = 'base64url.bearer.authorization.k8s.io.';
    if (each.trim().startsWith(prefix)) {
      return Buffer.from(each.trim().slice(prefix.length), 'base64url').toString();
    }
  }
  return undefined;
}

export function userOfToken(token: string, options: AuthenticationOptions): User | undefined {
  // Looked up by digest, so that the time it takes says nothing about how much of a guess was right.
  const wanted = digest(token);
  for (const [known, user] of options.tokens) {
    if (timingSafeEqual(digest(known), wanted)) return { ...user, groups: [...user.groups, AUTHENTICATED] };
  }
  const claims = verify(token, options.signingKey);
  if (claims === undefined || claims.exp * 1000 <= options.nowMs()) return undefined;
  const [, , namespace = '', name = ''] = claims.sub.split(':');
  return {
    username: claims.sub,
    uid: claims['kubernetes.io'].serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, AUTHENTICATED],
    extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`], name: [name] },
  };
}

export interface TokenClaims {
  iss: string;
  sub: string;
  aud: string[];
  jti: string;
  /** Seconds since the epoch. */
  iat: number;
  nbf: number;
  exp: number;
  'kubernetes.io': { namespace: string; serviceaccount: { name: string; uid: string } };
}

/** A service account token: JWT (RFC 7519) under HS256. */
export function signToken(claims: TokenClaims, signingKey: Uint8Array): string {
  const head = encode({ alg: 'HS256', typ: 'JWT' });
  const body = `${head}.${encode(claims)}`;
  return `${body}.${mac(body, signingKey).toString('base64url')}`;
}

function verify(token: string, signingKey: Uint8Array): TokenClaims | undefined {
  const [head, payload, signature] = token.split('.');
  if (head === undefined || payload === undefined || signature === undefined) return undefined;
  const given = Buffer.from(signature, 'base64url');
  const right = mac(`${head}.${payload}`, signingKey);
  if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as TokenClaims;
}

function mac(text: string, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function all(value: string | string[] | undefined): string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}
