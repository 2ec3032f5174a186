/** One-shot timers as an argument: the real ones here, a fake clock's in tests. */

export interface Timer {
  cancel(): void;
}

export type SetTimer = (fn: () => void, delayMs: number) => Timer;

/** The machine's timers. They keep the process alive. */
export const systemTimer: SetTimer = (fn, delayMs) => {
  const handle = setTimeout(fn, delayMs);
  return { cancel: () => clearTimeout(handle) };
};

/** Resolves true after `delayMs`, or false as soon as `signal` is aborted. */
export function sleep(setTimer: SetTimer, delayMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const stop = () => {
      timer.cancel();
      resolve(false);
    };
    const timer = setTimer(() => {
      signal.removeEventListener('abort', stop);
      resolve(true);
    }, delayMs);
    signal.addEventListener('abort', stop, { once: true });
  });
}
