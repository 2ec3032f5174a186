import type { KubeObject } from '@podwire/kube/object';
import type { Change, SyncState } from '@podwire/sync/types';
import { formatIpv6, parseIpv6 } from '@podwire/wire/address';

interface ServiceObject extends KubeObject {
  spec: {
    type?: string;
    clusterIP?: string;
    clusterIPs?: string[];
    externalName?: string;
    publishNotReadyAddresses?: boolean;
    ports?: { name?: string; port: number; protocol?: string }[];
  };
}

interface EndpointSliceObject extends KubeObject {
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  endpoints?: {
    addresses: string[];
    hostname?: string;
    conditions?: { ready?: boolean | null };
    targetRef?: { kind?: string; name?: string };
  }[];
  ports?: { name?: string; port?: number; protocol?: string }[];
}

export interface ServicePort {
  name: string;
  port: number;
  /** Lower case. */
  protocol: string;
}

/** A backend of a headless Service: the DNS name it has under the Service, and what it listens on. */
export interface Endpoint {
  address: string;
  version: 4 | 6;
  /** Its hostname, or its address with dashes. */
  label: string;
  ports: ServicePort[];
}

/** A Service as DNS sees it. */
export interface DnsService {
  namespace: string;
  name: string;
  kind: 'clusterIP' | 'headless' | 'externalName';
  clusterIPs: string[];
  externalName: string;
  ports: ServicePort[];
  /** Ready ones (all with publishNotReadyAddresses); built when first asked for. */
  endpoints: Endpoint[];
}

const SERVICES = 'services';
const SLICES = 'endpointslices.discovery.k8s.io';
const NAMESPACES = 'namespaces';
const PODS = 'pods';

/**
 * What the kubernetes plugin looks names and addresses up in, kept in step with the sync state. Views of a Service
 * are built when asked for and thrown away when one of its objects changes, so an update costs what it touches.
 */
export class KubernetesIndex {
  readonly #state: SyncState;
  readonly #services = new Map<string, DnsService | undefined>();
  /** Slices by the Service that owns them. */
  readonly #slices = new Map<string, Map<string, EndpointSliceObject>>();
  /** ClusterIP -> Service; headless endpoint address -> Services. Rebuilt on the first PTR after a change. */
  #byAddress: Map<string, { service: DnsService; label: string }[]> | undefined;
  #podAddresses: Set<string> | undefined;

  constructor(state: SyncState) {
    this.#state = state;
    for (const slice of state.list<EndpointSliceObject>(SLICES)) this.#addSlice(slice);
  }

  apply(changes: readonly Change[]): void {
    for (const { resource, type, object } of changes) {
      const namespace = object.metadata.namespace ?? '';
      if (resource === SERVICES) {
        this.#services.delete(`${namespace}/${object.metadata.name}`);
        this.#byAddress = undefined;
      } else if (resource === SLICES) {
        const slice = object as EndpointSliceObject;
        this.#removeSlice(slice);
        if (type !== 'DELETED') this.#addSlice(slice);
        this.#byAddress = undefined;
      } else if (resource === PODS) this.#podAddresses = undefined;
    }
  }

  get synced(): boolean {
    return this.#state.synced;
  }

  hasNamespace(name: string): boolean {
    return this.#state.get(NAMESPACES, '', name) !== undefined;
  }

  /** Whether a running pod of the namespace has this address (`pods verified`). */
  hasPod(namespace: string, address: string): boolean {
    if (!this.#podAddresses) {
      this.#podAddresses = new Set();
      for (const pod of this.#state.list<
        KubeObject & { status?: { podIP?: string; podIPs?: { ip: string }[] } }
      >(PODS)) {
        for (const { ip } of pod.status?.podIPs ?? [])
          this.#podAddresses.add(`${pod.metadata.namespace}/${canonical(ip)}`);
      }
    }
    return this.#podAddresses.has(`${namespace}/${canonical(address)}`);
  }

