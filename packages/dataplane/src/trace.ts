/**
 * What happened to one packet, step by step, in words for people. The same code that forwards fills it in: there
 * is no second engine that could disagree. A packet that nobody traces passes `undefined` and pays nothing.
 */

export type TraceStage =
  | 'decode'
  | 'source-check'
  | 'conntrack'
  | 'service'
  | 'egress-policy'
  | 'snat'
  | 'route'
  | 'mtu'
  | 'ttl'
  | 'encap'
  | 'decap'
  | 'ingress-policy'
  | 'deliver'
  | 'host'
  | 'neighbour'
  | 'reply'
  | 'drop';

export type TraceVerdict = 'ok' | 'translate' | 'allow' | 'deny' | 'drop' | 'reject' | 'reply' | 'send';

export interface TraceStep {
  readonly stage: TraceStage;
  readonly verdict: TraceVerdict;
  /** One line, e.g. `DNAT -> 10.1.2.7:8080  (svc web/api:http, backend 2 of 3, random)`. */
  readonly text: string;
  /** The same facts for programs, and the longer lines (chains walked, nearest miss). */
  readonly detail?: Readonly<Record<string, unknown>>;
}

export class PacketTrace {
  readonly steps: TraceStep[] = [];

  add(
    stage: TraceStage,
    verdict: TraceVerdict,
    text: string,
    detail?: Readonly<Record<string, unknown>>,
  ): void {
    this.steps.push(detail === undefined ? { stage, verdict, text } : { stage, verdict, text, detail });
  }
}
