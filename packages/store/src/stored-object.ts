/** The part of a Kubernetes object that a store needs to know. */
export interface StoredObject {
  apiVersion?: string;
  kind?: string;
  metadata: { name?: string; namespace?: string; resourceVersion?: string };
}

/** A change, told once it is durable. A DELETED event's object is the last state, stamped with the deletion's own revision. */
export interface StoreEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  revision: number;
  resource: string;
  object: StoredObject;
  /** State before a MODIFIED or DELETED event. */
  previous?: StoredObject;
}

/** Why the store refuses: the key is taken, is not there, has another revision, or history no longer reaches back so far. */
export type ConflictReason = 'exists' | 'missing' | 'conflict' | 'compacted';

export class StoreConflict extends Error {
  override readonly name = 'StoreConflict';
  readonly reason: ConflictReason;
  /** The object that stands in the way, for 'exists' and 'conflict'. */
  readonly current: StoredObject | undefined;

  constructor(reason: ConflictReason, message: string, current?: StoredObject) {
    super(message);
    this.reason = reason;
    this.current = current;
  }
}

const encodings = new WeakMap<object, string>();

/**
 * JSON text of an object that came out of a store. Written once per revision and kept beside the object, so that a list or a
 * thousand watchers cost no further encoding; any other object is encoded on the spot.
 */
export function encodedJson(object: object): string {
  return encodings.get(object) ?? JSON.stringify(object);
}

/** Remembers the JSON text of an object nobody will change any more. */
export function rememberJson(object: object, json: string): void {
  encodings.set(object, json);
}
