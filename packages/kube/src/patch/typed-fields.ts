import { isJsonObject, jsonEquals } from '../object.ts';
import { resolveSchema, type Schema } from '../schema.ts';
import { EMPTY_SET, type FieldSet, fieldSet, LEAF } from './field-set.ts';
import { setOwn } from './merge-patch.ts';

/**
 * Objects seen through their schema, as structured-merge-diff sees them: which parts are owned one by one (structs, maps,
 * lists with keys, sets) and which as a whole (atomic lists and maps, scalars).
 */
export class TypedFieldsError extends Error {}

type JsonObject = Record<string, unknown>;

type Shape =
  | { kind: 'leaf' }
  /** `struct` has declared members; a map's keys are data. */
  | { kind: 'map'; struct: boolean; member(name: string): Schema; declares(name: string): boolean }
  | { kind: 'list'; items: Schema; keys: readonly string[] | undefined };

const LEAF_SHAPE: Shape = { kind: 'leaf' };
const ANY: Schema = {};

function shapeOf(schema: Schema, value: unknown): Shape {
  const resolved = resolveSchema(schema);
  if (Array.isArray(value)) {
    const type = schema['x-kubernetes-list-type'] ?? resolved['x-kubernetes-list-type'];
    const items = resolved.items ?? ANY;
    if (type === 'set') return { kind: 'list', items, keys: undefined };
    if (type === 'map') {
      const keys = schema['x-kubernetes-list-map-keys'] ?? resolved['x-kubernetes-list-map-keys'];
      return { kind: 'list', items, keys: keys ?? [] };
    }
    return LEAF_SHAPE;
  }
  if (!isJsonObject(value) || resolved['x-kubernetes-map-type'] === 'atomic') return LEAF_SHAPE;
  const { properties, additionalProperties } = resolved;
  const other = isJsonObject(additionalProperties) ? (additionalProperties as Schema) : ANY;
  const declares = (name: string) => properties !== undefined && Object.hasOwn(properties, name);
  return {
    kind: 'map',
    struct: properties !== undefined,
    declares,
    member: (name) => (declares(name) ? ((properties as Record<string, Schema>)[name] as Schema) : other),
  };
}

/** The path element of a list item. Items without a key that has no default are told by position. */
function itemElement(item: unknown, shape: Shape & { kind: 'list' }, index: number, strict: boolean): string {
  if (!shape.keys) return `v:${JSON.stringify(item)}`;
  const key: JsonObject = {};
  for (const name of [...shape.keys].sort()) {
    let value = isJsonObject(item) ? item[name] : undefined;
    value ??= resolveSchema(shape.items).properties?.[name]?.default;
    if (value === undefined) {
      if (!strict) return `i:${index}`;
      const why = `associative list with keys has an element that omits key field ${JSON.stringify(name)}`;
      throw new TypedFieldsError(`element ${index}: ${why} (and doesn't have default value)`);
    }
    key[name] = value;
  }
  return `k:${JSON.stringify(key)}`;
}

/** Items by path element, in order. In a stored object the last of several alike wins. */
function itemsByElement(
  list: unknown[],
  shape: Shape & { kind: 'list' },
  strict: boolean,
): Map<string, unknown> {
  const items = new Map<string, unknown>();
  list.forEach((item, i) => {
    const element = itemElement(item, shape, i, strict);
    if (strict && items.has(element)) {
      throw new TypedFieldsError(`duplicate entries for key ${element.slice(2)}`);
    }
    items.set(element, item);
  });
  return items;
}

function isEmptyContainer(value: unknown): boolean {
  return value === null || (isJsonObject(value) && Object.keys(value).length === 0);
}

/**
 * The fields a configuration names. Structs are not named by themselves unless empty; map keys and list items are.
 * Throws TypedFieldsError, naming the place, for list items without keys or with repeated ones.
 */
