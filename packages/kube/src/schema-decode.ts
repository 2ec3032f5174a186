import { isJsonObject } from './object.ts';
import { formatQuantity, parseQuantity, quantityError } from './quantity.ts';
import { componentName, messageNameOf, refTarget, resolveSchema, type Schema } from './schema.ts';
import { badRequest } from './status.ts';

/**
 * What decoding a request body into a Go struct does to it: members the type does not know are dropped (and reported),
 * nulls vanish, values of the wrong JSON type are refused with Go's text, quantities become canonical.
 */
export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

/** A value of the wrong type; the message is that of Go's JSON decoder. */
export class DecodeError extends Error {}

const TIME = componentName('meta/v1.Time');
const MICRO_TIME = componentName('meta/v1.MicroTime');
const DURATION = componentName('meta/v1.Duration');
const QUANTITY = componentName('resource.Quantity');
const INT_OR_STRING = componentName('intstr.IntOrString');

interface Position {
  /** `spec.containers[0].ports`, for unknown fields. */
  readonly path: string;
  /** `spec.containers.ports`, for type errors: Go leaves indices out. */
  readonly goPath: string;
  /** The innermost struct: `Container`. */
  readonly struct: string;
}

interface Decoding {
  readonly unknown: string[];
}

function jsonTypeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value;
}

function goTypeName(schema: Schema): string {
  const target = refTarget(schema);
  if (target) {
    const name = messageNameOf(target);
    if (!name) return target;
    const dot = name.lastIndexOf('.');
    return `${name.slice(name.lastIndexOf('/', dot) + 1, dot)}${name.slice(dot)}`;
  }
  if (schema.type === 'array') return `[]${goTypeName(schema.items ?? {})}`;
  if (schema.format === 'byte') return '[]uint8';
  if (schema.type === 'object' && isJsonObject(schema.additionalProperties)) {
    return `map[string]${goTypeName(schema.additionalProperties as Schema)}`;
  }
  if (schema.type === 'boolean') return 'bool';
  if (schema.type === 'integer') return schema.format ?? 'int64';
  if (schema.type === 'number') return 'float64';
  return schema.type ?? 'interface {}';
}

function mismatch(value: unknown, schema: Schema, at: Position, shown = ''): DecodeError {
  const what = `json: cannot unmarshal ${jsonTypeName(value)}${shown}`;
  if (at.goPath === '') return new DecodeError(`${what} into Go value of type ${goTypeName(schema)}`);
  return new DecodeError(
    `${what} into Go struct field ${at.struct}.${at.goPath} of type ${goTypeName(schema)}`,
  );
}

function checkTime(value: unknown, schema: Schema, at: Position): unknown {
  if (typeof value !== 'string') throw mismatch(value, { ...schema, $ref: undefined, type: 'string' }, at);
  if (
    !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[-+]\d\d:\d\d)$/.test(value) ||
    Number.isNaN(Date.parse(value))
  ) {
    const quoted = JSON.stringify(value);
    throw new DecodeError(
      `parsing time ${quoted} as "2006-01-02T15:04:05Z07:00": cannot parse ${quoted} as "2006-01-02T15:04:05Z07:00"`,
    );
  }
  return value;
}

function decodeQuantity(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string') throw new DecodeError(quantityError('') as string);
  const quantity = parseQuantity(text);
  if (!quantity) throw new DecodeError(quantityError(text) ?? (quantityError('') as string));
  return formatQuantity(quantity);
}

const INT32_MAX = 2 ** 31 - 1;

function checkInteger(value: unknown, schema: Schema, at: Position): void {
  if (typeof value !== 'number') throw mismatch(value, schema, at);
  const limit = schema.format === 'int32' ? INT32_MAX : 2 ** 63;
  if (!Number.isInteger(value) || value > limit || value < -limit - 1)
    throw mismatch(value, schema, at, ` ${value}`);
}

function checkBase64(value: string): void {
  const text = value.replace(/[\r\n]/g, '');
  const bad = /[^A-Za-z0-9+/=]/.exec(text);
  if (bad) throw new DecodeError(`illegal base64 data at input byte ${bad.index}`);
  const end = text.search(/=/);
  if (text.length % 4 !== 0 || !/^[^=]*={0,2}$/.test(text)) {
    throw new DecodeError(`illegal base64 data at input byte ${end < 0 ? text.length : end}`);
  }
}

