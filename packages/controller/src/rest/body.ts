import type { IncomingMessage } from 'node:http';
import { isJsonObject } from '@podwire/kube/object';
import { badRequest, requestEntityTooLarge, unsupportedMediaType } from '@podwire/kube/status';
import { parseMediaType } from './negotiation.ts';

/** As upstream, `--max-request-body-bytes` of kube-apiserver. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

const BODY_TYPES: readonly string[] = [
  'application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
];

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = () => requestEntityTooLarge(`limit is ${MAX_BODY_BYTES}`);
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export interface ParsedBody {
  /** Undefined for an empty body. */
  object: Record<string, unknown> | undefined;
  /** `duplicate field "spec.replicas"` for members the text repeats. */
  duplicates: readonly string[];
}

/** Parses a body by its Content-Type; `expected` names the kind for error texts. Throws 400 and 415. */
export async function parseBody(
  body: Buffer,
  contentType: string | undefined,
  expected: string,
): Promise<ParsedBody> {
  const { type } = parseMediaType(contentType ?? '');
  if (body.length === 0) return { object: undefined, duplicates: [] };
  if (type === 'application/vnd.kubernetes.protobuf') {
    const { decodeProtobuf } = await import('@podwire/kube/protobuf');
    return { object: decodeProtobuf(body), duplicates: [] };
  }
  let parsed: { value: unknown; duplicates: readonly string[] };
  try {
    if (type === 'application/yaml') parsed = await parseYaml(body.toString());
    else if (type === 'application/json' || type === '') parsed = await parseJson(body.toString());
    else throw unsupportedMediaType(BODY_TYPES);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw unrecognized(body, expected, `couldn't get version/kind; json parse error: ${error.message}`);
  }
  if (!isJsonObject(parsed.value)) {
    throw unrecognized(body, expected, "couldn't get version/kind; json parse error: not an object");
  }
  return { object: parsed.value, duplicates: parsed.duplicates };
}

async function parseJson(text: string): Promise<{ value: unknown; duplicates: readonly string[] }> {
  const value: unknown = JSON.parse(text);
  const { duplicateFields } = await import('@podwire/kube/schema-duplicates');
  return { value, duplicates: duplicateFields(text) };
}

/** One YAML document; the last of repeated keys wins and each is told of. */
export async function parseYaml(text: string): Promise<{ value: unknown; duplicates: readonly string[] }> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { uniqueKeys: true, maxAliasCount: 100 } as object);
  const duplicates: string[] = [];
  for (const error of document.errors) {
    if (error.code !== 'DUPLICATE_KEY') throw new SyntaxError(error.message.split('\n')[0]);
    duplicates.push(`line ${error.linePos?.[0].line ?? 0}: key already set in map`);
  }
  return { value: document.toJS({ maxAliasCount: 100 }), duplicates };
}

function unrecognized(body: Buffer, expected: string, why: string): Error {
  const shown = body.subarray(0, 30).toString('hex');
  const more = body.length > 30 ? ' ...' : '';
  return badRequest(
    `the object provided is unrecognized (must be of type ${expected}): ${why} (${shown}${more})`,
  );
}
