import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../src/object.ts';
import { toTable } from '../src/printing/table.ts';
import { RESOURCES, resourceId } from '../src/resources.ts';

const NOW_MS = Date.UTC(2030, 0, 1, 12, 0, 0);
const ago = (seconds: number) => new Date(NOW_MS - seconds * 1000).toISOString().replace('.000', '');

function info(id: string) {
  return RESOURCES.find((each) => resourceId(each) === id)!;
}

/** What `kubectl get` would print: header and row of one object, wide columns after a bar. */
function show(id: string, object: object): { header: string; row: string } {
  const metadata = { name: 'x', creationTimestamp: ago(300), ...(object as KubeObject).metadata };
  const { columnDefinitions, rows } = toTable(info(id), [{ ...object, metadata } as KubeObject], NOW_MS);
  const line = (cells: readonly unknown[]) => {
    const groups = [0, 1].map((priority) =>
      cells
        .filter((_, i) => columnDefinitions[i].priority === priority)
        .map(String)
        .join(' '),
    );
    return groups[1] === '' ? groups[0] : groups.join(' | ');
  };
  expect(rows[0].cells).toHaveLength(columnDefinitions.length);
  return { header: line(columnDefinitions.map(({ name }) => name.toUpperCase())), row: line(rows[0].cells) };
}

const container = (name: string, image: string) => ({ name, image });
const waiting = (reason: string, restartCount = 0) => ({
  name: 'c',
  ready: false,
  restartCount,
  state: { waiting: { reason } },
});
const running = { name: 'c', ready: true, restartCount: 0, state: { running: { startedAt: ago(100) } } };
const ended = (exitCode: number, reason?: string) => ({
  name: 'c',
  ready: false,
  restartCount: 0,
  state: { terminated: { exitCode, reason } },
});
const ready = { type: 'Ready', status: 'True' };
const initialized = { type: 'Initialized', status: 'True' };

