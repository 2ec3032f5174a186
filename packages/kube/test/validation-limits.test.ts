import { describe, expect, test } from 'vitest';
import { type Change, changed, createTexts } from './kind-harness.ts';

/** Values at a limit, and one past it. */

const namespaced = { name: 'a', namespace: 'ns' };
const CONTAINER = { name: 'c', image: 'x:1' };
const POD = { apiVersion: 'v1', kind: 'Pod', metadata: namespaced, spec: { containers: [CONTAINER] } };
const SERVICE = { apiVersion: 'v1', kind: 'Service', metadata: namespaced, spec: { ports: [{ port: 80 }] } };
const TEMPLATE = {
  metadata: { labels: { a: 'b' } },
  spec: { containers: [CONTAINER], restartPolicy: 'Never' },
};
const JOB = {
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: namespaced,
  spec: {
    manualSelector: true,
    selector: { matchLabels: { a: 'b' } },
    template: TEMPLATE,
    completionMode: 'Indexed',
    completions: 5,
  },
};
const DEPLOYMENT = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: namespaced,
  spec: {
    selector: { matchLabels: { a: 'b' } },
    template: { ...TEMPLATE, spec: { containers: [CONTAINER] } },
  },
};
const DAEMON_SET = { ...DEPLOYMENT, kind: 'DaemonSet' };
const POLICY = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: namespaced,
  spec: { podSelector: {}, ingress: [{ ports: [{ port: 80 }] }] },
};
const SLICE = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: namespaced,
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.0.0.1'] }],
};
const AUTOSCALER = {
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: namespaced,
  spec: { maxReplicas: 3, scaleTargetRef: { kind: 'Deployment', name: 'a' } },
};
const EVENT = {
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: 'e', namespace: 'ns' },
  involvedObject: { namespace: 'ns' },
  eventTime: '2024-01-01T00:00:00.000000Z',
  reportingComponent: 'c',
  reportingInstance: 'i',
  action: 'A',
  reason: 'R',
};
const CONFIG = { apiVersion: 'v1', kind: 'ConfigMap', metadata: namespaced };
const SECRET = { apiVersion: 'v1', kind: 'Secret', metadata: namespaced };
const CLASS = { apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', metadata: { name: 'a' }, spec: {} };
const DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'xs.a.b' },
  spec: {
    group: 'a.b',
    scope: 'Cluster',
    names: { kind: 'X', plural: 'xs' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        deprecated: true,
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'string' } } } },
      },
    ],
  },
};
const C = 'spec.containers[0]';

function many<T>(count: number, item: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => item(i));
}

function nested(depth: number): object {
  let schema: object = { type: 'string' };
  for (let i = 0; i < depth; i++) schema = { type: 'array', items: schema };
  return { type: 'object', properties: { a: schema } };
}

const text = (length: number) => 'x'.repeat(length);
const base64 = (length: number) => Buffer.from(text(length)).toString('base64');
const budget = 256 * 1024;

