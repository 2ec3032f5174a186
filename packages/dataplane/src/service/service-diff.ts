/** What changed between two lists of service ports, told by object identity. */

import type { ServicePort } from '../tables.ts';

export interface ServiceDiff {
  readonly removed: readonly ServicePort[];
  readonly added: readonly ServicePort[];
}

/** A changed service port is one removed and one added. Costs a comparison for each port; no memory for those that stay. */
export function diffServices(before: readonly ServicePort[], after: readonly ServicePort[]): ServiceDiff {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let tail = 0;
  while (tail < shorter - start && before[before.length - 1 - tail] === after[after.length - 1 - tail])
    tail++;
  const old = new Set(before.slice(start, before.length - tail));
  const next = new Set(after.slice(start, after.length - tail));
  return {
    removed: [...old].filter((port) => !next.has(port)),
    added: [...next].filter((port) => !old.has(port)),
  };
}
