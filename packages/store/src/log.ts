import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { rememberJson, type StoredObject, type StoreEvent } from './stored-object.ts';

/**
 * The durable side of the store, as in etcd: `log` has one row per revision, `live` points at the newest row of each key.
 * A row's `previous` is the revision it replaced. A row is kept while it is live, while its event is inside the history
 * window, or while it is the previous state of such an event; `compact` removes the others.
 */
export class Log {
  readonly #db: DatabaseSync;
  readonly #insertRow: StatementSync;
  readonly #setLive: StatementSync;
  readonly #deleteLive: StatementSync;
  readonly #setMeta: StatementSync;

  constructor(path: string) {
    this.#db = new DatabaseSync(path);
    // FULL makes a commit in WAL mode wait for fsync: an acknowledged write survives a power cut.
    this.#db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA locking_mode = EXCLUSIVE;
      CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS log (
        revision INTEGER PRIMARY KEY, type TEXT NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL,
        name TEXT NOT NULL, previous INTEGER, json TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS live (
        resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,
        PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID;`);
    this.#insertRow = this.#db.prepare('INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)');
    this.#setLive = this.#db.prepare('INSERT OR REPLACE INTO live VALUES (?, ?, ?, ?)');
    this.#deleteLive = this.#db.prepare('DELETE FROM live WHERE resource = ? AND namespace = ? AND name = ?');
    this.#setMeta = this.#db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)');
  }

  meta(key: string): string | undefined {
    const row = this.#db.prepare('SELECT value FROM meta WHERE key = ?').get(key);
    return row === undefined ? undefined : String(row.value);
  }

  setMeta(key: string, value: string): void {
    this.#setMeta.run(key, value);
  }

  lastRevision(): number {
    return Number(this.#db.prepare('SELECT max(revision) AS last FROM log').get()?.last ?? 0);
  }

  *liveObjects(): Generator<{ resource: string; namespace: string; name: string; object: StoredObject }> {
    const rows = this.#db
      .prepare('SELECT live.resource, live.namespace, live.name, json FROM live JOIN log USING (revision)')
      .iterate();
    for (const row of rows) {
      yield {
        resource: String(row.resource),
        namespace: String(row.namespace),
        name: String(row.name),
        object: decode(row.json),
      };
    }
  }

  /** Events with `after < revision <= upTo`, in order. */
  *events(after: number, upTo: number): Generator<StoreEvent> {
    const rows = this.#db
      .prepare(
        `SELECT log.revision, log.type, log.resource, log.json, before.json AS previousJson
         FROM log LEFT JOIN log AS before ON before.revision = log.previous
         WHERE log.revision > ? AND log.revision <= ? ORDER BY log.revision`,
      )
      .iterate(after, upTo);
    for (const row of rows) {
      const event: StoreEvent = {
        type: row.type as StoreEvent['type'],
        revision: Number(row.revision),
        resource: String(row.resource),
        object: decode(row.json),
      };
      if (row.previousJson !== null) event.previous = decode(row.previousJson);
      yield event;
    }
  }

  /** Writes a batch in one transaction and returns once it is on disk; throws with nothing written. */
  commit(changes: readonly { event: StoreEvent; namespace: string; name: string; json: string }[]): void {
    this.#transaction(() => {
      for (const { event, namespace, name, json } of changes) {
        const previous =
          event.previous === undefined ? null : Number(event.previous.metadata.resourceVersion);
        this.#insertRow.run(event.revision, event.type, event.resource, namespace, name, previous, json);
        if (event.type === 'DELETED') this.#deleteLive.run(event.resource, namespace, name);
        else this.#setLive.run(event.resource, namespace, name, event.revision);
      }
    });
  }

  /** Forgets the history of revisions `from < revision <= upTo`. */
  compact(from: number, upTo: number): void {
    this.#transaction(() => {
      const range = 'revision > ? AND revision <= ?';
      // Each event leaves the window once, and takes with it the state it replaced; a deletion leaves nothing behind.
      this.#db
        .prepare(`DELETE FROM log WHERE revision IN (SELECT previous FROM log WHERE ${range})`)
        .run(from, upTo);
      this.#db.prepare(`DELETE FROM log WHERE ${range} AND type = 'DELETED'`).run(from, upTo);
      this.#setMeta.run('compactedRevision', String(upTo));
    });
  }

  close(): void {
    this.#db.close();
  }

  #transaction(body: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      body();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }
}

function decode(json: unknown): StoredObject {
  const text = String(json);
  const object = JSON.parse(text) as StoredObject;
  rememberJson(object, text);
  return object;
}
