import type { KubeObject } from '@podwire/kube/object';
import type { Report, SyncState } from '@podwire/sync/types';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import type {
  ContainerOutput,
  ContainerSpec,
  ExecStreams,
  RunningContainer,
} from '@podwire/workload/container';
import type { Pod, PodStatus } from 'kubernetes-types/core/v1.js';
import { EventRecorder } from '../src/events.ts';
import type { HostStack } from '../src/host-stack.ts';
import type { PodContext } from '../src/pods/pod-context.ts';
import type { PodRuntime } from '../src/pods/pod-runtime.ts';
import { ProbePace } from '../src/probes/prober.ts';
import { FakeClock } from './fake-clock.ts';

/** State that tests write by hand. */
export class FakeState implements SyncState {
  readonly instanceId = 'test';
  readonly revision = 1;
  readonly synced = true;
  readonly #objects = new Map<string, KubeObject>();

  put(resource: string, object: object): void {
    const { namespace = '', name } = (object as KubeObject).metadata;
    this.#objects.set(`${resource}\n${namespace}\n${name}`, object as KubeObject);
  }

  remove(resource: string, namespace: string, name: string): void {
    this.#objects.delete(`${resource}\n${namespace}\n${name}`);
  }

  get<T>(resource: string, namespace: string, name: string): T | undefined {
    return this.#objects.get(`${resource}\n${namespace}\n${name}`) as T | undefined;
  }

  list<T>(resource: string, namespace?: string): readonly T[] {
    const prefix = namespace === undefined ? `${resource}\n` : `${resource}\n${namespace}\n`;
    return [...this.#objects].filter(([key]) => key.startsWith(prefix)).map(([, object]) => object as T);
  }
}

/** A container's process in a test: it does what it is told. */
export class FakeProcess implements RunningContainer {
  readonly spec: ContainerSpec;
  readonly output: ContainerOutput;
  readonly exited: Promise<{ exitCode: number; reason?: string }>;
  readonly commands: string[][] = [];
  stoppedWith: number | undefined;
  killed = false;
  /** What `exec` answers: an exit code, or a function of the command. */
  execResult: (argv: string[], io: ExecStreams) => Promise<number> = async () => 0;
  /** Whether SIGTERM ends it. */
  obeys = true;
  #exit!: (exit: { exitCode: number }) => void;

  constructor(spec: ContainerSpec, output: ContainerOutput) {
    this.spec = spec;
    this.output = output;
    this.exited = new Promise((resolve) => {
      this.#exit = resolve;
    });
  }

  exit(exitCode: number): void {
    this.#exit({ exitCode });
  }

  async stop(graceMs: number): Promise<void> {
    this.stoppedWith = graceMs;
    if (this.obeys) this.exit(143);
    await this.exited;
  }

  kill(): void {
    this.killed = true;
    this.exit(137);
  }

  exec(argv: string[], io: ExecStreams): Promise<number> {
    this.commands.push(argv);
    return this.execResult(argv, io);
  }
}

/** A node without a network: pods get the addresses 10.244.1.2, .3, … and processes that tests drive. */
export class FakeNode {
  readonly clock = new FakeClock();
  readonly state = new FakeState();
  readonly reports: Report[] = [];
  readonly processes: FakeProcess[] = [];
  /** Called for each start; throws for a container that cannot start. */
  onStart: (process: FakeProcess) => void = () => {};
  networkError: Error | undefined;
  openNetworks = 0;
  filesChanged = 0;
  #nextAddress = 2;
  readonly context: PodContext;

  constructor() {
    const { clock } = this;
    const random32 = seededRandom32(1);
    const report = (each: Report) => this.reports.push(each);
    this.context = {
      nodeName: 'node-1',
      nodeAddresses: ['127.0.0.11'],
      resources: { cpu: '4', memory: '1Gi', 'ephemeral-storage': '1Gi' },
      settings: {
        name: 'lab',
        mode: 'iptables',
        ipFamilies: ['IPv4'],
        podCIDRs: ['10.244.0.0/16'],
        serviceCIDRs: ['10.96.0.0/16'],
        clusterDomain: 'cluster.local',
        clusterDNS: ['10.96.0.10'],
        vni: 1,
        mtu: 1450,
        probeDelayScale: 0.1,
      },
      state: this.state,
      hostStack: {} as HostStack,
      events: new EventRecorder({
        nodeName: 'node-1',
        nowMs: clock.nowMs,
        random32,
        send: (event) => report({ kind: 'event', event: event as never }),
      }),
      report,
      nowMs: clock.nowMs,
      random32,
      setTimer: clock.setTimer,
      log: { debug() {}, info() {}, warn() {}, error: (fields, message) => console.error(message, fields) },
      clusterCaPem: 'CA',
      serviceAccountToken: () => 'token',
      pace: new ProbePace(),
      images: new Set(),
      counters: { containerRestarts: 0 },
      createRuntime: async () => this.#createRuntime(),
    };
  }

  #createRuntime(): PodRuntime {
    if (this.networkError !== undefined) throw this.networkError;
    this.openNetworks += 1;
    return {
      podIPs: [`10.244.1.${this.#nextAddress++}`],
      start: (spec, output) => {
        const process = new FakeProcess(spec, output);
        this.onStart(process);
        this.processes.push(process);
        return process;
      },
      filesChanged: () => {
        this.filesChanged += 1;
      },
      dial: () => {
        throw new Error('no network in this test');
      },
      close: () => {
        this.openNetworks -= 1;
      },
    };
  }

  /** The newest process of a container. */
  process(name: string): FakeProcess {
    const found = this.processes.findLast(({ spec }) => spec.name === name);
    if (found === undefined) throw new Error(`no process of container ${name} was started`);
    return found;
  }

  get started(): string[] {
    return this.processes.map(({ spec }) => spec.name);
  }

  /** The newest status of a pod. */
  status(name = 'web'): PodStatus {
    const report = this.reports.findLast((each) => each.kind === 'podStatus' && each.name === name);
    if (report?.kind !== 'podStatus') throw new Error(`no status of pod ${name} was reported`);
    return report.status as PodStatus;
  }

  condition(type: string, name = 'web'): string {
    return this.status(name).conditions!.find((each) => each.type === type)!.status;
  }

  /** `Reason: message` of all Events, each once. */
  get events(): string[] {
    const lines = new Set<string>();
    for (const each of this.reports) {
      if (each.kind !== 'event') continue;
      const { reason, message } = each.event as unknown as { reason: string; message: string };
      lines.add(`${reason}: ${message}`);
    }
    return [...lines];
  }

  get deleted(): string[] {
    return this.reports.flatMap((each) => (each.kind === 'podDeleted' ? [each.name] : []));
  }
}

export function makePod(spec: object, more: { metadata?: object; status?: object } = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'shop', uid: 'uid-1', ...more.metadata },
    spec: { nodeName: 'node-1', restartPolicy: 'Always', terminationGracePeriodSeconds: 30, ...spec },
    ...(more.status !== undefined && { status: more.status }),
  } as Pod;
}
