/** A flow as people and programs outside of the packet path see it: the rows of a conntrack dump. */

/** One direction of a flow. */
export interface ConntrackTuple {
  readonly source: string;
  readonly destination: string;
  /** 0 for protocols without ports; the echo id for ICMP. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly packets: number;
  readonly bytes: number;
}

export interface ConntrackEntry {
  readonly version: 4 | 6;
  readonly protocol: number;
  /** As `conntrack -L` names it; '' for UDP and ICMP. */
  readonly state: string;
  readonly original: ConntrackTuple;
  readonly reply: ConntrackTuple;
  readonly expiresInSeconds: number;
  readonly seenReply: boolean;
  readonly assured: boolean;
  /** True for a remembered backend choice of ebpf mode: `reply` is meaningless there. */
  readonly isServiceChoice: boolean;
  /** `namespace/name:port` of the Service that was used, or ''. */
  readonly service: string;
}
