import { formatTime } from '@podwire/kube/object';
import type { PodStatusLike } from '@podwire/sync/types';

type PodCondition = NonNullable<PodStatusLike['conditions']>[number];

/** Fields of a PodStatus that others than the node write. */
const KEPT = ['qosClass', 'nominatedNodeName', 'resourceClaimStatuses'] as const;

const TERMINAL = ['Succeeded', 'Failed'];

/**
 * The status an agent reports, laid over the stored one: conditions of types it does not know stay (readiness gates, the scheduler's), and a
 * condition that keeps its status keeps its lastTransitionTime. A pod that has ended stays ended.
 * Source: pkg/kubelet/status/status_manager.go, mergePodStatus.
 */
export function mergePodStatus(
  stored: PodStatusLike | undefined,
  reported: PodStatusLike,
  nowMs: number,
): PodStatusLike {
  const merged: PodStatusLike = { ...reported };
  for (const field of KEPT) {
    if (stored?.[field] !== undefined) merged[field] ??= stored[field];
  }
  if (TERMINAL.includes(stored?.phase ?? '') && !TERMINAL.includes(reported.phase ?? '')) {
    merged.phase = stored!.phase!;
  }
  const before = stored?.conditions ?? [];
  const conditions: PodCondition[] = (reported.conditions ?? []).map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    const lastTransitionTime =
      old?.status === condition.status
        ? (old.lastTransitionTime ?? condition.lastTransitionTime)
        : (condition.lastTransitionTime ?? formatTime(nowMs));
    return { ...condition, lastTransitionTime };
  });
  const known = new Set(conditions.map(({ type }) => type));
  merged.conditions = [...conditions, ...before.filter(({ type }) => !known.has(type))];
  return merged;
}
