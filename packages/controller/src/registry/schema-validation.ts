import {
  duplicateField,
  type FieldError,
  invalidField,
  notSupportedField,
  requiredField,
  tooLongField,
  tooManyField,
  typeInvalidField,
} from '@podwire/kube/field-error';
import { isJsonObject, jsonEquals } from '@podwire/kube/object';
import { resolveSchema, type Schema } from '@podwire/kube/schema';

/**
 * Checks a value against the schema of a custom resource, with the texts of the API server
 * (kube-openapi pkg/validation, apiextensions-apiserver pkg/apiserver/validation). Rules written in CEL are not evaluated.
 */
export function schemaErrors(schema: Schema, value: unknown): FieldError[] {
  const errors: FieldError[] = [];
  check(schema, value, '', errors);
  return errors;
}

function check(unresolved: Schema, value: unknown, path: string, errors: FieldError[]): void {
  const schema = resolveSchema(unresolved);
  if (value === null) {
    if (schema.nullable !== true && schema.type !== undefined)
      errors.push(wrongType(schema.type, value, path));
    return;
  }
  if (schema['x-kubernetes-int-or-string'] === true) {
    if (typeof value !== 'string' && !Number.isInteger(value)) {
      errors.push(wrongType('integer,string', value, path));
    }
  } else if (schema.type !== undefined && !hasType(schema.type, value)) {
    errors.push(wrongType(schema.type, value, path));
    return;
  }
  if (schema.enum !== undefined && !schema.enum.some((each) => jsonEquals(each, value))) {
    errors.push(notSupportedField(nameOf(path), value, schema.enum.map(String)));
  }
  if (typeof value === 'number') checkNumber(schema, value, path, errors);
  else if (typeof value === 'string') checkString(schema, value, path, errors);
  else if (Array.isArray(value)) checkList(schema, value, path, errors);
  else if (isJsonObject(value)) checkObject(schema, value, path, errors);
  checkCombinations(schema, value, path, errors);
}

function checkNumber(schema: Schema, value: number, path: string, errors: FieldError[]): void {
  const { minimum, maximum, multipleOf, exclusiveMinimum, exclusiveMaximum } = schema;
  const bad = (rule: string) => errors.push(inBody(path, value, rule));
  if (minimum !== undefined && (exclusiveMinimum ? value <= minimum : value < minimum)) {
    bad(`should be greater than ${exclusiveMinimum ? '' : 'or equal to '}${minimum}`);
  }
  if (maximum !== undefined && (exclusiveMaximum ? value >= maximum : value > maximum)) {
    bad(`should be less than ${exclusiveMaximum ? '' : 'or equal to '}${maximum}`);
  }
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) {
    bad(`should be a multiple of ${multipleOf}`);
  }
  const limit = schema.format === 'int32' ? 2 ** 31 : 2 ** 63;
  if (schema.type === 'integer' && (value < -limit || value >= limit))
    bad(`should be of format ${schema.format}`);
}

const FORMATS: Readonly<Record<string, (value: string) => boolean>> = {
  'date-time': (value) =>
    /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(value) &&
    !Number.isNaN(Date.parse(value)),
  date: (value) => /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value)),
  byte: (value) => /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0,
  uuid: (value) => /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(value),
  ipv4: (value) =>
    /^(\d{1,3}\.){3}\d{1,3}$/.test(value) && value.split('.').every((each) => Number(each) < 256),
  email: (value) => /^[^@\s]+@[^@\s]+$/.test(value),
};

function checkString(schema: Schema, value: string, path: string, errors: FieldError[]): void {
  const length = [...value].length;
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    errors.push(tooLongField(nameOf(path), schema.maxLength));
  }
  if (schema.minLength !== undefined && length < schema.minLength) {
    errors.push(inBody(path, value, `should be at least ${schema.minLength} chars long`));
  }
  if (schema.pattern !== undefined && compile(schema.pattern)?.test(value) === false) {
    errors.push(inBody(path, value, `should match '${schema.pattern}'`));
  }
  if (schema.format !== undefined && FORMATS[schema.format]?.(value) === false) {
    const text = `${path} in body must be of type ${schema.format}: ${JSON.stringify(value)}`;
    errors.push(typeInvalidField(nameOf(path), value, text));
  }
}

const patterns = new Map<string, RegExp | undefined>();

