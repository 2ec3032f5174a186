import { jsonEquals, type KubeObject } from '@podwire/kube/object';
import { CLEANUP_FINALIZER, DEFINITIONS } from './custom-definition.ts';
import { generateJobSelector } from './job-selector.ts';
import { podQosClass } from './pod-qos.ts';
import type { ResourceType } from './resource-types.ts';

/**
 * What the server itself decides about objects of a kind when they are written: which part a request may write, what a fresh
 * status looks like, and whether metadata.generation counts changes. Source: the strategy.go files below pkg/registry.
 */

/** Kinds whose generation counts changes of their spec. */
const COUNTED: ReadonlySet<string> = new Set([
  'cronjobs.batch',
  'customresourcedefinitions.apiextensions.k8s.io',
  'daemonsets.apps',
  'deployments.apps',
  'endpointslices.discovery.k8s.io',
  'ingressclasses.networking.k8s.io',
  'ingresses.networking.k8s.io',
  'jobs.batch',
  'networkpolicies.networking.k8s.io',
  'poddisruptionbudgets.policy',
  'priorityclasses.scheduling.k8s.io',
  'replicasets.apps',
  'replicationcontrollers',
  'statefulsets.apps',
]);

/** Fields without `omitempty`: clients see them from the start. */
const FRESH_STATUS: Readonly<Record<string, Record<string, unknown>>> = {
  'daemonsets.apps': {
    currentNumberScheduled: 0,
    desiredNumberScheduled: 0,
    numberMisscheduled: 0,
    numberReady: 0,
  },
  'ingresses.networking.k8s.io': { loadBalancer: {} },
  namespaces: { phase: 'Active' },
  persistentvolumeclaims: { phase: 'Pending' },
  persistentvolumes: { phase: 'Pending' },
  'poddisruptionbudgets.policy': {
    currentHealthy: 0,
    desiredHealthy: 0,
    disruptionsAllowed: 0,
    expectedPods: 0,
  },
  'replicasets.apps': { replicas: 0 },
  replicationcontrollers: { replicas: 0 },
  services: { loadBalancer: {} },
  'statefulsets.apps': { availableReplicas: 0, replicas: 0 },
};

/** Resources whose PUT creates what is not there. */
const CREATE_ON_UPDATE: ReadonlySet<string> = new Set([
  'clusterrolebindings.rbac.authorization.k8s.io',
  'clusterroles.rbac.authorization.k8s.io',
  'endpoints',
  'events',
  'leases.coordination.k8s.io',
  'limitranges',
  'rolebindings.rbac.authorization.k8s.io',
  'roles.rbac.authorization.k8s.io',
]);

/** Built-in resources whose PUT must carry a resourceVersion. */
const CONDITIONAL_UPDATE: ReadonlySet<string> = new Set([
  'customresourcedefinitions.apiextensions.k8s.io',
  'leases.coordination.k8s.io',
  'poddisruptionbudgets.policy',
]);

/** Resources whose DELETE answers with the object rather than a Status. */
const RETURNS_DELETED: ReadonlySet<string> = new Set([
  'persistentvolumeclaims',
  'persistentvolumes',
  'pods',
  'podtemplates',
  'resourcequotas',
  'serviceaccounts',
  'services',
]);

export function createsOnUpdate(type: ResourceType): boolean {
  return CREATE_ON_UPDATE.has(type.id);
}

export function needsResourceVersion(type: ResourceType): boolean {
  return type.custom !== undefined || CONDITIONAL_UPDATE.has(type.id);
}

export function returnsDeletedObject(type: ResourceType): boolean {
  return RETURNS_DELETED.has(type.id);
}

export function hasStatus(type: ResourceType): boolean {
  return type.custom === undefined ? type.info.subresources.includes('status') : type.custom.hasStatus;
}

