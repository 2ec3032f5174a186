import { duplicateField, forbiddenField, invalidField, requiredField } from '../field-error.ts';
import { asNumber, asObject, asObjects, asText, isAbsent, type JsonObject } from '../json-fields.ts';
import { dns1123LabelErrors, dns1123SubdomainErrors } from '../names.ts';
import {
  addInvalid,
  checkDescendingPath,
  checkEnum,
  checkNoBacksteps,
  checkNonReservedPath,
  type Errors,
} from './checks.ts';
import { checkFieldReference, checkResourceFieldReference, VOLUME_FIELDS } from './downward-api.ts';
import { checkAnnotations, checkLabels } from './metadata.ts';
import { checkQuantity } from './resource-requirements.ts';
import { checkClaimSpec } from './storage.ts';

/** Volumes of a pod (pkg/apis/core/validation/validation.go, ValidateVolumes). */

const MODE_TEXT = 'must be a number between 0 and 0777 (octal), both inclusive';
const HOST_PATH_TYPES: readonly string[] = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
];

/** Sources in the order they are looked at; of several, the first counts and the others are forbidden. */
const SOURCES: Readonly<Record<string, (errors: Errors, source: JsonObject, path: string) => void>> = {
  emptyDir: checkEmptyDir,
  hostPath: checkHostPath,
  gitRepo(errors, source, path) {
    checkRequired(errors, source, ['repository'], path);
    checkDescendingPath(errors, asText(source.directory), `${path}.directory`);
  },
  gcePersistentDisk: (errors, source, path) => checkRequired(errors, source, ['pdName'], path),
  awsElasticBlockStore: (errors, source, path) => checkRequired(errors, source, ['volumeID'], path),
  secret: (errors, source, path) => checkKeyed(errors, source, 'secretName', path),
  nfs: checkNfs,
  iscsi: (errors, source, path) => checkRequired(errors, source, ['targetPortal', 'iqn'], path),
  glusterfs: (errors, source, path) => checkRequired(errors, source, ['endpoints', 'path'], path),
  flocker() {},
  persistentVolumeClaim: (errors, source, path) => checkRequired(errors, source, ['claimName'], path),
  rbd: (errors, source, path) => checkRequired(errors, source, ['image'], path),
  cinder: (errors, source, path) => checkRequired(errors, source, ['volumeID'], path),
  cephfs() {},
  quobyte: (errors, source, path) => checkRequired(errors, source, ['registry', 'volume'], path),
  downwardAPI(errors, source, path) {
    checkMode(errors, source.defaultMode, `${path}.defaultMode`);
    for (const file of asObjects(source.items)) checkDownwardFile(errors, file, path);
  },
  fc() {},
  flexVolume: (errors, source, path) => checkRequired(errors, source, ['driver'], path),
  configMap: (errors, source, path) => checkKeyed(errors, source, 'name', path),
  azureFile: (errors, source, path) => checkRequired(errors, source, ['secretName', 'shareName'], path),
  vsphereVolume: (errors, source, path) => checkRequired(errors, source, ['volumePath'], path),
  photonPersistentDisk: (errors, source, path) => checkRequired(errors, source, ['pdID'], path),
  portworxVolume: (errors, source, path) => checkRequired(errors, source, ['volumeID'], path),
  azureDisk: (errors, source, path) => checkRequired(errors, source, ['diskName', 'diskURI'], path),
  storageos() {},
  scaleIO: (errors, source, path) => checkRequired(errors, source, ['gateway', 'system'], path),
  projected: checkProjected,
  csi: (errors, source, path) => checkRequired(errors, source, ['driver'], path),
  ephemeral: checkEphemeral,
  image: (errors, source, path) => checkRequired(errors, source, ['reference'], path),
};

