/** Policy decisions on both ends of a flow. The pipeline asks here; the answer names the rule that gave it. */

import type { Packet } from '@podwire/wire/packet';
import type { DropReason } from './drop-reasons.ts';
import type { PreparedEndpoint } from './prepared.ts';

/** What a policy snapshot holds. No rule kinds are compiled yet: a snapshot without policy allows everything. */
export type PolicyTables = Record<never, never>;

export type PolicyDirection = 'egress' | 'ingress';

/** Reused for every question. */
export class PolicyVerdict {
  /** 0 allows. */
  reason: DropReason = 0;
  /** Which rule, or why none. Only set when asked with `explain`. */
  text = '';
}

/**
 * Decides whether `endpoint` may send (egress) or receive (ingress) a packet of a new flow. The packet's destination
 * is the backend, not the service address; its source is the client, not yet masqueraded.
 */
export function askPolicy(
  _policy: PolicyTables | undefined,
  direction: PolicyDirection,
  endpoint: PreparedEndpoint,
  _packet: Packet,
  verdict: PolicyVerdict,
  explain: boolean,
): void {
  verdict.reason = 0;
  if (explain) verdict.text = `no policy selects ${endpoint.name} for ${direction}`;
}