describe.each<[string, object, string, unknown[], unknown[], string]>([
  [
    'annotations',
    CONFIG,
    'metadata.annotations',
    [{ k: text(budget - 1) }],
    [{ k: text(budget) }],
    'metadata.annotations: Too long',
  ],
  [
    'manager',
    CONFIG,
    'metadata.managedFields',
    [[{ operation: 'Update', manager: text(128) }]],
    [[{ operation: 'Update', manager: text(129) }]],
    'metadata.managedFields[0].manager: Too long',
  ],
  [
    'subresource',
    CONFIG,
    'metadata.managedFields',
    [[{ operation: 'Apply', subresource: text(256) }]],
    [[{ operation: 'Apply', subresource: text(257) }]],
    'metadata.managedFields[0].subresource: Too long',
  ],
  ['data', CONFIG, 'data', [{ k: text(1024 * 1024) }], [{ k: text(1024 * 1024 + 1) }], ': Too long'],
  [
    'binary data',
    CONFIG,
    'binaryData',
    [{ k: base64(1024 * 1024) }],
    [{ k: base64(1024 * 1024 + 1) }],
    ': Too long',
  ],
  [
    'secret data',
    SECRET,
    'data',
    [{ k: base64(1024 * 1024) }],
    [{ k: base64(1024 * 1024 + 1) }],
    'data: Too long',
  ],
  [
    'deadline',
    POD,
    'spec.activeDeadlineSeconds',
    [1, 2 ** 31 - 1],
    [0, 2 ** 31],
    'spec.activeDeadlineSeconds',
  ],
  [
    'container port',
    POD,
    `${C}.ports`,
    [[{ containerPort: 1 }], [{ containerPort: 65535 }]],
    [[{ containerPort: -1 }], [{ containerPort: 65536 }]],
    `${C}.ports[0].containerPort`,
  ],
  [
    'name of a port',
    POD,
    `${C}.ports`,
    [[{ containerPort: 1, name: `p${'0'.repeat(14)}` }]],
    [[{ containerPort: 1, name: `p${'0'.repeat(15)}` }]],
    `${C}.ports[0].name`,
  ],
  [
    'nameservers',
    POD,
    'spec.dnsConfig',
    [{ nameservers: many(3, (i) => `1.1.1.${i}`) }],
    [{ nameservers: many(4, (i) => `1.1.1.${i}`) }],
    'spec.dnsConfig.nameservers: Invalid value: ["1.1.1.0","1.1.1.1","1.1.1.2","1.1.1.3"]: must not have more than 3 nameservers',
  ],
  [
    'searches',
    POD,
    'spec.dnsConfig',
    [{ searches: many(32, () => 'a.') }],
    [{ searches: many(33, () => 'a') }],
    'spec.dnsConfig.searches',
  ],
  [
    'length of searches',
    POD,
    'spec.dnsConfig',
    [{ searches: [...many(10, () => many(100, () => 'a').join('.')), text(47)] }],
    [{ searches: [...many(10, () => many(100, () => 'a').join('.')), text(60)] }],
    'spec.dnsConfig.searches',
  ],
  [
    'mode',
    POD,
    'spec.volumes',
    [
      [{ name: 'v', secret: { secretName: 's', defaultMode: 0 } }],
      [{ name: 'v', secret: { secretName: 's', defaultMode: 511 } }],
    ],
    [
      [{ name: 'v', secret: { secretName: 's', defaultMode: -1 } }],
      [{ name: 'v', secret: { secretName: 's', defaultMode: 512 } }],
    ],
    'spec.volumes[0].secret.defaultMode',
  ],
  [
    'mode of a key',
    POD,
    'spec.volumes',
    [[{ name: 'v', configMap: { name: 's', items: [{ key: 'k', path: 'p', mode: 511 }] } }]],
    [[{ name: 'v', configMap: { name: 's', items: [{ key: 'k', path: 'p', mode: 512 }] } }]],
    'spec.volumes[0].configMap.items[0].mode',
  ],
  [
    'life of a token',
    POD,
    'spec',
    [600, 2 ** 32].map((seconds) => tokenSpec(seconds)),
    [599, 2 ** 32 + 1].map((seconds) => tokenSpec(seconds)),
    'spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds',
  ],
  [
    'user',
    POD,
    'spec.securityContext',
    [{ runAsUser: 0 }, { fsGroup: 2 ** 31 - 1 }, { supplementalGroups: [0] }],
    [{ runAsUser: -1 }, { fsGroup: 2 ** 31 }, { supplementalGroups: [-1] }],
    'spec.securityContext.',
  ],
  [
    'weight',
    POD,
    'spec.affinity',
    [1, 100].map(weighted),
    [0, 101].map(weighted),
    'spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight',
  ],
  [
    'sleep',
    POD,
    `${C}.lifecycle`,
    [1, 30].map((seconds) => ({ preStop: { sleep: { seconds } } })),
    [0, 31].map((seconds) => ({ preStop: { sleep: { seconds } } })),
    `${C}.lifecycle.preStop.sleep`,
  ],
  [
    'grace of a probe',
    POD,
    `${C}.livenessProbe`,
    [{ tcpSocket: { port: 1 }, terminationGracePeriodSeconds: 1 }],
    [{ tcpSocket: { port: 1 }, terminationGracePeriodSeconds: 0 }],
    `${C}.livenessProbe.terminationGracePeriodSeconds`,
  ],
  [
    'deletion cost',
    POD,
    'metadata.annotations',
    ['0', '-2147483648', '2147483647'].map(cost),
    ['2147483648', '-2147483649', '01', '-0', ''].map(cost),
    'metadata.annotations[controller.kubernetes.io/pod-deletion-cost]',
  ],
  [
    'affinity',
    SERVICE,
    'spec.sessionAffinityConfig',
    [{ clientIP: { timeoutSeconds: 1 } }, { clientIP: { timeoutSeconds: 86400 } }],
    [{ clientIP: { timeoutSeconds: 0 } }, { clientIP: { timeoutSeconds: 86401 } }],
    'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
  ],
  [
    'service port',
    SERVICE,
    'spec.ports',
    [[{ port: 1 }], [{ port: 65535 }]],
    [[{ port: 0, targetPort: 1 }], [{ port: 65536, targetPort: 1 }]],
    'spec.ports[0].port',
  ],
  [
    'surge',
    DEPLOYMENT,
    'spec.strategy',
    [rolling('100%', 1), rolling(1, '300%'), rolling(0, 1), rolling(1, 0)],
    [rolling('101%', 1), rolling(-1, 1), rolling(1, -1), rolling(0, 0)],
    'spec.strategy.rollingUpdate.',
  ],
  [
    'daemons',
    DAEMON_SET,
    'spec.updateStrategy',
    [rolling('100%', 0), rolling(0, '100%')],
    [rolling('101%', 0), rolling(0, '101%'), rolling(-1, 0)],
    'spec.updateStrategy.rollingUpdate.',
  ],
  ['readiness before the deadline', DEPLOYMENT, 'spec.minReadySeconds', [0, 599], [-1, 600], 'spec.'],
  ['parallelism', JOB, 'spec.parallelism', [0, 100_000], [-1, 100_001], 'spec.parallelism'],
  ['failed indexes', JOB, 'spec.maxFailedIndexes', [0, 5], [-1, 6], 'spec.'],
  [
    'exit codes',
    JOB,
    'spec',
    [1, 255].map((count) => failing(many(count, (i) => i + 1))),
    [0, 256].map((count) => failing(many(count, (i) => i + 1))),
    'spec.podFailurePolicy.rules[0].onExitCodes.values',
  ],
  [
    'failure rules',
    JOB,
    'spec',
    [failing([1], 20)],
    [failing([1], 21)],
    'spec.podFailurePolicy.rules: Too many',
  ],
  [
    'success rules',
    JOB,
    'spec.successPolicy',
    [{ rules: many(20, () => ({ succeededCount: 5 })) }],
    [
      { rules: many(21, () => ({ succeededCount: 5 })) },
      { rules: [] },
      { rules: [{}] },
      { rules: [{ succeededCount: 6 }] },
    ],
    'spec.successPolicy.rules',
  ],
  [
    'manager of a job',
    JOB,
    'spec.managedBy',
    [`a.b/${text(59)}`],
    [`a.b/${text(60)}`, 'a.b/', '/x', 'A/x', 'a/ '],
    'spec.managedBy',
  ],
  ['pod of the last index', JOB, 'spec.completions', [1, 1000], [], ''],
  [
    'policy port',
    POLICY,
    'spec.ingress[0].ports',
    [[{ port: 1 }], [{ port: 1, endPort: 1 }], [{ port: 1, endPort: 65535 }]],
    [[{ port: -1 }], [{ port: 1, endPort: 0 }], [{ port: 1, endPort: 65536 }]],
    'spec.ingress[0].ports[0].',
  ],
  [
    'prefix',
    POLICY,
    'spec.ingress',
    ['0.0.0.0/0', '10.0.0.1/32', '::/0', '::1/128', '10.0.0.7/8'].map(from),
    ['0.0.0.0/33', '::/129', '010.0.0.0/8', '10.0.0.0/08', '::ffff:1.2.3.4/128'].map(from),
    'spec.ingress[0].from[0].ipBlock.cidr',
  ],
  [
    'addresses',
    SLICE,
    'endpoints',
    [[{ addresses: many(100, () => '10.0.0.1') }], many(1000, () => ({ addresses: ['10.0.0.1'] }))],
    [[{ addresses: many(101, () => '10.0.0.1') }], many(1001, () => ({ addresses: ['10.0.0.1'] }))],
    'endpoints',
  ],
  ['zone hints', SLICE, 'endpoints', [[hinted(8)]], [[hinted(9)]], 'endpoints[0].hints.forZones: Too many'],
  [
    'ports of a slice',
    SLICE,
    'ports',
    [many(3, (i) => ({ name: `p${i}` }))],
    [many(20_001, () => ({}))],
    'ports: Too many: 20001: must have at most 20000 items',
  ],
  ['replicas', AUTOSCALER, 'spec.maxReplicas', [1, 100], [0], 'spec.maxReplicas'],
  [
    'utilization',
    AUTOSCALER,
    'spec.metrics',
    [utilization(1)],
    [utilization(0)],
    'spec.metrics[0].resource.target.averageUtilization',
  ],
  [
    'scaling window',
    AUTOSCALER,
    'spec.behavior',
    [0, 3600].map((seconds) => scaling(seconds, 1800)),
    [-1, 3601].map((seconds) => scaling(seconds, 1)),
    'spec.behavior.scaleUp.stabilizationWindowSeconds',
  ],
  [
    'scaling period',
    AUTOSCALER,
    'spec.behavior',
    [1, 1800].map((seconds) => scaling(0, seconds)),
    [0, 1801].map((seconds) => scaling(0, seconds)),
    'spec.behavior.scaleUp.policies[0].periodSeconds',
  ],
  ['note of an event', EVENT, 'message', [text(1024)], [text(1025)], 'message'],
  ['reason of an event', EVENT, 'reason', [text(128)], [text(129), ''], 'reason'],
  [
    'controller of a class',
    CLASS,
    'spec.controller',
    [`a.b/${text(246)}`],
    [`a.b/${text(247)}`],
    'spec.controller: Too long',
  ],
  [
    'deprecation',
    DEFINITION,
    'spec.versions[0].deprecationWarning',
    [text(256)],
    [text(257), ''],
    'spec.versions[0].deprecationWarning',
  ],
  [
    'selectable fields',
    DEFINITION,
    'spec.versions[0].selectableFields',
    [many(8, (i) => ({ jsonPath: `.spec.a${i}` }))],
    [
      many(9, (i) => ({ jsonPath: `.spec.a${i}` })),
      [{}],
      [{ jsonPath: '.metadata.name' }],
      [{ jsonPath: '.a' }, { jsonPath: '.a' }],
    ],
    'spec.versions[0].selectableFields',
  ],
  [
    'depth of a schema',
    DEFINITION,
    'spec.versions[0].schema.openAPIV3Schema',
    [nested(99)],
    [nested(100)],
    'spec.validation.openAPIV3Schema.properties[a]',
  ],
])('%s', (_what, base, path, right, wrong, expected) => {
  test.each(right.map((value) => [value]))('%.60j is right', (value) => {
    expect(createTexts(changed(withContext(base, path), [path, value]))).toEqual([]);
  });
  if (wrong.length === 0) return;
  test.each(wrong.map((value) => [value]))('%.60j is wrong', (value) => {
    const texts = createTexts(changed(withContext(base, path), [path, value]));
    expect(texts).not.toEqual([]);
    for (const each of texts) expect(each.startsWith(expected), each).toBe(true);
  });
});

