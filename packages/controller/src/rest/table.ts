import type { KubeObject, ListMeta } from '@podwire/kube/object';
import { toTable } from '@podwire/kube/printing/table';
import type { ResourceType } from '../registry/resource-types.ts';
import { customTable } from './custom-table.ts';
import { metadataOnly } from './partial-object.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export type TableMaker = (
  type: ResourceType,
  objects: readonly KubeObject[],
  metadata: ListMeta,
  version: string,
  includeObject: IncludeObject,
  nowMs: number,
) => KubeObject;

/** A meta.k8s.io Table: what `kubectl get` prints. */
export const tableOf: TableMaker = (type, objects, metadata, version, includeObject, nowMs) => {
  const printed =
    type.custom === undefined
      ? toTable(type.info, objects, nowMs)
      : customTable(type.custom.printerColumns, objects, nowMs);
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${version}`,
    metadata,
    columnDefinitions: printed.columnDefinitions,
    rows: printed.rows.map(({ cells }, index) => ({
      cells,
      ...rowObject(objects[index]!, version, includeObject),
    })),
  };
};

function rowObject(object: KubeObject, version: string, include: IncludeObject): { object?: KubeObject } {
  if (include === 'None') return {};
  return { object: include === 'Object' ? object : metadataOnly(object, version) };
}
