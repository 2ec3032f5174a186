import { describe, expect, test } from 'vitest';
import { cronScheduleError } from '../src/validation/cron-schedule.ts';
import { type Change, changed, createTexts, updateTexts } from './kind-harness.ts';

const TEMPLATE = {
  metadata: { labels: { app: 'a' } },
  spec: { containers: [{ name: 'c', image: 'x:1' }] },
};

function workload(kind: string) {
  const spec = { selector: { matchLabels: { app: 'a' } }, template: TEMPLATE };
  return { apiVersion: 'apps/v1', kind, metadata: { name: 'a', namespace: 'ns' }, spec };
}

const MISMATCH =
  'spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`';
const LABELS: Change = ['spec.template.metadata.labels', { app: 'x' }];

describe('every workload', () => {
  test.each(['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet'])('%s', (kind) => {
    const base = workload(kind);
    expect(createTexts(base)).toEqual([]);
    expect(createTexts(changed(base, LABELS))).toEqual([MISMATCH]);
    expect(createTexts(changed(base, ['spec.template.spec.restartPolicy', 'Never']))).toEqual([
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ]);
    expect(createTexts(changed(base, ['spec.template.spec.activeDeadlineSeconds', 5]))).toEqual([
      `spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ${kind === 'Deployment' ? 'ReplicaSet' : kind} is not Supported`,
    ]);
    expect(updateTexts(base, base)).toEqual([]);
    const other = changed(base, LABELS, ['spec.selector.matchLabels', { app: 'x' }]);
    expect(updateTexts(base, other)).toEqual([
      kind === 'StatefulSet'
        ? "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        : 'spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable',
    ]);
  });

  test.each(['Deployment', 'ReplicaSet', 'DaemonSet'])('%s checks the pods of its template', (kind) => {
    const texts = createTexts(changed(workload(kind), ['spec.template.spec.containers[0].image', '']));
    expect(texts).toEqual(['spec.template.spec.containers[0].image: Required value']);
  });

  test('a template may leave spaces around images to its pods', () => {
    const spaced = changed(workload('Deployment'), ['spec.template.spec.containers[0].image', ' ']);
    expect(createTexts(spaced)).toEqual([]);
  });
});

describe('a Deployment', () => {
  test.each<[string, Change[], string[]]>([
    [
      'has no selector',
      [['spec.selector', undefined]],
      [
        'spec.selector: Required value',
        'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`',
      ],
    ],
    [
      'has an empty selector',
      [['spec.selector', {}]],
      ['spec.selector: Invalid value: {}: empty selector is invalid for deployment'],
    ],
    [
      'has an odd selector',
      [['spec.selector', { matchExpressions: [{ key: 'app', operator: 'Is', values: ['a'] }] }]],
      [
        'spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator',
        'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Is","values":["a"]}]}: invalid label selector',
      ],
    ],
    [
      'has less than no pods',
      [['spec.replicas', -1]],
      ['spec.replicas: Invalid value: -1: must be greater than or equal to 0'],
    ],
    [
      'cannot move',
      [['spec.strategy.rollingUpdate', { maxSurge: 0, maxUnavailable: 0 }]],
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0'],
    ],
    [
      'cannot move, in per cent',
      [['spec.strategy.rollingUpdate', { maxSurge: '0%', maxUnavailable: '0%' }]],
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'],
    ],
    [
      'moves oddly',
      [['spec.strategy.rollingUpdate', { maxSurge: 'all', maxUnavailable: '101%' }]],
      [
        "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"all\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
      ],
    ],
    [
      'is recreated in steps',
      [['spec.strategy', { type: 'Recreate', rollingUpdate: {} }]],
      ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    ],
    [
      'has an unknown strategy',
      [['spec.strategy', { type: 'Hope' }]],
      ['spec.strategy: Unsupported value: {"type":"Hope"}: supported values: "Recreate", "RollingUpdate"'],
    ],
    [
      'is given up before it can be ready',
      [
        ['spec.progressDeadlineSeconds', 5],
        ['spec.minReadySeconds', 5],
      ],
      ['spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds'],
    ],
  ])('%s', (_name, changes, expected) => {
    expect(createTexts(changed(workload('Deployment'), ...changes))).toEqual(expected);
  });

  test('status', () => {
    const deployment = workload('Deployment');
    const status = (value: object) =>
      updateTexts(deployment, changed(deployment, ['status', value]), 'status');
    expect(status({ replicas: 2, readyReplicas: 2, availableReplicas: 1 })).toEqual([]);
    expect(status({ replicas: 1, readyReplicas: 1, availableReplicas: 2, updatedReplicas: -1 })).toEqual([
      'status.updatedReplicas: Invalid value: -1: must be greater than or equal to 0',
      'status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas',
      'status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas',
    ]);
  });
});

