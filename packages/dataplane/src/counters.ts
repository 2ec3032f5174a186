/** What passed and what did not, since the process started. */

import type { Verdict } from './outcome.ts';

export class PipelineCounters {
  /** Packets by verdict; a fragmented packet counts once for each piece. */
  readonly verdicts: Record<Verdict, number> = { deliver: 0, encap: 0, host: 0, reply: 0, drop: 0 };
  /** Packets not forwarded, by reason number; those answered with an ICMP error included. */
  readonly drops = new Float64Array(256);
  /** ICMP errors not sent because of the rate limit. */
  errorsSuppressed = 0;
}
