import { isJsonObject } from '@podwire/kube/object';
import { resolveSchema, type Schema } from '@podwire/kube/schema';
import { copyJson } from './copy.ts';

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