describe('pods', () => {
  const spec = { containers: [container('c', 'web:1')], nodeName: 'node-1' };
  const two = { containers: [container('c', 'a'), container('d', 'b')] };
  const withInit = { ...spec, initContainers: [container('i', 'a'), container('j', 'b')] };
  const sidecar = { ...spec, initContainers: [{ ...container('i', 'a'), restartPolicy: 'Always' }] };
  const dying = { metadata: { deletionTimestamp: ago(1) } };
  const cases: { name: string; pod: object; shows: string }[] = [
    { name: 'new', pod: { spec, status: { phase: 'Pending' } }, shows: '0/1 Pending 0' },
    {
      name: 'starting',
      pod: { spec, status: { phase: 'Pending', containerStatuses: [waiting('ContainerCreating')] } },
      shows: '0/1 ContainerCreating 0',
    },
    {
      name: 'running',
      pod: { spec, status: { phase: 'Running', conditions: [ready], containerStatuses: [running] } },
      shows: '1/1 Running 0',
    },
    {
      name: 'not ready',
      pod: { spec, status: { phase: 'Running', containerStatuses: [{ ...running, ready: false }] } },
      shows: '0/1 Running 0',
    },
    {
      name: 'crashing',
      pod: {
        spec,
        status: {
          phase: 'Running',
          containerStatuses: [
            {
              ...waiting('CrashLoopBackOff', 4),
              lastState: { terminated: { exitCode: 1, finishedAt: ago(42) } },
            },
          ],
        },
      },
      shows: '0/1 CrashLoopBackOff 4 (42s ago)',
    },
    {
      name: 'image missing',
      pod: { spec, status: { phase: 'Pending', containerStatuses: [waiting('ImagePullBackOff')] } },
      shows: '0/1 ImagePullBackOff 0',
    },
    {
      name: 'completed',
      pod: { spec, status: { phase: 'Succeeded', containerStatuses: [ended(0, 'Completed')] } },
      shows: '0/1 Completed 0',
    },
    {
      name: 'failed',
      pod: { spec, status: { phase: 'Failed', containerStatuses: [ended(1, 'Error')] } },
      shows: '0/1 Error 0',
    },
    {
      name: 'failed without reason',
      pod: { spec, status: { phase: 'Failed', containerStatuses: [ended(137)] } },
      shows: '0/1 ExitCode:137 0',
    },
    {
      name: 'evicted',
      pod: { spec, status: { phase: 'Failed', reason: 'Evicted' } },
      shows: '0/1 Evicted 0',
    },
    {
      name: 'terminating',
      pod: { ...dying, spec, status: { phase: 'Running', containerStatuses: [running] } },
      shows: '1/1 Terminating 0',
    },
    {
      name: 'finished and terminating',
      pod: { ...dying, spec, status: { phase: 'Succeeded', containerStatuses: [ended(0, 'Completed')] } },
      shows: '0/1 Completed 0',
    },
    {
      name: 'node lost',
      pod: { ...dying, spec, status: { phase: 'Running', reason: 'NodeLost', containerStatuses: [running] } },
      shows: '1/1 Unknown 0',
    },
    {
      name: 'gated',
      pod: {
        spec,
        status: {
          phase: 'Pending',
          conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
        },
      },
      shows: '0/1 SchedulingGated 0',
    },
    {
      name: 'first init container',
      pod: {
        spec: withInit,
        status: {
          phase: 'Pending',
          initContainerStatuses: [{ ...running, name: 'i' }, waiting('PodInitializing')],
          containerStatuses: [waiting('PodInitializing')],
        },
      },
      shows: '0/1 Init:0/2 0',
    },
    {
      name: 'second init container',
      pod: {
        spec: withInit,
        status: {
          phase: 'Pending',
          initContainerStatuses: [ended(0, 'Completed'), waiting('PodInitializing')],
        },
      },
      shows: '0/1 Init:1/2 0',
    },
    {
      name: 'failing init container',
      pod: {
        spec: withInit,
        status: {
          phase: 'Pending',
          initContainerStatuses: [{ ...waiting('CrashLoopBackOff', 3), name: 'i' }],
        },
      },
      shows: '0/1 Init:CrashLoopBackOff 3',
    },
    {
      name: 'init containers done',
      pod: {
        spec: withInit,
        status: {
          phase: 'Running',
          conditions: [initialized, ready],
          initContainerStatuses: [ended(0, 'Completed'), { ...ended(0, 'Completed'), restartCount: 2 }],
          containerStatuses: [running],
        },
      },
      shows: '1/1 Running 0',
    },
    {
      name: 'sidecar',
      pod: {
        spec: sidecar,
        status: {
          phase: 'Running',
          conditions: [initialized, ready],
          initContainerStatuses: [{ ...running, name: 'i', started: true, restartCount: 1 }],
          containerStatuses: [running],
        },
      },
      shows: '2/2 Running 1',
    },
    {
      name: 'one of two completed',
      pod: {
        spec: two,
        status: {
          phase: 'Running',
          conditions: [ready],
          containerStatuses: [ended(0, 'Completed'), { ...running, name: 'd' }],
        },
      },
      shows: '1/2 Running 0',
    },
    {
      name: 'one of two completed, not ready',
      pod: {
        spec: two,
        status: { phase: 'Running', containerStatuses: [ended(0, 'Completed'), { ...running, name: 'd' }] },
      },
      shows: '1/2 NotReady 0',
    },
  ];
  test.each(cases)('$name', ({ pod, shows }) => {
    const { row } = show('pods', pod);
    expect(row.split(' | ')[0]).toBe(`x ${shows} 5m`);
  });

  test('wide', () => {
    const status = {
      phase: 'Running',
      podIP: '10.244.1.5',
      podIPs: [{ ip: '10.244.1.5' }],
      conditions: [{ type: 'gate', status: 'True' }],
    };
    const gates = { ...spec, readinessGates: [{ conditionType: 'gate' }, { conditionType: 'other' }] };
    expect(show('pods', { spec: gates, status })).toEqual({
      header: 'NAME READY STATUS RESTARTS AGE | IP NODE NOMINATED NODE READINESS GATES',
      row: 'x 0/1 Running 0 5m | 10.244.1.5 node-1 <none> 1/2',
    });
  });
});

const template = { spec: { containers: [container('web', 'nginx:1'), container('log', 'fluent:2')] } };
const selector = { matchLabels: { tier: 'a', app: 'web' } };

