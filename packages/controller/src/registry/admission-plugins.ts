import type { KubeObject } from '@podwire/kube/object';
import { ApiError, forbidden, notFound } from '@podwire/kube/status';
import type { Api } from '../api.ts';
import type { AdmissionPlugin, AdmissionRequest, Reservation } from './admission.ts';

/**
 * The admission plugins of this server in the order they run. Names and behaviour are those of kube-apiserver's plugins of the
 * same name (plugin/pkg/admission).
 */
export function standardAdmission(options: {
  /** Seconds a pod stays on a node that is not ready or not reachable. */
  nodeTolerationSeconds: number;
  /** Gives out cluster addresses and node ports; see loops/service-allocator.ts. */
  services?: ServiceAllocation;
}): AdmissionPlugin[] {
  const plugins = [
    namespaceLifecycle,
    serviceAccount,
    priority,
    defaultTolerationSeconds(options.nodeTolerationSeconds),
    defaultIngressClass,
  ];
  if (options.services !== undefined) plugins.push(serviceAllocation(options.services));
  return plugins;
}

/** The part of a service allocator that admission calls. */
export interface ServiceAllocation {
  create(service: never): Reservation;
  update(service: never, old: never): Reservation;
  release(service: never): void;
}

const IMMORTAL_NAMESPACES: readonly string[] = ['default', 'kube-system', 'kube-public'];

const namespaceLifecycle: AdmissionPlugin = {
  name: 'NamespaceLifecycle',
  mutate({ operation, type, namespace, object }, api) {
    if (operation !== 'CREATE' || !type.info.namespaced) return undefined;
    const found = api.get<KubeObject>('namespaces', '', namespace);
    if (found === undefined) throw notFound('namespaces', namespace);
    if (found.metadata.deletionTimestamp !== undefined) {
      const error = forbidden(
        type.id,
        object.metadata.name ?? '',
        `unable to create new content in namespace ${namespace} because it is being terminated`,
      );
      const cause = {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      };
      throw new ApiError({ ...error.status, details: { ...error.status.details, causes: [cause] } });
    }
    return undefined;
  },
  checkDelete(type, object) {
    const name = object.metadata.name ?? '';
    if (type.id === 'namespaces' && IMMORTAL_NAMESPACES.includes(name)) {
      throw forbidden('namespaces', name, 'this namespace may not be deleted');
    }
  },
};

/** Every pod runs as a service account; the one called default comes with its namespace, maybe a moment later. */
const serviceAccount: AdmissionPlugin = {
  name: 'ServiceAccount',
  resources: ['pods'],
  mutate({ operation, namespace, object }, api) {
    if (operation !== 'CREATE') return undefined;
    const spec = (object.spec ??= {}) as { serviceAccountName?: string; serviceAccount?: string };
    if (!spec.serviceAccountName) spec.serviceAccountName = spec.serviceAccount || 'default';
    spec.serviceAccount = spec.serviceAccountName;
    const name = spec.serviceAccountName;
    if (name !== 'default' && api.get('serviceaccounts', namespace, name) === undefined) {
      throw forbidden(
        'pods',
        object.metadata.name ?? '',
        `error looking up service account ${namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`,
      );
    }
    return undefined;
  },
};

const SYSTEM_PRIORITIES: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};

interface PriorityClass extends KubeObject {
  value?: number;
  globalDefault?: boolean;
  preemptionPolicy?: string;
}

const priority: AdmissionPlugin = {
  name: 'Priority',
  resources: ['pods'],
  mutate({ operation, object }, api) {
    if (operation !== 'CREATE') return undefined;
    const spec = (object.spec ??= {}) as {
      priorityClassName?: string;
      priority?: number;
      preemptionPolicy?: string;
    };
    const name = spec.priorityClassName;
    const system = name === undefined ? undefined : SYSTEM_PRIORITIES[name];
    const found =
      name === undefined || name === ''
        ? api.list<PriorityClass>('priorityclasses.scheduling.k8s.io').find((each) => each.globalDefault)
        : api.get<PriorityClass>('priorityclasses.scheduling.k8s.io', '', name);
    if (name && found === undefined && system === undefined) {
      throw forbidden('pods', object.metadata.name ?? '', `no PriorityClass with name ${name} was found`);
    }
    if (found !== undefined) spec.priorityClassName = found.metadata.name!;
    spec.priority = found?.value ?? system ?? 0;
    spec.preemptionPolicy ??= found?.preemptionPolicy ?? 'PreemptLowerPriority';
    return undefined;
  },
};

interface Toleration {
  key?: string;
  operator?: string;
  effect?: string;
  tolerationSeconds?: number;
}

function defaultTolerationSeconds(tolerationSeconds: number): AdmissionPlugin {
  return {
    name: 'DefaultTolerationSeconds',
    resources: ['pods'],
    mutate({ operation, object }) {
      if (operation !== 'CREATE') return undefined;
      const spec = (object.spec ??= {}) as { tolerations?: Toleration[] };
      for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
        const tolerated = (spec.tolerations ?? []).some(
          (each) => (!each.key || each.key === key) && (!each.effect || each.effect === 'NoExecute'),
        );
        if (tolerated) continue;
        (spec.tolerations ??= []).push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds });
      }
      return undefined;
    },
  };
}

const DEFAULT_CLASS = 'ingressclass.kubernetes.io/is-default-class';

const defaultIngressClass: AdmissionPlugin = {
  name: 'DefaultIngressClass',
  resources: ['ingresses.networking.k8s.io'],
  mutate({ operation, object }, api) {
    const spec = object.spec as { ingressClassName?: string } | undefined;
    const annotated = object.metadata.annotations?.['kubernetes.io/ingress.class'] !== undefined;
    if (operation !== 'CREATE' || spec === undefined || spec.ingressClassName !== undefined || annotated) {
      return undefined;
    }
    const found = api
      .list<KubeObject>('ingressclasses.networking.k8s.io')
      .find((each) => each.metadata.annotations?.[DEFAULT_CLASS] === 'true');
    if (found !== undefined) spec.ingressClassName = found.metadata.name!;
    return undefined;
  },
};

function serviceAllocation(allocator: ServiceAllocation): AdmissionPlugin {
  return {
    name: 'ServiceAllocation',
    resources: ['services'],
    mutate({ operation, subresource, object, old }: AdmissionRequest, _api: Api) {
      if (subresource !== '') return undefined;
      return operation === 'CREATE'
        ? allocator.create(object as never)
        : allocator.update(object as never, old as never);
    },
    removed: (object) => allocator.release(object as never),
  };
}
