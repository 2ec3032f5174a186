import type { Pod } from 'kubernetes-types/core/v1.js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PodManager } from '../src/pods/pod-manager.ts';
import { PodWorker } from '../src/pods/pod-worker.ts';
import { FakeNode, makePod } from './fake-node.ts';

let node: FakeNode;
let workers: PodWorker[];
beforeEach(() => {
  node = new FakeNode();
  workers = [];
});
afterEach(() => {
  for (const worker of workers) worker.forget();
});

function run(pod: Pod): PodWorker {
  const worker = new PodWorker(node.context, pod);
  workers.push(worker);
  return worker;
}

const app = (name: string, more: object = {}) => ({ name, image: `shop/${name}:1`, ...more });
const deleted = (pod: Pod, graceSeconds = 30): Pod => ({
  ...pod,
  metadata: {
    ...pod.metadata,
    deletionTimestamp: '2026-01-01T00:00:00Z',
    deletionGracePeriodSeconds: graceSeconds,
  },
});

describe('a pod', () => {
  it('gets a network, starts, and is Ready without probes', async () => {
    run(makePod({ containers: [app('a'), app('b')] }));
    await node.clock.advance(0);
    const status = node.status();
    expect(status.phase).toBe('Running');
    expect(status.podIP).toBe('10.244.1.2');
    expect(status.containerStatuses!.map(({ name, ready, started }) => [name, ready, started])).toEqual([
      ['a', true, true],
      ['b', true, true],
    ]);
    for (const type of [
      'PodScheduled',
      'Initialized',
      'ContainersReady',
      'Ready',
      'PodReadyToStartContainers',
    ]) {
      expect([type, node.condition(type)]).toEqual([type, 'True']);
    }
    expect(node.events).toEqual(
      expect.arrayContaining([
        'Pulling: Pulling image "shop/a:1"',
        'Created: Created container: a',
        'Started: Started container a',
      ]),
    );
  });

  it('waits for its network and says why', async () => {
    node.networkError = new Error('no IP addresses available in range set: 10.244.1.0/30');
    run(makePod({ containers: [app('a')] }));
    await node.clock.advance(0);
    expect(node.status().phase).toBe('Pending');
    expect(node.condition('PodReadyToStartContainers')).toBe('False');
    expect(node.events).toEqual([
      'FailedCreatePodSandBox: Failed to create pod sandbox: no IP addresses available in range set: 10.244.1.0/30',
    ]);
    node.networkError = undefined;
    await node.clock.advance(1000);
    expect(node.status().phase).toBe('Running');
  });

  it('runs init containers one after the other, sidecars beside them, then the rest', async () => {
    run(
      makePod({
        initContainers: [app('i1'), app('side', { restartPolicy: 'Always' }), app('i2')],
        containers: [app('a')],
      }),
    );
    await node.clock.advance(0);
    expect(node.started).toEqual(['i1']);
    expect(node.status().initContainerStatuses!.map(({ state }) => Object.keys(state!)[0])).toEqual([
      'running',
      'waiting',
      'waiting',
    ]);
    expect(node.status().containerStatuses![0]!.state!.waiting!.reason).toBe('PodInitializing');
    node.process('i1').exit(0);
    await node.clock.advance(0);
    expect(node.started).toEqual(['i1', 'side', 'i2']);
    expect(node.condition('Initialized')).toBe('False');
    node.process('i2').exit(0);
    await node.clock.advance(0);
    expect(node.started).toEqual(['i1', 'side', 'i2', 'a']);
    expect(node.status().phase).toBe('Running');
    expect(node.condition('Initialized')).toBe('True');
    expect(node.condition('Ready')).toBe('True');
    node.process('side').exit(1);
    await node.clock.advance(0);
    expect(node.started).toEqual(['i1', 'side', 'i2', 'a', 'side']);
  });

  it('fails when an init container fails and may not run again', async () => {
    run(makePod({ restartPolicy: 'Never', initContainers: [app('i1')], containers: [app('a')] }));
    await node.clock.advance(0);
    node.process('i1').exit(7);
    await node.clock.advance(0);
    expect(node.status().phase).toBe('Failed');
    expect(node.started).toEqual(['i1']);
    expect(node.openNetworks).toBe(0);
  });

  it('backs off from a container that keeps exiting', async () => {
    run(makePod({ containers: [app('a')] }));
    await node.clock.advance(0);
    node.process('a').exit(1);
    await node.clock.advance(0);
    expect(node.processes).toHaveLength(2);
    node.process('a').exit(1);
    await node.clock.advance(0);
    const [status] = node.status().containerStatuses!;
    expect(status!.state!.waiting).toEqual({
      reason: 'CrashLoopBackOff',
      message: 'back-off 1s restarting failed container=a pod=web_shop(uid-1)',
    });
    expect(status!.lastState!.terminated).toMatchObject({ exitCode: 1, reason: 'Error' });
    expect(status!.restartCount).toBe(1);
    expect(node.status().phase).toBe('Running');
    expect(node.condition('Ready')).toBe('False');
    expect(node.events).toContain('BackOff: Back-off restarting failed container a in pod web_shop(uid-1)');
    await node.clock.advance(999);
    expect(node.processes).toHaveLength(2);
    await node.clock.advance(1);
    expect(node.processes).toHaveLength(3);
    expect(node.status().containerStatuses![0]).toMatchObject({ restartCount: 2, ready: true });
  });

  it.each([
    ['OnFailure', [0], 'Succeeded'],
    ['Never', [0, 0], 'Succeeded'],
    ['Never', [0, 3], 'Failed'],
  ])('with restartPolicy %s whose containers exit %j has %s', async (restartPolicy, codes, phase) => {
    const names = codes.map((_, i) => `c${i}`);
    run(
      makePod({
        restartPolicy,
        initContainers: [app('side', { restartPolicy: 'Always' })],
        containers: names.map((name) => app(name)),
      }),
    );
    await node.clock.advance(0);
    for (const [i, code] of codes.entries()) node.process(names[i]!).exit(code);
    await node.clock.advance(0);
    expect(node.status().phase).toBe(phase);
    expect(node.process('side').stoppedWith).toBeDefined();
    expect(node.openNetworks).toBe(0);
    expect(node.status().podIP).toBe('10.244.1.2');
    expect(node.deleted).toEqual([]);
  });

  it('waits for a ConfigMap that its environment needs, and goes on when it comes', async () => {
    const worker = run(
      makePod({ containers: [app('a', { envFrom: [{ configMapRef: { name: 'settings' } }] })] }),
    );
    await node.clock.advance(0);
    expect(node.status().containerStatuses![0]!.state!.waiting).toEqual({
      reason: 'CreateContainerConfigError',
      message: 'configmap "settings" not found',
    });
    expect(node.events).toContain('Failed: Error: configmap "settings" not found');
    node.state.put('configmaps', { metadata: { name: 'settings', namespace: 'shop' }, data: { A: '1' } });
    worker.configurationChanged();
    await node.clock.advance(0);
    expect(node.process('a').spec.env.A).toBe('1');
    expect(node.status().phase).toBe('Running');
  });

  it('waits for a ConfigMap that a volume needs, and shows its later content', async () => {
    const worker = run(
      makePod({
        volumes: [{ name: 'v', configMap: { name: 'settings' } }],
        containers: [app('a', { volumeMounts: [{ name: 'v', mountPath: '/etc/v' }] })],
      }),
    );
    await node.clock.advance(0);
    expect(node.events).toEqual([
      'FailedMount: MountVolume.SetUp failed for volume "v" : configmap "settings" not found',
    ]);
    node.state.put('configmaps', {
      metadata: { name: 'settings', namespace: 'shop' },
      data: { c: '1', d: '2' },
    });
    worker.configurationChanged();
    await node.clock.advance(0);
    const { files } = node.process('a').spec;
    expect(files.get('/etc/v/c')).toBe('1');
    node.state.put('configmaps', { metadata: { name: 'settings', namespace: 'shop' }, data: { c: '3' } });
    worker.configurationChanged();
    expect([files.get('/etc/v/c'), files.has('/etc/v/d')]).toEqual(['3', false]);
    expect(node.filesChanged).toBe(1);
    worker.configurationChanged();
    expect(node.filesChanged).toBe(1);
  });

  it('says that a container cannot be started', async () => {
    node.onStart = () => {
      throw new Error('no such program');
    };
    run(makePod({ restartPolicy: 'Never', containers: [app('a')] }));
    await node.clock.advance(0);
    expect(node.status().containerStatuses![0]!.state!.terminated).toMatchObject({
      exitCode: 128,
      reason: 'StartError',
      message: 'no such program',
    });
    expect(node.events).toContain('Failed: Error: failed to start container "a": no such program');
  });

  it('restarts a container whose liveness probe fails, and asks readiness all the time', async () => {
    const answers = { live: 0, ready: 1 };
    node.onStart = (process) => {
      process.execResult = async ([what]) => answers[what as 'live' | 'ready'];
    };
    const probe = (what: string) => ({ exec: { command: [what] }, periodSeconds: 10, failureThreshold: 2 });
    run(
      makePod({ containers: [app('a', { livenessProbe: probe('live'), readinessProbe: probe('ready') })] }),
    );
    await node.clock.advance(500);
    expect(node.condition('Ready')).toBe('False');
    answers.ready = 0;
    await node.clock.advance(1000);
    expect(node.condition('Ready')).toBe('True');
    answers.live = 1;
    await node.clock.advance(2000);
    expect(node.events).toContain('Killing: Container a failed liveness probe, will be restarted');
    expect(node.events).toContain('Unhealthy: Liveness probe failed: ');
    expect(node.processes).toHaveLength(2);
    expect(node.processes[0]!.stoppedWith).toBe(30_000);
    expect(node.status().containerStatuses![0]!.restartCount).toBe(1);
  });

  it('begins other probes only when the startup probe has succeeded', async () => {
    let up = 1;
    node.onStart = (process) => {
      process.execResult = async ([what]) => (what === 'up' ? up : 0);
    };
    const probe = (what: string) => ({ exec: { command: [what] }, periodSeconds: 1, failureThreshold: 100 });
    run(makePod({ containers: [app('a', { startupProbe: probe('up'), readinessProbe: probe('ready') })] }));
    await node.clock.advance(1000);
    expect(new Set(node.process('a').commands.flat())).toEqual(new Set(['up']));
    expect(node.status().containerStatuses![0]).toMatchObject({ started: false, ready: false });
    up = 0;
    await node.clock.advance(1000);
    expect(node.process('a').commands.flat()).toContain('ready');
    expect(node.status().containerStatuses![0]).toMatchObject({ started: true, ready: true });
  });

  it('kills a container whose postStart fails', async () => {
    node.onStart = (process) => {
      process.execResult = async () => 1;
    };
    const lifecycle = { postStart: { exec: { command: ['setup'] } } };
    run(makePod({ restartPolicy: 'Never', containers: [app('a', { lifecycle })] }));
    await node.clock.advance(0);
    expect(node.events).toContain('FailedPostStartHook: PostStartHook failed: ');
    expect(node.status().phase).toBe('Failed');
  });

  it('ends with activeDeadlineSeconds', async () => {
    run(makePod({ activeDeadlineSeconds: 5, containers: [app('a')] }));
    await node.clock.advance(4999);
    expect(node.status().phase).toBe('Running');
    await node.clock.advance(1);
    expect(node.status()).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' });
    expect(node.openNetworks).toBe(0);
    expect(node.deleted).toEqual([]);
  });

  it('restarts a container that has another image', async () => {
    const pod = makePod({ containers: [app('a')] });
    const worker = run(pod);
    await node.clock.advance(0);
    worker.update(makePod({ containers: [app('a', { image: 'shop/a:2' })] }));
    await node.clock.advance(0);
    expect(node.processes).toHaveLength(2);
    expect(node.process('a').spec.image).toBe('shop/a:2');
    expect(node.events).toContain('Killing: Container a definition changed, will be restarted');
  });

  it('starts ephemeral containers that are added, once', async () => {
    const worker = run(makePod({ containers: [app('a')] }));
    await node.clock.advance(0);
    const more = makePod({ containers: [app('a')], ephemeralContainers: [app('debug')] });
    worker.update(more);
    worker.update(more);
    await node.clock.advance(0);
    node.process('debug').exit(1);
    await node.clock.advance(0);
    expect(node.started).toEqual(['a', 'debug']);
    expect(node.status().phase).toBe('Running');
    expect(node.status().ephemeralContainerStatuses![0]!.state!.terminated!.exitCode).toBe(1);
  });
});

