import type { KubeObject, ListMeta } from '@podwire/kube/object';
import { apiVersionOf } from '@podwire/kube/resources';
import { ApiError, badRequest, expired, timeout } from '@podwire/kube/status';
import { encodedJson, StoreConflict, type StoredObject } from '@podwire/store/stored-object';
import type { ObjectApi } from '../registry/object-api.ts';
import type { ResourceType } from '../registry/resource-types.ts';
import type { ListOptions, Selection } from './list-options.ts';

export interface ListPage {
  /** In the version of the type. */
  objects: KubeObject[];
  metadata: ListMeta;
}

interface ContinueToken {
  v: 'meta.k8s.io/v1';
  /** Revision of the whole list; -1 goes on with the newest. */
  rv: number;
  /** `namespace/name` of the last object sent. */
  start: string;
}

const TOO_OLD =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.';
const TOO_OLD_CONTINUABLE =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';

/**
 * One page of a list. Pages joined by continue tokens show one moment, the revision of the first: history is read back for the
 * later ones, and 410 answers when it no longer reaches (apiserver pkg/storage/etcd3/store.go). Only durable state is shown.
 */
export function listPage(
  api: ObjectApi,
  type: ResourceType,
  namespace: string,
  options: ListOptions,
  selection: Selection,
): ListPage {
  const { store } = api;
  store.flush();
  let revision = store.committedRevision;
  let after = '';
  let source: readonly StoredObject[];
  const scope = namespace === '' ? undefined : namespace;
  if (options.continue !== '') {
    const token = parseContinue(options);
    after = token.start;
    if (token.rv > 0) revision = token.rv;
    source = listAt(api, type, scope, revision, token);
  } else {
    const wanted = Number(options.resourceVersion || 0);
    if (wanted > revision) throw tooLarge(wanted, revision);
    if (options.resourceVersionMatch === 'Exact') revision = wanted;
    source = listAt(api, type, scope, revision, undefined);
  }
  // A cached list ("any version will do") comes whole, as upstream's watch cache gives it.
  const limit = options.resourceVersion === '0' && options.continue === '' ? 0 : options.limit;
  const objects: KubeObject[] = [];
  const metadata: ListMeta = { resourceVersion: String(revision) };
  let index = after === '' ? 0 : firstAfter(source, after);
  for (; index < source.length && (limit === 0 || objects.length < limit); index++) {
    const object = api.present(type, source[index]!);
    if (selection.everything || selection.matches(object)) objects.push(object);
  }
  if (index < source.length) {
    metadata.continue = encodeContinue({
      v: 'meta.k8s.io/v1',
      rv: revision,
      start: keyOf(source[index - 1]!),
    });
    if (selection.everything) metadata.remainingItemCount = source.length - index;
  }
  return { objects, metadata };
}

/** The JSON text of a list, made of the texts its objects already have. */
export function listJson(type: ResourceType, page: ListPage): string {
  const head = JSON.stringify({
    kind: type.custom?.listKind ?? `${type.info.kind}List`,
    apiVersion: apiVersionOf(type.info),
    metadata: page.metadata,
  });
  return `${head.slice(0, -1)},"items":[${page.objects.map(encodedJson).join(',')}]}\n`;
}

/** A revision the store has not reached (apiserver pkg/storage/errors.go). */
export function tooLarge(wanted: number, current: number): ApiError {
  const { status } = timeout(`Too large resource version: ${wanted}, current: ${current}`, 1);
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  return new ApiError({ ...status, details: { ...status.details, causes } });
}

function listAt(
  api: ObjectApi,
  type: ResourceType,
  namespace: string | undefined,
  revision: number,
  token: ContinueToken | undefined,
): readonly StoredObject[] {
  try {
    return api.store.listAt(type.storeKey, namespace, revision);
  } catch (error) {
    if (!(error instanceof StoreConflict) || error.reason !== 'compacted') throw error;
    if (token === undefined) throw expired('The resourceVersion for the provided list is too old.');
    if (token.rv < 0) throw expired(TOO_OLD);
    const { status } = expired(TOO_OLD_CONTINUABLE);
    throw new ApiError({ ...status, metadata: { continue: encodeContinue({ ...token, rv: -1 }) } });
  }
}

function parseContinue(options: ListOptions): ContinueToken {
  if (options.resourceVersion !== '' && options.resourceVersion !== '0') {
    throw badRequest('specifying resource version is not allowed when using continue');
  }
  let token: Partial<ContinueToken>;
  try {
    token = JSON.parse(Buffer.from(options.continue, 'base64url').toString()) as Partial<ContinueToken>;
  } catch {
    throw badRequest('continue key is not valid: illegal base64 or JSON');
  }
  if (token === null || token.v !== 'meta.k8s.io/v1') {
    throw badRequest(
      `continue key is not valid: server does not recognize this encoded version "${token?.v ?? ''}"`,
    );
  }
  if (typeof token.start !== 'string' || !Number.isSafeInteger(token.rv) || token.rv === 0) {
    throw badRequest('continue key is not valid: incorrect encoded start resourceVersion');
  }
  return token as ContinueToken;
}

function encodeContinue(token: ContinueToken): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function keyOf({ metadata }: StoredObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}

/** Index of the first object whose key is greater, in the order of the store: namespace, then name. */
function firstAfter(objects: readonly StoredObject[], key: string): number {
  const slash = key.indexOf('/');
  const namespace = key.slice(0, slash);
  const name = key.slice(slash + 1);
  const index = objects.findIndex(({ metadata }) => {
    const own = metadata.namespace ?? '';
    return own > namespace || (own === namespace && (metadata.name ?? '') > name);
  });
  return index < 0 ? objects.length : index;
}
