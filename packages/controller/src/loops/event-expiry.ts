import { ApiError } from '@podwire/kube/status';
import type { TimerHandle } from './clock.ts';
import { keyOf, splitKey } from './keys.ts';
import type { Loop, LoopContext } from './loop.ts';
import type { AnyObject } from './objects.ts';

/** Removes Events some time after they last happened, as upstream's storage does (--event-ttl). */
export function startEventExpiry(context: LoopContext, options: { ttlMs: number }): Loop {
  const { api, clock, log } = context;
  /** Events in the order in which they expire. */
  const expiries = new Map<string, number>();
  let timer: TimerHandle | undefined;

  const stopWatch = api.watch<AnyObject & { lastTimestamp?: string | null }>('events', ({ type, object }) => {
    const key = keyOf(object.metadata);
    expiries.delete(key);
    if (type === 'DELETED') return;
    const lastMs = Date.parse(object.lastTimestamp ?? object.metadata.creationTimestamp);
    expiries.set(key, Math.min(Number.isNaN(lastMs) ? Infinity : lastMs, clock.nowMs()) + options.ttlMs);
    arm();
  });

  function arm(): void {
    const [first] = expiries.values();
    if (timer !== undefined || first === undefined) return;
    timer = clock.setTimer(
      () => {
        timer = undefined;
        removeExpired();
        arm();
      },
      Math.max(1_000, first - clock.nowMs()),
    );
  }

  function removeExpired(): void {
    for (const [key, atMs] of expiries) {
      if (atMs > clock.nowMs()) return;
      expiries.delete(key);
      const { namespace, name } = splitKey(key);
      api.delete('events', namespace, name).catch((error: unknown) => {
        if (!(error instanceof ApiError && error.code === 404)) log.warn({ err: error }, 'event not removed');
      });
    }
  }

  return {
    stop() {
      stopWatch();
      timer?.close();
    },
  };
}
