/**
 * One container of a pod: started, probed, restarted with back-off, stopped. Its status is what the pod's status shows.
 * Source: upstream pkg/kubelet/kuberuntime/kuberuntime_container.go and kuberuntime_manager.go.
 */
import { createHash } from 'node:crypto';
import type { ContainerSpec, RunningContainer } from '@podwire/workload/container';
import type {
  Container,
  ContainerStateTerminated,
  ContainerStatus,
  Pod,
  Probe,
} from 'kubernetes-types/core/v1.js';
import type { EventTarget } from '../events.ts';
import type { ExecStreams } from '../http/exec.ts';
import { LogBuffer } from '../logs/log-buffer.ts';
import { attemptProbe, type ProbeTarget, TIMED_OUT } from '../probes/attempts.ts';
import { type ProbeKind, Prober } from '../probes/prober.ts';
import { sleep } from '../timer.ts';
import { RestartBackOff } from './back-off.ts';
import { captureExec } from './capture-exec.ts';
import { ContainerConfigError } from './env.ts';
import { runHook } from './hooks.ts';
import type { PodContext } from './pod-context.ts';
import type { PodRuntime } from './pod-runtime.ts';

export type ContainerKind = 'init' | 'sidecar' | 'app' | 'ephemeral';

/** What a container needs of the pod it is in. */
export interface ContainerHost {
  readonly context: PodContext;
  /** The newest object. */
  readonly pod: Pod;
  readonly runtime: PodRuntime;
  /** @throws ContainerConfigError */
  specFor(container: Container): ContainerSpec;
  /** The container's status is another one now. */
  changed(): void;
  /** A promise that settles when something a container's configuration may come from has changed. */
  configChanged(): Promise<void>;
}

/** How long a container that cannot be configured waits before it tries again without news. */
const CONFIG_RETRY_MS = 10_000;

/** What a container made for a person at a terminal runs until they come. */
const WAITS_FOR_ATTACH = { command: ['sleep', 'infinity'], args: [] };

/** Upstream takes this many lines and bytes of a failed container's log for its message. */
const FALLBACK_LOG_LINES = 80;
const FALLBACK_LOG_BYTES = 2048;

/**
 * Exit codes of a command that is not there. A probe or hook names programs of the image (`pg_isready`, `nodetool`),
 * and a stand-in has none of them: what it stands in for is taken to be well.
 */
const NOT_IN_IMAGE: ReadonlySet<number> = new Set([126, 127]);

export class PodContainer {
  readonly name: string;
  readonly kind: ContainerKind;
  readonly status: ContainerStatus;
  logs: LogBuffer;
  previousLogs: LogBuffer | undefined;
  /** The process, while there is one. */
  running: RunningContainer | undefined;
  /** Settles when the container has been started and its startup probe, if any, has succeeded. */
  readonly whenStarted: Promise<void>;
  #started!: () => void;
  #container: Container;
  readonly #host: ContainerHost;
  readonly #backOff: RestartBackOff;
  readonly #stop = new AbortController();
  #probers: Prober[] = [];
  #supervised: Promise<void> | undefined;
  /** What the container exits with when the session of a person at its terminal ended it. */
  #exitCode: number | undefined;

  /** @param previous status that an earlier agent process reported, to be carried on */
  constructor(host: ContainerHost, container: Container, kind: ContainerKind, previous?: ContainerStatus) {
    this.#host = host;
    this.#container = container;
    this.name = container.name;
    this.kind = kind;
    this.#backOff = new RestartBackOff(host.context.settings.probeDelayScale);
    this.logs = new LogBuffer(host.context.nowMs);
    this.whenStarted = new Promise((resolve) => {
      this.#started = resolve;
    });
    this.status = {
      name: container.name,
      image: container.image ?? '',
      imageID: '',
      ready: false,
      started: false,
      restartCount: 0,
      state: { waiting: { reason: 'ContainerCreating' } },
      lastState: {},
    };
    if (previous?.containerID) this.#carryOn(previous);
  }

