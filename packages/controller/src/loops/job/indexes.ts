import type { Pod } from '../objects.ts';

/** Completion indexes of Indexed Jobs (pkg/controller/job/indexed_job_utils.go). */

export const INDEX_ANNOTATION = 'batch.kubernetes.io/job-completion-index';

/** -1 when a pod has none. */
export function indexOf(pod: Pod): number {
  const index = Number(pod.metadata.annotations?.[INDEX_ANNOTATION] ?? -1);
  return Number.isInteger(index) ? index : -1;
}

/** Parses `1,3-5,7`. */
export function parseIndexes(text: string | undefined, completions: number): Set<number> {
  const indexes = new Set<number>();
  for (const part of text ? text.split(',') : []) {
    const [first, last = first] = part.split('-').map(Number);
    for (let i = first; i <= last && i < completions; i++) indexes.add(i);
  }
  return indexes;
}

/** Runs of three or more are shortened: `1,3-5,7`; a run of two is written as two numbers joined by a dash as well. */
export function formatIndexes(indexes: ReadonlySet<number>): string {
  const sorted = [...indexes].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; i++) {
    let j = i;
    while (sorted[j + 1] === sorted[j] + 1) j++;
    parts.push(i === j ? `${sorted[i]}` : `${sorted[i]}-${sorted[j]}`);
    i = j;
  }
  return parts.join(',');
}

/** The first `count` indexes that have neither succeeded nor failed nor have a pod at work. */
export function freeIndexes(completions: number, taken: ReadonlySet<number>, count: number): number[] {
  const free: number[] = [];
  for (let i = 0; i < completions && free.length < count; i++) if (!taken.has(i)) free.push(i);
  return free;
}
