import {
  type FieldError,
  forbiddenField,
  invalidField,
  requiredField,
  tooLongField,
} from '../field-error.ts';
import {
  asNumber,
  asObject,
  asObjects,
  asText,
  asTextMap,
  asTexts,
  isAbsent,
  isUnset,
  type JsonObject,
} from '../json-fields.ts';
import {
  dns1123LabelErrors,
  dns1123SubdomainErrors,
  labelValueErrors,
  qualifiedNameErrors,
} from '../names.ts';
import { parseApiVersion } from '../object.ts';
import type { LabelSelectorObject } from '../selectors.ts';
import { addInvalid, byteLength, checkImmutable, checkNonNegative, type Errors } from './checks.ts';

/** Metadata of every kind (apimachinery `pkg/api/validation/objectmeta.go`, `pkg/apis/meta/v1/validation`). */

/** What is wrong with a name, one text per rule. */
export type NameRule = (name: string) => string[];

const ANNOTATIONS_LIMIT_BYTES = 256 * 1024;
const MANAGER_LIMIT_BYTES = 128;
const SUBRESOURCE_LIMIT_BYTES = 256;
/** Finalizers without a domain that the server itself knows. */
const STANDARD_FINALIZERS: ReadonlySet<string> = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);

/** On creation, after the name was generated. `anyFinalizer`: the kind is not the core server's, which knows its finalizers. */
export function checkMetadata(
  errors: Errors,
  metadata: JsonObject,
  rules: { namespaced: boolean; name: NameRule; anyFinalizer: boolean },
): void {
  const generateName = asText(metadata.generateName);
  if (generateName !== '') {
    addInvalid(errors, 'metadata.generateName', generateName, rules.name(withMaskedDash(generateName)));
  }
  const name = asText(metadata.name);
  if (name === '') errors.push(requiredField('metadata.name', 'name or generateName is required'));
  else addInvalid(errors, 'metadata.name', name, rules.name(name));
  const namespace = asText(metadata.namespace);
  if (!rules.namespaced) {
    if (namespace !== '') errors.push(forbiddenField('metadata.namespace', 'not allowed on this type'));
  } else if (namespace === '') errors.push(requiredField('metadata.namespace'));
  else addInvalid(errors, 'metadata.namespace', namespace, dns1123LabelErrors(namespace));
  checkNonNegative(errors, metadata.generation, 'metadata.generation');
  checkLabels(errors, metadata.labels, 'metadata.labels');
  checkAnnotations(errors, metadata.annotations, 'metadata.annotations');
  checkOwnerReferences(errors, metadata);
  const finalizers = asTexts(metadata.finalizers);
  for (const finalizer of finalizers) {
    addInvalid(errors, 'metadata.finalizers', finalizer, qualifiedNameErrors(finalizer));
  }
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    const detail = 'finalizer orphan and foregroundDeletion cannot be both set';
    errors.push(invalidField('metadata.finalizers', finalizers, detail));
  }
  checkManagedFields(errors, metadata);
  if (!rules.anyFinalizer) checkStandardFinalizers(errors, metadata, 'metadata.finalizers');
}

export function checkMetadataUpdate(
  errors: Errors,
  metadata: JsonObject,
  old: JsonObject,
  rules: { anyFinalizer: boolean },
): void {
  if (!isUnset(old.deletionTimestamp)) {
    const known = asTexts(old.finalizers);
    const added = asTexts(metadata.finalizers).filter((finalizer) => !known.includes(finalizer));
    if (added.length > 0) {
      const list = `[]string{${[...new Set(added)]
        .sort()
        .map((each) => JSON.stringify(each))
        .join(', ')}}`;
      const detail = `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`;
      errors.push(forbiddenField('metadata.finalizers', detail));
    }
  }
  if (asNumber(metadata.generation) < asNumber(old.generation)) {
    errors.push(
      invalidField('metadata.generation', asNumber(metadata.generation), 'must not be decremented'),
    );
  }
  for (const field of [
    'name',
    'namespace',
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ]) {
    checkImmutable(errors, metadata[field], old[field], `metadata.${field}`);
  }
  checkLabels(errors, metadata.labels, 'metadata.labels');
  checkAnnotations(errors, metadata.annotations, 'metadata.annotations');
  checkOwnerReferences(errors, metadata);
  checkManagedFields(errors, metadata);
  if (!rules.anyFinalizer) checkStandardFinalizers(errors, metadata, 'metadata.finalizers');
}

/** A generated name may end in a dash, since something follows it. */
export function withMaskedDash(name: string): string {
  return name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name;
}

export function checkLabels(errors: Errors, labels: unknown, field: string): void {
  for (const [key, value] of Object.entries(asTextMap(labels)).sort(byKey)) {
    addInvalid(errors, field, key, qualifiedNameErrors(key));
    addInvalid(errors, field, value, labelValueErrors(value));
  }
}

export function checkAnnotations(errors: Errors, annotations: unknown, field: string): void {
  let totalBytes = 0;
  for (const [key, value] of Object.entries(asTextMap(annotations)).sort(byKey)) {
    addInvalid(errors, field, key, qualifiedNameErrors(key.toLowerCase()));
    totalBytes += byteLength(key) + byteLength(value);
  }
  if (totalBytes > ANNOTATIONS_LIMIT_BYTES) errors.push(tooLongField(field, ANNOTATIONS_LIMIT_BYTES));
}

