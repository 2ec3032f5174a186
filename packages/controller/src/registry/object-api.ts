import { invalidField } from '@podwire/kube/field-error';
import { generateName } from '@podwire/kube/generate-name';
import { formatTime, jsonEquals, type KubeObject } from '@podwire/kube/object';
import { mergePatch } from '@podwire/kube/patch/merge-patch';
import { apiVersionOf } from '@podwire/kube/resources';
import {
  ApiError,
  alreadyExists,
  badRequest,
  conflict,
  generateNameConflict,
  invalid,
  methodNotAllowed,
  notFound,
} from '@podwire/kube/status';
import type { Store } from '@podwire/store/store';
import { StoreConflict, type StoredObject } from '@podwire/store/stored-object';
import type { Api, ApiEvent, DeleteOptions, UpdateOptions, WriteOptions } from '../api.ts';
import { type AdmissionPlugin, type AdmissionRequest, appliesTo, Reservations } from './admission.ts';
import { copyJson } from './copy.ts';
import { isReleased, planDeletion } from './deletion.ts';
import { createErrors, defaultObject, updateErrors } from './kube-rules.ts';
import { recordWrite } from './managed-fields.ts';
import { prepareForPodSubresource } from './pod-subresources.ts';
import type { ResourceType, ResourceTypes } from './resource-types.ts';
import { scaleOf, withScale } from './scale.ts';
import {
  createsOnUpdate,
  needsResourceVersion,
  prepareForCreate,
  prepareForFinalize,
  prepareForStatusUpdate,
  prepareForUpdate,
} from './strategy.ts';

export interface ObjectApiOptions {
  store: Store;
  types: ResourceTypes;
  /** In order: each changes a new object, then each may refuse it. */
  admission: readonly AdmissionPlugin[];
  nowMs: () => number;
  /** Uniform unsigned 32-bit numbers, for uids and generated names. */
  random32: () => number;
}

export interface ObjectWriteOptions extends UpdateOptions {
  /** metadata.managedFields of the object is already what it shall be. */
  ownershipKnown?: boolean;
}

export interface Written {
  object: KubeObject;
  created: boolean;
}

export interface Deleted {
  /** Last or present state. */
  object: KubeObject;
  /** False when finalizers or a grace period keep it for now. */
  removed: boolean;
}

/** Tries a generated name gets before the client is told to try again. */
const NAME_ATTEMPTS = 8;

/**
 * Reads and writes objects of every kind with all rules of the API server: the one way into the store, for HTTP and for control
 * loops. From reading the newest state to handing the next to the store nothing here waits, so no two writers interleave.
 * Methods that end in `Object` take ownership of the object passed in and speak the version of the type passed in.
 */
export class ObjectApi implements Api {
  readonly store: Store;
  readonly types: ResourceTypes;
  readonly nowMs: () => number;
  readonly #admission: readonly AdmissionPlugin[];
  readonly #random32: () => number;

  constructor(options: ObjectApiOptions) {
    this.store = options.store;
    this.types = options.types;
    this.nowMs = options.nowMs;
    this.#admission = options.admission;
    this.#random32 = options.random32;
  }

