import type { KubeObject } from '@podwire/kube/object';
import type { Role } from './types.ts';

/** A durable change of one object. */
export interface SourceEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** Grows with each event, over all resources. */
  revision: number;
  resource: string;
  object: KubeObject;
  previous?: KubeObject;
}

/** The revisioned objects a hub serves. Objects are shared and never mutated. */
export interface SyncSource {
  /** Identity of the store: revisions of another one mean nothing here. */
  readonly instanceId: string;
  /**
   * Revision of the newest change. Asking makes every change so far durable and, unless asked by a watcher, tells it to all watchers
   * before the answer comes, so that lists taken in the same turn are of this revision.
   */
  revision(): number;
  /** The newest objects of one resource. */
  list(resource: string, namespace?: string): readonly KubeObject[];
  /** Tells each durable change from now on, in the order of revisions. Returns the stop function. */
  watch(listener: (event: SourceEvent) => void): () => void;
  /** Changes after `since` in order, or undefined when history does not reach back so far. */
  history(since: number): readonly SourceEvent[] | undefined;
}

/** How an object looks to some peers. There are few views, made once: encodings are kept per object and view. */
export interface View {
  readonly name: string;
  /** Whether several peers see it: only then is the encoding kept. */
  readonly shared: boolean;
  apply(object: KubeObject): KubeObject;
  /** True when both look alike in this view, apart from the resourceVersion: the change is then not sent. */
  same?(a: KubeObject, b: KubeObject): boolean;
}

/** All objects of a resource in a namespace whose visibility changes at once. */
export interface Scope {
  resource: string;
  namespace: string;
}

/** What one peer sees. An interest may have state (which namespaces have pods here); it is told every event before it is asked. */
export interface Interest {
  /** Resources in the order of a snapshot. */
  readonly resources: readonly string[];
  /** Resources whose visibility depends on other objects; a peer that resumes is sent all of them. */
  readonly scoped: readonly string[];
  /** How the peer sees the object; undefined when it does not. */
  view(resource: string, object: KubeObject): View | undefined;
  /** Takes note of an event. Returns the scopes that became visible or invisible by it. */
  observe(event: SourceEvent): readonly Scope[];
}

/** Who is at the other end. */
export interface PeerIdentity {
  role: Role;
  nodeName: string;
  /** Random per process. */
  sessionId: string;
}

/** What a hub tells about a peer, for status pages. */
export interface PeerStatus extends PeerIdentity {
  /** Revision the peer has acknowledged. */
  revision: number;
  /** Changes waiting for the peer. */
  pending: number;
  connectedAtMs: number;
  /** Text of the last refusal while the peer holds to an older state, '' when all is well. */
  refusal: string;
}
