import { isJsonObject } from './object.ts';

/**
 * Reading and filling fields of objects that arrived as JSON. Nothing here trusts the type of a value: one of the wrong type
 * reads as the empty value of the type asked for, and is never replaced.
 */
export type JsonObject = Record<string, unknown>;

/** The value when it is an object, else an empty one that is not part of anything. */
export function asObject(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}

export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A list read as objects; indexes stay those of the list. */
export function asObjects(value: unknown): readonly JsonObject[] {
  return asList(value).map(asObject);
}

export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A list read as texts; indexes stay those of the list. */
export function asTexts(value: unknown): readonly string[] {
  return asList(value).map(asText);
}

export function asNumber(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

/** A map of texts, as labels are; entries of other types read as ''. */
export function asTextMap(value: unknown): Record<string, string> {
  const map: Record<string, string> = {};
  for (const [key, entry] of Object.entries(asObject(value))) map[key] = asText(entry);
  return map;
}

/** True where Go has a nil pointer. */
export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

/** True where Go has a nil pointer or an empty string. */
export function isUnset(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** True for what Go's `len(x) == 0` is true of: nil, and empty text, list or map. */
export function isEmpty(value: unknown): boolean {
  if (isUnset(value)) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isJsonObject(value) && Object.keys(value).length === 0;
}

/** Fills a field that is a pointer in Go: only where it is absent. */
export function fillAbsent(object: JsonObject, field: string, value: unknown): void {
  if (isAbsent(object[field])) object[field] = value;
}

/** Fills a text field: where it is absent or empty. */
export function fillText(object: JsonObject, field: string, value: string): void {
  if (isUnset(object[field])) object[field] = value;
}

/** Fills a number field that is no pointer in Go: where it is absent or 0. */
export function fillNumber(object: JsonObject, field: string, value: number): void {
  if (isAbsent(object[field]) || object[field] === 0) object[field] = value;
}

/** The object in a field, made when absent; undefined when something else is there. */
export function fillObject(object: JsonObject, field: string): JsonObject | undefined {
  fillAbsent(object, field, {});
  const value = object[field];
  return isJsonObject(value) ? value : undefined;
}
