import type { Change } from './kind-harness.ts';
import { type Row, testRows } from './rule-rows.ts';

/** The rules of other kinds that people meet seldom, one row each. */

const metric = (value: object): Change => ['spec.metrics', [value]];
const target = { type: 'AverageValue', averageValue: '1' };

const ROWS: Row[] = [
  [
    'storage',
    [['reclaimPolicy', 'Recycle']],
    ['reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"'],
  ],
  ['claim', [['spec.accessModes', ['ReadWriteOncePod']]], []],
  [
    'quota',
    [['spec.scopeSelector', { matchExpressions: [{ scopeName: 'BestEffort', operator: 'Exists' }] }]],
    [],
  ],
  ['secret', [['type', 'kubernetes.io/ssh-auth']], ['data[ssh-privatekey]: Required value']],
  [
    'secret',
    [
      ['type', 'kubernetes.io/dockercfg'],
      ['data', { '.dockercfg': Buffer.from('[]').toString('base64') }],
    ],
    ['data[.dockercfg]: Invalid value: "<secret contents redacted>"'],
  ],
  [
    'binding',
    [['aggregationRule', {}]],
    [
      'aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil',
    ],
  ],
  [
    'binding',
    [['aggregationRule', { clusterRoleSelectors: [{ matchLabels: { a: '!' } }] }]],
    ['aggregationRule.clusterRoleSelectors[0].matchLabels: Invalid value: "!"'],
  ],
  ['binding', [['rules', [{ verbs: ['get'], nonResourceURLs: ['/x'] }]]], []],
  [
    'lease',
    [['spec.preferredHolder', 'x']],
    ['spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined'],
  ],
  ['lease', [['spec.strategy', 'Youngest']], ['spec.strategy.strategy: Unsupported value: "Youngest"']],
  ['lease', [['spec.strategy', 'a/!']], ['spec.strategy.strategy: Invalid value: "a/!"']],
  [
    'runtime',
    [
      [
        'scheduling',
        {
          nodeSelector: { a: '!' },
          tolerations: [
            { key: 'a', operator: 'Exists' },
            { key: 'a', operator: 'Exists' },
            { operator: 'Is' },
          ],
        },
      ],
      ['overhead', { podFixed: { gpus: '1' } }],
    ],
    [
      'overhead.limits[gpus]',
      'overhead.limits[gpus]',
      'scheduling.nodeSelector: Invalid value: "!"',
      'scheduling.tolerations.tolerations[2].operator: Invalid value: "Is"',
      'scheduling.tolerations.tolerations[2].operator: Unsupported value: "Is"',
      'scheduling.tolerations[1]: Duplicate value: {"key":"a","operator":"Exists"}',
    ],
  ],
  [
    'limits',
    [['spec.limits', [{ type: 'Thing' }, { type: 'a.b/Thing', max: { apples: '1' } }]]],
    [
      'spec.limits[0].type: Invalid value: "Thing": must be a standard limit type or fully qualified',
      'spec.limits[1].max[apples]: Invalid value: "apples": must be a standard resource type',
    ],
  ],
  [
    'quota',
    [
      [
        'spec.scopeSelector',
        {
          matchExpressions: [
            { scopeName: 'Odd', operator: 'Is' },
            { scopeName: 'BestEffort', operator: 'In', values: [] },
            { scopeName: 'PriorityClass', operator: 'Exists', values: ['x'] },
            { scopeName: 'PriorityClass', operator: 'In', values: ['x'] },
          ],
        },
      ],
    ],
    [
      'spec.scopeSelector.matchExpressions.scopeName: Invalid value: "Odd": unsupported scope',
      'spec.scopeSelector.matchExpressions.operator: Invalid value: "Is": not a valid selector operator',
      'spec.scopeSelector.matchExpressions.operator: Invalid value: "In": must be \'Exists\' when scope is any of',
      'spec.scopeSelector.matchExpressions.values: Required value: must be at least one value',
      'spec.scopeSelector.matchExpressions.values: Invalid value: ["x"]: must be no value',
    ],
  ],
  [
    'storage',
    [['parameters', Object.fromEntries(Array.from({ length: 513 }, (_, i) => [`k${i}`, '']))]],
    ['parameters: Too long: Provisioner Parameters exceeded max allowed 512'],
  ],
  ['storage', [['parameters', { '': 'x' }]], ['parameters: Invalid value: "": field can not be empty.']],
  [
    'volume',
    [
      [
        'spec',
        {
          hostPath: { path: '/x' },
          nfs: {},
          persistentVolumeReclaimPolicy: 'Burn',
          storageClassName: '!',
        },
      ],
    ],
    [
      'spec.accessModes: Required value',
      'spec.capacity: Required value',
      'spec.capacity: Unsupported value: {}: supported values: "storage"',
      'spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: "Delete", "Recycle", "Retain"',
      'spec.nfs: Forbidden: may not specify more than 1 volume type',
      'spec.storageClassName: Invalid value: "!"',
    ],
  ],
  [
    'volume',
    [['spec.capacity', { storage: '0' }]],
    ['spec.capacity[storage]: Invalid value: "0": must be greater than zero'],
  ],
  [
    'claim',
    [
      ['spec.dataSource', { kind: 'X', name: '' }],
      ['spec.dataSourceRef', { kind: 'Y', name: 'n', apiGroup: '!', namespace: '!' }],
    ],
    [
      'spec.dataSource.name: Required value',
      'spec.dataSource: Invalid value: "X": must be \'PersistentVolumeClaim\' when referencing the default apiGroup',
      'spec.dataSourceRef.apiGroup: Invalid value: "!"',
      'spec.dataSourceRef.namespace: Invalid value: "!"',
      'spec: Invalid value: "spec.dataSource": may not be specified when dataSourceRef.namespace is specified',
    ],
  ],
  [
    'claim',
    [
      ['spec.dataSource', { kind: 'X', apiGroup: 'a.b', name: 'n' }],
      ['spec.dataSourceRef', { kind: 'X', apiGroup: 'a.b', name: 'm' }],
    ],
    ['spec: Invalid value: "spec.dataSource": must match dataSourceRef'],
  ],
  [
    'scaler',
    [metric({ type: '' })],
    [
      'spec.metrics[0].type: Required value: must specify a metric source type',
      'spec.metrics[0].type: Unsupported value: ""',
    ],
  ],
  [
    'scaler',
    [
      metric({
        type: 'Pods',
        pods: { metric: {}, target: { type: 'Value', value: '1' } },
        resource: { name: 'cpu' },
      }),
    ],
    [
      'spec.metrics[0].pods.metric.name: Required value: must specify a metric name',
      'spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue',
      'spec.metrics[0].resource: Forbidden: must populate the given metric source only',
    ],
  ],
  [
    'scaler',
    [metric({ type: 'ContainerResource', containerResource: { name: 'cpu', target } })],
    ['spec.metrics[0].containerResource.container: Required value: must specify a container'],
  ],
  [
    'scaler',
    [metric({ type: 'ContainerResource', containerResource: { name: 'cpu', container: '!', target } })],
    ['spec.metrics[0].containerResource.container: Invalid value: "!"'],
  ],
  [
    'scaler',
    [metric({ type: 'Resource', resource: { name: 'cpu', target: {} } })],
    [
      'spec.metrics[0].resource.target.type: Required value: must specify a metric target type',
      'spec.metrics[0].resource.target.type: Invalid value: ""',
      'spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization',
    ],
  ],
  [
    'scaler',
    [
      metric({
        type: 'Resource',
        resource: { name: 'cpu', target: { ...target, averageUtilization: 5 } },
      }),
    ],
    [
      'spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization',
    ],
  ],
  [
    'scaler',
    [
      metric({
        type: 'Object',
        object: {
          describedObject: { kind: 'k', name: 'n' },
          metric: { name: 'a/b' },
          target: { type: 'Value' },
        },
      }),
    ],
    [
      'spec.metrics[0].object.metric.name: Invalid value: "a/b"',
      'spec.metrics[0].object.target.averageValue: Required value: must set either a target value or averageValue',
    ],
  ],
  [
    'scaler',
    [metric({ type: 'External', external: { metric: { name: 'm' }, target: { type: 'Value' } } })],
    [
      'spec.metrics[0].external.target.averageValue: Required value: must set either a target value for metric or a per-pod target',
    ],
  ],
  [
    'scaler',
    [
      metric({
        type: 'External',
        external: { metric: { name: 'm' }, target: { ...target, value: '1' } },
      }),
    ],
    [
      'spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target',
    ],
  ],
  [
    'scaler',
    [['spec.behavior', { scaleDown: { policies: [] } }]],
    ['spec.behavior.scaleDown.policies: Required value: must specify at least one Policy'],
  ],
];

testRows(ROWS);
