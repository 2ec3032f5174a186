import { randomUUID } from 'node:crypto';
import { Log } from './log.ts';
import { rememberJson, StoreConflict, type StoredObject, type StoreEvent } from './stored-object.ts';
import { Table } from './table.ts';

export interface StoreOptions {
  /** Events that stay replayable, counted; older ones answer 'compacted'. */
  historyLimit?: number;
  /** Events kept in memory so that a replay of the recent past reads no disk. */
  recentLimit?: number;
  /** Identity of a new database, told to clients that resume; an existing database keeps its own. */
  instanceId?: string;
}

export interface WatchOptions {
  resource?: string;
  namespace?: string;
  /** Replay starts after this revision; without it the watch starts now. */
  since?: number;
}

interface PendingWrite {
  event: StoreEvent;
  namespace: string;
  name: string;
  json: string;
  resolve: (object: StoredObject) => void;
  reject: (error: unknown) => void;
}

interface Watcher {
  namespace: string | undefined;
  since: number;
  listener: (event: StoreEvent) => void;
  stopped: boolean;
}

const ANY_RESOURCE = '';

/**
 * Revisioned objects in memory over an append-only log in SQLite. One revision counter serves all resources.
 * A write takes effect for `get`, `list` and later writes at once; the writes of one event-loop turn share a transaction, and
 * only after its fsync do their promises resolve and watchers hear of them. A reader outside the process must not see what a
 * crash could take back: call `flush` before answering one.
 */
export class Store {
  readonly instanceId: string;
  readonly #log: Log;
  readonly #historyLimit: number;
  readonly #recentLimit: number;
  readonly #tables = new Map<string, Table>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  #revision: number;
  #committedRevision: number;
  #compactedRevision: number;
  #recent: StoreEvent[] = [];
  /** Every event after this revision is in `#recent`. */
  #recentSince: number;
  #pending: PendingWrite[] = [];
  #outbox: PendingWrite[] = [];
  #delivering = false;
  #commitTimer: NodeJS.Immediate | undefined;
  #closed = false;

  /** Opens or makes the database at `path` (':memory:' for none). Throws when the file cannot be opened or is open elsewhere. */
  static open(path: string, options: StoreOptions = {}): Store {
    try {
      return new Store(new Log(path), options);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(
        `Cannot open the store "${path}": ${why}. Check that the directory exists and no other controller runs on it.`,
        { cause: error },
      );
    }
  }

  private constructor(log: Log, options: StoreOptions) {
    this.#log = log;
    this.#historyLimit = options.historyLimit ?? 10_000;
    this.#recentLimit = options.recentLimit ?? 1_000;
    this.#compactedRevision = Number(log.meta('compactedRevision') ?? 0);
    this.#revision = Math.max(log.lastRevision(), this.#compactedRevision);
    this.#committedRevision = this.#revision;
    this.#recentSince = this.#revision;
    const known = log.meta('instanceId');
    this.instanceId = known ?? options.instanceId ?? randomUUID();
    if (known === undefined) log.setMeta('instanceId', this.instanceId);
    for (const { resource, namespace, name, object } of log.liveObjects()) {
      this.#table(resource).set(namespace, name, object);
    }
  }

  /** Revision of the newest write, durable or about to be. */
  get revision(): number {
    return this.#revision;
  }

  /** Revision of the newest durable write. */
  get committedRevision(): number {
    return this.#committedRevision;
  }

  /** A watch may start at this revision or later. */
  get compactedRevision(): number {
    return this.#compactedRevision;
  }

