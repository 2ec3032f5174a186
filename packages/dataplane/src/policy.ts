/** Policy decisions on both ends of a flow. The pipeline asks here; the answer names the rule that gave it. */

import type { DropReason } from './drop-reasons.ts';

/** What a policy snapshot holds. No rule kinds are compiled yet: a snapshot without policy allows everything. */
export type PolicyTables = Record<never, never>;

export type PolicyDirection = 'egress' | 'ingress';

export interface PolicyVerdict {
  /** 0 allows. */
  reason: DropReason;
  /** e.g. `no policy selects web/fe-1`. */
  text: string;
}
