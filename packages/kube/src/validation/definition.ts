import { forbiddenField, invalidField, requiredField, tooManyField } from '../field-error.ts';
import { asObject, asObjects, asText, asTexts, isAbsent, isEmpty, type JsonObject } from '../json-fields.ts';
import { dns1035LabelErrors, dns1123SubdomainErrors } from '../names.ts';
import { jsonEquals } from '../object.ts';
import { checkEnum, checkImmutable, checkUnique, type Errors } from './checks.ts';
import { checkDefinitionSchema } from './definition-schema.ts';

/** CustomResourceDefinitions (apiextensions-apiserver pkg/apis/apiextensions/validation). */

const COLUMN_TYPES: readonly string[] = ['boolean', 'date', 'integer', 'number', 'string'];
const COLUMN_FORMATS: readonly string[] = [
  'byte',
  'date',
  'date-time',
  'double',
  'float',
  'int32',
  'int64',
  'password',
];
const APPROVAL = 'api-approved.kubernetes.io';
const MAX_SELECTABLE_FIELDS = 8;

/** The names of a definition and of its group are the definition's own name. */
export function checkDefinition(errors: Errors, definition: JsonObject): void {
  const spec = asObject(definition.spec);
  const name = asText(asObject(definition.metadata).name);
  const { plural } = asObject(spec.names);
  if (name !== '' && name !== `${asText(plural)}.${asText(spec.group)}`) {
    errors.push(invalidField('metadata.name', name, 'must be spec.names.plural+"."+spec.group'));
  }
  checkDefinitionSpec(errors, spec);
  checkStoredVersions(errors, definition);
  checkApproval(errors, definition, undefined);
}

export function checkDefinitionUpdate(errors: Errors, definition: JsonObject, old: JsonObject): void {
  const spec = asObject(definition.spec);
  const before = asObject(old.spec);
  checkDefinitionSpec(errors, spec);
  const names = asObject(spec.names);
  const oldNames = asObject(before.names);
  const established = asObjects(asObject(old.status).conditions).some(
    (condition) => condition.type === 'Established' && condition.status === 'True',
  );
  if (established) {
    checkImmutable(errors, spec.scope, before.scope, 'spec.scope');
    checkImmutable(errors, names.kind, oldNames.kind, 'spec.names.kind');
  }
  checkImmutable(errors, spec.group, before.group, 'spec.group');
  checkImmutable(errors, names.plural, oldNames.plural, 'spec.names.plural');
  checkStoredVersions(errors, definition);
  checkApproval(errors, definition, old);
}

export function checkDefinitionStatus(errors: Errors, definition: JsonObject): void {
  checkNames(errors, asObject(asObject(definition.status).acceptedNames), 'status.acceptedNames');
}

function checkDefinitionSpec(errors: Errors, spec: JsonObject): void {
  const group = asText(spec.group);
  if (group === '') errors.push(requiredField('spec.group'));
  else {
    const texts = dns1123SubdomainErrors(group);
    if (texts.length > 0) errors.push(invalidField('spec.group', group, texts.join(',')));
    else if (!group.includes('.')) {
      errors.push(invalidField('spec.group', group, 'should be a domain with at least one dot'));
    }
  }
  checkEnum(errors, spec.scope, 'spec.scope', ['Cluster', 'Namespaced']);
  const versions = asObjects(spec.versions);
  checkSchemas(errors, versions);
  versions.forEach((version, i) => {
    checkVersion(errors, version, `spec.versions[${i}]`);
  });
  if (new Set(versions.map((version) => asText(version.name))).size < versions.length) {
    errors.push(invalidField('spec.versions', spec.versions, 'must contain unique version names'));
  }
  if (versions.filter((version) => version.storage === true).length !== 1) {
    const detail = 'must have exactly one version marked as storage version';
    errors.push(invalidField('spec.versions', spec.versions ?? null, detail));
  }
  const names = asObject(spec.names);
  for (const field of ['plural', 'singular', 'kind', 'listKind']) {
    if (asText(names[field]) === '') errors.push(requiredField(`spec.names.${field}`));
  }
  checkNames(errors, names, 'spec.names');
  checkConversion(errors, spec, 'spec.conversion');
  if (spec.preserveUnknownFields === true) {
    const detail =
      'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead';
    errors.push(invalidField('spec.preserveUnknownFields', true, detail));
  }
}

