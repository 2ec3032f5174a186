import { forbiddenField, invalidField } from '@podwire/kube/field-error';
import { isJsonObject, type KubeObject } from '@podwire/kube/object';
import { applyJsonPatch, JsonPatchError } from '@podwire/kube/patch/json-patch';
import { mergePatch } from '@podwire/kube/patch/merge-patch';
import { strategicMergePatch } from '@podwire/kube/patch/strategic-merge';
import { DecodeError, decodeBuiltIn, decodeCustom, type FieldValidation } from '@podwire/kube/schema-decode';
import { duplicateFields } from '@podwire/kube/schema-duplicates';
import { ApiError, badRequest, invalid, unsupportedMediaType } from '@podwire/kube/status';
import { copyJson } from '../registry/copy.ts';
import { readBody } from './body.ts';
import type { ExpectedKind } from './decode.ts';
import type { Exchange } from './exchange.ts';
import { parseMediaType } from './negotiation.ts';
import {
  answer,
  expectedKind,
  type HandlerContext,
  objectRepresentation,
  type Target,
} from './resource-handlers.ts';
import { parseRequestOptions } from './write-options.ts';

const JSON_PATCH = 'application/json-patch+json';
const MERGE_PATCH = 'application/merge-patch+json';
const STRATEGIC_MERGE_PATCH = 'application/strategic-merge-patch+json';
const APPLY_PATCH = 'application/apply-patch+yaml';

/** PATCH of an object or of a subresource that holds state, in the four formats upstream knows. */
export async function patch(context: HandlerContext, exchange: Exchange, target: Target): Promise<void> {
  const { type, namespace, name, subresource } = target;
  objectRepresentation(exchange);
  const format = parseMediaType(exchange.request.headers['content-type'] ?? '').type;
  const accepted = [JSON_PATCH, MERGE_PATCH, ...(type.custom ? [] : [STRATEGIC_MERGE_PATCH]), APPLY_PATCH];
  if (!accepted.includes(format)) throw unsupportedMediaType(accepted);
  const options = parseRequestOptions(exchange, 'PatchOptions');
  const body = (await readBody(exchange.request)).toString();
  if (format === APPLY_PATCH) {
    const { applyPatch } = await import('./apply-handler.ts');
    return applyPatch(context, exchange, target, body, options);
  }
  if (exchange.url.searchParams.has('force')) {
    throw invalid('PatchOptions.meta.k8s.io', '', [
      forbiddenField('force', 'may not be specified for non-apply patch'),
    ]);
  }
  const expected = expectedKind(target);
  const document = parsePatch(body);
  const duplicates = duplicateFields(body);
  if (duplicates.length > 0 && options.fieldValidation === 'Strict') {
    throw badRequest(`error decoding patch: strict decoding error: ${duplicates.join(', ')}`);
  }
  if (options.fieldValidation === 'Warn') exchange.warnings.push(...duplicates);
  const change = (current: KubeObject): KubeObject => {
    const patched = copyJson(applyDocument(format, expected, current, document));
    return conformPatched(exchange, expected, patched, body, options.fieldValidation);
  };
  const written = await context.api.changeObject(type, namespace, name, change, { ...options, subresource });
  return answer(context, exchange, target, 200, written.object);
}

function parsePatch(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw badRequest(`error decoding patch: ${(error as Error).message}`);
  }
}

function applyDocument(
  format: string,
  expected: ExpectedKind,
  current: KubeObject,
  document: unknown,
): unknown {
  if (format === JSON_PATCH) {
    try {
      return applyJsonPatch(current, document);
    } catch (error) {
      if (!(error instanceof JsonPatchError)) throw error;
      if (error.malformed) throw badRequest(error.message);
      throw unprocessable(error.message);
    }
  }
  if (!isJsonObject(document)) throw badRequest('error decoding patch: the patch is not an object');
  if (format === STRATEGIC_MERGE_PATCH) return strategicMergePatch(expected.schema ?? {}, current, document);
  return mergePatch(current, document);
}

/** Upstream's words for a JSON patch that does not fit the object; the cause says why. */
function unprocessable(why: string): ApiError {
  return new ApiError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'the server rejected our request due to an error in our request',
    reason: 'Invalid',
    details: { causes: [{ message: why }] },
    code: 422,
  });
}

/** Brings the result of a patch in line with its kind's schema. Throws 422 with the patch as the invalid value. */
function conformPatched(
  exchange: Exchange,
  expected: ExpectedKind,
  patched: unknown,
  patchText: string,
  fieldValidation: FieldValidation,
): KubeObject {
  const refuse = (why: string) =>
    invalid({ group: '', kind: '' }, '', [invalidField('patch', patchText, why)]);
  if (!isJsonObject(patched)) throw refuse('the result is not an object');
  const { schema, custom, kind } = expected;
  let unknown: string[] = [];
  try {
    if (schema !== undefined) {
      unknown = custom ? decodeCustom(schema, patched) : decodeBuiltIn(schema, patched, kind);
    }
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
  if (unknown.length > 0 && fieldValidation === 'Strict') {
    throw refuse(`strict decoding error: ${unknown.join(', ')}`);
  }
  if (fieldValidation === 'Warn') exchange.warnings.push(...unknown);
  if (!isJsonObject(patched.metadata)) throw refuse('metadata is not an object');
  return patched as KubeObject;
}