export function fieldsOf(value: unknown, schema: Schema, path = ''): FieldSet {
  const shape = shapeOf(schema, value);
  if (shape.kind === 'leaf') return LEAF;
  if (shape.kind === 'map') {
    const children: [string, FieldSet][] = [];
    for (const [name, member] of Object.entries(value as JsonObject)) {
      const inner = fieldsOf(member, shape.member(name), `${path}.${name}`);
      const own = isEmptyContainer(member) || !shape.declares(name);
      children.push([`f:${name}`, own ? { member: true, children: inner.children } : inner]);
    }
    return fieldSet(false, children);
  }
  let items: Map<string, unknown>;
  try {
    items = itemsByElement(value as unknown[], shape, true);
  } catch (error) {
    throw error instanceof TypedFieldsError ? new TypedFieldsError(`${path}: ${error.message}`) : error;
  }
  const children: [string, FieldSet][] = [];
  for (const [element, item] of items) {
    const inner = shape.keys ? fieldsOf(item, shape.items, path) : LEAF;
    children.push([element, { member: true, children: inner.children }]);
  }
  return fieldSet(false, children);
}

export interface Comparison {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

const SAME: Comparison = { added: EMPTY_SET, modified: EMPTY_SET, removed: EMPTY_SET };
const ADDED: Comparison = { ...SAME, added: LEAF };
const MODIFIED: Comparison = { ...SAME, modified: LEAF };
const REMOVED: Comparison = { ...SAME, removed: LEAF };

function isEmptyValue(value: unknown): boolean {
  return value === undefined || isEmptyContainer(value) || (Array.isArray(value) && value.length === 0);
}

function compareLeaf(from: unknown, to: unknown): Comparison {
  if (from === undefined) return to === undefined ? SAME : ADDED;
  if (to === undefined) return REMOVED;
  return jsonEquals(from, to) ? SAME : MODIFIED;
}

function combined(
  parts: Iterable<readonly [string, Comparison]>,
  self: { added: boolean; removed: boolean },
): Comparison {
  const added: [string, FieldSet][] = [];
  const modified: [string, FieldSet][] = [];
  const removed: [string, FieldSet][] = [];
  for (const [element, part] of parts) {
    added.push([element, part.added]);
    modified.push([element, part.modified]);
    removed.push([element, part.removed]);
  }
  return {
    added: fieldSet(self.added, added),
    modified: fieldSet(false, modified),
    removed: fieldSet(self.removed, removed),
  };
}

/** What changed from one object to another; undefined stands for a value that is not there. */
export function compareFields(from: unknown, to: unknown, schema: Schema): Comparison {
  if (from === to) return SAME;
  const shape = shapeOf(schema, to ?? from);
  const other = shapeOf(schema, from ?? to);
  if (shape.kind === 'leaf' || other.kind !== shape.kind || (isEmptyValue(from) && isEmptyValue(to))) {
    return compareLeaf(from, to);
  }
  const parts: [string, Comparison][] = [];
  if (shape.kind === 'map') {
    const before = (from ?? {}) as JsonObject;
    const after = (to ?? {}) as JsonObject;
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      parts.push([`f:${name}`, compareFields(before[name], after[name], shape.member(name))]);
    }
    // A struct comes into being with its members; upstream finds it there already, as a zero value.
    return combined(parts, { added: from === undefined && !shape.struct, removed: to === undefined });
  }
  const before = itemsByElement((from ?? []) as unknown[], shape, false);
  const after = itemsByElement((to ?? []) as unknown[], shape, false);
  for (const element of new Set([...before.keys(), ...after.keys()])) {
    const part = shape.keys
      ? compareFields(before.get(element), after.get(element), shape.items)
      : compareLeaf(before.get(element), after.get(element));
    const isNew = !before.has(element);
    parts.push([element, isNew ? { ...part, added: { member: true, children: part.added.children } } : part]);
  }
  return combined(parts, { added: from === undefined, removed: to === undefined });
}

