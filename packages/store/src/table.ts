import type { StoredObject } from './stored-object.ts';

/** Newest objects of one resource, by namespace and name, with ordered lists made when asked for and shared until a change. */
export class Table {
  readonly #namespaces = new Map<string, Map<string, StoredObject>>();
  readonly #listsByNamespace = new Map<string, readonly StoredObject[]>();
  #all: readonly StoredObject[] | undefined;

  get(namespace: string, name: string): StoredObject | undefined {
    return this.#namespaces.get(namespace)?.get(name);
  }

  set(namespace: string, name: string, object: StoredObject): void {
    let objects = this.#namespaces.get(namespace);
    if (objects === undefined) this.#namespaces.set(namespace, (objects = new Map()));
    objects.set(name, object);
    this.#forgetLists(namespace);
  }

  remove(namespace: string, name: string): void {
    const objects = this.#namespaces.get(namespace);
    if (objects === undefined) return;
    objects.delete(name);
    if (objects.size === 0) this.#namespaces.delete(namespace);
    this.#forgetLists(namespace);
  }

  /** Ordered by namespace, then name, both by code unit. */
  list(namespace: string | undefined): readonly StoredObject[] {
    if (namespace === undefined) {
      return (this.#all ??= [...this.#namespaces.keys()].sort().flatMap((each) => this.list(each)));
    }
    let list = this.#listsByNamespace.get(namespace);
    if (list === undefined) {
      const objects = this.#namespaces.get(namespace);
      if (objects === undefined) return [];
      list = [...objects.keys()].sort().map((name) => objects.get(name)!);
      this.#listsByNamespace.set(namespace, list);
    }
    return list;
  }

  #forgetLists(namespace: string): void {
    this.#all = undefined;
    this.#listsByNamespace.delete(namespace);
  }
}
