import {
  duplicateField,
  type FieldError,
  invalidField,
  notSupportedField,
  requiredField,
  tooManyField,
} from '../field-error.ts';
import { asList, isUnset, type JsonObject } from '../json-fields.ts';
import {
  configMapKeyErrors,
  dns1123SubdomainErrors,
  inclusiveRangeText,
  percentErrors,
  portNameErrors,
  portNumberErrors,
} from '../names.ts';
import { isJsonObject, jsonEquals } from '../object.ts';

/**
 * Checks that every area of validation uses, each adding what it finds to `errors`. Texts: apimachinery
 * `pkg/api/validation/generic.go` and pkg/apis/core/validation/validation.go.
 */
export type Errors = FieldError[];

export const IMMUTABLE_TEXT = 'field is immutable';
export const NEGATIVE_TEXT = 'must be greater than or equal to 0';

/** `Invalid value` of something too big to show. */
export function invalidWithoutValue(field: string, detail: string): FieldError {
  const { badValue } = tooManyField(field, -1, -1);
  return { ...invalidField(field, badValue, detail) };
}

/** One `Invalid value` for each text. */
export function addInvalid(errors: Errors, field: string, value: unknown, texts: readonly string[]): void {
  for (const text of texts) errors.push(invalidField(field, value, text));
}

export function checkNonNegative(errors: Errors, value: unknown, field: string): void {
  if (typeof value === 'number' && value < 0) errors.push(invalidField(field, value, NEGATIVE_TEXT));
}

/** The same for several fields of one object. */
export function checkNonNegatives(
  errors: Errors,
  object: JsonObject,
  path: string,
  names: readonly string[],
): void {
  for (const name of names) checkNonNegative(errors, object[name], `${path}.${name}`);
}

export function checkRange(errors: Errors, value: unknown, low: number, high: number, field: string): void {
  if (typeof value !== 'number' || (value >= low && value <= high)) return;
  errors.push(invalidField(field, value, inclusiveRangeText(low, high)));
}

export function checkImmutable(errors: Errors, next: unknown, old: unknown, field: string): void {
  if (!semanticEquals(next, old)) errors.push(invalidField(field, next ?? null, IMMUTABLE_TEXT));
}

/**
 * Equality as Go's typed objects have it: zero values (empty text, list and map, 0, false) are the same as absent ones, since a
 * client written in Go leaves them out. A pointer to a zero is taken for absent too.
 */
export function semanticEquals(a: unknown, b: unknown): boolean {
  return jsonEquals(withoutZeros(a), withoutZeros(b));
}

function withoutZeros(value: unknown): unknown {
  if (!value) return undefined;
  // An item of a list counts even when it is empty.
  if (Array.isArray(value))
    return value.length === 0 ? undefined : value.map((item) => withoutZeros(item) ?? null);
  if (!isJsonObject(value)) return value;
  const kept: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    const left = withoutZeros(member);
    if (left !== undefined) kept[key] = left;
  }
  return Object.keys(kept).length === 0 ? undefined : kept;
}

/** A text that must be one of `supported`; nothing is said when it is unset unless it is required. */
export function checkEnum(
  errors: Errors,
  value: unknown,
  field: string,
  supported: readonly string[],
  unset: 'required' | 'optional' = 'required',
): void {
  if (isUnset(value)) {
    if (unset === 'required') errors.push(requiredField(field));
  } else if (!supported.includes(value as string)) errors.push(notSupportedField(field, value, supported));
}

/** True the first time; else a `Duplicate value` is added. */
export function checkUnique<T>(
  errors: Errors,
  seen: Set<T>,
  key: T,
  field: string,
  value: unknown = key,
): boolean {
  if (seen.has(key)) {
    errors.push(duplicateField(field, value));
    return false;
  }
  seen.add(key);
  return true;
}

/** A port given by number or by the name of a container's port. */
export function checkPortOrName(errors: Errors, port: unknown, field: string): void {
  if (typeof port === 'string') addInvalid(errors, field, port, portNameErrors(port));
  else addInvalid(errors, field, port ?? 0, portNumberErrors(typeof port === 'number' ? port : 0));
}

/** `3` or `25%`. */
export function checkIntOrPercent(errors: Errors, value: unknown, field: string): void {
  if (typeof value === 'string') addInvalid(errors, field, value, percentErrors(value));
  else checkNonNegative(errors, value, field);
}

export function checkNotMoreThan100Percent(errors: Errors, value: unknown, field: string): void {
  const percent = percentOf(value);
  if (percent !== undefined && percent > 100) {
    errors.push(invalidField(field, value, 'must not be greater than 100%'));
  }
}

function percentOf(value: unknown): number | undefined {
  return typeof value === 'string' && percentErrors(value).length === 0
    ? Number(value.slice(0, -1))
    : undefined;
}

/** The number in an int-or-percent, whatever its unit; 0 when there is none. */
export function intOrPercentValue(value: unknown): number {
  return percentOf(value) ?? (typeof value === 'number' ? value : 0);
}

/** The number of bytes of text, which is what limits count. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text);
}

/** A file path within a volume: relative and without `..`. */
export function checkDescendingPath(errors: Errors, path: string, field: string): void {
  if (path.startsWith('/')) errors.push(invalidField(field, path, 'must be a relative path'));
  checkNoBacksteps(errors, path, field);
}

export function checkNoBacksteps(errors: Errors, path: string, field: string): void {
  if (path.split('/').includes('..')) errors.push(invalidField(field, path, "must not contain '..'"));
}

/** As checkDescendingPath, for files whose names may not start with `..`. */
export function checkNonReservedPath(errors: Errors, path: string, field: string): void {
  checkDescendingPath(errors, path, field);
  if (path.startsWith('..') && !path.startsWith('../')) {
    errors.push(invalidField(field, path, "must not start with '..'"));
  }
}

export function checkDataKey(errors: Errors, key: string, field: string): void {
  addInvalid(errors, field, key, configMapKeyErrors(key));
}

/** True for a list with at least one item. */
export function hasItems(value: unknown): boolean {
  return asList(value).length > 0;
}

/** `domain/path`, as a controller names itself (apimachinery `pkg/util/validation`, IsDomainPrefixedPath). */
export function checkDomainPath(errors: Errors, text: string, field: string): void {
  if (text === '') {
    errors.push(requiredField(field));
    return;
  }
  const slash = text.indexOf('/');
  const host = text.slice(0, Math.max(slash, 0));
  const path = text.slice(slash + 1);
  if (host === '' || path === '') {
    const detail = 'must be a domain-prefixed path (such as "acme.io/foo")';
    errors.push(invalidField(field, text, detail));
    return;
  }
  addInvalid(errors, field, host, dns1123SubdomainErrors(host));
  const expression = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
  if (!new RegExp(`^${expression}$`).test(path)) {
    errors.push(invalidField(field, path, `Invalid path (regex used for validation is '${expression}')`));
  }
}