/** Go's maps have no order; a sorted one makes the answer the same each time. */
function byKey(a: [string, unknown], b: [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}

function checkOwnerReferences(errors: Errors, metadata: JsonObject): void {
  const field = 'metadata.ownerReferences';
  let controller = '';
  for (const owner of asObjects(metadata.ownerReferences)) {
    const apiVersion = asText(owner.apiVersion);
    const kind = asText(owner.kind);
    const { group, version } = parseApiVersion(apiVersion);
    if (version === '') {
      errors.push(invalidField(`${field}.apiVersion`, apiVersion, 'version must not be empty'));
    }
    for (const name of ['kind', 'name', 'uid']) {
      if (asText(owner[name]) === '') {
        errors.push(invalidField(`${field}.${name}`, asText(owner[name]), 'must not be empty'));
      }
    }
    if (group === '' && version === 'v1' && kind === 'Event') {
      errors.push(invalidField(field, owner, '/v1, Kind=Event is disallowed from being an owner'));
    }
    if (owner.controller !== true) continue;
    const current = `${kind}/${asText(owner.name)}`;
    if (controller !== '') {
      const detail = `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${current}`;
      errors.push(invalidField(field, metadata.ownerReferences, detail));
    } else controller = current;
  }
}

function checkManagedFields(errors: Errors, metadata: JsonObject): void {
  asObjects(metadata.managedFields).forEach((entry, i) => {
    const path = `metadata.managedFields[${i}]`;
    const operation = asText(entry.operation);
    if (operation !== 'Apply' && operation !== 'Update') {
      errors.push(invalidField(`${path}.operation`, operation, 'must be `Apply` or `Update`'));
    }
    const fieldsType = asText(entry.fieldsType);
    if (fieldsType !== '' && fieldsType !== 'FieldsV1') {
      errors.push(invalidField(`${path}.fieldsType`, fieldsType, 'must be `FieldsV1`'));
    }
    if (byteLength(asText(entry.manager)) > MANAGER_LIMIT_BYTES) {
      errors.push(tooLongField(`${path}.manager`, MANAGER_LIMIT_BYTES));
    }
    if (byteLength(asText(entry.subresource)) > SUBRESOURCE_LIMIT_BYTES) {
      errors.push(tooLongField(`${path}.subresource`, SUBRESOURCE_LIMIT_BYTES));
    }
  });
}

/** A finalizer of the core server's own: of a domain, or one of the few without. `field` is the list's. */
export function checkStandardFinalizers(errors: Errors, owner: JsonObject, field: string): void {
  asTexts(owner.finalizers).forEach((finalizer, i) => {
    if (finalizer.split('/').length === 1 && !STANDARD_FINALIZERS.has(finalizer)) {
      const detail = 'name is neither a standard finalizer name nor is it fully qualified';
      errors.push(invalidField(`${field}[${i}]`, finalizer, detail));
    }
  });
}

/** metav1.LabelSelector. */
export function checkLabelSelector(errors: Errors, selector: unknown, path: string): void {
  if (isAbsent(selector)) return;
  const { matchLabels, matchExpressions } = asObject(selector);
  checkLabels(errors, matchLabels, `${path}.matchLabels`);
  asObjects(matchExpressions).forEach((expression, i) => {
    checkLabelRequirement(errors, expression, `${path}.matchExpressions[${i}]`);
  });
}

function checkLabelRequirement(errors: Errors, expression: JsonObject, path: string): void {
  const operator = asText(expression.operator);
  const values = asTexts(expression.values);
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) {
      const detail = "must be specified when `operator` is 'In' or 'NotIn'";
      errors.push(requiredField(`${path}.values`, detail));
    }
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) {
      const detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
      errors.push(forbiddenField(`${path}.values`, detail));
    }
  } else errors.push(invalidField(`${path}.operator`, operator, 'not a valid selector operator'));
  const key = asText(expression.key);
  addInvalid(errors, `${path}.key`, key, qualifiedNameErrors(key));
  values.forEach((value, i) => {
    addInvalid(errors, `${path}.values[${i}]`, value, labelValueErrors(value));
  });
}

/** The selector as its type says it is, whatever stood there; undefined for none. */
export function labelSelectorOf(selector: unknown): LabelSelectorObject | undefined {
  if (isAbsent(selector)) return undefined;
  const { matchLabels, matchExpressions } = asObject(selector);
  return {
    matchLabels: asTextMap(matchLabels),
    matchExpressions: asObjects(matchExpressions).map(({ key, operator, values }) => ({
      key: asText(key),
      operator: asText(operator),
      values: asTexts(values),
    })),
  };
}

/** True when the selector says nothing, and so would select everything. */
export function isEmptySelector(selector: unknown): boolean {
  const { matchLabels, matchExpressions } = asObject(selector);
  return Object.keys(asObject(matchLabels)).length === 0 && asObjects(matchExpressions).length === 0;
}

/** The same error twice says no more than once. */
export function withoutRepeats(errors: FieldError[]): FieldError[] {
  if (errors.length < 2) return errors;
  const kept = new Map<string, FieldError>();
  for (const error of errors) {
    const key = JSON.stringify([error.field, error.type, error.detail, error.badValue]);
    if (!kept.has(key)) kept.set(key, error);
  }
  return [...kept.values()];
}

/** Dotted DNS labels: the names of most kinds. */
export const SUBDOMAIN_NAME: NameRule = dns1123SubdomainErrors;
