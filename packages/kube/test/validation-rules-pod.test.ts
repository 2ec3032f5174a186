import type { Change } from './kind-harness.ts';
import { C, type Row, testRows } from './rule-rows.ts';

/** The rules of pods that people meet seldom, one row each. */

const volumes = (...each: object[]): Change => [
  'spec.volumes',
  each.map((source, i) => ({ name: `v${i}`, ...source })),
];
const mounts = (...each: object[]): Change => [`${C}.volumeMounts`, each];

const ROWS: Row[] = [
  [
    'pod',
    [[`${C}.resizePolicy`, [{ resourceName: 'disk', restartPolicy: 'x' }]]],
    [
      `${C}.resizePolicy: Unsupported value: "disk": supported values: "cpu", "memory"`,
      `${C}.resizePolicy: Unsupported value: "x": supported values: "NotRequired", "RestartContainer"`,
    ],
  ],
  [
    'pod',
    [
      [
        'spec.volumes',
        [
          { name: 'v', emptyDir: { sizeLimit: '0' } },
          { name: 'w', emptyDir: { sizeLimit: 'x' } },
        ],
      ],
    ],
    ['spec.volumes[1].emptyDir.sizeLimit: Invalid value: "x": quantities must match'],
  ],
  [
    'pod',
    [
      [
        'spec.volumes',
        [
          {
            name: 'v',
            ephemeral: {
              volumeClaimTemplate: {
                metadata: { labels: { a: '!' }, annotations: { '!': '' } },
                spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1' } } },
              },
            },
          },
        ],
      ],
    ],
    [
      'spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.annotations: Invalid value: "!"',
      'spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.labels: Invalid value: "!"',
    ],
  ],
  ['pod', [['spec.terminationGracePeriodSeconds', -1]], []],
  ['pod', [['spec.os', {}]], ['spec.os.name: Required value: cannot be empty']],
  [
    'pod',
    [['spec.os', { name: 'plan9' }]],
    ['spec.os: Unsupported value: "plan9": supported values: "linux", "windows"'],
  ],
  ['pod', [['spec.os', { name: 'linux' }]], []],
  [
    'pod',
    [['metadata.annotations', { 'kubernetes.io/config.mirror': 'x' }]],
    [
      'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set',
    ],
  ],
  [
    'pod',
    [
      [
        'spec.resourceClaims',
        [
          {},
          { name: 'b', resourceClaimName: 'x', resourceClaimTemplateName: 'y' },
          { name: 'd', resourceClaimName: 'z' },
        ],
      ],
      [`${C}.resources.claims`, [{ name: '' }, { name: 'nope' }, { name: 'd', request: 'a.b' }]],
    ],
    [
      'spec.resourceClaims[0].name: Required value',
      'spec.resourceClaims[0]: Invalid value: {}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`',
      'spec.resourceClaims[1]: Invalid value: {"name":"b","resourceClaimName":"x","resourceClaimTemplateName":"y"}: at most one of',
      `${C}.resources.claims[0]: Required value`,
      `${C}.resources.claims[1]: Not found: "nope": must be one of the names in pod.spec.resourceClaims: b, d`,
      `${C}.resources.claims[2].request: Invalid value: "a.b": must not contain dots`,
    ],
  ],
  [
    'pod',
    [[`${C}.resources.claims`, [{ name: 'x' }]]],
    [
      `${C}.resources.claims[0]: Not found: "x": must be one of the names in pod.spec.resourceClaims which is empty`,
    ],
  ],
  [
    'pod',
    [
      ['spec.hostUsers', false],
      ['spec.hostNetwork', true],
      ['spec.hostPID', true],
      ['spec.hostIPC', true],
    ],
    [
      'spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false',
      'spec.HostPID: Forbidden: when `pod.Spec.HostUsers` is false',
      'spec.HostIPC: Forbidden: when `pod.Spec.HostUsers` is false',
    ],
  ],
  [
    'pod',
    [
      ['spec.dnsPolicy', 'None'],
      ['spec.dnsConfig', {}],
    ],
    [
      'spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None',
    ],
  ],
  [
    'pod',
    [['spec.dnsConfig', { nameservers: ['x', '::ffff:1.2.3.4'], searches: ['_'], options: [{}] }]],
    [
      'spec.dnsConfig.nameservers[0]: Invalid value: "x"',
      'spec.dnsConfig.nameservers[1]: Invalid value: "::ffff:1.2.3.4": must not be an IPv4-mapped IPv6 address',
      'spec.dnsConfig.searches[0]: Invalid value: "_"',
      'spec.dnsConfig.options[0]: Required value: must not be empty',
    ],
  ],
  [
    'pod',
    [
      ['spec.nodeName', 'n'],
      ['spec.schedulingGates', [{ name: 'g' }]],
    ],
    ['spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared'],
  ],
  [
    'pod',
    [['spec.readinessGates', [{ conditionType: '!' }]]],
    ['spec.readinessGates[0].conditionType: Invalid value: "!"'],
  ],
  ['pod', [['spec.nodeSelector', { a: '!' }]], ['spec.nodeSelector: Invalid value: "!"']],
  [
    'pod',
    [volumes({ projected: { sources: [{ serviceAccountToken: { path: '' } }] } })],
    [
      'spec.volumes[0].projected.path: Required value',
      'spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set',
    ],
  ],
  [
    'pod',
    [['spec.overhead', { gpus: '1' }]],
    [
      'spec.overhead.limits[gpus]: Invalid value: "gpus": must be a standard resource type',
      'spec.overhead.limits[gpus]: Invalid value: "gpus": must be a standard resource for containers',
    ],
  ],
  [
    'pod',
    [[`${C}.resources.limits`, { 'hugepages-2Mi': '2Mi' }]],
    [`${C}.resources: Forbidden: HugePages require cpu or memory`],
  ],
  [
    'pod',
    [[`${C}.resources.limits`, { 'requests.x.y/z': '1', cpu: '1' }]],
    [
      `${C}.resources.limits[requests.x.y/z]: Invalid value: "requests.x.y/z": doesn't follow extended resource name standard`,
      `${C}.resources.requests[requests.x.y/z]`,
    ],
  ],
  [
    'pod',
    [[`${C}.resources`, { limits: { 'x.y/z': '2' }, requests: { 'x.y/z': '1' } }]],
    [`${C}.resources.requests: Invalid value: "1": must be equal to x.y/z limit of 2`],
  ],
  [
    'pod',
    [
      ['spec.restartPolicy', 'Never'],
      [
        `${C}.resizePolicy`,
        [
          { resourceName: 'cpu', restartPolicy: 'RestartContainer' },
          { resourceName: 'cpu', restartPolicy: 'NotRequired' },
        ],
      ],
    ],
    [
      `${C}.resizePolicy: Invalid value: "RestartContainer": must be 'NotRequired' when \`restartPolicy\` is 'Never'`,
      `${C}.resizePolicy[1]: Duplicate value: "cpu"`,
    ],
  ],
  [
    'pod',
    [
      [
        `${C}.envFrom`,
        [
          {},
          { configMapRef: { name: '' }, secretRef: { name: 'a-' } },
          { prefix: '1', secretRef: { name: '!' } },
        ],
      ],
    ],
    [
      `${C}.envFrom: Invalid value: "": must specify one of: \`configMapRef\` or \`secretRef\``,
      `${C}.envFrom[1].configMapRef.name: Required value`,
      `${C}.envFrom: Invalid value: "": may not have more than one field specified at a time`,
      `${C}.envFrom[2].prefix: Invalid value: "1"`,
      `${C}.envFrom[2].secretRef.name: Invalid value: "!"`,
    ],
  ],
  [
    'pod',
    [
      [
        `${C}.env`,
        [
          { name: 'A', valueFrom: { fieldRef: {} } },
          { name: 'B', valueFrom: { fieldRef: { apiVersion: 'v2', fieldPath: 'x' } } },
          { name: 'C', valueFrom: { fieldRef: { fieldPath: "spec.x['y']" } } },
          { name: 'D', valueFrom: { fieldRef: { fieldPath: "metadata.annotations['!']" } } },
          { name: 'E', valueFrom: { resourceFieldRef: { resource: '' } } },
          { name: 'F', valueFrom: { resourceFieldRef: { resource: 'limits.gpus' } } },
          { name: 'G', valueFrom: { resourceFieldRef: { resource: 'requests.memory', divisor: '3' } } },
          {
            name: 'H',
            valueFrom: { resourceFieldRef: { resource: 'requests.hugepages-2Mi', divisor: '3' } },
          },
          { name: 'I', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
          {
            name: 'J',
            valueFrom: {
              secretKeyRef: { name: 'x', key: 'y' },
              configMapKeyRef: { name: 'x', key: 'y' },
            },
          },
          { name: 'K', valueFrom: { fieldRef: { fieldPath: 'spec.host' } } },
        ],
      ],
    ],
    [
      `${C}.env[0].valueFrom.fieldRef.fieldPath: Required value`,
      `${C}.env[1].valueFrom.fieldRef.fieldPath: Invalid value: "x": error converting fieldPath: unsupported pod version: v2`,
      `${C}.env[2].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x['y']": error converting fieldPath: field label does not support subscript: spec.x['y']`,
      `${C}.env[3].valueFrom.fieldRef: Invalid value: "!"`,
      `${C}.env[4].valueFrom.resourceFieldRef.resource: Required value`,
      `${C}.env[5].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.gpus": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"`,
      `${C}.env[6].valueFrom.resourceFieldRef.divisor: Invalid value: "requests.memory": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource`,
      `${C}.env[7].valueFrom.resourceFieldRef.divisor: Invalid value: "requests.hugepages-2Mi"`,
      `${C}.env[9].valueFrom: Invalid value: "": may not have more than one field specified at a time`,
    ],
  ],
  [
    'pod',
    [
      [
        `${C}.securityContext`,
        {
          procMount: 'Unmasked',
          allowPrivilegeEscalation: false,
          capabilities: { add: ['CAP_SYS_ADMIN'] },
          seccompProfile: {},
          appArmorProfile: { type: 'Localhost', localhostProfile: ' x' },
        },
      ],
      [
        'spec.securityContext',
        {
          seccompProfile: { type: 'Hope' },
          appArmorProfile: { type: 'Unconfined', localhostProfile: 'x' },
          fsGroupChangePolicy: 'x',
          supplementalGroupsPolicy: 'y',
          sysctls: [{ name: '' }, { name: 'net.a' }, { name: 'kernel.shm_rmid' }],
        },
      ],
      ['spec.shareProcessNamespace', true],
      ['spec.hostPID', true],
      ['spec.hostIPC', true],
      ['spec.hostNetwork', true],
    ],
    [
      `${C}.securityContext.procMount: Invalid value: "Unmasked": \`hostUsers\` must be false to use \`Unmasked\``,
      `${C}.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set`,
      `${C}.securityContext: Invalid value: {`,
      `${C}.securityContext.appArmorProfile.localhostProfile: Invalid value: " x": must not be padded with whitespace`,
      'spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled',
      'spec.securityContext.sysctls[0].name: Required value',
      'spec.securityContext.sysctls[1].name: Invalid value: "net.a": may not be specified when \'hostNetwork\' is true',
      'spec.securityContext.sysctls[2].name: Invalid value: "kernel.shm_rmid": may not be specified when \'hostIPC\' is true',
      'spec.securityContext.fsGroupChangePolicy: Unsupported value: "x": supported values: "Always", "OnRootMismatch"',
      'spec.securityContext.seccompProfile.type: Unsupported value: "Hope": supported values: "Localhost", "RuntimeDefault", "Unconfined"',
      'spec.securityContext.appArmorProfile.localhostProfile: Invalid value: "x": can only be set when AppArmor type is Localhost',
      'spec.securityContext.supplementalGroupsPolicy: Unsupported value: "y": supported values: "Merge", "Strict"',
    ],
  ],
  [
    'pod',
    [[`${C}.securityContext`, { procMount: 'Odd' }]],
    [`${C}.securityContext.procMount: Unsupported value: "Odd": supported values: "Default", "Unmasked"`],
  ],
  ['pod', [[`${C}.securityContext`, { privileged: true, seccompProfile: { type: 'Unconfined' } }]], []],
  [
    'pod',
    [
      volumes(
        { unknown: {} },
        { persistentVolumeClaim: { claimName: 'a-v2' } },
        {
          ephemeral: {
            volumeClaimTemplate: {
              metadata: { name: 'x' },
              spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '0' } } },
            },
          },
        },
        { hostPath: { path: '' } },
        { nfs: { server: 's', path: 'rel' } },
        { configMap: { name: 'x', items: [{ key: 'k', path: '..k' }] } },
        { ephemeral: {} },
        { gitRepo: { repository: 'r', directory: '/abs' } },
      ),
    ],
    [
      'spec.volumes[0]: Required value: must specify a volume type',
      'spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: "a-v2": must not reference a PVC that gets created for an ephemeral volume',
      'spec.volumes[2].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set',
      'spec.volumes[2].ephemeral.volumeClaimTemplate.spec.resources[storage]: Invalid value: "0": must be greater than zero',
      'spec.volumes[3].hostPath.path: Required value',
      'spec.volumes[4].nfs.path: Invalid value: "rel": must be an absolute path',
      'spec.volumes[5].configMap.items[0].path: Invalid value: "..k": must not start with \'..\'',
      'spec.volumes[6].ephemeral.volumeClaimTemplate: Required value',
      'spec.volumes[7].gitRepo.directory: Invalid value: "/abs": must be a relative path',
    ],
  ],
  ['pod', [['spec.volumes', [{ emptyDir: {} }]]], ['spec.volumes[0].name: Required value']],
  [
    'pod',
    [
      ['spec.serviceAccountName', 's'],
      volumes({
        projected: {
          sources: [
            {
              secret: { name: 'x', items: [{ key: 'k', path: 'p' }] },
              configMap: { name: 'y', items: [{ key: 'k', path: 'p' }] },
            },
            {
              downwardAPI: {
                items: [
                  { path: 'p', fieldRef: { fieldPath: 'metadata.name' }, resourceFieldRef: {} },
                  { path: 'q' },
                  { path: 'r', resourceFieldRef: { resource: 'limits.cpu' } },
                ],
              },
            },
          ],
        },
      }),
    ],
    [
      'spec.volumes[0].projected: Invalid value: "y": conflicting duplicate paths',
      'spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source',
      'spec.volumes[0].projected.sources[1].downwardAPI: Invalid value: "resource": fieldRef and resourceFieldRef can not be specified simultaneously',
      'spec.volumes[0].projected: Invalid value: "p": conflicting duplicate paths',
      'spec.volumes[0].projected.sources[1].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required',
      'spec.volumes[0].projected.sources[1].downwardAPI.resourceFieldRef.containerName: Required value',
    ],
  ],
  [
    'pod',
    [
      volumes({ emptyDir: {} }, { persistentVolumeClaim: { claimName: 'c' } }, { image: { reference: 'x' } }),
      mounts(
        { name: 'v1', mountPath: '/m' },
        { name: 'v2', mountPath: '/i', subPath: 'a', subPathExpr: '../b' },
        { name: 'v0', mountPath: '/d', mountPropagation: 'Bidirectional', recursiveReadOnly: 'Enabled' },
        { name: 'v0', mountPath: '/e', mountPropagation: 'x', recursiveReadOnly: 'y' },
      ),
      [
        `${C}.volumeDevices`,
        [
          { name: 'v1', devicePath: '/d' },
          { name: 'v1', devicePath: '/d' },
          { name: 'v0', devicePath: '/x/../y' },
          { name: '', devicePath: '' },
        ],
      ],
    ],
    [
      `${C}.volumeMounts[0].name: Invalid value: "v1": must not already exist in volumeDevices`,
      `${C}.volumeMounts[1].subPath: Invalid value: "a": not allowed in image volume sources`,
      `${C}.volumeMounts[1].subPathExpr: Invalid value: "../b": not allowed in image volume sources`,
      `${C}.volumeMounts[1].subPathExpr: Invalid value: "../b": subPathExpr and subPath are mutually exclusive`,
      `${C}.volumeMounts.subPathExpr: Invalid value: "../b": must not contain '..'`,
      `${C}.volumeMounts[2].name: Invalid value: "v0": must not already exist in volumeDevices`,
      `${C}.volumeMounts[2].mountPath: Invalid value: "/d": must not already exist as a path in volumeDevices`,
      `${C}.volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers`,
      `${C}.volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true`,
      `${C}.volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified`,
      `${C}.volumeMounts[3].name: Invalid value: "v0": must not already exist in volumeDevices`,
      `${C}.volumeMounts.mountPropagation: Unsupported value: "x": supported values: "Bidirectional", "HostToContainer", "None"`,
      `${C}.volumeMounts.recursiveReadOnly: Unsupported value: "y": supported values: "Disabled", "Enabled", "IfPossible"`,
      `${C}.volumeDevices[0].name: Invalid value: "v1": must not already exist in volumeMounts`,
      `${C}.volumeDevices[0].devicePath: Invalid value: "/d": must not already exist as a path in volumeMounts`,
      `${C}.volumeDevices[1].name: Invalid value: "v1": must be unique`,
      `${C}.volumeDevices[1].devicePath: Invalid value: "/d": must be unique`,
      `${C}.volumeDevices[1].name: Invalid value: "v1": must not already exist in volumeMounts`,
      `${C}.volumeDevices[1].devicePath: Invalid value: "/d": must not already exist as a path in volumeMounts`,
      `${C}.volumeDevices[2].name: Invalid value: "v0": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode`,
      `${C}.volumeDevices[2].devicePath: Invalid value: "/x/../y": can not contain backsteps ('..')`,
      `${C}.volumeDevices[2].name: Invalid value: "v0": must not already exist in volumeMounts`,
      `${C}.volumeDevices[3].name: Required value`,
      `${C}.volumeDevices[3].name: Not found: ""`,
      `${C}.volumeDevices[3].devicePath: Required value`,
    ],
  ],
  [
    'pod',
    [
      [
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms',
        [
          {
            matchExpressions: [
              { key: 'a', operator: 'In' },
              { key: 'a', operator: 'Exists', values: ['x'] },
              { key: '!', operator: 'Is' },
            ],
            matchFields: [
              { key: 'metadata.name', operator: 'Is', values: ['!'] },
              { key: 'metadata.name', operator: 'In', values: ['a', 'b'] },
              { key: 'x', operator: 'In', values: ['a'] },
            ],
          },
        ],
      ],
    ],
    [
      "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
      "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
      'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[2].operator: Invalid value: "Is": not a valid selector operator',
      'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[2].key: Invalid value: "!"',
      'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].operator: Invalid value: "Is": not a valid selector operator',
      'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].values[0]: Invalid value: "!"',
      'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[1].values: Required value: must be only one value',
      'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[2].key: Invalid value: "x": not a valid field selector key',
    ],
  ],
  [
    'pod',
    [
      [
        'spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution',
        [
          { weight: 1, podAffinityTerm: { topologyKey: 'z', matchLabelKeys: ['a'] } },
          {
            weight: 1,
            podAffinityTerm: {
              topologyKey: 'z',
              labelSelector: {},
              namespaces: ['!'],
              matchLabelKeys: ['a'],
              mismatchLabelKeys: ['a'],
            },
          },
        ],
      ],
    ],
    [
      'spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.matchLabelKeys: Forbidden: must not be specified when labelSelector is not set',
      'spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[1].podAffinityTerm.namespace: Invalid value: "!"',
      'spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[1].podAffinityTerm.matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and mismatchLabelKeys',
    ],
  ],
  [
    'pod',
    [['spec.tolerations', [{ key: 'a', value: '!' }]]],
    ['spec.tolerations[0].operator: Invalid value: "!": a valid label must be'],
  ],
  [
    'pod',
    [
      [
        'spec.topologySpreadConstraints',
        [
          {
            maxSkew: 1,
            topologyKey: 'z',
            whenUnsatisfiable: 'ScheduleAnyway',
            minDomains: 0,
            nodeTaintsPolicy: 'x',
            labelSelector: { matchLabels: { a: 'b' } },
            matchLabelKeys: ['a'],
          },
        ],
      ],
    ],
    [
      'spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero',
      'spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway',
      'spec.topologySpreadConstraints[0].nodeTaintsPolicy: Unsupported value: "x": supported values: "Honor", "Ignore"',
      'spec.topologySpreadConstraints[0].matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and labelSelector',
    ],
  ],
  [
    'pod',
    [
      volumes({ emptyDir: {} }),
      [
        'spec.ephemeralContainers',
        [
          {
            name: 'e',
            image: ' x',
            targetContainerName: 'z',
            volumeMounts: [{ name: 'v0', mountPath: '/a', subPath: 'b' }],
          },
          { name: 'c', image: 'x' },
        ],
      ],
    ],
    [
      'spec.ephemeralContainers[0].image: Invalid value: " x": must not have leading or trailing whitespace',
      'spec.ephemeralContainers[0].targetContainerName: Not found: "z"',
      'spec.ephemeralContainers[0].volumeMounts[0].subPath: Forbidden: cannot be set for an Ephemeral Container',
      'spec.ephemeralContainers[1].name: Duplicate value: "c"',
      'spec.ephemeralContainers: Forbidden: cannot be set on create',
    ],
  ],
];

testRows(ROWS);
