import type { ContainerStatus, Pod, PodStatus } from 'kubernetes-types/core/v1.js';
import { describe, expect, it } from 'vitest';
import { RestartBackOff } from '../src/pods/back-off.ts';
import {
  containersReadyCondition,
  initializedCondition,
  podPhase,
  podStatus,
  qosClass,
  readyCondition,
} from '../src/pods/status.ts';

type State = 'none' | 'waiting' | 'running' | 'ok' | 'failed' | 'crashed' | 'starting' | 'ready';

function status(name: string, state: State): ContainerStatus[] {
  if (state === 'none') return [];
  const exit = (exitCode: number) => ({ terminated: { exitCode } });
  const made = { name, image: 'i', imageID: '', restartCount: 0, ready: false, started: false };
  switch (state) {
    case 'waiting':
      return [{ ...made, state: { waiting: { reason: 'ContainerCreating' } } }];
    case 'crashed':
      return [{ ...made, state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: exit(1) }];
    case 'ok':
      return [{ ...made, state: exit(0) }];
    case 'failed':
      return [{ ...made, state: exit(1) }];
    case 'starting':
      return [{ ...made, state: { running: {} } }];
    case 'running':
      return [{ ...made, state: { running: {} }, started: true }];
    case 'ready':
      return [{ ...made, state: { running: {} }, started: true, ready: true }];
  }
}

interface Case {
  policy: string;
  init?: State[];
  sidecar?: State[];
  apps: State[];
  terminal?: boolean;
  phase: string;
}

function build({ policy, init = [], sidecar = [], apps }: Omit<Case, 'phase'>) {
  const names = (list: State[], prefix: string) => list.map((state, i) => ({ name: `${prefix}${i}`, state }));
  const all = [names(init, 'init'), names(sidecar, 'side'), names(apps, 'app')];
  const statuses = new Map(
    all.flat().flatMap(({ name, state }) => status(name, state).map((s) => [name, s])),
  );
  const pod = {
    metadata: { name: 'p', namespace: 'n', uid: 'u' },
    spec: {
      restartPolicy: policy,
      initContainers: [
        ...all[0]!.map(({ name }) => ({ name })),
        ...all[1]!.map(({ name }) => ({ name, restartPolicy: 'Always' })),
      ],
      containers: all[2]!.map(({ name }) => ({ name })),
    },
  } as unknown as Pod;
  return { pod, statuses: statuses as ReadonlyMap<string, ContainerStatus> };
}

