import { formatTime, type KubeObject } from '@podwire/kube/object';
import { conflict } from '@podwire/kube/status';
import type { DeleteOptions } from '../api.ts';
import type { ResourceType } from './resource-types.ts';

/** Finalizers through which the garbage collector is asked for something before an object goes. */
export const FOREGROUND_FINALIZER = 'foregroundDeletion';
export const ORPHAN_FINALIZER = 'orphan';

/** What a DELETE comes to. `mark` keeps the object, changed; `wait` means that an earlier deletion already does all that is asked. */
export type DeletionPlan = { action: 'remove' } | { action: 'wait' } | { action: 'mark'; object: KubeObject };

/**
 * Decides a deletion as upstream: grace periods only ever shorten, finalizers hold the object, a propagation policy is a
 * finalizer for the garbage collector (registry/generic/registry/store.go, registry/rest/delete.go).
 */
export function planDeletion(
  type: ResourceType,
  object: KubeObject,
  options: DeleteOptions,
  nowMs: number,
): DeletionPlan {
  checkPreconditions(type, object, options);
  if (type.id === 'namespaces') return planNamespaceDeletion(object, nowMs);
  const { metadata } = object;
  const before = metadata.finalizers ?? [];
  const finalizers = withPropagation(before, options.propagationPolicy);
  const period = gracePeriodSeconds(type, object, options);
  const next = { ...metadata, finalizers };
  if (finalizers.length === 0) delete (next as { finalizers?: string[] }).finalizers;

  if (metadata.deletionTimestamp !== undefined) {
    const current = metadata.deletionGracePeriodSeconds ?? 0;
    if (current > 0) {
      const asked = options.gracePeriodSeconds === undefined ? undefined : period;
      if (asked === undefined || asked >= current) return { action: 'wait' };
      if (asked === 0 && finalizers.length === 0) return { action: 'remove' };
      next.deletionTimestamp = formatTime(Date.parse(metadata.deletionTimestamp) + (asked - current) * 1000);
      next.deletionGracePeriodSeconds = asked;
      return { action: 'mark', object: { ...object, metadata: next } };
    }
    if (finalizers.length === 0) return { action: 'remove' };
    if (finalizers.join() === before.join()) return { action: 'wait' };
    return { action: 'mark', object: { ...object, metadata: next } };
  }

  if (period === 0 && finalizers.length === 0) return { action: 'remove' };
  next.deletionTimestamp = formatTime(nowMs + period * 1000);
  next.deletionGracePeriodSeconds = period;
  // Spec and status writers treat a dying object differently, so its generation counts as changed.
  if (next.generation !== undefined) next.generation++;
  return { action: 'mark', object: { ...object, metadata: next } };
}

/** True when nothing holds an object that is being deleted any longer. */
export function isReleased(type: ResourceType, object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  if (deletionTimestamp === undefined || (finalizers?.length ?? 0) > 0) return false;
  if (type.id === 'namespaces') return namespaceFinalizers(object).length === 0;
  return (deletionGracePeriodSeconds ?? 0) === 0;
}

function planNamespaceDeletion(object: KubeObject, nowMs: number): DeletionPlan {
  const held = namespaceFinalizers(object).length > 0 || (object.metadata.finalizers?.length ?? 0) > 0;
  if (object.metadata.deletionTimestamp !== undefined) {
    if (!held) return { action: 'remove' };
    throw conflict(
      'namespaces',
      object.metadata.name ?? '',
      'The system is ensuring all content is removed from this namespace.  Upon completion, this namespace will automatically be purged by the system.',
    );
  }
  const marked = {
    ...object,
    metadata: { ...object.metadata, deletionTimestamp: formatTime(nowMs) },
    status: { ...(object.status as object | undefined), phase: 'Terminating' },
  };
  return held ? { action: 'mark', object: marked } : { action: 'remove' };
}

function namespaceFinalizers(object: KubeObject): readonly string[] {
  return (object.spec as { finalizers?: string[] } | undefined)?.finalizers ?? [];
}

function checkPreconditions(type: ResourceType, object: KubeObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const { metadata } = object;
  const name = metadata.name ?? '';
  if (uid !== undefined && uid !== metadata.uid) {
    throw conflict(
      type.id,
      name,
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw conflict(
      type.id,
      name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`,
    );
  }
}

function withPropagation(
  finalizers: readonly string[],
  policy: DeleteOptions['propagationPolicy'],
): string[] {
  const others = finalizers.filter((each) => each !== FOREGROUND_FINALIZER && each !== ORPHAN_FINALIZER);
  if (policy === 'Foreground') return [...others, FOREGROUND_FINALIZER];
  if (policy === 'Orphan') return [...others, ORPHAN_FINALIZER];
  // Without a policy the finalizers already there say what happens.
  return policy === 'Background' ? others : [...finalizers];
}

/** Only pods die slowly, and only where something runs: on a node, not finished. */
function gracePeriodSeconds(type: ResourceType, object: KubeObject, options: DeleteOptions): number {
  if (type.id !== 'pods') return 0;
  const spec = object.spec as { nodeName?: string; terminationGracePeriodSeconds?: number } | undefined;
  const phase = (object.status as { phase?: string } | undefined)?.phase;
  if (!spec?.nodeName || phase === 'Failed' || phase === 'Succeeded') return 0;
  const period = options.gracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30;
  return period < 0 ? 1 : period;
}