/** Sets status and generation of a new object, in place. */
export function prepareForCreate(type: ResourceType, object: KubeObject): void {
  const { metadata } = object;
  if (COUNTED.has(type.id) || type.custom !== undefined) metadata.generation = 1;
  else delete metadata.generation;
  if (type.id === 'jobs.batch') generateJobSelector(object);
  // A node's agent reports the first status together with the object.
  if (type.id === 'nodes' || !hasStatus(type)) return;
  if (type.custom !== undefined) delete object.status;
  else if (type.id === 'pods') object.status = { phase: 'Pending', qosClass: podQosClass(object.spec) };
  else object.status = { ...FRESH_STATUS[type.id] };
  if (type.id === 'namespaces') object.spec = { finalizers: ['kubernetes'] };
  if (type.id === DEFINITIONS) {
    const versions = (object.spec as { versions?: { name: string; storage?: boolean }[] } | undefined)
      ?.versions;
    const storedVersions = (versions ?? []).filter((each) => each.storage).map((each) => each.name);
    object.status = { conditions: [], acceptedNames: { plural: '', kind: '' }, storedVersions };
    // Objects of the kind must go before their definition does.
    metadata.finalizers = [...new Set([...(metadata.finalizers ?? []), CLEANUP_FINALIZER])];
  }
}

/** Takes from `old` what a write of the object itself may not change, and counts the change, in place. */
export function prepareForUpdate(type: ResourceType, object: KubeObject, old: KubeObject): void {
  if (hasStatus(type)) keepField(object, old, 'status');
  if (type.id === 'namespaces') keepField(object, old, 'spec');
  keepCommonMetadata(object, old);
  const counted = COUNTED.has(type.id) || type.custom !== undefined;
  if (counted && wantsSomethingElse(type, object, old)) {
    object.metadata.generation = (old.metadata.generation ?? 0) + 1;
  }
}

/** Takes everything but the status from `old`, in place; labels and annotations may come along as upstream lets them. */
export function prepareForStatusUpdate(type: ResourceType, object: KubeObject, old: KubeObject): void {
  for (const field of new Set([...Object.keys(object), ...Object.keys(old)])) {
    if (field !== 'status' && field !== 'metadata') keepField(object, old, field);
  }
  if (type.custom !== undefined) {
    const { managedFields } = object.metadata;
    object.metadata = { ...old.metadata };
    if (managedFields !== undefined) object.metadata.managedFields = managedFields;
    return;
  }
  keepCommonMetadata(object, old);
  if (type.id === 'deployments.apps') keepField(object.metadata, old.metadata, 'labels');
  if (type.id === 'pods') keepField(object.metadata, old.metadata, 'ownerReferences');
}

/** Lets only `spec.finalizers` through: PUT namespaces/NAME/finalize. */
export function prepareForFinalize(object: KubeObject, old: KubeObject): void {
  const finalizers = (object.spec as { finalizers?: string[] } | undefined)?.finalizers ?? [];
  const kept = { ...old, metadata: { ...old.metadata }, spec: finalizers.length > 0 ? { finalizers } : {} };
  for (const field of Object.keys(object)) delete object[field];
  Object.assign(object, kept);
}

export function keepField(object: object, old: object, field: string): void {
  const value = (old as Record<string, unknown>)[field];
  if (value === undefined) delete (object as Record<string, unknown>)[field];
  else (object as Record<string, unknown>)[field] = value;
}

function keepCommonMetadata(object: KubeObject, old: KubeObject): void {
  const { metadata } = object;
  for (const field of ['generation', 'selfLink', 'generateName'] as const) {
    if (field !== 'generateName' || metadata.generateName === undefined)
      keepField(metadata, old.metadata, field);
  }
  metadata.uid ??= old.metadata.uid;
  metadata.creationTimestamp ??= old.metadata.creationTimestamp;
  // Only a DELETE begins a deletion, and nothing takes it back.
  keepField(metadata, old.metadata, 'deletionTimestamp');
  keepField(metadata, old.metadata, 'deletionGracePeriodSeconds');
}

function wantsSomethingElse(type: ResourceType, object: KubeObject, old: KubeObject): boolean {
  if (type.custom !== undefined || type.id === 'endpointslices.discovery.k8s.io') {
    return !jsonEquals(wishes(type, object), wishes(type, old));
  }
  if (type.id === 'priorityclasses.scheduling.k8s.io') return false;
  if (!jsonEquals(object.spec, old.spec)) return true;
  return (
    type.id === 'deployments.apps' &&
    !jsonEquals(object.metadata.annotations ?? {}, old.metadata.annotations ?? {})
  );
}

function wishes(type: ResourceType, object: KubeObject): Record<string, unknown> {
  const { metadata, apiVersion, status, ...rest } = object;
  return hasStatus(type) ? rest : { ...rest, status };
}
