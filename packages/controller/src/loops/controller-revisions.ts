import { jsonEquals } from '@podwire/kube/object';
import { ApiError } from '@podwire/kube/status';
import type { Api } from '../api.ts';
import { controllerRef, isControlledBy } from './controller-ref.ts';
import type { AnyObject, ControllerRevision, Draft, PodTemplate } from './objects.ts';
import { canonicalJson, hashTemplate } from './pod-template.ts';

/** The revisions of a StatefulSet's or DaemonSet's pod template (pkg/controller/history). */

export const REVISIONS = 'controllerrevisions.apps';
export const REVISION_HASH = 'controller-revision-hash';

interface Workload extends AnyObject {
  spec: { template: PodTemplate; selector: { matchLabels?: Record<string, string> } };
}

export function revisionsOf(api: Api, owner: AnyObject): ControllerRevision[] {
  return api
    .list<ControllerRevision>(REVISIONS, { namespace: owner.metadata.namespace! })
    .filter((revision) => isControlledBy(revision, owner))
    .sort((a, b) => a.revision - b.revision);
}

/** What a revision holds: a patch that puts the template back, as `kubectl rollout undo` sends it. */
function dataOf(owner: Workload): unknown {
  return { spec: { template: { ...owner.spec.template, $patch: 'replace' } } };
}

/** The pod template kept in a revision. */
export function templateOf(revision: ControllerRevision): PodTemplate {
  const { $patch: _, ...template } = (
    revision.data as { spec: { template: PodTemplate & { $patch?: string } } }
  ).spec.template;
  return template as PodTemplate;
}

/**
 * The revision of the owner's present template, made if there is none, and moved to the end if it is an older one that has come
 * back. `collisionCount` goes up when another object has the name.
 */
export async function ensureRevision(
  api: Api,
  owner: Workload,
  existing: readonly ControllerRevision[],
  collisionCount: number,
): Promise<{ revision: ControllerRevision; collisionCount: number }> {
  const data = dataOf(owner);
  const last = existing.at(-1);
  const same = existing.findLast((revision) => canonicalJson(revision.data) === canonicalJson(data));
  if (same !== undefined) {
    if (same === last) return { revision: same, collisionCount };
    const moved = await api.update(REVISIONS, { ...same, revision: last!.revision + 1 });
    return { revision: moved, collisionCount };
  }
  for (let collisions = collisionCount; ; collisions++) {
    const hash = hashTemplate(data, collisions);
    const draft: Draft<ControllerRevision> = {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: {
        name: `${owner.metadata.name}-${hash}`,
        namespace: owner.metadata.namespace,
        labels: {
          ...owner.spec.template.metadata?.labels,
          'controller.kubernetes.io/hash': hash,
          [REVISION_HASH]: hash,
        },
        annotations: { ...owner.metadata.annotations },
        ownerReferences: [controllerRef(owner)],
      },
      data,
      revision: (last?.revision ?? 0) + 1,
    };
    delete draft.metadata.annotations!['kubectl.kubernetes.io/last-applied-configuration'];
    try {
      return {
        revision: (await api.create(REVISIONS, draft)) as ControllerRevision,
        collisionCount: collisions,
      };
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
      const other = api.get<ControllerRevision>(REVISIONS, owner.metadata.namespace!, draft.metadata.name!);
      if (other !== undefined && isControlledBy(other, owner) && jsonEquals(other.data, data)) {
        return { revision: other, collisionCount: collisions };
      }
    }
  }
}

/** Deletes the oldest revisions beyond the limit that no pod has any more. */
export async function trimRevisions(
  api: Api,
  revisions: readonly ControllerRevision[],
  inUse: ReadonlySet<string>,
  limit: number,
): Promise<void> {
  const unused = revisions.filter((revision) => !inUse.has(revision.metadata.name));
  for (const { metadata } of unused.slice(0, Math.max(0, unused.length - limit))) {
    try {
      const preconditions = { uid: metadata.uid };
      await api.delete(REVISIONS, metadata.namespace!, metadata.name, { preconditions });
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  }
}
