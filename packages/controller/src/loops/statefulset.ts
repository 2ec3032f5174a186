import { jsonEquals } from '@podwire/kube/object';
import { matchesLabelSelector } from '@podwire/kube/selectors';
import { ApiError } from '@podwire/kube/status';
import { claim, controllerOf, withMeta } from './controller-ref.ts';
import {
  ensureRevision,
  REVISION_HASH,
  revisionsOf,
  templateOf,
  trimRevisions,
} from './controller-revisions.ts';
import { scaledValue } from './int-or-percent.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, recorderFor, startQueue, writeStatus } from './loop.ts';
import type { AnyObject, ControllerRevision, Draft, Pod, StatefulSet } from './objects.ts';
import { isPodAvailable, isPodFinished, isPodReady, isTerminating } from './pod-state.ts';
import { podFromTemplate } from './pod-template.ts';
import { nextAvailableMs } from './replicaset.ts';

const SETS = 'statefulsets.apps';
const POD_NAME_LABEL = 'statefulset.kubernetes.io/pod-name';
const POD_INDEX_LABEL = 'apps.kubernetes.io/pod-index';

/** The revisions pods may have: those not to be updated yet get the current one, all others the update one. */
interface Revisions {
  current: ControllerRevision;
  update: ControllerRevision;
}

/**
 * Keeps pods with stable names, one after the other in the order of their ordinals, or all at once where the set asks for Parallel.
 * Source: pkg/controller/statefulset/stateful_set_control.go.
 */