describe('a deleted pod', () => {
  it('stops within its grace, preStop first, and is reported gone', async () => {
    const order: string[] = [];
    node.onStart = (process) => {
      process.execResult = async (argv) => {
        order.push(argv.join(' '));
        return 0;
      };
    };
    const pod = makePod({
      initContainers: [app('side', { restartPolicy: 'Always' })],
      containers: [app('a', { lifecycle: { preStop: { exec: { command: ['drain'] } } } })],
    });
    const worker = run(pod);
    await node.clock.advance(0);
    node.process('a').obeys = false;
    worker.update(deleted(pod));
    await node.clock.advance(0);
    expect(order).toEqual(['drain']);
    expect(node.process('a').stoppedWith).toBe(30_000);
    expect(node.process('side').stoppedWith).toBeUndefined();
    expect(node.events).toContain('Killing: Stopping container a');
    node.process('a').exit(0);
    await node.clock.advance(0);
    expect(node.process('side').stoppedWith).toBe(30_000);
    expect(node.deleted).toEqual(['web']);
    expect(node.status().containerStatuses![0]!.state!.terminated!.exitCode).toBe(0);
    expect(node.openNetworks).toBe(0);
    await worker.done;
  });

  it('is killed when a second, shorter grace is over', async () => {
    const pod = makePod({ containers: [app('a')] });
    const worker = run(pod);
    await node.clock.advance(0);
    node.process('a').obeys = false;
    worker.update(deleted(pod));
    await node.clock.advance(1000);
    expect(node.process('a').killed).toBe(false);
    worker.update(deleted(pod, 5));
    await node.clock.advance(4999);
    expect(node.process('a').killed).toBe(false);
    await node.clock.advance(1);
    expect(node.process('a').killed).toBe(true);
    expect(node.deleted).toEqual(['web']);
  });

  it('stops while it backs off, waits for configuration, or initializes', async () => {
    const crashing = makePod({ containers: [app('a')] });
    const waiting = makePod(
      { containers: [app('b', { envFrom: [{ configMapRef: { name: 'no' } }] })] },
      { metadata: { name: 'waiting', uid: 'uid-2' } },
    );
    const initializing = makePod(
      { initContainers: [app('i')], containers: [app('c')] },
      { metadata: { name: 'initializing', uid: 'uid-3' } },
    );
    const three = [crashing, waiting, initializing].map((pod) => [run(pod), pod] as const);
    await node.clock.advance(0);
    node.process('a').exit(1);
    await node.clock.advance(0);
    node.process('a').exit(1);
    await node.clock.advance(0);
    for (const [worker, pod] of three) worker.update(deleted(pod));
    await node.clock.advance(0);
    expect(node.deleted.sort()).toEqual(['initializing', 'waiting', 'web']);
    expect(node.openNetworks).toBe(0);
    expect(node.started.sort()).toEqual(['a', 'a', 'i']);
    expect(node.clock.pending).toBe(0);
  });

  it('that never ran here is only reported', async () => {
    run(deleted(makePod({ containers: [app('a')] })));
    await node.clock.advance(0);
    expect(node.deleted).toEqual(['web']);
    expect(node.processes).toEqual([]);
  });

  it('is forgotten without a word when its object is gone', async () => {
    const worker = run(makePod({ containers: [app('a')] }));
    await node.clock.advance(0);
    const before = node.reports.length;
    worker.forget();
    await worker.done;
    expect(node.process('a').killed).toBe(true);
    expect(node.reports.slice(before).filter(({ kind }) => kind !== 'event')).toEqual([]);
  });
});

