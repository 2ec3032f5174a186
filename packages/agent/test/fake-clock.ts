import type { SetTimer } from '../src/timer.ts';

interface Due {
  atMs: number;
  fn: () => void;
}

/** Time that moves only when told to. */
export class FakeClock {
  #nowMs: number;
  #due: Due[] = [];

  constructor(nowMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = nowMs;
  }

  readonly nowMs = (): number => this.#nowMs;

  readonly setTimer: SetTimer = (fn, delayMs) => {
    const due = { atMs: this.#nowMs + delayMs, fn };
    this.#due.push(due);
    return {
      cancel: () => {
        this.#due = this.#due.filter((each) => each !== due);
      },
    };
  };

  get pending(): number {
    return this.#due.length;
  }

  /** Moves on by `ms`, running what falls due in order, with promises settled in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const next = this.#due.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#due = this.#due.filter((each) => each !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.fn();
      await settle();
    }
    this.#nowMs = endMs;
    await settle();
  }
}

/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