/** Order of merged list items: those of `config` keep its order, the others their place in front of what followed. */
function mergedOrder(live: string[], config: string[]): string[] {
  const inConfig = new Set(config);
  const inLive = new Set(live);
  const order: string[] = [];
  const taken = new Set<string>();
  let at = 0;
  const takeLiveOnly = () => {
    while (at < live.length && (!inConfig.has(live[at] as string) || taken.has(live[at] as string))) {
      if (!taken.has(live[at] as string)) order.push(live[at] as string);
      at++;
    }
  };
  for (const element of config) {
    takeLiveOnly();
    order.push(element);
    taken.add(element);
    if (inLive.has(element) && live[at] === element) at++;
  }
  for (; at < live.length; at++) if (!inConfig.has(live[at] as string)) order.push(live[at] as string);
  return order;
}

/** Lays a configuration over a live object: what it names wins, the rest stays. Neither argument is changed. */
export function mergeFields(live: unknown, config: unknown, schema: Schema): unknown {
  if (config === undefined) return live;
  const shape = shapeOf(schema, config);
  if (live === undefined || shape.kind === 'leaf' || shapeOf(schema, live).kind !== shape.kind) return config;
  if (shape.kind === 'map') {
    const result: JsonObject = { ...(live as JsonObject) };
    for (const [name, value] of Object.entries(config as JsonObject)) {
      setOwn(result, name, mergeFields(result[name], value, shape.member(name)));
    }
    return result;
  }
  const before = itemsByElement(live as unknown[], shape, false);
  const after = itemsByElement(config as unknown[], shape, false);
  return mergedOrder([...before.keys()], [...after.keys()]).map((element) => {
    if (!after.has(element)) return before.get(element);
    return shape.keys
      ? mergeFields(before.get(element), after.get(element), shape.items)
      : after.get(element);
  });
}

/** Takes the paths of a set out of an object; containers this empties go too. Undefined: nothing is left. */
export function removeFields(value: unknown, remove: FieldSet, schema: Schema): unknown {
  if (remove.children.size === 0) return value;
  const shape = shapeOf(schema, value);
  if (shape.kind === 'leaf') return value;
  if (shape.kind === 'map') {
    const result: JsonObject = {};
    for (const [name, member] of Object.entries(value as JsonObject)) {
      const part = remove.children.get(`f:${name}`);
      if (part?.member) continue;
      const kept = part ? removeFields(member, part, shape.member(name)) : member;
      if (kept !== undefined) setOwn(result, name, kept);
    }
    return Object.keys(result).length > 0 ? result : undefined;
  }
  const result: unknown[] = [];
  (value as unknown[]).forEach((item, i) => {
    const part = remove.children.get(itemElement(item, shape, i, false));
    if (part?.member) return;
    const kept = part ? removeFields(item, part, shape.items) : item;
    if (kept !== undefined) result.push(kept);
  });
  return result.length > 0 ? result : undefined;
}

/** Adds declared members that only have children: a struct all of whose fields go is to go as well. */
export function withNamedFields(set: FieldSet, schema: Schema): FieldSet {
  const resolved = resolveSchema(schema);
  const children: [string, FieldSet][] = [];
  for (const [element, child] of set.children) {
    let inner: Schema = ANY;
    let named = false;
    if (element.startsWith('f:')) {
      const name = element.slice(2);
      named = resolved.properties !== undefined && Object.hasOwn(resolved.properties, name);
      if (named) inner = (resolved.properties as Record<string, Schema>)[name] as Schema;
      else if (isJsonObject(resolved.additionalProperties)) inner = resolved.additionalProperties as Schema;
    } else inner = resolved.items ?? ANY;
    const deeper = withNamedFields(child, inner);
    children.push([element, named ? { member: true, children: deeper.children } : deeper]);
  }
  return fieldSet(set.member, children);
}
