import type { KubeObject, ListMeta } from '@podwire/kube/object';
import type { ResourceType } from '../registry/resource-types.ts';
import { customTable } from './custom-table.ts';
import { metadataOnly } from './partial-object.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface ColumnDefinition {
  name: string;
  type: string;
  format: string;
  description: string;
  priority: number;
}

/** The columns of a kind and one row of cells for each object. */
export interface PrintedTable {
  columnDefinitions: readonly ColumnDefinition[];
  rows: readonly { cells: readonly unknown[] }[];
}

/** A meta.k8s.io Table: what `kubectl get` prints. */
export function tableOf(
  type: ResourceType,
  objects: readonly KubeObject[],
  metadata: ListMeta,
  version: string,
  includeObject: IncludeObject,
  nowMs: number,
): KubeObject {
  const printed = customTable(type.custom?.printerColumns ?? [], objects, nowMs);
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
}

function rowObject(object: KubeObject, version: string, include: IncludeObject): { object?: KubeObject } {
  if (include === 'None') return {};
  return { object: include === 'Object' ? object : metadataOnly(object, version) };
}
