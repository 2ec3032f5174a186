import { isJsonObject, type KubeObject, type ManagedFieldsEntry, type Time } from '../object.ts';
import type { Schema } from '../schema.ts';
import { DecodeError, decodeBuiltIn, unknownFields } from '../schema-decode.ts';
import { type ApiError, applyConflict, badRequest, type StatusCause } from '../status.ts';
import {
  differenceOf,
  EMPTY_SET,
  type FieldSet,
  fieldSet,
  formatFieldsV1,
  intersectionOf,
  isEmptySet,
  LEAF,
  parseFieldsV1,
  pathTexts,
  setsEqual,
  unionOf,
} from './field-set.ts';
import {
  compareFields,
  fieldsOf,
  mergeFields,
  removeFields,
  TypedFieldsError,
  withNamedFields,
} from './typed-fields.ts';

/**
 * Server-side apply and the field ownership it stands on (`metadata.managedFields`), after Kubernetes "Server-Side Apply"
 * and structured-merge-diff `merge/update.go`:
 *
 * - an apply owns exactly the fields its configuration names; a field it named before and now does not is removed,
 *   unless another manager owns it;
 * - changing the value of a field that another manager owns is a conflict (409) unless forced; forcing takes the field;
 * - any other write owns what it changed, and takes that from everyone else.
 */
export interface FieldWriter {
  /** `fieldManager` of the request, else the first part of the user agent. */
  manager: string;
  /** Version of the request's objects: `apps/v1`. */
  apiVersion: string;
  /** `status`, `scale`, … or empty. */
  subresource?: string;
  time: Time;
  /**
   * Top-level fields this endpoint does not write: `status` on the main resource of kinds with a status subresource,
   * `spec` on `/status`. They are never owned by this write.
   */
  ignoredFields?: readonly string[];
}

