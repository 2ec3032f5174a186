import type { KubeObject } from '@podwire/kube/object';
import { apiVersionOf } from '@podwire/kube/resources';
import { expired } from '@podwire/kube/status';
import { encodedJson, StoreConflict, type StoredObject, type StoreEvent } from '@podwire/store/stored-object';
import type { ObjectApi } from '../registry/object-api.ts';
import type { ResourceType } from '../registry/resource-types.ts';
import type { ListOptions, Selection } from './list-options.ts';
import type { Representation } from './negotiation.ts';
import { representObject } from './representation.ts';
import type { IncludeObject } from './table.ts';

/** Where a watch's events go: a chunked HTTP response or a WebSocket. */
export interface WatchSink {
  /** One event as JSON, without a line end. */
  send(event: string): void;
  end(): void;
  /** Bytes handed over that the client has not taken yet. */
  readonly waitingBytes: number;
}

export interface WatchRequest {
  type: ResourceType;
  namespace: string;
  options: ListOptions;
  selection: Selection;
  representation: Representation;
  includeObject: IncludeObject;
}

const BOOKMARK_INTERVAL_MS = 60_000;
/** kube-apiserver's --min-request-timeout; the real duration is this and a random part of it more. */
const LEAST_TIMEOUT_SECONDS = 1800;
/** A client this far behind is cut off; it lists again and costs less than its backlog. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

/**
 * Streams a watch into `sink` until its timeout or until the returned stop function is called
 * (apiserver pkg/endpoints/handlers/watch.go, pkg/storage/cacher).
 */
export function startWatch(
  api: ObjectApi,
  watch: WatchRequest,
  sink: WatchSink,
  random32: () => number,
): () => void {
  const { type, namespace, options } = watch;
  const { store } = api;
  const encoder = new EventEncoder(api, watch);
  let stopped = false;
  const stops: (() => void)[] = [];
  const stop = () => {
    stopped = true;
    for (const each of stops.splice(0)) each();
  };
  const send = (event: string) => {
    if (stopped) return;
    sink.send(event);
    if (sink.waitingBytes > MAX_WAITING_BYTES) finish();
  };
  const finish = () => {
    stop();
    sink.end();
  };

  store.flush();
  const scope = namespace === '' ? {} : { namespace };
  // Revision of the last event told: what a bookmark may promise.
  let revision = store.committedRevision;
  const initial =
    options.sendInitialEvents ?? (options.resourceVersion === '' || options.resourceVersion === '0');
  let since = Number(options.resourceVersion || 0);
  if (initial || options.resourceVersion === '' || options.resourceVersion === '0') {
    since = store.committedRevision;
    if (initial) {
      for (const object of store.list(type.storeKey, scope.namespace)) {
        const event = encoder.initial(object);
        if (event !== undefined) send(event);
      }
    }
    if (options.sendInitialEvents === true && options.allowWatchBookmarks) {
      send(encoder.bookmark(revision, { [INITIAL_EVENTS_END]: 'true' }));
    }
  }
  try {
    stops.push(
      store.watch({ resource: type.storeKey, ...scope, since }, (event) => {
        revision = Math.max(revision, event.revision);
        const text = encoder.change(event);
        if (text !== undefined) send(text);
      }),
    );
  } catch (error) {
    if (!(error instanceof StoreConflict)) throw error;
    const gone = expired(`too old resource version: ${since} (${store.compactedRevision})`);
    send(encodeEvent('ERROR', JSON.stringify(gone.status)));
    finish();
    return stop;
  }
  if (stopped) {
    stop();
    return stop;
  }

  const bookmark = () => {
    // Every event up to here has been told: revisions of other resources pass by without one.
    revision = Math.max(revision, store.committedRevision);
    send(encoder.bookmark(revision, undefined));
  };
  if (options.allowWatchBookmarks) {
    const timer = setInterval(bookmark, BOOKMARK_INTERVAL_MS);
    stops.push(() => clearInterval(timer));
  }
  const timeoutSeconds =
    options.timeoutSeconds !== undefined && options.timeoutSeconds > 0
      ? options.timeoutSeconds
      : LEAST_TIMEOUT_SECONDS * (1 + (random32() % 1000) / 1000);
  const timer = setTimeout(
    () => {
      if (options.allowWatchBookmarks) bookmark();
      finish();
    },
    Math.min(timeoutSeconds * 1000, 2 ** 31 - 1),
  );
  stops.push(() => clearTimeout(timer));
  return stop;
}

/** Turns what happens in the store into what one watcher sees of it. */
class EventEncoder {
  readonly #api: ObjectApi;
  readonly #watch: WatchRequest;
  #sentColumns = false;

  constructor(api: ObjectApi, watch: WatchRequest) {
    this.#api = api;
    this.#watch = watch;
  }

  initial(stored: StoredObject): string | undefined {
    const object = this.#api.present(this.#watch.type, stored);
    return this.#matches(object) ? encodeEvent('ADDED', this.#encode(object)) : undefined;
  }

  /** An object that enters or leaves the selection is ADDED or DELETED for this watcher. */
  change(event: StoreEvent): string | undefined {
    const { type } = this.#watch;
    const object = this.#api.present(type, event.object);
    const matches = this.#matches(object);
    if (event.type !== 'MODIFIED') {
      return matches ? encodeEvent(event.type, this.#encode(object)) : undefined;
    }
    const previous = this.#api.present(type, event.previous ?? event.object);
    const matched = this.#matches(previous);
    if (matches) return encodeEvent(matched ? 'MODIFIED' : 'ADDED', this.#encode(object));
    if (!matched) return undefined;
    const metadata = { ...previous.metadata, resourceVersion: String(event.revision) };
    return encodeEvent('DELETED', this.#encode({ ...previous, metadata }));
  }

  bookmark(revision: number, annotations: Record<string, string> | undefined): string {
    const { type, representation } = this.#watch;
    const { version = 'v1' } = representation;
    const metadata = { resourceVersion: String(revision), creationTimestamp: null };
    if (representation.as === 'Table') {
      const table = {
        kind: 'Table',
        apiVersion: `meta.k8s.io/${version}`,
        metadata,
        columnDefinitions: [],
        rows: [],
      };
      return encodeEvent('BOOKMARK', JSON.stringify(table));
    }
    const partial = representation.as === 'PartialObjectMetadata';
    const object = {
      kind: partial ? 'PartialObjectMetadata' : type.info.kind,
      apiVersion: partial ? `meta.k8s.io/${version}` : apiVersionOf(type.info),
      metadata: { ...metadata, ...(annotations && { annotations }) },
    };
    return encodeEvent('BOOKMARK', JSON.stringify(object));
  }

  #matches(object: KubeObject): boolean {
    return this.#watch.selection.everything || this.#watch.selection.matches(object);
  }

  #encode(object: KubeObject): string {
    const { type, representation, includeObject } = this.#watch;
    if (representation.as === undefined) return encodedJson(object);
    if (representation.table === undefined) {
      return representObject(type, object, representation, includeObject, this.#api.nowMs());
    }
    const { resourceVersion = '' } = object.metadata;
    const { version = 'v1' } = representation;
    const table = representation.table(
      type,
      [object],
      { resourceVersion },
      version,
      includeObject,
      this.#api.nowMs(),
    );
    // Only the first event of a watch describes the columns.
    if (this.#sentColumns) table.columnDefinitions = null;
    this.#sentColumns = true;
    return JSON.stringify(table);
  }
}

function encodeEvent(type: string, object: string): string {
  return `{"type":"${type}","object":${object}}`;
}
