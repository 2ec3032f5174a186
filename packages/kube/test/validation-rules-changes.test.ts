import { describe, expect, test } from 'vitest';
import { type Change, changed, updateTexts } from './kind-harness.ts';
import { BASES, type Base, C } from './rule-rows.ts';

describe('changes', () => {
  const gate: Change = ['spec.schedulingGates', [{ name: 'g' }]];
  const nodes = (...terms: object[]): Change => [
    'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution',
    { nodeSelectorTerms: terms },
  ];
  const inZone = { key: 'z', operator: 'In', values: ['a'] };
  const exists = { key: 'y', operator: 'Exists' };

  test.each<[Base, string, Change[], Change[], string[]]>([
    ['pod', '', [], [[`${C}.image`, '']], ['spec.containers[0].image: Required value']],
    [
      'pod',
      '',
      [],
      [['spec.activeDeadlineSeconds', -1]],
      [
        'spec.activeDeadlineSeconds: Invalid value: -1: must be between 1 and',
        'spec.activeDeadlineSeconds: Invalid value: -1: must be between 0 and',
      ],
    ],
    [
      'pod',
      '',
      [['spec.terminationGracePeriodSeconds', -1]],
      [['spec.terminationGracePeriodSeconds', 1]],
      [],
    ],
    [
      'pod',
      '',
      [['spec.terminationGracePeriodSeconds', -1]],
      [['spec.terminationGracePeriodSeconds', 2]],
      ['spec: Forbidden: pod updates may not change fields other than'],
    ],
    [
      'pod',
      '',
      [['spec.nodeName', 'n']],
      [
        ['spec.nodeName', 'n'],
        ['metadata.annotations', { 'kubernetes.io/config.mirror': 'x' }],
      ],
      ['metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation'],
    ],
    [
      'pod',
      '',
      [
        ['spec.nodeName', 'n'],
        ['metadata.annotations', { 'kubernetes.io/config.mirror': 'x' }],
      ],
      [['spec.nodeName', 'n']],
      [
        'metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not remove or update mirror pod annotation',
      ],
    ],
    [
      'pod',
      '',
      [gate, nodes({ matchExpressions: [inZone] })],
      [gate, nodes({ matchExpressions: [inZone, exists] })],
      [],
    ],
    ['pod', '', [gate], [gate, nodes({ matchExpressions: [inZone] })], []],
    [
      'pod',
      '',
      [gate, nodes({ matchExpressions: [inZone] })],
      [gate, nodes({ matchExpressions: [exists] })],
      [
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]: Invalid value: {"matchExpressions":[{"key":"y","operator":"Exists"}]}: only additions are allowed (no mutations or deletions)',
      ],
    ],
    [
      'pod',
      '',
      [gate, nodes({ matchExpressions: [inZone] })],
      [gate],
      [
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Invalid value: []: no additions/deletions to non-empty NodeSelectorTerms list are allowed',
      ],
    ],
    [
      'pod',
      'status',
      [['spec.nodeName', 'n']],
      [['spec.nodeName', 'm']],
      ['status.nodeName: Forbidden: may not be changed directly'],
    ],
    [
      'pod',
      'status',
      [],
      [['status', { conditions: [{ type: '!' }], nominatedNodeName: '!' }]],
      ['metadata.conditions[0].Type: Invalid value: "!"', 'status.nominatedNodeName: Invalid value: "!"'],
    ],
    ['revision', '', [], [['data', { a: 'c' }]], ['data: Invalid value: {"a":"c"}: field is immutable']],
    ['cron', '', [['spec.schedule', 'TZ=UTC 0 0 * * *']], [['spec.schedule', 'TZ=UTC 1 0 * * *']], []],
    [
      'cron',
      '',
      [['spec.schedule', 'TZ=UTC 0 0 * * *']],
      [
        ['spec.schedule', 'TZ=UTC 1 0 * * *'],
        ['spec.timeZone', 'UTC'],
      ],
      [
        'spec.schedule: Invalid value: "TZ=UTC 1 0 * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule',
      ],
    ],
    [
      'cron',
      '',
      [['spec.timeZone', 'No/Where']],
      [
        ['spec.timeZone', 'No/Where'],
        ['spec.suspend', true],
      ],
      [],
    ],
    [
      'scaler',
      '',
      [['spec.minReplicas', 0]],
      [['spec.minReplicas', 0]],
      ['spec.metrics: Forbidden: must specify at least one Object or External metric'],
    ],
    [
      'scaler',
      'status',
      [],
      [['status', { currentReplicas: -1 }]],
      ['status.currentReplicas: Invalid value: -1'],
    ],
    [
      'daemons',
      '',
      [],
      [['spec.template.spec.containers[0].image', '']],
      ['spec.template.spec.containers[0].image: Required value'],
    ],
    ['daemons', 'status', [], [['status', { numberReady: -1 }]], ['status.numberReady: Invalid value: -1']],
    ['sets', '', [], [['spec.replicas', -1]], ['spec.replicas: Invalid value: -1']],
    [
      'job',
      'status',
      [],
      [['status', { active: -1, failed: -1 }]],
      ['status.active: Invalid value: -1', 'status.failed: Invalid value: -1'],
    ],
    [
      'ingress',
      '',
      [],
      [['spec.defaultBackend', {}]],
      ['spec.defaultBackend: Invalid value: "": resource or service backend is required'],
    ],
    [
      'ingress',
      'status',
      [],
      [['status.loadBalancer.ingress', [{ ip: 'x' }, { hostname: '1.2.3.4' }]]],
      [
        'status.loadBalancer.ingress[0].ip: Invalid value: "x"',
        'status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name',
      ],
    ],
    [
      'quota',
      'status',
      [],
      [['status', { hard: { apples: '1' }, used: { pods: '-1' } }]],
      [
        'status.hard[apples]: Invalid value: "apples": must be a standard resource type',
        'status.hard[apples]: Invalid value: "apples": must be a standard resource for quota',
        'status.used[pods]: Invalid value: "-1"',
      ],
    ],
    [
      'service',
      'status',
      [['spec.type', 'LoadBalancer']],
      [
        ['spec.type', 'ClusterIP'],
        ['spec.type', 'LoadBalancer'],
        [
          'status.loadBalancer.ingress',
          [
            { hostname: 'a.b', ipMode: 'VIP' },
            { ip: '1.1.1.1', ipMode: 'Odd' },
          ],
        ],
      ],
      [
        'status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set',
        'status.loadBalancer.ingress[1].ipMode: Unsupported value: "Odd": supported values: "Proxy", "VIP"',
      ],
    ],
    [
      'claim',
      '',
      [['status', { phase: 'Bound', capacity: { storage: '2Gi' } }]],
      [
        ['status', { phase: 'Bound', capacity: { storage: '2Gi' } }],
        ['spec.resources.requests.storage', '1Gi'],
      ],
      ['spec.resources.requests.storage: Forbidden: field can not be less than status.capacity'],
    ],
    [
      'claim',
      '',
      [],
      [['spec.volumeMode', 'Block']],
      [
        'spec: Forbidden: spec is immutable after creation',
        'volumeMode: Invalid value: "Block": field is immutable',
      ],
    ],
    [
      'volume',
      '',
      [['spec.nodeAffinity', { required: {} }]],
      [
        ['spec.nodeAffinity', { required: { a: 'b' } }],
        ['spec.volumeMode', 'Block'],
      ],
      [
        'volumeMode: Invalid value: "Block": field is immutable',
        'nodeAffinity: Invalid value: {"required":{"a":"b"}}: field is immutable',
      ],
    ],
    ['volume', '', [], [['spec.nodeAffinity', { required: {} }]], []],
    [
      'definition',
      'status',
      [],
      [['status', { acceptedNames: { plural: '!' } }]],
      ['status.acceptedNames.plural: Invalid value: "!"'],
    ],
    [
      'revision',
      '',
      [],
      [['revision', -1]],
      ['revision: Invalid value: -1: must be greater than or equal to 0'],
    ],
    ['definition', '', [], [['spec.scope', 'World']], ['spec.scope: Unsupported value: "World"']],
    [
      'class',
      '',
      [],
      [['spec.parameters.kind', '']],
      ['spec.parameters.kind: Required value: kind is required'],
    ],
  ])('%s %s %j -> %j', (base, subresource, before, after, expected) => {
    const texts = updateTexts(changed(BASES[base], ...before), changed(BASES[base], ...after), subresource);
    expect(texts.map((text, i) => text.slice(0, expected[i]?.length))).toEqual(expected);
  });
});
