import { formatTime, type KubeObject } from '@podwire/kube/object';
import { trackUpdate } from '@podwire/kube/patch/server-side-apply';
import { apiVersionOf } from '@podwire/kube/resources';
import { type Schema, schemaOfKind } from '@podwire/kube/schema';
import type { ResourceType } from './resource-types.ts';
import { hasStatus } from './strategy.ts';

/** Records in metadata.managedFields, in place, what a write that is no apply changed. Without a manager nothing is recorded. */
export function recordWrite(
  type: ResourceType,
  object: KubeObject,
  old: KubeObject | undefined,
  fieldManager: string | undefined,
  subresource: string,
  nowMs: number,
): void {
  const schema = fieldManager === undefined ? undefined : ownershipSchema(type);
  const entries =
    schema === undefined || fieldManager === undefined
      ? old?.metadata.managedFields
      : trackUpdate(schema, old, object, {
          manager: fieldManager,
          apiVersion: apiVersionOf(type.info),
          subresource,
          time: formatTime(nowMs),
          ignoredFields: ignoredFields(type, subresource),
        });
  if (entries === undefined || entries.length === 0) delete object.metadata.managedFields;
  else object.metadata.managedFields = entries;
}

/** The schema by which fields of a kind are owned, or undefined for kinds without one. */
export function ownershipSchema(type: ResourceType): Schema | undefined {
  return type.custom?.schema ?? schemaOfKind(apiVersionOf(type.info), type.info.kind);
}

/** Top-level fields that a write to an endpoint leaves as they are. */
export function ignoredFields(type: ResourceType, subresource: string): string[] {
  if (subresource === 'status') return ['spec'];
  return hasStatus(type) ? ['status'] : [];
}
