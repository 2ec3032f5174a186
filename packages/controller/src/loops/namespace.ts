import { ApiError } from '@podwire/kube/status';
import type { AllResources, ResourceListener } from './all-resources.ts';
import { setCondition } from './conditions.ts';
import { type Loop, type LoopContext, loopOf, startQueue, writeStatus } from './loop.ts';
import type { AnyObject, Condition, Namespace } from './objects.ts';

const NAMESPACES = 'namespaces';
const FINALIZER = 'kubernetes';
const NAME_LABEL = 'kubernetes.io/metadata.name';

export interface NamespaceController extends Loop {
  /** Hears of every change of every object, so as to know when a namespace has become empty. */
  observe: ResourceListener;
  start(resources: AllResources): void;
}

/**
 * Empties a namespace that is being deleted, then lets it go; labels the others with their name.
 * Source: pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
 */
export function createNamespaceController(context: LoopContext): NamespaceController {
  const { api, clock } = context;
  const queue = startQueue(context, 'namespace-controller', reconcile);
  const terminating = new Set<string>();
  let resources: AllResources | undefined;
  let stopWatch: () => void = () => {};

  async function reconcile(name: string): Promise<undefined> {
    const namespace = api.get<Namespace>(NAMESPACES, '', name);
    if (namespace === undefined) return;
    if (namespace.metadata.deletionTimestamp !== undefined) await empty(namespace);
    else if (namespace.metadata.labels?.[NAME_LABEL] !== name) {
      await api.patch(NAMESPACES, '', name, { metadata: { labels: { [NAME_LABEL]: name } } });
    }
  }

  async function empty(namespace: Namespace): Promise<void> {
    const finalizers = namespace.spec?.finalizers ?? [];
    if (!finalizers.includes(FINALIZER)) return;
    const name = namespace.metadata.name;
    const failures = await deleteContent(name);
    const left = content(name);
    const newest = api.get<Namespace>(NAMESPACES, '', name);
    if (newest === undefined) return;
    if (left.size > 0 || failures.length > 0) {
      const conditions = deletionConditions(newest.status?.conditions, left, failures, clock.nowMs());
      await writeStatus(api, NAMESPACES, newest, { ...newest.status, conditions });
      if (failures.length > 0) throw failures[0];
      return;
    }
    const others = finalizers.filter((each) => each !== FINALIZER);
    await api.update(NAMESPACES, { ...newest, spec: { finalizers: others } }, { subresource: 'finalize' });
  }

  async function deleteContent(namespace: string): Promise<Error[]> {
    const failures: Error[] = [];
    const deletions: Promise<void>[] = [];
    for (const { id, objects } of content(namespace).values()) {
      for (const { metadata } of objects) {
        if (metadata.deletionTimestamp !== undefined) continue;
        const deletion = api.delete(id, namespace, metadata.name, { propagationPolicy: 'Background' });
        deletions.push(
          deletion.catch((error: unknown) => {
            if (!(error instanceof ApiError && error.code === 404)) failures.push(error as Error);
          }),
        );
      }
    }
    await Promise.all(deletions);
    return failures;
  }

  function content(namespace: string): Map<string, { id: string; objects: readonly AnyObject[] }> {
    const found = new Map<string, { id: string; objects: readonly AnyObject[] }>();
    for (const { id, namespaced } of resources?.list() ?? []) {
      if (!namespaced) continue;
      const objects = api.list<AnyObject>(id, { namespace });
      if (objects.length > 0) found.set(id, { id, objects });
    }
    return found;
  }

  return {
    ...loopOf(queue, () => stopWatch()),
    observe(resource, { type, object }) {
      const namespace = object.metadata.namespace;
      if (resource.namespaced && type === 'DELETED' && terminating.has(namespace!)) queue.add(namespace!);
    },
    start(all) {
      resources = all;
      stopWatch = api.watch<Namespace>(NAMESPACES, ({ type, object }) => {
        const { name, deletionTimestamp } = object.metadata;
        if (type !== 'DELETED' && deletionTimestamp !== undefined) terminating.add(name);
        else terminating.delete(name);
        queue.add(name);
      });
    },
  };
}

function deletionConditions(
  conditions: readonly Condition[] | undefined,
  left: ReadonlyMap<string, { objects: readonly AnyObject[] }>,
  failures: readonly Error[],
  nowMs: number,
): Condition[] {
  const finalizers = new Map<string, number>();
  for (const { objects } of left.values()) {
    for (const finalizer of objects.flatMap(({ metadata }) => metadata.finalizers ?? [])) {
      finalizers.set(finalizer, (finalizers.get(finalizer) ?? 0) + 1);
    }
  }
  const remaining = [...left]
    .map(
      ([id, { objects }]) => `${id.includes('.') ? id : `${id}.`} has ${objects.length} resource instances`,
    )
    .sort()
    .join(', ');
  const held = [...finalizers]
    .map(([finalizer, count]) => `${finalizer} in ${count} resource instances`)
    .sort()
    .join(', ');
  const wanted: [
    type: string,
    bad: boolean,
    reason: string,
    message: string,
    goodReason: string,
    good: string,
  ][] = [
    [
      'NamespaceDeletionContentFailure',
      failures.length > 0,
      'ContentDeletionFailed',
      `Failed to delete all resource types, ${failures.length} remaining: ${failures[0]?.message}`,
      'ContentDeleted',
      'All content successfully deleted, may be waiting on finalization',
    ],
    [
      'NamespaceContentRemaining',
      left.size > 0,
      'SomeResourcesRemain',
      `Some resources are remaining: ${remaining}`,
      'ContentRemoved',
      'All content successfully removed',
    ],
    [
      'NamespaceFinalizersRemaining',
      finalizers.size > 0,
      'SomeFinalizersRemain',
      `Some content in the namespace has finalizers remaining: ${held}`,
      'ContentHasNoFinalizers',
      'All content-preserving finalizers finished',
    ],
  ];
  let next: Condition[] = [...(conditions ?? [])];
  for (const [type, bad, reason, message, goodReason, good] of wanted) {
    const condition = bad
      ? { type, status: 'True', reason, message }
      : { type, status: 'False', reason: goodReason, message: good };
    next = setCondition(next, condition, nowMs);
  }
  return next;
}
