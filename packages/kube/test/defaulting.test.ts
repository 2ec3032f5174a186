import { describe, expect, test } from 'vitest';
import { applyDefaults } from '../src/defaulting.ts';
import { imageTag } from '../src/image-reference.ts';
import type { KubeObject } from '../src/object.ts';
import { findResource } from '../src/resources.ts';
import { resourceOf } from './kind-harness.ts';

function defaulted(apiVersion: string, kind: string, rest: object): Record<string, unknown> {
  const object = structuredClone({ apiVersion, kind, metadata: { name: 'a' }, ...rest }) as KubeObject;
  applyDefaults(resourceOf(object), object);
  return object;
}

const POD_SPEC_DEFAULTS = {
  dnsPolicy: 'ClusterFirst',
  restartPolicy: 'Always',
  schedulerName: 'default-scheduler',
  securityContext: {},
  terminationGracePeriodSeconds: 30,
};
const CONTAINER_DEFAULTS = {
  imagePullPolicy: 'IfNotPresent',
  resources: {},
  terminationMessagePath: '/dev/termination-log',
  terminationMessagePolicy: 'File',
};

describe('pods', () => {
  test('a small one', () => {
    expect(defaulted('v1', 'Pod', { spec: { containers: [{ name: 'c', image: 'nginx' }] } }).spec).toEqual({
      ...POD_SPEC_DEFAULTS,
      enableServiceLinks: true,
      containers: [{ ...CONTAINER_DEFAULTS, name: 'c', image: 'nginx', imagePullPolicy: 'Always' }],
    });
  });

  test.each([
    ['nginx', 'latest', 'Always'],
    ['nginx:latest', 'latest', 'Always'],
    ['nginx:1.25', '1.25', 'IfNotPresent'],
    ['registry:5000/team/app', 'latest', 'Always'],
    ['registry:5000/team/app:v1', 'v1', 'IfNotPresent'],
    [`nginx@sha256:${'a'.repeat(64)}`, '', 'IfNotPresent'],
    [`nginx:latest@sha256:${'a'.repeat(64)}`, 'latest', 'Always'],
    ['Not A Reference', '', 'IfNotPresent'],
    ['', '', 'IfNotPresent'],
  ])('image %j has tag %j and is pulled %s', (image, tag, policy) => {
    expect(imageTag(image)).toBe(tag);
    const spec = { containers: [{ name: 'c', image }], initContainers: [{ name: 'i', image }] };
    expect(defaulted('v1', 'Pod', { spec }).spec).toMatchObject({
      containers: [{ imagePullPolicy: policy }],
      initContainers: [{ imagePullPolicy: policy }],
    });
  });

  test('what a client says stays', () => {
    const spec = {
      dnsPolicy: 'None',
      restartPolicy: 'Never',
      schedulerName: 'mine',
      securityContext: { runAsUser: 1 },
      terminationGracePeriodSeconds: 0,
      enableServiceLinks: false,
      containers: [
        {
          name: 'c',
          image: 'a',
          imagePullPolicy: 'Never',
          resources: {},
          terminationMessagePath: '/x',
          terminationMessagePolicy: 'FallbackToLogsOnError',
        },
      ],
    };
    expect(defaulted('v1', 'Pod', { spec }).spec).toEqual(spec);
  });

  test('probes and hooks', () => {
    const container = {
      name: 'c',
      image: 'a:1',
      livenessProbe: { httpGet: { port: 80 } },
      readinessProbe: { grpc: { port: 1 }, periodSeconds: 3 },
      startupProbe: { exec: { command: ['x'] }, timeoutSeconds: 0 },
      lifecycle: { preStop: { httpGet: { port: 'web', scheme: 'HTTPS' } } },
    };
    const counts = { timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3 };
    expect(defaulted('v1', 'Pod', { spec: { containers: [container] } }).spec).toMatchObject({
      containers: [
        {
          livenessProbe: { httpGet: { port: 80, path: '/', scheme: 'HTTP' }, ...counts, periodSeconds: 10 },
          readinessProbe: { grpc: { port: 1, service: '' }, ...counts, periodSeconds: 3 },
          startupProbe: { ...counts, periodSeconds: 10 },
          lifecycle: { preStop: { httpGet: { path: '/', scheme: 'HTTPS' } } },
        },
      ],
    });
  });

  test('requests follow limits, quantities become canonical', () => {
    const resources = { limits: { cpu: '0.5', memory: '1024Mi' }, requests: { memory: '0.5Gi' } };
    const spec = { containers: [{ name: 'c', image: 'a:1', resources }] };
    expect(defaulted('v1', 'Pod', { spec }).spec).toMatchObject({
      containers: [
        { resources: { limits: { cpu: '500m', memory: '1Gi' }, requests: { cpu: '500m', memory: '512Mi' } } },
      ],
    });
  });

  test('quantities finer than thousandths are rounded up', () => {
    const resources = { limits: { cpu: '0.0001' } };
    const spec = { containers: [{ name: 'c', image: 'a:1', resources }] };
    expect(defaulted('v1', 'Pod', { spec }).spec).toMatchObject({
      containers: [{ resources: { limits: { cpu: '1m' }, requests: { cpu: '1m' } } }],
    });
  });

  test('ports on the network of the host', () => {
    const containers = [
      { name: 'c', image: 'a:1', ports: [{ containerPort: 53 }, { containerPort: 1, hostPort: 1 }] },
    ];
    expect(defaulted('v1', 'Pod', { spec: { containers, hostNetwork: true } }).spec).toMatchObject({
      containers: [
        {
          ports: [
            { containerPort: 53, hostPort: 53, protocol: 'TCP' },
            { containerPort: 1, hostPort: 1, protocol: 'TCP' },
          ],
        },
      ],
    });
    expect(defaulted('v1', 'Pod', { spec: { containers } }).spec).toMatchObject({
      containers: [{ ports: [{ containerPort: 53, protocol: 'TCP' }, {}] }],
    });
  });

  test('volumes', () => {
    const volumes = [
      { name: 'a' },
      { name: 'b', configMap: { name: 'x' } },
      { name: 'c', secret: { secretName: 'x', defaultMode: 256 } },
      { name: 'd', hostPath: { path: '/x' } },
      { name: 'e', downwardAPI: { items: [{ path: 'p', fieldRef: { fieldPath: 'metadata.name' } }] } },
      { name: 'f', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } },
    ];
    const env = [{ name: 'E', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }];
    const spec = { containers: [{ name: 'c', image: 'a:1', env }], volumes };
    expect(defaulted('v1', 'Pod', { spec }).spec).toMatchObject({
      containers: [{ env: [{ valueFrom: { fieldRef: { apiVersion: 'v1' } } }] }],
      volumes: [
        { name: 'a', emptyDir: {} },
        { name: 'b', configMap: { name: 'x', defaultMode: 420 } },
        { name: 'c', secret: { secretName: 'x', defaultMode: 256 } },
        { name: 'd', hostPath: { path: '/x', type: '' } },
        { downwardAPI: { defaultMode: 420, items: [{ fieldRef: { apiVersion: 'v1' } }] } },
        { projected: { defaultMode: 420, sources: [{ serviceAccountToken: { expirationSeconds: 3600 } }] } },
      ],
    });
  });

  test('the two names of the service account', () => {
    const spec = { containers: [] as object[], serviceAccountName: 'x', serviceAccount: 'old' };
    expect(defaulted('v1', 'Pod', { spec }).spec).toMatchObject({
      serviceAccount: 'x',
      serviceAccountName: 'x',
    });
    const old = { containers: [] as object[], serviceAccount: 'y' };
    expect(defaulted('v1', 'Pod', { spec: old }).spec).toMatchObject({ serviceAccountName: 'y' });
  });
});

