import { setOwn } from '@podwire/kube/patch/merge-patch';

/** A deep copy of parsed JSON without the keys that hold undefined. */
export function copyJson<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyJson) as T;
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) setOwn(copy, key, copyJson(item));
  }
  return copy as T;
}
