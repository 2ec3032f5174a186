import type { PersistentVolume, PersistentVolumeClaim } from 'kubernetes-types/core/v1.d.ts';
import type { StorageClass } from 'kubernetes-types/storage/v1.d.ts';
import type { Stored } from '../object.ts';
import { AGE, ageOf, boolean, NAME, type Printer, printer, text, wide } from './columns.ts';

const ACCESS_MODES: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};

function accessModes(modes: readonly string[] | undefined): string {
  const order = Object.keys(ACCESS_MODES);
  const known = [...new Set(modes)].filter((mode) => order.includes(mode));
  return known
    .sort((a, b) => order.indexOf(a) - order.indexOf(b))
    .map((mode) => ACCESS_MODES[mode])
    .join(',');
}

export const persistentVolumes: Printer = printer<Stored<PersistentVolume>>(
  [
    NAME,
    text('Capacity'),
    text('Access Modes'),
    text('Reclaim Policy'),
    text('Status'),
    text('Claim'),
    text('StorageClass'),
    text('VolumeAttributesClass'),
    text('Reason'),
    AGE,
    ...wide(text('VolumeMode')),
  ],
  (volume, nowMs) => {
    const { spec, status } = volume;
    const claim = spec?.claimRef;
    return [
      volume.metadata.name,
      spec?.capacity?.storage ?? '',
      accessModes(spec?.accessModes),
      spec?.persistentVolumeReclaimPolicy ?? '',
      volume.metadata.deletionTimestamp !== undefined ? 'Terminating' : (status?.phase ?? ''),
      claim ? `${claim.namespace}/${claim.name}` : '',
      spec?.storageClassName ?? '',
      spec?.volumeAttributesClassName ?? '<unset>',
      status?.reason ?? '',
      ageOf(volume, nowMs),
      spec?.volumeMode ?? '<unset>',
    ];
  },
);

export const persistentVolumeClaims: Printer = printer<Stored<PersistentVolumeClaim>>(
  [
    NAME,
    text('Status'),
    text('Volume'),
    text('Capacity'),
    text('Access Modes'),
    text('StorageClass'),
    text('VolumeAttributesClass'),
    AGE,
    ...wide(text('VolumeMode')),
  ],
  (claim, nowMs) => {
    const { spec, status } = claim;
    const bound = Boolean(spec?.volumeName);
    return [
      claim.metadata.name,
      claim.metadata.deletionTimestamp !== undefined ? 'Terminating' : (status?.phase ?? ''),
      spec?.volumeName ?? '',
      bound ? (status?.capacity?.storage ?? '') : '',
      bound ? accessModes(status?.accessModes) : '',
      spec?.storageClassName ?? '',
      spec?.volumeAttributesClassName ?? '<unset>',
      ageOf(claim, nowMs),
      spec?.volumeMode ?? '<unset>',
    ];
  },
);

const DEFAULT_CLASS = 'storageclass.kubernetes.io/is-default-class';

export const storageClasses: Printer = printer<Stored<StorageClass>>(
  [
    NAME,
    text('Provisioner'),
    text('ReclaimPolicy'),
    text('VolumeBindingMode'),
    boolean('AllowVolumeExpansion'),
    AGE,
  ],
  (storageClass, nowMs) => {
    const { name, annotations } = storageClass.metadata;
    return [
      annotations?.[DEFAULT_CLASS] === 'true' ? `${name} (default)` : name,
      storageClass.provisioner,
      storageClass.reclaimPolicy ?? 'Delete',
      storageClass.volumeBindingMode ?? 'Immediate',
      storageClass.allowVolumeExpansion ?? false,
      ageOf(storageClass, nowMs),
    ];
  },
);
