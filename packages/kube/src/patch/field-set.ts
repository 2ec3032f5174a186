import type { FieldsV1 } from '../object.ts';

/**
 * Sets of field paths, as `metadata.managedFields` stores them (structured-merge-diff `fieldpath`). A path is a list of
 * elements: `f:name` a member, `k:{"name":"web"}` a list item by its keys, `v:"a"` an item of a set, `i:3` an index.
 * A set is a trie; a node is in the set when `member` says so, whatever its children are. Sets are not changed after
 * they are made: operations return new ones and share what did not change.
 */
export interface FieldSet {
  readonly member: boolean;
  readonly children: ReadonlyMap<string, FieldSet>;
}

const NO_CHILDREN: ReadonlyMap<string, FieldSet> = new Map();

export const EMPTY_SET: FieldSet = { member: false, children: NO_CHILDREN };
export const LEAF: FieldSet = { member: true, children: NO_CHILDREN };

export function isEmptySet(set: FieldSet): boolean {
  return !set.member && set.children.size === 0;
}

/** A node from its parts; children that hold nothing are left out. */
export function fieldSet(member: boolean, children: Iterable<readonly [string, FieldSet]>): FieldSet {
  const kept = new Map<string, FieldSet>();
  for (const [element, child] of children) if (!isEmptySet(child)) kept.set(element, child);
  if (kept.size === 0) return member ? LEAF : EMPTY_SET;
  return { member, children: kept };
}

export function unionOf(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmptySet(a)) return b;
  if (isEmptySet(b)) return a;
  const children = new Map(a.children);
  for (const [element, child] of b.children) {
    const own = children.get(element);
    children.set(element, own ? unionOf(own, child) : child);
  }
  return { member: a.member || b.member, children };
}

/** Paths of `a` that are not in `b`; the paths below a path of `b` stay. */
export function differenceOf(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmptySet(b)) return a;
  const children: [string, FieldSet][] = [];
  for (const [element, child] of a.children) {
    const other = b.children.get(element);
    children.push([element, other ? differenceOf(child, other) : child]);
  }
  return fieldSet(a.member && !b.member, children);
}

export function intersectionOf(a: FieldSet, b: FieldSet): FieldSet {
  const children: [string, FieldSet][] = [];
  for (const [element, child] of a.children) {
    const other = b.children.get(element);
    if (other) children.push([element, intersectionOf(child, other)]);
  }
  return fieldSet(a.member && b.member, children);
}

export function setsEqual(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  if (a.member !== b.member || a.children.size !== b.children.size) return false;
  for (const [element, child] of a.children) {
    const other = b.children.get(element);
    if (!other || !setsEqual(child, other)) return false;
  }
  return true;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sortedChildren(set: FieldSet): [string, FieldSet][] {
  return [...set.children].sort(([a], [b]) => compareText(a, b));
}

/** The form managedFields keeps: `{"f:spec":{"f:replicas":{}}}`; `.` marks a member that has children. */
export function formatFieldsV1(set: FieldSet): FieldsV1 {
  const result: FieldsV1 = {};
  if (set.member && set.children.size > 0) result['.'] = {};
  for (const [element, child] of sortedChildren(set)) result[element] = formatFieldsV1(child);
  return result;
}

/** Reads that form; members that are not objects, or deeper than any object, count as empty. */
export function parseFieldsV1(fields: unknown, depth = 0): FieldSet {
  if (typeof fields !== 'object' || fields === null || depth > 200) return depth === 0 ? EMPTY_SET : LEAF;
  const entries = Object.entries(fields);
  if (entries.length === 0) return depth === 0 ? EMPTY_SET : LEAF;
  const children: [string, FieldSet][] = [];
  for (const [element, child] of entries) {
    if (element !== '.') children.push([element, parseFieldsV1(child, depth + 1)]);
  }
  return fieldSet(Object.hasOwn(fields, '.'), children);
}

/** One path element as people read it: `.spec`, `[name="web"]`, `[="a"]`, `[3]`. */
function elementText(element: string): string {
  const value = element.slice(2);
  if (element.startsWith('f:')) return `.${value}`;
  if (element.startsWith('v:')) return `[=${value}]`;
  if (element.startsWith('i:')) return `[${value}]`;
  try {
    const keys = Object.entries(JSON.parse(value) as Record<string, unknown>);
    return `[${keys.map(([key, keyValue]) => `${key}=${JSON.stringify(keyValue)}`).join(',')}]`;
  } catch {
    return `[${value}]`;
  }
}

/** Every path of the set as text, in order: `.spec.template.spec.containers[name="web"].image`. */
export function pathTexts(set: FieldSet, prefix = ''): string[] {
  const texts: string[] = set.member ? [prefix] : [];
  for (const [element, child] of sortedChildren(set))
    texts.push(...pathTexts(child, prefix + elementText(element)));
  return texts;
}