describe('after a restart of the agent', () => {
  const was = (state: object, phase = 'Running') => ({
    phase,
    startTime: '2025-12-31T23:00:00Z',
    containerStatuses: [
      {
        name: 'a',
        image: 'i',
        imageID: '',
        ready: true,
        restartCount: 2,
        containerID: 'containerd://x',
        state,
      },
    ],
  });

  it('containers start again, one restart on', async () => {
    run(makePod({ containers: [app('a')] }, { status: was({ running: { startedAt: 't0' } }) }));
    await node.clock.advance(0);
    const [status] = node.status().containerStatuses!;
    expect(status!.restartCount).toBe(3);
    expect(status!.lastState!.terminated).toMatchObject({
      exitCode: 255,
      reason: 'Unknown',
      startedAt: 't0',
    });
    expect(node.status().startTime).toBe('2025-12-31T23:00:00Z');
  });

  it('what may not run twice does not', async () => {
    run(makePod({ restartPolicy: 'Never', containers: [app('a')] }, { status: was({ running: {} }) }));
    await node.clock.advance(0);
    expect(node.processes).toEqual([]);
    expect(node.status().phase).toBe('Failed');
  });

  it('a container that had succeeded stays so under OnFailure', async () => {
    const pod = makePod(
      { restartPolicy: 'OnFailure', containers: [app('a'), app('b')] },
      { status: was({ terminated: { exitCode: 0 } }) },
    );
    run(pod);
    await node.clock.advance(0);
    expect(node.started).toEqual(['b']);
    node.process('b').exit(0);
    await node.clock.advance(0);
    expect(node.status().phase).toBe('Succeeded');
  });

  it('a pod that had ended rests', async () => {
    const pod = makePod(
      { containers: [app('a')] },
      { status: was({ terminated: { exitCode: 0 } }, 'Succeeded') },
    );
    const worker = run(pod);
    await node.clock.advance(1000);
    expect(node.processes).toEqual([]);
    expect(node.reports).toEqual([]);
    worker.update(deleted(pod));
    await node.clock.advance(0);
    expect(node.deleted).toEqual(['web']);
  });
});

