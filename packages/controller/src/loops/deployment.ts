import { matchesLabelSelector } from '@podwire/kube/selectors';
import { ApiError, alreadyExists } from '@podwire/kube/status';
import { findCondition } from './conditions.ts';
import { claim, controllerOf, controllerRef, isControlledBy, withMeta } from './controller-ref.ts';
import {
  findNewSet,
  highestRevision,
  newSetAnnotations,
  REVISION,
  revisionOf,
  sizeAnnotations,
} from './deployment/revisions.ts';
import {
  isRollingUpdate,
  isScalingEvent,
  newSetReplicas,
  type Resize,
  scaleInProportion,
  shrinkOldSets,
} from './deployment/rolling.ts';
import {
  countReplicas,
  deadlineInMs,
  hasProgressDeadline,
  isComplete,
  rolloutStatus,
  setDeploymentCondition,
} from './deployment/status.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, recorderFor, startQueue, writeStatus } from './loop.ts';
import type { Deployment, Draft, Pod, ReplicaSet } from './objects.ts';
import { isPodFinished } from './pod-state.ts';
import { hashTemplate, POD_TEMPLATE_HASH, sameTemplate } from './pod-template.ts';

const DEPLOYMENTS = 'deployments.apps';
const SETS = 'replicasets.apps';

/** The ReplicaSets of one Deployment: the one of its present template, if made yet, and all others. */
interface Revisions {
  newSet: ReplicaSet | undefined;
  old: ReplicaSet[];
  /** Number of the newest set, to be noted on the Deployment. */
  revision?: number;
  /** What happened to the newest set in this look, for the Progressing condition. */
  progress?: { status: string; reason: string; message: string };
}

/**
 * Rolls Deployments out: one ReplicaSet for each template, grown and shrunk step by step, each step started by the change of status
 * that the one before led to. Source: pkg/controller/deployment.
 */