describe('phase', () => {
  const cases: Case[] = [
    { policy: 'Always', apps: ['none', 'none'], phase: 'Pending' },
    { policy: 'Always', apps: ['waiting', 'waiting'], phase: 'Pending' },
    { policy: 'Always', apps: ['running', 'waiting'], phase: 'Pending' },
    { policy: 'Always', apps: ['running', 'none'], phase: 'Pending' },
    { policy: 'Always', apps: ['running', 'running'], phase: 'Running' },
    { policy: 'Always', apps: ['running', 'failed'], phase: 'Running' },
    { policy: 'Always', apps: ['running', 'crashed'], phase: 'Running' },
    { policy: 'Always', apps: ['crashed', 'crashed'], phase: 'Running' },
    { policy: 'Always', apps: ['ok', 'ok'], phase: 'Running' },
    { policy: 'Always', apps: ['failed'], phase: 'Running' },
    { policy: 'OnFailure', apps: ['running', 'ok'], phase: 'Running' },
    { policy: 'OnFailure', apps: ['ok', 'ok'], phase: 'Succeeded' },
    { policy: 'OnFailure', apps: ['ok', 'failed'], phase: 'Running' },
    { policy: 'OnFailure', apps: ['crashed'], phase: 'Running' },
    { policy: 'Never', apps: ['ok', 'ok'], phase: 'Succeeded' },
    { policy: 'Never', apps: ['ok', 'failed'], phase: 'Failed' },
    { policy: 'Never', apps: ['running', 'failed'], phase: 'Running' },
    { policy: 'Always', init: ['none'], apps: ['waiting'], phase: 'Pending' },
    { policy: 'Always', init: ['running'], apps: ['waiting'], phase: 'Pending' },
    { policy: 'Always', init: ['ok', 'waiting'], apps: ['waiting'], phase: 'Pending' },
    { policy: 'Always', init: ['ok'], apps: ['running'], phase: 'Running' },
    { policy: 'Always', init: ['crashed'], apps: ['waiting'], phase: 'Pending' },
    { policy: 'OnFailure', init: ['failed'], apps: ['waiting'], phase: 'Pending' },
    { policy: 'Never', init: ['failed'], apps: ['waiting'], phase: 'Failed' },
    { policy: 'Never', init: ['ok'], apps: ['ok'], phase: 'Succeeded' },
    { policy: 'Always', sidecar: ['starting'], apps: ['waiting'], phase: 'Pending' },
    { policy: 'Always', sidecar: ['running'], apps: ['running'], phase: 'Running' },
    { policy: 'Always', sidecar: ['crashed'], apps: ['running'], phase: 'Running' },
    { policy: 'Always', apps: ['ok'], terminal: true, phase: 'Succeeded' },
    { policy: 'Always', apps: ['ok', 'failed'], terminal: true, phase: 'Failed' },
    { policy: 'Always', apps: ['crashed'], terminal: true, phase: 'Failed' },
    { policy: 'Always', apps: ['waiting'], terminal: true, phase: 'Failed' },
  ];
  it.each(cases)('%j', ({ phase, terminal = false, ...rest }) => {
    const { pod, statuses } = build(rest);
    expect(podPhase(pod, statuses, terminal)).toBe(phase);
  });
});

describe('conditions', () => {
  it('Initialized waits for init containers in order and sidecars that started', () => {
    const at = (init: State[], sidecar: State[], apps: State[]) => {
      const { pod, statuses } = build({ policy: 'Always', init, sidecar, apps });
      return initializedCondition(pod, statuses, 'Pending');
    };
    expect(at(['ok', 'running'], ['waiting'], ['waiting'])).toEqual({
      type: 'Initialized',
      status: 'False',
      reason: 'ContainersNotInitialized',
      message: 'containers with incomplete status: [init1 side0]',
    });
    expect(at(['ok'], ['starting'], ['waiting']).message).toBe('containers with incomplete status: [side0]');
    expect(at(['ok'], ['running'], ['waiting'])).toEqual({ type: 'Initialized', status: 'True' });
    expect(at(['ok'], ['crashed'], ['running'])).toEqual({ type: 'Initialized', status: 'True' });
    const { pod, statuses } = build({ policy: 'Never', init: ['ok'], apps: ['ok'] });
    expect(initializedCondition(pod, statuses, 'Succeeded').reason).toBe('PodCompleted');
  });

  it('ContainersReady names who is not', () => {
    const at = (
      apps: State[],
      phase: 'Running' | 'Succeeded' | 'Failed' = 'Running',
      sidecar: State[] = [],
    ) => {
      const { pod, statuses } = build({ policy: 'Always', apps, sidecar });
      return containersReadyCondition(pod, statuses, phase);
    };
    expect(at(['ready', 'ready'])).toEqual({ type: 'ContainersReady', status: 'True' });
    expect(at(['ready', 'running', 'crashed'])).toEqual({
      type: 'ContainersReady',
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [app1 app2]',
    });
    expect(at(['none', 'running']).message).toBe(
      'containers with unknown status: [app0], containers with unready status: [app1]',
    );
    expect(at(['ready'], 'Running', ['running']).message).toBe('containers with unready status: [side0]');
    expect(at(['ok'], 'Succeeded').reason).toBe('PodCompleted');
    expect(at(['failed'], 'Failed').reason).toBe('PodFailed');
  });

  it('Ready also asks the readiness gates', () => {
    const { pod } = build({ policy: 'Always', apps: ['ready'] });
    const containersReady = { type: 'ContainersReady', status: 'True' };
    expect(readyCondition(pod, containersReady)).toEqual({ type: 'Ready', status: 'True' });
    pod.spec!.readinessGates = [{ conditionType: 'a/b' }];
    expect(readyCondition(pod, containersReady)).toEqual({
      type: 'Ready',
      status: 'False',
      reason: 'ReadinessGatesNotReady',
      message: 'corresponding condition of pod readiness gate "a/b" does not exist.',
    });
    const gated = (status: string): Pod => ({ ...pod, status: { conditions: [{ type: 'a/b', status }] } });
    expect(readyCondition(gated('False'), containersReady).message).toBe(
      'the status of pod readiness gate "a/b" is not "True", but False',
    );
    expect(readyCondition(gated('True'), containersReady).status).toBe('True');
    expect(readyCondition(pod, { type: 'ContainersReady', status: 'False', reason: 'X' }).reason).toBe('X');
  });
});

