import { forbiddenField, invalidField, notSupportedField, requiredField } from '../field-error.ts';
import { asList, asObject, asText, isAbsent, isUnset, type JsonObject } from '../json-fields.ts';
import { dns1123LabelErrors, dns1123SubdomainErrors } from '../names.ts';
import { compareQuantities, formatQuantity, parseQuantity } from '../quantity.ts';
import { changedFields } from './changed-fields.ts';
import { addInvalid, checkEnum, checkImmutable, type Errors, semanticEquals } from './checks.ts';
import { checkLabelSelector } from './metadata.ts';
import { checkNonNegativeQuantity, checkQuantity, checkResourceName } from './resource-requirements.ts';

/** Claims, volumes and storage classes (pkg/apis/core/validation, pkg/apis/storage/validation). */

const ACCESS_MODES: readonly string[] = [
  'ReadOnlyMany',
  'ReadWriteMany',
  'ReadWriteOnce',
  'ReadWriteOncePod',
];
const VOLUME_MODES: readonly string[] = ['Block', 'Filesystem'];
const RECLAIM_POLICIES: readonly string[] = ['Delete', 'Recycle', 'Retain'];

export function checkPersistentVolumeClaim(errors: Errors, claim: JsonObject): void {
  checkClaimSpec(errors, asObject(claim.spec), 'spec');
}

export function checkClaimSpec(errors: Errors, spec: JsonObject, path: string): void {
  if (asList(spec.accessModes).length === 0) {
    errors.push(requiredField(`${path}.accessModes`, 'at least 1 access mode is required'));
  }
  checkLabelSelector(errors, spec.selector, `${path}.selector`);
  checkAccessModes(errors, spec, path);
  const field = `${path}.resources[storage]`;
  const { storage } = asObject(asObject(spec.resources).requests);
  if (isAbsent(storage)) errors.push(requiredField(field));
  else {
    const quantity = checkQuantity(errors, storage, field);
    if (quantity !== undefined && quantity.nano <= 0n) {
      errors.push(invalidField(field, formatQuantity(quantity), 'must be greater than zero'));
    }
  }
  checkClassAndMode(errors, spec, path);
  checkDataSources(errors, spec, path);
}

function checkAccessModes(errors: Errors, spec: JsonObject, path: string): void {
  const modes = asList(spec.accessModes);
  for (const mode of modes) {
    if (!ACCESS_MODES.includes(mode as string)) {
      errors.push(notSupportedField(`${path}.accessModes`, mode, ACCESS_MODES));
    }
  }
  const others = modes.some((mode) => mode !== 'ReadWriteOncePod' && ACCESS_MODES.includes(mode as string));
  if (modes.includes('ReadWriteOncePod') && others) {
    const detail = 'may not use ReadWriteOncePod with other access modes';
    errors.push(forbiddenField(`${path}.accessModes`, detail));
  }
}

function checkClassAndMode(errors: Errors, spec: JsonObject, path: string): void {
  const className = asText(spec.storageClassName);
  if (className !== '') {
    addInvalid(errors, `${path}.storageClassName`, className, dns1123SubdomainErrors(className));
  }
  if (!isAbsent(spec.volumeMode) && !VOLUME_MODES.includes(spec.volumeMode as string)) {
    errors.push(notSupportedField(`${path}.volumeMode`, spec.volumeMode, VOLUME_MODES));
  }
}

function checkDataSources(errors: Errors, spec: JsonObject, path: string): void {
  for (const name of ['dataSource', 'dataSourceRef']) {
    if (isAbsent(spec[name])) continue;
    const source = asObject(spec[name]);
    const field = `${path}.${name}`;
    for (const part of ['name', 'kind']) {
      if (asText(source[part]) === '') errors.push(requiredField(`${field}.${part}`));
    }
    const group = asText(source.apiGroup);
    if (group !== '') addInvalid(errors, `${field}.apiGroup`, group, dns1123SubdomainErrors(group));
    else if (source.kind !== 'PersistentVolumeClaim') {
      const detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
      errors.push(invalidField(field, asText(source.kind), detail));
    }
    const namespace = asText(source.namespace);
    if (namespace !== '') {
      addInvalid(errors, `${field}.namespace`, namespace, dns1123LabelErrors(namespace));
    }
  }
  if (isAbsent(spec.dataSource) || isAbsent(spec.dataSourceRef)) return;
  const source = asObject(spec.dataSource);
  const reference = asObject(spec.dataSourceRef);
  if (asText(reference.namespace) !== '') {
    const detail = 'may not be specified when dataSourceRef.namespace is specified';
    errors.push(invalidField(path, `${path}.dataSource`, detail));
  } else if (['apiGroup', 'kind', 'name'].some((name) => !semanticEquals(source[name], reference[name]))) {
    errors.push(invalidField(path, `${path}.dataSource`, 'must match dataSourceRef'));
  }
}

