/**
 * The shapes every Kubernetes object shares, as they travel in JSON.
 *
 * The typed kinds (Pod, Service, …) come from the npm package `kubernetes-types`; these are the mutable, server-side
 * counterparts of its metadata types, which it declares read-only where clients may not write.
 */

/** RFC 3339 in UTC with whole seconds: `2024-01-02T03:04:05Z`. */
export type Time = string;

/** RFC 3339 in UTC with microseconds: `2024-01-02T03:04:05.000006Z`. */
export type MicroTime = string;

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Ownership of fields by one writer; `fieldsV1` is the trie described in structured-merge-diff. */
export interface ManagedFieldsEntry {
  manager?: string;
  operation?: 'Apply' | 'Update';
  apiVersion?: string;
  time?: Time;
  fieldsType?: 'FieldsV1';
  fieldsV1?: FieldsV1;
  subresource?: string;
}

/** Keys are `.`, `f:name`, `k:{"key":"value"}`, `v:value` or `i:index`; the values nest. */
export interface FieldsV1 {
  [pathElement: string]: FieldsV1;
}

export interface ObjectMeta {
  name?: string;
  generateName?: string;
  namespace?: string;
  selfLink?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: Time;
  deletionTimestamp?: Time;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  managedFields?: ManagedFieldsEntry[];
}

export interface ListMeta {
  resourceVersion?: string;
  continue?: string;
  remainingItemCount?: number;
  selfLink?: string;
}

/** Any parsed object of any kind. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

export interface KubeList<T = KubeObject> {
  apiVersion: string;
  kind: string;
  metadata: ListMeta;
  items: T[];
}

/** A type of `kubernetes-types` with its metadata present and every field writable. */
export type Stored<T> = Mutable<Omit<T, 'metadata' | 'apiVersion' | 'kind'>> & {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
};

/** The same type without `readonly`, at every depth. */
export type Mutable<T> = T extends (infer E)[]
  ? Mutable<E>[]
  : T extends object
    ? { -readonly [K in keyof T]: Mutable<T[K]> }
    : T;

/** Formats a clock reading as metav1.Time. */
export function formatTime(epochMs: number): Time {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}

/** Formats a clock reading (fractions of a millisecond allowed) as metav1.MicroTime. */
export function formatMicroTime(epochMs: number): MicroTime {
  const wholeMs = Math.floor(epochMs);
  const micros = Math.floor((epochMs - wholeMs) * 1000);
  return `${new Date(wholeMs).toISOString().slice(0, 23)}${String(micros).padStart(3, '0')}Z`;
}

/** Splits `apps/v1` or `v1`. */
export function parseApiVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf('/');
  return slash < 0
    ? { group: '', version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/** Joins group and version; the core group is empty. */
export function formatApiVersion(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`;
}

/** True for values JSON calls an object. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Equality of parsed JSON: key order does not matter, and a key holding undefined counts as absent. */
export function jsonEquals(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, i) => jsonEquals(item, b[i]));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  for (const key in a) if (a[key] !== undefined && !jsonEquals(a[key], b[key])) return false;
  for (const key in b) if (b[key] !== undefined && a[key] === undefined) return false;
  return true;
}