const TEMPLATE = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'a:1' }] } };
const FILLED_TEMPLATE = {
  metadata: { labels: { app: 'a' } },
  spec: { ...POD_SPEC_DEFAULTS, containers: [{ ...CONTAINER_DEFAULTS, name: 'c', image: 'a:1' }] },
};

describe('workloads', () => {
  test('Deployment', () => {
    expect(defaulted('apps/v1', 'Deployment', { spec: { template: TEMPLATE } }).spec).toEqual({
      replicas: 1,
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      template: FILLED_TEMPLATE,
    });
    const spec = { template: TEMPLATE, strategy: { type: 'Recreate' }, replicas: 0 };
    expect(defaulted('apps/v1', 'Deployment', { spec }).spec).toMatchObject({
      replicas: 0,
      strategy: { type: 'Recreate' },
    });
  });

  test('ReplicaSet', () => {
    expect(defaulted('apps/v1', 'ReplicaSet', { spec: { template: TEMPLATE } }).spec).toEqual({
      replicas: 1,
      template: FILLED_TEMPLATE,
    });
  });

  test('StatefulSet', () => {
    const claim = { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } };
    const spec = { template: TEMPLATE, volumeClaimTemplates: [claim] };
    expect(defaulted('apps/v1', 'StatefulSet', { spec }).spec).toEqual({
      replicas: 1,
      revisionHistoryLimit: 10,
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      template: FILLED_TEMPLATE,
      volumeClaimTemplates: [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name: 'data' },
          spec: { accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' },
          status: { phase: 'Pending' },
        },
      ],
    });
    const onDelete = { template: TEMPLATE, updateStrategy: { type: 'OnDelete' } };
    const filled = defaulted('apps/v1', 'StatefulSet', { spec: onDelete });
    expect(filled.spec).toMatchObject({ updateStrategy: { type: 'OnDelete' } });
    expect((filled.spec as { updateStrategy: object }).updateStrategy).toEqual({ type: 'OnDelete' });
  });

  test('DaemonSet', () => {
    expect(defaulted('apps/v1', 'DaemonSet', { spec: { template: TEMPLATE } }).spec).toEqual({
      revisionHistoryLimit: 10,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      template: FILLED_TEMPLATE,
    });
  });

  test('Job', () => {
    const job = defaulted('batch/v1', 'Job', { spec: { template: TEMPLATE } });
    expect(job.metadata).toEqual({ name: 'a', labels: { app: 'a' } });
    expect(job.spec).toEqual({
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      completions: 1,
      manualSelector: false,
      parallelism: 1,
      podReplacementPolicy: 'TerminatingOrFailed',
      suspend: false,
      template: FILLED_TEMPLATE,
    });
    const queue = defaulted('batch/v1', 'Job', { spec: { template: TEMPLATE, parallelism: 3 } }).spec;
    expect(queue).not.toHaveProperty('completions');
    const indexed = { template: TEMPLATE, backoffLimitPerIndex: 1, podFailurePolicy: { rules: [] } };
    expect(defaulted('batch/v1', 'Job', { spec: indexed }).spec).toMatchObject({
      backoffLimit: 2_147_483_647,
      podReplacementPolicy: 'Failed',
    });
  });

  test('CronJob', () => {
    const spec = { schedule: '* * * * *', jobTemplate: { spec: { template: TEMPLATE } } };
    expect(defaulted('batch/v1', 'CronJob', { spec }).spec).toEqual({
      concurrencyPolicy: 'Allow',
      failedJobsHistoryLimit: 1,
      jobTemplate: { metadata: {}, spec: { template: FILLED_TEMPLATE } },
      schedule: '* * * * *',
      successfulJobsHistoryLimit: 3,
      suspend: false,
    });
  });

  test('ReplicationController takes selector and labels from its template', () => {
    const controller = defaulted('v1', 'ReplicationController', { spec: { template: TEMPLATE } });
    expect(controller.metadata).toEqual({ name: 'a', labels: { app: 'a' } });
    expect(controller.spec).toEqual({ replicas: 1, selector: { app: 'a' }, template: FILLED_TEMPLATE });
  });
});

