import { RESOURCES, resourceId } from '@podwire/kube/resources';
import type { Api, ApiEvent } from '../api.ts';
import type { Loop } from './loop.ts';
import type { AnyObject } from './objects.ts';

/** A resource of which objects are stored, built in or defined by a CustomResourceDefinition. */
export interface KnownResource {
  id: string;
  group: string;
  kind: string;
  namespaced: boolean;
}

interface Definition extends AnyObject {
  spec: { group: string; scope: string; names: { plural: string; kind: string } };
}

const DEFINITIONS = 'customresourcedefinitions.apiextensions.k8s.io';

export type ResourceListener = (resource: KnownResource, event: ApiEvent<AnyObject>) => void;

/** Watches the objects of every resource there is, those of definitions that come and go included, once for several loops. */
export class AllResources implements Loop {
  readonly #api: Api;
  readonly #known = new Map<string, KnownResource>();
  readonly #stops = new Map<string, () => void>();
  readonly #listeners: readonly ResourceListener[];
  #stopDefinitions: () => void = () => {};

  constructor(api: Api, listeners: readonly ResourceListener[]) {
    this.#api = api;
    this.#listeners = listeners;
  }

  start(): void {
    for (const info of RESOURCES) {
      if (info.virtual || info.storedAs !== undefined) continue;
      const { group, kind, namespaced } = info;
      this.#watch({ id: resourceId(info), group, kind, namespaced });
    }
    this.#stopDefinitions = this.#api.watch<Definition>(DEFINITIONS, ({ type, object }) => {
      const { group, scope, names } = object.spec;
      const id = resourceId({ group, plural: names.plural });
      if (type === 'DELETED') this.#forget(id);
      else if (!this.#known.has(id)) {
        this.#watch({ id, group, kind: names.kind, namespaced: scope === 'Namespaced' });
      }
    });
  }

  list(): Iterable<KnownResource> {
    return this.#known.values();
  }

  /** The resource that an apiVersion and kind mean; versions of one group share their objects. */
  find(apiVersion: string, kind: string): KnownResource | undefined {
    const slash = apiVersion.indexOf('/');
    const group = slash < 0 ? '' : apiVersion.slice(0, slash);
    for (const resource of this.#known.values()) {
      if (resource.kind === kind && resource.group === group) return resource;
    }
    return undefined;
  }

  stop(): void {
    this.#stopDefinitions();
    for (const stop of this.#stops.values()) stop();
    this.#stops.clear();
  }

  #watch(resource: KnownResource): void {
    this.#known.set(resource.id, resource);
    const stop = this.#api.watch<AnyObject>(resource.id, (event) => {
      for (const listener of this.#listeners) listener(resource, event);
    });
    this.#stops.set(resource.id, stop);
  }

  #forget(id: string): void {
    this.#stops.get(id)?.();
    this.#stops.delete(id);
    this.#known.delete(id);
  }
}