interface Owner {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource: string;
  time: Time | undefined;
  set: FieldSet;
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** Owner of what a live object held before anyone tracked it. */
const BEFORE_FIRST_APPLY = 'before-first-apply';
const KUBECTL = 'kubectl';

function members(...names: string[]): [string, FieldSet][] {
  return names.map((name) => [`f:${name}`, LEAF]);
}

/** Fields no manager is ever said to own. */
const STRIPPED: FieldSet = fieldSet(false, [
  ...members('apiVersion', 'kind'),
  [
    'f:metadata',
    {
      member: true,
      children: new Map(
        members(
          'name',
          'namespace',
          'creationTimestamp',
          'selfLink',
          'uid',
          'clusterName',
          'generation',
          'managedFields',
          'resourceVersion',
        ),
      ),
    },
  ],
]);

function owned(set: FieldSet, writer: FieldWriter): FieldSet {
  const stripped = differenceOf(set, STRIPPED);
  const ignored = (writer.ignoredFields ?? []).map((name) => `f:${name}`);
  if (ignored.length === 0) return stripped;
  return fieldSet(
    false,
    [...stripped.children].filter(([element]) => !ignored.includes(element)),
  );
}

function ownersOf(entries: readonly ManagedFieldsEntry[] | undefined): Owner[] {
  return (entries ?? [])
    .filter((entry) => isJsonObject(entry) && (entry.operation === 'Apply' || entry.operation === 'Update'))
    .map((entry) => ({
      manager: entry.manager ?? '',
      operation: entry.operation as Owner['operation'],
      apiVersion: entry.apiVersion ?? '',
      subresource: entry.subresource ?? '',
      time: entry.time,
      set: parseFieldsV1(entry.fieldsV1),
    }));
}

function entriesOf(owners: readonly Owner[]): ManagedFieldsEntry[] {
  const rank = (owner: Owner) => [
    owner.operation,
    owner.time ?? '',
    owner.manager,
    owner.apiVersion,
    owner.subresource,
  ];
  const compare = (a: Owner, b: Owner) => {
    const left = rank(a);
    const right = rank(b);
    const at = left.findIndex((text, i) => text !== right[i]);
    return at < 0 ? 0 : (left[at] as string) < (right[at] as string) ? -1 : 1;
  };
  return owners
    .filter((owner) => !isEmptySet(owner.set))
    .sort(compare)
    .map((owner) => ({
      manager: owner.manager,
      operation: owner.operation,
      apiVersion: owner.apiVersion,
      ...(owner.time ? { time: owner.time } : {}),
      fieldsType: 'FieldsV1' as const,
      fieldsV1: formatFieldsV1(owner.set),
      ...(owner.subresource ? { subresource: owner.subresource } : {}),
    }));
}

/** An applier is the same one whatever version it applies; other writers differ by version. */
function findOwner(
  owners: readonly Owner[],
  operation: Owner['operation'],
  writer: FieldWriter,
): Owner | undefined {
  return owners.find(
    (owner) =>
      owner.operation === operation &&
      owner.manager === writer.manager &&
      owner.subresource === (writer.subresource ?? '') &&
      (operation === 'Apply' || owner.apiVersion === writer.apiVersion),
  );
}

function withoutManagedFields(object: KubeObject | undefined): Record<string, unknown> {
  if (!object) return {};
  const { managedFields: _, ...metadata } = object.metadata ?? {};
  return { ...object, metadata };
}

function takeFromOthers(owners: readonly Owner[], writer: Owner | undefined, set: FieldSet): void {
  for (const owner of owners) if (owner !== writer) owner.set = differenceOf(owner.set, set);
}

/** A client that sends `managedFields: [{}]` or `[]` asks for tracking to be forgotten. */
function asksForReset(object: KubeObject): boolean {
  const fields: unknown = object.metadata?.managedFields;
  if (!Array.isArray(fields)) return false;
  return (
    fields.length === 0 ||
    (fields.length === 1 && isJsonObject(fields[0]) && Object.keys(fields[0]).length === 0)
  );
}

/**
 * `metadata.managedFields` after a create or update that is not an apply. `live` is the stored object (undefined on
 * create), `next` the object about to be stored, already defaulted. Neither is changed.
 */
export function trackUpdate(
  schema: Schema,
  live: KubeObject | undefined,
  next: KubeObject,
  writer: FieldWriter,
): ManagedFieldsEntry[] {
  if (live && asksForReset(next)) return [];
  const sent = ownersOf(next.metadata?.managedFields);
  const owners = sent.length > 0 || !live ? sent : ownersOf(live.metadata.managedFields);
  const change = compareFields(withoutManagedFields(live), withoutManagedFields(next), schema);
  const taken = owned(unionOf(change.added, change.modified), writer);
  let own = findOwner(owners, 'Update', writer);
  takeFromOthers(owners, own, unionOf(taken, change.removed));
  if (own) own.set = differenceOf(own.set, change.removed);
  if (!isEmptySet(taken)) {
    if (!own) {
      own = {
        manager: writer.manager,
        operation: 'Update',
        apiVersion: writer.apiVersion,
        subresource: writer.subresource ?? '',
        time: writer.time,
        set: EMPTY_SET,
      };
      owners.push(own);
    }
    own.set = unionOf(own.set, taken);
    own.time = writer.time;
  }
  return entriesOf(owners);
}

interface Conflict {
  readonly owner: Owner;
  readonly fields: FieldSet;
}

function ownerText(owner: Owner): string {
  let text = JSON.stringify(owner.manager);
  if (owner.subresource) text += ` with subresource ${JSON.stringify(owner.subresource)}`;
  return owner.operation === 'Update' ? `${text} using ${owner.apiVersion}` : text;
}

function conflictError(conflicts: readonly Conflict[]): ApiError {
  const causes: StatusCause[] = [];
  const lines: string[] = [];
  const ordered = [...conflicts].sort((a, b) => (ownerText(a.owner) < ownerText(b.owner) ? -1 : 1));
  for (const { owner, fields } of ordered) {
    const message = `conflict with ${ownerText(owner)}`;
    lines.push(`conflicts with ${ownerText(owner)}:`);
    for (const field of pathTexts(fields)) {
      causes.push({ reason: 'FieldManagerConflict', message, field });
      lines.push(`- ${field}`);
    }
  }
  const [only] = causes;
  if (causes.length === 1 && only) {
    return applyConflict(causes, `Apply failed with 1 conflict: ${only.message}: ${only.field}`);
  }
  return applyConflict(causes, `Apply failed with ${causes.length} conflicts: ${lines.join('\n')}`);
}

/**
 * Fields that still hold what `kubectl apply` wrote last on the client's side: kubectl may take those over without a
 * conflict, which is how people move from client-side to server-side apply.
 */
function clientSideApplied(schema: Schema, live: KubeObject): FieldSet {
  const annotation = live.metadata.annotations?.[LAST_APPLIED];
  if (!annotation) return EMPTY_SET;
  try {
    const applied: unknown = JSON.parse(annotation);
    if (!isJsonObject(applied) || applied.apiVersion !== live.apiVersion) return EMPTY_SET;
    const change = compareFields(applied, withoutManagedFields(live), schema);
    const set = differenceOf(fieldsOf(applied, schema), change.modified);
    return differenceOf(differenceOf(set, change.added), change.removed);
  } catch {
    return EMPTY_SET;
  }
}

/**
 * Removes what the manager applied before and does not now, except what another manager owns. `named` is all that the
 * configuration names, including what is never owned: with `metadata.name` it keeps metadata from going as a whole.
 */
function prune(
  merged: unknown,
  schema: Schema,
  before: FieldSet,
  named: FieldSet,
  owners: readonly Owner[],
): Record<string, unknown> {
  if (isEmptySet(before)) return merged as Record<string, unknown>;
  const last = withNamedFields(before, schema);
  const pruned = removeFields(merged, last, schema) ?? {};
  let keep = unionOf(fieldsInObject(pruned, schema), named);
  keep = withNamedFields(keep, schema);
  for (const owner of owners) keep = unionOf(keep, withNamedFields(owner.set, schema));
  const present = withNamedFields(fieldsInObject(merged, schema), schema);
  const remove = intersectionOf(differenceOf(present, keep), last);
  return (removeFields(merged, remove, schema) ?? {}) as Record<string, unknown>;
}

/** All fields of a stored object, which may break rules that configurations must keep. */
function fieldsInObject(object: unknown, schema: Schema): FieldSet {
  return compareFields({}, object, schema).added;
}

function refuse(config: KubeObject, why: string): ApiError {
  const { namespace = '', name = '' } = config.metadata;
  return badRequest(
    `failed to create typed patch object (${namespace}/${name}; ${config.apiVersion}, Kind=${config.kind}): ${why}`,
  );
}

/** The configuration as the API server reads it: known fields only, right types, canonical quantities. */
function readConfig(schema: Schema, config: KubeObject, writer: FieldWriter, custom: boolean): KubeObject {
  if (config.apiVersion !== writer.apiVersion) {
    throw badRequest(
      `Incorrect version specified in apply patch. Specified patch version: ${config.apiVersion}, expected: ${writer.apiVersion}`,
    );
  }
  if (config.metadata?.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
  const unknown = unknownFields(schema, config)[0];
  if (unknown) {
    const path = JSON.parse(unknown.slice('unknown field '.length)) as string;
    throw refuse(config, `.${path}: field not declared in schema`);
  }
  const copy = structuredClone(config);
  copy.metadata ??= {};
  try {
    if (!custom) decodeBuiltIn(schema, copy, config.kind);
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(config, error.message);
    throw error;
  }
  return copy;
}

export interface ApplyRequest extends FieldWriter {
  schema: Schema;
  /** The stored object, or undefined when the apply creates it. */
  live: KubeObject | undefined;
  config: KubeObject;
  force: boolean;
  /** Custom resources are not decoded into a Go type first. */
  custom: boolean;
}

function applyOnce(request: ApplyRequest, config: KubeObject, force: boolean): KubeObject {
  const { schema, live } = request;
  const owners = ownersOf(live?.metadata.managedFields);
  const liveObject = withoutManagedFields(live);
  if (live && owners.length === 0) {
    owners.push({
      manager: BEFORE_FIRST_APPLY,
      operation: 'Update',
      apiVersion: request.apiVersion,
      subresource: '',
      time: request.time,
      set: owned(fieldsInObject(liveObject, schema), request),
    });
  }
  let named: FieldSet;
  try {
    named = fieldsOf(config, schema);
  } catch (error) {
    if (error instanceof TypedFieldsError) throw refuse(config, error.message);
    throw error;
  }
  const set = owned(named, request);
  let own = findOwner(owners, 'Apply', request);
  const before = own?.set ?? EMPTY_SET;
  if (!own) {
    own = {
      manager: request.manager,
      operation: 'Apply',
      apiVersion: request.apiVersion,
      subresource: request.subresource ?? '',
      time: request.time,
      set,
    };
    owners.push(own);
  }
  own.set = set;
  const merged = mergeFields(liveObject, config, schema);
  // Laid over again, so that an empty struct the configuration names does not go with its last field.
  const pruned = prune(merged, schema, before, named, owners);
  const next = mergeFields(pruned, config, schema) as Record<string, unknown>;
  const change = compareFields(liveObject, next, schema);
  const touched = unionOf(change.modified, change.added);
  const conflicts = owners
    .filter((owner) => owner !== own)
    .map((owner) => ({ owner, fields: intersectionOf(owner.set, touched) }))
    .filter(({ fields }) => !isEmptySet(fields));
  if (conflicts.length > 0 && !force) throw new ApplyConflicts(conflicts);
  takeFromOthers(owners, own, unionOf(touched, change.removed));
  const changed = ![touched, change.removed].every(isEmptySet);
  if (changed || !setsEqual(before, set)) own.time = request.time;
  const metadata = { ...(next.metadata as KubeObject['metadata']), managedFields: entriesOf(owners) };
  return { ...next, apiVersion: config.apiVersion, kind: config.kind, metadata };
}

/** Carries conflicts from the first attempt to the place that decides about them. */
class ApplyConflicts extends Error {
  readonly conflicts: readonly Conflict[];

  constructor(conflicts: readonly Conflict[]) {
    super('apply conflicts');
    this.conflicts = conflicts;
  }
}

/** Keeps the annotation of client-side apply in step, for people who go back and forth. */
function withLastApplied(next: KubeObject, config: KubeObject): KubeObject {
  const { [LAST_APPLIED]: _, ...annotations } = config.metadata.annotations ?? {};
  const recorded = { ...config, metadata: { ...config.metadata, annotations } };
  const text = `${JSON.stringify(recorded)}\n`;
  const metadata = { ...next.metadata, annotations: { ...next.metadata.annotations, [LAST_APPLIED]: text } };
  return { ...next, metadata };
}

/**
 * Applies a configuration and returns the object to store, with its managedFields and before defaulting; equal to the
 * live object when nothing changed. Arguments are not changed. Throws ApiError: 409 with one FieldManagerConflict cause
 * for each field, 400 for configurations that do not fit the schema.
 */
export function serverSideApply(request: ApplyRequest): KubeObject {
  const config = readConfig(request.schema, request.config, request, request.custom);
  let next: KubeObject;
  try {
    next = applyOnce(request, config, request.force);
  } catch (error) {
    if (!(error instanceof ApplyConflicts)) throw error;
    let { conflicts } = error;
    if (request.manager === KUBECTL && request.live) {
      const allowed = clientSideApplied(request.schema, request.live);
      conflicts = conflicts
        .map(({ owner, fields }) => ({ owner, fields: differenceOf(fields, allowed) }))
        .filter(({ fields }) => !isEmptySet(fields));
    }
    if (conflicts.length > 0) throw conflictError(conflicts);
    next = applyOnce(request, config, true);
  }
  const hadAnnotation = request.live?.metadata.annotations?.[LAST_APPLIED] !== undefined;
  return request.manager === KUBECTL && hadAnnotation ? withLastApplied(next, config) : next;
}
