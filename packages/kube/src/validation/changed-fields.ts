import { isJsonObject } from '../object.ts';
import { semanticEquals } from './checks.ts';

const MAX_LINES = 20;

/**
 * What differs between two values, a line for each side of each change: `-spec.nodeName: "a"`, `+spec.nodeName: "b"`. Stands
 * where the server appends a Go diff to a message.
 */
export function changedFields(old: unknown, next: unknown, path = ''): string {
  const lines: string[] = [];
  collect(old, next, path, lines);
  if (lines.length <= MAX_LINES) return lines.join('\n');
  return `${lines.slice(0, MAX_LINES).join('\n')}\n… ${lines.length - MAX_LINES} more lines`;
}

function collect(old: unknown, next: unknown, path: string, lines: string[]): void {
  if (semanticEquals(old, next)) return;
  if (Array.isArray(old) && Array.isArray(next) && old.length === next.length) {
    old.forEach((item, i) => {
      collect(item, next[i], `${path}[${i}]`, lines);
    });
    return;
  }
  if (isJsonObject(old) && isJsonObject(next)) {
    for (const key of new Set([...Object.keys(old), ...Object.keys(next)])) {
      collect(old[key], next[key], path === '' ? key : `${path}.${key}`, lines);
    }
    return;
  }
  if (old !== undefined) lines.push(`-${path}: ${JSON.stringify(old)}`);
  if (next !== undefined) lines.push(`+${path}: ${JSON.stringify(next)}`);
}
