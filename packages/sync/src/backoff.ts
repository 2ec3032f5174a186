/** How the last attempt ended: nobody listens (a controller on its way back), or somebody does and the link still failed. */
export type Failure = 'absent' | 'refused';

/**
 * Delay before the next attempt to connect. A refused TCP connection costs next to nothing, so an absent controller is asked again
 * within a third of a second for as long as it takes; one that answers and refuses is left alone for up to five seconds.
 * `attempt` counts from 0 since the last good link; jitter takes up to half off, so that a cluster does not come back in step.
 */
export function reconnectDelayMs(attempt: number, failure: Failure, random32: () => number): number {
  const ceilingMs = failure === 'absent' ? 300 : 5_000;
  const delayMs = Math.min(ceilingMs, 20 * 2 ** Math.min(attempt, 10));
  return delayMs * (0.5 + random32() / 2 ** 33);
}