  // The process died with the agent that ran it.
  #carryOn(previous: ContainerStatus): void {
    const status = this.status;
    status.restartCount = previous.restartCount + 1;
    status.lastState = previous.state?.terminated !== undefined ? previous.state : lost(previous);
  }

  /** Sets the state before the first start: waiting for its turn. */
  waitFor(reason: 'ContainerCreating' | 'PodInitializing'): void {
    this.status.state = { waiting: { reason } };
  }

  /** Sets a state that is final, for a container that an earlier agent process had finished. */
  finishedBefore(previous: ContainerStatus): void {
    const terminated = previous.state?.terminated ?? lost(previous).terminated;
    Object.assign(this.status, previous, { ready: this.kind === 'init' && terminated.exitCode === 0 });
    this.status.state = { terminated };
    this.#supervised = Promise.resolve();
    this.#finish();
  }

  get stopping(): boolean {
    return this.#stop.signal.aborted;
  }

  get container(): Container {
    return this.#container;
  }

  /** Runs the container, and again as its restart policy says. Settles when it will not run any more. */
  supervise(): Promise<void> {
    this.#supervised ??= this.#supervise();
    return this.#supervised;
  }

  /** A newer definition: another image restarts the container. */
  update(container: Container): void {
    const changed = container.image !== this.#container.image;
    this.#container = container;
    if (!changed || this.running === undefined) return;
    this.status.image = container.image ?? '';
    this.#restart(`Container ${this.name} definition changed, will be restarted`);
  }

  /** Runs preStop, stops the process within `graceMs`, and starts it no more. */
  async stop(graceMs: number): Promise<void> {
    if (this.#stop.signal.aborted) return void (await this.#supervised);
    this.#stop.abort();
    for (const prober of this.#probers) prober.stop();
    if (this.running !== undefined) {
      this.#event('Normal', 'Killing', `Stopping container ${this.name}`);
      await this.#end(this.running, graceMs);
    }
    await this.#supervised;
  }

  /**
   * Joins a client to the container's main process: it sees what the process writes from now on. A container that was
   * made for a person at a terminal (`stdin: true`) gives them its command instead, and ends with it if `stdinOnce`.
   * @returns the exit code for the client
   */
  async attach(streams: ExecStreams): Promise<number> {
    const process = this.running;
    if (process === undefined) return 0;
    if (this.#container.stdin && streams.stdin !== undefined) {
      const argv = [...(this.#container.command ?? []), ...(this.#container.args ?? [])];
      const exitCode = await process.exec(argv.length > 0 ? argv : ['sh'], streams);
      if (this.#container.stdinOnce) {
        this.#exitCode = exitCode;
        process.kill();
      }
      return exitCode;
    }
    await new Promise<void>((resolve) => {
      const stop = this.logs.follow((line) => {
        if (line === undefined) resolve();
        else streams[line.stream].write(`${line.text}\n`);
      });
      streams.signal.addEventListener('abort', () => {
        stop();
        resolve();
      });
    });
    return this.status.state?.terminated?.exitCode ?? 0;
  }

  /** Ends the process now. */
  kill(): void {
    this.#stop.abort();
    for (const prober of this.#probers) prober.stop();
    this.running?.kill();
  }

  async #supervise(): Promise<void> {
    const { context } = this.#host;
    for (;;) {
      const spec = await this.#configured();
      if (spec === undefined) return this.#finish();
      const startedMs = context.nowMs();
      const exitCode = await this.#runOnce(spec);
      if (this.stopping || !this.#restartsAfter(exitCode)) return this.#finish();
      const delayMs = this.#backOff.next(context.nowMs() - startedMs);
      if (delayMs > 0 && !(await this.#backOffFor(delayMs))) return this.#finish();
      if (this.status.state?.terminated !== undefined) {
        this.status.lastState = { terminated: this.status.state.terminated };
      }
      this.status.restartCount += 1;
      context.counters.containerRestarts += 1;
    }
  }

  #finish(): void {
    this.logs.close();
    this.#started();
  }

  #restartsAfter(exitCode: number): boolean {
    if (this.kind === 'sidecar') return true;
    if (this.kind === 'ephemeral') return false;
    const policy = this.#host.pod.spec?.restartPolicy ?? 'Always';
    // An init container that has succeeded is done under every policy.
    if (policy === 'Always' && this.kind === 'app') return true;
    return policy !== 'Never' && exitCode !== 0;
  }

  /** The spec to run, once its configuration is there; undefined when the container is to be stopped first. */
  async #configured(): Promise<ContainerSpec | undefined> {
    for (;;) {
      if (this.stopping) return undefined;
      try {
        return this.#host.specFor(this.#container);
      } catch (error) {
        if (!(error instanceof ContainerConfigError)) throw error;
        const news = this.#host.configChanged();
        this.#wait('CreateContainerConfigError', error.message);
        this.#event('Warning', 'Failed', `Error: ${error.message}`);
        const retry = new AbortController();
        const { setTimer } = this.#host.context;
        const stopped = AbortSignal.any([this.#stop.signal, retry.signal]);
        await Promise.race([news, sleep(setTimer, CONFIG_RETRY_MS, stopped)]);
        retry.abort();
      }
    }
  }

  #wait(reason: string, message: string): void {
    const { status } = this;
    if (status.state?.terminated !== undefined) status.lastState = { terminated: status.state.terminated };
    status.state = { waiting: { reason, message } };
    this.#host.changed();
  }

  async #backOffFor(delayMs: number): Promise<boolean> {
    const { context, pod } = this.#host;
    const { name, namespace, uid } = pod.metadata!;
    const identity = `${name}_${namespace}(${uid})`;
    this.#wait(
      'CrashLoopBackOff',
      `back-off ${goDuration(delayMs)} restarting failed container=${this.name} pod=${identity}`,
    );
    this.#event('Warning', 'BackOff', `Back-off restarting failed container ${this.name} in pod ${identity}`);
    return sleep(context.setTimer, delayMs, this.#stop.signal);
  }

  /** Starts the process and waits for its end; the exit code. */
  async #runOnce(spec: ContainerSpec): Promise<number> {
    const { context } = this.#host;
    const { status } = this;
    this.previousLogs =
      this.logs.read({ tailLines: 1 }).length > 0 || this.logs.closed ? this.logs : this.previousLogs;
    this.logs.close();
    const logs = new LogBuffer(context.nowMs);
    this.logs = logs;
    this.#pullEvents();
    const startedAt = timestamp(context.nowMs());
    status.containerID = `containerd://${randomHex(context.random32, 8)}`;
    status.imageID = imageId(status.image);
    let process: RunningContainer;
    try {
      process = this.#host.runtime.start(this.#container.stdin ? { ...spec, ...WAITS_FOR_ATTACH } : spec, {
        stdout: (line) => logs.append('stdout', line),
        stderr: (line) => logs.append('stderr', line),
      });
    } catch (error) {
      const message = (error as Error).message;
      this.#event(
        'Warning',
        'Failed',
        `Error: failed to start container ${JSON.stringify(this.name)}: ${message}`,
      );
      return this.#terminated(startedAt, { exitCode: 128, reason: 'StartError', message });
    }
    this.running = process;
    this.#event('Normal', 'Created', `Created container: ${this.name}`);
    this.#event('Normal', 'Started', `Started container ${this.name}`);
    status.state = { running: { startedAt } };
    const target = this.#target(process);
    void this.#afterStart(process, target);
    const ended = await process.exited;
    const exit = this.#exitCode === undefined ? ended : { exitCode: this.#exitCode };
    this.#exitCode = undefined;
    if (this.running === process) this.running = undefined;
    for (const prober of this.#probers) prober.stop();
    this.#probers = [];
    return this.#terminated(startedAt, exit);
  }

  /** postStart, then the probes. */
  async #afterStart(process: RunningContainer, target: ProbeTarget): Promise<void> {
    const { context } = this.#host;
    const hook = this.#container.lifecycle?.postStart;
    if (hook !== undefined) {
      const failure = await runHook(hook, target, context.setTimer, this.#stop.signal);
      if (this.running !== process) return;
      if (failure !== undefined) {
        this.#event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${failure}`);
        this.#event('Normal', 'Killing', 'FailedPostStartHook');
        await process.stop(this.#graceMs());
        return;
      }
    }
    if (this.stopping) return;
    const startup = this.#container.startupProbe;
    if (startup === undefined) this.#isStarted(target);
    else this.#probe('startup', startup, target);
    this.#host.changed();
  }

  #isStarted(target: ProbeTarget): void {
    this.status.started = true;
    this.#started();
    const { readinessProbe, livenessProbe } = this.#container;
    if (readinessProbe === undefined) this.status.ready = true;
    else this.#probe('readiness', readinessProbe, target);
    if (livenessProbe !== undefined) this.#probe('liveness', livenessProbe, target);
  }

  #probe(kind: ProbeKind, probe: Probe, target: ProbeTarget): void {
    const { context } = this.#host;
    const title = kind[0]!.toUpperCase() + kind.slice(1);
    const prober = new Prober({
      kind,
      probe,
      delayScale: context.settings.probeDelayScale,
      attempt: (timeoutMs) => attemptProbe(probe, target, timeoutMs),
      setTimer: context.setTimer,
      pace: context.pace,
      onFailure: (message) => this.#event('Warning', 'Unhealthy', `${title} probe failed: ${message}`),
      onVerdict: (ok) => {
        if (kind === 'readiness') this.status.ready = ok;
        else if (kind === 'startup' && ok) this.#isStarted(target);
        else if (!ok) {
          const grace = probe.terminationGracePeriodSeconds;
          this.#restart(
            `Container ${this.name} failed ${kind} probe, will be restarted`,
            grace === undefined ? undefined : grace * 1000,
          );
        }
        this.#host.changed();
      },
    });
    this.#probers.push(prober);
    prober.start();
  }

  /** Stops the process; the supervisor then starts the next one. */
  #restart(message: string, graceMs?: number): void {
    const process = this.running;
    if (process === undefined || this.stopping) return;
    this.#event('Normal', 'Killing', message);
    for (const prober of this.#probers) prober.stop();
    this.status.ready = false;
    void this.#end(process, graceMs ?? this.#graceMs());
  }

  async #end(process: RunningContainer, graceMs: number): Promise<void> {
    const { context } = this.#host;
    const hook = this.#container.lifecycle?.preStop;
    const beganMs = context.nowMs();
    if (hook !== undefined && graceMs > 0) {
      const over = new AbortController();
      const timer = context.setTimer(() => over.abort(), graceMs);
      const late = new Promise<undefined>((resolve) => {
        over.signal.addEventListener('abort', () => resolve(undefined), { once: true });
      });
      const hooked = runHook(hook, this.#target(process), context.setTimer, over.signal);
      const failure = await Promise.race([hooked, late, process.exited.then(() => undefined)]);
      timer.cancel();
      if (failure !== undefined)
        this.#event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${failure}`);
    }
    // Upstream leaves at least two seconds after a hook that took all of the time.
    const leftMs = Math.max(graceMs - (context.nowMs() - beganMs), Math.min(graceMs, 2000));
    if (leftMs <= 0) process.kill();
    else await process.stop(leftMs);
  }

  #graceMs(): number {
    return (this.#host.pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  #terminated(startedAt: string, exit: { exitCode: number; reason?: string; message?: string }): number {
    const { status } = this;
    const terminated: ContainerStateTerminated = {
      exitCode: exit.exitCode,
      reason: exit.reason ?? (exit.exitCode === 0 ? 'Completed' : 'Error'),
      startedAt,
      finishedAt: timestamp(this.#host.context.nowMs()),
      containerID: status.containerID!,
    };
    const usesLogs = this.#container.terminationMessagePolicy === 'FallbackToLogsOnError';
    const message =
      exit.message ??
      (usesLogs && exit.exitCode !== 0 ? this.logs.tail(FALLBACK_LOG_LINES, FALLBACK_LOG_BYTES) : '');
    if (message) terminated.message = message;
    status.state = { terminated };
    status.ready = this.kind === 'init' && exit.exitCode === 0;
    status.started = false;
    this.#host.changed();
    return exit.exitCode;
  }

  #pullEvents(): void {
    const { context } = this.#host;
    const image = JSON.stringify(this.#container.image ?? '');
    const always = this.#container.imagePullPolicy === 'Always';
    if (!always && context.images.has(this.#container.image ?? '')) {
      this.#event('Normal', 'Pulled', `Container image ${image} already present on machine`);
      return;
    }
    context.images.add(this.#container.image ?? '');
    // Nothing is fetched: the image's name chooses a built-in program.
    this.#event('Normal', 'Pulling', `Pulling image ${image}`);
    this.#event(
      'Normal',
      'Pulled',
      `Successfully pulled image ${image} in 0s (0s including waiting). Image size: 0 bytes.`,
    );
  }

  #target(process: RunningContainer): ProbeTarget {
    const { context, runtime } = this.#host;
    return {
      dialer: context.hostStack,
      container: this.#container,
      podIP: runtime.podIPs[0] ?? '',
      exec: async (argv, timeoutMs) => {
        const { exitCode, output, timedOut } = await captureExec(process, argv, timeoutMs);
        if (timedOut) return { exitCode: TIMED_OUT, output };
        return { exitCode: NOT_IN_IMAGE.has(exitCode) ? 0 : exitCode, output };
      },
    };
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { context, pod } = this.#host;
    const list =
      this.kind === 'ephemeral'
        ? 'ephemeralContainers'
        : this.kind === 'app'
          ? 'containers'
          : 'initContainers';
    const target: EventTarget = { ...podTarget(pod), fieldPath: `spec.${list}{${this.name}}` };
    if (type === 'Normal') context.events.normal(target, reason, message);
    else context.events.warning(target, reason, message);
  }
}

/** A pod as an Event names it. */
export function podTarget(pod: Pod): EventTarget {
  const { name, namespace, uid } = pod.metadata!;
  return { kind: 'Pod', namespace: namespace!, name: name!, uid: uid! };
}

/** RFC 3339 with whole seconds, as every time in a status. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

// Upstream's words for a container whose end nobody saw.
function lost(previous: ContainerStatus): { terminated: ContainerStateTerminated } {
  const terminated: ContainerStateTerminated = {
    exitCode: 255,
    reason: 'Unknown',
    containerID: previous.containerID ?? '',
  };
  const startedAt = previous.state?.running?.startedAt;
  if (startedAt !== undefined) terminated.startedAt = startedAt;
  return { terminated };
}

function randomHex(random32: () => number, words: number): string {
  let text = '';
  for (let i = 0; i < words; i++) text += random32().toString(16).padStart(8, '0');
  return text;
}

function imageId(image: string): string {
  const digest = createHash('sha256').update(image).digest('hex');
  return image.includes('@sha256:') ? image : `${image.replace(/:[^/:]*$/, '')}@sha256:${digest}`;
}

/** A duration as Go prints it: 10s, 1m20s, 200ms. */
export function goDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.round((ms % 60_000) / 100) / 10;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}