/** Schemas that are the same in all versions are one to the server, which then names its place in the older form. */
function checkSchemas(errors: Errors, versions: readonly JsonObject[]): void {
  const schemas = versions.map((version) => asObject(version.schema).openAPIV3Schema);
  schemas.forEach((schema, i) => {
    if (isAbsent(schema)) {
      errors.push(requiredField(`spec.versions[${i}].schema.openAPIV3Schema`, 'schemas are required'));
    }
  });
  const shared = schemas.length > 0 && schemas.every((schema) => jsonEquals(schema, schemas[0]));
  schemas.forEach((schema, i) => {
    if (isAbsent(schema) || (shared && i > 0)) return;
    const path = shared ? 'spec.validation' : `spec.versions[${i}].schema`;
    const withStatus = versions.some(
      (version, j) => (shared || i === j) && !isAbsent(asObject(version.subresources).status),
    );
    checkDefinitionSchema(errors, asObject(schema), `${path}.openAPIV3Schema`, withStatus);
  });
}

function checkVersion(errors: Errors, version: JsonObject, path: string): void {
  const name = asText(version.name);
  const texts = dns1035LabelErrors(name);
  if (texts.length > 0) errors.push(invalidField(`${path}.name`, name, texts.join(',')));
  const warning = version.deprecationWarning;
  const field = `${path}.deprecationWarning`;
  if (!isAbsent(warning)) {
    if (version.deprecated !== true) {
      errors.push(invalidField(field, warning, 'can only be set for deprecated versions'));
    } else if (asText(warning) === '')
      errors.push(invalidField(field, warning, 'must not be an empty string'));
    else if (asText(warning).length > 256) {
      errors.push(invalidField(field, warning, 'must be <= 256 characters long'));
    }
  }
  const { scale } = asObject(version.subresources);
  if (!isAbsent(scale)) checkScale(errors, asObject(scale), `${path}.subresources.scale`);
  asObjects(version.additionalPrinterColumns).forEach((column, i) => {
    checkColumn(errors, column, `${path}.additionalPrinterColumns[${i}]`);
  });
  checkSelectableFields(errors, version, `${path}.selectableFields`);
}

function checkSelectableFields(errors: Errors, version: JsonObject, path: string): void {
  const fields = asObjects(version.selectableFields);
  const seen = new Set<string>();
  fields.forEach((field, i) => {
    const jsonPath = asText(field.jsonPath);
    const at = `${path}[${i}].jsonPath`;
    if (jsonPath === '') {
      errors.push(requiredField(at));
      return;
    }
    if (/^\.metadata(\.|$)/.test(jsonPath)) {
      errors.push(invalidField(at, jsonPath, 'must not point to fields in metadata'));
    }
    checkUnique(errors, seen, jsonPath, at);
  });
  if (seen.size > MAX_SELECTABLE_FIELDS) errors.push(tooManyField(path, seen.size, MAX_SELECTABLE_FIELDS));
}

function checkScale(errors: Errors, scale: JsonObject, path: string): void {
  for (const [field, under] of [
    ['specReplicasPath', '.spec.'],
    ['statusReplicasPath', '.status.'],
  ] as const) {
    const jsonPath = asText(scale[field]);
    const at = `${path}.${field}`;
    if (jsonPath === '') errors.push(requiredField(at));
    else if (checkJsonPath(errors, jsonPath, at) && !jsonPath.startsWith(under)) {
      errors.push(invalidField(at, jsonPath, `should be a json path under ${under.slice(0, -1)}`));
    }
  }
  const selector = asText(scale.labelSelectorPath);
  const at = `${path}.labelSelectorPath`;
  if (selector !== '' && checkJsonPath(errors, selector, at) && !/^\.(spec|status)\./.test(selector)) {
    errors.push(invalidField(at, selector, 'should be a json path under either .spec or .status'));
  }
}

/** True when the path is one. */
function checkJsonPath(errors: Errors, jsonPath: string, field: string): boolean {
  if (jsonPath.startsWith('.')) return true;
  errors.push(invalidField(field, jsonPath, 'must be a simple json path starting with .'));
  return false;
}

function checkColumn(errors: Errors, column: JsonObject, path: string): void {
  const type = asText(column.type);
  const format = asText(column.format);
  const jsonPath = asText(column.jsonPath);
  const oneOfTypes = `must be one of ${COLUMN_TYPES.join(',')}`;
  if (asText(column.name) === '') errors.push(requiredField(`${path}.name`));
  if (type === '') errors.push(requiredField(`${path}.type`, oneOfTypes));
  else if (!COLUMN_TYPES.includes(type)) errors.push(invalidField(`${path}.type`, type, oneOfTypes));
  if (format !== '' && !COLUMN_FORMATS.includes(format)) {
    errors.push(invalidField(`${path}.format`, format, `must be one of ${COLUMN_FORMATS.join(',')}`));
  }
  if (jsonPath === '') errors.push(requiredField(`${path}.JSONPath`));
  else checkJsonPath(errors, jsonPath, `${path}.JSONPath`);
}

