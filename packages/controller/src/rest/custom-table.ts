import { humanDuration } from '@podwire/kube/duration';
import type { KubeObject } from '@podwire/kube/object';
import type { ColumnDefinition } from '@podwire/kube/printing/columns';
import type { PrintedTable } from '@podwire/kube/printing/table';
import type { PrinterColumn } from '../registry/resource-types.ts';
import { evaluateJsonPath } from './json-path.ts';

const NAME: ColumnDefinition = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace.',
  priority: 0,
};
const AGE: PrinterColumn = {
  name: 'Age',
  type: 'date',
  description: 'CreationTimestamp is a timestamp representing the server time when this object was created.',
  jsonPath: '.metadata.creationTimestamp',
};

/** Columns of a custom resource: its name, then its additionalPrinterColumns, or its age when it has none. */
export function customTable(
  columns: readonly PrinterColumn[],
  objects: readonly KubeObject[],
  nowMs: number,
): PrintedTable {
  const shown = columns.length > 0 ? columns : [AGE];
  return {
    columnDefinitions: [
      NAME,
      ...shown.map(({ name, type, format = '', description = '', priority = 0 }) => ({
        name,
        type,
        format,
        description: description || `Custom resource definition column (in JSONPath format): ${name}`,
        priority,
      })),
    ],
    rows: objects.map((object) => ({
      cells: [object.metadata.name ?? '', ...shown.map((column) => cell(column, object, nowMs))],
    })),
  };
}

/** apiextensions-apiserver pkg/registry/customresource/tableconvertor: a value of the wrong type shows nothing. */
function cell(column: PrinterColumn, object: KubeObject, nowMs: number): unknown {
  const values = evaluateJsonPath(column.jsonPath, object);
  if (values.length === 0) return null;
  const [value] = values;
  switch (column.type) {
    case 'integer':
      return Number.isInteger(value) ? value : null;
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'date': {
      const since = Date.parse(String(value));
      return Number.isNaN(since) ? '<invalid>' : humanDuration(nowMs - since);
    }
    default:
      return values.map((each) => (typeof each === 'object' ? JSON.stringify(each) : String(each))).join(',');
  }
}