describe('services', () => {
  test.each<[string, object, object]>([
    [
      'ClusterIP',
      { ports: [{ port: 80 }] },
      {
        ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
        type: 'ClusterIP',
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
      },
    ],
    [
      'NodePort',
      { type: 'NodePort', ports: [{ port: 80, targetPort: 'web', protocol: 'UDP' }] },
      {
        ports: [{ port: 80, protocol: 'UDP', targetPort: 'web' }],
        type: 'NodePort',
        sessionAffinity: 'None',
        externalTrafficPolicy: 'Cluster',
        internalTrafficPolicy: 'Cluster',
      },
    ],
    [
      'LoadBalancer',
      { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
      {
        type: 'LoadBalancer',
        sessionAffinity: 'None',
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Cluster',
        allocateLoadBalancerNodePorts: true,
      },
    ],
    [
      'ExternalName',
      { type: 'ExternalName', externalName: 'x.y' },
      { type: 'ExternalName', externalName: 'x.y', sessionAffinity: 'None' },
    ],
    [
      'with external addresses',
      { externalIPs: ['1.2.3.4'] },
      {
        externalIPs: ['1.2.3.4'],
        type: 'ClusterIP',
        sessionAffinity: 'None',
        externalTrafficPolicy: 'Cluster',
        internalTrafficPolicy: 'Cluster',
      },
    ],
    [
      'with affinity',
      { sessionAffinity: 'ClientIP' },
      {
        type: 'ClusterIP',
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } },
        internalTrafficPolicy: 'Cluster',
      },
    ],
    [
      'with an idle affinity',
      { sessionAffinityConfig: { clientIP: { timeoutSeconds: 1 } } },
      { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster' },
    ],
  ])('%s', (_name, spec, expected) => {
    expect(defaulted('v1', 'Service', { spec }).spec).toEqual(expected);
  });
});

