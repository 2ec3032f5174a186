import type { FieldError } from '../field-error.ts';
import { asObject, type JsonObject } from '../json-fields.ts';
import { dns1035LabelErrors, dns1123LabelErrors } from '../names.ts';
import type { KubeObject } from '../object.ts';
import { resourceId } from '../resources.ts';
import type { Errors } from './checks.ts';
import {
  checkMetadata,
  checkMetadataUpdate,
  type NameRule,
  SUBDOMAIN_NAME,
  withoutRepeats,
} from './metadata.ts';
import { checkService, checkServiceStatus, checkServiceUpdate } from './service.ts';

/** What one kind checks beside its metadata. */
export interface KindRules {
  /** Dotted DNS labels without it. */
  readonly name?: NameRule;
  readonly create?: (errors: Errors, object: JsonObject) => void;
  /** `create` without it. */
  readonly update?: (errors: Errors, object: JsonObject, old: JsonObject) => void;
  /** Of a write to the subresource status, whose spec is the stored one. */
  readonly status?: (errors: Errors, object: JsonObject, old: JsonObject) => void;
}

const NO_RULES: KindRules = {};

/** By resource id. */
const RULES: Readonly<Record<string, KindRules>> = {
  namespaces: { name: dns1123LabelErrors },
  services: {
    name: dns1035LabelErrors,
    create: checkService,
    update: checkServiceUpdate,
    status: checkServiceStatus,
  },
};

interface ValidatedType {
  readonly group: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

function rulesOf(info: ValidatedType): KindRules {
  const id = resourceId(info);
  return Object.hasOwn(RULES, id) ? (RULES[id] as KindRules) : NO_RULES;
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
