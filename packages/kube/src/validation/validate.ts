import type { FieldError } from '../field-error.ts';
import { asObject } from '../json-fields.ts';
import type { KubeObject } from '../object.ts';
import { resourceId } from '../resources.ts';
import type { Errors } from './checks.ts';
import { KIND_RULES, type KindRules } from './kind-rules.ts';
import { checkMetadata, checkMetadataUpdate, SUBDOMAIN_NAME, withoutRepeats } from './metadata.ts';

/** A built-in resource; those of CustomResourceDefinitions have schemas instead, and pass here by their metadata alone. */
export interface ValidatedType {
  readonly group: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

const NO_RULES: KindRules = {};

function rulesOf(info: ValidatedType): KindRules {
  const id = resourceId(info);
  return Object.hasOwn(KIND_RULES, id) ? (KIND_RULES[id] as KindRules) : NO_RULES;
}

/**
 * What is wrong with an object about to be created, in the words and field paths of the API server (pkg/apis/GROUP/validation).
 * The object has its defaults, its generated name and what the server itself fills in. Never throws, whatever the object holds.
 */
export function validateCreate(info: ValidatedType, object: KubeObject): FieldError[] {
  const rules = rulesOf(info);
  const errors: Errors = [];
  checkMetadata(errors, asObject(object.metadata), {
    namespaced: info.namespaced,
    name: rules.name ?? SUBDOMAIN_NAME,
  });
  rules.create?.(errors, object);
  return withoutRepeats(errors);
}

/**
 * The same for an object about to replace `old`. `subresource` is 'status' when only the status may have changed, which has
 * rules of its own; any other value means the object itself.
 */
export function validateUpdate(
  info: ValidatedType,
  object: KubeObject,
  old: KubeObject,
  subresource = '',
): FieldError[] {
  const rules = rulesOf(info);
  const errors: Errors = [];
  checkMetadataUpdate(errors, asObject(object.metadata), asObject(old.metadata));
  if (subresource === 'status') rules.status?.(errors, object, old);
  else if (rules.update !== undefined) rules.update(errors, object, old);
  else rules.create?.(errors, object);
  return withoutRepeats(errors);
}