/** The well-formed volumes by name. `podName` is '' in a template. */
export function checkVolumes(
  errors: Errors,
  value: unknown,
  podName: string,
  path: string,
): ReadonlyMap<string, JsonObject> {
  const volumes = asObjects(value);
  const found = new Map<string, JsonObject>();
  const made = new Set<string>();
  if (podName !== '') {
    for (const each of volumes) if (!isAbsent(each.ephemeral)) made.add(`${podName}-${asText(each.name)}`);
  }
  volumes.forEach((volume, i) => {
    const before = errors.length;
    const name = asText(volume.name);
    checkSource(errors, volume, `${path}[${i}]`);
    if (!isAbsent(volume.ephemeral) && podName !== '') {
      const claimName = `${podName}-${name}`;
      for (const text of dns1123SubdomainErrors(claimName)) {
        errors.push(
          invalidField(`${path}[${i}].name`, name, `PVC name ${JSON.stringify(claimName)}: ${text}`),
        );
      }
    }
    if (name === '') errors.push(requiredField(`${path}[${i}].name`));
    else addInvalid(errors, `${path}[${i}].name`, name, dns1123LabelErrors(name));
    if (found.has(name)) errors.push(duplicateField(`${path}[${i}].name`, name));
    if (errors.length === before) found.set(name, volume);
    const claimed = asText(asObject(volume.persistentVolumeClaim).claimName);
    if (made.has(claimed)) {
      const detail = 'must not reference a PVC that gets created for an ephemeral volume';
      errors.push(invalidField(`${path}[${i}].persistentVolumeClaim.claimName`, claimed, detail));
    }
  });
  return found;
}

function checkSource(errors: Errors, volume: JsonObject, path: string): void {
  const given = Object.keys(SOURCES).filter((type) => !isAbsent(volume[type]));
  given.forEach((type, i) => {
    // An emptyDir beside others is only told by the others.
    if (i > 0) errors.push(forbiddenField(`${path}.${type}`, 'may not specify more than 1 volume type'));
    else SOURCES[type]?.(errors, asObject(volume[type]), `${path}.${type}`);
  });
  if (given.length === 0) errors.push(requiredField(path, 'must specify a volume type'));
}

function checkRequired(errors: Errors, source: JsonObject, fields: readonly string[], path: string): void {
  for (const field of fields)
    if (asText(source[field]) === '') errors.push(requiredField(`${path}.${field}`));
}

function checkEmptyDir(errors: Errors, source: JsonObject, path: string): void {
  if (isAbsent(source.sizeLimit)) return;
  const field = `${path}.sizeLimit`;
  const limit = checkQuantity(errors, source.sizeLimit, field);
  if (limit !== undefined && limit.nano < 0n) {
    errors.push(forbiddenField(field, 'SizeLimit field must be a valid resource quantity'));
  }
}

export function checkHostPath(errors: Errors, source: JsonObject, path: string): void {
  const hostPath = asText(source.path);
  if (hostPath === '') {
    errors.push(requiredField(`${path}.path`));
    return;
  }
  checkNoBacksteps(errors, hostPath, `${path}.path`);
  if (!isAbsent(source.type) && source.type !== '') {
    checkEnum(errors, source.type, `${path}.type`, HOST_PATH_TYPES);
  }
}

function checkNfs(errors: Errors, source: JsonObject, path: string): void {
  checkRequired(errors, source, ['server', 'path'], path);
  const shared = asText(source.path);
  if (!shared.startsWith('/')) errors.push(invalidField(`${path}.path`, shared, 'must be an absolute path'));
}

function checkMode(errors: Errors, mode: unknown, field: string): void {
  if (typeof mode === 'number' && (mode < 0 || mode > 0o777))
    errors.push(invalidField(field, mode, MODE_TEXT));
}

/** A volume whose files are keys of another object. */
function checkKeyed(errors: Errors, source: JsonObject, nameField: string, path: string): void {
  checkRequired(errors, source, [nameField], path);
  checkMode(errors, source.defaultMode, `${path}.defaultMode`);
  asObjects(source.items).forEach((item, i) => {
    checkKeyToPath(errors, item, `${path}.items[${i}]`);
  });
}

function checkKeyToPath(errors: Errors, item: JsonObject, path: string): void {
  checkRequired(errors, item, ['key', 'path'], path);
  checkNonReservedPath(errors, asText(item.path), `${path}.path`);
  checkMode(errors, item.mode, `${path}.mode`);
}

function checkDownwardFile(errors: Errors, file: JsonObject, path: string): void {
  checkRequired(errors, file, ['path'], path);
  checkNonReservedPath(errors, asText(file.path), `${path}.path`);
  if (!isAbsent(file.fieldRef)) {
    checkFieldReference(errors, asObject(file.fieldRef), VOLUME_FIELDS, `${path}.fieldRef`);
    if (!isAbsent(file.resourceFieldRef)) {
      const detail = 'fieldRef and resourceFieldRef can not be specified simultaneously';
      errors.push(invalidField(path, 'resource', detail));
    }
  } else if (!isAbsent(file.resourceFieldRef)) {
    checkResourceFieldReference(errors, asObject(file.resourceFieldRef), `${path}.resourceFieldRef`, true);
  } else errors.push(requiredField(path, 'one of fieldRef and resourceFieldRef is required'));
  checkMode(errors, file.mode, `${path}.mode`);
}

