import { forbiddenField, invalidField, notSupportedField, requiredField } from '../field-error.ts';
import {
  asList,
  asObject,
  asObjects,
  asText,
  asTexts,
  isAbsent,
  isEmpty,
  type JsonObject,
} from '../json-fields.ts';
import { isJsonObject, jsonEquals } from '../object.ts';
import type { Errors } from './checks.ts';

/**
 * The schemas of a CustomResourceDefinition: OpenAPI v3 in structural form (apiextensions-apiserver
 * pkg/apiserver/schema/validation.go and pkg/apis/apiextensions/validation).
 */

type Level = 'root' | 'item' | 'field';

const TYPES: readonly string[] = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
const UNSUPPORTED: readonly string[] = [
  'id',
  'additionalItems',
  'patternProperties',
  'definitions',
  'dependencies',
  '$ref',
];
const INT_OR_STRING = [{ type: 'integer' }, { type: 'string' }];
/** A schema deeper than this is refused rather than followed. */
const MAX_DEPTH = 100;
const JUNCTORS: readonly string[] = ['allOf', 'oneOf', 'anyOf'];
/** Keywords that may not stand in the branches of a junctor. */
const NOT_NESTED: Readonly<Record<string, string>> = {
  type: 'must be empty to be structural',
  additionalProperties: 'must be undefined to be structural',
  default: 'must be undefined to be structural',
  title: 'must be empty to be structural',
  description: 'must be empty to be structural',
  nullable: 'must be false to be structural',
  'x-kubernetes-preserve-unknown-fields': 'must be false to be structural',
  'x-kubernetes-embedded-resource': 'must be false to be structural',
  'x-kubernetes-int-or-string': 'must be false to be structural',
  'x-kubernetes-list-map-keys': 'must be empty to be structural',
  'x-kubernetes-list-type': 'must be undefined to be structural',
  'x-kubernetes-map-type': 'must be undefined to be structural',
  'x-kubernetes-validations': 'must be empty to be structural',
};

export function checkDefinitionSchema(
  errors: Errors,
  schema: JsonObject,
  path: string,
  withStatus: boolean,
): void {
  if (withStatus && asText(schema.type) !== '' && schema.type !== 'object') {
    const detail =
      'only "object" is allowed as the type at the root of the schema if the status subresource is enabled';
    errors.push(invalidField(`${path}.type`, schema.type, detail));
  }
  if (schema.nullable === true) {
    errors.push(forbiddenField(`${path}.nullable`, 'nullable cannot be true at the root'));
  }
  checkStructure(errors, schema, 'root', path, 0);
}

function checkStructure(errors: Errors, schema: JsonObject, level: Level, path: string, depth: number): void {
  if (depth > MAX_DEPTH) {
    errors.push(forbiddenField(path, `must not nest deeper than ${MAX_DEPTH} levels`));
    return;
  }
  checkKeywords(errors, schema, path);
  if (schema.type === 'array' && !isJsonObject(schema.items) && !Array.isArray(schema.items)) {
    errors.push(requiredField(`${path}.items`, 'must be specified'));
  }
  if (isJsonObject(schema.items)) {
    checkStructure(errors, schema.items, 'item', `${path}.items`, depth + 1);
  }
  const properties = asObject(schema.properties);
  for (const [name, property] of Object.entries(properties).sort(byName)) {
    const isMetadata = level === 'root' && name === 'metadata';
    if (!isMetadata) {
      checkStructure(errors, asObject(property), 'field', `${path}.properties[${name}]`, depth + 1);
    }
  }
  const additional = schema.additionalProperties;
  if (!isAbsent(additional)) {
    const field = `${path}.additionalProperties`;
    if (level === 'root') errors.push(forbiddenField(field, 'must not be used at the root'));
    if (isJsonObject(additional)) checkStructure(errors, additional, 'field', field, depth + 1);
  }
  checkType(errors, schema, level, path);
  checkExtensions(errors, schema, path);
  checkTypeMeta(errors, schema, level, path);
  checkJunctors(errors, schema, path, depth, isIntOrString(schema));
  checkPattern(errors, schema, path);
}

