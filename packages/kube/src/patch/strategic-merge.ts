import { isJsonObject } from '../object.ts';
import { resolveSchema, type Schema } from '../schema.ts';
import { badRequest, unprocessable } from '../status.ts';
import { setOwn } from './merge-patch.ts';

/**
 * Strategic merge patch: a merge patch in which lists whose schema names a merge key are merged element by element.
 * Source: Kubernetes "Update API Objects in Place Using kubectl patch" and the directives of apimachinery
 * `pkg/util/strategicpatch`:
 *
 * - `$patch: replace | delete` in an object, or as `{$patch: delete, <key>: …}` in a list
 * - `$deleteFromPrimitiveList/<field>`: values to take out of a list of scalars
 * - `$setElementOrder/<field>`: the order of the elements the sender knows
 * - `$retainKeys`: members that stay; all others of the object go
 */
const DIRECTIVE = '$patch';
const RETAIN_KEYS = '$retainKeys';
const DELETE_PRIMITIVES = '$deleteFromPrimitiveList/';
const SET_ORDER = '$setElementOrder/';

type JsonObject = Record<string, unknown>;

function goMap(value: unknown): string {
  return `map${JSON.stringify(value)}`;
}

function missingMergeKey(element: unknown, mergeKey: string) {
  return badRequest(`map: ${goMap(element)} does not contain declared merge key: ${mergeKey}`);
}

function propertySchema(schema: Schema, key: string): Schema {
  if (schema.properties && Object.hasOwn(schema.properties, key)) return schema.properties[key] as Schema;
  return isJsonObject(schema.additionalProperties) ? (schema.additionalProperties as Schema) : {};
}

/** `merge,retainKeys` -> `merge`. */
function strategyOf(schema: Schema): string {
  const strategies = (schema['x-kubernetes-patch-strategy'] ?? '').split(',');
  return strategies.find((strategy) => strategy !== 'retainKeys') ?? '';
}

/** What a patch value becomes where there is nothing to merge with: no nulls, no directives. Undefined: nothing. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withoutDirectives).filter((item) => item !== undefined);
  }
  if (!isJsonObject(value)) return value;
  if (Object.hasOwn(value, DIRECTIVE)) return undefined;
  const result: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    if (member === null) continue;
    const kept = withoutDirectives(member);
    if (kept !== undefined) setOwn(result, key, kept);
  }
  return result;
}

function setOrDelete(object: JsonObject, key: string, value: unknown): void {
  if (value === undefined) delete object[key];
  else setOwn(object, key, value);
}

function applyRetainKeys(original: JsonObject, patch: JsonObject): void {
  if (!Object.hasOwn(patch, RETAIN_KEYS)) return;
  const list = patch[RETAIN_KEYS];
  delete patch[RETAIN_KEYS];
  if (!Array.isArray(list)) throw badRequest('invalid patch format of retainKeys');
  const retained = new Set(list);
  for (const [key, value] of Object.entries(patch)) {
    const directive = key.startsWith(DELETE_PRIMITIVES) || key.startsWith(SET_ORDER);
    if (value !== null && !directive && !retained.has(key))
      throw badRequest('invalid patch format of retainKeys');
  }
  for (const key of Object.keys(original)) if (!retained.has(key)) delete original[key];
}

/** What identifies an element: its merge key's value, or itself when the list holds scalars. */
function identity(element: unknown, mergeKey: string): unknown {
  if (!isJsonObject(element)) return element;
  if (mergeKey === '' || element[mergeKey] === undefined) throw missingMergeKey(element, mergeKey);
  return element[mergeKey];
}

function rejectNestedLists(...lists: unknown[][]): void {
  for (const list of lists) {
    if (list.some(Array.isArray)) throw unprocessable('lists of lists are not supported');
  }
}

/**
 * Puts `merged` in order: elements named in `order` in that order, the others where the server had them relative to it.
 */
function inOrder(merged: unknown[], order: unknown[], server: unknown[], mergeKey: string): unknown[] {
  const orderAt = new Map(order.map((element, i) => [identity(element, mergeKey), i]));
  const serverAt = new Map(server.map((element, i) => [identity(element, mergeKey), i]));
  const place = (element: unknown, places: Map<unknown, number>) =>
    places.get(identity(element, mergeKey)) ?? -1;
  const ordered = merged
    .filter((element) => place(element, orderAt) >= 0)
    .sort((a, b) => place(a, orderAt) - place(b, orderAt));
  const serverOnly = merged
    .filter((element) => place(element, orderAt) < 0)
    .sort((a, b) => place(a, serverAt) - place(b, serverAt));
  const result: unknown[] = [];
  let i = 0;
  for (const element of ordered) {
    const at = place(element, serverAt);
    while (at >= 0 && i < serverOnly.length && place(serverOnly[i], serverAt) < at)
      result.push(serverOnly[i++]);
    result.push(element);
  }
  return [...result, ...serverOnly.slice(i)];
}

