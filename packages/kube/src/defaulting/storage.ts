import { asObject, fillAbsent, fillObject, fillText, type JsonObject } from '../json-fields.ts';
import { defaultResourceList } from './resource-list.ts';
import { defaultClaimSpec, defaultVolumeSource } from './volume.ts';

/** Sources of this file: pkg/apis/core/v1/defaults.go, pkg/apis/storage/v1/defaults.go. */
export function defaultPersistentVolumeClaim(claim: JsonObject): void {
  const spec = fillObject(claim, 'spec');
  if (spec !== undefined) defaultClaimSpec(spec);
  const status = fillObject(claim, 'status');
  if (status !== undefined) {
    fillText(status, 'phase', 'Pending');
    defaultResourceList(status.capacity);
  }
}

export function defaultPersistentVolume(volume: JsonObject): void {
  const spec = fillObject(volume, 'spec');
  if (spec !== undefined) {
    fillText(spec, 'persistentVolumeReclaimPolicy', 'Retain');
    fillAbsent(spec, 'volumeMode', 'Filesystem');
    defaultResourceList(asObject(spec).capacity);
    defaultVolumeSource(spec);
  }
  const status = fillObject(volume, 'status');
  if (status !== undefined) fillText(status, 'phase', 'Pending');
}

export function defaultStorageClass(storageClass: JsonObject): void {
  fillAbsent(storageClass, 'reclaimPolicy', 'Delete');
  fillAbsent(storageClass, 'volumeBindingMode', 'Immediate');
}
