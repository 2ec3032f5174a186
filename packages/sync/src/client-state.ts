import { jsonEquals, type KubeObject } from '@podwire/kube/object';
import { parseJson } from './codec.ts';
import type { Resource, ResourceKey } from './gen/sync-proto.ts';
import type { Change, SyncState } from './types.ts';

interface Held {
  revision: number;
  object: KubeObject;
}

/** Snapshot or delta, all parts together. */
export interface Update {
  instanceId: string;
  revision: number;
  /** 'all': everything held that is not in `resources` is gone; else the resources of which that is so. */
  replaced: 'all' | readonly string[];
  removed: readonly ResourceKey[];
  resources: readonly Resource[];
}

/** An update turned into changes, not yet applied. */
export interface Plan {
  update: Update;
  changes: Change[];
  steps: { resource: string; key: string; held: Held | undefined }[];
}

/** What the peer holds: an update is planned first, may be refused, and is then committed as a whole. */
export class ClientState implements SyncState {
  instanceId = '';
  revision = 0;
  synced = false;
  readonly #held = new Map<string, Map<string, Held>>();
  readonly #lists = new Map<string, KubeObject[]>();

  get<T = KubeObject>(resource: string, namespace: string, name: string): T | undefined {
    return this.#held.get(resource)?.get(`${namespace}/${name}`)?.object as T | undefined;
  }

  list<T = KubeObject>(resource: string, namespace?: string): readonly T[] {
    let list = this.#lists.get(resource);
    if (list === undefined) {
      list = Array.from(this.#held.get(resource)?.values() ?? [], (held) => held.object);
      this.#lists.set(resource, list);
    }
    const found =
      namespace === undefined ? list : list.filter((o) => (o.metadata.namespace ?? '') === namespace);
    return found as unknown as readonly T[];
  }

  /** Throws when an object is not what its key says. */
  plan(update: Update): Plan {
    const plan: Plan = { update, changes: [], steps: [] };
    const sameStore = update.instanceId === this.instanceId;
    const present = new Map<string, Set<string>>();
    for (const item of update.resources) {
      const key = `${item.namespace}/${item.name}`;
      const { resource } = item;
      let keys = present.get(resource);
      if (keys === undefined) present.set(resource, (keys = new Set()));
      keys.add(key);
      const held = this.#held.get(resource)?.get(key);
      if (sameStore && held?.revision === item.revision) continue;
      const object = parseObject(item);
      plan.steps.push({ resource, key, held: { revision: item.revision, object } });
      if (held === undefined) plan.changes.push({ resource, type: 'ADDED', object });
      else if (sameStore || !jsonEquals(held.object, object)) {
        plan.changes.push({ resource, type: 'MODIFIED', object, previous: held.object });
      }
    }
    const remove = (resource: string, key: string): void => {
      const held = this.#held.get(resource)?.get(key);
      if (held === undefined || present.get(resource)?.has(key)) return;
      plan.steps.push({ resource, key, held: undefined });
      plan.changes.push({ resource, type: 'DELETED', object: held.object });
    };
    for (const { resource, namespace, name } of update.removed) remove(resource, `${namespace}/${name}`);
    for (const resource of update.replaced === 'all' ? this.#held.keys() : update.replaced) {
      for (const key of this.#held.get(resource)?.keys() ?? []) remove(resource, key);
    }
    return plan;
  }

  commit(plan: Plan): void {
    for (const { resource, key, held } of plan.steps) {
      let objects = this.#held.get(resource);
      if (objects === undefined) this.#held.set(resource, (objects = new Map()));
      if (held === undefined) objects.delete(key);
      else objects.set(key, held);
      this.#lists.delete(resource);
    }
    this.instanceId = plan.update.instanceId;
    this.revision = plan.update.revision;
    this.synced = true;
  }
}

function parseObject(item: Resource): KubeObject {
  const where = `${item.resource} ${item.namespace}/${item.name}`;
  let object: KubeObject;
  try {
    object = parseJson<KubeObject>(item.object);
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`);
  }
  const metadata = object?.metadata;
  if (metadata?.name !== item.name || (metadata.namespace ?? '') !== item.namespace) {
    throw new Error(`${where}: the object's metadata names another object`);
  }
  return object;
}