  service(namespace: string, name: string): DnsService | undefined {
    const key = `${namespace}/${name}`;
    if (this.#services.has(key)) return this.#services.get(key);
    const object = this.#state.get<ServiceObject>(SERVICES, namespace, name);
    const view = object && this.#view(object);
    if (view) this.#services.set(key, view);
    return view;
  }

  /** The Services whose ClusterIP, or one of whose named endpoints, has this address. */
  byAddress(address: string): { service: DnsService; label: string }[] {
    if (!this.#byAddress) {
      this.#byAddress = new Map();
      for (const object of this.#state.list<ServiceObject>(SERVICES)) {
        const service = this.service(object.metadata.namespace!, object.metadata.name!);
        if (!service) continue;
        for (const ip of service.clusterIPs) this.#note(ip, { service, label: '' });
        if (service.kind === 'headless')
          for (const endpoint of service.endpoints)
            this.#note(endpoint.address, { service, label: endpoint.label });
      }
    }
    return this.#byAddress.get(canonical(address)) ?? [];
  }

  #note(address: string, entry: { service: DnsService; label: string }): void {
    const key = canonical(address);
    const list = this.#byAddress!.get(key);
    if (list) list.push(entry);
    else this.#byAddress!.set(key, [entry]);
  }

  #view(object: ServiceObject): DnsService {
    const { spec } = object;
    const ips = (spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : [])).filter(
      (ip) => ip !== '' && ip !== 'None',
    );
    const view: DnsService = {
      namespace: object.metadata.namespace!,
      name: object.metadata.name!,
      kind: spec.type === 'ExternalName' ? 'externalName' : ips.length > 0 ? 'clusterIP' : 'headless',
      clusterIPs: ips,
      externalName: (spec.externalName ?? '').replace(/\.$/, ''),
      ports: (spec.ports ?? []).map((port) => ({
        name: port.name ?? '',
        port: port.port,
        protocol: (port.protocol ?? 'TCP').toLowerCase(),
      })),
      endpoints: [],
    };
    if (view.kind === 'headless')
      view.endpoints = this.#endpoints(view, spec.publishNotReadyAddresses ?? false);
    return view;
  }

  #endpoints(service: DnsService, publishNotReady: boolean): Endpoint[] {
    const found: Endpoint[] = [];
    for (const slice of this.#slices.get(`${service.namespace}/${service.name}`)?.values() ?? []) {
      if (slice.addressType === 'FQDN') continue;
      const ports = (slice.ports ?? [])
        .filter((port) => port.port !== undefined)
        .map((port) => ({
          name: port.name ?? '',
          port: port.port!,
          protocol: (port.protocol ?? 'TCP').toLowerCase(),
        }));
      for (const endpoint of slice.endpoints ?? []) {
        // "ready: null" counts as ready (discovery/v1 EndpointConditions).
        if (!publishNotReady && endpoint.conditions?.ready === false) continue;
        for (const address of endpoint.addresses) {
          found.push({
            address,
            version: slice.addressType === 'IPv4' ? 4 : 6,
            label: endpoint.hostname || dashed(address),
            ports,
          });
        }
      }
    }
    return found;
  }

  #addSlice(slice: EndpointSliceObject): void {
    const owner = slice.metadata.labels?.['kubernetes.io/service-name'];
    if (!owner) return;
    const key = `${slice.metadata.namespace}/${owner}`;
    const slices = this.#slices.get(key) ?? new Map<string, EndpointSliceObject>();
    slices.set(slice.metadata.name!, slice);
    this.#slices.set(key, slices);
    this.#services.delete(key);
  }

  #removeSlice(slice: EndpointSliceObject): void {
    for (const [key, slices] of this.#slices) {
      if (!key.startsWith(`${slice.metadata.namespace}/`) || !slices.delete(slice.metadata.name!)) continue;
      this.#services.delete(key);
      if (slices.size === 0) this.#slices.delete(key);
    }
  }
}

/** `172-0-0-2`, `5678-abcd--1`. */
export function dashed(address: string): string {
  return address.replace(/[.:]/g, '-');
}

function canonical(address: string): string {
  if (!address.includes(':')) return address;
  const bytes = parseIpv6(address);
  return bytes ? formatIpv6(bytes) : address;
}
