import { formatTime } from '@podwire/kube/object';
import { Store } from '@podwire/store/store';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { nthAddress, parseCidr } from '@podwire/wire/cidr';
import type { Api, ApiEvent } from '../src/api.ts';
import type { Clock, TimerHandle } from '../src/loops/clock.ts';
import { jobSelector } from '../src/loops/job-admission.ts';
import type { Log } from '../src/loops/log.ts';
import type { AnyObject, Condition, Node, Pod } from '../src/loops/objects.ts';
import { ServiceAllocator } from '../src/loops/service-allocator.ts';
import { type LoopSettings, startLoops } from '../src/loops/start.ts';
import { standardAdmission } from '../src/registry/admission-plugins.ts';
import { ObjectApi } from '../src/registry/object-api.ts';
import { ResourceTypes } from '../src/registry/resource-types.ts';

/** Time that moves only when told to. */
export class FakeClock implements Clock {
  #nowMs = Date.UTC(2030, 0, 1);
  #timers: { atMs: number; fn: () => void }[] = [];
  readonly random32: () => number;

  constructor(seed = 1) {
    this.random32 = seededRandom32(seed);
  }

  nowMs = () => this.#nowMs;

  setTimer = (fn: () => void, delayMs: number): TimerHandle => {
    const timer = { atMs: this.#nowMs + delayMs, fn };
    this.#timers.push(timer);
    return { close: () => this.#timers.splice(this.#timers.indexOf(timer) >>> 0, 1) };
  };

  /** Runs what is due within `delayMs`, with everything each timer sets off. */
  async advance(delayMs: number, settle: () => Promise<void>): Promise<void> {
    const untilMs = this.#nowMs + delayMs;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers.splice(this.#timers.indexOf(due), 1);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.fn();
      await settle();
    }
    this.#nowMs = untilMs;
    await settle();
  }
}

type Loose = AnyObject & { status?: { conditions?: Condition[] } };

interface EventObject extends AnyObject {
  involvedObject: { name: string };
  reason: string;
  message: string;
}

export interface LogLine {
  level: string;
  message: string;
  fields: object;
}

export interface ClusterOptions {
  nodes?: number;
  settings?: Partial<LoopSettings>;
  serviceCidrs?: string[];
  nodeTolerationSeconds?: number;
  seed?: number;
  /** Further parts of each Node. */
  node?: (
    name: string,
    index: number,
  ) => { labels?: Record<string, string>; spec?: object; allocatable?: Record<string, string> };
  loops?: boolean;
}

/** The real API over a store in memory, all loops on a fake clock, and agents that only pretend to run pods. */
export class TestCluster {
  readonly store = Store.open(':memory:', { instanceId: 'test' });
  readonly clock: FakeClock;
  readonly api: ObjectApi;
  readonly agents: FakeAgents;
  readonly log: LogLine[] = [];
  readonly allocator: ServiceAllocator;
  readonly #options: ClusterOptions;
  #loops: { stop(): void } = { stop() {} };

  private constructor(options: ClusterOptions) {
    this.#options = options;
    this.clock = new FakeClock(options.seed);
    this.allocator = new ServiceAllocator({
      serviceCidrs: options.serviceCidrs ?? ['10.96.0.0/16'],
      random32: this.clock.random32,
    });
    const services = this.allocator;
    this.api = new ObjectApi({
      store: this.store,
      types: new ResourceTypes(),
      admission: [
        ...standardAdmission({ nodeTolerationSeconds: options.nodeTolerationSeconds ?? 1, services }),
        jobSelector,
      ],
      nowMs: this.clock.nowMs,
      random32: this.clock.random32,
    });
    this.agents = new FakeAgents(this.api, this.clock);
  }

  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    for (const name of ['default', 'kube-system', 'kube-node-lease']) {
      await cluster.api.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    if (options.loops !== false) cluster.startLoops();
    for (let i = 1; i <= (options.nodes ?? 3); i++) await cluster.addNode(`node-${i}`, i);
    await cluster.settle();
    return cluster;
  }

