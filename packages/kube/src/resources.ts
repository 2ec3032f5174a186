import { formatApiVersion } from './object.ts';

/**
 * Every resource the API server knows without a CustomResourceDefinition, in the words of discovery
 * (metav1.APIResource): plural, singular and short names, categories, subresources, verbs.
 * Source: the registry packages of the Kubernetes API server, whose `ShortNames()` and `Categories()` say the same.
 */
export interface ResourceInfo {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  readonly categories: readonly string[];
  readonly subresources: readonly string[];
  readonly verbs: readonly string[];
  /** A resource nothing is stored of: a POST is answered from the request (access reviews, bindings). */
  readonly virtual?: boolean;
  /** resourceId under which the objects are kept, when this is a second view of them. */
  readonly storedAs?: string;
}

/** What discovery says of `plural/subresource`. Group and version are those of the subresource's own kind. */
export interface SubresourceInfo {
  readonly kind: string;
  readonly group: string;
  readonly version: string;
  readonly verbs: readonly string[];
}

export const ALL_VERBS: readonly string[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];
const NO_COLLECTION_DELETE = ALL_VERBS.filter((verb) => verb !== 'deletecollection');
const CREATE_ONLY: readonly string[] = ['create'];

interface Extras {
  short?: string[];
  categories?: string[];
  sub?: string[];
  verbs?: readonly string[];
  virtual?: boolean;
  storedAs?: string;
}

function resource(
  apiVersion: string,
  kind: string,
  plural: string,
  namespaced: boolean,
  extras: Extras = {},
): ResourceInfo {
  const slash = apiVersion.indexOf('/');
  return {
    group: slash < 0 ? '' : apiVersion.slice(0, slash),
    version: apiVersion.slice(slash + 1),
    kind,
    plural,
    singular: kind.toLowerCase(),
    shortNames: extras.short ?? [],
    namespaced,
    categories: extras.categories ?? [],
    subresources: extras.sub ?? [],
    verbs: extras.verbs ?? ALL_VERBS,
    ...(extras.virtual ? { virtual: true } : {}),
    ...(extras.storedAs ? { storedAs: extras.storedAs } : {}),
  };
}

const POD_SUBRESOURCES = [
  'attach',
  'binding',
  'ephemeralcontainers',
  'eviction',
  'exec',
  'log',
  'portforward',
  'proxy',
  'resize',
  'status',
];
const CLUSTER = false;
const NAMESPACED = true;
const ALL = ['all'];
const REVIEW: Extras = { verbs: CREATE_ONLY, virtual: true };