function checkNames(errors: Errors, names: JsonObject, path: string): void {
  for (const field of ['plural', 'singular']) {
    const name = asText(names[field]);
    const texts = name === '' ? [] : dns1035LabelErrors(name);
    if (texts.length > 0) errors.push(invalidField(`${path}.${field}`, name, texts.join(',')));
  }
  for (const field of ['kind', 'listKind']) {
    const name = asText(names[field]);
    const texts = name === '' ? [] : dns1035LabelErrors(name.toLowerCase());
    if (texts.length === 0) continue;
    const detail = `may have mixed case, but should otherwise match: ${texts.join(',')}`;
    errors.push(invalidField(`${path}.${field}`, name, detail));
  }
  const kind = asText(names.kind);
  if (kind !== '' && kind === names.listKind) {
    errors.push(invalidField(`${path}.listKind`, kind, 'kind and listKind may not be the same'));
  }
  for (const list of ['shortNames', 'categories']) {
    asTexts(names[list]).forEach((name, i) => {
      const texts = dns1035LabelErrors(name);
      if (texts.length > 0) errors.push(invalidField(`${path}.${list}[${i}]`, name, texts.join(',')));
    });
  }
}

function checkConversion(errors: Errors, spec: JsonObject, path: string): void {
  if (isAbsent(spec.conversion)) return;
  const { strategy, webhook } = asObject(spec.conversion);
  checkEnum(errors, strategy, `${path}.strategy`, ['None', 'Webhook']);
  const clientField = `${path}.webhookClientConfig`;
  const versionsField = `${path}.conversionReviewVersions`;
  const { clientConfig, conversionReviewVersions } = asObject(webhook);
  const versions = asTexts(conversionReviewVersions);
  if (strategy !== 'Webhook') {
    const detail = 'should not be set when strategy is not set to Webhook';
    if (!isAbsent(clientConfig)) errors.push(forbiddenField(clientField, detail));
    if (versions.length > 0) errors.push(forbiddenField(versionsField, detail));
    return;
  }
  const { url, service } = asObject(clientConfig);
  if (isAbsent(clientConfig)) {
    errors.push(requiredField(clientField, 'required when strategy is set to Webhook'));
  } else if (isAbsent(url) === isAbsent(service)) {
    errors.push(requiredField(clientField, 'exactly one of url or service is required'));
  }
  if (versions.length === 0) errors.push(requiredField(versionsField));
  else if (!versions.includes('v1') && !versions.includes('v1beta1')) {
    errors.push(invalidField(versionsField, versions, 'must include at least one of v1, v1beta1'));
  }
}

/** Versions that objects may still be stored in must stay. */
function checkStoredVersions(errors: Errors, definition: JsonObject): void {
  const field = 'status.storedVersions';
  const stored = asTexts(asObject(definition.status).storedVersions);
  const versions = asObjects(asObject(definition.spec).versions);
  if (stored.length === 0) {
    // A definition that has no version at all is told so elsewhere.
    if (!isEmpty(definition.status)) {
      errors.push(invalidField(field, stored, 'must have at least one stored version'));
    }
    return;
  }
  for (const { name, storage } of versions) {
    if (storage === true && !stored.includes(asText(name))) {
      errors.push(invalidField(field, stored, `must have the storage version ${asText(name)}`));
    }
  }
  stored.forEach((version, i) => {
    if (versions.some((each) => each.name === version)) return;
    const detail = `missing from spec.versions; ${version} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${version} and removes ${version} from status.storedVersions`;
    errors.push(invalidField(`${field}[${i}]`, version, detail));
  });
}

/** Groups of the Kubernetes project want an approval: the URL of a review, or `unapproved` with a reason. */
function checkApproval(errors: Errors, definition: JsonObject, old: JsonObject | undefined): void {
  const group = asText(asObject(definition.spec).group);
  const isProtected = /(^|\.)(k8s|kubernetes)\.io$/.test(group);
  if (!isProtected) return;
  const annotationOf = (owner: JsonObject) => asObject(asObject(owner.metadata).annotations)[APPROVAL];
  const approval = asText(annotationOf(definition));
  const missing = `protected groups must have approval annotation "${APPROVAL}", see https://github.com/kubernetes/enhancements/pull/1111`;
  const field = `metadata.annotations[${APPROVAL}]`;
  const before = old === undefined ? undefined : asText(annotationOf(old));
  if (before === approval || approval.startsWith('unapproved')) return;
  if (approval === '') errors.push(requiredField(field, missing));
  else if (!URL.canParse(approval)) {
    const detail = `protected groups must have approval annotation "${APPROVAL}" with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111`;
    errors.push(invalidField(field, approval, detail));
  }
}
