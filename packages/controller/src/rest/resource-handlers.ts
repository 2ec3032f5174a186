import type { KubeObject } from '@podwire/kube/object';
import { subresourceInfo } from '@podwire/kube/resources';
import { badRequest, deletedStatus, methodNotAllowedOnPath, unknownPath } from '@podwire/kube/status';
import type { ObjectApi } from '../registry/object-api.ts';
import type { ResourceType } from '../registry/resource-types.ts';
import { scaleOf } from '../registry/scale.ts';
import { hasStatus, returnsDeletedObject } from '../registry/strategy.ts';
import { parseBody, readBody } from './body.ts';
import { builtInKind, decodeObject, type ExpectedKind, kindOf } from './decode.ts';
import { type Exchange, sendObject } from './exchange.ts';
import { listPage } from './list.ts';
import { type ListOptions, parseListOptions, parseSelection, type Selection } from './list-options.ts';
import { negotiate, type Representation } from './negotiation.ts';
import { representList, representObject } from './representation.ts';
import type { IncludeObject } from './table.ts';
import { startWatch, type WatchSink } from './watch.ts';
import { parseDeleteOptions, parseRequestOptions } from './write-options.ts';

/** What a request is about, found in its path. */
export interface Target {
  type: ResourceType;
  namespace: string;
  name: string;
  /** '' for the object itself. */
  subresource: string;
}

export interface HandlerContext {
  api: ObjectApi;
  random32: () => number;
}

/** GET, POST and DELETE of a collection. */
export async function handleCollection(
  context: HandlerContext,
  exchange: Exchange,
  target: Target,
): Promise<void> {
  const verbs = target.type.info.verbs;
  switch (exchange.request.method) {
    case 'GET':
      if (!verbs.includes('list')) throw methodNotAllowedOnPath();
      return listOrWatch(context, exchange, target);
    case 'POST':
      if (!verbs.includes('create')) throw methodNotAllowedOnPath();
      return create(context, exchange, target);
    case 'DELETE':
      if (!verbs.includes('deletecollection')) throw methodNotAllowedOnPath();
      return deleteCollection(context, exchange, target);
    default:
      throw methodNotAllowedOnPath();
  }
}

/** GET, PUT, PATCH and DELETE of an object, and of its subresources that hold state: /status, /scale and the pod's own. */
export async function handleObject(
  context: HandlerContext,
  exchange: Exchange,
  target: Target,
): Promise<void> {
  const { type, subresource } = target;
  if (subresource !== '' && !hasSubresource(type, subresource)) throw unknownPath();
  const verbs = subresource === '' ? type.info.verbs : subresourceInfo(type.info, subresource).verbs;
  switch (exchange.request.method) {
    case 'GET':
      if (!verbs.includes('get')) throw methodNotAllowedOnPath();
      return read(context, exchange, target);
    case 'PUT':
      if (!verbs.includes('update')) throw methodNotAllowedOnPath();
      return replace(context, exchange, target);
    case 'PATCH': {
      if (!verbs.includes('patch')) throw methodNotAllowedOnPath();
      const { patch } = await import('./patch-handler.ts');
      return patch(context, exchange, target);
    }
    case 'DELETE':
      if (!verbs.includes('delete')) throw methodNotAllowedOnPath();
      return remove(context, exchange, target);
    default:
      throw methodNotAllowedOnPath();
  }
}

export function hasSubresource(type: ResourceType, subresource: string): boolean {
  if (type.custom === undefined) return type.info.subresources.includes(subresource);
  return subresource === 'status'
    ? hasStatus(type)
    : subresource === 'scale' && type.custom.scale !== undefined;
}

/** The kind that the body of a write to `target` is of. */
export function expectedKind({ type, subresource }: Target): ExpectedKind {
  if (subresource !== 'scale') return kindOf(type);
  return builtInKind('autoscaling', 'v1', 'Scale');
}

/** Sends one object as the request's Accept header wants it. */
export async function answer(
  context: HandlerContext,
  exchange: Exchange,
  target: Target,
  code: number,
  object: KubeObject,
): Promise<void> {
  const representation = await withTables(objectRepresentation(exchange));
  const include = includeObject(exchange);
  // A Scale is shown as it is, whatever is asked for.
  const { as, table, ...plain } = representation;
  const chosen = target.subresource === 'scale' ? plain : representation;
  const text = representObject(target.type, object, chosen, include, context.api.nowMs());
  return sendObject(exchange, code, text, representation);
}

/** Printing is loaded when someone asks for a table. */
async function withTables(representation: Representation): Promise<Representation> {
  if (representation.as !== 'Table') return representation;
  const { tableOf } = await import('./table.ts');
  return { ...representation, table: tableOf };
}

export function objectRepresentation(exchange: Exchange): Representation {
  return negotiate(exchange.request.headers.accept, ['Table', 'PartialObjectMetadata']);
}

async function read(context: HandlerContext, exchange: Exchange, target: Target): Promise<void> {
  const { api } = context;
  objectRepresentation(exchange);
  api.store.flush();
  const object = api.readObject(target.type, target.namespace, target.name);
  const shown = target.subresource === 'scale' ? scaleOf(target.type, object) : object;
  return answer(context, exchange, target, 200, shown);
}

