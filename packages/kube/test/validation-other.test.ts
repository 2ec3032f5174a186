import { describe, expect, test } from 'vitest';
import { type Change, changed, createTexts, updateTexts } from './kind-harness.ts';

const namespaced = { name: 'a', namespace: 'ns' };
const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Objects that are right, to be spoilt. */
const OBJECTS = {
  autoscaler: {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: namespaced,
    spec: { maxReplicas: 3, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'a' } },
  },
  binding: {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: namespaced,
    roleRef: { kind: 'Role', name: 'r' },
    subjects: [{ kind: 'ServiceAccount', name: 's', namespace: 'ns' }],
  },
  budget: {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: namespaced,
    spec: { minAvailable: 1, selector: { matchLabels: { a: 'b' } } },
  },
  claim: {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: namespaced,
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  },
  clusterBinding: {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'a' },
    roleRef: { kind: 'ClusterRole', name: 'system:x' },
    subjects: [{ kind: 'Group', name: 'g' }],
  },
  config: { apiVersion: 'v1', kind: 'ConfigMap', metadata: namespaced, data: { 'a.conf': 'x' } },
  event: {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'a.1', namespace: 'ns' },
    involvedObject: { kind: 'Pod', namespace: 'ns', name: 'p' },
  },
  lease: {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: namespaced,
    spec: { leaseDurationSeconds: 4 },
  },
  limits: {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: namespaced,
    spec: { limits: [{ type: 'Container', max: { cpu: '2' }, min: { cpu: '1' } }] },
  },
  namespace: {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'a' },
    spec: { finalizers: ['kubernetes'] },
  },
  node: {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n' },
    spec: { podCIDRs: ['10.244.0.0/24'] },
    status: {
      capacity: { cpu: '4', pods: '110' },
      addresses: [{ type: 'InternalIP', address: '127.0.0.11' }],
    },
  },
  priority: { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'a' }, value: 5 },
  quota: {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: namespaced,
    spec: { hard: { pods: '10', 'requests.cpu': '4', 'count/deployments.apps': '2' } },
  },
  role: {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: namespaced,
    rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }],
  },
  runtime: {
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'a' },
    handler: 'external',
  },
  secret: { apiVersion: 'v1', kind: 'Secret', metadata: namespaced, data: { key: base64('x') } },
  storage: {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'a' },
    provisioner: 'x/y',
  },
  volume: {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'a' },
    spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, hostPath: { path: '/x' } },
  },
};

type Name = keyof typeof OBJECTS;

test.each(Object.keys(OBJECTS) as Name[])('%s is right, and stays right', (name) => {
  const object = changed(OBJECTS[name]);
  expect(createTexts(object)).toEqual([]);
  expect(updateTexts(object, object)).toEqual([]);
});

const contains = (text: string) => expect.stringContaining(text) as unknown as string;