describe('other workloads', () => {
  test.each<[string, string, Change[], string[]]>([
    [
      'DaemonSet',
      'surges and is unavailable',
      [['spec.updateStrategy', { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } }]],
      [
        'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero',
      ],
    ],
    [
      'DaemonSet',
      'cannot move',
      [['spec.updateStrategy', { rollingUpdate: { maxSurge: 0, maxUnavailable: '0%' } }]],
      ['spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0'],
    ],
    [
      'DaemonSet',
      'has an empty selector',
      [['spec.selector', {}]],
      ['spec.selector: Invalid value: {}: empty selector is invalid for daemonset'],
    ],
    [
      'StatefulSet',
      'has odd policies',
      [
        ['spec.podManagementPolicy', 'Chaos'],
        ['spec.updateStrategy', { type: 'OnDelete', rollingUpdate: { partition: 1 } }],
        ['spec.persistentVolumeClaimRetentionPolicy', { whenDeleted: 'Keep' }],
      ],
      [
        "spec.podManagementPolicy: Invalid value: \"Chaos\": must be 'OrderedReady' or 'Parallel'",
        'spec.updateStrategy.rollingUpdate: Invalid value: {"partition":1}: only allowed for updateStrategy \'RollingUpdate\'',
        'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep": supported values: "Retain", "Delete"',
      ],
    ],
    [
      'StatefulSet',
      'counts from below zero',
      [
        ['spec.ordinals', { start: -1 }],
        ['spec.updateStrategy.rollingUpdate.partition', -1],
      ],
      [
        'spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0',
        'spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
  ])('%s %s', (kind, _name, changes, expected) => {
    expect(createTexts(changed(workload(kind), ...changes))).toEqual(expected);
  });

  test('a StatefulSet may change what the text says it may', () => {
    const before = workload('StatefulSet');
    const after = changed(
      before,
      ['spec.replicas', 3],
      ['spec.minReadySeconds', 2],
      ['spec.ordinals', { start: 1 }],
    );
    expect(updateTexts(before, after)).toEqual([]);
    expect(updateTexts(before, changed(before, ['spec.serviceName', 'x']))).toHaveLength(1);
  });

  test('a ReplicationController', () => {
    const controller = {
      apiVersion: 'v1',
      kind: 'ReplicationController',
      metadata: { name: 'a', namespace: 'ns' },
      spec: { template: TEMPLATE },
    };
    expect(createTexts(controller)).toEqual([]);
    expect(createTexts(changed(controller, ['spec.selector', { app: 'b' }]))).toEqual([
      'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`',
    ]);
    expect(createTexts(changed(controller, ['spec.template', undefined]))).toEqual([
      'spec.selector: Required value',
      'spec.template: Required value',
    ]);
  });
});

const GENERATED = {
  'batch.kubernetes.io/controller-uid': 'uid-1',
  'batch.kubernetes.io/job-name': 'a',
  'controller-uid': 'uid-1',
  'job-name': 'a',
};
const JOB = {
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'a', namespace: 'ns' },
  spec: {
    selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': 'uid-1' } },
    template: { metadata: { labels: GENERATED }, spec: { ...TEMPLATE.spec, restartPolicy: 'Never' } },
  },
};

