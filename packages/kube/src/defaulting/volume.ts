import { asObject, asObjects, fillAbsent, fillText, isAbsent, type JsonObject } from '../json-fields.ts';
import { isJsonObject } from '../object.ts';
import { defaultResourceRequirements } from './resource-list.ts';

/** 0644. */
const DEFAULT_MODE = 420;

/** Defaults of what names a disk of another system, by volume source; also those of a PersistentVolume. */
const SOURCE_TEXTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  iscsi: { iscsiInterface: 'default' },
  rbd: { pool: 'rbd', user: 'admin', keyring: '/etc/ceph/keyring' },
  scaleIO: { storageMode: 'ThinProvisioned', fsType: 'xfs' },
};

/** Source: pkg/apis/core/v1/defaults.go, SetDefaults_Volume and the volume sources it leads to. */
export function defaultVolume(volume: JsonObject): void {
  if (Object.keys(volume).every((key) => key === 'name' || isAbsent(volume[key]))) volume.emptyDir = {};
  for (const source of ['secret', 'configMap', 'downwardAPI', 'projected']) {
    if (isJsonObject(volume[source])) fillAbsent(volume[source], 'defaultMode', DEFAULT_MODE);
  }
  for (const item of asObjects(asObject(volume.downwardAPI).items)) defaultFieldRef(item);
  for (const source of asObjects(asObject(volume.projected).sources)) {
    for (const item of asObjects(asObject(source.downwardAPI).items)) defaultFieldRef(item);
    if (isJsonObject(source.serviceAccountToken)) {
      fillAbsent(source.serviceAccountToken, 'expirationSeconds', 3600);
    }
  }
  defaultVolumeSource(volume);
  const claim = asObject(asObject(volume.ephemeral).volumeClaimTemplate);
  if (isJsonObject(claim.spec)) defaultClaimSpec(claim.spec);
}

/** What volumes of pods and PersistentVolumes have in common. */
export function defaultVolumeSource(volume: JsonObject): void {
  if (isJsonObject(volume.hostPath)) fillAbsent(volume.hostPath, 'type', '');
  for (const [source, texts] of Object.entries(SOURCE_TEXTS)) {
    const disk = volume[source];
    if (!isJsonObject(disk)) continue;
    for (const [field, text] of Object.entries(texts)) fillText(disk, field, text);
  }
  if (isJsonObject(volume.azureDisk)) {
    fillAbsent(volume.azureDisk, 'cachingMode', 'ReadWrite');
    fillAbsent(volume.azureDisk, 'fsType', 'ext4');
    fillAbsent(volume.azureDisk, 'readOnly', false);
    fillAbsent(volume.azureDisk, 'kind', 'Shared');
  }
}

/** The spec of a PersistentVolumeClaim. */
export function defaultClaimSpec(spec: JsonObject): void {
  fillAbsent(spec, 'volumeMode', 'Filesystem');
  defaultResourceRequirements(asObject(spec.resources));
}

/** `source` is anything with a `fieldRef`. */
export function defaultFieldRef(source: JsonObject): void {
  if (isJsonObject(source.fieldRef)) fillText(source.fieldRef, 'apiVersion', 'v1');
}
