import { formatTime } from '@podwire/kube/object';
import type { Condition } from './objects.ts';

export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** A new list with the condition set; lastTransitionTime stays as long as the status does. */
export function setCondition(
  conditions: readonly Condition[] | undefined,
  wanted: Condition,
  nowMs: number,
): Condition[] {
  const old = findCondition(conditions, wanted.type);
  const lastTransitionTime =
    old !== undefined && old.status === wanted.status && old.lastTransitionTime !== undefined
      ? old.lastTransitionTime
      : formatTime(nowMs);
  const condition = { ...wanted, lastTransitionTime };
  if (old === undefined) return [...(conditions ?? []), condition];
  return conditions!.map((each) => (each === old ? condition : each));
}

export function removeCondition(conditions: readonly Condition[] | undefined, type: string): Condition[] {
  return (conditions ?? []).filter((condition) => condition.type !== type);
}
