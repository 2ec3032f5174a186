/**
 * Keeps the pods of this node as the API wants them: one worker for each pod that is bound here.
 */
import type { Change } from '@podwire/sync/types';
import type { Pod } from 'kubernetes-types/core/v1.js';
import type { PodContext } from './pod-context.ts';
import { PodWorker } from './pod-worker.ts';

export class PodManager {
  readonly #context: PodContext;
  readonly #byUid = new Map<string, PodWorker>();
  #stopping = false;

  constructor(context: PodContext) {
    this.#context = context;
  }

  /** The worker of the pod that has this name now. */
  find(namespace: string, name: string): PodWorker | undefined {
    let found: PodWorker | undefined;
    // A replaced pod may still be stopping: the newest one of that name counts.
    for (const worker of this.#byUid.values()) {
      if (worker.name === name && worker.namespace === namespace) found = worker;
    }
    return found;
  }

  all(): Iterable<PodWorker> {
    return this.#byUid.values();
  }

  get size(): number {
    return this.#byUid.size;
  }

  /** Makes the pods what a whole snapshot says: after the first one, and after each that did not resume. */
  reconcile(): void {
    const wanted = new Set<string>();
    for (const pod of this.#context.state.list<Pod>('pods')) {
      if (!this.#isOurs(pod)) continue;
      wanted.add(pod.metadata!.uid!);
      this.#want(pod);
    }
    for (const [uid, worker] of this.#byUid) if (!wanted.has(uid)) worker.forget();
  }

  /** Takes changes as they come. */
  apply(changes: readonly Change[]): void {
    const namespaces = new Set<string>();
    for (const { resource, type, object } of changes) {
      if (resource === 'pods') {
        const pod = object as Pod;
        if (type === 'DELETED') this.#byUid.get(pod.metadata!.uid!)?.forget();
        else if (this.#isOurs(pod)) this.#want(pod);
      } else if (resource === 'configmaps' || resource === 'secrets') {
        namespaces.add(object.metadata.namespace ?? '');
      }
    }
    for (const namespace of namespaces) this.configurationChanged(namespace);
  }

  /** Something that the containers of a namespace may be configured from is another one now. */
  configurationChanged(namespace: string): void {
    for (const worker of this.#byUid.values()) {
      if (worker.namespace === namespace) worker.configurationChanged();
    }
  }

  /** Stops every pod, giving each at most `graceMs`, without telling the API that they were deleted. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    const workers = [...this.#byUid.values()];
    for (const worker of workers) worker.forget();
    await Promise.race([
      Promise.all(workers.map(({ done }) => done)),
      new Promise<void>((resolve) => this.#context.setTimer(resolve, graceMs)),
    ]);
  }

  #isOurs(pod: Pod): boolean {
    return pod.spec?.nodeName === this.#context.nodeName;
  }

  #want(pod: Pod): void {
    if (this.#stopping) return;
    const uid = pod.metadata!.uid!;
    const worker = this.#byUid.get(uid);
    if (worker !== undefined) {
      worker.update(pod);
      return;
    }
    const made = new PodWorker(this.#context, pod);
    this.#byUid.set(uid, made);
    void made.done.then(() => this.#byUid.delete(uid));
  }
}
