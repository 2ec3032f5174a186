/**
 * One pod from its arrival on the node to its end: network, volumes, init containers in order, containers, deletion.
 * Source: upstream pkg/kubelet (pod_workers.go, kuberuntime/kuberuntime_manager.go).
 */
import type { ContainerSpec } from '@podwire/workload/container';
import type { Container, ContainerStatus, Pod, PodStatus } from 'kubernetes-types/core/v1.js';
import { sleep, type Timer } from '../timer.ts';
import { type ContainerHost, PodContainer, podTarget, timestamp } from './container.ts';
import { PodConfig } from './pod-config.ts';
import type { PodContext } from './pod-context.ts';
import type { PodRuntime } from './pod-runtime.ts';
import { isSidecar, podStatus } from './status.ts';

/** How long a pod waits before a step that failed is tried again without news. */
const RETRY_MS = 1_000;

export class PodWorker implements ContainerHost {
  readonly context: PodContext;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  pod: Pod;
  podIPs: readonly string[] = [];
  /** Settles when nothing of the pod is left on the node. */
  readonly done: Promise<void>;
  /** The pod's place on the network, while it has one. */
  network: PodRuntime | undefined;
  readonly containers = new Map<string, PodContainer>();
  readonly #config: PodConfig;
  readonly #startTime: string;
  /** Aborted when the pod is to stop. */
  readonly #ending = new AbortController();
  /** Aborted when the pod is to go: deleted, or the agent stops. */
  readonly #leaving = new AbortController();
  #graceMs = Number.POSITIVE_INFINITY;
  /** Whether the API is to hear of the pod: not once its object is gone. */
  #reports = true;
  #terminal = false;
  #ended: { reason: string; message: string } | undefined;
  #lastStatus: PodStatus | undefined;
  #lastText = '';
  #publishQueued = false;
  #news: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(context: PodContext, pod: Pod) {
    this.context = context;
    this.pod = pod;
    this.uid = pod.metadata!.uid!;
    this.namespace = pod.metadata!.namespace!;
    this.name = pod.metadata!.name!;
    this.#config = new PodConfig(context, this);
    this.#lastStatus = pod.status;
    this.#startTime = pod.status?.startTime ?? timestamp(context.nowMs());
    if (pod.metadata!.deletionTimestamp !== undefined) this.end(0);
    this.done = this.#live().catch((err) => {
      context.log.error({ pod: `${this.namespace}/${this.name}`, err }, 'a pod worker failed');
    });
  }

  get runtime(): PodRuntime {
    if (this.network === undefined) throw new Error(`pod ${this.namespace}/${this.name} has no network`);
    return this.network;
  }

  /** A newer object of the same pod. */
  update(pod: Pod): void {
    this.pod = pod;
    if (pod.metadata?.deletionTimestamp !== undefined) {
      this.end((pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000);
      return;
    }
    if (this.#ending.signal.aborted) return;
    for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
      this.containers.get(container.name)?.update(container);
    }
    if (this.network !== undefined) this.#startEphemeral();
    this.changed();
  }

  /** Stops the pod and lets it go; of two graces the shorter counts. */
  end(graceMs: number): void {
    this.#leaving.abort();
    this.#stopWithin(graceMs);
  }

  /** The object is gone, or the agent ends: stops everything at once and reports nothing. */
  forget(): void {
    this.#reports = false;
    this.end(0);
  }

  /** A ConfigMap, Secret or Service of the namespace has changed. */
  configurationChanged(): void {
    this.#news?.resolve();
    this.#news = undefined;
    if (this.network === undefined) return;
    for (const spec of this.#config.refresh()) this.network.filesChanged(spec);
  }

  configChanged(): Promise<void> {
    if (this.#news === undefined) {
      let resolve!: () => void;
      const promise = new Promise<void>((settle) => {
        resolve = settle;
      });
      this.#news = { promise, resolve };
    }
    return this.#news.promise;
  }

  specFor(container: Container): ContainerSpec {
    return this.#config.specFor(container);
  }

  changed(): void {
    if (this.#publishQueued) return;
    this.#publishQueued = true;
    queueMicrotask(() => {
      this.#publishQueued = false;
      this.#publish();
    });
  }

  async #live(): Promise<void> {
    const phase = this.pod.status?.phase;
    const finished = phase === 'Succeeded' || phase === 'Failed';
    if (!finished && !this.#leaving.signal.aborted) await this.#run();
    await aborted(this.#leaving.signal);
    if (this.#reports) {
      this.context.report({ kind: 'podDeleted', namespace: this.namespace, name: this.name, uid: this.uid });
    }
  }

  async #run(): Promise<void> {
    this.#makeContainers();
    this.changed();
    const deadline = this.#limitLife();
    try {
      const ready =
        (await this.#until('FailedCreatePodSandBox', 'Failed to create pod sandbox: ', () =>
          this.#connect(),
        )) && (await this.#until('FailedMount', '', () => this.#config.mount()));
      if (ready && (await this.#initialize())) {
        this.#startEphemeral();
        const apps = [...this.containers.values()].filter(({ kind }) => kind === 'app');
        await Promise.race([
          Promise.all(apps.map((container) => container.supervise())),
          aborted(this.#ending.signal),
        ]);
      }
      await this.#stopContainers();
    } finally {
      deadline?.cancel();
      this.#terminal = true;
      this.network?.close();
      this.network = undefined;
      this.#publish();
    }
  }

  #makeContainers(): void {
    const { spec, status } = this.pod;
    const before = new Map<string, ContainerStatus>();
    for (const list of [status?.initContainerStatuses, status?.containerStatuses]) {
      for (const container of list ?? []) before.set(container.name, container);
    }
    const inits = spec?.initContainers ?? [];
    for (const container of inits) {
      const kind = isSidecar(container) ? 'sidecar' : 'init';
      const made = new PodContainer(this, container, kind, before.get(container.name));
      made.waitFor('PodInitializing');
      this.containers.set(container.name, made);
    }
    const policy = spec?.restartPolicy ?? 'Always';
    for (const container of spec?.containers ?? []) {
      const previous = before.get(container.name);
      const made = new PodContainer(this, container, 'app', previous);
      made.waitFor(inits.length > 0 ? 'PodInitializing' : 'ContainerCreating');
      // An earlier agent process ran it. What may not run twice has had its turn.
      const exitCode = previous?.state?.terminated?.exitCode;
      if (previous?.containerID && (policy === 'Never' || (policy === 'OnFailure' && exitCode === 0))) {
        made.finishedBefore(previous);
      }
      this.containers.set(container.name, made);
    }
  }

  async #connect(): Promise<void> {
    this.network = await this.context.createRuntime(this.pod);
    this.podIPs = this.network.podIPs;
    this.changed();
  }

  /** Tries `work` until it succeeds; false when the pod is to stop first. */
  async #until(reason: string, prefix: string, work: () => void | Promise<void>): Promise<boolean> {
    const { context } = this;
    for (;;) {
      if (this.#ending.signal.aborted) return false;
      const news = this.configChanged();
      try {
        await work();
        return true;
      } catch (error) {
        context.events.warning(podTarget(this.pod), reason, `${prefix}${(error as Error).message}`);
      }
      const tried = new AbortController();
      const signal = AbortSignal.any([tried.signal, this.#ending.signal]);
      await Promise.race([news, sleep(context.setTimer, RETRY_MS, signal)]);
      tried.abort();
    }
  }

  /** Runs the init containers one after the other; false when the pod failed or is to stop. */
  async #initialize(): Promise<boolean> {
    const { signal } = this.#ending;
    for (const container of this.containers.values()) {
      if (container.kind === 'init') {
        await Promise.race([container.supervise(), aborted(signal)]);
        if (signal.aborted || container.status.state?.terminated?.exitCode !== 0) return false;
      } else if (container.kind === 'sidecar') {
        void container.supervise();
        await Promise.race([container.whenStarted, aborted(signal)]);
        if (signal.aborted) return false;
      }
    }
    return true;
  }

  /** Ephemeral containers are added to a running pod; each runs once. */
  #startEphemeral(): void {
    for (const container of this.pod.spec?.ephemeralContainers ?? []) {
      if (this.containers.has(container.name)) continue;
      const made = new PodContainer(this, container as Container, 'ephemeral');
      this.containers.set(container.name, made);
      void made.supervise();
    }
  }

  // Sidecars outlive the others and stop in reverse order.
  async #stopContainers(): Promise<void> {
    const began = this.context.nowMs();
    const fallback = (this.pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000;
    const leftMs = () => Math.max(0, Math.min(this.#graceMs, fallback) - (this.context.nowMs() - began));
    const all = [...this.containers.values()];
    await Promise.all(
      all.filter(({ kind }) => kind !== 'sidecar').map((container) => container.stop(leftMs())),
    );
    for (const container of all.filter(({ kind }) => kind === 'sidecar').reverse()) {
      await container.stop(leftMs());
    }
  }

  #stopWithin(graceMs: number): void {
    if (graceMs >= this.#graceMs) return;
    const again = this.#ending.signal.aborted;
    this.#graceMs = graceMs;
    this.#ending.abort();
    // A second, shorter grace: whoever still runs at its end is killed.
    const kill = () => {
      for (const container of this.containers.values()) container.kill();
    };
    if (again && graceMs === 0) kill();
    else if (again) this.context.setTimer(kill, graceMs);
  }

  #limitLife(): Timer | undefined {
    const seconds = this.pod.spec?.activeDeadlineSeconds;
    if (seconds === undefined) return undefined;
    const usedMs = Math.max(0, this.context.nowMs() - Date.parse(this.#startTime));
    return this.context.setTimer(
      () => {
        const message = 'Pod was active on the node longer than the specified deadline';
        this.#ended = { reason: 'DeadlineExceeded', message };
        this.context.events.normal(podTarget(this.pod), 'DeadlineExceeded', message);
        this.#stopWithin((this.pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000);
      },
      seconds * 1000 - usedMs,
    );
  }

  #publish(): void {
    if (!this.#reports) return;
    const { context } = this;
    const statuses = new Map<string, ContainerStatus>();
    for (const [name, container] of this.containers) statuses.set(name, container.status);
    const status = podStatus(
      this.pod,
      {
        podIPs: this.podIPs,
        hostIPs: context.nodeAddresses,
        startTime: this.#startTime,
        statuses,
        sandboxReady: this.network !== undefined,
        terminal: this.#terminal,
        ...(this.#ended !== undefined && { ended: this.#ended }),
      },
      this.#lastStatus,
      timestamp(context.nowMs()),
    );
    const text = JSON.stringify(status);
    if (text === this.#lastText) return;
    this.#lastText = text;
    // The statuses are the containers' own objects: what is kept and sent must not change with them.
    const copy = JSON.parse(text) as PodStatus;
    this.#lastStatus = copy;
    context.report({
      kind: 'podStatus',
      namespace: this.namespace,
      name: this.name,
      uid: this.uid,
      status: copy as unknown as Record<string, unknown>,
    });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
