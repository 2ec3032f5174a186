import { asObject, type JsonObject } from '../json-fields.ts';
import { dns1035LabelErrors, dns1123LabelErrors, pathSegmentErrors } from '../names.ts';
import {
  checkHorizontalPodAutoscaler,
  checkHorizontalPodAutoscalerStatus,
  checkHorizontalPodAutoscalerUpdate,
} from './autoscaling.ts';
import { checkCronJob, checkCronJobUpdate, checkJob, checkJobStatus, checkJobUpdate } from './batch.ts';
import type { Errors } from './checks.ts';
import {
  checkEvent,
  checkNamespace,
  checkNamespaceStatus,
  checkNode,
  checkNodeStatus,
  checkNodeUpdate,
} from './cluster.ts';
import { checkConfigMap, checkConfigMapUpdate, checkSecret, checkSecretUpdate } from './config.ts';
import { checkDefinition, checkDefinitionStatus, checkDefinitionUpdate } from './definition.ts';
import { checkEndpointSlice, checkEndpointSliceUpdate, checkEndpoints } from './endpoints.ts';
import type { NameRule } from './metadata.ts';
import {
  checkIngress,
  checkIngressClass,
  checkIngressClassUpdate,
  checkIngressStatus,
  checkIngressUpdate,
  checkNetworkPolicy,
} from './networking.ts';
import {
  checkEphemeralContainersUpdate,
  checkPod,
  checkPodResize,
  checkPodStatus,
  checkPodUpdate,
} from './pod.ts';
import { checkPodTemplate } from './pod-spec.ts';
import {
  checkLease,
  checkPodDisruptionBudget,
  checkPodDisruptionBudgetStatus,
  checkPriorityClass,
  checkPriorityClassUpdate,
  checkRuntimeClass,
  checkRuntimeClassUpdate,
} from './policy.ts';
import {
  checkLimitRange,
  checkResourceQuota,
  checkResourceQuotaStatus,
  checkResourceQuotaUpdate,
} from './quota.ts';
import {
  checkClusterRole,
  checkClusterRoleBinding,
  checkClusterRoleBindingUpdate,
  checkRole,
  checkRoleBinding,
  checkRoleBindingUpdate,
} from './rbac.ts';
import { checkService, checkServiceStatus, checkServiceUpdate } from './service.ts';
import {
  checkPersistentVolume,
  checkPersistentVolumeClaim,
  checkPersistentVolumeClaimUpdate,
  checkPersistentVolumeUpdate,
  checkStorageClass,
  checkStorageClassUpdate,
} from './storage.ts';
import {
  checkControllerRevision,
  checkControllerRevisionUpdate,
  checkDaemonSet,
  checkDaemonSetStatus,
  checkDaemonSetUpdate,
  checkDeployment,
  checkDeploymentUpdate,
  checkReplicaSet,
  checkReplicaSetUpdate,
  checkReplicaStatus,
  checkReplicationController,
  checkStatefulSet,
  checkStatefulSetUpdate,
} from './workloads.ts';

/** What one kind checks beside its metadata. */
export interface KindRules {
  /** Dotted DNS labels without it. */
  readonly name?: NameRule;
  /** Finalizers need no domain. */
  readonly anyFinalizer?: boolean;
  readonly create?: (errors: Errors, object: JsonObject) => void;
  /** `create` without it. */
  readonly update?: (errors: Errors, object: JsonObject, old: JsonObject) => void;
  /** Of a write to the subresource status, whose spec is the stored one; nothing without it. */
  readonly status?: (errors: Errors, object: JsonObject, old: JsonObject) => void;
  /** Of writes to other subresources, by name. */
  readonly subresources?: Readonly<
    Record<string, (errors: Errors, object: JsonObject, old: JsonObject) => void>
  >;
}

const RBAC = 'rbac.authorization.k8s.io';