describe('on creation', () => {
  test.each<[Name, string, Change[], string[]]>([
    [
      'config',
      'odd keys',
      [
        ['data', { '..': 'x', 'a b': 'y', both: 'z' }],
        ['binaryData', { both: base64('z') }],
      ],
      [
        'data[..]: Invalid value: "..": must not be \'..\'',
        contains('data[a b]: Invalid value: "a b": a valid config key must consist of'),
        'data[both]: Invalid value: "both": duplicate of key present in binaryData',
      ],
    ],
    [
      'config',
      'size',
      [['data.big', 'x'.repeat(1024 * 1024)]],
      [': Too long: may not be more than 1048576 bytes'],
    ],
    [
      'secret',
      'size',
      [['data.big', base64('x'.repeat(1024 * 1024))]],
      ['data: Too long: may not be more than 1048576 bytes'],
    ],
    [
      'secret',
      'TLS without a key',
      [
        ['type', 'kubernetes.io/tls'],
        ['data', { 'tls.crt': base64('x') }],
      ],
      ['data[tls.key]: Required value'],
    ],
    [
      'secret',
      'TLS in plain text',
      [
        ['type', 'kubernetes.io/tls'],
        ['stringData', { 'tls.crt': 'x', 'tls.key': 'y' }],
      ],
      [],
    ],
    [
      'secret',
      'a registry',
      [
        ['type', 'kubernetes.io/dockerconfigjson'],
        ['data', { '.dockerconfigjson': base64('{') }],
      ],
      [contains('data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": ')],
    ],
    [
      'secret',
      'nobody to log in',
      [['type', 'kubernetes.io/basic-auth']],
      ['data[username]: Required value', 'data[password]: Required value'],
    ],
    [
      'secret',
      'a token of nobody',
      [['type', 'kubernetes.io/service-account-token']],
      ['metadata.annotations[kubernetes.io/service-account.name]: Required value'],
    ],
    [
      'namespace',
      'finalizer',
      [['spec.finalizers', ['mine']]],
      [
        'spec.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
      ],
    ],
    [
      'node',
      'taints',
      [
        [
          'spec.taints',
          [{ key: 'a', effect: 'NoSchedule' }, { key: 'a', value: 'b', effect: 'NoSchedule' }, { key: 'a' }],
        ],
      ],
      [
        'metadata.taints[1]: Duplicate value: {"key":"a","value":"b","effect":"NoSchedule"}: taints must be unique by key and effect pair',
        'metadata.taints[2].effect: Required value',
      ],
    ],
    [
      'node',
      'prefixes',
      [['spec.podCIDRs', ['10.0.0.0/24', '10.0.0.0/24']]],
      [
        'spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.0.0/24"]: may specify no more than one CIDR for each IP family',
        'spec.podCIDRs[1]: Duplicate value: "10.0.0.0/24"',
      ],
    ],
    [
      'node',
      'resources',
      [
        ['status.capacity', { cpu: '-1', pods: '1500m' }],
        ['status.allocatable', {}],
      ],
      [
        'status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0',
        'status.capacity.pods: Invalid value: "1500m": must be an integer',
      ],
    ],
    [
      'event',
      'of another namespace',
      [['involvedObject.namespace', 'other']],
      ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
    ],
    [
      'event',
      'of the newer form',
      [
        ['eventTime', '2024-01-01T00:00:00.000000Z'],
        ['message', 'x'.repeat(1025)],
        ['reason', 'R'],
      ],
      [
        'reportingComponent: Required value',
        contains('reportingComponent: Invalid value: "": name part must be non-empty'),
        contains('reportingComponent: Invalid value: "": name part must consist'),
        'reportingInstance: Required value',
        'action: Required value',
        'message: Invalid value: "": can have at most 1024 characters',
      ],
    ],
    [
      'budget',
      'both bounds',
      [['spec', { minAvailable: '101%', maxUnavailable: -1 }]],
      [
        'spec: Invalid value: {"minAvailable":"101%","maxUnavailable":-1}: minAvailable and maxUnavailable cannot be both set',
        'spec.minAvailable: Invalid value: "101%": must not be greater than 100%',
        'spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
    [
      'budget',
      'policy',
      [['spec.unhealthyPodEvictionPolicy', 'x']],
      [
        'spec.unhealthyPodEvictionPolicy: Unsupported value: "x": supported values: "AlwaysAllow", "IfHealthyBudget"',
      ],
    ],
    [
      'priority',
      'too high',
      [['value', 1_000_000_001]],
      ['value: Forbidden: maximum allowed value of a user defined priority is 1000000000'],
    ],
    [
      'priority',
      "the system's",
      [['metadata.name', 'system-x']],
      [
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class",
      ],
    ],
    [
      'priority',
      'one of the system',
      [
        ['metadata.name', 'system-node-critical'],
        ['value', 2_000_001_000],
      ],
      [],
    ],
    [
      'priority',
      'one of the system, with another value',
      [['metadata.name', 'system-node-critical']],
      [contains('error: value of system-node-critical PriorityClass must be 2000001000')],
    ],
    [
      'priority',
      'one of the system, for everybody',
      [
        ['metadata.name', 'system-node-critical'],
        ['value', 2_000_001_000],
        ['globalDefault', true],
      ],
      [contains('error: globalDefault of system-node-critical PriorityClass must be false')],
    ],
    ['node', 'two families', [['spec.podCIDRs', ['10.0.0.0/24', 'fd00::/64']]], []],
    ['runtime', 'handler', [['handler', 'a.b']], ['handler: Invalid value: "a.b": must not contain dots']],
    [
      'lease',
      'durations',
      [['spec', { leaseDurationSeconds: 0, leaseTransitions: -1 }]],
      [
        'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
        'spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
    [
      'role',
      'empty rules',
      [['rules', [{}, { verbs: ['get'], nonResourceURLs: ['/x'], resources: ['y'] }]]],
      [
        'rules[0].verbs: Required value: verbs must contain at least one value',
        'rules[0].apiGroups: Required value: resource rules must supply at least one api group',
        'rules[0].resources: Required value: resource rules must supply at least one resource',
        'rules[1].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
        'rules[1].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs',
      ],
    ],
    [
      'binding',
      'odd role and subjects',
      [
        ['roleRef', { apiGroup: 'x', kind: 'Rule', name: '' }],
        [
          'subjects',
          [{ kind: 'Robot', name: 'r' }, { kind: 'User' }, { kind: 'Group', apiGroup: 'y', name: 'g' }],
        ],
      ],
      [
        'roleRef.apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io"',
        'roleRef.kind: Unsupported value: "Rule": supported values: "Role", "ClusterRole"',
        'roleRef.name: Required value',
        'subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
        'subjects[1].name: Required value',
        'subjects[2].apiGroup: Unsupported value: "y": supported values: "rbac.authorization.k8s.io"',
      ],
    ],
    [
      'clusterBinding',
      'a role of one namespace, an account of none',
      [
        ['roleRef.kind', 'Role'],
        ['subjects', [{ kind: 'ServiceAccount', name: 's' }]],
      ],
      [
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
        'subjects[0].namespace: Required value',
      ],
    ],
    [
      'autoscaler',
      'bounds',
      [['spec', { minReplicas: 0, maxReplicas: 0 }]],
      [
        'spec.minReplicas: Invalid value: 0: must be greater than or equal to 1',
        'spec.maxReplicas: Invalid value: 0: must be greater than 0',
        'spec.scaleTargetRef.kind: Required value',
        'spec.scaleTargetRef.name: Required value',
        'spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas',
      ],
    ],
    [
      'autoscaler',
      'metrics',
      [
        [
          'spec.metrics',
          [
            {
              type: 'Pods',
              resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 0 } },
            },
            { type: 'Resource', resource: { name: '', target: { type: 'Hope', averageValue: '0' } } },
            { type: 'Weather' },
          ],
        ],
      ],
      [
        'spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0',
        'spec.metrics[0].pods: Required value: must populate information for the given metric source',
        'spec.metrics[1].resource.name: Required value: must specify a resource name',
        'spec.metrics[1].resource.target.type: Invalid value: "Hope": must be either Utilization, Value, or AverageValue',
        'spec.metrics[1].resource.target.averageValue: Invalid value: "0": must be positive',
        'spec.metrics[2].type: Unsupported value: "Weather": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
      ],
    ],
    [
      'autoscaler',
      'behavior',
      [
        [
          'spec.behavior',
          {
            scaleUp: {
              stabilizationWindowSeconds: 3601,
              selectPolicy: 'Mid',
              policies: [{ type: 'Nodes', value: 0, periodSeconds: 1801 }],
            },
          },
        ],
      ],
      [
        'spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600',
        'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Mid": supported values: "Disabled", "Max", "Min"',
        'spec.behavior.scaleUp.policies[0].type: Unsupported value: "Nodes": supported values: "Percent", "Pods"',
        'spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero',
        'spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800',
      ],
    ],
    [
      'claim',
      'nothing asked',
      [['spec', { volumeMode: 'Tape' }]],
      [
        'spec.accessModes: Required value: at least 1 access mode is required',
        'spec.resources[storage]: Required value',
        'spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Filesystem"',
      ],
    ],
    [
      'claim',
      'odd modes',
      [
        ['spec.accessModes', ['ReadWriteOncePod', 'ReadWriteOnce', 'Write']],
        ['spec.resources.requests.storage', '0'],
      ],
      [
        'spec.accessModes: Unsupported value: "Write": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
        'spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes',
        'spec.resources[storage]: Invalid value: "0": must be greater than zero',
      ],
    ],
    [
      'volume',
      'no source, too much capacity',
      [['spec', { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi', cpu: '1' } }]],
      [
        'spec.capacity: Unsupported value: {"storage":"1Gi","cpu":"1"}: supported values: "storage"',
        'spec: Required value: must specify a volume type',
      ],
    ],
    [
      'storage',
      'no provisioner',
      [
        ['provisioner', ''],
        ['volumeBindingMode', 'Later'],
      ],
      [
        'provisioner: Required value',
        'volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"',
      ],
    ],
    [
      'quota',
      'odd resources and scopes',
      [['spec', { hard: { apples: '1', pods: '1.5' }, scopes: ['BestEffort', 'NotBestEffort', 'Odd'] }]],
      [
        'spec.hard[apples]: Invalid value: "apples": must be a standard resource type or fully qualified',
        'spec.hard[apples]: Invalid value: "apples": must be a standard resource for quota',
        'spec.hard[pods]: Invalid value: "1500m": must be an integer',
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Odd"]: unsupported scope',
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Odd"]: conflicting scopes',
      ],
    ],
    [
      'limits',
      'turned round',
      [
        [
          'spec.limits',
          [
            {
              type: 'Container',
              max: { cpu: '1' },
              min: { cpu: '2' },
              default: { cpu: '1' },
              defaultRequest: { cpu: '2' },
              maxLimitRequestRatio: { cpu: '500m' },
            },
            { type: 'Container' },
          ],
        ],
      ],
      [
        'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
        'spec.limits[0].defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than max value 1',
        'spec.limits[0].defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than default limit value 1',
        'spec.limits[0].default[cpu]: Invalid value: "1": min value 2 is greater than default value 1',
        'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1',
        'spec.limits[1].type: Duplicate value: "Container"',
      ],
    ],
    [
      'limits',
      'of pods and claims',
      [['spec.limits', [{ type: 'Pod', default: { cpu: '1' } }, { type: 'PersistentVolumeClaim' }]]],
      [
        "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
        'spec.limits[1].limits: Required value: either minimum or maximum storage value is required, but neither was provided',
      ],
    ],
  ])('%s: %s', (name, _what, changes, expected) => {
    expect(createTexts(changed(OBJECTS[name], ...changes))).toEqual(expected);
  });
});

describe('on change', () => {
  const frozen: Change = ['immutable', true];
  test.each<[Name, string, Change[], Change[], string[]]>([
    [
      'config',
      'what may not change',
      [frozen],
      [['data', { x: 'y' }]],
      [
        'immutable: Forbidden: field is immutable when `immutable` is set',
        'data: Forbidden: field is immutable when `immutable` is set',
      ],
    ],
    ['config', 'what nobody asks for', [frozen], [frozen, ['metadata.labels', { a: 'b' }]], []],
    ['secret', 'its type', [], [['type', 'x']], ['type: Invalid value: "x": field is immutable']],
    [
      'secret',
      'what may not change',
      [frozen],
      [frozen, ['data', {}]],
      ['data: Forbidden: field is immutable when `immutable` is set'],
    ],
    [
      'node',
      'its prefixes',
      [],
      [['spec.podCIDRs', ['10.244.1.0/24']]],
      ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'],
    ],
    [
      'node',
      'its provider',
      [['spec.providerID', 'a://b']],
      [['spec.providerID', 'a://c']],
      ['spec.providerID: Forbidden: node updates may not change providerID except from "" to valid'],
    ],
    ['node', 'no prefixes yet', [['spec.podCIDRs', undefined]], [], []],
    ['priority', 'its value', [], [['value', 6]], ['value: Forbidden: may not be changed in an update.']],
    ['runtime', 'its handler', [], [['handler', 'x']], ['handler: Invalid value: "x": field is immutable']],
    [
      'binding',
      'its role',
      [],
      [['roleRef.name', 'x']],
      [
        contains(
          'roleRef: Invalid value: {"kind":"Role","name":"x","apiGroup":"rbac.authorization.k8s.io"}: cannot change roleRef',
        ),
      ],
    ],
    [
      'storage',
      'parameters',
      [],
      [
        ['parameters', { a: 'b' }],
        ['reclaimPolicy', 'Retain'],
      ],
      [
        'parameters: Forbidden: updates to parameters are forbidden.',
        'reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.',
      ],
    ],
    [
      'claim',
      'its class',
      [],
      [['spec.storageClassName', 'x']],
      [
        contains(
          'spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n+storageClassName: "x"',
        ),
      ],
    ],
    ['claim', 'the volume found for it', [], [['spec.volumeName', 'v']], []],
    [
      'claim',
      'growth once bound',
      [['status.phase', 'Bound']],
      [
        ['status.phase', 'Bound'],
        ['spec.resources.requests.storage', '2Gi'],
      ],
      [],
    ],
    [
      'volume',
      'its source',
      [],
      [['spec.hostPath.path', '/y']],
      [
        'spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n-hostPath.path: "/x"\n+hostPath.path: "/y"',
      ],
    ],
    [
      'quota',
      'its scopes',
      [],
      [['spec.scopes', ['BestEffort']]],
      ['spec.scopes: Invalid value: ["BestEffort"]: field is immutable'],
    ],
    [
      'namespace',
      'finalizers',
      [],
      [['spec.finalizers', ['mine']]],
      [
        'spec.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
      ],
    ],
  ])('%s: %s', (name, _what, before, after, expected) => {
    expect(updateTexts(changed(OBJECTS[name], ...before), changed(OBJECTS[name], ...after))).toEqual(
      expected,
    );
  });

  test('the phase of a namespace', () => {
    const before = changed(OBJECTS.namespace);
    const terminating = changed(before, ['status.phase', 'Terminating']);
    expect(updateTexts(before, terminating, 'status')).toEqual([
      'status.Phase: Invalid value: "Terminating": may only be \'Active\' if `deletionTimestamp` is empty',
    ]);
    const deleted: Change = ['metadata.deletionTimestamp', '2024-01-01T00:00:00Z'];
    expect(updateTexts(changed(before, deleted), changed(terminating, deleted), 'status')).toEqual([]);
  });

  test('an address of a node told twice', () => {
    const address = { type: 'InternalIP', address: '127.0.0.11' };
    const twice = changed(OBJECTS.node, ['status.addresses', [address, address]]);
    expect(updateTexts(changed(OBJECTS.node), twice, 'status')).toEqual([
      'status.addresses[1]: Duplicate value: {"type":"InternalIP","address":"127.0.0.11"}',
    ]);
  });
});
