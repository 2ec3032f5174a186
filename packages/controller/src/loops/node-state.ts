import { findCondition } from './conditions.ts';
import type { Node } from './objects.ts';

/** 'True', 'False' or 'Unknown'; a node that never said is not ready. */
export function readiness(node: Node): string {
  return findCondition(node.status?.conditions, 'Ready')?.status ?? 'False';
}

/** Nobody has heard from the node for longer than the grace period. */
export function isUnreachable(node: Node): boolean {
  return readiness(node) === 'Unknown';
}
