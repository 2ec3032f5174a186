import { humanDuration } from '../duration.ts';
import type { KubeObject, ObjectMeta } from '../object.ts';

/** metav1.TableColumnDefinition. Columns of priority 1 are shown by `-o wide` only. */
export interface ColumnDefinition {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  readonly priority: number;
}

/** How objects of one kind are shown: cells in the order of the columns. */
export interface Printer {
  readonly columns: readonly ColumnDefinition[];
  cells(object: KubeObject, nowMs: number): unknown[];
}

/** A printer that takes objects as the type they are of. */
export function printer<T>(
  columns: readonly ColumnDefinition[],
  cells: (object: T, nowMs: number) => unknown[],
): Printer {
  return { columns, cells: (object, nowMs) => cells(object as unknown as T, nowMs) };
}

function column(name: string, type: string, format: string, description: string): ColumnDefinition {
  return { name, type, format, description, priority: 0 };
}

export function text(name: string, description = ''): ColumnDefinition {
  return column(name, 'string', '', description);
}

export function integer(name: string, description = ''): ColumnDefinition {
  return column(name, 'integer', '', description);
}

export function boolean(name: string, description = ''): ColumnDefinition {
  return column(name, 'boolean', '', description);
}

/** Columns for `-o wide`. */
export function wide(...columns: ColumnDefinition[]): ColumnDefinition[] {
  return columns.map((each) => ({ ...each, priority: 1 }));
}

export const NAME = column(
  'Name',
  'string',
  'name',
  'Name must be unique within a namespace. Is required when creating resources.',
);

export const AGE = text(
  'Age',
  'CreationTimestamp is a timestamp representing the server time when this object was created.',
);

export const CREATED_AT = column('Created At', 'date', '', AGE.description);

/** Age of an object. */
export function ageOf(object: { metadata: ObjectMeta }, nowMs: number): string {
  return timeSince(object.metadata.creationTimestamp, nowMs);
}

/** How long ago a time was: `<unknown>` for none. */
export function timeSince(time: string | null | undefined, nowMs: number): string {
  const ms = time ? Date.parse(time) : Number.NaN;
  return Number.isNaN(ms) ? '<unknown>' : humanDuration(nowMs - ms);
}
