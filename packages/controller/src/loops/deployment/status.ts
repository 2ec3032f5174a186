import { formatTime } from '@podwire/kube/object';
import { findCondition, removeCondition } from '../conditions.ts';
import type { Condition, Deployment, ReplicaSet } from '../objects.ts';
import { actualReplicas, availableReplicas, maxUnavailableOf, wantedReplicas } from './rolling.ts';

/** A Deployment's status and its conditions, with upstream's reasons and messages (progress.go, sync.go). */

export type DeploymentStatus = NonNullable<Deployment['status']>;

/** Progress deadlines of this length or more are none. */
const NO_DEADLINE_SECONDS = 2 ** 31 - 1;

export function hasProgressDeadline(deployment: Deployment): boolean {
  const seconds = deployment.spec.progressDeadlineSeconds;
  return seconds !== undefined && seconds < NO_DEADLINE_SECONDS;
}

/** Like any other condition, but with upstream's lastUpdateTime; left as it is when status and reason are the same. */
export function setDeploymentCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
  status: string,
  reason: string,
  message: string,
  nowMs: number,
): Condition[] {
  const old = findCondition(conditions, type);
  if (old?.status === status && old.reason === reason) return [...conditions!];
  const now = formatTime(nowMs);
  const lastTransitionTime = (old?.status === status && old.lastTransitionTime) || now;
  const condition = { type, status, reason, message, lastUpdateTime: now, lastTransitionTime };
  return [...removeCondition(conditions, type), condition];
}

/** Counts and the Available condition; other conditions as they were. */
export function countReplicas(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  newSet: ReplicaSet | undefined,
  nowMs: number,
): DeploymentStatus {
  const available = availableReplicas(all);
  const status: DeploymentStatus = {
    observedGeneration: deployment.metadata.generation,
    replicas: actualReplicas(all),
    updatedReplicas: newSet?.status?.replicas ?? 0,
    readyReplicas: all.reduce((sum, set) => sum + (set.status?.readyReplicas ?? 0), 0),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wantedReplicas(all) - available),
  };
  for (const key of Object.keys(status) as (keyof DeploymentStatus)[]) if (!status[key]) delete status[key];
  const { collisionCount, conditions } = deployment.status ?? {};
  if (collisionCount !== undefined) status.collisionCount = collisionCount;
  status.conditions =
    available >= deployment.spec.replicas - maxUnavailableOf(deployment)
      ? setDeploymentCondition(
          conditions,
          'Available',
          'True',
          'MinimumReplicasAvailable',
          'Deployment has minimum availability.',
          nowMs,
        )
      : setDeploymentCondition(
          conditions,
          'Available',
          'False',
          'MinimumReplicasUnavailable',
          'Deployment does not have minimum availability.',
          nowMs,
        );
  return status;
}

/** The status in the course of a rollout: counts, Progressing and ReplicaFailure. */
export function rolloutStatus(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  newSet: ReplicaSet | undefined,
  nowMs: number,
): DeploymentStatus {
  const status = countReplicas(deployment, all, newSet, nowMs);
  const what =
    newSet === undefined
      ? `Deployment "${deployment.metadata.name}"`
      : `ReplicaSet "${newSet.metadata.name}"`;
  const current = findCondition(deployment.status?.conditions, 'Progressing');
  const set = (conditionStatus: string, reason: string, verb: string) => {
    status.conditions = setDeploymentCondition(
      status.conditions,
      'Progressing',
      conditionStatus,
      reason,
      `${what} ${verb}.`,
      nowMs,
    );
  };
  if (!hasProgressDeadline(deployment)) {
    status.conditions = removeCondition(status.conditions, 'Progressing');
  } else {
    const done =
      (status.replicas ?? 0) === (status.updatedReplicas ?? 0) &&
      current?.reason === 'NewReplicaSetAvailable';
    if (!done) {
      if (isComplete(deployment, status))
        set('True', 'NewReplicaSetAvailable', 'has successfully progressed');
      else if (hasProgressed(deployment, status)) {
        // Every step of progress restarts the deadline, so the condition is renewed even when its reason stays.
        status.conditions = removeCondition(status.conditions, 'Progressing');
        set('True', 'ReplicaSetUpdated', 'is progressing');
        if (current?.status === 'True' && current.lastTransitionTime !== undefined) {
          status.conditions = status.conditions!.map((condition) =>
            condition.type === 'Progressing'
              ? { ...condition, lastTransitionTime: current.lastTransitionTime }
              : condition,
          );
        }
      } else if (hasTimedOut(deployment, status, nowMs)) {
        set('False', 'ProgressDeadlineExceeded', 'has timed out progressing');
      }
    }
  }
  const failure = findFailure(all, newSet);
  status.conditions =
    failure === undefined
      ? removeCondition(status.conditions, 'ReplicaFailure')
      : setDeploymentCondition(
          status.conditions,
          'ReplicaFailure',
          failure.status,
          failure.reason ?? '',
          failure.message ?? '',
          nowMs,
        );
  return status;
}

/** All wanted replicas are of the newest revision and available, and none of older ones is left. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const wanted = deployment.spec.replicas;
  return (
    (status.updatedReplicas ?? 0) === wanted &&
    (status.replicas ?? 0) === wanted &&
    (status.availableReplicas ?? 0) === wanted &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

function hasProgressed(deployment: Deployment, status: DeploymentStatus): boolean {
  const old = deployment.status ?? {};
  const ofOldRevisions = (each: DeploymentStatus) => (each.replicas ?? 0) - (each.updatedReplicas ?? 0);
  return (
    (status.updatedReplicas ?? 0) > (old.updatedReplicas ?? 0) ||
    ofOldRevisions(status) < ofOldRevisions(old) ||
    (status.readyReplicas ?? 0) > (old.readyReplicas ?? 0) ||
    (status.availableReplicas ?? 0) > (old.availableReplicas ?? 0)
  );
}

function hasTimedOut(deployment: Deployment, status: DeploymentStatus, nowMs: number): boolean {
  const condition = findCondition(status.conditions, 'Progressing');
  if (condition === undefined || condition.reason === 'NewReplicaSetAvailable') return false;
  if (condition.reason === 'ProgressDeadlineExceeded') return true;
  return deadlineMs(deployment, condition) < nowMs;
}

function deadlineMs(deployment: Deployment, condition: Condition): number {
  return Date.parse(condition.lastUpdateTime ?? '') + deployment.spec.progressDeadlineSeconds! * 1000;
}

/** When to look again whether a rollout has stopped progressing; undefined when none is under way. */
export function deadlineInMs(deployment: Deployment, nowMs: number): number | undefined {
  const condition = findCondition(deployment.status?.conditions, 'Progressing');
  if (condition === undefined || !hasProgressDeadline(deployment) || deployment.spec.paused) return undefined;
  if (condition.reason === 'ProgressDeadlineExceeded' || condition.reason === 'NewReplicaSetAvailable') {
    return undefined;
  }
  const remainingMs = deadlineMs(deployment, condition) - nowMs;
  return Number.isFinite(remainingMs) ? Math.max(0, remainingMs) + 1000 : undefined;
}

function findFailure(all: readonly ReplicaSet[], newSet: ReplicaSet | undefined): Condition | undefined {
  for (const set of newSet === undefined ? all : [newSet, ...all]) {
    const failure = findCondition(set.status?.conditions, 'ReplicaFailure');
    if (failure?.status === 'True') return failure;
  }
  return undefined;
}
