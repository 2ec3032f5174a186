import { isJsonObject } from '@podwire/kube/object';

/** Reads `.spec.replicas`: dots only, as the scale paths of CustomResourceDefinitions are. */
export function readPath(object: unknown, path: string): unknown {
  let value = object;
  for (const key of keysOf(path)) value = isJsonObject(value) ? value[key] : undefined;
  return value;
}

/** A copy of `object` with `value` at `path`; shares what it does not change. */
export function withPath(object: unknown, path: string, value: unknown): unknown {
  return set(object, keysOf(path), value);
}

function set(object: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value;
  const base = isJsonObject(object) ? object : {};
  return { ...base, [key]: set(base[key], rest, value) };
}

function keysOf(path: string): string[] {
  return path.split('.').filter((key) => key !== '');
}
