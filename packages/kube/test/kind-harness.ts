import { applyDefaults } from '../src/defaulting.ts';
import { formatFieldError } from '../src/field-error.ts';
import type { KubeObject } from '../src/object.ts';
import { findResourceByKind, type ResourceInfo } from '../src/resources.ts';
import { validateCreate, validateUpdate } from '../src/validation/validate.ts';

export function resourceOf(object: KubeObject): ResourceInfo {
  const info = findResourceByKind(object.apiVersion, object.kind);
  if (info === undefined) throw new Error(`no resource for ${object.apiVersion} ${object.kind}`);
  return info;
}

/** A change of an object: a path such as `spec.ports[0].port`, keys with dots as `labels["a.b/c"]`; undefined removes. */
export type Change = readonly [path: string, value: unknown];

export function changed(base: object, ...changes: readonly Change[]): KubeObject {
  const object = structuredClone(base) as Record<string, unknown>;
  for (const [path, value] of changes) {
    const keys = [...path.matchAll(/\["([^"]+)"\]|\[(\d+)\]|([^.[\]]+)/g)].map(
      ([, key, index, name]) => key ?? index ?? (name as string),
    );
    const last = keys.pop() as string;
    let at = object;
    keys.forEach((key, i) => {
      at[key] ??= /^\d+$/.test(keys[i + 1] ?? last) ? [] : {};
      at = at[key] as Record<string, unknown>;
    });
    if (value === undefined) delete at[last];
    else at[last] = structuredClone(value);
  }
  return object as unknown as KubeObject;
}

/** The object as the server would have it before validation. */
export function ready(object: KubeObject): KubeObject {
  const info = resourceOf(object);
  const next = structuredClone(object);
  next.metadata ??= {};
  next.metadata.name ??= 'a';
  if (info.namespaced) next.metadata.namespace ??= 'ns';
  next.metadata.uid ??= 'uid-1';
  applyDefaults(info, next);
  return next;
}

export function createTexts(object: KubeObject): string[] {
  return validateCreate(resourceOf(object), ready(object)).map(formatFieldError);
}

/** What is wrong with changing `before` into `after`. */
export function updateTexts(before: KubeObject, after: KubeObject, subresource = ''): string[] {
  return validateUpdate(resourceOf(before), ready(after), ready(before), subresource).map(formatFieldError);
}