/** A pattern JavaScript cannot read (Go's syntax differs in rare corners) checks nothing. */
function compile(pattern: string): RegExp | undefined {
  if (!patterns.has(pattern)) {
    try {
      patterns.set(pattern, new RegExp(pattern, 'u'));
    } catch {
      patterns.set(pattern, undefined);
    }
  }
  return patterns.get(pattern);
}

function checkList(schema: Schema, value: unknown[], path: string, errors: FieldError[]): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    errors.push(tooManyField(nameOf(path), value.length, schema.maxItems));
  }
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    errors.push(inBody(path, value.length, `should have at least ${schema.minItems} items`));
  }
  if (schema.uniqueItems === true && new Set(value.map((each) => JSON.stringify(each))).size < value.length) {
    errors.push(inBody(path, value, "shouldn't contain duplicates"));
  }
  const keys = schema['x-kubernetes-list-map-keys'];
  const listType = schema['x-kubernetes-list-type'];
  if (listType === 'set' || (listType === 'map' && keys !== undefined)) {
    const seen = new Set<string>();
    value.forEach((each, index) => {
      const key = listType === 'set' ? each : pick(each, keys!);
      const text = JSON.stringify(key);
      if (seen.has(text)) errors.push(duplicateField(`${path}[${index}]`, key));
      seen.add(text);
    });
  }
  if (schema.items !== undefined) {
    value.forEach((each, index) => {
      check(schema.items!, each, `${path}[${index}]`, errors);
    });
  }
}

function checkObject(
  schema: Schema,
  value: Record<string, unknown>,
  path: string,
  errors: FieldError[],
): void {
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties) {
    errors.push(tooManyField(nameOf(path), count, schema.maxProperties));
  }
  if (schema.minProperties !== undefined && count < schema.minProperties) {
    errors.push(inBody(path, count, `should have at least ${schema.minProperties} properties`));
  }
  for (const name of schema.required ?? []) {
    if (value[name] === undefined) errors.push(requiredField(child(path, name)));
  }
  for (const [name, item] of Object.entries(value)) {
    const property = schema.properties?.[name];
    if (property !== undefined) check(property, item, child(path, name), errors);
    else if (isJsonObject(schema.additionalProperties)) {
      check(schema.additionalProperties as Schema, item, child(path, name), errors);
    }
  }
}

function checkCombinations(schema: Schema, value: unknown, path: string, errors: FieldError[]): void {
  const holds = (each: Schema) => {
    const found: FieldError[] = [];
    check(each, value, path, found);
    return found.length === 0;
  };
  const bad = (rule: string) =>
    errors.push(invalidField(nameOf(path), value, `${JSON.stringify(path)} must ${rule}`));
  if (schema.allOf !== undefined && !schema.allOf.every(holds)) {
    for (const each of schema.allOf) check(each, value, path, errors);
    bad('validate all the schemas (allOf)');
  }
  if (schema.anyOf !== undefined && !schema.anyOf.some(holds)) bad('validate at least one schema (anyOf)');
  if (schema.oneOf !== undefined) {
    const count = schema.oneOf.filter(holds).length;
    if (count === 0) bad('validate one and only one schema (oneOf). Found none valid');
    if (count > 1) bad(`validate one and only one schema (oneOf). Found ${count} valid alternatives`);
  }
  if (schema.not !== undefined && holds(schema.not)) bad('not validate the schema (not)');
}

function hasType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isJsonObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default: {
      const actual: string = typeof value;
      return actual === type;
    }
  }
}

function wrongType(type: string, value: unknown, path: string): FieldError {
  const actual = typeName(value);
  return typeInvalidField(
    nameOf(path),
    actual,
    `${path} in body must be of type ${type}: ${JSON.stringify(actual)}`,
  );
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'number' ? (Number.isInteger(value) ? 'integer' : 'number') : typeof value;
}

function inBody(path: string, value: unknown, rule: string): FieldError {
  return invalidField(nameOf(path), value, `${path} in body ${rule}`);
}

function child(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function nameOf(path: string): string {
  return path === '' ? '<nil>' : path;
}

function pick(value: unknown, keys: readonly string[]): Record<string, unknown> {
  const object = isJsonObject(value) ? value : {};
  return Object.fromEntries(keys.map((key) => [key, object[key]]));
}
