import { isJsonObject } from '@podwire/kube/object';
import { resolveSchema, type Schema } from '@podwire/kube/schema';
import { copyJson } from './copy.ts';

/**
 * Removes what a structural schema does not specify, in place, and returns the paths of what went
 * (apiextensions-apiserver pkg/apiserver/schema/pruning).
 */
export function pruneUnknown(schema: Schema, object: unknown): string[] {
  const pruned: string[] = [];
  prune(schema, object, '', pruned);
  return pruned;
}

const EMBEDDED: readonly string[] = ['apiVersion', 'kind', 'metadata'];

function prune(unresolved: Schema, value: unknown, path: string, pruned: string[]): void {
  const schema = resolveSchema(unresolved);
  if (Array.isArray(value)) {
    if (schema.items === undefined) return;
    value.forEach((each, index) => {
      prune(schema.items!, each, `${path}[${index}]`, pruned);
    });
    return;
  }
  if (!isJsonObject(value)) return;
  const keepsUnknown = schema['x-kubernetes-preserve-unknown-fields'] === true;
  for (const [name, item] of Object.entries(value)) {
    const here = path === '' ? name : `${path}.${name}`;
    const property = schema.properties?.[name];
    const additional = schema.additionalProperties;
    if (property !== undefined) prune(property, item, here, pruned);
    else if (isJsonObject(additional)) prune(additional as Schema, item, here, pruned);
    else if (schema['x-kubernetes-embedded-resource'] === true && EMBEDDED.includes(name)) continue;
    else if (!keepsUnknown && additional !== true && isClosed(schema)) {
      delete value[name];
      pruned.push(here);
    }
  }
}

/** An object schema without properties allows none; a schema without a type says nothing. */
function isClosed(schema: Schema): boolean {
  return schema.type === 'object' || schema.properties !== undefined;
}

/** Fills in schema defaults, in place; a null where null is not allowed counts as absent. */
export function fillDefaults(unresolved: Schema, value: unknown): void {
  const schema = resolveSchema(unresolved);
  if (Array.isArray(value)) {
    for (const each of value) if (schema.items !== undefined) fillDefaults(schema.items, each);
    return;
  }
  if (!isJsonObject(value)) return;
  for (const [name, unresolvedProperty] of Object.entries(schema.properties ?? {})) {
    const property = resolveSchema(unresolvedProperty);
    if (property.default === undefined) continue;
    if (value[name] === undefined || (value[name] === null && property.nullable !== true)) {
      value[name] = copyJson(property.default);
    }
  }
  for (const [name, item] of Object.entries(value)) {
    const property = schema.properties?.[name];
    if (property !== undefined) fillDefaults(property, item);
    else if (isJsonObject(schema.additionalProperties))
      fillDefaults(schema.additionalProperties as Schema, item);
  }
}
