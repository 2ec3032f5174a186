import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { JoinRequest, JoinResponse } from '@podwire/sync/join';
import type { Pki } from '../pki.ts';

const MAX_BODY_BYTES = 16_384;
const NODE_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const ADDRESS = /^[0-9a-zA-Z.:-]{1,253}$/;

/** Whether a request shows the join credential. */
export function hasJoinToken(request: IncomingMessage, token: string): boolean {
  const given = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}

/** Answers a POST to JOIN_PATH: certifies an agent's public key. */
export async function handleJoin(
  pki: Pki,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = (status: number, body: JoinResponse | { message: string }): void => {
    const text = Buffer.from(JSON.stringify(body));
    response
      .writeHead(status, { 'content-type': 'application/json', 'content-length': text.length })
      .end(text);
  };
  if (!hasJoinToken(request, pki.token))
    return answer(401, { message: 'the join credential is missing or wrong' });
  if (request.method !== 'POST') return answer(405, { message: 'send a POST' });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      return answer(413, { message: `the body is longer than ${MAX_BODY_BYTES} bytes` });
    chunks.push(chunk);
  }
  const asked = parseRequest(Buffer.concat(chunks));
  if (typeof asked === 'string') return answer(400, { message: asked });
  try {
    const publicKeySpki = Buffer.from(asked.publicKey, 'base64');
    const node = { name: asked.nodeName, addresses: asked.addresses, publicKeySpki };
    answer(200, { certificatePem: await pki.issueNodeCertificate(node), caPem: pki.caPem });
  } catch (error) {
    answer(400, { message: (error as Error).message });
  }
}

function parseRequest(body: Buffer): JoinRequest | string {
  let value: Partial<JoinRequest>;
  try {
    value = JSON.parse(body.toString('utf8')) as Partial<JoinRequest>;
  } catch {
    return 'the body is not JSON';
  }
  const { nodeName, addresses, publicKey } = value ?? {};
  if (typeof nodeName !== 'string' || !NODE_NAME.test(nodeName)) return 'nodeName is no DNS name';
  if (!Array.isArray(addresses) || addresses.length > 16 || !addresses.every(isAddress)) {
    return 'addresses must be a list of at most 16 addresses or host names';
  }
  if (typeof publicKey !== 'string') return 'publicKey is missing';
  return { nodeName, addresses, publicKey };
}

function isAddress(value: unknown): boolean {
  return typeof value === 'string' && ADDRESS.test(value);
}
