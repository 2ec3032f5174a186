import { jsonEquals, type KubeObject, type ObjectMeta } from '@podwire/kube/object';
import type { Interest, PeerIdentity, Scope, SourceEvent, SyncSource, View } from '@podwire/sync/source';

const NODES = 'nodes';
const NAMESPACES = 'namespaces';
const SERVICES = 'services';
const ENDPOINT_SLICES = 'endpointslices.discovery.k8s.io';
const NETWORK_POLICIES = 'networkpolicies.networking.k8s.io';
const CONFIG_MAPS = 'configmaps';
const SECRETS = 'secrets';
const PODS = 'pods';

interface PodFields {
  metadata: ObjectMeta;
  spec?: {
    nodeName?: string;
    hostNetwork?: boolean;
    hostname?: string;
    subdomain?: string;
    initContainers?: ContainerFields[];
    containers?: ContainerFields[];
  };
  status?: { phase?: string; podIP?: string; podIPs?: unknown; hostIP?: string };
}

interface ContainerFields {
  name: string;
  ports?: unknown[];
}

/** Everything but who wrote which field. */
const WHOLE: View = { name: 'whole', shared: true, apply: withoutManagedFields };

/** A pod as its own node sees it: nobody else does, so its bytes are not kept. */
const OWN_POD: View = { name: 'own pod', shared: false, apply: withoutManagedFields };

/** A pod as the other nodes and DNS see it: what network policy, names and routes need. */
const OTHER_POD: View = {
  name: 'other pod',
  shared: true,
  apply: trimPod,
  same: (a, b) => jsonEquals(withoutRevision(trimPod(a)), withoutRevision(trimPod(b))),
};

/** What a peer sees; `source` tells what is there now. */
export function interestOf(peer: PeerIdentity, source: SyncSource): Interest {
  return peer.role === 'agent' ? agentInterest(peer.nodeName, source) : dnsInterest();
}

/**
 * An agent sees the cluster's network, its own pods whole, and the config maps and secrets of the namespaces that have pods on its
 * node.
 */
function agentInterest(nodeName: string, source: SyncSource): Interest {
  const here = new PodsByNamespace(nodeName);
  for (const pod of source.list(PODS)) here.note(pod, true);
  const cluster = [NODES, NAMESPACES, SERVICES, ENDPOINT_SLICES, NETWORK_POLICIES];
  return {
    resources: [...cluster, CONFIG_MAPS, SECRETS, PODS],
    scoped: [CONFIG_MAPS, SECRETS],
    view(resource, object) {
      if (resource === PODS) return podView(object, nodeName);
      if (resource === CONFIG_MAPS || resource === SECRETS) {
        return here.has(object.metadata.namespace ?? '') ? WHOLE : undefined;
      }
      return cluster.includes(resource) ? WHOLE : undefined;
    },
    observe: (event) => scopesChangedBy(here, event),
  };
}

function dnsInterest(): Interest {
  const cluster = [NAMESPACES, SERVICES, ENDPOINT_SLICES];
  return {
    resources: [...cluster, PODS],
    scoped: [],
    view(resource, object) {
      if (resource === PODS) return podView(object, undefined);
      return cluster.includes(resource) ? WHOLE : undefined;
    },
    observe: () => [],
  };
}

/** Pods without a node have no address and concern nobody yet. */
function podView(object: KubeObject, nodeName: string | undefined): View | undefined {
  const on = (object as unknown as PodFields).spec?.nodeName;
  if (on === undefined || on === '') return undefined;
  return on === nodeName ? OWN_POD : OTHER_POD;
}

function scopesChangedBy(here: PodsByNamespace, event: SourceEvent): Scope[] {
  if (event.resource !== PODS) return [];
  const namespace = event.object.metadata.namespace ?? '';
  const before = here.has(namespace);
  here.note(event.object, event.type !== 'DELETED');
  if (here.has(namespace) === before) return [];
  return [
    { resource: CONFIG_MAPS, namespace },
    { resource: SECRETS, namespace },
  ];
}

/** Which namespaces have pods on one node. */
class PodsByNamespace {
  readonly #nodeName: string;
  readonly #pods = new Map<string, Set<string>>();

  constructor(nodeName: string) {
    this.#nodeName = nodeName;
  }

  has(namespace: string): boolean {
    return this.#pods.has(namespace);
  }

  note(pod: KubeObject, present: boolean): void {
    const { namespace = '', name = '' } = pod.metadata;
    const isHere = present && (pod as unknown as PodFields).spec?.nodeName === this.#nodeName;
    let names = this.#pods.get(namespace);
    if (isHere) {
      if (names === undefined) this.#pods.set(namespace, (names = new Set()));
      names.add(name);
    } else if (names?.delete(name) && names.size === 0) this.#pods.delete(namespace);
  }
}

function withoutManagedFields(object: KubeObject): KubeObject {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function withoutRevision(object: KubeObject): KubeObject {
  const { resourceVersion: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function trimPod(object: KubeObject): KubeObject {
  const { metadata, spec, status } = object as unknown as PodFields;
  const { name, namespace, uid, resourceVersion, labels, deletionTimestamp } = metadata;
  const ports = (containers: ContainerFields[] | undefined) =>
    containers?.filter((c) => c.ports && c.ports.length > 0).map((c) => ({ name: c.name, ports: c.ports }));
  const initContainers = ports(spec?.initContainers);
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: defined({ name, namespace, uid, resourceVersion, labels, deletionTimestamp }),
    spec: defined({
      nodeName: spec?.nodeName,
      hostNetwork: spec?.hostNetwork,
      hostname: spec?.hostname,
      subdomain: spec?.subdomain,
      initContainers: initContainers?.length ? initContainers : undefined,
      containers: ports(spec?.containers) ?? [],
    }),
    status: defined({
      phase: status?.phase,
      podIP: status?.podIP,
      podIPs: status?.podIPs,
      hostIP: status?.hostIP,
    }),
  };
}

function defined<T extends object>(fields: T): T {
  for (const key of Object.keys(fields) as (keyof T)[]) if (fields[key] === undefined) delete fields[key];
  return fields;
}
