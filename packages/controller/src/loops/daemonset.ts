import { matchesLabelSelector } from '@podwire/kube/selectors';
import { claim, controllerOf } from './controller-ref.ts';
import { ensureRevision, REVISION_HASH, revisionsOf, trimRevisions } from './controller-revisions.ts';
import { scaledValue } from './int-or-percent.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, recorderFor, startQueue, writeStatus } from './loop.ts';
import { matchesNodeAffinity } from './node-affinity.ts';
import type { DaemonSet, Node, Pod, PodSpec, Toleration } from './objects.ts';
import { isPodAvailable, isPodFinished, isPodReady, isTerminating } from './pod-state.ts';
import { podFromTemplate } from './pod-template.ts';
import { nextAvailableMs } from './replicaset.ts';
import { findUntolerated } from './tolerations.ts';

const SETS = 'daemonsets.apps';
const HASH_LABEL = REVISION_HASH;

/** What daemons put up with on their nodes (pkg/controller/daemon/util). */
const TOLERATIONS: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
];
const HOST_NETWORK_TOLERATION: Toleration = {
  key: 'node.kubernetes.io/network-unavailable',
  operator: 'Exists',
  effect: 'NoSchedule',
};

interface Placement {
  node: Node;
  /** A new pod may start here. */
  shouldRun: boolean;
  /** A pod that is here may stay. */
  mayStay: boolean;
  pods: Pod[];
}