export function startDeploymentController(context: LoopContext): Loop {
  const { api, clock } = context;
  const events = recorderFor(context, 'deployment-controller');
  const queue = startQueue(context, 'deployment-controller', reconcile);

  const stopDeployments = api.watch<Deployment>(DEPLOYMENTS, ({ object }) =>
    queue.add(keyOf(object.metadata)),
  );
  const stopSets = api.watch<ReplicaSet>(SETS, ({ object, previous }) => {
    const namespace = object.metadata.namespace!;
    for (const owner of [controllerOf(object), previous && controllerOf(previous)]) {
      if (owner?.kind === 'Deployment') queue.add(`${namespace}/${owner.name}`);
    }
    if (controllerOf(object) !== undefined) return;
    for (const deployment of api.list<Deployment>(DEPLOYMENTS, { namespace })) {
      if (matchesLabelSelector(deployment.spec.selector, object.metadata.labels)) {
        queue.add(keyOf(deployment.metadata));
      }
    }
  });
  // A Recreate rollout goes on when the last old pod is gone, which no count of its ReplicaSet tells.
  const stopPods = api.watch<Pod>('pods', ({ type, object }) => {
    if (type === 'ADDED' || (type === 'MODIFIED' && !isPodFinished(object))) return;
    const setName = controllerOf(object)?.name;
    const namespace = object.metadata.namespace!;
    const set = setName === undefined ? undefined : api.get<ReplicaSet>(SETS, namespace, setName);
    const owner = set && controllerOf(set);
    if (owner?.kind !== 'Deployment') return;
    const deployment = api.get<Deployment>(DEPLOYMENTS, namespace, owner.name);
    if (deployment?.spec.strategy.type === 'Recreate') queue.add(keyOf(deployment.metadata));
  });

  async function reconcile(key: string): Promise<number | undefined> {
    const { namespace, name } = splitKey(key);
    let deployment = api.get<Deployment>(DEPLOYMENTS, namespace, name);
    if (deployment === undefined) return undefined;
    const uid = deployment.metadata.uid;
    const selector = deployment.spec.selector;
    const candidates = api
      .list<ReplicaSet>(SETS, { namespace })
      .filter((set) => (controllerOf(set)?.uid ?? uid) === uid);
    const sets = await claim({
      api,
      resource: SETS,
      owner: deployment,
      candidates,
      selects: (labels) => matchesLabelSelector(selector, labels),
    });

    const newSet = findNewSet(deployment, sets);
    const revisions: Revisions = { newSet, old: sets.filter((set) => set !== newSet) };
    if (deployment.metadata.deletionTimestamp !== undefined) {
      await writeCounts(deployment, revisions);
      return undefined;
    }
    deployment = await notePause(deployment);
    if (deployment.spec.paused || isScalingEvent(deployment, sets)) {
      await settleSize(deployment, revisions);
    } else if (isRollingUpdate(deployment)) {
      await rollOn(deployment, revisions);
    } else {
      await recreate(deployment, revisions);
    }
    const written = api.get<Deployment>(DEPLOYMENTS, namespace, name);
    return written && deadlineInMs(written, clock.nowMs());
  }

  async function rollOn(deployment: Deployment, revisions: Revisions): Promise<void> {
    const newSet = await ensureNewSet(deployment, revisions);
    if (newSet === undefined) return;
    const wanted = deployment.spec.replicas;
    const all = [...revisions.old, newSet];
    const replicas =
      newSet.spec.replicas >= wanted ? wanted : newSetReplicas(deployment, all, newSet.spec.replicas);
    if (replicas !== newSet.spec.replicas) {
      revisions.newSet = await resize(deployment, { set: newSet, replicas });
    } else {
      const resizes = shrinkOldSets(deployment, newSet, revisions.old);
      await resizeAll(deployment, revisions, resizes);
      if (resizes.length === 0) await cleanUpIfComplete(deployment, revisions);
    }
    await writeRollout(deployment, revisions);
  }

  async function recreate(deployment: Deployment, revisions: Revisions): Promise<void> {
    const resizes = revisions.old.filter((set) => set.spec.replicas > 0).map((set) => ({ set, replicas: 0 }));
    await resizeAll(deployment, revisions, resizes);
    if (resizes.length === 0 && !oldPodsRun(deployment, revisions)) {
      const newSet = await ensureNewSet(deployment, revisions);
      if (newSet === undefined) return;
      if (newSet.spec.replicas !== deployment.spec.replicas) {
        revisions.newSet = await resize(deployment, { set: newSet, replicas: deployment.spec.replicas });
      }
      await cleanUpIfComplete(deployment, revisions);
    }
    await writeRollout(deployment, revisions);
  }

  function oldPodsRun(deployment: Deployment, revisions: Revisions): boolean {
    return api
      .list<Pod>('pods', { namespace: deployment.metadata.namespace! })
      .some((pod) => !isPodFinished(pod) && revisions.old.some((set) => isControlledBy(pod, set)));
  }

  /** Only sizes: for a paused Deployment, and when its own size was changed. */
  async function settleSize(deployment: Deployment, revisions: Revisions): Promise<void> {
    if (revisions.newSet !== undefined) await ensureNewSet(deployment, revisions);
    const all = allSets(revisions);
    const resizes = scaleInProportion(deployment, revisions.newSet, revisions.old);
    const resized = new Set(resizes.map(({ set }) => set));
    // Sets that keep their size still have to note the Deployment's, or the change would be seen as new for ever.
    const kept = all
      .filter((set) => !resized.has(set) && set.spec.replicas > 0)
      .map((set) => ({ set, replicas: set.spec.replicas }));
    await resizeAll(deployment, revisions, [...resizes, ...kept]);
    if (deployment.spec.paused) await cleanUp(deployment, revisions);
    await writeCounts(deployment, revisions);
  }

  /** The ReplicaSet of the present template, made or brought up to date; undefined after a hash collision. */
  async function ensureNewSet(deployment: Deployment, revisions: Revisions): Promise<ReplicaSet | undefined> {
    const revision = highestRevision(revisions.old) + 1;
    const existing = revisions.newSet;
    if (existing !== undefined) {
      const annotations = newSetAnnotations(deployment, existing, revision, true);
      const minReadySeconds = deployment.spec.minReadySeconds ?? 0;
      let set = existing;
      if (
        !sameMap(annotations, existing.metadata.annotations ?? {}) ||
        (existing.spec.minReadySeconds ?? 0) !== minReadySeconds
      ) {
        set = await api.update<ReplicaSet>(SETS, {
          ...existing,
          metadata: { ...existing.metadata, annotations },
          spec: { ...existing.spec, minReadySeconds },
        });
      }
      revisions.revision = revisionOf(set);
      if (findCondition(deployment.status?.conditions, 'Progressing') === undefined) {
        const message = `Found new replica set "${set.metadata.name}"`;
        revisions.progress = { status: 'True', reason: 'FoundNewReplicaSet', message };
      }
      revisions.newSet = set;
      return set;
    }
    const set = await createNewSet(deployment, revisions.old, revision);
    if (set !== undefined) {
      revisions.newSet = set;
      revisions.revision = revision;
      const message = `Created new replica set "${set.metadata.name}"`;
      revisions.progress = { status: 'True', reason: 'NewReplicaSetCreated', message };
    }
    return set;
  }

  async function createNewSet(
    deployment: Deployment,
    old: readonly ReplicaSet[],
    revision: number,
  ): Promise<ReplicaSet | undefined> {
    const { namespace, name } = deployment.metadata;
    const { template, selector, minReadySeconds } = deployment.spec;
    const hash = hashTemplate(template, deployment.status?.collisionCount);
    const hashLabel = { [POD_TEMPLATE_HASH]: hash };
    const labels = { ...template.metadata?.labels, ...hashLabel };
    const draft: Draft<ReplicaSet> = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${name}-${hash}`,
        namespace,
        labels,
        annotations: newSetAnnotations(deployment, { metadata: {} }, revision, false),
        ownerReferences: [controllerRef(deployment)],
      },
      spec: {
        replicas: newSetReplicas(deployment, old, 0),
        ...(minReadySeconds ? { minReadySeconds } : {}),
        selector: { ...selector, matchLabels: { ...selector.matchLabels, ...hashLabel } },
        template: { ...template, metadata: { ...template.metadata, labels } },
      },
    };
    let set: ReplicaSet;
    try {
      set = (await api.create(SETS, draft)) as ReplicaSet;
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'AlreadyExists') {
        const other = api.get<ReplicaSet>(SETS, namespace!, draft.metadata.name!);
        if (
          other !== undefined &&
          isControlledBy(other, deployment) &&
          sameTemplate(other.spec.template, template)
        ) {
          return other;
        }
        const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
        await writeStatus(api, DEPLOYMENTS, deployment, { ...deployment.status, collisionCount });
        throw alreadyExists(SETS, draft.metadata.name!);
      }
      const message = `Failed to create new replica set "${draft.metadata.name}": ${(error as Error).message}`;
      await noteProgress(deployment, 'False', 'ReplicaSetCreateError', message);
      events.record(deployment, 'Warning', 'ReplicaSetCreateError', message);
      throw error;
    }
    if (set.spec.replicas > 0) {
      const message = `Scaled up replica set ${set.metadata.name} from 0 to ${set.spec.replicas}`;
      events.record(deployment, 'Normal', 'ScalingReplicaSet', message);
    }
    return set;
  }

  async function resizeAll(deployment: Deployment, revisions: Revisions, resizes: Resize[]): Promise<void> {
    for (const wanted of resizes) {
      const set = await resize(deployment, wanted);
      if (wanted.set === revisions.newSet) revisions.newSet = set;
      else revisions.old = revisions.old.map((each) => (each === wanted.set ? set : each));
    }
  }

  async function resize(deployment: Deployment, { set, replicas }: Resize): Promise<ReplicaSet> {
    const annotations = { ...set.metadata.annotations, ...sizeAnnotations(deployment) };
    const before = set.spec.replicas;
    if (before === replicas && sameMap(annotations, set.metadata.annotations ?? {})) return set;
    const written = await api.update<ReplicaSet>(SETS, {
      ...set,
      metadata: { ...set.metadata, annotations },
      spec: { ...set.spec, replicas },
    });
    if (before !== replicas) {
      const way = before < replicas ? 'up' : 'down';
      const message = `Scaled ${way} replica set ${set.metadata.name} from ${before} to ${replicas}`;
      events.record(deployment, 'Normal', 'ScalingReplicaSet', message);
    }
    return written;
  }

  async function cleanUpIfComplete(deployment: Deployment, revisions: Revisions): Promise<void> {
    const status = countReplicas(deployment, allSets(revisions), revisions.newSet, clock.nowMs());
    if (isComplete(deployment, status)) await cleanUp(deployment, revisions);
  }

  /** Deletes the oldest empty ReplicaSets beyond the history limit. */
  async function cleanUp(deployment: Deployment, revisions: Revisions): Promise<void> {
    const limit = deployment.spec.revisionHistoryLimit ?? 10;
    const alive = revisions.old.filter((set) => set.metadata.deletionTimestamp === undefined);
    const surplus = alive.length - limit;
    if (surplus <= 0) return;
    const oldest = alive.sort((a, b) => revisionOf(a) - revisionOf(b)).slice(0, surplus);
    for (const set of oldest) {
      const { namespace, name, uid, generation = 0 } = set.metadata;
      const unsettled = generation > (set.status?.observedGeneration ?? 0);
      if (set.spec.replicas > 0 || (set.status?.replicas ?? 0) > 0 || unsettled) continue;
      await api.delete(SETS, namespace!, name, { preconditions: { uid }, propagationPolicy: 'Background' });
      revisions.old = revisions.old.filter((each) => each !== set);
    }
  }

  async function noteProgress(
    deployment: Deployment,
    status: string,
    reason: string,
    message: string,
  ): Promise<void> {
    if (!hasProgressDeadline(deployment)) return;
    const newest = latest(deployment);
    const conditions = setDeploymentCondition(
      newest.status?.conditions,
      'Progressing',
      status,
      reason,
      message,
      clock.nowMs(),
    );
    await writeStatus(api, DEPLOYMENTS, newest, { ...newest.status, conditions });
  }

  /** Marks the rollout as paused or resumed, so that time spent paused does not count towards the deadline. */
  async function notePause(deployment: Deployment): Promise<Deployment> {
    if (!hasProgressDeadline(deployment)) return deployment;
    const reason = findCondition(deployment.status?.conditions, 'Progressing')?.reason;
    if (reason === 'ProgressDeadlineExceeded') return deployment;
    if (deployment.spec.paused && reason !== 'DeploymentPaused') {
      await noteProgress(deployment, 'Unknown', 'DeploymentPaused', 'Deployment is paused');
    } else if (!deployment.spec.paused && reason === 'DeploymentPaused') {
      await noteProgress(deployment, 'Unknown', 'DeploymentResumed', 'Deployment is resumed');
    }
    return latest(deployment);
  }

  async function writeRollout(deployment: Deployment, revisions: Revisions): Promise<void> {
    const acted = { ...observed(deployment), status: withProgress(deployment, revisions) };
    await write(acted, revisions, rolloutStatus(acted, allSets(revisions), revisions.newSet, clock.nowMs()));
  }

  async function writeCounts(deployment: Deployment, revisions: Revisions): Promise<void> {
    const acted = { ...observed(deployment), status: withProgress(deployment, revisions) };
    await write(acted, revisions, countReplicas(acted, allSets(revisions), revisions.newSet, clock.nowMs()));
  }

  /** The revision's number goes with the status: written by itself it would count as a change of the Deployment. */
  async function write(acted: Deployment, revisions: Revisions, status: Deployment['status']): Promise<void> {
    const newest = latest(acted);
    const noted = newest.metadata.annotations?.[REVISION];
    const revision = revisions.revision === undefined ? noted : String(revisions.revision);
    if (revision === noted) {
      await writeStatus(api, DEPLOYMENTS, newest, status);
      return;
    }
    const annotations = { ...newest.metadata.annotations, [REVISION]: revision! };
    await api.update(
      DEPLOYMENTS,
      { ...withMeta(newest, { annotations }), status },
      { subresource: 'status' },
    );
  }

  function withProgress(deployment: Deployment, { progress }: Revisions): Deployment['status'] {
    const status = latest(deployment).status;
    if (progress === undefined || !hasProgressDeadline(deployment)) return status;
    const conditions = setDeploymentCondition(
      status?.conditions,
      'Progressing',
      progress.status,
      progress.reason,
      progress.message,
      clock.nowMs(),
    );
    return { ...status, conditions };
  }

  function latest(deployment: Deployment): Deployment {
    const { namespace, name } = deployment.metadata;
    return api.get<Deployment>(DEPLOYMENTS, namespace!, name) ?? deployment;
  }

  /** The newest object under the spec that was acted upon: a generation not yet looked at is not claimed as observed. */
  function observed(acted: Deployment): Deployment {
    const newest = latest(acted);
    return {
      ...newest,
      spec: acted.spec,
      metadata: { ...newest.metadata, generation: acted.metadata.generation },
    };
  }

  return loopOf(queue, stopDeployments, stopSets, stopPods);
}

function allSets({ newSet, old }: Revisions): ReplicaSet[] {
  return newSet === undefined ? old : [...old, newSet];
}

function sameMap(a: Record<string, string>, b: Record<string, string>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
