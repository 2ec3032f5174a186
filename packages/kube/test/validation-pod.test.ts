import { describe, expect, test } from 'vitest';
import { type Change, changed, createTexts, updateTexts } from './kind-harness.ts';

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a', namespace: 'ns' },
  spec: { containers: [{ name: 'c', image: 'nginx:1' }] },
};
const C = 'spec.containers[0]';

describe('a new Pod', () => {
  test.each<[string, Change[], string[]]>([
    ['is right', [], []],
    ['has no containers', [['spec.containers', []]], ['spec.containers: Required value']],
    [
      'has an unnamed container without image',
      [[C, {}]],
      [`${C}.name: Required value`, `${C}.image: Required value`],
    ],
    [
      'has containers of one name',
      [
        ['spec.containers[1]', { name: 'c', image: 'b' }],
        ['spec.initContainers', [{ name: 'c', image: 'i' }]],
      ],
      ['spec.containers[1].name: Duplicate value: "c"', 'spec.initContainers[0].name: Duplicate value: "c"'],
    ],
    [
      'has spaces around an image',
      [[`${C}.image`, ' nginx']],
      [`${C}.image: Invalid value: " nginx": must not have leading or trailing whitespace`],
    ],
    [
      'has unknown policies',
      [
        ['spec.restartPolicy', 'Sometimes'],
        ['spec.dnsPolicy', 'x'],
        [`${C}.imagePullPolicy`, 'x'],
        [`${C}.terminationMessagePolicy`, 'x'],
        ['spec.preemptionPolicy', 'x'],
      ],
      [
        `${C}.terminationMessagePolicy: Unsupported value: "x": supported values: "File", "FallbackToLogsOnError"`,
        `${C}.imagePullPolicy: Unsupported value: "x": supported values: "Always", "IfNotPresent", "Never"`,
        'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
        'spec.dnsPolicy: Unsupported value: "x": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"',
        'spec.preemptionPolicy: Unsupported value: "x": supported values: "PreemptLowerPriority", "Never"',
      ],
    ],
    [
      'has odd ports',
      [
        [
          `${C}.ports`,
          [
            { name: 'web', containerPort: 80 },
            { name: 'web', containerPort: 0 },
            { name: 'much-too-long-a-name', containerPort: 70000, hostPort: -1, protocol: 'X' },
          ],
        ],
      ],
      [
        `${C}.ports[1].name: Duplicate value: "web"`,
        `${C}.ports[1].containerPort: Required value`,
        `${C}.ports[2].name: Invalid value: "much-too-long-a-name": must be no more than 15 characters`,
        `${C}.ports[2].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive`,
        `${C}.ports[2].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive`,
        `${C}.ports[2].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"`,
      ],
    ],
    [
      'has a host port twice',
      [
        [
          `${C}.ports`,
          [
            { containerPort: 80, hostPort: 80 },
            { containerPort: 81, hostPort: 80 },
          ],
        ],
      ],
      [`${C}.ports[1].hostPort: Duplicate value: "TCP//80"`],
    ],
    [
      'has host ports of its own on the network of the host',
      [
        ['spec.hostNetwork', true],
        [`${C}.ports`, [{ containerPort: 80, hostPort: 81 }]],
      ],
      [
        `${C}.ports[0].hostPort: Invalid value: 81: must match \`containerPort\` when \`hostNetwork\` is true`,
      ],
    ],
    [
      'has an odd environment',
      [
        [
          `${C}.env`,
          [
            { name: '' },
            { name: '1A', value: 'x' },
            { name: 'B', value: 'x', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'D', valueFrom: {} },
            { name: 'E', valueFrom: { fieldRef: { fieldPath: 'spec.nope' } } },
            { name: 'F', valueFrom: { fieldRef: { fieldPath: 'status.phase' } } },
            { name: 'G', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
            { name: 'H', valueFrom: { configMapKeyRef: { name: 'x', key: '' } } },
            { name: 'I', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '2' } } },
          ],
        ],
      ],
      [
        `${C}.env[0].name: Required value`,
        `${C}.env[1].name: Invalid value: "1A": a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')`,
        `${C}.env[2].valueFrom: Invalid value: "": may not be specified when \`value\` is not empty`,
        `${C}.env[3].valueFrom: Invalid value: "": must specify one of: \`fieldRef\`, \`resourceFieldRef\`, \`configMapKeyRef\` or \`secretKeyRef\``,
        `${C}.env[4].valueFrom.fieldRef.fieldPath: Invalid value: "spec.nope": error converting fieldPath: field label not supported: spec.nope`,
        `${C}.env[5].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"`,
        `${C}.env[7].valueFrom.configMapKeyRef.key: Required value`,
        `${C}.env[8].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource`,
      ],
    ],
    [
      'mounts what is not there',
      [
        [
          'spec.volumes',
          [{ name: 'v' }, { name: 'v' }, { name: 'w', emptyDir: {}, hostPath: { path: '/' } }],
        ],
        [
          `${C}.volumeMounts`,
          [
            { name: 'v', mountPath: '/a' },
            { name: 'x', mountPath: '/a' },
            { name: 'v', mountPath: '', subPath: '/abs' },
          ],
        ],
      ],
      [
        'spec.volumes[1].name: Duplicate value: "v"',
        'spec.volumes[2].hostPath: Forbidden: may not specify more than 1 volume type',
        `${C}.volumeMounts[1].name: Not found: "x"`,
        `${C}.volumeMounts[1].mountPath: Invalid value: "/a": must be unique`,
        `${C}.volumeMounts[2].mountPath: Required value`,
        `${C}.volumeMounts.subPath: Invalid value: "/abs": must be a relative path`,
      ],
    ],
    [
      'has odd volumes',
      [
        [
          'spec.volumes',
          [
            { name: 'a', secret: {} },
            { name: 'b', configMap: { name: 'x', defaultMode: 512, items: [{ key: '', path: '../x' }] } },
            { name: 'c', hostPath: { path: '/a/../b', type: 'Folder' } },
            { name: 'd', persistentVolumeClaim: {} },
            { name: 'E', emptyDir: { sizeLimit: '-1' } },
          ],
        ],
      ],
      [
        'spec.volumes[0].secret.secretName: Required value',
        'spec.volumes[1].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive',
        'spec.volumes[1].configMap.items[0].key: Required value',
        'spec.volumes[1].configMap.items[0].path: Invalid value: "../x": must not contain \'..\'',
        'spec.volumes[2].hostPath.path: Invalid value: "/a/../b": must not contain \'..\'',
        'spec.volumes[2].hostPath.type: Unsupported value: "Folder": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
        'spec.volumes[3].persistentVolumeClaim.claimName: Required value',
        'spec.volumes[4].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity',
        expect.stringContaining('spec.volumes[4].name: Invalid value: "E"') as unknown as string,
      ],
    ],
    [
      'has odd probes',
      [
        [`${C}.livenessProbe`, { successThreshold: 2, timeoutSeconds: -1 }],
        [
          `${C}.readinessProbe`,
          { exec: { command: [] }, tcpSocket: { port: 1 }, terminationGracePeriodSeconds: 1 },
        ],
        [`${C}.startupProbe`, { httpGet: { port: 'x--', scheme: 'FTP', httpHeaders: [{ name: 'a b' }] } }],
        [`${C}.lifecycle.preStop`, {}],
      ],
      [
        `${C}.lifecycle.preStop: Required value: must specify a handler type`,
        `${C}.livenessProbe: Required value: must specify a handler type`,
        `${C}.livenessProbe.timeoutSeconds: Invalid value: -1: must be greater than or equal to 0`,
        `${C}.livenessProbe.successThreshold: Invalid value: 2: must be 1`,
        `${C}.readinessProbe.exec.command: Required value`,
        `${C}.readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type`,
        `${C}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes`,
        `${C}.startupProbe.httpGet.port: Invalid value: "x--": must not contain consecutive hyphens`,
        `${C}.startupProbe.httpGet.port: Invalid value: "x--": must not begin or end with a hyphen`,
        `${C}.startupProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"`,
        `${C}.startupProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')`,
      ],
    ],
    [
      'has probes where none may be',
      [
        [
          'spec.initContainers',
          [{ name: 'i', image: 'x', livenessProbe: { tcpSocket: { port: 1 } }, lifecycle: {} }],
        ],
      ],
      [
        'spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always',
        'spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
      ],
    ],
    [
      'has a sidecar with a probe',
      [
        [
          'spec.initContainers',
          [{ name: 'i', image: 'x', restartPolicy: 'Always', readinessProbe: { tcpSocket: { port: 1 } } }],
        ],
      ],
      [],
    ],
    [
      'has restart policies where none may be',
      [
        [`${C}.restartPolicy`, 'Always'],
        ['spec.initContainers', [{ name: 'i', image: 'x', restartPolicy: 'Never' }]],
      ],
      [
        `${C}.restartPolicy: Forbidden: may not be set for non-init containers`,
        'spec.initContainers[0].restartPolicy: Unsupported value: "Never": supported values: "Always"',
      ],
    ],
    [
      'asks for more than it may have',
      [[`${C}.resources`, { requests: { cpu: '2', memory: '1Gi' }, limits: { cpu: '1', memory: '-1' } }]],
      [
        `${C}.resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0`,
        `${C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`,
        `${C}.resources.requests: Invalid value: "1Gi": must be less than or equal to memory limit of -1`,
      ],
    ],
    [
      'asks for odd resources',
      [
        [
          `${C}.resources.limits`,
          { gpus: '1', 'example.com/gpu': '1500m', cpu: 'much', 'hugepages-2Mi': '3Mi' },
        ],
      ],
      [
        `${C}.resources.limits[cpu]: Invalid value: "much": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`,
        `${C}.resources.limits[example.com/gpu]: Invalid value: "1500m": must be an integer`,
        `${C}.resources.limits[gpus]: Invalid value: "gpus": must be a standard resource type or fully qualified`,
        `${C}.resources.limits[gpus]: Invalid value: "gpus": must be a standard resource for containers`,
        `${C}.resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi`,
        `${C}.resources.requests[cpu]: Invalid value: "much": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`,
        `${C}.resources.requests[example.com/gpu]: Invalid value: "1500m": must be an integer`,
        `${C}.resources.requests[gpus]: Invalid value: "gpus": must be a standard resource type or fully qualified`,
        `${C}.resources.requests[gpus]: Invalid value: "gpus": must be a standard resource for containers`,
        `${C}.resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi`,
      ],
    ],
    [
      'asks for extended resources without limits',
      [[`${C}.resources.requests`, { 'example.com/gpu': '1' }]],
      [`${C}.resources.limits: Required value: Limit must be set for non overcommitable resources`],
    ],
    [
      'tolerates oddly',
      [
        [
          'spec.tolerations',
          [
            { key: 'a', operator: 'Exists', value: 'x' },
            { operator: 'Equal' },
            { key: 'a', operator: 'Is' },
            { key: 'a', tolerationSeconds: 1 },
            { key: 'a', effect: 'Never' },
            { operator: 'Exists' },
          ],
        ],
      ],
      [
        'spec.tolerations[0].operator: Invalid value: "x": value must be empty when `operator` is \'Exists\'',
        'spec.tolerations[1].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
        'spec.tolerations[2].operator: Unsupported value: "Is": supported values: "Equal", "Exists"',
        'spec.tolerations[3].effect: Invalid value: "": effect must be \'NoExecute\' when `tolerationSeconds` is set',
        'spec.tolerations[4].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
      ],
    ],
    [
      'has odd affinities',
      [
        [
          'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution',
          { nodeSelectorTerms: [] },
        ],
        [
          'spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution',
          [{ weight: 101, preference: { matchExpressions: [{ key: 'a', operator: 'Gt', values: [] }] } }],
        ],
        [
          'spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution',
          [{ labelSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } }],
        ],
      ],
      [
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term',
        'spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100',
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
        "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        'spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty',
        expect.stringContaining(
          'topologyKey: Invalid value: "": name part must be non-empty',
        ) as unknown as string,
        expect.stringContaining(
          'topologyKey: Invalid value: "": name part must consist of',
        ) as unknown as string,
      ],
    ],
    [
      'spreads oddly',
      [
        [
          'spec.topologySpreadConstraints',
          [
            { maxSkew: 0, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' },
            { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' },
            { maxSkew: 1, topologyKey: '', whenUnsatisfiable: 'Hope', matchLabelKeys: ['a'] },
          ],
        ],
      ],
      [
        'spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero',
        'spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, DoNotSchedule}"',
        'spec.topologySpreadConstraints[2].topologyKey: Required value: can not be empty',
        'spec.topologySpreadConstraints[2].whenUnsatisfiable: Unsupported value: "Hope": supported values: "DoNotSchedule", "ScheduleAnyway"',
        'spec.topologySpreadConstraints[2].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set',
      ],
    ],
    [
      'has odd names',
      [
        ['spec.hostname', 'a.b'],
        ['spec.activeDeadlineSeconds', 0],
        ['spec.hostAliases', [{ ip: 'x', hostnames: ['ok.example'] }]],
        ['spec.dnsPolicy', 'None'],
      ],
      [
        'spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None',
        'spec.hostname: Invalid value: "a.b": must not contain dots',
        'spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive',
        'spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ],
    ],
    [
      'runs as an odd user',
      [
        ['spec.securityContext', { runAsUser: -1, sysctls: [{ name: 'net..x' }] }],
        [
          `${C}.securityContext`,
          { allowPrivilegeEscalation: false, privileged: true, seccompProfile: { type: 'Localhost' } },
        ],
      ],
      [
        `${C}.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost`,
        `${C}.securityContext: Invalid value: {"allowPrivilegeEscalation":false,"privileged":true,"seccompProfile":{"type":"Localhost"}}: cannot set \`allowPrivilegeEscalation\` to false and \`privileged\` to true`,
        'spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive',
        expect.stringContaining(
          'spec.securityContext.sysctls[0].name: Invalid value: "net..x": must have at most 253',
        ) as unknown as string,
      ],
    ],
    [
      'brings ephemeral containers',
      [['spec.ephemeralContainers', [{ name: 'e', image: 'x', ports: [{ containerPort: 1 }] }]]],
      [
        'spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container',
        'spec.ephemeralContainers: Forbidden: cannot be set on create',
      ],
    ],
    [
      'costs no number',
      [['metadata.annotations', { 'controller.kubernetes.io/pod-deletion-cost': '+1' }]],
      [
        'metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "+1": must be a 32bit integer',
      ],
    ],
  ])('%s', (_name, changes, expected) => {
    expect(createTexts(changed(POD, ...changes))).toEqual(expected);
  });
});

const ONLY =
  'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n';
const TOLERATION = { key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 };

describe('a changed Pod', () => {
  test.each<[string, Change[], Change[], string[]]>([
    ['image', [], [[`${C}.image`, 'nginx:2']], []],
    ['labels', [], [['metadata.labels', { x: 'y' }]], []],
    ['node', [], [['spec.nodeName', 'n']], [`${ONLY}+spec.nodeName: "n"`]],
    [
      'command',
      [[`${C}.command`, ['a']]],
      [[`${C}.command`, ['b']]],
      [`${ONLY}-spec.containers[0].command[0]: "a"\n+spec.containers[0].command[0]: "b"`],
    ],
    [
      'one more container',
      [],
      [['spec.containers[1]', { name: 'd', image: 'x' }]],
      ['spec.containers: Forbidden: pod updates may not add or remove containers'],
    ],
    [
      'zero values that clients leave out',
      [
        [`${C}.stdin`, false],
        ['spec.hostNetwork', false],
      ],
      [],
      [],
    ],
    ['deadline, sooner', [['spec.activeDeadlineSeconds', 9]], [['spec.activeDeadlineSeconds', 8]], []],
    [
      'deadline, later',
      [['spec.activeDeadlineSeconds', 8]],
      [['spec.activeDeadlineSeconds', 9]],
      ['spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value'],
    ],
    [
      'no deadline any more',
      [['spec.activeDeadlineSeconds', 8]],
      [],
      [
        'spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value',
      ],
    ],
    [
      'one more toleration',
      [['spec.tolerations', [TOLERATION]]],
      [['spec.tolerations', [{ operator: 'Exists' }, { ...TOLERATION, tolerationSeconds: 9 }]]],
      [],
    ],
    [
      'one toleration less',
      [['spec.tolerations', [TOLERATION]]],
      [],
      ['spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds'],
    ],
    ['one gate less', [['spec.schedulingGates', [{ name: 'a' }]]], [], []],
    [
      'one gate more',
      [],
      [['spec.schedulingGates', [{ name: 'a' }]]],
      [
        "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a'",
      ],
    ],
    [
      'nodes, narrowed at a gate',
      [
        ['spec.schedulingGates', [{ name: 'a' }]],
        ['spec.nodeSelector', { a: 'b' }],
      ],
      [
        ['spec.schedulingGates', [{ name: 'a' }]],
        ['spec.nodeSelector', { a: 'b', c: 'd' }],
      ],
      [],
    ],
    [
      'nodes, changed at a gate',
      [
        ['spec.schedulingGates', [{ name: 'a' }]],
        ['spec.nodeSelector', { a: 'b' }],
      ],
      [
        ['spec.schedulingGates', [{ name: 'a' }]],
        ['spec.nodeSelector', { a: 'c' }],
      ],
      [
        'spec.nodeSelector: Invalid value: {"a":"c"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
      ],
    ],
    [
      'grace period',
      [],
      [['spec.terminationGracePeriodSeconds', 5]],
      [`${ONLY}-spec.terminationGracePeriodSeconds: 30\n+spec.terminationGracePeriodSeconds: 5`],
    ],
  ])('%s', (_name, before, after, expected) => {
    expect(updateTexts(changed(POD, ...before), changed(POD, ...after))).toEqual(expected);
  });

  test.each<[string, object, object, string[]]>([
    ['addresses', {}, { podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] }, []],
    [
      'two addresses of one family',
      {},
      { podIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.1' }] },
      [
        'status.podIPs: Invalid value: [{"ip":"10.0.0.1"},{"ip":"10.0.0.1"}]: may specify no more than one IP for each IP family',
        'status.podIPs[1]: Duplicate value: {"ip":"10.0.0.1"}',
      ],
    ],
    [
      'host',
      {},
      { hostIP: '1.2.3.4', hostIPs: [{ ip: '1.2.3.5' }] },
      ['status.hostIPs[0].ip: Invalid value: "1.2.3.5": must be equal to `hostIP`'],
    ],
    [
      'class',
      { qosClass: 'Burstable' },
      { qosClass: 'BestEffort' },
      ['status.qosClass: Invalid value: "BestEffort": field is immutable'],
    ],
    ['class not told', { qosClass: 'Burstable' }, { phase: 'Running' }, []],
  ])('status: %s', (_name, before, after, expected) => {
    const texts = updateTexts(changed(POD, ['status', before]), changed(POD, ['status', after]), 'status');
    expect(texts).toEqual(expected);
  });
});

describe('subresources of a Pod', () => {
  const EPHEMERAL = { name: 'debug', image: 'busybox:1' };
  const list = (...each: object[]): Change => ['spec.ephemeralContainers', each];

  test.each<[string, string, Change[], Change[], string[]]>([
    ['ephemeralcontainers', 'one more', [], [list(EPHEMERAL)], []],
    [
      'ephemeralcontainers',
      'one less',
      [list(EPHEMERAL)],
      [],
      ['spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed\n'],
    ],
    [
      'ephemeralcontainers',
      'changed',
      [list(EPHEMERAL)],
      [list({ ...EPHEMERAL, image: 'busybox:2' })],
      [
        'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be changed\n-image: "busybox:1"\n+image: "busybox:2"',
      ],
    ],
    [
      'ephemeralcontainers',
      'without image',
      [],
      [list({ name: 'debug' })],
      ['spec.ephemeralContainers[0].image: Required value'],
    ],
    [
      'resize',
      'less than is asked for',
      [],
      [[`${C}.resources`, { requests: { cpu: '2' }, limits: { cpu: '1' } }]],
      [`${C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`],
    ],
    ['resize', 'more', [], [[`${C}.resources`, { requests: { cpu: '1' } }]], []],
    ['binding', 'a node', [], [['spec.nodeName', 'n']], []],
  ])('%s: %s', (subresource, _name, before, after, expected) => {
    expect(updateTexts(changed(POD, ...before), changed(POD, ...after), subresource)).toEqual(expected);
  });

  test('finalizers of a namespace', () => {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' }, spec: {} };
    const odd = changed(namespace, ['spec.finalizers', ['x']]);
    expect(updateTexts(namespace, odd, 'finalize')).toHaveLength(1);
    expect(
      updateTexts(changed(namespace, ['spec.finalizers', ['kubernetes']]), namespace, 'finalize'),
    ).toEqual([]);
  });
});