export function startStatefulSetController(context: LoopContext): Loop {
  const { api, clock } = context;
  const events = recorderFor(context, 'statefulset-controller');
  const queue = startQueue(context, 'statefulset-controller', reconcile);

  const stopSets = api.watch<StatefulSet>(SETS, ({ object }) => queue.add(keyOf(object.metadata)));
  const stopPods = api.watch<Pod>('pods', ({ object, previous }) => {
    const namespace = object.metadata.namespace!;
    const owner = controllerOf(object);
    for (const each of [owner, previous && controllerOf(previous)]) {
      if (each?.kind === 'StatefulSet') queue.add(`${namespace}/${each.name}`);
    }
    if (owner !== undefined) return;
    for (const set of api.list<StatefulSet>(SETS, { namespace })) {
      if (belongs(object, set)) queue.add(keyOf(set.metadata));
    }
  });

  async function reconcile(key: string): Promise<number | undefined> {
    const { namespace, name } = splitKey(key);
    const set = api.get<StatefulSet>(SETS, namespace, name);
    if (set === undefined) return undefined;
    const { uid } = set.metadata;
    const candidates = api
      .list<Pod>('pods', { namespace })
      .filter((pod) => (controllerOf(pod)?.uid ?? uid) === uid && ordinalOf(pod, set) >= 0);
    const pods = await claim({
      api,
      resource: 'pods',
      owner: set,
      candidates,
      selects: (labels) => matchesLabelSelector(set.spec.selector, labels),
    });
    const known = revisionsOf(api, set);
    const { revision: update, collisionCount } = await ensureRevision(
      api,
      set,
      known,
      set.status?.collisionCount ?? 0,
    );
    const revisions: Revisions = {
      current: known.find((each) => each.metadata.name === set.status?.currentRevision) ?? update,
      update,
    };
    if (set.metadata.deletionTimestamp === undefined) await advance(set, pods, revisions);

    const newest = api.get<StatefulSet>(SETS, namespace, name);
    if (newest === undefined) return undefined;
    const left = api.list<Pod>('pods', { namespace }).filter((pod) => controllerOf(pod)?.uid === uid);
    const status = statusOf(set, newest, left, revisions, collisionCount, clock.nowMs());
    await writeStatus(api, SETS, newest, status);
    const inUse = new Set([
      status!.currentRevision!,
      status!.updateRevision!,
      ...left.map((pod) => revisionName(pod)),
    ]);
    await trimRevisions(api, known, inUse, set.spec.revisionHistoryLimit ?? 10);
    return nextAvailableMs(left, set.spec.minReadySeconds ?? 0, clock.nowMs());
  }

  /** Takes the next step, or all that may be taken at once; returns where something has to happen first. */
  async function advance(set: StatefulSet, pods: readonly Pod[], revisions: Revisions): Promise<void> {
    const start = set.spec.ordinals?.start ?? 0;
    const end = start + set.spec.replicas;
    const parallel = set.spec.podManagementPolicy === 'Parallel';
    const byOrdinal = new Map(pods.map((pod) => [ordinalOf(pod, set), pod]));

    const steps: Promise<void>[] = [];
    for (let ordinal = start; ordinal < end; ordinal++) {
      const pod = byOrdinal.get(ordinal);
      if (pod === undefined) {
        steps.push(create(set, ordinal, revisions));
      } else if (isPodFinished(pod) && !isTerminating(pod)) {
        const failed = pod.status?.phase === 'Failed';
        const [reason, message] = failed
          ? [
              'RecreatingFailedPod',
              `StatefulSet ${keyOf(set.metadata)} is recreating failed Pod ${pod.metadata.name}`,
            ]
          : [
              'RecreatingTerminatedPod',
              `StatefulSet ${keyOf(set.metadata)} is recreating terminated Pod ${pod.metadata.name}`,
            ];
        events.record(set, failed ? 'Warning' : 'Normal', reason, message);
        steps.push(remove(set, pod));
      } else {
        if (!isTerminating(pod)) steps.push(keepIdentity(set, pod, ordinal));
        if (isTerminating(pod) || !isHealthy(set, pod)) {
          if (parallel) continue;
          await Promise.all(steps);
          return;
        }
        continue;
      }
      if (!parallel) {
        await Promise.all(steps);
        return;
      }
    }
    await Promise.all(steps);

    const condemned = [...byOrdinal]
      .filter(([ordinal]) => ordinal < start || ordinal >= end)
      .sort(([a], [b]) => b - a);
    if (await shrink(set, condemned, pods, parallel)) return;
    await roll(set, byOrdinal, revisions);
  }

  /** Removes pods beyond the wanted number, the highest ordinal first; true while that goes on. */
  async function shrink(
    set: StatefulSet,
    condemned: readonly (readonly [number, Pod])[],
    pods: readonly Pod[],
    parallel: boolean,
  ): Promise<boolean> {
    const firstUnhealthy = [...pods]
      .sort((a, b) => ordinalOf(a, set) - ordinalOf(b, set))
      .find((pod) => !isHealthy(set, pod) || isTerminating(pod));
    const removals: Promise<void>[] = [];
    for (const [, pod] of condemned) {
      if (isTerminating(pod)) {
        if (parallel) continue;
        return true;
      }
      // Another pod has to recover first, unless it is this one that is broken.
      if (!parallel && !isHealthy(set, pod) && pod !== firstUnhealthy) return true;
      removals.push(remove(set, pod));
      if (!parallel) break;
    }
    await Promise.all(removals);
    return condemned.length > 0;
  }

  /** Replaces pods of an older revision, the highest ordinal first, down to the partition. */
  async function roll(
    set: StatefulSet,
    byOrdinal: ReadonlyMap<number, Pod>,
    { update }: Revisions,
  ): Promise<void> {
    const { type, rollingUpdate } = set.spec.updateStrategy ?? {};
    if (type === 'OnDelete') return;
    const start = set.spec.ordinals?.start ?? 0;
    const lowest = Math.max(start, start + (rollingUpdate?.partition ?? 0));
    const mostUnavailable = Math.max(
      1,
      scaledValue(rollingUpdate?.maxUnavailable ?? 1, set.spec.replicas, 'up'),
    );
    let unavailable = 0;
    for (let ordinal = start + set.spec.replicas - 1; ordinal >= lowest; ordinal--) {
      const pod = byOrdinal.get(ordinal);
      if (pod === undefined) return;
      const outdated = revisionName(pod) !== update.metadata.name && !isTerminating(pod);
      if (outdated) await remove(set, pod);
      if (outdated || isTerminating(pod) || !isHealthy(set, pod)) unavailable++;
      if (unavailable >= mostUnavailable) return;
    }
  }

  async function create(set: StatefulSet, ordinal: number, revisions: Revisions): Promise<void> {
    const draft = newPod(set, ordinal, revisions);
    const name = draft.metadata.name!;
    try {
      await createClaims(set, ordinal);
      await api.create('pods', draft);
      events.record(
        set,
        'Normal',
        'SuccessfulCreate',
        `create Pod ${name} in StatefulSet ${set.metadata.name} successful`,
      );
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'AlreadyExists') {
        // A pod of this name is still on its way out, or is someone else's: either way its going is awaited.
        const other = api.get<Pod>('pods', set.metadata.namespace!, name);
        if (other !== undefined && (isTerminating(other) || controllerOf(other) === undefined)) return;
      }
      const message = `create Pod ${name} in StatefulSet ${set.metadata.name} failed error: ${(error as Error).message}`;
      events.record(set, 'Warning', 'FailedCreate', message);
      throw error;
    }
  }

  async function createClaims(set: StatefulSet, ordinal: number): Promise<void> {
    const namespace = set.metadata.namespace!;
    for (const template of set.spec.volumeClaimTemplates ?? []) {
      const name = claimName(set, template.metadata.name, ordinal);
      if (api.get('persistentvolumeclaims', namespace, name) !== undefined) continue;
      const labels = { ...set.spec.selector.matchLabels };
      const { status: _, ...rest } = template;
      const draft = {
        ...rest,
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { ...template.metadata, name, namespace, labels },
      };
      await api.create('persistentvolumeclaims', draft);
      const message = `create Claim ${name} Pod ${podName(set, ordinal)} in StatefulSet ${set.metadata.name} success`;
      events.record(set, 'Normal', 'SuccessfulCreate', message);
    }
  }

  async function remove(set: StatefulSet, pod: Pod): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    await api.delete('pods', namespace!, name, { preconditions: { uid } });
    events.record(
      set,
      'Normal',
      'SuccessfulDelete',
      `delete Pod ${name} in StatefulSet ${set.metadata.name} successful`,
    );
  }

  async function keepIdentity(set: StatefulSet, pod: Pod, ordinal: number): Promise<void> {
    const labels = { ...pod.metadata.labels, ...identityLabels(set, ordinal) };
    if (!jsonEquals(labels, pod.metadata.labels))
      await api.update('pods', withMeta(pod as AnyObject, { labels }));
  }

  function isHealthy(set: StatefulSet, pod: Pod): boolean {
    return isPodAvailable(pod, set.spec.minReadySeconds ?? 0, clock.nowMs());
  }

  return loopOf(queue, stopSets, stopPods);
}