describe('podStatus', () => {
  const facts = (apps: State[]) => {
    const { pod, statuses } = build({ policy: 'Always', apps });
    return {
      pod,
      facts: {
        podIPs: ['10.244.1.5', 'fd00::5'],
        hostIPs: ['127.0.0.11'],
        startTime: '2026-01-01T00:00:00Z',
        statuses,
        sandboxReady: true,
        terminal: false,
      },
    };
  };
  const transition = (made: PodStatus, type: string) =>
    made.conditions!.find((condition) => condition.type === type)!.lastTransitionTime;

  it('keeps the time of a transition while the status stays', () => {
    const first = facts(['running']);
    const one = podStatus(first.pod, first.facts, undefined, 't1');
    const second = facts(['ready']);
    const two = podStatus(second.pod, second.facts, one, 't2');
    expect(transition(one, 'Ready')).toBe('t1');
    expect(transition(two, 'Ready')).toBe('t2');
    expect(transition(two, 'Initialized')).toBe('t1');
    expect(two.podIPs).toEqual([{ ip: '10.244.1.5' }, { ip: 'fd00::5' }]);
    expect(two.hostIP).toBe('127.0.0.11');
  });

  it('says why a pod as a whole was ended', () => {
    const { pod, facts: known } = facts(['running']);
    const ended = { reason: 'DeadlineExceeded', message: 'too long' };
    expect(podStatus(pod, { ...known, ended }, undefined, 't')).toMatchObject({ phase: 'Failed', ...ended });
  });
});

describe('qosClass', () => {
  const of = (...resources: object[]) =>
    qosClass({ spec: { containers: resources.map((r, i) => ({ name: `c${i}`, resources: r })) } } as Pod);
  it.each([
    [[{}], 'BestEffort'],
    [[{ limits: { cpu: '1', memory: '1Gi' } }], 'Guaranteed'],
    [[{ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1', memory: '1Gi' } }], 'Guaranteed'],
    [[{ limits: { cpu: '1', memory: '1Gi' } }, {}], 'Burstable'],
    [[{ limits: { cpu: '1' } }], 'Burstable'],
    [[{ requests: { memory: '1Gi' } }], 'Burstable'],
  ])('%j is %s', (resources, want) => {
    expect(of(...resources)).toBe(want);
  });
});

describe('restart back-off', () => {
  it('starts at once, then waits twice as long each time up to five minutes, scaled', () => {
    const backOff = new RestartBackOff(0.02);
    const delays = Array.from({ length: 8 }, () => backOff.next(0));
    expect(delays).toEqual([0, 200, 400, 800, 1600, 3200, 6000, 6000]);
  });

  it('forgets after ten minutes without an exit, scaled', () => {
    const backOff = new RestartBackOff(0.02);
    for (let i = 0; i < 5; i++) backOff.next(0);
    expect(backOff.next(11_999)).toBe(3200);
    expect(backOff.next(12_000)).toBe(0);
    expect(backOff.next(0)).toBe(200);
  });
});
