import type { KubeObject } from '../object.ts';
import { type ResourceInfo, resourceId } from '../resources.ts';
import { cronJobs, jobs } from './batch.ts';
import { AGE, ageOf, type ColumnDefinition, NAME, type Printer, printer } from './columns.ts';
import {
  configMaps,
  customResourceDefinitions,
  leases,
  namespaces,
  runtimeClasses,
  secrets,
  serviceAccounts,
} from './configuration.ts';
import { events } from './events.ts';
import { nodes } from './nodes.ts';
import { pods } from './pods.ts';
import {
  clusterRoleBindings,
  clusterRoles,
  horizontalPodAutoscalers,
  limitRanges,
  podDisruptionBudgets,
  priorityClasses,
  resourceQuotas,
  roleBindings,
  roles,
} from './policies.ts';
import {
  endpointSlices,
  endpoints,
  ingressClasses,
  ingresses,
  networkPolicies,
  services,
} from './services.ts';
import { persistentVolumeClaims, persistentVolumes, storageClasses } from './storage.ts';
import {
  controllerRevisions,
  daemonSets,
  deployments,
  podTemplates,
  replicaSets,
  replicationControllers,
  statefulSets,
} from './workloads.ts';

/** Columns of a kind and one row of cells for each object, in the order of the objects. */
export interface PrintedTable {
  columnDefinitions: readonly ColumnDefinition[];
  rows: { cells: unknown[] }[];
}

/** How each kind is shown, by resource id. Source of columns and texts: pkg/printers/internalversion/printers.go of v1.32. */
const PRINTERS: Readonly<Record<string, Printer>> = {
  'clusterrolebindings.rbac.authorization.k8s.io': clusterRoleBindings,
  'clusterroles.rbac.authorization.k8s.io': clusterRoles,
  configmaps: configMaps,
  'controllerrevisions.apps': controllerRevisions,
  'cronjobs.batch': cronJobs,
  'customresourcedefinitions.apiextensions.k8s.io': customResourceDefinitions,
  'daemonsets.apps': daemonSets,
  'deployments.apps': deployments,
  endpoints,
  'endpointslices.discovery.k8s.io': endpointSlices,
  events,
  'events.events.k8s.io': events,
  'horizontalpodautoscalers.autoscaling': horizontalPodAutoscalers,
  'ingressclasses.networking.k8s.io': ingressClasses,
  'ingresses.networking.k8s.io': ingresses,
  'jobs.batch': jobs,
  'leases.coordination.k8s.io': leases,
  limitranges: limitRanges,
  namespaces,
  'networkpolicies.networking.k8s.io': networkPolicies,
  nodes,
  persistentvolumeclaims: persistentVolumeClaims,
  persistentvolumes: persistentVolumes,
  'poddisruptionbudgets.policy': podDisruptionBudgets,
  pods,
  podtemplates: podTemplates,
  'priorityclasses.scheduling.k8s.io': priorityClasses,
  'replicasets.apps': replicaSets,
  replicationcontrollers: replicationControllers,
  resourcequotas: resourceQuotas,
  'rolebindings.rbac.authorization.k8s.io': roleBindings,
  'roles.rbac.authorization.k8s.io': roles,
  'runtimeclasses.node.k8s.io': runtimeClasses,
  secrets,
  serviceaccounts: serviceAccounts,
  services,
  'statefulsets.apps': statefulSets,
  'storageclasses.storage.k8s.io': storageClasses,
};

/** Name and age: what is shown of a kind nobody described. */
const PLAIN: Printer = printer<KubeObject>([NAME, AGE], (object, nowMs) => [
  object.metadata.name,
  ageOf(object, nowMs),
]);

/** Objects of one resource as `kubectl get` prints them; ages are as of `nowMs`. */
export function toTable(
  info: Pick<ResourceInfo, 'group' | 'plural'>,
  objects: readonly KubeObject[],
  nowMs: number,
): PrintedTable {
  const { columns, cells } = PRINTERS[resourceId(info)] ?? PLAIN;
  return {
    columnDefinitions: columns,
    rows: objects.map((object) => ({ cells: cells(object, nowMs) })),
  };
}
