import { ApiError } from '@podwire/kube/status';
import type { AllResources, KnownResource, ResourceListener } from './all-resources.ts';
import { withMeta } from './controller-ref.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, startQueue } from './loop.ts';
import type { AnyObject, OwnerReference } from './objects.ts';

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

export interface GarbageCollector extends Loop {
  /** Hears of every change of every object, from which the graph of owners is kept. */
  observe: ResourceListener;
  start(resources: AllResources): void;
}

/** Where an object is found, and what it refers to. */
interface Vertex {
  /** `resource namespace/name`: the key in the queue. */
  key: string;
  owners: readonly OwnerReference[];
}

/**
 * Deletes objects whose owners are gone, waits for the dependents of those deleted in the foreground, and lets go of those of
 * orphaning owners. Every decision is made on the newest objects; the graph only tells where to look.
 * Source: pkg/controller/garbagecollector.
 */
export function createGarbageCollector(context: LoopContext): GarbageCollector {
  const { api, log } = context;
  const queue = startQueue(context, 'garbage-collector-controller', reconcile);
  const vertices = new Map<string, Vertex>();
  const dependents = new Map<string, Set<string>>();
  /** Owners that wait for their dependents. */
  const waiting = new Set<string>();
  let resources: AllResources | undefined;

  function observe(resource: KnownResource, type: string, object: AnyObject): void {
    const { uid, ownerReferences = [] } = object.metadata;
    const before = vertices.get(uid);
    for (const { uid: owner } of before?.owners ?? []) forgetDependent(owner, uid);
    if (type === 'DELETED') {
      vertices.delete(uid);
      waiting.delete(uid);
      for (const dependent of dependents.get(uid) ?? []) enqueue(dependent);
      for (const owner of ownerReferences) enqueue(owner.uid);
      return;
    }
    const key = `${resource.id} ${keyOf(object.metadata)}`;
    vertices.set(uid, { key, owners: ownerReferences });
    for (const { uid: owner } of ownerReferences) {
      let known = dependents.get(owner);
      if (known === undefined) dependents.set(owner, (known = new Set()));
      known.add(uid);
    }
    const ownersChanged = before !== undefined && ownerIds(before.owners) !== ownerIds(ownerReferences);
    // An owner that waits for its dependents hears of those that no longer name it.
    if (ownersChanged) for (const owner of before.owners) enqueue(owner.uid);
    const doubtful = ownerReferences.some((owner) => !vertices.has(owner.uid) || waiting.has(owner.uid));
    if (doubtful || ownersChanged) queue.add(key);
    if (!isWaiting(object)) return;
    waiting.add(uid);
    queue.add(key);
    for (const dependent of dependents.get(uid) ?? []) enqueue(dependent);
  }

  function forgetDependent(owner: string, uid: string): void {
    const known = dependents.get(owner);
    known?.delete(uid);
    if (known?.size === 0) dependents.delete(owner);
  }

  function enqueue(uid: string): void {
    const vertex = vertices.get(uid);
    if (vertex !== undefined) queue.add(vertex.key);
  }

  async function reconcile(key: string): Promise<undefined> {
    const { id, object } = read(key);
    if (object === undefined) return;
    if (isWaiting(object)) {
      if (object.metadata.finalizers!.includes(ORPHAN)) await orphan(id, object);
      else await finishForeground(id, object);
      return;
    }
    if (object.metadata.deletionTimestamp === undefined) await collect(id, object);
  }

  function read(key: string): { id: string; object: AnyObject | undefined } {
    const space = key.indexOf(' ');
    const id = key.slice(0, space);
    const { namespace, name } = splitKey(key.slice(space + 1));
    return { id, object: api.get<AnyObject>(id, namespace, name) };
  }

  /** Deletes an object none of whose owners is left. */
  async function collect(id: string, object: AnyObject): Promise<void> {
    const { uid, name, namespace = '', ownerReferences = [], finalizers = [] } = object.metadata;
    if (ownerReferences.length === 0) return;
    const states = ownerReferences.map((reference) => ownerState(object, reference));
    if (states.includes('unknown')) return;
    const solid = ownerReferences.filter((_, i) => states[i] === 'solid');
    if (solid.length > 0) {
      if (solid.length === ownerReferences.length) return;
      await api.update(id, withMeta(object, { ownerReferences: solid }));
      return;
    }
    let propagationPolicy: 'Orphan' | 'Foreground' | 'Background' = 'Background';
    if (finalizers.includes(ORPHAN)) propagationPolicy = 'Orphan';
    else if (finalizers.includes(FOREGROUND)) propagationPolicy = 'Foreground';
    else if (states.includes('waiting') && (dependents.get(uid)?.size ?? 0) > 0)
      propagationPolicy = 'Foreground';
    await ignoringGone(api.delete(id, namespace, name, { propagationPolicy, preconditions: { uid } }));
  }

  /** 'waiting': it is being deleted in the foreground; 'unknown': nothing is known of its kind. */
  function ownerState(object: AnyObject, owner: OwnerReference): 'solid' | 'waiting' | 'absent' | 'unknown' {
    const resource = resources?.find(owner.apiVersion, owner.kind);
    if (resource === undefined) return 'unknown';
    const namespace = resource.namespaced ? object.metadata.namespace : '';
    if (namespace === undefined || (resource.namespaced && namespace === '')) {
      const fields = { object: keyOf(object.metadata), owner: `${owner.kind} ${owner.name}` };
      log.debug(fields, 'cluster-scoped object names an owner inside a namespace');
      return 'unknown';
    }
    const found = api.get<AnyObject>(resource.id, namespace, owner.name);
    if (found === undefined || found.metadata.uid !== owner.uid) return 'absent';
    return isWaiting(found) && found.metadata.finalizers!.includes(FOREGROUND) ? 'waiting' : 'solid';
  }

  /** Lets an object go once no dependent is left that blocks it. */
  async function finishForeground(id: string, object: AnyObject): Promise<void> {
    const { uid } = object.metadata;
    for (const dependent of dependents.get(uid) ?? []) {
      const vertex = vertices.get(dependent);
      if (vertex === undefined || read(vertex.key).object?.metadata.uid !== dependent) continue;
      if (vertex.owners.some((owner) => owner.uid === uid && owner.blockOwnerDeletion)) {
        // Its removal brings this object back into the queue.
        return;
      }
    }
    await removeFinalizer(id, object, FOREGROUND);
  }

  async function orphan(id: string, object: AnyObject): Promise<void> {
    const { uid } = object.metadata;
    const releases = [...(dependents.get(uid) ?? [])].map(async (dependent) => {
      const vertex = vertices.get(dependent);
      if (vertex === undefined) return;
      const found = read(vertex.key);
      const owners = found.object?.metadata.ownerReferences;
      if (found.object?.metadata.uid !== dependent || !owners?.some((owner) => owner.uid === uid)) return;
      const ownerReferences = owners.filter((owner) => owner.uid !== uid);
      await ignoringGone(api.update(found.id, withMeta(found.object, { ownerReferences })));
    });
    await Promise.all(releases);
    await removeFinalizer(id, object, ORPHAN);
  }

  async function removeFinalizer(id: string, object: AnyObject, finalizer: string): Promise<void> {
    const finalizers = (object.metadata.finalizers ?? []).filter((each) => each !== finalizer);
    await ignoringGone(api.update(id, withMeta(object, { finalizers })));
  }

  return {
    ...loopOf(queue),
    observe(resource, { type, object }) {
      if (resource.id !== 'events') observe(resource, type, object);
    },
    start(all) {
      resources = all;
    },
  };
}

function ownerIds(owners: readonly OwnerReference[]): string {
  return owners.map((owner) => owner.uid).join();
}

/** Being deleted, and held for the garbage collector. */
function isWaiting({ metadata }: AnyObject): boolean {
  const finalizers = metadata.finalizers ?? [];
  return (
    metadata.deletionTimestamp !== undefined &&
    (finalizers.includes(FOREGROUND) || finalizers.includes(ORPHAN))
  );
}

async function ignoringGone(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 404)) throw error;
  }
}
