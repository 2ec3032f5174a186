/**
 * The cluster's state as control loops and the sync hub see it: the same admission, defaulting and validation as over HTTP,
 * without the HTTP. Resources are named as in `resourceId` of kube/resources.ts ('pods', 'deployments.apps').
 * Objects handed out are shared: never mutate one, copy it. Every failure is an ApiError that carries a metav1.Status.
 */
export interface Api {
  /** The newest object, or undefined. `namespace` is '' for cluster-scoped resources. */
  get<T>(resource: string, namespace: string, name: string): T | undefined;
  /** All objects ordered by namespace, then name. The array is shared and frozen by convention. */
  list<T>(resource: string, options?: { namespace?: string }): readonly T[];
  /** Creates and resolves once the object is durable. The argument is copied, never changed. */
  create<T>(resource: string, object: T, options?: WriteOptions): Promise<T>;
  /** Replaces; 409 when metadata.resourceVersion is given and stale. With a subresource only its part is written. */
  update<T>(resource: string, object: T, options?: UpdateOptions): Promise<T>;
  /** RFC 7386 merge patch against the newest object, retried by itself when it races with another write. */
  patch<T>(
    resource: string,
    namespace: string,
    name: string,
    patch: unknown,
    options?: UpdateOptions,
  ): Promise<T>;
  /**
   * Deletes as upstream: finalizers and, for pods on a node, a grace period leave the object in place with a
   * deletionTimestamp; it goes when the last finalizer is removed or a delete with grace 0 arrives.
   */
  delete(resource: string, namespace: string, name: string, options?: DeleteOptions): Promise<void>;
  /** Existing objects first as ADDED, before this returns; then every change once it is durable. Returns the stop function. */
  watch<T>(resource: string, handler: (event: ApiEvent<T>) => void): () => void;
}

export interface ApiEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: T;
  previous?: T;
}

export interface WriteOptions {
  /** Runs everything but the write. */
  dryRun?: boolean;
  /** Name under which metadata.managedFields records the change; none are recorded without it. */
  fieldManager?: string;
}

export interface UpdateOptions extends WriteOptions {
  /** 'status', 'scale' or another subresource of the resource. */
  subresource?: string;
}

export interface DeleteOptions {
  /** Seconds; 0 removes at once. Without it: a pod's terminationGracePeriodSeconds, 0 for all else. */
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun?: boolean;
}
