/**
 * How long a container that keeps exiting waits before it is started again. Source: upstream pkg/kubelet: 10 s doubled
 * up to 300 s, forgotten after ten minutes without a restart; here every figure is multiplied by the lab's scale.
 */
const INITIAL_MS = 10_000;
const MAX_MS = 300_000;
const FORGET_AFTER_MS = 600_000;

export class RestartBackOff {
  #delayMs = 0;
  readonly #scale: number;

  constructor(scale: number) {
    this.#scale = scale;
  }

  /**
   * The pause before the next start of a container that has just exited, in ms; 0 the first time.
   * @param ranMs how long it ran
   */
  next(ranMs: number): number {
    if (ranMs >= FORGET_AFTER_MS * this.#scale) this.#delayMs = 0;
    const delay = this.#delayMs;
    this.#delayMs = delay === 0 ? INITIAL_MS * this.#scale : Math.min(delay * 2, MAX_MS * this.#scale);
    return delay;
  }
}