async function listOrWatch(context: HandlerContext, exchange: Exchange, target: Target): Promise<void> {
  const { api } = context;
  const { type, namespace } = target;
  const query = exchange.url.searchParams;
  const options = parseListOptions(query);
  const selection = parseSelection(type, query);
  if (options.watch) return watch(context, exchange, target, options, selection);
  const conversions = ['Table', 'PartialObjectMetadataList'] as const;
  const representation = await withTables(negotiate(exchange.request.headers.accept, conversions));
  const page = listPage(api, type, namespace, options, selection);
  const text = representList(type, page, representation, includeObject(exchange), api.nowMs());
  return sendObject(exchange, 200, text, representation);
}

async function watch(
  context: HandlerContext,
  exchange: Exchange,
  { type, namespace }: Target,
  options: ListOptions,
  selection: Selection,
): Promise<void> {
  const { response } = exchange;
  const representation = await withTables(objectRepresentation(exchange));
  // Silence is normal here; a client that falls behind is found by what waits for it.
  response.setTimeout(0);
  response.writeHead(200, { 'Cache-Control': 'no-cache, private', 'Content-Type': 'application/json' });
  response.flushHeaders();
  const sink: WatchSink = {
    send: (event) => {
      response.write(`${event}\n`);
    },
    end: () => {
      response.end();
    },
    get waitingBytes() {
      return response.writableLength;
    },
  };
  const details = {
    type,
    namespace,
    options,
    selection,
    representation,
    includeObject: includeObject(exchange),
  };
  const stop = startWatch(context.api, details, sink, context.random32);
  if (response.destroyed) stop();
  else response.once('close', stop);
}

async function create(context: HandlerContext, exchange: Exchange, target: Target): Promise<void> {
  const { api } = context;
  const { type } = target;
  objectRepresentation(exchange);
  const options = parseRequestOptions(exchange, 'CreateOptions');
  const object = await decodeObject(exchange, kindOf(type), options.fieldValidation);
  if (object.metadata.resourceVersion) {
    throw badRequest('resourceVersion should not be set on objects to be created');
  }
  const namespace = namespaceOf(type, target.namespace, object);
  const created = await api.createObject(type, namespace, object, options);
  return answer(context, exchange, target, 201, created);
}

/** The namespace of the URL, which the object may repeat but not contradict. */
export function namespaceOf(type: ResourceType, requested: string, object: KubeObject): string {
  const own = object.metadata.namespace ?? '';
  if (!type.info.namespaced) {
    if (own !== '') {
      throw badRequest(
        'the namespace of the provided object does not match the namespace sent on the request',
      );
    }
    return '';
  }
  if (requested === '') {
    if (own === '') throw badRequest('an empty namespace may not be set during creation');
    return own;
  }
  if (own !== '' && own !== requested) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  return requested;
}

async function replace(context: HandlerContext, exchange: Exchange, target: Target): Promise<void> {
  const { type, name, subresource } = target;
  objectRepresentation(exchange);
  const options = parseRequestOptions(exchange, 'UpdateOptions');
  const object = await decodeObject(exchange, expectedKind(target), options.fieldValidation);
  const own = object.metadata.name ?? '';
  if (own !== name) {
    throw badRequest(
      own === ''
        ? 'name must be provided'
        : `the name of the object (${own}) does not match the name on the URL (${name})`,
    );
  }
  const namespace = namespaceOf(type, target.namespace, object);
  const written = await context.api.updateObject(type, namespace, name, object, { ...options, subresource });
  return answer(context, exchange, target, written.created ? 201 : 200, written.object);
}

async function remove(context: HandlerContext, exchange: Exchange, target: Target): Promise<void> {
  const { type, namespace, name } = target;
  objectRepresentation(exchange);
  const options = parseDeleteOptions(exchange.url.searchParams, await deleteBody(exchange));
  const { object, removed } = await context.api.deleteObject(type, namespace, name, options);
  if (!removed || returnsDeletedObject(type)) {
    const accepted =
      !removed && (options.orphanDependents === false || options.propagationPolicy === 'Foreground');
    return answer(context, exchange, target, accepted ? 202 : 200, object);
  }
  return sendObject(exchange, 200, deletedStatus(type.id, name, object.metadata.uid ?? ''));
}

async function deleteBody(exchange: Exchange): Promise<Record<string, unknown> | undefined> {
  const body = await readBody(exchange.request);
  const { object } = await parseBody(body, exchange.request.headers['content-type'], 'DeleteOptions');
  return object;
}

async function deleteCollection(context: HandlerContext, exchange: Exchange, target: Target): Promise<void> {
  const { api } = context;
  const { type, namespace } = target;
  const query = exchange.url.searchParams;
  const options = parseDeleteOptions(query, await deleteBody(exchange));
  const selection = parseSelection(type, query);
  const page = listPage(api, type, namespace, parseListOptions(query), selection);
  const deleted = await Promise.all(
    page.objects.map(({ metadata }) =>
      api.deleteObject(type, metadata.namespace ?? '', metadata.name!, options).then(
        ({ object }) => object,
        (error: { code?: number }) => {
          if (error.code !== 404) throw error;
          return undefined;
        },
      ),
    ),
  );
  const objects = deleted.filter((each) => each !== undefined);
  const metadata = { resourceVersion: String(api.store.committedRevision) };
  return sendObject(exchange, 200, representList(type, { objects, metadata }, { format: 'json' }, 'None', 0));
}

function includeObject(exchange: Exchange): IncludeObject {
  const value = exchange.url.searchParams.get('includeObject');
  return value === 'None' || value === 'Object' ? value : 'Metadata';
}
