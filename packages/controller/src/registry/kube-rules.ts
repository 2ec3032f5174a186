import { applyDefaults } from '@podwire/kube/defaulting';
import type { FieldError } from '@podwire/kube/field-error';
import type { KubeObject } from '@podwire/kube/object';
import { DEFINITIONS, definitionErrors } from './custom-definition.ts';
import type { ResourceType } from './resource-types.ts';

/** The rules of a resource's kind, built in or custom, behind one door. `defaultObject` works in place. */
export function defaultObject(type: ResourceType, object: KubeObject): void {
  if (type.custom !== undefined) {
    type.custom.prune(object);
    type.custom.applyDefaults(object);
    return;
  }
  applyDefaults(type.info, object);
}

export function createErrors(type: ResourceType, object: KubeObject): FieldError[] {
  if (type.custom !== undefined) return type.custom.validate(object);
  if (type.id === DEFINITIONS) return definitionErrors(object);
  return [];
}

/** Subresources whose own rules have already decided what may change. */
const CHECKED_SUBRESOURCES: ReadonlySet<string> = new Set([
  'binding',
  'ephemeralcontainers',
  'finalize',
  'resize',
]);

export function updateErrors(
  type: ResourceType,
  object: KubeObject,
  _old: KubeObject,
  subresource: string,
): FieldError[] {
  if (CHECKED_SUBRESOURCES.has(subresource)) return [];
  if (type.custom !== undefined) return type.custom.validate(object);
  if (type.id === DEFINITIONS) return definitionErrors(object);
  return [];
}