  /** Open watches, for metrics. */
  get watcherCount(): number {
    let count = 0;
    for (const watchers of this.#watchers.values()) count += watchers.size;
    return count;
  }

  get(resource: string, namespace: string, name: string): StoredObject | undefined {
    return this.#tables.get(resource)?.get(namespace, name);
  }

  /** Ordered by namespace, then name. The array never changes and is shared between callers. */
  list(resource: string, namespace?: string): readonly StoredObject[] {
    return this.#tables.get(resource)?.list(namespace) ?? [];
  }

  /** The list as it was at `revision`. Throws 'compacted' when history no longer reaches back to it. */
  listAt(resource: string, namespace: string | undefined, revision: number): readonly StoredObject[] {
    this.flush();
    if (revision >= this.#committedRevision) return this.list(resource, namespace);
    const then = new Table();
    for (const object of this.list(resource, namespace)) then.set(...keyOf(object), object);
    const events = this.#history(revision).filter(
      (event) =>
        event.resource === resource && (namespace === undefined || keyOf(event.object)[0] === namespace),
    );
    for (const event of events.reverse()) {
      if (event.previous === undefined) then.remove(...keyOf(event.object));
      else then.set(...keyOf(event.previous), event.previous);
    }
    return then.list(undefined);
  }

  /** Resolves with the stored copy; rejects 'exists'. */
  async create(resource: string, object: StoredObject): Promise<StoredObject> {
    const [namespace, name] = keyOf(object);
    const current = this.get(resource, namespace, name);
    if (current !== undefined) {
      throw new StoreConflict('exists', `${resource} "${name}" already exists`, current);
    }
    return this.#write('ADDED', resource, namespace, name, object, undefined);
  }

  /** Resolves with the stored copy; rejects 'missing', or 'conflict' when `expectedRevision` is not the current one. */
  async update(resource: string, object: StoredObject, expectedRevision?: string): Promise<StoredObject> {
    const [namespace, name] = keyOf(object);
    const current = this.#current(resource, namespace, name, expectedRevision);
    return this.#write('MODIFIED', resource, namespace, name, object, current);
  }

  /** Resolves with the last state, stamped with the deletion's revision; rejects 'missing' or 'conflict'. */
  async delete(
    resource: string,
    namespace: string,
    name: string,
    expectedRevision?: string,
  ): Promise<StoredObject> {
    const current = this.#current(resource, namespace, name, expectedRevision);
    return this.#write('DELETED', resource, namespace, name, current, current);
  }

  /**
   * Calls `listener` for each durable event after `since`: those already past before this returns, later ones as they
   * commit, all in order. Throws StoreConflict 'compacted' when `since` lies before the history window.
   */
  watch(options: WatchOptions, listener: (event: StoreEvent) => void): () => void {
    this.flush();
    const watcher: Watcher = {
      namespace: options.namespace,
      since: Math.max(this.#committedRevision, options.since ?? 0),
      listener,
      stopped: false,
    };
    const past = options.since === undefined ? [] : this.#history(options.since);
    const resource = options.resource ?? ANY_RESOURCE;
    let watchers = this.#watchers.get(resource);
    if (watchers === undefined) this.#watchers.set(resource, (watchers = new Set()));
    watchers.add(watcher);
    for (const event of past) {
      if (options.resource === undefined || event.resource === options.resource) tell(watcher, event);
    }
    return () => {
      watcher.stopped = true;
      watchers.delete(watcher);
    };
  }

  /** Makes every write so far durable, now. Throws, with the writes undone, when the disk refuses. */
  flush(): void {
    if (this.#pending.length === 0) return;
    const batch = this.#pending;
    this.#pending = [];
    if (this.#commitTimer !== undefined) clearImmediate(this.#commitTimer);
    this.#commitTimer = undefined;
    try {
      this.#log.commit(batch);
    } catch (error) {
      this.#undo(batch);
      for (const write of batch) write.reject(error);
      throw error;
    }
    this.#committedRevision = batch.at(-1)!.event.revision;
    for (const write of batch) this.#recent.push(write.event);
    if (this.#recent.length > 2 * this.#recentLimit) {
      const dropped = this.#recent.splice(0, this.#recent.length - this.#recentLimit);
      this.#recentSince = dropped.at(-1)!.revision;
    }
    if (this.#committedRevision - this.#compactedRevision > 1.25 * this.#historyLimit) {
      this.compact(this.#committedRevision - this.#historyLimit);
    }
    for (const write of batch) this.#outbox.push(write);
    this.#deliver();
  }

  /** Gives up the history up to and including `revision`. */
  compact(revision: number): void {
    if (revision <= this.#compactedRevision) return;
    this.flush();
    const upTo = Math.min(revision, this.#committedRevision);
    this.#log.compact(this.#compactedRevision, upTo);
    this.#compactedRevision = upTo;
  }

  /** Commits what is pending and closes the database. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.flush();
    this.#log.close();
  }

  #table(resource: string): Table {
    let table = this.#tables.get(resource);
    if (table === undefined) this.#tables.set(resource, (table = new Table()));
    return table;
  }

  #current(
    resource: string,
    namespace: string,
    name: string,
    expectedRevision: string | undefined,
  ): StoredObject {
    const current = this.get(resource, namespace, name);
    if (current === undefined) throw new StoreConflict('missing', `${resource} "${name}" not found`);
    if (expectedRevision !== undefined && current.metadata.resourceVersion !== expectedRevision) {
      throw new StoreConflict(
        'conflict',
        `${resource} "${name}" is at revision ${current.metadata.resourceVersion}, not ${expectedRevision}`,
        current,
      );
    }
    return current;
  }

  #write(
    type: StoreEvent['type'],
    resource: string,
    namespace: string,
    name: string,
    object: StoredObject,
    previous: StoredObject | undefined,
  ): Promise<StoredObject> {
    if (this.#closed) throw new Error(`Cannot write ${resource} "${name}": the store is closed`);
    const revision = this.#revision + 1;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
    const json = JSON.stringify(stored);
    rememberJson(stored, json);
    this.#revision = revision;
    const event: StoreEvent = { type, revision, resource, object: stored };
    if (previous !== undefined) event.previous = previous;
    if (type === 'DELETED') this.#table(resource).remove(namespace, name);
    else this.#table(resource).set(namespace, name, stored);
    this.#commitTimer ??= setImmediate(() => this.#commitTurn());
    return new Promise((resolve, reject) => {
      this.#pending.push({ event, namespace, name, json, resolve, reject });
    });
  }

  #commitTurn(): void {
    this.#commitTimer = undefined;
    try {
      this.flush();
    } catch {
      // Each write of the batch was rejected with the reason.
    }
  }

  #undo(batch: readonly PendingWrite[]): void {
    for (const { event, namespace, name } of batch.toReversed()) {
      const table = this.#table(event.resource);
      if (event.previous === undefined) table.remove(namespace, name);
      else table.set(namespace, name, event.previous);
    }
    this.#revision = this.#committedRevision;
  }

  /** Durable events after `since`, oldest first. */
  #history(since: number): StoreEvent[] {
    if (since < this.#compactedRevision) {
      throw new StoreConflict(
        'compacted',
        `revision ${since} is older than the compacted revision ${this.#compactedRevision}`,
      );
    }
    if (since >= this.#committedRevision) return [];
    const older =
      since < this.#recentSince ? [...this.#log.events(since, this.#recentSince)] : ([] as StoreEvent[]);
    return older.concat(this.#recent.filter((event) => event.revision > since));
  }

  /** A listener may write, flush or watch: what that commits waits its turn here, so everyone sees one order. */
  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    for (let write = this.#outbox.shift(); write !== undefined; write = this.#outbox.shift()) {
      const { event } = write;
      for (const resource of [event.resource, ANY_RESOURCE]) {
        for (const watcher of this.#watchers.get(resource) ?? []) {
          if (event.revision > watcher.since) tell(watcher, event);
        }
      }
      write.resolve(event.object);
    }
    this.#delivering = false;
  }
}

function tell(watcher: Watcher, event: StoreEvent): void {
  if (watcher.stopped) return;
  if (watcher.namespace !== undefined && event.object.metadata.namespace !== watcher.namespace) return;
  try {
    watcher.listener(event);
  } catch (error) {
    // A broken listener is a bug to be heard of, but must not keep the others from hearing events.
    queueMicrotask(() => {
      throw error;
    });
  }
}

function keyOf(object: StoredObject): [namespace: string, name: string] {
  const { namespace, name } = object.metadata;
  if (name === undefined || name === '') throw new Error('Cannot store an object without metadata.name');
  return [namespace ?? '', name];
}
