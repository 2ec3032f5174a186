import { applyDefaults } from '@podwire/kube/defaulting';
import type { FieldError } from '@podwire/kube/field-error';
import type { KubeObject } from '@podwire/kube/object';
import { validateCreate, validateUpdate } from '@podwire/kube/validation/validate';
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

/** What is wrong with a new object. */
export function createErrors(type: ResourceType, object: KubeObject): FieldError[] {
  return [...commonErrors(type, validateCreate(type.info, object)), ...kindErrors(type, object)];
}

/** Subresources whose own rules have already decided what may change. */
const CHECKED_SUBRESOURCES: ReadonlySet<string> = new Set([
  'binding',
  'ephemeralcontainers',
  'finalize',
  'resize',
]);

/** What is wrong with a change of an object. */
export function updateErrors(
  type: ResourceType,
  object: KubeObject,
  old: KubeObject,
  subresource: string,
): FieldError[] {
  if (CHECKED_SUBRESOURCES.has(subresource)) return [];
  const errors = validateUpdate(type.info, object, old, subresource);
  return [...commonErrors(type, errors), ...kindErrors(type, object)];
}

/** Rules that a definition gives its objects, and those for definitions themselves. */
function kindErrors(type: ResourceType, object: KubeObject): FieldError[] {
  if (type.custom !== undefined) return type.custom.validate(object);
  return type.id === DEFINITIONS ? definitionErrors(object) : [];
}

/** Finalizers without a domain are refused by the core server only; definitions and their objects have such. */
function commonErrors(type: ResourceType, errors: readonly FieldError[]): readonly FieldError[] {
  if (type.custom === undefined && type.id !== DEFINITIONS) return errors;
  return errors.filter((each) => !each.field.startsWith('metadata.finalizers['));
}