describe('a Job', () => {
  test.each<[string, Change[], string[]]>([
    ['is right', [], []],
    [
      'is restarted for ever',
      [['spec.template.spec.restartPolicy', 'Always']],
      ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ],
    [
      'has labels of its own making',
      [['spec.template.metadata.labels["job-name"]', 'b']],
      [
        `spec.template.metadata.labels[job-name]: Invalid value: ${JSON.stringify({ ...GENERATED, 'job-name': 'b' })}: must be 'a'`,
      ],
    ],
    [
      'selects more than its own pods',
      [
        ['spec.selector', { matchLabels: { app: 'a' } }],
        ['spec.template.metadata.labels.app', 'a'],
      ],
      ['spec.selector: Invalid value: {"matchLabels":{"app":"a"}}: `selector` not auto-generated'],
    ],
    [
      'selects by hand',
      [
        ['spec.manualSelector', true],
        ['spec.selector', { matchLabels: { app: 'a' } }],
        ['spec.template.metadata.labels', { app: 'a' }],
      ],
      [],
    ],
    [
      'has numbers below zero',
      [
        ['spec.parallelism', -1],
        ['spec.completions', -1],
        ['spec.backoffLimit', -1],
      ],
      [
        'spec.parallelism: Invalid value: -1: must be greater than or equal to 0',
        'spec.completions: Invalid value: -1: must be greater than or equal to 0',
        'spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
    [
      'is indexed without an end',
      [
        ['spec.completionMode', 'Indexed'],
        ['spec.parallelism', 2],
      ],
      ['spec.completions: Required value: when completion mode is Indexed'],
    ],
    [
      'has fields of indexed ones',
      [
        ['spec.backoffLimitPerIndex', 1],
        ['spec.completionMode', 'Other'],
      ],
      [
        'spec.completionMode: Unsupported value: "Other": supported values: "NonIndexed", "Indexed"',
        'spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode',
      ],
    ],
    [
      'has odd failure rules',
      [
        ['spec.podReplacementPolicy', 'Failed'],
        [
          'spec.podFailurePolicy.rules',
          [
            { action: 'Panic' },
            { action: 'FailJob', onExitCodes: { operator: 'In', containerName: 'x', values: [3, 0, 3] } },
          ],
        ],
      ],
      [
        'spec.podFailurePolicy.rules[0].action: Unsupported value: "Panic": supported values: "Count", "FailIndex", "FailJob", "Ignore"',
        'spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required',
        'spec.podFailurePolicy.rules[1].onExitCodes.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template',
        'spec.podFailurePolicy.rules[1].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator',
        'spec.podFailurePolicy.rules[1].onExitCodes.values[2]: Duplicate value: 3',
        'spec.podFailurePolicy.rules[1].onExitCodes.values: Invalid value: [3,0,3]: must be ordered',
      ],
    ],
    [
      'is managed by a nobody',
      [['spec.managedBy', 'me']],
      ['spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")'],
    ],
  ])('%s', (_name, changes, expected) => {
    expect(createTexts(changed(JOB, ...changes))).toEqual(expected);
  });

  test.each<[string, Change[], Change[], string[]]>([
    ['same', [], [], []],
    [
      'parallelism',
      [['spec.completions', 1]],
      [
        ['spec.completions', 1],
        ['spec.parallelism', 5],
      ],
      [],
    ],
    [
      'completions',
      [],
      [['spec.completions', 5]],
      ['spec.completions: Invalid value: 5: field is immutable'],
    ],
    [
      'completions of an indexed one',
      [['spec.completionMode', 'Indexed']],
      [
        ['spec.completionMode', 'Indexed'],
        ['spec.completions', 5],
        ['spec.parallelism', 4],
      ],
      ['spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism'],
    ],
    [
      'mode',
      [['spec.completions', 1]],
      [
        ['spec.completions', 1],
        ['spec.completionMode', 'Indexed'],
      ],
      ['spec.completionMode: Invalid value: "Indexed": field is immutable'],
    ],
    [
      'template',
      [],
      [['spec.template.spec.containers[0].image', 'y:1']],
      [
        expect.stringMatching(
          /^spec\.template: Invalid value: \{.*\}: field is immutable$/,
        ) as unknown as string,
      ],
    ],
    [
      'nodes of a suspended one',
      [['spec.suspend', true]],
      [
        ['spec.suspend', true],
        ['spec.template.spec.nodeSelector', { a: 'b' }],
      ],
      [],
    ],
  ])('changes: %s', (_name, before, after, expected) => {
    expect(updateTexts(changed(JOB, ...before), changed(JOB, ...after))).toEqual(expected);
  });
});

describe('a CronJob', () => {
  const CRON = {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'a', namespace: 'ns' },
    spec: {
      schedule: '*/5 * * * *',
      jobTemplate: { spec: { template: { spec: { ...TEMPLATE.spec, restartPolicy: 'OnFailure' } } } },
    },
  };

  test.each<[string, Change[], string[]]>([
    ['is right', [], []],
    ['never comes', [['spec.schedule', '']], ['spec.schedule: Required value']],
    [
      'comes oddly',
      [['spec.schedule', '* * * *']],
      ['spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]'],
    ],
    [
      'has its zone in the schedule',
      [['spec.schedule', 'TZ=UTC 0 0 * * *']],
      [
        'spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
      ],
    ],
    ['has a zone', [['spec.timeZone', 'Europe/Paris']], []],
    [
      'has a zone of nowhere',
      [['spec.timeZone', 'Mars/Base']],
      ['spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base'],
    ],
    [
      'has an unknown policy',
      [['spec.concurrencyPolicy', 'Maybe']],
      ['spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"'],
    ],
    [
      'selects',
      [['spec.jobTemplate.spec.selector', { matchLabels: { a: 'b' } }]],
      [
        'spec.jobTemplate.spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` will be auto-generated',
      ],
    ],
    [
      'restarts for ever',
      [['spec.jobTemplate.spec.template.spec.restartPolicy', 'Always']],
      [
        'spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
      ],
    ],
  ])('%s', (_name, changes, expected) => {
    expect(createTexts(changed(CRON, ...changes))).toEqual(expected);
  });
});

test.each<[string, string | undefined]>([
  ['0 0 1 1 0', undefined],
  ['*/15 0-6,12 ? jan,MAR mon-fri', undefined],
  ['@hourly', undefined],
  ['@every 1h30m', undefined],
  ['@every soon', 'failed to parse duration @every soon: time: invalid duration "soon"'],
  ['@often', 'unrecognized descriptor: @often'],
  ['60 * * * *', 'end of range (60) above maximum (59): 60'],
  ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
  ['* * * * 7', 'end of range (7) above maximum (6): 7'],
  ['5-1 * * * *', 'beginning of range (5) beyond end of range (1): 5-1'],
  ['*/0 * * * *', 'step of range should be a positive number: */0'],
  ['1-2-3 * * * *', 'too many hyphens: 1-2-3'],
  ['1/2/3 * * * *', 'too many slashes: 1/2/3'],
  ['x * * * *', 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
])('schedule %j: %j', (schedule, expected) => {
  expect(cronScheduleError(schedule)).toBe(expected);
});