/** What else must be said for the field to count. */
function withContext(base: object, path: string): object {
  const extra: Change[] = [];
  if (path === 'spec.sessionAffinityConfig') extra.push(['spec.sessionAffinity', 'ClientIP']);
  if (path === 'spec.maxFailedIndexes') extra.push(['spec.backoffLimitPerIndex', 1]);
  return changed(base, ...extra);
}

function weighted(weight: number) {
  const preference = { matchExpressions: [{ key: 'a', operator: 'Exists' }] };
  return { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight, preference }] } };
}

function cost(value: string) {
  return { 'controller.kubernetes.io/pod-deletion-cost': value };
}

function tokenSpec(expirationSeconds: number) {
  const sources = [{ serviceAccountToken: { path: 't', expirationSeconds } }];
  return {
    containers: [CONTAINER],
    serviceAccountName: 'a',
    volumes: [{ name: 'v', projected: { sources } }],
  };
}

function rolling(maxUnavailable: unknown, maxSurge: unknown) {
  return { type: 'RollingUpdate', rollingUpdate: { maxUnavailable, maxSurge } };
}

function failing(values: number[], rules = 1) {
  const rule = { action: 'FailJob', onExitCodes: { operator: 'NotIn', containerName: 'c', values } };
  return { ...JOB.spec, podFailurePolicy: { rules: many(rules, () => rule) } };
}

function from(cidr: string) {
  return [{ from: [{ ipBlock: { cidr } }] }];
}

function hinted(count: number) {
  return { addresses: ['10.0.0.1'], hints: { forZones: many(count, (i) => ({ name: `z${i}` })) } };
}

function utilization(averageUtilization: number) {
  const target = { type: 'Utilization', averageUtilization };
  return [{ type: 'Resource', resource: { name: 'cpu', target } }];
}

function scaling(stabilizationWindowSeconds: number, periodSeconds: number) {
  return { scaleUp: { stabilizationWindowSeconds, policies: [{ type: 'Pods', value: 1, periodSeconds }] } };
}