/** By resource id. Kinds that are not here have rules for their metadata only. */
export const KIND_RULES: Readonly<Record<string, KindRules>> = {
  [`clusterrolebindings.${RBAC}`]: {
    name: pathSegmentErrors,
    create: checkClusterRoleBinding,
    update: checkClusterRoleBindingUpdate,
  },
  [`clusterroles.${RBAC}`]: { name: pathSegmentErrors, create: checkClusterRole },
  configmaps: { create: checkConfigMap, update: checkConfigMapUpdate },
  'controllerrevisions.apps': { create: checkControllerRevision, update: checkControllerRevisionUpdate },
  'cronjobs.batch': { create: checkCronJob, update: checkCronJobUpdate },
  'customresourcedefinitions.apiextensions.k8s.io': {
    anyFinalizer: true,
    create: checkDefinition,
    update: checkDefinitionUpdate,
    status: checkDefinitionStatus,
  },
  'daemonsets.apps': {
    create: checkDaemonSet,
    update: checkDaemonSetUpdate,
    status: checkDaemonSetStatus,
  },
  'deployments.apps': {
    create: checkDeployment,
    update: checkDeploymentUpdate,
    status: checkReplicaStatus,
  },
  endpoints: { create: checkEndpoints },
  'endpointslices.discovery.k8s.io': { create: checkEndpointSlice, update: checkEndpointSliceUpdate },
  events: { name: pathSegmentErrors, create: checkEvent },
  'horizontalpodautoscalers.autoscaling': {
    create: checkHorizontalPodAutoscaler,
    update: checkHorizontalPodAutoscalerUpdate,
    status: checkHorizontalPodAutoscalerStatus,
  },
  'ingressclasses.networking.k8s.io': { create: checkIngressClass, update: checkIngressClassUpdate },
  'ingresses.networking.k8s.io': {
    create: checkIngress,
    update: checkIngressUpdate,
    status: checkIngressStatus,
  },
  'jobs.batch': { create: checkJob, update: checkJobUpdate, status: checkJobStatus },
  'leases.coordination.k8s.io': { create: checkLease },
  limitranges: { create: checkLimitRange },
  namespaces: {
    name: dns1123LabelErrors,
    create: checkNamespace,
    status: checkNamespaceStatus,
    subresources: { finalize: checkNamespace },
  },
  'networkpolicies.networking.k8s.io': { create: checkNetworkPolicy },
  nodes: { create: checkNode, update: checkNodeUpdate, status: checkNodeStatus },
  persistentvolumeclaims: { create: checkPersistentVolumeClaim, update: checkPersistentVolumeClaimUpdate },
  persistentvolumes: { create: checkPersistentVolume, update: checkPersistentVolumeUpdate },
  'poddisruptionbudgets.policy': {
    create: checkPodDisruptionBudget,
    status: checkPodDisruptionBudgetStatus,
  },
  pods: {
    create: checkPod,
    update: checkPodUpdate,
    status: checkPodStatus,
    subresources: {
      // A node is chosen by name only, and the scheduler chose it.
      binding() {},
      ephemeralcontainers: checkEphemeralContainersUpdate,
      resize: checkPodResize,
    },
  },
  podtemplates: {
    create: (errors, object) => checkPodTemplate(errors, asObject(object.template), 'template'),
  },
  'priorityclasses.scheduling.k8s.io': { create: checkPriorityClass, update: checkPriorityClassUpdate },
  'replicasets.apps': {
    create: checkReplicaSet,
    update: checkReplicaSetUpdate,
    status: checkReplicaStatus,
  },
  replicationcontrollers: { create: checkReplicationController, status: checkReplicaStatus },
  resourcequotas: {
    create: checkResourceQuota,
    update: checkResourceQuotaUpdate,
    status: checkResourceQuotaStatus,
  },
  [`rolebindings.${RBAC}`]: {
    name: pathSegmentErrors,
    create: checkRoleBinding,
    update: checkRoleBindingUpdate,
  },
  [`roles.${RBAC}`]: { name: pathSegmentErrors, create: checkRole },
  'runtimeclasses.node.k8s.io': { create: checkRuntimeClass, update: checkRuntimeClassUpdate },
  secrets: { create: checkSecret, update: checkSecretUpdate },
  services: {
    name: dns1035LabelErrors,
    create: checkService,
    update: checkServiceUpdate,
    status: checkServiceStatus,
  },
  'statefulsets.apps': {
    name: dns1123LabelErrors,
    create: checkStatefulSet,
    update: checkStatefulSetUpdate,
    status: checkReplicaStatus,
  },
  'storageclasses.storage.k8s.io': { create: checkStorageClass, update: checkStorageClassUpdate },
};
