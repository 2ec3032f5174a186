import type { TimerHandle } from '../src/timers.ts';

interface Event {
  atMs: number;
  order: number;
  fn: () => void;
  cancelled: boolean;
}

/** A clock that moves only when told: timers and deferred calls of stacks under test run from it. */
export class FakeClock {
  nowMs: number;
  readonly #events: Event[] = [];
  readonly #soon: (() => void)[] = [];
  #order = 0;

  constructor(startMs = 1_000_000) {
    this.nowMs = startMs;
  }

  readonly setTimer = (fn: () => void, delayMs: number): TimerHandle => {
    const event = { atMs: this.nowMs + delayMs, order: this.#order++, fn, cancelled: false };
    const heap = this.#events;
    heap.push(event);
    let i = heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!earlier(event, heap[parent])) break;
      heap[i] = heap[parent];
      i = parent;
    }
    heap[i] = event;
    return {
      close: () => {
        event.cancelled = true;
      },
    };
  };

  readonly defer = (fn: () => void): void => {
    this.#soon.push(fn);
  };

  /** Number of timers that are set. */
  get timers(): number {
    return this.#events.filter((event) => !event.cancelled).length;
  }

  /** Runs deferred calls until there are none. */
  settle(): void {
    for (let i = 0; i < this.#soon.length; i++) {
      if (i > 5_000_000) throw new Error('deferred calls never end');
      this.#soon[i]();
    }
    this.#soon.length = 0;
  }

  /** Runs the next timer; false when there is none before `untilMs`. */
  step(untilMs = Infinity): boolean {
    this.settle();
    for (;;) {
      const next = this.#events[0];
      if (next === undefined || next.atMs > untilMs) return false;
      this.#pop();
      if (next.cancelled) continue;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.fn();
      this.settle();
      return true;
    }
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.step(untilMs));
    this.nowMs = untilMs;
  }

  /** Runs timers until `done`; false when `limitMs` pass or nothing is left to run. */
  runUntil(done: () => boolean, limitMs: number): boolean {
    const untilMs = this.nowMs + limitMs;
    this.settle();
    while (!done()) if (!this.step(untilMs)) return done();
    return true;
  }

  #pop(): void {
    const heap = this.#events;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1], heap[child])) child++;
      if (!earlier(heap[child], last)) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = last;
  }
}

function earlier(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
