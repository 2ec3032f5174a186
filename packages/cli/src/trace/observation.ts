/** What a node agent recorded of one packet while a trace was armed (`GET /podwire/trace/ID`). */
export interface Observation {
  node: string;
  seq: number;
  /** Monotonic clock of the machine, shared by all processes on it, in nanoseconds as decimal text. */
  timeNs: string;
  hook: 'from-pod' | 'from-underlay' | 'from-host';
  podName?: string;
  tupleIn?: Tuple;
  tupleOut?: Tuple;
  /** One tcpdump-like line of the packet as it came in. */
  summary: string;
  steps: { stage: string; verdict: string; text: string; detail?: Record<string, unknown> }[];
  verdict: 'deliver' | 'encap' | 'host' | 'reply' | 'drop';
  reason?: string;
  outer?: { src: string; dst: string; vni: number; bytes: number };
  /** Bytes of the IP packet. */
  length: number;
}

export interface Tuple {
  proto: string;
  src: string;
  sport: number;
  dst: string;
  dport: number;
}

/** The answer of `POST /podwire/probe`: a real connection from a pod's own stack. */
export interface ProbeResult {
  ok: boolean;
  localAddress?: string;
  localPort?: number;
  remoteAddress?: string;
  remotePort?: number;
  resolved?: string[];
  error?: string;
  ms: number;
  status?: number;
  body?: string;
}
