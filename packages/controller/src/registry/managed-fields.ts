import type { KubeObject } from '@podwire/kube/object';
import type { ResourceType } from './resource-types.ts';

/** Records a non-apply write in metadata.managedFields of `object`, in place. */
export function recordWrite(
  _type: ResourceType,
  object: KubeObject,
  old: KubeObject | undefined,
  fieldManager: string | undefined,
  _subresource: string,
  _nowMs: number,
): void {
  if (fieldManager === undefined) {
    if (old?.metadata.managedFields === undefined) delete object.metadata.managedFields;
    else object.metadata.managedFields = old.metadata.managedFields;
  }
}