function byName(a: [string, unknown], b: [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}

function checkKeywords(errors: Errors, schema: JsonObject, path: string): void {
  const type = asText(schema.type);
  if (type === 'null') {
    const detail = 'type cannot be set to null, use nullable as an alternative';
    errors.push(forbiddenField(`${path}.type`, detail));
  } else if (type !== '' && !TYPES.includes(type)) {
    errors.push(notSupportedField(`${path}.type`, type, TYPES));
  }
  for (const keyword of UNSUPPORTED) {
    if (isAbsent(schema[keyword])) continue;
    errors.push(forbiddenField(`${path}.${keyword}`, `${keyword} is not supported`));
  }
  if (Array.isArray(schema.items)) {
    errors.push(forbiddenField(`${path}.items`, 'items must be a schema object and not an array'));
  }
  if (schema.uniqueItems === true) {
    const detail = 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic';
    errors.push(forbiddenField(`${path}.uniqueItems`, detail));
  }
  const additional = schema.additionalProperties;
  if (!isAbsent(additional) && additional !== true && !isEmpty(schema.properties)) {
    const detail = 'additionalProperties and properties are mutual exclusive';
    errors.push(forbiddenField(`${path}.additionalProperties`, detail));
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === false) {
    const detail = 'must be true or undefined';
    errors.push(invalidField(`${path}.x-kubernetes-preserve-unknown-fields`, false, detail));
  }
}

function checkType(errors: Errors, schema: JsonObject, level: Level, path: string): void {
  const type = asText(schema.type);
  const field = `${path}.type`;
  if (schema['x-kubernetes-embedded-resource'] === true && type !== 'object') {
    const detail = 'must be object if x-kubernetes-embedded-resource is true';
    errors.push(type === '' ? requiredField(field, detail) : invalidField(field, type, detail));
  } else if (
    type === '' &&
    schema['x-kubernetes-int-or-string'] !== true &&
    schema['x-kubernetes-preserve-unknown-fields'] !== true
  ) {
    const details = {
      root: 'must not be empty at the root',
      item: 'must not be empty for specified array items',
      field: 'must not be empty for specified object fields',
    };
    errors.push(requiredField(field, details[level]));
  }
  if (level === 'root' && type !== '' && type !== 'object') {
    errors.push(invalidField(field, type, 'must be object at the root'));
  }
}

function checkExtensions(errors: Errors, schema: JsonObject, path: string): void {
  const embedded = schema['x-kubernetes-embedded-resource'] === true;
  const preserving = schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (schema['x-kubernetes-int-or-string'] === true) {
    const detail = 'must be false if x-kubernetes-int-or-string is true';
    if (preserving) errors.push(invalidField(`${path}.x-kubernetes-preserve-unknown-fields`, true, detail));
    if (embedded) errors.push(invalidField(`${path}.x-kubernetes-embedded-resource`, true, detail));
  }
  if (embedded && !isAbsent(schema.additionalProperties)) {
    const detail = 'must not be used if x-kubernetes-embedded-resource is set';
    errors.push(forbiddenField(`${path}.additionalProperties`, detail));
  }
  if (embedded && !preserving && isEmpty(schema.properties)) {
    const detail =
      'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields';
    errors.push(requiredField(`${path}.properties`, detail));
  }
  checkListType(errors, schema, path);
  const mapType = schema['x-kubernetes-map-type'];
  if (!isAbsent(mapType) && mapType !== 'granular' && mapType !== 'atomic') {
    errors.push(notSupportedField(`${path}.x-kubernetes-map-type`, mapType, ['granular', 'atomic']));
  }
}

function checkListType(errors: Errors, schema: JsonObject, path: string): void {
  const listType = schema['x-kubernetes-list-type'];
  const field = `${path}.x-kubernetes-list-type`;
  const keys = asTexts(schema['x-kubernetes-list-map-keys']);
  if (!isAbsent(listType)) {
    const types = ['atomic', 'set', 'map'];
    if (!types.includes(asText(listType))) errors.push(notSupportedField(field, listType, types));
    if (schema.type !== 'array') {
      const detail = 'must be array if x-kubernetes-list-type is specified';
      errors.push(
        asText(schema.type) === ''
          ? requiredField(`${path}.type`, detail)
          : invalidField(`${path}.type`, schema.type, detail),
      );
    }
  }
  if (keys.length > 0 && listType !== 'map') {
    const detail = 'must be map if x-kubernetes-list-map-keys is non-empty';
    errors.push(isAbsent(listType) ? requiredField(field, detail) : invalidField(field, listType, detail));
  }
  if (listType !== 'map') return;
  const keysField = `${path}.x-kubernetes-list-map-keys`;
  if (keys.length === 0) {
    errors.push(requiredField(keysField, 'must not be empty if x-kubernetes-list-type is map'));
  }
  const items = asObject(schema.items);
  const required = asList(items.required);
  keys.forEach((key, i) => {
    const property = asObject(items.properties)[key];
    if (property === undefined) {
      const detail = 'entries must all be names of item properties';
      errors.push(invalidField(`${keysField}[${i}]`, key, detail));
    } else if (!required.includes(key) && asObject(property).default === undefined) {
      const detail =
        'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property';
      errors.push(requiredField(`${path}.items.properties[${key}].default`, detail));
    }
  });
}

/** What stands for apiVersion, kind and metadata of an object is known to the server. */
function checkTypeMeta(errors: Errors, schema: JsonObject, level: Level, path: string): void {
  if (level !== 'root' && schema['x-kubernetes-embedded-resource'] !== true) return;
  const properties = asObject(schema.properties);
  for (const name of ['kind', 'apiVersion']) {
    const type = asText(asObject(properties[name]).type);
    if (properties[name] !== undefined && type !== 'string') {
      errors.push(invalidField(`${path}.properties[${name}].type`, type, 'must be string'));
    }
  }
  const metadata = properties.metadata;
  if (metadata === undefined) return;
  const field = `${path}.properties[metadata]`;
  const { type, description, properties: inner, ...rest } = asObject(metadata);
  if (type !== 'object') errors.push(invalidField(`${field}.type`, asText(type), 'must be object'));
  const names = Object.keys(asObject(inner));
  const onlyNames = names.every((name) => name === 'name' || name === 'generateName');
  if (level === 'root' && (!onlyNames || !isEmpty(rest))) {
    const detail =
      'must not specify anything other than name and generateName, but metadata is implicitly specified';
    errors.push(forbiddenField(field, detail));
  }
}

/** The two ways to write `x-kubernetes-int-or-string` out, whose branches may name types. */
function isIntOrString(schema: JsonObject): boolean {
  if (schema['x-kubernetes-int-or-string'] !== true) return false;
  return (
    jsonEquals(schema.anyOf, INT_OR_STRING) ||
    jsonEquals(asObject(asList(schema.allOf)[0]).anyOf, INT_OR_STRING)
  );
}

function checkJunctors(
  errors: Errors,
  schema: JsonObject,
  path: string,
  depth: number,
  intOrString: boolean,
): void {
  for (const junctor of JUNCTORS) {
    asObjects(schema[junctor]).forEach((branch, i) => {
      const written = intOrString && (junctor === 'anyOf' || (junctor === 'allOf' && i === 0));
      if (!written) checkBranch(errors, branch, `${path}.${junctor}[${i}]`, depth + 1);
    });
  }
  if (isJsonObject(schema.not)) checkBranch(errors, schema.not, `${path}.not`, depth + 1);
}

function checkBranch(errors: Errors, branch: JsonObject, path: string, depth: number): void {
  if (depth > MAX_DEPTH) return;
  for (const [keyword, detail] of Object.entries(NOT_NESTED)) {
    const value = branch[keyword];
    if (isEmpty(value) && keyword !== 'default' && keyword !== 'additionalProperties') continue;
    if (value === undefined || value === false) continue;
    errors.push(forbiddenField(`${path}.${keyword}`, detail));
  }
  for (const [name, property] of Object.entries(asObject(branch.properties)).sort(byName)) {
    checkBranch(errors, asObject(property), `${path}.properties[${name}]`, depth + 1);
  }
  if (isJsonObject(branch.items)) checkBranch(errors, branch.items, `${path}.items`, depth + 1);
  checkJunctors(errors, branch, path, depth, false);
  checkPattern(errors, branch, path);
}

function checkPattern(errors: Errors, schema: JsonObject, path: string): void {
  const pattern = asText(schema.pattern);
  if (pattern === '') return;
  try {
    new RegExp(pattern);
  } catch (error) {
    const detail = `must be a valid regular expression, but isn't: ${(error as Error).message}`;
    errors.push(invalidField(`${path}.pattern`, pattern, detail));
  }
}