function checkProjected(errors: Errors, source: JsonObject, path: string): void {
  checkMode(errors, source.defaultMode, `${path}.defaultMode`);
  const paths = new Set<string>();
  const checkPath = (file: string, shown: string) => {
    if (file !== '' && paths.has(file)) {
      errors.push(invalidField(path, shown, 'conflicting duplicate paths'));
    }
    paths.add(file);
  };
  asObjects(source.sources).forEach((each, i) => {
    const field = `${path}.sources[${i}]`;
    for (const type of ['secret', 'configMap']) {
      if (isAbsent(each[type])) continue;
      const keyed = asObject(each[type]);
      checkKeyed(errors, keyed, 'name', `${field}.${type}`);
      for (const item of asObjects(keyed.items)) checkPath(asText(item.path), asText(keyed.name));
    }
    for (const file of asObjects(asObject(each.downwardAPI).items)) {
      checkDownwardFile(errors, file, `${field}.downwardAPI`);
      checkPath(asText(file.path), asText(file.path));
    }
    if (!isAbsent(each.serviceAccountToken)) {
      checkTokenProjection(errors, asObject(each.serviceAccountToken), field, path);
    }
    const types = ['secret', 'configMap', 'downwardAPI', 'serviceAccountToken', 'clusterTrustBundle'];
    if (types.filter((type) => !isAbsent(each[type])).length > 1) {
      errors.push(forbiddenField(field, 'may not specify more than 1 volume type per source'));
    }
  });
}

function checkTokenProjection(errors: Errors, token: JsonObject, path: string, volumePath: string): void {
  const field = `${path}.serviceAccountToken.expirationSeconds`;
  const seconds = asNumber(token.expirationSeconds);
  if (seconds < 600) {
    errors.push(invalidField(field, seconds, 'may not specify a duration less than 10 minutes'));
  }
  if (seconds > 2 ** 32) {
    errors.push(invalidField(field, seconds, 'may not specify a duration larger than 2^32 seconds'));
  }
  const file = asText(token.path);
  if (file === '') errors.push(requiredField(`${volumePath}.path`));
  else checkNonReservedPath(errors, file, `${volumePath}.path`);
}

function checkEphemeral(errors: Errors, source: JsonObject, path: string): void {
  const field = `${path}.volumeClaimTemplate`;
  if (isAbsent(source.volumeClaimTemplate)) {
    errors.push(requiredField(field));
    return;
  }
  const template = asObject(source.volumeClaimTemplate);
  const metadata = asObject(template.metadata);
  checkAnnotations(errors, metadata.annotations, `${field}.metadata.annotations`);
  checkLabels(errors, metadata.labels, `${field}.metadata.labels`);
  for (const name of Object.keys(metadata)) {
    if (name === 'annotations' || name === 'labels' || isAbsent(metadata[name])) continue;
    errors.push(forbiddenField(`${field}.metadata.${name}`, 'cannot be set'));
  }
  checkClaimSpec(errors, asObject(template.spec), `${field}.spec`);
}

/** `volumeMounts` and `volumeDevices` of a container. `volumes` are the pod's well-formed ones. */
export function checkMounts(
  errors: Errors,
  container: JsonObject,
  volumes: ReadonlyMap<string, JsonObject>,
  path: string,
): void {
  const mounts = asObjects(container.volumeMounts);
  const devices = asObjects(container.volumeDevices);
  const seen = new Set<string>();
  mounts.forEach((mount, i) => {
    const field = `${path}.volumeMounts[${i}]`;
    const name = asText(mount.name);
    const mountPath = asText(mount.mountPath);
    if (name === '') errors.push(requiredField(`${field}.name`));
    if (!volumes.has(name)) {
      errors.push({ type: 'FieldValueNotFound', field: `${field}.name`, badValue: name, detail: '' });
    }
    if (mountPath === '') errors.push(requiredField(`${field}.mountPath`));
    if (seen.has(mountPath)) errors.push(invalidField(`${field}.mountPath`, mountPath, 'must be unique'));
    seen.add(mountPath);
    if (devices.some((device) => asText(device.name) === name)) {
      errors.push(invalidField(`${field}.name`, name, 'must not already exist in volumeDevices'));
    }
    if (devices.some((device) => asText(device.devicePath) === mountPath)) {
      const detail = 'must not already exist as a path in volumeDevices';
      errors.push(invalidField(`${field}.mountPath`, mountPath, detail));
    }
    checkSubPaths(errors, mount, !isAbsent(volumes.get(name)?.image), field, `${path}.volumeMounts`);
    checkPropagation(errors, mount, container, `${path}.volumeMounts`);
  });
  checkDevices(errors, devices, mounts, volumes, path);
}