describe('other kinds', () => {
  test.each<[string, string, object, object]>([
    ['v1', 'Secret', {}, { type: 'Opaque' }],
    ['v1', 'Secret', { type: 'x' }, { type: 'x' }],
    ['v1', 'ConfigMap', {}, {}],
    [
      'v1',
      'Endpoints',
      { subsets: [{ ports: [{ port: 1 }, { port: 2, protocol: 'UDP' }] }] },
      {
        subsets: [
          {
            ports: [
              { port: 1, protocol: 'TCP' },
              { port: 2, protocol: 'UDP' },
            ],
          },
        ],
      },
    ],
    [
      'v1',
      'Namespace',
      {},
      {
        metadata: { name: 'a', labels: { 'kubernetes.io/metadata.name': 'a' } },
        status: { phase: 'Active' },
      },
    ],
    [
      'v1',
      'Node',
      { status: { capacity: { cpu: '1000m' } } },
      { status: { capacity: { cpu: '1' }, allocatable: { cpu: '1' } } },
    ],
    [
      'v1',
      'PersistentVolumeClaim',
      { spec: {} },
      { spec: { volumeMode: 'Filesystem' }, status: { phase: 'Pending' } },
    ],
    [
      'v1',
      'LimitRange',
      { spec: { limits: [{ type: 'Container', max: { cpu: '2' }, min: { cpu: '1', memory: '1Gi' } }] } },
      {
        spec: {
          limits: [
            {
              type: 'Container',
              max: { cpu: '2' },
              min: { cpu: '1', memory: '1Gi' },
              default: { cpu: '2' },
              defaultRequest: { cpu: '2', memory: '1Gi' },
            },
          ],
        },
      },
    ],
    [
      'discovery.k8s.io/v1',
      'EndpointSlice',
      { ports: [{ port: 1 }] },
      { ports: [{ port: 1, name: '', protocol: 'TCP' }] },
    ],
    [
      'networking.k8s.io/v1',
      'NetworkPolicy',
      { spec: { egress: [{ ports: [{ port: 1 }] }] } },
      {
        spec: {
          podSelector: {},
          egress: [{ ports: [{ port: 1, protocol: 'TCP' }] }],
          policyTypes: ['Ingress', 'Egress'],
        },
      },
    ],
    [
      'networking.k8s.io/v1',
      'NetworkPolicy',
      { spec: { podSelector: {}, egress: [] } },
      { spec: { podSelector: {}, egress: [], policyTypes: ['Ingress'] } },
    ],
    [
      'networking.k8s.io/v1',
      'IngressClass',
      { spec: { parameters: { kind: 'x' } } },
      { spec: { parameters: { kind: 'x', scope: 'Cluster' } } },
    ],
    [
      'rbac.authorization.k8s.io/v1',
      'RoleBinding',
      { roleRef: { kind: 'Role', name: 'r' }, subjects: [{ kind: 'User' }, { kind: 'ServiceAccount' }] },
      {
        roleRef: { kind: 'Role', name: 'r', apiGroup: 'rbac.authorization.k8s.io' },
        subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io' }, { kind: 'ServiceAccount' }],
      },
    ],
    ['scheduling.k8s.io/v1', 'PriorityClass', {}, { preemptionPolicy: 'PreemptLowerPriority' }],
    ['storage.k8s.io/v1', 'StorageClass', {}, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' }],
    [
      'autoscaling/v2',
      'HorizontalPodAutoscaler',
      { spec: { behavior: { scaleDown: { policies: [] } } } },
      {
        spec: {
          minReplicas: 1,
          metrics: [
            {
              type: 'Resource',
              resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } },
            },
          ],
          behavior: {
            scaleDown: { policies: [], selectPolicy: 'Max' },
            scaleUp: {
              stabilizationWindowSeconds: 0,
              selectPolicy: 'Max',
              policies: [
                { type: 'Pods', value: 4, periodSeconds: 15 },
                { type: 'Percent', value: 100, periodSeconds: 15 },
              ],
            },
          },
        },
      },
    ],
    [
      'apiextensions.k8s.io/v1',
      'CustomResourceDefinition',
      { spec: { names: { kind: 'Widget', plural: 'widgets' } } },
      {
        spec: {
          names: { kind: 'Widget', plural: 'widgets', singular: 'widget', listKind: 'WidgetList' },
          conversion: { strategy: 'None' },
        },
      },
    ],
    ['policy/v1', 'PodDisruptionBudget', { spec: {} }, { spec: {} }],
    ['coordination.k8s.io/v1', 'Lease', { spec: {} }, { spec: {} }],
  ])('%s %s %j', (apiVersion, kind, rest, expected) => {
    expect(defaulted(apiVersion, kind, rest)).toEqual({
      apiVersion,
      kind,
      metadata: { name: 'a' },
      ...expected,
    });
  });

  test('null counts as absent', () => {
    expect(defaulted('apps/v1', 'ReplicaSet', { spec: { replicas: null } }).spec).toMatchObject({
      replicas: 1,
    });
  });

  test('values of the wrong type are left for validation', () => {
    const object = { apiVersion: 'v1', kind: 'Service', metadata: {}, spec: 'x' } as unknown as KubeObject;
    applyDefaults(findResource('services')!, object);
    expect(object.spec).toBe('x');
  });
});
