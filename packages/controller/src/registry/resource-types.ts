import type { FieldError } from '@podwire/kube/field-error';
import type { KubeObject } from '@podwire/kube/object';
import { RESOURCES, type ResourceInfo, resourceId } from '@podwire/kube/resources';
import type { Schema } from '@podwire/kube/schema';
import { eventView, type ResourceView } from './event-view.ts';

/** One resource in one version, as a URL names it. */
export interface ResourceType {
  readonly info: ResourceInfo;
  /** `resourceId(info)`: 'pods', 'deployments.apps'. */
  readonly id: string;
  /** Key in the store: `id`, unless this is a second view of another resource. */
  readonly storeKey: string;
  /** Conversion between what the store keeps and what this version shows; absent when they are the same. */
  readonly view?: ResourceView;
  readonly custom?: CustomType;
}

/** What a CustomResourceDefinition says of one of its versions. */
export interface CustomType {
  /** Name of the CustomResourceDefinition. */
  readonly definition: string;
  readonly listKind: string;
  readonly served: boolean;
  readonly storageVersion: string;
  readonly hasStatus: boolean;
  readonly scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  readonly printerColumns: readonly PrinterColumn[];
  readonly selectableFields: readonly string[];
  /** Of the whole object. */
  readonly schema: Schema;
  /** The same with nothing said about metadata, whose rules are those of every kind. */
  readonly content: Schema;
  /** Fills schema defaults in place. */
  applyDefaults(object: KubeObject): void;
  /** Removes fields the schema does not know, in place, and returns their paths. */
  prune(object: KubeObject): string[];
  validate(object: KubeObject): FieldError[];
}

export interface PrinterColumn {
  name: string;
  type: string;
  format?: string;
  description?: string;
  priority?: number;
  jsonPath: string;
}

/** Every resource the server knows now: the built-in ones, and those that CustomResourceDefinitions add and take away. */
export class ResourceTypes {
  readonly #byPath = new Map<string, ResourceType>();
  readonly #byId = new Map<string, ResourceType>();
  readonly #customByDefinition = new Map<string, readonly ResourceType[]>();
  #generation = 0;

  constructor() {
    for (const info of RESOURCES) this.#put(builtIn(info));
  }

  /** Grows with every change; what is derived from the types can be kept as long as it stays. */
  get generation(): number {
    return this.#generation;
  }

  /** By URL: group ('' for core), version, plural. */
  at(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#byPath.get(`${group}/${version}/${plural}`);
  }

  /** By resource id; of a custom resource, its storage version. */
  byId(id: string): ResourceType | undefined {
    return this.#byId.get(id);
  }

  /** In the versions that are served. */
  all(): Iterable<ResourceType> {
    return this.#byPath.values();
  }

  /** Replaces every version one CustomResourceDefinition defines; none removes it. */
  setCustom(definition: string, types: readonly ResourceType[]): void {
    for (const type of this.#customByDefinition.get(definition) ?? []) {
      this.#byPath.delete(pathOf(type.info));
      this.#byId.delete(type.id);
    }
    this.#customByDefinition.delete(definition);
    if (types.length > 0) this.#customByDefinition.set(definition, types);
    for (const type of types) this.#put(type);
    this.#generation++;
  }

  #put(type: ResourceType): void {
    if (type.custom?.served !== false) this.#byPath.set(pathOf(type.info), type);
    if (type.custom === undefined || type.custom.storageVersion === type.info.version) {
      this.#byId.set(type.id, type);
    }
  }
}

/** By resource id. */
const VIEWS: ReadonlyMap<string, ResourceView> = new Map([['events.events.k8s.io', eventView]]);

function builtIn(info: ResourceInfo): ResourceType {
  const id = resourceId(info);
  const view = VIEWS.get(id);
  return { info, id, storeKey: info.storedAs ?? id, ...(view && { view }) };
}

function pathOf(info: ResourceInfo): string {
  return `${info.group}/${info.version}/${info.plural}`;
}
