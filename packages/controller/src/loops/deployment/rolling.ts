import { scaledValue } from '../int-or-percent.ts';
import type { Deployment, ReplicaSet } from '../objects.ts';
import { byAge, DESIRED_REPLICAS, MAX_REPLICAS } from './revisions.ts';

/**
 * How many replicas each ReplicaSet of a Deployment is to have next: pure arithmetic, one step at a time
 * (rolling.go, sync.go and deployment_util.go).
 */

export interface Resize {
  set: ReplicaSet;
  replicas: number;
}

export function isRollingUpdate(deployment: Deployment): boolean {
  return deployment.spec.strategy.type === 'RollingUpdate';
}

/** Both resolved; never both 0, or nothing could ever move. */
function limits(deployment: Deployment): { surge: number; unavailable: number } {
  const { maxSurge, maxUnavailable } = deployment.spec.strategy.rollingUpdate ?? {};
  const surge = scaledValue(maxSurge ?? '25%', deployment.spec.replicas, 'up');
  const unavailable = scaledValue(maxUnavailable ?? '25%', deployment.spec.replicas, 'down');
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}

export function maxSurgeOf(deployment: Deployment): number {
  return isRollingUpdate(deployment) ? limits(deployment).surge : 0;
}

export function maxUnavailableOf(deployment: Deployment): number {
  if (!isRollingUpdate(deployment) || deployment.spec.replicas === 0) return 0;
  return Math.min(limits(deployment).unavailable, deployment.spec.replicas);
}

export function wantedReplicas(sets: readonly ReplicaSet[]): number {
  return sets.reduce((sum, set) => sum + set.spec.replicas, 0);
}

export function actualReplicas(sets: readonly ReplicaSet[]): number {
  return sets.reduce((sum, set) => sum + (set.status?.replicas ?? 0), 0);
}

export function availableReplicas(sets: readonly ReplicaSet[]): number {
  return sets.reduce((sum, set) => sum + (set.status?.availableReplicas ?? 0), 0);
}

/** Size of the newest set: as large as surge lets it be; a set not made yet counts as empty. */
export function newSetReplicas(deployment: Deployment, all: readonly ReplicaSet[], present: number): number {
  const wanted = deployment.spec.replicas;
  if (!isRollingUpdate(deployment)) return wanted;
  const room = wanted + maxSurgeOf(deployment) - wantedReplicas(all);
  if (room <= 0) return present;
  return present + Math.min(room, wanted - present);
}

/** Old sets made smaller as far as enough pods stay available: first the pods that never became healthy, then the others. */
export function shrinkOldSets(
  deployment: Deployment,
  newSet: ReplicaSet,
  old: readonly ReplicaSet[],
): Resize[] {
  const all = [...old, newSet];
  if (wantedReplicas(old) === 0) return [];
  const leastAvailable = deployment.spec.replicas - maxUnavailableOf(deployment);
  const newUnavailable = newSet.spec.replicas - (newSet.status?.availableReplicas ?? 0);
  const removable = wantedReplicas(all) - leastAvailable - newUnavailable;
  if (removable <= 0) return [];

  const size = new Map(old.map((set) => [set, set.spec.replicas]));
  const oldestFirst = [...old].sort(byAge);
  let cleaned = 0;
  for (const set of oldestFirst) {
    if (cleaned >= removable) break;
    const unhealthy = set.spec.replicas - (set.status?.availableReplicas ?? 0);
    if (set.spec.replicas === 0 || unhealthy <= 0) continue;
    const count = Math.min(removable - cleaned, unhealthy);
    size.set(set, set.spec.replicas - count);
    cleaned += count;
  }

  let surplus = availableReplicas(all) - leastAvailable;
  for (const set of oldestFirst) {
    if (surplus <= 0) break;
    const count = Math.min(size.get(set)!, surplus);
    size.set(set, size.get(set)! - count);
    surplus -= count;
  }
  return old
    .map((set) => ({ set, replicas: size.get(set)! }))
    .filter(({ set, replicas }) => replicas !== set.spec.replicas);
}

/** The Deployment's size was changed since a set with pods last noted it. */
export function isScalingEvent(deployment: Deployment, sets: readonly ReplicaSet[]): boolean {
  return sets.some((set) => {
    const noted = set.metadata.annotations?.[DESIRED_REPLICAS];
    return set.spec.replicas > 0 && noted !== undefined && Number(noted) !== deployment.spec.replicas;
  });
}

/**
 * New sizes after the Deployment itself was resized or while it is paused. In the middle of a rollout the difference is shared
 * out over the sets in proportion to their size, so that the rollout stands where it stood.
 */
export function scaleInProportion(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): Resize[] {
  const wanted = deployment.spec.replicas;
  const all = newSet === undefined ? [...old] : [...old, newSet];
  const active = all.filter((set) => set.spec.replicas > 0);
  if (active.length <= 1) {
    const only = active[0] ?? newSet ?? [...old].sort(byAge).at(-1);
    return only === undefined ? [] : [{ set: only, replicas: wanted }];
  }
  if (newSet !== undefined && isSaturated(deployment, newSet)) {
    return active.filter((set) => set !== newSet).map((set) => ({ set, replicas: 0 }));
  }
  if (!isRollingUpdate(deployment)) return [];

  const allowed = wanted > 0 ? wanted + maxSurgeOf(deployment) : 0;
  const toAdd = allowed - wantedReplicas(active);
  // Growing favours newer sets, shrinking older ones, among sets of one size.
  active.sort((a, b) => b.spec.replicas - a.spec.replicas || (toAdd > 0 ? byAge(b, a) : byAge(a, b)));
  let added = 0;
  const resizes = active.map((set) => {
    const share = toAdd === 0 ? 0 : proportion(deployment, set, toAdd, added);
    added += share;
    return { set, replicas: set.spec.replicas + share };
  });
  resizes[0].replicas = Math.max(0, resizes[0].replicas + toAdd - added);
  return resizes;
}

function isSaturated(deployment: Deployment, set: ReplicaSet): boolean {
  return (
    set.spec.replicas === deployment.spec.replicas &&
    Number(set.metadata.annotations?.[DESIRED_REPLICAS]) === deployment.spec.replicas &&
    (set.status?.availableReplicas ?? 0) === deployment.spec.replicas
  );
}

function proportion(deployment: Deployment, set: ReplicaSet, toAdd: number, added: number): number {
  if (set.spec.replicas === 0 || toAdd === added) return 0;
  let share = -set.spec.replicas;
  if (deployment.spec.replicas > 0) {
    const size = deployment.spec.replicas + maxSurgeOf(deployment);
    const noted = Number(set.metadata.annotations?.[MAX_REPLICAS]) || (deployment.status?.replicas ?? 0) || 1;
    share = Math.round((set.spec.replicas * size) / noted) - set.spec.replicas;
  }
  const left = toAdd - added;
  return toAdd > 0 ? Math.min(share, left) : Math.max(share, left);
}
