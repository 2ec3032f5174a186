/**
 * postStart and preStop. Source: upstream pkg/kubelet/lifecycle/handlers.go.
 */
import type { LifecycleHandler } from 'kubernetes-types/core/v1.js';
import { attemptProbe, type ProbeTarget } from '../probes/attempts.ts';
import { type SetTimer, sleep } from '../timer.ts';

/** A hook may not hold up a container for longer than this, whatever it does. */
const MAX_HOOK_MS = 3_600_000;

/**
 * Runs a hook to its end.
 * @returns undefined when it went well, else what went wrong
 */
export async function runHook(
  handler: LifecycleHandler,
  target: ProbeTarget,
  setTimer: SetTimer,
  signal: AbortSignal,
): Promise<string | undefined> {
  // Newer than the published types.
  const seconds = (handler as { sleep?: { seconds?: number } }).sleep?.seconds;
  if (seconds !== undefined) {
    await sleep(setTimer, seconds * 1000, signal);
    return undefined;
  }
  // The API accepts tcpSocket here and the kubelet does nothing with it.
  if (handler.exec === undefined && handler.httpGet === undefined) return undefined;
  const result = await attemptProbe(handler, target, MAX_HOOK_MS);
  return result.ok ? undefined : result.message;
}
