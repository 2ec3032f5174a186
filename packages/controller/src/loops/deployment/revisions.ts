import type { Deployment, Meta, ReplicaSet } from '../objects.ts';
import { sameTemplate } from '../pod-template.ts';
import { maxSurgeOf } from './rolling.ts';

/** Which ReplicaSet is a Deployment's newest, and the annotations that number revisions (deployment_util.go). */

export const REVISION = 'deployment.kubernetes.io/revision';
const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';

const NOT_COPIED: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  'deprecated.deployment.rollback.to',
]);

export function byAge(a: { metadata: Meta }, b: { metadata: Meta }): number {
  const [x, y] = [a.metadata, b.metadata];
  if (x.creationTimestamp !== y.creationTimestamp) return x.creationTimestamp < y.creationTimestamp ? -1 : 1;
  return x.name < y.name ? -1 : 1;
}

/** The set made from the Deployment's present template: the oldest, should there be several. */
export function findNewSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return [...sets].sort(byAge).find((set) => sameTemplate(set.spec.template, deployment.spec.template));
}

export function revisionOf(object: { metadata: Meta }): number {
  const revision = Number(object.metadata.annotations?.[REVISION] ?? 0);
  return Number.isInteger(revision) ? revision : 0;
}

export function highestRevision(sets: readonly ReplicaSet[]): number {
  return Math.max(0, ...sets.map(revisionOf));
}

/** The annotations the newest set is to have. An existing set that becomes the newest again remembers its old numbers. */
export function newSetAnnotations(
  deployment: Deployment,
  set: { metadata: Partial<Meta> },
  revision: number,
  exists: boolean,
): Record<string, string> {
  const annotations = { ...set.metadata.annotations };
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (!NOT_COPIED.has(key)) annotations[key] = value;
  }
  const old = annotations[REVISION];
  if (Number(old ?? 0) < revision) {
    annotations[REVISION] = String(revision);
    if (exists && old !== undefined) {
      const history = annotations[REVISION_HISTORY];
      const numbers = history ? history.split(',') : [];
      if (!numbers.includes(old)) annotations[REVISION_HISTORY] = [...numbers, old].join(',');
    }
  }
  return exists ? annotations : { ...annotations, ...sizeAnnotations(deployment) };
}

/** What a set notes of its Deployment's size, from which a later change of size is told and shared out in proportion. */
export function sizeAnnotations(deployment: Deployment): Record<string, string> {
  const replicas = deployment.spec.replicas;
  return {
    [DESIRED_REPLICAS]: String(replicas),
    [MAX_REPLICAS]: String(replicas + maxSurgeOf(deployment)),
  };
}