function podName(set: StatefulSet, ordinal: number): string {
  return `${set.metadata.name}-${ordinal}`;
}

function claimName(set: StatefulSet, template: string, ordinal: number): string {
  return `${template}-${podName(set, ordinal)}`;
}

/** -1 when the pod's name is not of the set's form. */
function ordinalOf(pod: Pod, set: StatefulSet): number {
  const prefix = `${set.metadata.name}-`;
  const { name } = pod.metadata;
  const digits = name.startsWith(prefix) ? name.slice(prefix.length) : '';
  return /^\d+$/.test(digits) ? Number(digits) : -1;
}

function belongs(pod: Pod, set: StatefulSet): boolean {
  return ordinalOf(pod, set) >= 0 && matchesLabelSelector(set.spec.selector, pod.metadata.labels);
}

function identityLabels(set: StatefulSet, ordinal: number): Record<string, string> {
  return { [POD_NAME_LABEL]: podName(set, ordinal), [POD_INDEX_LABEL]: String(ordinal) };
}

/** Pods label themselves with their revision's name. */
function revisionName(pod: Pod): string {
  return pod.metadata.labels?.[REVISION_HASH] ?? '';
}

function newPod(set: StatefulSet, ordinal: number, revisions: Revisions): Draft<Pod> {
  const { update, current } = revisions;
  const start = set.spec.ordinals?.start ?? 0;
  const { type, rollingUpdate } = set.spec.updateStrategy ?? {};
  const belowPartition = type !== 'OnDelete' && ordinal < start + (rollingUpdate?.partition ?? 0);
  const revision = belowPartition ? current : update;
  const draft = podFromTemplate(templateOf(revision), set);
  delete draft.metadata.generateName;
  draft.metadata.name = podName(set, ordinal);
  draft.metadata.labels = {
    ...draft.metadata.labels,
    ...identityLabels(set, ordinal),
    [REVISION_HASH]: revision.metadata.name,
  };
  draft.spec.hostname = podName(set, ordinal);
  if (set.spec.serviceName) draft.spec.subdomain = set.spec.serviceName;
  const claims = (set.spec.volumeClaimTemplates ?? []).map(({ metadata: { name } }) => ({
    name,
    persistentVolumeClaim: { claimName: claimName(set, name, ordinal) },
  }));
  if (claims.length > 0) {
    const names = new Set(claims.map(({ name }) => name));
    const others = (draft.spec.volumes ?? []).filter(({ name }) => !names.has(name));
    draft.spec.volumes = [...claims, ...others];
  }
  return draft;
}

function statusOf(
  acted: StatefulSet,
  newest: StatefulSet,
  pods: readonly Pod[],
  { current, update }: Revisions,
  collisionCount: number,
  nowMs: number,
): StatefulSet['status'] {
  const minReadySeconds = acted.spec.minReadySeconds ?? 0;
  const alive = pods.filter((pod) => !isTerminating(pod));
  const ofRevision = (revision: ControllerRevision) =>
    alive.filter((pod) => revisionName(pod) === revision.metadata.name).length;
  const status = {
    observedGeneration: acted.metadata.generation,
    replicas: pods.length,
    readyReplicas: pods.filter((pod) => isPodReady(pod)).length,
    availableReplicas: pods.filter((pod) => isPodAvailable(pod, minReadySeconds, nowMs)).length,
    currentReplicas: ofRevision(current),
    updatedReplicas: ofRevision(update),
    currentRevision: current.metadata.name,
    updateRevision: update.metadata.name,
    collisionCount,
    ...(newest.status?.conditions ? { conditions: newest.status.conditions } : {}),
  };
  // The update is done when every pod has it: from then on it is the current revision.
  const { type, rollingUpdate } = acted.spec.updateStrategy ?? {};
  if (
    type !== 'OnDelete' &&
    (rollingUpdate?.partition ?? 0) === 0 &&
    status.updatedReplicas === status.replicas &&
    status.readyReplicas === status.replicas
  ) {
    status.currentRevision = status.updateRevision;
    status.currentReplicas = status.updatedReplicas;
  }
  const optional = status as Partial<typeof status>;
  for (const count of ['readyReplicas', 'currentReplicas', 'updatedReplicas'] as const) {
    if (optional[count] === 0) delete optional[count];
  }
  return optional;
}
