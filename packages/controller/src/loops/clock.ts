/** Time and chance as arguments, so that every loop can be replayed. */
export interface Clock {
  /** Milliseconds since 1970; may not go back. */
  nowMs: () => number;
  setTimer: SetTimer;
  /** A uniformly random unsigned 32-bit number. */
  random32: () => number;
}

/** Calls `fn` once after `delayMs`. Node's setTimeout is one. */
export type SetTimer = (fn: () => void, delayMs: number) => TimerHandle;

/** `close` cancels; Node's `Timeout` is one. */
export interface TimerHandle {
  close(): unknown;
}