/** Checks one value against its schema, changing containers in place; returns what to keep instead of the value. */
function decodeValue(value: unknown, schema: Schema, at: Position, decoding: Decoding): unknown {
  const target = refTarget(schema);
  if (target === TIME || target === MICRO_TIME) return checkTime(value, schema, at);
  if (target === QUANTITY) return decodeQuantity(value);
  if (target === INT_OR_STRING) {
    if (typeof value !== 'string')
      checkInteger(value, { type: 'integer', format: 'int32' }, { ...at, goPath: '' });
    return value;
  }
  if (target === DURATION) {
    if (typeof value !== 'string') throw mismatch(value, { type: 'string' }, at);
    return value;
  }
  const resolved = resolveSchema(schema);
  if (resolved.properties) {
    if (!isJsonObject(value)) throw mismatch(value, schema, at);
    decodeStruct(value, resolved, { ...at, struct: structName(schema, at) }, decoding);
  } else if (isJsonObject(resolved.additionalProperties)) {
    if (!isJsonObject(value)) throw mismatch(value, resolved, at);
    const items = resolved.additionalProperties as Schema;
    for (const key of Object.keys(value)) {
      // A null member of a Go map is the zero value of its type.
      if (value[key] === null) value[key] = items.type === 'string' ? '' : null;
      else value[key] = decodeValue(value[key], items, { ...at, path: `${at.path}.${key}` }, decoding);
    }
  } else if (resolved.type === 'array') {
    if (!Array.isArray(value)) throw mismatch(value, resolved, at);
    const items = resolved.items ?? {};
    value.forEach((item, i) => {
      if (item !== null) value[i] = decodeValue(item, items, { ...at, path: `${at.path}[${i}]` }, decoding);
      else if (resolveSchema(items).properties) value[i] = {};
    });
  } else if (resolved.type === 'string') {
    if (typeof value !== 'string') throw mismatch(value, resolved, at);
    if (resolved.format === 'byte') checkBase64(value);
  } else if (resolved.type === 'boolean') {
    if (typeof value !== 'boolean') throw mismatch(value, resolved, at);
  } else if (resolved.type === 'integer') checkInteger(value, resolved, at);
  else if (resolved.type === 'number') {
    if (typeof value !== 'number') throw mismatch(value, resolved, at);
  } else if (resolved.type === 'object') {
    if (!isJsonObject(value)) throw mismatch(value, schema, at);
  }
  return value;
}

function structName(schema: Schema, at: Position): string {
  const target = refTarget(schema);
  return target ? target.slice(target.lastIndexOf('.') + 1) : at.struct;
}

function decodeStruct(
  object: Record<string, unknown>,
  schema: Schema,
  at: Position,
  decoding: Decoding,
): void {
  const properties = schema.properties ?? {};
  for (const key of Object.keys(object)) {
    const path = at.path === '' ? key : `${at.path}.${key}`;
    if (!Object.hasOwn(properties, key)) {
      decoding.unknown.push(`unknown field ${JSON.stringify(path)}`);
      delete object[key];
    } else if (object[key] === null) delete object[key];
    else {
      const goPath = at.goPath === '' ? key : `${at.goPath}.${key}`;
      object[key] = decodeValue(object[key], properties[key] as Schema, { ...at, path, goPath }, decoding);
    }
  }
}

/** Drops members a structural schema does not declare; what preserves unknown fields is left alone. */
function pruneCustom(value: unknown, schema: Schema, path: string, unknown: string[]): void {
  const resolved = resolveSchema(schema);
  if (Array.isArray(value)) {
    const items = resolved.items;
    if (items) for (const [i, item] of value.entries()) pruneCustom(item, items, `${path}[${i}]`, unknown);
  } else if (isJsonObject(value)) {
    const additional = resolved.additionalProperties;
    for (const key of Object.keys(value)) {
      const member = path === '' ? key : `${path}.${key}`;
      const property =
        resolved.properties && Object.hasOwn(resolved.properties, key) ? resolved.properties[key] : undefined;
      if (property) pruneCustom(value[key], property, member, unknown);
      else if (isJsonObject(additional)) pruneCustom(value[key], additional as Schema, member, unknown);
      else if (
        additional !== true &&
        !resolved['x-kubernetes-preserve-unknown-fields'] &&
        !(resolved['x-kubernetes-embedded-resource'] && ['apiVersion', 'kind', 'metadata'].includes(key))
      ) {
        unknown.push(`unknown field ${JSON.stringify(member)}`);
        delete value[key];
      }
    }
  }
}

/**
 * Brings a parsed object of a built-in kind in line with its schema, in place. Returns the members that were dropped, as
 * `unknown field "spec.foo"`. Throws DecodeError for a value of the wrong type.
 */
export function decodeBuiltIn(schema: Schema, object: Record<string, unknown>, kind: string): string[] {
  const decoding: Decoding = { unknown: [] };
  decodeStruct(object, schema, { path: '', goPath: '', struct: kind }, decoding);
  return decoding.unknown;
}

/** The same for a custom resource: unknown members are dropped, types are left to validation. */
export function decodeCustom(schema: Schema, object: Record<string, unknown>): string[] {
  const unknown: string[] = [];
  pruneCustom(object, schema, '', unknown);
  return unknown;
}

/** Paths of members the schema does not know, without changing the object: `unknown field "spec.foo"`. */
export function unknownFields(schema: Schema, object: unknown): string[] {
  const copy: unknown = structuredClone(object);
  const unknown: string[] = [];
  pruneCustom(copy, schema, '', unknown);
  return unknown;
}

/**
 * Decodes a request body of a built-in or custom kind, in place, and returns the texts for `Warning` headers.
 * `duplicates` are the texts of `duplicateFields` over the raw body. Throws ApiError 400 with the API server's text.
 */
export function decodeBody(o: {
  schema: Schema;
  custom: boolean;
  kind: string;
  version: string;
  object: Record<string, unknown>;
  fieldValidation: FieldValidation;
  duplicates?: readonly string[];
}): string[] {
  const refused = `${o.kind} in version ${JSON.stringify(o.version)} cannot be handled as a ${o.kind}: `;
  let strict: string[];
  try {
    strict = o.custom ? decodeCustom(o.schema, o.object) : decodeBuiltIn(o.schema, o.object, o.kind);
  } catch (error) {
    if (error instanceof DecodeError) throw badRequest(refused + error.message);
    throw error;
  }
  const problems = [...(o.duplicates ?? []), ...strict];
  if (problems.length === 0 || o.fieldValidation === 'Ignore') return [];
  if (o.fieldValidation === 'Strict')
    throw badRequest(`${refused}strict decoding error: ${problems.join(', ')}`);
  return problems;
}