export const RESOURCES: readonly ResourceInfo[] = [
  resource('v1', 'Binding', 'bindings', NAMESPACED, REVIEW),
  resource('v1', 'ConfigMap', 'configmaps', NAMESPACED, { short: ['cm'] }),
  resource('v1', 'Endpoints', 'endpoints', NAMESPACED, { short: ['ep'] }),
  resource('v1', 'Event', 'events', NAMESPACED, { short: ['ev'] }),
  resource('v1', 'LimitRange', 'limitranges', NAMESPACED, { short: ['limits'] }),
  resource('v1', 'Namespace', 'namespaces', CLUSTER, {
    short: ['ns'],
    sub: ['finalize', 'status'],
    verbs: NO_COLLECTION_DELETE,
  }),
  resource('v1', 'Node', 'nodes', CLUSTER, { short: ['no'], sub: ['proxy', 'status'] }),
  resource('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims', NAMESPACED, {
    short: ['pvc'],
    sub: ['status'],
  }),
  resource('v1', 'PersistentVolume', 'persistentvolumes', CLUSTER, { short: ['pv'], sub: ['status'] }),
  resource('v1', 'Pod', 'pods', NAMESPACED, { short: ['po'], categories: ALL, sub: POD_SUBRESOURCES }),
  resource('v1', 'PodTemplate', 'podtemplates', NAMESPACED),
  resource('v1', 'ReplicationController', 'replicationcontrollers', NAMESPACED, {
    short: ['rc'],
    categories: ALL,
    sub: ['scale', 'status'],
  }),
  resource('v1', 'ResourceQuota', 'resourcequotas', NAMESPACED, { short: ['quota'], sub: ['status'] }),
  resource('v1', 'Secret', 'secrets', NAMESPACED),
  resource('v1', 'ServiceAccount', 'serviceaccounts', NAMESPACED, { short: ['sa'], sub: ['token'] }),
  resource('v1', 'Service', 'services', NAMESPACED, {
    short: ['svc'],
    categories: ALL,
    sub: ['proxy', 'status'],
  }),

  resource('apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'customresourcedefinitions', CLUSTER, {
    short: ['crd', 'crds'],
    categories: ['api-extensions'],
    sub: ['status'],
  }),

  resource('apps/v1', 'ControllerRevision', 'controllerrevisions', NAMESPACED),
  resource('apps/v1', 'DaemonSet', 'daemonsets', NAMESPACED, {
    short: ['ds'],
    categories: ALL,
    sub: ['status'],
  }),
  resource('apps/v1', 'Deployment', 'deployments', NAMESPACED, {
    short: ['deploy'],
    categories: ALL,
    sub: ['scale', 'status'],
  }),
  resource('apps/v1', 'ReplicaSet', 'replicasets', NAMESPACED, {
    short: ['rs'],
    categories: ALL,
    sub: ['scale', 'status'],
  }),
  resource('apps/v1', 'StatefulSet', 'statefulsets', NAMESPACED, {
    short: ['sts'],
    categories: ALL,
    sub: ['scale', 'status'],
  }),

  resource('authentication.k8s.io/v1', 'SelfSubjectReview', 'selfsubjectreviews', CLUSTER, REVIEW),
  resource('authentication.k8s.io/v1', 'TokenReview', 'tokenreviews', CLUSTER, REVIEW),
  resource('authorization.k8s.io/v1', 'LocalSubjectAccessReview', 'localsubjectaccessreviews', true, REVIEW),
  resource('authorization.k8s.io/v1', 'SelfSubjectAccessReview', 'selfsubjectaccessreviews', CLUSTER, REVIEW),
  resource('authorization.k8s.io/v1', 'SelfSubjectRulesReview', 'selfsubjectrulesreviews', CLUSTER, REVIEW),
  resource('authorization.k8s.io/v1', 'SubjectAccessReview', 'subjectaccessreviews', CLUSTER, REVIEW),

  resource('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers', NAMESPACED, {
    short: ['hpa'],
    categories: ALL,
    sub: ['status'],
  }),

  resource('batch/v1', 'CronJob', 'cronjobs', NAMESPACED, {
    short: ['cj'],
    categories: ALL,
    sub: ['status'],
  }),
  resource('batch/v1', 'Job', 'jobs', NAMESPACED, { categories: ALL, sub: ['status'] }),

  resource('coordination.k8s.io/v1', 'Lease', 'leases', NAMESPACED),
  resource('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices', NAMESPACED),
  resource('events.k8s.io/v1', 'Event', 'events', NAMESPACED, { short: ['ev'], storedAs: 'events' }),

  resource('networking.k8s.io/v1', 'IngressClass', 'ingressclasses', CLUSTER),
  resource('networking.k8s.io/v1', 'Ingress', 'ingresses', NAMESPACED, { short: ['ing'], sub: ['status'] }),
  resource('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies', NAMESPACED, { short: ['netpol'] }),

  resource('node.k8s.io/v1', 'RuntimeClass', 'runtimeclasses', CLUSTER),
  resource('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets', NAMESPACED, {
    short: ['pdb'],
    sub: ['status'],
  }),

  resource('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', 'clusterrolebindings', CLUSTER),
  resource('rbac.authorization.k8s.io/v1', 'ClusterRole', 'clusterroles', CLUSTER),
  resource('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings', NAMESPACED),
  resource('rbac.authorization.k8s.io/v1', 'Role', 'roles', NAMESPACED),

  resource('scheduling.k8s.io/v1', 'PriorityClass', 'priorityclasses', CLUSTER, { short: ['pc'] }),
  resource('storage.k8s.io/v1', 'StorageClass', 'storageclasses', CLUSTER, { short: ['sc'] }),
];

