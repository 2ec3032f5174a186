import { formatTime, type KubeObject } from '@podwire/kube/object';
import {
  CLEANUP_FINALIZER,
  type Condition,
  DEFINITIONS,
  type Definition,
  typesOf,
} from './custom-definition.ts';
import type { ObjectApi } from './object-api.ts';
import type { ResourceTypes } from './resource-types.ts';

/**
 * Makes every CustomResourceDefinition in the store a resource of the server, says so in its conditions, and removes the objects
 * of a definition that is being deleted before it goes. Returns the stop function.
 */
export function startCustomResources(api: ObjectApi, onError: (error: unknown) => void): () => void {
  const definitionType = api.types.byId(DEFINITIONS)!;
  const instanceWatches = new Map<string, () => void>();
  /** Generation of each definition as it is served. */
  const registered = new Map<string, number | undefined>();

  const settle = (work: Promise<unknown>) => {
    work.catch((error: unknown) => {
      // Lost races come back as further events.
      const code = (error as { code?: number }).code;
      if (code !== 404 && code !== 409) onError(error);
    });
  };

  const accept = (definition: Definition) => {
    const problem = nameConflict(api.types, definition);
    const conditions = acceptance(definition, problem, formatTime(api.nowMs()));
    const acceptedNames = problem === undefined ? definition.spec.names : definition.status?.acceptedNames;
    const same =
      JSON.stringify(conditions) === JSON.stringify(definition.status?.conditions) &&
      JSON.stringify(acceptedNames) === JSON.stringify(definition.status?.acceptedNames);
    const name = definition.metadata.name!;
    if (problem === undefined && registered.get(name) !== definition.metadata.generation) {
      api.types.setCustom(name, typesOf(definition));
      registered.set(name, definition.metadata.generation);
    }
    if (same) return;
    settle(
      api.changeObject(
        definitionType,
        '',
        name,
        (current) => ({ ...current, status: { ...(current.status as object), conditions, acceptedNames } }),
        { subresource: 'status' },
      ),
    );
  };

  const cleanUp = (definition: Definition) => {
    const name = definition.metadata.name!;
    if (!definition.metadata.finalizers?.includes(CLEANUP_FINALIZER)) return;
    const id = `${definition.spec.names.plural}.${definition.spec.group}`;
    const type = api.types.byId(id);
    const instances = type === undefined ? [] : api.list<KubeObject>(id);
    for (const { metadata } of instances) {
      if (metadata.deletionTimestamp === undefined) {
        settle(api.deleteObject(type!, metadata.namespace ?? '', metadata.name!, {}));
      }
    }
    if (instances.length > 0) return;
    settle(
      api.changeObject(
        definitionType,
        '',
        name,
        (current) => ({
          ...current,
          metadata: {
            ...current.metadata,
            finalizers: (current.metadata.finalizers ?? []).filter((each) => each !== CLEANUP_FINALIZER),
          },
        }),
        {},
      ),
    );
  };

  const forget = (name: string) => {
    instanceWatches.get(name)?.();
    instanceWatches.delete(name);
    registered.delete(name);
    api.types.setCustom(name, []);
  };

  const stop = api.watch<Definition>(DEFINITIONS, ({ type, object }) => {
    const name = object.metadata.name!;
    if (type === 'DELETED') return forget(name);
    accept(object);
    if (object.metadata.deletionTimestamp === undefined) return;
    if (!instanceWatches.has(name)) {
      const id = `${object.spec.names.plural}.${object.spec.group}`;
      instanceWatches.set(
        name,
        api.store.watch({ resource: id }, (event) => {
          const current = api.get<Definition>(DEFINITIONS, '', name);
          if (event.type === 'DELETED' && current !== undefined) cleanUp(current);
        }),
      );
    }
    cleanUp(object);
  });
  return () => {
    stop();
    for (const stopWatch of instanceWatches.values()) stopWatch();
  };
}

/** Why the names of a definition cannot be used, or undefined. */
function nameConflict(
  types: ResourceTypes,
  definition: Definition,
): { reason: string; message: string } | undefined {
  const { group, names } = definition.spec;
  for (const { info, custom } of types.all()) {
    if (info.group !== group || custom?.definition === definition.metadata.name) continue;
    const used = [info.plural, info.singular, ...info.shortNames];
    if (info.kind === names.kind) return { reason: 'KindConflict', message: inUse(names.kind) };
    for (const [name, reason] of [
      [names.plural, 'PluralConflict'],
      [names.singular, 'SingularConflict'],
      ...(names.shortNames ?? []).map((each) => [each, 'ShortNamesConflict']),
    ] as [string | undefined, string][]) {
      if (name !== undefined && used.includes(name)) return { reason, message: inUse(name) };
    }
  }
  return undefined;
}

function inUse(name: string): string {
  return `${JSON.stringify(name)} is already in use`;
}

function acceptance(
  definition: Definition,
  problem: { reason: string; message: string } | undefined,
  now: string,
): Condition[] {
  const before = definition.status?.conditions ?? [];
  const condition = (type: string, status: string, reason: string, message: string): Condition => {
    const old = before.find((each) => each.type === type);
    if (old?.status === status && old.reason === reason && old.message === message) return old;
    return { type, status, reason, message, lastTransitionTime: now };
  };
  const others = before.filter((each) => each.type !== 'NamesAccepted' && each.type !== 'Established');
  if (problem === undefined) {
    return [
      condition('NamesAccepted', 'True', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'True', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ...others,
    ];
  }
  const established = before.find((each) => each.type === 'Established' && each.status === 'True');
  return [
    condition('NamesAccepted', 'False', problem.reason, problem.message),
    established ?? condition('Established', 'False', 'NotAccepted', 'not all names are accepted'),
    ...others,
  ];
}
