import { isJsonObject, type KubeObject } from '@podwire/kube/object';
import { apiVersionOf } from '@podwire/kube/resources';
import { type Schema, schemaOfKind } from '@podwire/kube/schema';
import { decodeBody, type FieldValidation } from '@podwire/kube/schema-decode';
import { badRequest } from '@podwire/kube/status';
import type { ResourceType } from '../registry/resource-types.ts';
import { parseBody, readBody } from './body.ts';
import type { Exchange } from './exchange.ts';

/** The kind a request body must be of. */
export interface ExpectedKind {
  group: string;
  version: string;
  kind: string;
  schema: Schema | undefined;
  custom: boolean;
}

export function kindOf(type: ResourceType): ExpectedKind {
  const { group, version, kind } = type.info;
  const custom = type.custom !== undefined;
  return {
    group,
    version,
    kind,
    custom,
    schema: type.custom?.content ?? schemaOfKind(apiVersionOf(type.info), kind),
  };
}

export function builtInKind(group: string, version: string, kind: string): ExpectedKind {
  const schema = schemaOfKind(apiVersionOf({ group, version }), kind);
  return { group, version, kind, schema, custom: false };
}

/**
 * Reads a request body as an object of the expected kind: unknown and repeated fields are refused, told of or passed over as
 * `fieldValidation` says, wrong types and other kinds are 400.
 */
export async function decodeObject(
  exchange: Exchange,
  expected: ExpectedKind,
  fieldValidation: FieldValidation,
): Promise<KubeObject> {
  const body = await readBody(exchange.request);
  const { object, duplicates } = await parseBody(
    body,
    exchange.request.headers['content-type'],
    expected.kind,
  );
  if (object === undefined) {
    throw badRequest(
      `the object provided is unrecognized (must be of type ${expected.kind}): couldn't get version/kind; json parse error: unexpected end of JSON input ( <empty>)`,
    );
  }
  return conform(exchange, expected, object, fieldValidation, duplicates);
}

/** The part of decodeObject that follows parsing; changes `object`. */
export function conform(
  exchange: Exchange,
  expected: ExpectedKind,
  object: Record<string, unknown>,
  fieldValidation: FieldValidation,
  duplicates: readonly string[] = [],
): KubeObject {
  checkKind(object, expected);
  if (expected.schema !== undefined) {
    const { schema, custom, kind, version } = expected;
    exchange.warnings.push(
      ...decodeBody({ schema, custom, kind, version, object, fieldValidation, duplicates }),
    );
  }
  if (object.metadata === undefined || object.metadata === null) object.metadata = {};
  if (!isJsonObject(object.metadata)) {
    throw badRequest(
      `${expected.kind} in version ${JSON.stringify(expected.version)} cannot be handled as a ${expected.kind}: json: cannot unmarshal metadata into Go struct field ObjectMeta`,
    );
  }
  return object as KubeObject;
}

function checkKind(object: Record<string, unknown>, { group, version, kind }: ExpectedKind): void {
  const wanted = apiVersionOf({ group, version });
  const { apiVersion = wanted, kind: given = kind } = object;
  if (apiVersion !== wanted && apiVersion !== '') {
    throw badRequest(
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${wanted})`,
    );
  }
  if (given !== kind && given !== '') {
    throw badRequest(
      `${String(given)} in version ${JSON.stringify(version)} cannot be handled as a ${kind}: converting (${version}.${String(given)}) to (${group || 'core'}.${kind}): unknown conversion`,
    );
  }
}
