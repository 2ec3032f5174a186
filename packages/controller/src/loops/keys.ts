import type { Meta } from './objects.ts';

/** The key of an object in a work queue: `namespace/name`, or `name` outside namespaces. */
export function keyOf(meta: Pick<Meta, 'namespace' | 'name'>): string {
  return meta.namespace ? `${meta.namespace}/${meta.name}` : meta.name;
}

export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0
    ? { namespace: '', name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