/** Runs one pod of each DaemonSet on every node that suits it. Source: pkg/controller/daemon. */
export function startDaemonSetController(context: LoopContext): Loop {
  const { api, clock } = context;
  const events = recorderFor(context, 'daemonset-controller');
  const queue = startQueue(context, 'daemonset-controller', reconcile);

  const stopSets = api.watch<DaemonSet>(SETS, ({ object }) => queue.add(keyOf(object.metadata)));
  const stopPods = api.watch<Pod>('pods', ({ object, previous }) => {
    const namespace = object.metadata.namespace!;
    const owner = controllerOf(object);
    for (const each of [owner, previous && controllerOf(previous)]) {
      if (each?.kind === 'DaemonSet') queue.add(`${namespace}/${each.name}`);
    }
    if (owner !== undefined) return;
    for (const set of api.list<DaemonSet>(SETS, { namespace })) {
      if (matchesLabelSelector(set.spec.selector, object.metadata.labels)) queue.add(keyOf(set.metadata));
    }
  });
  const stopNodes = api.watch<Node>('nodes', ({ type, object, previous }) => {
    if (type === 'MODIFIED' && previous !== undefined && placementView(previous) === placementView(object))
      return;
    for (const set of api.list<DaemonSet>(SETS)) queue.add(keyOf(set.metadata));
  });

  async function reconcile(key: string): Promise<number | undefined> {
    const { namespace, name } = splitKey(key);
    const set = api.get<DaemonSet>(SETS, namespace, name);
    if (set === undefined) return undefined;
    const { uid } = set.metadata;
    const known = revisionsOf(api, set);
    const { revision, collisionCount } = await ensureRevision(
      api,
      set,
      known,
      set.status?.collisionCount ?? 0,
    );
    const hash = revision.metadata.labels?.[HASH_LABEL] ?? '';
    const candidates = api
      .list<Pod>('pods', { namespace })
      .filter((pod) => (controllerOf(pod)?.uid ?? uid) === uid);
    const pods = await claim({
      api,
      resource: 'pods',
      owner: set,
      candidates,
      selects: (labels) => matchesLabelSelector(set.spec.selector, labels),
    });
    if (set.metadata.deletionTimestamp === undefined) {
      await manage(set, placementsOf(set, pods), pods, hash);
    }

    const newest = api.get<DaemonSet>(SETS, namespace, name);
    if (newest === undefined) return undefined;
    const left = api.list<Pod>('pods', { namespace }).filter((pod) => controllerOf(pod)?.uid === uid);
    const status = statusOf(set, newest, placementsOf(set, left), hash, collisionCount, clock.nowMs());
    await writeStatus(api, SETS, newest, status);
    const hashes = new Set(left.map((pod) => pod.metadata.labels?.[HASH_LABEL]));
    const inUse = known.filter((each) => hashes.has(each.metadata.labels?.[HASH_LABEL]));
    await trimRevisions(
      api,
      known,
      new Set([revision, ...inUse].map((each) => each.metadata.name)),
      set.spec.revisionHistoryLimit ?? 10,
    );
    return nextAvailableMs(left, set.spec.minReadySeconds ?? 0, clock.nowMs());
  }

  function placementsOf(set: DaemonSet, pods: readonly Pod[]): Placement[] {
    const spec = daemonSpec(set);
    return api.list<Node>('nodes').map((node) => {
      const suits = matchesNodeAffinity(spec, node);
      const tolerated = (effects: string[]) =>
        findUntolerated(node.spec?.taints, spec.tolerations, effects) === undefined;
      return {
        node,
        shouldRun: suits && tolerated(['NoSchedule', 'NoExecute']),
        mayStay: suits && tolerated(['NoExecute']),
        pods: pods.filter((pod) => targetNode(pod) === node.metadata.name),
      };
    });
  }

  async function manage(
    set: DaemonSet,
    placements: readonly Placement[],
    pods: readonly Pod[],
    hash: string,
  ): Promise<void> {
    const create: string[] = [];
    const remove: Pod[] = [];
    for (const { node, shouldRun, mayStay, pods: here } of placements) {
      const alive = here.filter((pod) => !isTerminating(pod));
      const failed = alive.filter((pod) => pod.status?.phase === 'Failed');
      for (const pod of failed) {
        const where = `Found failed daemon pod ${keyOf(pod.metadata)} on node ${node.metadata.name}, will try to kill it`;
        events.record(set, 'Warning', 'FailedDaemonPod', where);
      }
      remove.push(...failed);
      const running = alive.filter((pod) => !isPodFinished(pod));
      if (!mayStay) remove.push(...running);
      else if (running.length > 1) remove.push(...surplusPods(running, hash, set, clock.nowMs()));
      // A pod on its way out still holds its ports; its successor waits for it.
      else if (shouldRun && here.length === 0) create.push(node.metadata.name);
    }
    const names = new Set(placements.map(({ node }) => node.metadata.name));
    remove.push(...pods.filter((pod) => !isTerminating(pod) && !names.has(targetNode(pod) ?? '')));
    if (create.length === 0 && remove.length === 0) {
      const update = outdatedPods(set, placements, hash, clock.nowMs());
      remove.push(...update.remove);
      create.push(...update.create);
    }
    await Promise.all([
      ...create.map((nodeName) => createPod(set, nodeName, hash)),
      ...[...new Set(remove)].map((pod) => removePod(set, pod)),
    ]);
  }

  async function createPod(set: DaemonSet, nodeName: string, hash: string): Promise<void> {
    const draft = podFromTemplate(set.spec.template, set);
    draft.metadata.labels = { ...draft.metadata.labels, [HASH_LABEL]: hash };
    draft.spec = boundTo(daemonSpec(set), nodeName);
    try {
      const pod = (await api.create('pods', draft)) as Pod;
      events.record(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
    } catch (error) {
      events.record(set, 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`);
      throw error;
    }
  }

  async function removePod(set: DaemonSet, pod: Pod): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    await api.delete('pods', namespace!, name, { preconditions: { uid } });
    events.record(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
  }

  return loopOf(queue, stopSets, stopPods, stopNodes);
}

/** The parts of a node that decide which daemons it runs. */
function placementView({ metadata, spec }: Node): string {
  return JSON.stringify([metadata.labels, spec?.taints, spec?.unschedulable]);
}

/** The template's pod spec with the tolerations every daemon has. */
function daemonSpec(set: DaemonSet): PodSpec {
  const spec = structuredClone(set.spec.template.spec);
  const own = spec.hostNetwork ? [...TOLERATIONS, HOST_NETWORK_TOLERATION] : TOLERATIONS;
  const missing = own.filter(
    (each) => !spec.tolerations?.some((other) => other.key === each.key && other.effect === each.effect),
  );
  spec.tolerations = [...(spec.tolerations ?? []), ...missing];
  return spec;
}

/** The scheduler puts a daemon's pod on its node by affinity, as it would refuse it by other filters. */
function boundTo(spec: PodSpec, nodeName: string): PodSpec {
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [nodeName] }];
  const terms =
    spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const nodeSelectorTerms =
    terms === undefined ? [{ matchFields }] : terms.map((term) => ({ ...term, matchFields }));
  return {
    ...spec,
    affinity: {
      ...spec.affinity,
      nodeAffinity: {
        ...spec.affinity?.nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms },
      },
    },
  };
}

/** The node a daemon's pod is on or meant for. */
function targetNode(pod: Pod): string | undefined {
  if (pod.spec.nodeName) return pod.spec.nodeName;
  const terms =
    pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  for (const { matchFields } of terms ?? []) {
    const field = matchFields?.find(({ key, operator }) => key === 'metadata.name' && operator === 'In');
    if (field?.values?.length === 1) return field.values[0];
  }
  return undefined;
}

function isOutdated(pod: Pod, hash: string): boolean {
  return pod.metadata.labels?.[HASH_LABEL] !== hash;
}

function maxSurge(set: DaemonSet, wanted: number): number {
  if (set.spec.updateStrategy?.type === 'OnDelete') return 0;
  return scaledValue(set.spec.updateStrategy?.rollingUpdate?.maxSurge, wanted, 'up');
}

/** Of several pods on a node one stays; with surge, an old one stays beside a new one until that is available. */
function surplusPods(running: readonly Pod[], hash: string, set: DaemonSet, nowMs: number): Pod[] {
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  const sorted = [...running].sort((a, b) =>
    a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1,
  );
  if (maxSurge(set, 1) === 0) return sorted.slice(1);
  const current = sorted.filter((pod) => !isOutdated(pod, hash));
  const old = sorted.filter((pod) => isOutdated(pod, hash));
  const isDone = current.some((pod) => isPodAvailable(pod, minReadySeconds, nowMs));
  return [...current.slice(1), ...(isDone ? old : old.slice(1))];
}

/** The next old pods to be replaced, and with surge the nodes that get a new pod beside the old one. */
function outdatedPods(
  set: DaemonSet,
  placements: readonly Placement[],
  hash: string,
  nowMs: number,
): { remove: Pod[]; create: string[] } {
  const { type, rollingUpdate } = set.spec.updateStrategy ?? {};
  if (type === 'OnDelete') return { remove: [], create: [] };
  const wanted = placements.filter(({ shouldRun }) => shouldRun);
  const surge = maxSurge(set, wanted.length);
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  const isAvailable = (pod: Pod) => !isTerminating(pod) && isPodAvailable(pod, minReadySeconds, nowMs);
  const unavailable = wanted.filter(({ pods }) => !pods.some(isAvailable));
  const candidates = wanted.filter(
    ({ pods }) => pods.length > 0 && pods.every((pod) => !isTerminating(pod) && isOutdated(pod, hash)),
  );
  // What does not work anyway is replaced without counting.
  const broken = candidates.filter(({ pods }) => !pods.some(isAvailable));
  const working = candidates.filter(({ pods }) => pods.some(isAvailable));
  if (surge > 0) {
    const surging = wanted.filter(({ pods }) => pods.length > 1).length;
    const names = working.slice(0, Math.max(0, surge - surging)).map(({ node }) => node.metadata.name);
    return { remove: broken.flatMap(({ pods }) => pods), create: names };
  }
  const limit = Math.max(1, scaledValue(rollingUpdate?.maxUnavailable ?? 1, wanted.length, 'up'));
  const room = Math.max(0, limit - unavailable.length);
  return { remove: [...broken, ...working.slice(0, room)].flatMap(({ pods }) => pods), create: [] };
}

function statusOf(
  acted: DaemonSet,
  newest: DaemonSet,
  placements: readonly Placement[],
  hash: string,
  collisionCount: number,
  nowMs: number,
): DaemonSet['status'] {
  const minReadySeconds = acted.spec.minReadySeconds ?? 0;
  const wanted = placements.filter(({ shouldRun }) => shouldRun);
  const alive = ({ pods }: Placement) => pods.filter((pod) => !isTerminating(pod));
  const countWanted = (holds: (pod: Pod) => boolean) =>
    wanted.filter((each) => alive(each).some(holds)).length;
  const available = countWanted((pod) => isPodAvailable(pod, minReadySeconds, nowMs));
  const updated = countWanted((pod) => !isOutdated(pod, hash));
  return {
    observedGeneration: acted.metadata.generation,
    currentNumberScheduled: countWanted(() => true),
    desiredNumberScheduled: wanted.length,
    numberMisscheduled: placements.filter((each) => !each.shouldRun && alive(each).length > 0).length,
    numberReady: countWanted(isPodReady),
    ...(updated > 0 ? { updatedNumberScheduled: updated } : {}),
    ...(available > 0 ? { numberAvailable: available } : {}),
    ...(wanted.length > available ? { numberUnavailable: wanted.length - available } : {}),
    ...(collisionCount > 0 ? { collisionCount } : {}),
    ...(newest.status?.conditions ? { conditions: newest.status.conditions } : {}),
  };
}
