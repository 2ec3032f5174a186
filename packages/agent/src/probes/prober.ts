/**
 * When a probe runs and what its results add up to. Source: upstream pkg/kubelet/prober/worker.go.
 */
import type { Probe } from 'kubernetes-types/core/v1.js';

export type ProbeKind = 'startup' | 'readiness' | 'liveness';

export interface ProbeResult {
  readonly ok: boolean;
  /** Why not, as an Event shows it after `Readiness probe failed: `. */
  readonly message: string;
}

export interface ProberOptions {
  readonly kind: ProbeKind;
  readonly probe: Probe;
  /** Multiplies initialDelaySeconds and periodSeconds. */
  readonly delayScale: number;
  /** Runs the probe once. Must settle within about `timeoutSeconds`; the prober does not wait longer for it. */
  readonly attempt: (timeoutMs: number) => Promise<ProbeResult>;
  /** Every failed attempt, for an Event. */
  readonly onFailure: (message: string) => void;
  /** The probe's standing has changed, or is known for the first time. */
  readonly onVerdict: (ok: boolean) => void;
  readonly setTimer: (fn: () => void, delayMs: number) => { cancel(): void };
  /** Shared by the probers of a node. */
  readonly pace: ProbePace;
}

/**
 * Probes a node runs in a second, more or less, while all is well. Scaled periods are short, and each probe is a real
 * connection: where the containers ask for more than this, those that succeed wait longer, all by the same factor.
 */
const PROBES_PER_SECOND = 50;

/** How much the steady probes of a node are stretched. */
export class ProbePace {
  #perSecond = 0;

  get factor(): number {
    return Math.max(1, this.#perSecond / PROBES_PER_SECOND);
  }

  /** Takes a prober in; the result takes it out again. */
  enter(periodMs: number): () => void {
    const perSecond = 1000 / periodMs;
    this.#perSecond += perSecond;
    let isIn = true;
    return () => {
      if (isIn) this.#perSecond -= perSecond;
      isIn = false;
    };
  }
}

/** A probe period is never scaled below this: a node runs hundreds of probes. */
export const MIN_PERIOD_MS = 50;

/** Upstream defaults, for probes that were not defaulted by the API. */
export function probeTimes(probe: Probe, delayScale: number) {
  const scaled = (seconds: number) => seconds * 1000 * delayScale;
  const periodMs = (probe.periodSeconds || 10) * 1000;
  return {
    initialDelayMs: scaled(probe.initialDelaySeconds ?? 0),
    periodMs: Math.max(scaled(probe.periodSeconds || 10), Math.min(MIN_PERIOD_MS, periodMs)),
    timeoutMs: (probe.timeoutSeconds || 1) * 1000,
    successThreshold: probe.successThreshold || 1,
    failureThreshold: probe.failureThreshold || 3,
  };
}

/** Runs one probe of one container from its start to its end. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #times: ReturnType<typeof probeTimes>;
  #timer: { cancel(): void } | undefined;
  #run = 0;
  #lastOk: boolean | undefined;
  #verdict: boolean | undefined;
  #stopped = false;
  #leave: () => void = () => {};

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#times = probeTimes(options.probe, options.delayScale);
  }

  /** Begins after initialDelaySeconds, counted from now: call it when the container has started. */
  start(): void {
    this.#leave = this.#options.pace.enter(this.#times.periodMs);
    this.#schedule(this.#times.initialDelayMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#leave();
    this.#timer?.cancel();
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = this.#options.setTimer(() => void this.#once(), delayMs);
  }

  async #once(): Promise<void> {
    let result: ProbeResult;
    try {
      result = await this.#options.attempt(this.#times.timeoutMs);
    } catch (error) {
      result = { ok: false, message: (error as Error).message };
    }
    if (this.#stopped) return;
    if (!result.ok) this.#options.onFailure(result.message);
    this.#run = result.ok === this.#lastOk ? this.#run + 1 : 1;
    this.#lastOk = result.ok;
    const threshold = result.ok ? this.#times.successThreshold : this.#times.failureThreshold;
    if (this.#run >= threshold && this.#verdict !== result.ok) {
      this.#verdict = result.ok;
      this.#options.onVerdict(result.ok);
      // A startup probe has done its work once it succeeded; after a failure the container is restarted.
      if (this.#options.kind === 'startup' || (this.#options.kind === 'liveness' && !result.ok)) this.stop();
    }
    const isSteady = this.#verdict === true && result.ok;
    this.#schedule(this.#times.periodMs * (isSteady ? this.#options.pace.factor : 1));
  }
}
