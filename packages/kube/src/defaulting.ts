import {
  defaultDaemonSet,
  defaultDeployment,
  defaultReplicaSet,
  defaultStatefulSet,
} from './defaulting/apps.ts';
import { defaultHorizontalPodAutoscaler } from './defaulting/autoscaling.ts';
import { defaultCronJob, defaultJob } from './defaulting/batch.ts';
import {
  defaultConfigMap,
  defaultEndpoints,
  defaultEvent,
  defaultLimitRange,
  defaultNamespace,
  defaultNode,
  defaultPodTemplate,
  defaultReplicationController,
  defaultResourceQuota,
  defaultSecret,
} from './defaulting/core.ts';
import { defaultDefinition } from './defaulting/definition.ts';
import { defaultEndpointSlice, defaultIngressClass, defaultNetworkPolicy } from './defaulting/networking.ts';
import { defaultPod } from './defaulting/pod.ts';
import { defaultPriorityClass, defaultRoleBinding } from './defaulting/policy.ts';
import { defaultService } from './defaulting/service.ts';
import {
  defaultPersistentVolume,
  defaultPersistentVolumeClaim,
  defaultStorageClass,
} from './defaulting/storage.ts';
import type { JsonObject } from './json-fields.ts';
import type { KubeObject } from './object.ts';
import { resourceId } from './resources.ts';

/** By resource id. What is not here has no defaults. */
const DEFAULTING: Readonly<Record<string, (object: JsonObject) => void>> = {
  configmaps: defaultConfigMap,
  'clusterrolebindings.rbac.authorization.k8s.io': defaultRoleBinding,
  'cronjobs.batch': defaultCronJob,
  'customresourcedefinitions.apiextensions.k8s.io': defaultDefinition,
  'daemonsets.apps': defaultDaemonSet,
  'deployments.apps': defaultDeployment,
  endpoints: defaultEndpoints,
  'endpointslices.discovery.k8s.io': defaultEndpointSlice,
  events: defaultEvent,
  'horizontalpodautoscalers.autoscaling': defaultHorizontalPodAutoscaler,
  'ingressclasses.networking.k8s.io': defaultIngressClass,
  'jobs.batch': defaultJob,
  limitranges: defaultLimitRange,
  namespaces: defaultNamespace,
  'networkpolicies.networking.k8s.io': defaultNetworkPolicy,
  nodes: defaultNode,
  persistentvolumeclaims: defaultPersistentVolumeClaim,
  persistentvolumes: defaultPersistentVolume,
  pods: defaultPod,
  podtemplates: defaultPodTemplate,
  'priorityclasses.scheduling.k8s.io': defaultPriorityClass,
  'replicasets.apps': defaultReplicaSet,
  replicationcontrollers: defaultReplicationController,
  resourcequotas: defaultResourceQuota,
  'rolebindings.rbac.authorization.k8s.io': defaultRoleBinding,
  secrets: defaultSecret,
  services: defaultService,
  'statefulsets.apps': defaultStatefulSet,
  'storageclasses.storage.k8s.io': defaultStorageClass,
};

/**
 * Fills the fields a client left out as the API server does when it decodes an object (pkg/apis/GROUP/VERSION/defaults.go),
 * in place; the caller owns the object. Doing it again changes nothing. Values of the wrong type are left for validation.
 * What needs more than the object itself (cluster addresses, uid, selectors of Jobs) is not done here.
 */
export function applyDefaults(info: { group: string; plural: string }, object: KubeObject): void {
  const id = resourceId(info);
  if (Object.hasOwn(DEFAULTING, id)) DEFAULTING[id]?.(object);
}
