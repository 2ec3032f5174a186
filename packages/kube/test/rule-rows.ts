import { expect, test } from 'vitest';
import { type Change, changed, createTexts } from './kind-harness.ts';

/** Objects that are right, and rows that spoil them. */

const namespaced = { name: 'a', namespace: 'ns' };
const CONTAINER = { name: 'c', image: 'x:1' };
const LABELLED = { metadata: { labels: { a: 'b' } }, spec: { containers: [CONTAINER] } };
export const C = 'spec.containers[0]';
export const BASES = {
  binding: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'a' } },
  claim: {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: namespaced,
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '2Gi' } } },
  },
  class: {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata: { name: 'a' },
    spec: { controller: 'a.b/c', parameters: { kind: 'k', name: 'n' } },
  },
  cron: {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: namespaced,
    spec: {
      schedule: '0 0 * * *',
      jobTemplate: { spec: { template: { spec: { containers: [CONTAINER], restartPolicy: 'Never' } } } },
    },
  },
  daemons: {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: namespaced,
    spec: { selector: { matchLabels: { a: 'b' } }, template: LABELLED },
  },
  definition: {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'xs.a.b' },
    spec: {
      group: 'a.b',
      scope: 'Cluster',
      names: { kind: 'X', plural: 'xs' },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
      ],
    },
  },
  ingress: {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: namespaced,
    spec: { defaultBackend: { service: { name: 's', port: { number: 80 } } } },
  },
  job: {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: namespaced,
    spec: {
      manualSelector: true,
      selector: { matchLabels: { a: 'b' } },
      template: { ...LABELLED, spec: { ...LABELLED.spec, restartPolicy: 'Never' } },
    },
  },
  lease: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: namespaced, spec: {} },
  limits: { apiVersion: 'v1', kind: 'LimitRange', metadata: namespaced, spec: { limits: [] as object[] } },
  pod: { apiVersion: 'v1', kind: 'Pod', metadata: namespaced, spec: { containers: [CONTAINER] } },
  policy: {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: namespaced,
    spec: { podSelector: {} },
  },
  quota: { apiVersion: 'v1', kind: 'ResourceQuota', metadata: namespaced, spec: {} },
  replicas: {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: namespaced,
    spec: { selector: { matchLabels: { a: 'b' } }, template: LABELLED },
  },
  revision: {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: namespaced,
    data: { a: 'b' },
    revision: 1,
  },
  runtime: { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'a' }, handler: 'h' },
  scaler: {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: namespaced,
    spec: { maxReplicas: 3, scaleTargetRef: { kind: 'Deployment', name: 'a' } },
  },
  secret: { apiVersion: 'v1', kind: 'Secret', metadata: namespaced },
  service: { apiVersion: 'v1', kind: 'Service', metadata: namespaced, spec: { ports: [{ port: 80 }] } },
  sets: {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: namespaced,
    spec: { selector: { matchLabels: { a: 'b' } }, template: LABELLED },
  },
  slice: {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: namespaced,
    addressType: 'FQDN',
    endpoints: [{ addresses: ['a.b'] }],
  },
  storage: {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'a' },
    provisioner: 'p',
  },
  volume: {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'a' },
    spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, hostPath: { path: '/x' } },
  },
};

export type Base = keyof typeof BASES;
/** Texts are compared from their start, so that long explanations need not be repeated. */
export type Row = [Base, Change[], string[]];

/** Each base is right; each row of changes makes it wrong in the way it says, or keeps it right. */
export function testRows(rows: Row[]): void {
  test.each(rows)('%s with %j', (base, changes, expected) => {
    expect(createTexts(changed(BASES[base]))).toEqual([]);
    const texts = createTexts(changed(BASES[base], ...changes));
    expect(texts.map((text, i) => text.slice(0, expected[i]?.length))).toEqual(expected);
  });
}
