import type { FieldError } from '../field-error.ts';
import { asObject } from '../json-fields.ts';
import type { KubeObject } from '../object.ts';
import { findResource, resourceId } from '../resources.ts';
import type { Errors } from './checks.ts';
import { KIND_RULES, type KindRules } from './kind-rules.ts';
import { checkMetadata, checkMetadataUpdate, SUBDOMAIN_NAME, withoutRepeats } from './metadata.ts';

/** A resource. Of those that CustomResourceDefinitions define only the metadata is checked here: they have schemas. */
export interface ValidatedType {
  readonly group: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

const BUILT_IN: KindRules = {};
const CUSTOM: KindRules = { anyFinalizer: true };

function rulesOf(info: ValidatedType): KindRules {
  const id = resourceId(info);
  if (Object.hasOwn(KIND_RULES, id)) return KIND_RULES[id] as KindRules;
  return findResource(id) === undefined ? CUSTOM : BUILT_IN;
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
    anyFinalizer: rules.anyFinalizer ?? false,
  });
  rules.create?.(errors, object);
  return withoutRepeats(errors);
}

/**
 * The same for an object about to replace `old`. Writes to a subresource ('status', 'ephemeralcontainers') have rules of their
 * own; of one that has none (''; 'scale') those of the object itself hold.
 */
export function validateUpdate(
  info: ValidatedType,
  object: KubeObject,
  old: KubeObject,
  subresource = '',
): FieldError[] {
  const rules = rulesOf(info);
  const errors: Errors = [];
  checkMetadataUpdate(errors, asObject(object.metadata), asObject(old.metadata), {
    anyFinalizer: rules.anyFinalizer ?? false,
  });
  const ownRule = Object.hasOwn(rules.subresources ?? {}, subresource)
    ? rules.subresources?.[subresource]
    : undefined;
  if (subresource === 'status') rules.status?.(errors, object, old);
  else if (ownRule !== undefined) ownRule(errors, object, old);
  else if (rules.update !== undefined) rules.update(errors, object, old);
  else rules.create?.(errors, object);
  return withoutRepeats(errors);
}