  get<T>(resource: string, namespace: string, name: string): T | undefined {
    return this.store.get(this.#storeKey(resource), namespace, name) as T | undefined;
  }

  list<T>(resource: string, options: { namespace?: string } = {}): readonly T[] {
    return this.store.list(this.#storeKey(resource), options.namespace) as readonly unknown[] as readonly T[];
  }

  async create<T>(resource: string, object: T, options: WriteOptions = {}): Promise<T> {
    const copy = copyJson(object) as unknown as KubeObject;
    const namespace = copy.metadata.namespace ?? '';
    return (await this.createObject(this.#type(resource), namespace, copy, options)) as unknown as T;
  }

  async update<T>(resource: string, object: T, options: UpdateOptions = {}): Promise<T> {
    const copy = copyJson(object) as unknown as KubeObject;
    const { name = '', namespace = '' } = copy.metadata;
    const written = await this.updateObject(this.#type(resource), namespace, name, copy, options);
    return written.object as unknown as T;
  }

  async patch<T>(
    resource: string,
    namespace: string,
    name: string,
    patch: unknown,
    options: UpdateOptions = {},
  ): Promise<T> {
    const change = (current: KubeObject) => copyJson(mergePatch(current, patch)) as KubeObject;
    const written = await this.changeObject(this.#type(resource), namespace, name, change, options);
    return written.object as unknown as T;
  }

  async delete(
    resource: string,
    namespace: string,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    await this.deleteObject(this.#type(resource), namespace, name, options);
  }

  watch<T>(resource: string, handler: (event: ApiEvent<T>) => void): () => void {
    const key = this.#storeKey(resource);
    this.store.flush();
    const since = this.store.committedRevision;
    for (const object of this.store.list(key)) handler({ type: 'ADDED', object: object as T });
    // What handlers have committed meanwhile is replayed, so that nobody hears of a change before the object.
    return this.store.watch({ resource: key, since }, ({ type, object, previous }) => {
      const event: ApiEvent<T> = { type, object: object as T };
      if (previous !== undefined) event.previous = previous as T;
      handler(event);
    });
  }

  /** The newest object in the version of `type`. Throws 404. */
  readObject(type: ResourceType, namespace: string, name: string): KubeObject {
    return this.present(type, this.#current(type, namespace, name));
  }

  /** A stored object as the version of `type` shows it. */
  present(type: ResourceType, stored: StoredObject): KubeObject {
    if (type.view !== undefined) return type.view.fromStored(stored as KubeObject);
    const apiVersion = apiVersionOf(type.info);
    return stored.apiVersion === apiVersion
      ? (stored as KubeObject)
      : ({ ...stored, apiVersion } as KubeObject);
  }

  async createObject(
    type: ResourceType,
    namespace: string,
    object: KubeObject,
    options: ObjectWriteOptions,
  ): Promise<KubeObject> {
    if (type.view !== undefined) {
      const stored = type.view.toStored(object);
      return this.present(
        type,
        await this.createObject(this.#type(type.storeKey), namespace, stored, options),
      );
    }
    const ready = ordered(type, object);
    const { metadata } = ready;
    if (type.info.namespaced) metadata.namespace = namespace;
    else delete metadata.namespace;
    this.#nameObject(type, ready);
    defaultObject(type, ready);
    metadata.uid = this.#uid();
    metadata.creationTimestamp = formatTime(this.nowMs());
    for (const field of [
      'resourceVersion',
      'selfLink',
      'deletionTimestamp',
      'deletionGracePeriodSeconds',
    ] as const) {
      delete metadata[field];
    }
    prepareForCreate(type, ready);
    const request: AdmissionRequest = {
      operation: 'CREATE',
      type,
      namespace,
      subresource: '',
      object: ready,
      old: undefined,
      dryRun: options.dryRun ?? false,
    };
    return this.#admit(
      request,
      () => createErrors(type, ready),
      () => {
        if (!options.ownershipKnown) {
          recordWrite(type, ready, undefined, options.fieldManager, '', this.nowMs());
        }
        if (this.store.get(type.storeKey, namespace, metadata.name!) !== undefined) {
          throw metadata.generateName !== undefined && object.metadata.name === undefined
            ? generateNameConflict(type.id, metadata.name!)
            : alreadyExists(type.id, metadata.name!);
        }
        return this.store.create(type.storeKey, toStorage(type, ready));
      },
    );
  }

  /** PUT: 404 unless the resource is created by PUT, 409 when stale. */
  async updateObject(
    type: ResourceType,
    namespace: string,
    name: string,
    object: KubeObject,
    options: UpdateOptions,
  ): Promise<Written> {
    const subresource = options.subresource ?? '';
    const exists = this.store.get(type.storeKey, namespace, name) !== undefined;
    if (!exists && subresource === '' && createsOnUpdate(type)) {
      return { object: await this.createObject(type, namespace, object, options), created: true };
    }
    return this.changeObject(type, namespace, name, () => object, options);
  }

  /**
   * Replaces the newest object, shown in the version of `type` and for subresource 'scale' as a Scale, by what `change` makes of
   * it; `change` must not change its argument. A resourceVersion or uid in the result that is not the newest is a 409.
   * Resolves with the same object and writes nothing when nothing changes.
   */
  async changeObject(
    type: ResourceType,
    namespace: string,
    name: string,
    change: (current: KubeObject) => KubeObject,
    options: ObjectWriteOptions,
  ): Promise<Written> {
    const subresource = options.subresource ?? '';
    if (type.view !== undefined) {
      const { view } = type;
      const written = await this.changeObject(
        this.#type(type.storeKey),
        namespace,
        name,
        (current) => view.toStored(change(view.fromStored(current))),
        options,
      );
      return { ...written, object: this.present(type, written.object) };
    }
    const old = this.#current(type, namespace, name);
    const shown = this.present(type, old);
    if (subresource === 'scale') {
      const scale = scaleOf(type, shown);
      const next = change(scale);
      checkVersion(type, next, old, false);
      const scaled = withScale(type, shown, next);
      const written = await this.#replace(type, namespace, name, scaled, old, options);
      return { object: scaleOf(type, written), created: false };
    }
    const next = ordered(type, change(shown));
    checkVersion(type, next, old, needsResourceVersion(type));
    return { object: await this.#replace(type, namespace, name, next, old, options), created: false };
  }

  /** Throws 404, 409 when a precondition fails. */
  async deleteObject(
    type: ResourceType,
    namespace: string,
    name: string,
    options: DeleteOptions,
  ): Promise<Deleted> {
    const current = this.#current(type, namespace, name);
    for (const plugin of this.#admission) {
      if (appliesTo(plugin, type)) plugin.checkDelete?.(type, current);
    }
    const plan = planDeletion(type, current, options, this.nowMs());
    if (plan.action === 'wait') {
      this.store.flush();
      return { object: this.present(type, current), removed: false };
    }
    if (options.dryRun) return { object: this.present(type, current), removed: plan.action === 'remove' };
    if (plan.action === 'mark') {
      const marked = await this.store.update(type.storeKey, plan.object);
      return { object: this.present(type, marked), removed: false };
    }
    return { object: this.present(type, await this.#remove(type, namespace, name)), removed: true };
  }

  #type(resource: string): ResourceType {
    const type = this.types.byId(resource);
    if (type === undefined) throw notFound(resource, '');
    return type;
  }

  #storeKey(resource: string): string {
    return this.types.byId(resource)?.storeKey ?? resource;
  }

  #current(type: ResourceType, namespace: string, name: string): KubeObject {
    const stored = this.store.get(type.storeKey, namespace, name);
    if (stored === undefined) throw notFound(type.id, name);
    return stored as KubeObject;
  }

  async #replace(
    type: ResourceType,
    namespace: string,
    name: string,
    object: KubeObject,
    old: KubeObject,
    options: ObjectWriteOptions,
  ): Promise<KubeObject> {
    const subresource = options.subresource ?? '';
    const { metadata } = object;
    for (const [field, right] of [
      ['name', name],
      ['namespace', namespace],
    ] as const) {
      const given = metadata[field];
      if (given !== undefined && given !== '' && given !== right) {
        throw invalid(type.info, name, [invalidField(`metadata.${field}`, given, 'field is immutable')]);
      }
    }
    if (type.info.namespaced) metadata.namespace = namespace;
    metadata.name = name;
    const before = this.present(type, old);
    if (subresource === 'status') prepareForStatusUpdate(type, object, before);
    else if (subresource === 'finalize') prepareForFinalize(object, before);
    else if (subresource !== '' && subresource !== 'scale') {
      if (type.id !== 'pods') throw methodNotAllowed(`${type.id}/${subresource}`, 'update');
      prepareForPodSubresource(subresource, object, before, this.nowMs());
    }
    defaultObject(type, object);
    if (subresource === '' || subresource === 'scale') prepareForUpdate(type, object, before);
    object.metadata.resourceVersion = old.metadata.resourceVersion!;
    const request: AdmissionRequest = {
      operation: 'UPDATE',
      type,
      namespace,
      subresource,
      object,
      old: before,
      dryRun: options.dryRun ?? false,
    };
    return this.#admit(
      request,
      () => updateErrors(type, object, before, subresource),
      () => {
        if (!options.ownershipKnown) {
          recordWrite(type, object, before, options.fieldManager, subresource, this.nowMs());
        }
        if (isReleased(type, object)) return this.#remove(type, namespace, name);
        const next = toStorage(type, object);
        if (jsonEquals(next, old)) {
          this.store.flush();
          return Promise.resolve(old);
        }
        return this.store.update(type.storeKey, next);
      },
    );
  }

  /** Runs the plugins around validation, then the write, and settles what the plugins reserved. */
  async #admit(
    request: AdmissionRequest,
    errors: () => readonly Parameters<typeof invalid>[2][number][],
    write: () => Promise<StoredObject>,
  ): Promise<KubeObject> {
    const { type, object } = request;
    const reservations = new Reservations();
    try {
      const plugins = this.#admission.filter((plugin) => appliesTo(plugin, type));
      for (const plugin of plugins) reservations.add(plugin.mutate?.(request, this));
      const found = errors();
      if (found.length > 0) throw invalid(type.info, object.metadata.name ?? '', found);
      for (const plugin of plugins) plugin.validate?.(request, this);
      if (request.dryRun) {
        reservations.revert();
        return object;
      }
      const stored = await write();
      reservations.commit();
      return this.present(type, stored);
    } catch (error) {
      reservations.revert();
      throw storeError(type, object.metadata.name ?? '', error);
    }
  }

  async #remove(type: ResourceType, namespace: string, name: string): Promise<StoredObject> {
    const last = await this.store.delete(type.storeKey, namespace, name);
    for (const plugin of this.#admission) {
      if (appliesTo(plugin, type)) plugin.removed?.(last as KubeObject);
    }
    return last;
  }

  #nameObject(type: ResourceType, object: KubeObject): void {
    const { metadata } = object;
    if (metadata.name !== undefined && metadata.name !== '') return;
    delete metadata.name;
    if (metadata.generateName === undefined || metadata.generateName === '') return;
    for (let attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
      metadata.name = generateName(metadata.generateName, this.#random32);
      if (this.store.get(type.storeKey, metadata.namespace ?? '', metadata.name) === undefined) return;
    }
  }

  /** UUID version 4, RFC 9562 section 5.4. */
  #uid(): string {
    const words = [this.#random32(), this.#random32(), this.#random32(), this.#random32()];
    words[1] = ((words[1]! & 0xffff0fff) | 0x4000) >>> 0;
    words[2] = ((words[2]! & 0x3fffffff) | 0x80000000) >>> 0;
    const hex = words.map((word) => word.toString(16).padStart(8, '0')).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }
}

/** The object with the type's version and kind, its first fields in the usual order. */
function ordered(type: ResourceType, object: KubeObject): KubeObject {
  const { apiVersion, kind, metadata, ...rest } = object;
  return { apiVersion: apiVersionOf(type.info), kind: type.info.kind, metadata: { ...metadata }, ...rest };
}

function toStorage(type: ResourceType, object: KubeObject): KubeObject {
  if (type.custom === undefined || type.custom.storageVersion === type.info.version) return object;
  return { ...object, apiVersion: `${type.info.group}/${type.custom.storageVersion}` };
}

function checkVersion(type: ResourceType, next: KubeObject, old: KubeObject, required: boolean): void {
  const { resourceVersion, uid, name = old.metadata.name } = next.metadata;
  if (uid !== undefined && uid !== '' && uid !== old.metadata.uid) {
    throw conflict(
      type.id,
      name!,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`,
    );
  }
  if (resourceVersion === undefined || resourceVersion === '' || resourceVersion === '0') {
    if (!required) return;
    throw invalid(type.info, name!, [
      invalidField('metadata.resourceVersion', 0, 'must be specified for an update'),
    ]);
  }
  if (!/^\d+$/.test(resourceVersion))
    throw badRequest(`Invalid value: ${JSON.stringify(resourceVersion)}: must be a number`);
  if (resourceVersion !== old.metadata.resourceVersion) throw conflict(type.id, name!);
}

function storeError(type: ResourceType, name: string, error: unknown): unknown {
  if (error instanceof ApiError || !(error instanceof StoreConflict)) return error;
  if (error.reason === 'exists') return alreadyExists(type.id, name);
  if (error.reason === 'missing') return notFound(type.id, name);
  return conflict(type.id, name);
}
