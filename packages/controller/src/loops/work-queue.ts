import { ApiError } from '@podwire/kube/status';
import type { Clock, TimerHandle } from './clock.ts';
import type { Log } from './log.ts';

/**
 * Keys of objects that a controller has to look at. A key is queued at most once however many changes name it, is never worked on
 * twice at the same time, and comes back by itself after a failure. Work starts in the microtask after `add`, so that the changes
 * of one commit are one look. The pattern is client-go's util/workqueue.
 *
 * `reconcile` reads the newest state, writes what is missing, and may return the milliseconds after which it wants the key again.
 */
export interface WorkQueueOptions {
  /** Name of the controller, in logs. */
  name: string;
  reconcile: (key: string) => Promise<number | undefined>;
  clock: Clock;
  log: Log;
  /** Keys worked on at the same time. */
  concurrency?: number;
}

const FIRST_RETRY_MS = 5;
const LONGEST_RETRY_MS = 30_000;
const DEFAULT_CONCURRENCY = 64;
/** Refusals of one key in a row, over a good second, before anyone need know: what was missing has usually come by then. */
const QUIET_REFUSALS = 8;

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #concurrency: number;
  readonly #dirty = new Set<string>();
  readonly #active = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, { atMs: number; handle: TimerHandle }>();
  #drainQueued = false;
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#concurrency = options.concurrency ?? DEFAULT_CONCURRENCY;
  }

  /** Wants the key looked at as soon as may be. */
  add(key: string): void {
    if (this.#stopped) return;
    this.#dirty.add(key);
    if (this.#drainQueued || this.#active.has(key)) return;
    this.#drainQueued = true;
    queueMicrotask(() => {
      this.#drainQueued = false;
      this.#drain();
    });
  }

  /** Wants the key looked at after a while; of several such wishes the earliest counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#stopped) return;
    const atMs = this.#options.clock.nowMs() + delayMs;
    const timer = this.#timers.get(key);
    if (timer !== undefined && timer.atMs <= atMs) return;
    timer?.handle.close();
    const handle = this.#options.clock.setTimer(() => {
      this.#timers.delete(key);
      this.add(key);
    }, delayMs);
    this.#timers.set(key, { atMs, handle });
  }

  /** Starts nothing more; what is being worked on ends by itself. */
  stop(): void {
    this.#stopped = true;
    this.#dirty.clear();
    for (const timer of this.#timers.values()) timer.handle.close();
    this.#timers.clear();
  }

  #drain(): void {
    for (const key of this.#dirty) {
      if (this.#active.size >= this.#concurrency) return;
      if (this.#active.has(key)) continue;
      this.#dirty.delete(key);
      this.#active.add(key);
      void this.#work(key);
    }
  }

  async #work(key: string): Promise<void> {
    try {
      const againAfterMs = await this.#options.reconcile(key);
      this.#failures.delete(key);
      if (againAfterMs !== undefined) this.addAfter(key, Math.max(0, againAfterMs));
    } catch (error) {
      if (!this.#stopped && !isNamespaceTerminating(error)) this.#retry(key, error);
    } finally {
      this.#active.delete(key);
      if (!this.#stopped) this.#drain();
    }
  }

  #retry(key: string, error: unknown): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const delayMs = backoffMs(failures, this.#options.clock.random32);
    const { log, name } = this.#options;
    const about = { controller: name, key, retryMs: Math.round(delayMs) };
    const isRefusal = error instanceof ApiError && error.code < 500;
    if (isRefusal && (error.code === 409 || failures < QUIET_REFUSALS)) {
      // Losing a race with another writer, or coming before what one depends on, is everyday life.
      log.debug({ ...about, err: error.message }, 'refused for now');
    } else {
      // A refusal says it all in its message; any other error is a fault whose stack is wanted.
      log.warn({ ...about, err: isRefusal ? error.message : error }, 'reconcile failed');
    }
    this.addAfter(key, delayMs);
  }
}

/** A namespace on its way out takes nothing new; whatever wanted to create something in it goes too. */
function isNamespaceTerminating(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.status.details?.causes?.some((cause) => cause.reason === 'NamespaceTerminating') ?? false;
}

/** 5, 10, 20 … milliseconds up to half a minute, each up to a fifth longer by chance. */
export function backoffMs(failures: number, random32: () => number): number {
  const delayMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 20), LONGEST_RETRY_MS);
  return delayMs + (delayMs * (random32() % 200)) / 1000;
}
