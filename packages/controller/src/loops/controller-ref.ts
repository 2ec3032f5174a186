import type { Api } from '../api.ts';
import type { AnyObject, Labels, Meta, OwnerReference } from './objects.ts';

/** The one owner that manages an object, or undefined. */
export function controllerOf(object: {
  metadata: { ownerReferences?: OwnerReference[] };
}): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

export function isControlledBy(object: AnyObject, owner: AnyObject): boolean {
  return controllerOf(object)?.uid === owner.metadata.uid;
}

/** The reference a controller puts on what it creates. */
export function controllerRef(owner: AnyObject): OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

/**
 * The objects that belong to `owner`: adopts those without a controller that its selector selects, lets go of those it no longer
 * selects. Objects of other controllers are never touched. Source: controller_ref_manager.go.
 */
export async function claim<T extends AnyObject>(options: {
  api: Api;
  resource: string;
  owner: AnyObject;
  candidates: readonly T[];
  selects: (labels: Labels) => boolean;
}): Promise<T[]> {
  const { api, resource, owner, candidates, selects } = options;
  const claimed: T[] = [];
  for (const object of candidates) {
    const controller = controllerOf(object);
    if (controller !== undefined) {
      if (controller.uid !== owner.metadata.uid) continue;
      if (selects(object.metadata.labels)) claimed.push(object);
      else if (owner.metadata.deletionTimestamp === undefined) {
        const others = object.metadata.ownerReferences!.filter((reference) => reference !== controller);
        await api.update(resource, withMeta(object, { ownerReferences: others }));
      }
    } else if (
      owner.metadata.deletionTimestamp === undefined &&
      object.metadata.deletionTimestamp === undefined &&
      selects(object.metadata.labels)
    ) {
      const owners = [...(object.metadata.ownerReferences ?? []), controllerRef(owner)];
      claimed.push(await api.update(resource, withMeta(object, { ownerReferences: owners })));
    }
  }
  return claimed;
}

/** A copy with some metadata replaced. */
export function withMeta<T extends AnyObject>(object: T, changes: Partial<Meta>): T {
  return { ...object, metadata: { ...object.metadata, ...changes } };
}