export function checkPersistentVolumeClaimUpdate(errors: Errors, claim: JsonObject, old: JsonObject): void {
  checkPersistentVolumeClaim(errors, claim);
  const spec = asObject(claim.spec);
  const before = asObject(old.spec);
  const expected = { ...before };
  // The binder names the volume once.
  if (isUnset(before.volumeName)) expected.volumeName = spec.volumeName;
  const sizes = [spec, before].map((each) => asObject(asObject(each.resources).requests).storage);
  if (asObject(claim.status).phase === 'Bound') {
    const resources = asObject(before.resources);
    expected.resources = { ...resources, requests: { ...asObject(resources.requests), storage: sizes[0] } };
    if (!isAbsent(spec.volumeAttributesClassName)) {
      expected.volumeAttributesClassName = spec.volumeAttributesClassName;
    }
  }
  if (!semanticEquals(spec, expected)) {
    const detail = `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n${changedFields(expected, spec)}`;
    errors.push(forbiddenField('spec', detail));
  }
  const [size, oldSize] = sizes.map((each) => parseQuantity(String(each ?? '0')));
  if (size !== undefined && oldSize !== undefined && compareQuantities(size, oldSize) < 0) {
    const capacity = parseQuantity(String(asObject(asObject(old.status).capacity).storage ?? '0'));
    if (capacity !== undefined && compareQuantities(size, capacity) <= 0) {
      const detail = 'field can not be less than status.capacity';
      errors.push(forbiddenField('spec.resources.requests.storage', detail));
    }
  }
  checkImmutable(errors, spec.volumeMode, before.volumeMode, 'volumeMode');
}

/** Fields of a PersistentVolume's spec that are no volume source. */
const VOLUME_FIELDS: ReadonlySet<string> = new Set([
  'accessModes',
  'capacity',
  'claimRef',
  'mountOptions',
  'nodeAffinity',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'volumeAttributesClassName',
  'volumeMode',
]);

function sourceOf(spec: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(spec).filter(([name]) => !VOLUME_FIELDS.has(name)));
}

export function checkPersistentVolume(errors: Errors, volume: JsonObject): void {
  const spec = asObject(volume.spec);
  if (asList(spec.accessModes).length === 0) errors.push(requiredField('spec.accessModes'));
  checkAccessModes(errors, spec, 'spec');
  const capacity = asObject(spec.capacity);
  const names = Object.keys(capacity);
  if (names.length === 0) errors.push(requiredField('spec.capacity'));
  if (names.length !== 1 || names[0] !== 'storage') {
    errors.push(notSupportedField('spec.capacity', capacity, ['storage']));
  }
  for (const name of names) {
    checkResourceName(errors, name, `spec.capacity[${name}]`);
    const quantity = checkNonNegativeQuantity(errors, capacity[name], `spec.capacity[${name}]`);
    if (quantity?.nano === 0n) {
      errors.push(invalidField(`spec.capacity[${name}]`, '0', 'must be greater than zero'));
    }
  }
  const policy = spec.persistentVolumeReclaimPolicy;
  if (!isUnset(policy) && !RECLAIM_POLICIES.includes(policy as string)) {
    errors.push(notSupportedField('spec.persistentVolumeReclaimPolicy', policy, RECLAIM_POLICIES));
  }
  const sources = Object.entries(sourceOf(spec)).filter(([, source]) => !isAbsent(source));
  if (sources.length === 0) errors.push(requiredField('spec', 'must specify a volume type'));
  for (const [name] of sources.slice(1)) {
    errors.push(forbiddenField(`spec.${name}`, 'may not specify more than 1 volume type'));
  }
  checkClassAndMode(errors, spec, 'spec');
}

export function checkPersistentVolumeUpdate(errors: Errors, volume: JsonObject, old: JsonObject): void {
  checkPersistentVolume(errors, volume);
  const spec = asObject(volume.spec);
  const before = asObject(old.spec);
  if (!semanticEquals(sourceOf(spec), sourceOf(before))) {
    const changes = changedFields(sourceOf(before), sourceOf(spec));
    const detail = `spec.persistentvolumesource is immutable after creation\n${changes}`;
    errors.push(forbiddenField('spec.persistentvolumesource', detail));
  }
  checkImmutable(errors, spec.volumeMode, before.volumeMode, 'volumeMode');
  if (!isAbsent(before.nodeAffinity)) {
    checkImmutable(errors, spec.nodeAffinity, before.nodeAffinity, 'nodeAffinity');
  }
}

export function checkStorageClass(errors: Errors, storageClass: JsonObject): void {
  const provisioner = asText(storageClass.provisioner);
  if (provisioner === '') errors.push(requiredField('provisioner'));
  checkEnum(errors, storageClass.reclaimPolicy, 'reclaimPolicy', ['Delete', 'Retain']);
  const modes = ['Immediate', 'WaitForFirstConsumer'];
  checkEnum(errors, storageClass.volumeBindingMode, 'volumeBindingMode', modes);
  const parameters = Object.entries(asObject(storageClass.parameters));
  if (parameters.length > 512) {
    errors.push({
      type: 'FieldValueTooLong',
      field: 'parameters',
      badValue: '',
      detail: 'Provisioner Parameters exceeded max allowed 512',
    });
  }
  if (parameters.some(([key]) => key === '')) {
    errors.push(invalidField('parameters', '', 'field can not be empty.'));
  }
}

export function checkStorageClassUpdate(errors: Errors, storageClass: JsonObject, old: JsonObject): void {
  checkStorageClass(errors, storageClass);
  if (!semanticEquals(storageClass.parameters, old.parameters)) {
    errors.push(forbiddenField('parameters', 'updates to parameters are forbidden.'));
  }
  for (const field of ['provisioner', 'reclaimPolicy']) {
    if (asText(storageClass[field]) !== asText(old[field])) {
      errors.push(forbiddenField(field, `updates to ${field} are forbidden.`));
    }
  }
  checkImmutable(errors, storageClass.volumeBindingMode, old.volumeBindingMode, 'volumeBindingMode');
}