/** `pods`, `deployments.apps`, `endpointslices.discovery.k8s.io`: the key of a resource in the store and in sync. */
export function resourceId(info: { group: string; plural: string }): string {
  return info.group === '' ? info.plural : `${info.plural}.${info.group}`;
}

/** `v1`, `apps/v1`. */
export function apiVersionOf(info: { group: string; version: string }): string {
  return formatApiVersion(info.group, info.version);
}

/** URL of a collection (`name` undefined) or object, with an optional subresource. */
export function resourcePath(
  info: { group: string; version: string; plural: string },
  namespace: string,
  name?: string,
  subresource?: string,
): string {
  const root = info.group === '' ? `/api/${info.version}` : `/apis/${info.group}/${info.version}`;
  const scope = namespace === '' ? '' : `/namespaces/${namespace}`;
  const tail = name === undefined ? '' : `/${name}`;
  return `${root}${scope}/${info.plural}${tail}${subresource ? `/${subresource}` : ''}`;
}

const byId = new Map<string, ResourceInfo>();
const byKind = new Map<string, ResourceInfo>();
for (const info of RESOURCES) {
  byId.set(resourceId(info), info);
  byKind.set(`${apiVersionOf(info)}/${info.kind}`, info);
}

/** Looks a built-in resource up by its id (`deployments.apps`). */
export function findResource(id: string): ResourceInfo | undefined {
  return byId.get(id);
}

/** Looks a built-in resource up by what a manifest says. */
export function findResourceByKind(apiVersion: string, kind: string): ResourceInfo | undefined {
  return byKind.get(`${apiVersion}/${kind}`);
}

const READ_WRITE: readonly string[] = ['get', 'patch', 'update'];
const CONNECT: readonly string[] = ['create', 'get'];
const PROXY: readonly string[] = ['create', 'delete', 'get', 'patch', 'update'];

function core(kind: string, verbs: readonly string[]): SubresourceInfo {
  return { kind, group: '', version: 'v1', verbs };
}

const SUBRESOURCES = new Map<string, SubresourceInfo>([
  ['pods/attach', core('PodAttachOptions', CONNECT)],
  ['pods/binding', core('Binding', CREATE_ONLY)],
  ['pods/ephemeralcontainers', core('Pod', READ_WRITE)],
  ['pods/eviction', { kind: 'Eviction', group: 'policy', version: 'v1', verbs: CREATE_ONLY }],
  ['pods/exec', core('PodExecOptions', CONNECT)],
  ['pods/log', core('Pod', ['get'])],
  ['pods/portforward', core('PodPortForwardOptions', CONNECT)],
  ['pods/proxy', core('PodProxyOptions', PROXY)],
  ['pods/resize', core('Pod', READ_WRITE)],
  ['services/proxy', core('ServiceProxyOptions', PROXY)],
  ['nodes/proxy', core('NodeProxyOptions', PROXY)],
  ['namespaces/finalize', core('Namespace', ['update'])],
  [
    'serviceaccounts/token',
    { kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: CREATE_ONLY },
  ],
]);

/** What discovery says of one subresource of a resource, built in or custom. */
export function subresourceInfo(info: ResourceInfo, subresource: string): SubresourceInfo {
  const known = SUBRESOURCES.get(`${resourceId(info)}/${subresource}`);
  if (known) return known;
  if (subresource === 'scale') {
    return { kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: READ_WRITE };
  }
  return { kind: info.kind, group: info.group, version: info.version, verbs: READ_WRITE };
}