  startLoops(): void {
    const write = (level: string) => (fields: object, message: string) => {
      this.log.push({ level, message, fields });
    };
    const log: Log = {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    };
    this.#loops = startLoops({
      api: this.api,
      log,
      nowMs: this.clock.nowMs,
      setTimer: this.clock.setTimer,
      random32: this.clock.random32,
      lastHeartbeatMs: (name) => this.agents.lastHeartbeatMs(name),
      settings: {
        podCidrs: ['10.244.0.0/16'],
        nodeGraceSeconds: 2,
        caPem: 'CA',
        ...this.#options.settings,
      },
    });
  }

  stop(): void {
    this.#loops.stop();
    this.agents.stop();
    this.store.close();
  }

  async addNode(name: string, index: number): Promise<void> {
    const extra = this.#options.node?.(name, index) ?? {};
    this.agents.alive.add(name);
    const allocatable = extra.allocatable ?? { cpu: '4', memory: '8Gi', pods: '110' };
    const now = formatTime(this.clock.nowMs());
    await this.api.create('nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: {
          'kubernetes.io/hostname': name,
          'kubernetes.io/os': 'linux',
          'topology.kubernetes.io/zone': `zone-${'abc'[(index - 1) % 3]}`,
          ...extra.labels,
        },
      },
      spec: extra.spec ?? {},
      status: {
        capacity: allocatable,
        allocatable,
        conditions: [
          {
            type: 'Ready',
            status: 'True',
            reason: 'KubeletReady',
            lastTransitionTime: now,
            lastHeartbeatTime: now,
          },
        ],
      },
    });
  }

  /** Waits, without letting time pass, until nothing writes any more. */
  async settle(): Promise<void> {
    let quiet = 0;
    let revision = -1;
    for (let turn = 0; quiet < 5; turn++) {
      if (turn > 20_000) throw new Error('the loops never come to rest');
      await new Promise((resolve) => setImmediate(resolve));
      quiet = this.store.revision === revision ? quiet + 1 : 0;
      revision = this.store.revision;
    }
  }

  async advance(delayMs: number): Promise<void> {
    await this.clock.advance(delayMs, async () => {
      const { revision } = this.store;
      // Most ticks find nothing to do, and what they do begin they write within a turn.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.store.revision !== revision) await this.settle();
    });
    await this.settle();
  }

  async create<T>(resource: string, object: T): Promise<T> {
    const created = await this.api.create(resource, object);
    await this.settle();
    return created;
  }

  async patch(resource: string, name: string, patch: unknown, namespace = 'default'): Promise<void> {
    await this.api.patch(resource, namespace, name, patch);
    await this.settle();
  }

  async delete(
    resource: string,
    name: string,
    options: Parameters<Api['delete']>[3] = {},
    namespace = 'default',
  ) {
    await this.api.delete(resource, namespace, name, options);
    await this.settle();
  }

  get<T = Loose>(resource: string, name: string, namespace = 'default'): T {
    return this.api.get<T>(resource, namespace, name) as T;
  }

  node(name: string): Node {
    return this.api.get<Node>('nodes', '', name)!;
  }

  list<T = Loose>(resource: string, namespace = 'default'): readonly T[] {
    return this.api.list<T>(resource, { namespace });
  }

  pods(labels: Record<string, string> = {}, namespace = 'default'): Pod[] {
    return this.list<Pod>('pods', namespace).filter((pod) =>
      Object.entries(labels).every(([key, value]) => pod.metadata.labels?.[key] === value),
    );
  }

  /** `reason: message` of every Event about an object, oldest first. */
  events(name: string, namespace = 'default'): string[] {
    return this.list<EventObject>('events', namespace)
      .filter((event) => event.involvedObject.name === name)
      .sort((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
      .map((event) => `${event.reason}: ${event.message}`);
  }

  condition(object: { status?: { conditions?: Condition[] } }, type: string): Condition | undefined {
    return object.status?.conditions?.find((condition) => condition.type === type);
  }

  /** Every state a resource goes through. */
  observe<T extends AnyObject>(resource: string, handler: (event: ApiEvent<T>) => void): void {
    this.api.watch<T>(resource, handler);
  }
}

/** Reports pods as running a moment after they are placed, and as gone a moment after they are deleted. */
export class FakeAgents {
  readonly alive = new Set<string>();
  /** Pods this refuses stay not ready. */
  isReady: (pod: Pod) => boolean = () => true;
  startMs = 0;
  stopMs = 0;
  readonly #api: Api;
  readonly #clock: FakeClock;
  readonly #diedMs = new Map<string, number>();
  readonly #stop: () => void;
  readonly #seen = new Set<string>();
  #nextAddress = 10;

  constructor(api: Api, clock: FakeClock) {
    this.#api = api;
    this.#clock = clock;
    this.#stop = api.watch<Pod>('pods', ({ type, object }) => this.#observe(type, object));
  }

  stop(): void {
    this.#stop();
  }

  lastHeartbeatMs(name: string): number {
    return this.alive.has(name) ? this.#clock.nowMs() : (this.#diedMs.get(name) ?? 0);
  }

  kill(name: string): void {
    this.alive.delete(name);
    this.#diedMs.set(name, this.#clock.nowMs());
  }

  /** Ends a pod's containers. */
  async finish(pod: Pod, phase: 'Succeeded' | 'Failed'): Promise<void> {
    await this.#report(pod, (newest) => ({
      ...newest.status,
      phase,
      conditions: setReady(newest.status?.conditions, false, this.#clock.nowMs()),
    }));
  }

  /** Reports readiness again, as `isReady` has it now. */
  async refresh(): Promise<void> {
    for (const pod of this.#api.list<Pod>('pods')) {
      if (pod.status?.phase === 'Running' && this.alive.has(pod.spec.nodeName!)) await this.#run(pod);
    }
  }

  #observe(type: string, pod: Pod): void {
    const { nodeName } = pod.spec;
    if (type === 'DELETED' || !nodeName || !this.alive.has(nodeName)) return;
    const { uid, deletionTimestamp } = pod.metadata;
    const key = `${uid} ${deletionTimestamp === undefined ? 'start' : 'stop'}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    if (deletionTimestamp !== undefined) this.#later(this.stopMs, () => this.#end(pod));
    else if (pod.status?.phase === 'Pending') this.#later(this.startMs, () => this.#run(pod));
  }

  #later(delayMs: number, act: () => Promise<void>): void {
    if (delayMs === 0) void act();
    else this.#clock.setTimer(() => void act(), delayMs);
  }

  async #end({ metadata, spec }: Pod): Promise<void> {
    if (!this.alive.has(spec.nodeName!)) return;
    const { namespace, name, uid } = metadata;
    try {
      await this.#api.delete('pods', namespace!, name, { gracePeriodSeconds: 0, preconditions: { uid } });
    } catch {
      // Someone else was first.
    }
  }

  async #run(pod: Pod): Promise<void> {
    if (!this.alive.has(pod.spec.nodeName!)) return;
    await this.#report(pod, (newest) => {
      const podIP = newest.status?.podIP ?? this.#address(newest);
      return {
        ...newest.status,
        phase: 'Running',
        podIP,
        podIPs: [{ ip: podIP }],
        conditions: setReady(newest.status?.conditions, this.isReady(newest), this.#clock.nowMs()),
      };
    });
  }

  #address(pod: Pod): string {
    const cidr = this.#api.get<Node>('nodes', '', pod.spec.nodeName!)?.spec?.podCIDR ?? '10.244.255.0/24';
    this.#nextAddress = (this.#nextAddress % 250) + 1;
    return nthAddress(parseCidr(cidr)!, this.#nextAddress);
  }

  async #report(pod: Pod, change: (newest: Pod) => object): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    const newest = this.#api.get<Pod>('pods', namespace!, name);
    if (newest === undefined || newest.metadata.uid !== uid) return;
    const { resourceVersion: _, ...metadata } = newest.metadata;
    await this.#api.update(
      'pods',
      { ...newest, metadata, status: change(newest) },
      { subresource: 'status' },
    );
  }
}

function setReady(conditions: readonly Condition[] | undefined, ready: boolean, nowMs: number): Condition[] {
  let next = [...(conditions ?? [])];
  for (const type of ['Ready', 'ContainersReady']) {
    const status = ready ? 'True' : 'False';
    const old = next.find((each) => each.type === type);
    if (old?.status === status) continue;
    const condition = { type, status, lastProbeTime: null, lastTransitionTime: formatTime(nowMs) };
    next = old === undefined ? [...next, condition] : next.map((each) => (each === old ? condition : each));
  }
  return next;
}

// --- Objects as a client would send them, with every default filled in --------------------------------------------------------

export function podTemplate(app: string, spec: object = {}) {
  return {
    metadata: { labels: { app } },
    spec: {
      containers: [
        {
          name: 'main',
          image: 'web:1',
          ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
          imagePullPolicy: 'IfNotPresent',
          resources: {},
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
        },
      ],
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      securityContext: {},
      schedulerName: 'default-scheduler',
      ...spec,
    },
  };
}

export function pod(name: string, spec: object = {}, labels: Record<string, string> = { app: name }) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels },
    spec: podTemplate(name, spec).spec,
  };
}

export function deployment(name: string, replicas: number, spec: Record<string, unknown> = {}) {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: podTemplate(name),
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      ...spec,
    },
  };
}

export function service(name: string, spec: Record<string, unknown> = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      type: 'ClusterIP',
      selector: { app: name },
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 'http' }],
      sessionAffinity: 'None',
      ...spec,
    },
  };
}