function mergeObjects(original: unknown[], patch: unknown[], schema: Schema, mergeKey: string): unknown[] {
  let merged = [...original];
  const additions: JsonObject[] = [];
  let replace = false;
  for (const element of patch) {
    if (!isJsonObject(element)) throw badRequest('list element types are not identical');
    const directive = element[DIRECTIVE];
    if (directive === undefined) additions.push(element);
    else if (directive === 'delete') {
      const key = identity(element, mergeKey);
      merged = merged.filter((candidate) => !isJsonObject(candidate) || candidate[mergeKey] !== key);
    } else if (directive === 'replace') replace = true;
    else if (directive === 'merge') throw badRequest('merging lists cannot yet be specified in the patch');
    else throw badRequest(`unknown patch type: ${String(directive)} in map: ${goMap(element)}`);
  }
  if (replace) return additions.map(withoutDirectives);
  const items = resolveSchema(schema.items ?? {});
  for (const addition of additions) {
    const key = identity(addition, mergeKey);
    const at = merged.findIndex((candidate) => isJsonObject(candidate) && candidate[mergeKey] === key);
    if (at < 0) merged.push(withoutDirectives(addition));
    else merged[at] = mergeObject(merged[at] as JsonObject, addition, items);
  }
  return inOrder(merged, additions, original, mergeKey);
}

function mergeLists(original: unknown[], patch: unknown[], schema: Schema): unknown[] {
  if (original.length === 0 && patch.length === 0) return original;
  rejectNestedLists(original, patch);
  if ([...original, ...patch].some(isJsonObject)) {
    const mergeKey = schema['x-kubernetes-patch-merge-key'] ?? '';
    if (mergeKey === '') throw badRequest('cannot merge lists without merge key');
    return mergeObjects(original, patch, schema, mergeKey);
  }
  return inOrder([...new Set([...original, ...patch])], patch, original, '');
}

/** Handles `$setElementOrder/<field>` together with the list patch it belongs to, and takes both out of the patch. */
function applyElementOrder(original: JsonObject, patch: JsonObject, schema: Schema): void {
  for (const directive of Object.keys(patch).filter((key) => key.startsWith(SET_ORDER))) {
    const order = patch[directive];
    delete patch[directive];
    const key = directive.slice(SET_ORDER.length);
    const had = original[key];
    const change = patch[key];
    if (!Array.isArray(order) || (change !== undefined && change !== null && !Array.isArray(change))) {
      throw badRequest('invalid patch format of setElementOrder list');
    }
    if (!Array.isArray(had) && !Array.isArray(change)) continue;
    const list = propertySchema(schema, key);
    const mergeKey = list['x-kubernetes-patch-merge-key'] ?? '';
    let merged: unknown[];
    if (Array.isArray(had) && Array.isArray(change)) {
      checkOrder(change, order, mergeKey);
      merged = strategyOf(list) === 'merge' ? mergeLists(had, change, list) : change;
    } else if (Array.isArray(change)) merged = withoutDirectives(change) as unknown[];
    else if (change === null) continue;
    else merged = had as unknown[];
    setOwn(original, key, inOrder(merged, order, Array.isArray(had) ? had : [], mergeKey));
    delete patch[key];
  }
}

/** The elements a patch adds or changes must come in the order it declares. */
function checkOrder(change: unknown[], order: unknown[], mergeKey: string): void {
  const kept = change.filter((element) => !isJsonObject(element) || !Object.hasOwn(element, DIRECTIVE));
  let at = 0;
  for (const element of order) {
    if (at < kept.length && identity(kept[at], mergeKey) === identity(element, mergeKey)) at++;
  }
  if (at < kept.length && order.length > 0) {
    throw badRequest(
      `The order in patch list:\n${JSON.stringify(change)}\n doesn't match $setElementOrder list:\n${JSON.stringify(order)}\n`,
    );
  }
}

function mergeMember(original: JsonObject, key: string, value: unknown, schema: Schema): void {
  const had = original[key];
  if (isJsonObject(had) && isJsonObject(value)) {
    const merged = strategyOf(schema) === 'replace' ? value : mergeObject(had, value, resolveSchema(schema));
    setOwn(original, key, merged);
  } else if (Array.isArray(had) && Array.isArray(value)) {
    setOwn(original, key, strategyOf(schema) === 'merge' ? mergeLists(had, value, schema) : value);
  } else setOrDelete(original, key, withoutDirectives(value));
}

/** Merges in place; both arguments belong to the caller's copies. */
function mergeObject(original: JsonObject, patch: JsonObject, schema: Schema): JsonObject {
  if (Object.hasOwn(patch, DIRECTIVE)) {
    const { [DIRECTIVE]: directive, ...rest } = patch;
    if (directive === 'replace') return rest;
    if (directive === 'delete') return {};
    throw badRequest(`unknown patch type: ${String(directive)} in map: ${goMap(patch)}`);
  }
  applyRetainKeys(original, patch);
  applyElementOrder(original, patch, schema);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(DELETE_PRIMITIVES)) {
      const field = key.slice(DELETE_PRIMITIVES.length);
      const had = original[field];
      if (!Array.isArray(value)) throw badRequest('invalid patch format of primitive list');
      if (Array.isArray(had))
        setOwn(
          original,
          field,
          had.filter((element) => !value.includes(element)),
        );
    } else if (value === null) delete original[key];
    else mergeMember(original, key, value, propertySchema(schema, key));
  }
  return original;
}

/**
 * Applies a strategic merge patch to an object of a built-in kind. Neither argument is changed. Throws ApiError 400 for
 * patches of a wrong form and 422 for lists of lists.
 */
export function strategicMergePatch(
  schema: Schema,
  original: unknown,
  patch: unknown,
): Record<string, unknown> {
  if (!isJsonObject(patch)) throw badRequest('invalid JSON document');
  const copy = isJsonObject(original) ? structuredClone(original) : {};
  return mergeObject(copy, structuredClone(patch), resolveSchema(schema));
}