function checkSubPaths(
  errors: Errors,
  mount: JsonObject,
  ofImage: boolean,
  field: string,
  listPath: string,
): void {
  const paths = { subPath: asText(mount.subPath), subPathExpr: asText(mount.subPathExpr) };
  for (const [name, value] of Object.entries(paths)) {
    if (value === '') continue;
    if (ofImage) errors.push(invalidField(`${field}.${name}`, value, 'not allowed in image volume sources'));
    if (name === 'subPathExpr' && paths.subPath !== '') {
      errors.push(invalidField(`${field}.${name}`, value, 'subPathExpr and subPath are mutually exclusive'));
    }
    // The server leaves the index out of these paths.
    checkDescendingPath(errors, value, `${listPath}.${name}`);
  }
}

function checkPropagation(errors: Errors, mount: JsonObject, container: JsonObject, path: string): void {
  const { mountPropagation, recursiveReadOnly } = mount;
  if (!isAbsent(mountPropagation)) {
    const field = `${path}.mountPropagation`;
    checkEnum(errors, mountPropagation, field, ['Bidirectional', 'HostToContainer', 'None']);
    if (mountPropagation === 'Bidirectional' && asObject(container.securityContext).privileged !== true) {
      const detail = 'Bidirectional mount propagation is available only to privileged containers';
      errors.push(forbiddenField(field, detail));
    }
  }
  if (isAbsent(recursiveReadOnly) || recursiveReadOnly === 'Disabled') return;
  const field = `${path}.recursiveReadOnly`;
  if (recursiveReadOnly !== 'Enabled' && recursiveReadOnly !== 'IfPossible') {
    checkEnum(errors, recursiveReadOnly, field, ['Disabled', 'Enabled', 'IfPossible']);
    return;
  }
  if (mount.readOnly !== true) {
    errors.push(forbiddenField(field, 'may only be specified when readOnly is true'));
  }
  if (!isAbsent(mountPropagation) && mountPropagation !== 'None') {
    const detail = 'may only be specified when mountPropagation is None or not specified';
    errors.push(forbiddenField(field, detail));
  }
}

function checkDevices(
  errors: Errors,
  devices: readonly JsonObject[],
  mounts: readonly JsonObject[],
  volumes: ReadonlyMap<string, JsonObject>,
  path: string,
): void {
  const names = new Set<string>();
  const paths = new Set<string>();
  devices.forEach((device, i) => {
    const field = `${path}.volumeDevices[${i}]`;
    const name = asText(device.name);
    const devicePath = asText(device.devicePath);
    const volume = volumes.get(name);
    if (name === '') errors.push(requiredField(`${field}.name`));
    if (names.has(name)) errors.push(invalidField(`${field}.name`, name, 'must be unique'));
    if (volume === undefined) {
      errors.push({ type: 'FieldValueNotFound', field: `${field}.name`, badValue: name, detail: '' });
    } else if (isAbsent(volume.persistentVolumeClaim) && isAbsent(volume.ephemeral)) {
      const detail = 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode';
      errors.push(invalidField(`${field}.name`, name, detail));
    }
    if (devicePath === '') errors.push(requiredField(`${field}.devicePath`));
    if (paths.has(devicePath)) errors.push(invalidField(`${field}.devicePath`, devicePath, 'must be unique'));
    if (devicePath.split('/').includes('..')) {
      errors.push(invalidField(`${field}.devicePath`, devicePath, "can not contain backsteps ('..')"));
    } else paths.add(devicePath);
    if (mounts.some((mount) => asText(mount.name) === name)) {
      errors.push(invalidField(`${field}.name`, name, 'must not already exist in volumeMounts'));
    }
    if (mounts.some((mount) => asText(mount.mountPath) === devicePath)) {
      const detail = 'must not already exist as a path in volumeMounts';
      errors.push(invalidField(`${field}.devicePath`, devicePath, detail));
    }
    names.add(name);
  });
}
