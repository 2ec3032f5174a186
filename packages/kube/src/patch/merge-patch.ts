import { isJsonObject } from '../object.ts';

/**
 * JSON Merge Patch (RFC 7386): objects merge, null removes a member, everything else replaces.
 * Neither argument is changed; the result may share unchanged parts with both.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isJsonObject(patch)) return patch;
  const result: Record<string, unknown> = isJsonObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else setOwn(result, key, mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}

/** The patch that turns `from` into `to`, or undefined when they are equal. Nulls in `to` cannot be expressed. */
export function createMergePatch(from: unknown, to: unknown): unknown {
  if (!isJsonObject(from) || !isJsonObject(to)) {
    return JSON.stringify(from) === JSON.stringify(to) ? undefined : to;
  }
  const patch: Record<string, unknown> = {};
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) setOwn(patch, key, null);
  for (const [key, value] of Object.entries(to)) {
    if (!Object.hasOwn(from, key)) setOwn(patch, key, value);
    else {
      const difference = createMergePatch(from[key], value);
      if (difference !== undefined) setOwn(patch, key, difference);
    }
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}

/** Sets a member that may be called `__proto__`, as JSON allows. */
export function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}