const KINDS: { id: string; object: object; header: string; row: string }[] = [
  {
    id: 'nodes',
    object: {
      metadata: { labels: { 'node-role.kubernetes.io/worker': '', 'node-role.kubernetes.io/edge': '' } },
      spec: { unschedulable: true },
      status: {
        conditions: [ready],
        addresses: [{ type: 'InternalIP', address: '127.0.0.11' }],
        nodeInfo: {
          kubeletVersion: 'v1.32.0',
          osImage: 'Podwire',
          kernelVersion: '6.1',
          containerRuntimeVersion: 'podwire://1',
        },
      },
    },
    header:
      'NAME STATUS ROLES AGE VERSION | INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME',
    row: 'x Ready,SchedulingDisabled edge,worker 5m v1.32.0 | 127.0.0.11 <none> Podwire 6.1 podwire://1',
  },
  {
    id: 'services',
    object: {
      spec: {
        type: 'NodePort',
        clusterIP: '10.96.0.7',
        clusterIPs: ['10.96.0.7'],
        selector: { b: '2', a: '1' },
        ports: [
          { port: 80, nodePort: 30080, protocol: 'TCP' },
          { port: 53, protocol: 'UDP' },
        ],
      },
    },
    header: 'NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE | SELECTOR',
    row: 'x NodePort 10.96.0.7 <none> 80:30080/TCP,53/UDP 5m | a=1,b=2',
  },
  {
    id: 'services',
    object: {
      spec: { type: 'LoadBalancer', clusterIPs: ['10.96.0.7'], ports: [{ port: 80 }] },
      status: { loadBalancer: {} },
    },
    header: 'NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE | SELECTOR',
    row: 'x LoadBalancer 10.96.0.7 <pending> 80/TCP 5m | <none>',
  },
  {
    id: 'services',
    object: { spec: { type: 'ExternalName', externalName: 'example.com' } },
    header: 'NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE | SELECTOR',
    row: 'x ExternalName <none> example.com <none> 5m | <none>',
  },
  {
    id: 'endpoints',
    object: {
      subsets: [
        { addresses: ['1', '2', '3', '4'].map((i) => ({ ip: `10.0.0.${i}` })), ports: [{ port: 80 }] },
        { addresses: [{ ip: 'fd00::1' }], ports: [{ port: 81 }] },
      ],
    },
    header: 'NAME ENDPOINTS AGE',
    row: 'x 10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more... 5m',
  },
  {
    id: 'endpoints',
    object: { subsets: [{ addresses: [{ ip: 'fd00::1' }], ports: [{ port: 81 }] }] },
    header: 'NAME ENDPOINTS AGE',
    row: 'x [fd00::1]:81 5m',
  },
  { id: 'endpoints', object: {}, header: 'NAME ENDPOINTS AGE', row: 'x <none> 5m' },
  {
    id: 'endpointslices.discovery.k8s.io',
    object: {
      addressType: 'IPv4',
      ports: [{ port: 8080 }, { name: 'any' }],
      endpoints: [{ addresses: ['10.0.0.1'] }, { addresses: ['10.0.0.2'] }],
    },
    header: 'NAME ADDRESSTYPE PORTS ENDPOINTS AGE',
    row: 'x IPv4 8080,any 10.0.0.1,10.0.0.2 5m',
  },
  {
    id: 'endpointslices.discovery.k8s.io',
    object: { addressType: 'IPv4', ports: [], endpoints: [] },
    header: 'NAME ADDRESSTYPE PORTS ENDPOINTS AGE',
    row: 'x IPv4 <unset> <unset> 5m',
  },
  {
    id: 'deployments.apps',
    object: {
      spec: { replicas: 3, template, selector },
      status: { readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1 },
    },
    header: 'NAME READY UP-TO-DATE AVAILABLE AGE | CONTAINERS IMAGES SELECTOR',
    row: 'x 2/3 3 1 5m | web,log nginx:1,fluent:2 app=web,tier=a',
  },
  {
    id: 'replicasets.apps',
    object: { spec: { replicas: 3, template, selector }, status: { replicas: 3, readyReplicas: 2 } },
    header: 'NAME DESIRED CURRENT READY AGE | CONTAINERS IMAGES SELECTOR',
    row: 'x 3 3 2 5m | web,log nginx:1,fluent:2 app=web,tier=a',
  },
  {
    id: 'statefulsets.apps',
    object: { spec: { replicas: 3, template, selector }, status: { readyReplicas: 2 } },
    header: 'NAME READY AGE | CONTAINERS IMAGES',
    row: 'x 2/3 5m | web,log nginx:1,fluent:2',
  },
  {
    id: 'daemonsets.apps',
    object: {
      spec: { template: { spec: { ...template.spec, nodeSelector: { disk: 'ssd' } } }, selector },
      status: {
        desiredNumberScheduled: 3,
        currentNumberScheduled: 3,
        numberReady: 2,
        updatedNumberScheduled: 1,
        numberAvailable: 2,
      },
    },
    header: 'NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE | CONTAINERS IMAGES SELECTOR',
    row: 'x 3 3 2 1 2 disk=ssd 5m | web,log nginx:1,fluent:2 app=web,tier=a',
  },
  {
    id: 'jobs.batch',
    object: { spec: { completions: 5, template, selector }, status: { succeeded: 2, startTime: ago(90) } },
    header: 'NAME STATUS COMPLETIONS DURATION AGE | CONTAINERS IMAGES SELECTOR',
    row: 'x Running 2/5 90s 5m | web,log nginx:1,fluent:2 app=web,tier=a',
  },
  {
    id: 'jobs.batch',
    object: {
      spec: { parallelism: 3, template, selector },
      status: {
        startTime: ago(90),
        completionTime: ago(30),
        conditions: [{ type: 'Complete', status: 'True' }],
        succeeded: 1,
      },
    },
    header: 'NAME STATUS COMPLETIONS DURATION AGE | CONTAINERS IMAGES SELECTOR',
    row: 'x Complete 1/1 of 3 60s 5m | web,log nginx:1,fluent:2 app=web,tier=a',
  },
  {
    id: 'cronjobs.batch',
    object: {
      spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template } } },
      status: { active: [{}], lastScheduleTime: ago(120) },
    },
    header: 'NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE | CONTAINERS IMAGES SELECTOR',
    row: 'x */5 * * * * <none> False 1 2m 5m | web,log nginx:1,fluent:2 <none>',
  },
  {
    id: 'events',
    object: {
      involvedObject: { kind: 'Pod', name: 'web-1', fieldPath: 'spec.containers{c}' },
      type: 'Warning',
      reason: 'BackOff',
      message: 'Back-off restarting failed container \n',
      source: { component: 'kubelet', host: 'node-1' },
      firstTimestamp: ago(600),
      lastTimestamp: ago(10),
      count: 7,
    },
    header: 'LAST SEEN TYPE REASON OBJECT MESSAGE | SUBOBJECT SOURCE FIRST SEEN COUNT NAME',
    row: '10s Warning BackOff pod/web-1 Back-off restarting failed container | spec.containers{c} kubelet, node-1 10m 7 x',
  },
  {
    id: 'ingresses.networking.k8s.io',
    object: {
      spec: { ingressClassName: 'nginx', tls: [{}], rules: ['a', 'b', 'c', 'd'].map((host) => ({ host })) },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
    },
    header: 'NAME CLASS HOSTS ADDRESS PORTS AGE',
    row: 'x nginx a,b,c + 1 more... 192.0.2.1 80, 443 5m',
  },
  {
    id: 'networkpolicies.networking.k8s.io',
    object: { spec: { podSelector: {} } },
    header: 'NAME POD-SELECTOR AGE',
    row: 'x <none> 5m',
  },
  {
    id: 'networkpolicies.networking.k8s.io',
    object: { spec: { podSelector: selector } },
    header: 'NAME POD-SELECTOR AGE',
    row: 'x app=web,tier=a 5m',
  },
  {
    id: 'configmaps',
    object: { data: { a: '1' }, binaryData: { b: '' } },
    header: 'NAME DATA AGE',
    row: 'x 2 5m',
  },
  {
    id: 'secrets',
    object: { type: 'Opaque', data: { a: '' } },
    header: 'NAME TYPE DATA AGE',
    row: 'x Opaque 1 5m',
  },
  {
    id: 'namespaces',
    object: { status: { phase: 'Active' } },
    header: 'NAME STATUS AGE',
    row: 'x Active 5m',
  },
  {
    id: 'persistentvolumeclaims',
    object: {
      spec: { volumeName: 'v', storageClassName: 'fast', volumeMode: 'Filesystem' },
      status: {
        phase: 'Bound',
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteMany', 'ReadWriteOnce'],
      },
    },
    header: 'NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE | VOLUMEMODE',
    row: 'x Bound v 1Gi RWO,RWX fast <unset> 5m | Filesystem',
  },
  {
    id: 'poddisruptionbudgets.policy',
    object: { spec: { minAvailable: '50%' } },
    header: 'NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE',
    row: 'x 50% N/A 0 5m',
  },
  {
    id: 'controllerrevisions.apps',
    object: {
      metadata: {
        ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'db', controller: true }],
      },
      revision: 3,
    },
    header: 'NAME CONTROLLER REVISION AGE',
    row: 'x statefulset.apps/db 3 5m',
  },
  {
    id: 'customresourcedefinitions.apiextensions.k8s.io',
    object: {},
    header: 'NAME CREATED AT',
    row: `x ${ago(300)}`,
  },
];

test.each(KINDS)('$id: $row', ({ id, object, header, row }) => {
  expect(show(id, object)).toEqual({ header, row });
});

test('every kind can be shown, even with nothing in it', () => {
  for (const each of RESOURCES) {
    const { columnDefinitions, rows } = toTable(
      each,
      [{ apiVersion: 'v1', kind: each.kind, metadata: { name: 'x' }, roleRef: {} }],
      NOW_MS,
    );
    expect(rows[0].cells, resourceId(each)).toHaveLength(columnDefinitions.length);
  }
});
