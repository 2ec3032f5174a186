import { createHash } from 'node:crypto';
import { notAcceptable, unknownPath } from '@podwire/kube/status';
import { DEFINITIONS, type Definition } from '../registry/custom-definition.ts';
import type { ObjectApi } from '../registry/object-api.ts';
import { type Exchange, sendObject, sendText } from './exchange.ts';
import { parseAccept } from './negotiation.ts';

const documents = new WeakMap<ObjectApi, { generation: number; texts: Map<string, string> }>();

/** `/openapi/v3`, `/openapi/v3/api/v1`, `/openapi/v3/apis/GROUP/VERSION`, and a bare `/openapi/v2`. */
export async function handleOpenApi(api: ObjectApi, exchange: Exchange): Promise<void> {
  const path = exchange.url.pathname.replace(/\/$/, '');
  if (path === '/openapi/v2') {
    if (acceptsProtobuf(exchange)) return sendBytes(exchange, OPENAPI_V2_PROTOBUF, EMPTY_OPENAPI_V2);
    if (!acceptsJson(exchange)) throw notAcceptable(['application/json']);
    const info = { title: 'Kubernetes', version: 'v1.32.0' };
    return sendObject(exchange, 200, { swagger: '2.0', info, paths: {}, definitions: {} });
  }
  const text = await documentText(api, path);
  if (text === undefined) throw unknownPath();
  const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
  exchange.response.setHeader('ETag', etag);
  if (exchange.request.headers['if-none-match'] === etag) {
    exchange.response.writeHead(304).end();
    return;
  }
  return sendText(exchange, 200, 'application/json', text);
}

/**
 * kubectl asks for this one when a manifest's group is in no OpenAPI v3 document. An empty document lets it go on to
 * say `no matches for kind`, as it does with a real server.
 */
const OPENAPI_V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** gnostic openapi.v2.Document: swagger (1), info (2: title 1, version 2), paths (8), definitions (9). */
const EMPTY_OPENAPI_V2 = Buffer.concat([
  Buffer.from([0x0a, 3]),
  Buffer.from('2.0'),
  Buffer.from([0x12, 21, 0x0a, 10]),
  Buffer.from('Kubernetes'),
  Buffer.from([0x12, 7]),
  Buffer.from('v1.32.0'),
  Buffer.from([0x42, 0, 0x4a, 0]),
]);

function acceptsProtobuf(exchange: Exchange): boolean {
  return /proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/.test(exchange.request.headers.accept ?? '');
}

function sendBytes(exchange: Exchange, contentType: string, bytes: Buffer): void {
  exchange.response.writeHead(200, { 'Content-Type': contentType, 'Content-Length': bytes.length });
  exchange.response.end(bytes);
}

function acceptsJson(exchange: Exchange): boolean {
  const accept = exchange.request.headers.accept;
  return (
    accept === undefined || parseAccept(accept).some(({ type }) => ['application/json', '*/*'].includes(type))
  );
}

async function documentText(api: ObjectApi, path: string): Promise<string | undefined> {
  let known = documents.get(api);
  if (known === undefined || known.generation !== api.types.generation) {
    known = { generation: api.types.generation, texts: new Map() };
    documents.set(api, known);
  }
  let text = known.texts.get(path);
  if (text !== undefined) return text;
  const { openApiV3, openApiV3Index } = await import('@podwire/kube/openapi');
  const served = new Set([...api.types.all()].map((type) => type.custom?.definition));
  const crds = api.list<Definition>(DEFINITIONS).filter((each) => served.has(each.metadata.name));
  if (path === '/openapi/v3') text = JSON.stringify(openApiV3Index(crds));
  else {
    const match = /^\/openapi\/v3\/(?:api\/(v1)|apis\/([^/]+\/[^/]+))$/.exec(path);
    const document = match === null ? undefined : openApiV3((match[1] ?? match[2])!, crds);
    if (document === undefined) return undefined;
    text = JSON.stringify(document);
  }
  known.texts.set(path, text);
  return text;
}