describe('PodManager', () => {
  it('runs the pods of its node, each once, and lets go of those that are gone', async () => {
    const manager = new PodManager(node.context);
    const mine = makePod({ containers: [app('a')] });
    node.state.put('pods', mine);
    node.state.put(
      'pods',
      makePod({ nodeName: 'node-2', containers: [app('x')] }, { metadata: { name: 'far', uid: 'u9' } }),
    );
    manager.reconcile();
    manager.reconcile();
    await node.clock.advance(0);
    expect(node.started).toEqual(['a']);
    expect(manager.find('shop', 'web')?.uid).toBe('uid-1');
    node.state.remove('pods', 'shop', 'web');
    manager.reconcile();
    await node.clock.advance(0);
    expect(manager.size).toBe(0);
    expect(node.process('a').killed).toBe(true);
  });

  it('finds the newest pod of a name while the old one still stops', async () => {
    const manager = new PodManager(node.context);
    const old = makePod({ containers: [app('a')] });
    manager.apply([{ resource: 'pods', type: 'ADDED', object: old as never }]);
    await node.clock.advance(0);
    node.process('a').obeys = false;
    manager.apply([{ resource: 'pods', type: 'MODIFIED', object: deleted(old) as never }]);
    const next = makePod({ containers: [app('a')] }, { metadata: { uid: 'uid-2' } });
    manager.apply([{ resource: 'pods', type: 'ADDED', object: next as never }]);
    await node.clock.advance(0);
    expect(manager.find('shop', 'web')?.uid).toBe('uid-2');
    expect(manager.size).toBe(2);
    await manager.stop(0);
  });

  it('tells pods of a namespace that its ConfigMaps changed', () => {
    const manager = new PodManager(node.context);
    manager.apply([{ resource: 'pods', type: 'ADDED', object: makePod({ containers: [] }) as never }]);
    const told = vi.spyOn(manager.find('shop', 'web')!, 'configurationChanged');
    const change = (namespace: string) => ({
      resource: 'configmaps',
      type: 'MODIFIED' as const,
      object: { metadata: { name: 'c', namespace } } as never,
    });
    manager.apply([change('other')]);
    expect(told).not.toHaveBeenCalled();
    manager.apply([change('shop')]);
    expect(told).toHaveBeenCalledOnce();
    for (const worker of manager.all()) worker.forget();
  });
});
