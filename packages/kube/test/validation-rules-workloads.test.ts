import type { Change } from './kind-harness.ts';
import { type Row, testRows } from './rule-rows.ts';

/** The rules of workloads that people meet seldom, one row each. */

const failure = (rule: object): Change => ['spec.podFailurePolicy', { rules: [rule] }];

const ROWS: Row[] = [
  ['replicas', [['spec.template.metadata.labels["-"]', 'b']], ['spec.template.labels: Invalid value: "-"']],
  [
    'replicas',
    [['spec.template.spec.ephemeralContainers', [{ name: 'e', image: 'x' }]]],
    ['spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template'],
  ],
  ['replicas', [['spec.revisionHistoryLimit', -1]], ['spec.revisionHistoryLimit: Invalid value: -1']],
  [
    'daemons',
    [['spec.updateStrategy', { type: 'Hope' }]],
    [
      'spec.updateStrategy: Unsupported value: {"type":"Hope"}: supported values: "RollingUpdate", "OnDelete"',
    ],
  ],
  ['daemons', [['spec.updateStrategy', { type: 'OnDelete' }]], []],
  [
    'sets',
    [['spec.updateStrategy', { type: 'Hope' }]],
    ['spec.updateStrategy: Invalid value: {"type":"Hope"}: must be \'RollingUpdate\' or \'OnDelete\''],
  ],
  [
    'sets',
    [['spec.updateStrategy', { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0 } }]],
    ['spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0'],
  ],
  [
    'sets',
    [['spec.selector', { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['b'] }] }]],
    [
      "spec.selector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
      'spec.selector: Invalid value: {',
    ],
  ],
  [
    'sets',
    [['spec.template.metadata.annotations', { '!': '' }]],
    ['spec.template.annotations: Invalid value: "!"'],
  ],
  [
    'revision',
    [
      ['data', undefined],
      ['revision', -1],
    ],
    ['revision: Invalid value: -1', 'data: Required value: data is mandatory'],
  ],
  [
    'job',
    [['spec.selector', undefined]],
    ['spec.selector: Required value', 'spec.template.metadata.labels: Invalid value'],
  ],
  [
    'job',
    [['spec.manualSelector', false]],
    [
      "spec.template.metadata.labels[controller-uid]: Required value: must be 'uid-1'",
      "spec.template.metadata.labels[job-name]: Required value: must be 'a'",
      'spec.template.metadata.labels[batch.kubernetes.io/controller-uid]',
      'spec.template.metadata.labels[batch.kubernetes.io/job-name]',
      'spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` not auto-generated',
    ],
  ],
  [
    'job',
    [['spec.template.spec.restartPolicy', 'Maybe']],
    [
      'spec.template.spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always"',
      'spec.template.spec.restartPolicy: Unsupported value: "Maybe": supported values: "OnFailure", "Never"',
    ],
  ],
  [
    'job',
    [
      ['spec.template.spec.restartPolicy', 'OnFailure'],
      failure({ action: 'Ignore', onPodConditions: [{ type: 'T' }] }),
    ],
    [
      'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
    ],
  ],
  [
    'job',
    [['spec.podReplacementPolicy', 'Soon']],
    [
      'spec.podReplacementPolicy: Unsupported value: "Soon": supported values: "Failed", "TerminatingOrFailed"',
    ],
  ],
  [
    'job',
    [
      ['spec.podReplacementPolicy', 'TerminatingOrFailed'],
      failure({ action: 'Ignore', onPodConditions: [{ type: 'T' }] }),
    ],
    ['spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"'],
  ],
  [
    'job',
    [
      ['spec.completionMode', 'Indexed'],
      ['spec.completions', 5],
      ['spec.maxFailedIndexes', 1],
    ],
    ['spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified'],
  ],
  [
    'job',
    [
      ['spec.completionMode', 'Indexed'],
      ['spec.completions', 100_001],
      ['spec.backoffLimitPerIndex', 1],
      ['spec.parallelism', 10_001],
    ],
    [
      'spec.maxFailedIndexes: Required value: must be specified when completions is above 100000',
      'spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index',
    ],
  ],
  [
    'job',
    [
      ['spec.completionMode', 'Indexed'],
      ['spec.completions', 1000],
      ['metadata.name', 'x'.repeat(60)],
    ],
    [
      `metadata.name: Invalid value: "${'x'.repeat(60)}": will not able to create pod with invalid DNS label: ${'x'.repeat(60)}-999`,
    ],
  ],
  [
    'job',
    [failure({ onExitCodes: { operator: '', values: [1] } })],
    [
      'spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]',
      'spec.podFailurePolicy.rules[0].onExitCodes.operator: Required value: valid values: ["In" "NotIn"]',
    ],
  ],
  [
    'job',
    [
      failure({
        action: 'FailIndex',
        onExitCodes: { operator: 'Is', values: [1] },
        onPodConditions: [{ type: '!', status: 'No' }],
      }),
    ],
    [
      'spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
      'spec.podFailurePolicy.rules[0].onExitCodes.operator: Unsupported value: "Is": supported values: "In", "NotIn"',
      'spec.podFailurePolicy.rules[0].onPodConditions[0].type: Invalid value: "!"',
      'spec.podFailurePolicy.rules[0].onPodConditions[0].status: Unsupported value: "No": supported values: "False", "True", "Unknown"',
      'spec.podFailurePolicy.rules[0]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported',
    ],
  ],
  [
    'cron',
    [['spec.jobTemplate.spec.manualSelector', true]],
    ['spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"'],
  ],
  [
    'cron',
    [['spec.timeZone', '']],
    ['spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string'],
  ],
  [
    'cron',
    [['spec.timeZone', 'local']],
    [
      'spec.timeZone: Invalid value: "local": timeZone must be an explicit time zone',
      'spec.timeZone: Invalid value: "local": unknown time zone local',
    ],
  ],
  ['cron', [['spec.timeZone', '../x']], ['spec.timeZone: Invalid value: "../x": unknown time zone ../x']],
  [
    'cron',
    [
      ['spec.startingDeadlineSeconds', -1],
      ['spec.failedJobsHistoryLimit', -1],
    ],
    ['spec.startingDeadlineSeconds: Invalid value: -1', 'spec.failedJobsHistoryLimit: Invalid value: -1'],
  ],
];

testRows(ROWS);
