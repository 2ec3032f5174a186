/** Service and EndpointSlice objects -> the service ports of the data plane. */

import type { ServiceEndpoint, ServicePort, ServiceProtocol } from '@podwire/dataplane/tables';
import { canonicalAddress, ipVersionOf } from '@podwire/wire/address';
import { parseCidr } from '@podwire/wire/cidr';
import type { Service, ServicePort as V1ServicePort } from 'kubernetes-types/core/v1.js';
import type { Endpoint, EndpointSlice } from 'kubernetes-types/discovery/v1.js';
import {
  type Candidate,
  chooseClusterEndpoints,
  chooseLocalEndpoints,
  type Topology,
} from './endpoint-choice.ts';

/** Names the service an EndpointSlice belongs to. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
/** Set on a Service that another proxy than kube-proxy serves. */
export const SERVICE_PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name';
const DEFAULT_AFFINITY_SECONDS = 10_800;
const PROTOCOLS: Readonly<Record<string, ServiceProtocol>> = { TCP: 6, UDP: 17, SCTP: 132 };

/**
 * The ports of a Service in each IP family it has an address in; none for headless and ExternalName Services, and for
 * those that name another proxy.
 *
 * @param slices the EndpointSlices of this Service, both families
 */
export function compileService(
  service: Service,
  slices: readonly EndpointSlice[],
  topology: Topology,
): ServicePort[] {
  const spec = service.spec;
  const metadata = service.metadata;
  if (spec === undefined || metadata === undefined || spec.type === 'ExternalName') return [];
  if (metadata.labels?.[SERVICE_PROXY_NAME_LABEL] !== undefined) return [];
  const clusterIps = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  const ports: ServicePort[] = [];
  for (const text of clusterIps) {
    const clusterIp = canonicalAddress(text);
    if (clusterIp === undefined) continue;
    const version = clusterIp.includes(':') ? 6 : 4;
    const family = slices.filter((slice) => slice.addressType === (version === 4 ? 'IPv4' : 'IPv6'));
    for (const port of spec.ports ?? []) {
      ports.push(compilePort(service, port, clusterIp, version, family, topology));
    }
  }
  return ports;
}

function compilePort(
  service: Service,
  port: V1ServicePort,
  clusterIp: string,
  version: 4 | 6,
  slices: readonly EndpointSlice[],
  topology: Topology,
): ServicePort {
  const spec = service.spec!;
  const namespace = service.metadata!.namespace ?? '';
  const name = service.metadata!.name ?? '';
  const portName = port.name ?? '';
  const protocolName = port.protocol ?? 'TCP';
  const candidates = candidatesOf(slices, portName, protocolName, topology);
  const ofFamily = (addresses: readonly (string | undefined)[]): string[] =>
    addresses
      .filter((address) => address !== undefined)
      .filter((address) => ipVersionOf(address) === version)
      .map((address) => canonicalAddress(address)!);
  // An ingress with ipMode Proxy is in front of the node; packets to it must leave the node (KEP-1860).
  const ingress = (service.status?.loadBalancer?.ingress ?? []).filter((item) => item.ipMode !== 'Proxy');
  return {
    name: `${namespace}/${name}${portName === '' ? '' : `:${portName}`}`,
    namespace,
    service: name,
    portName,
    version,
    protocol: PROTOCOLS[protocolName] ?? 6,
    clusterIp,
    port: port.port,
    nodePort: port.nodePort ?? 0,
    externalIps: ofFamily(spec.externalIPs ?? []),
    loadBalancerIps: spec.type === 'LoadBalancer' ? ofFamily(ingress.map((item) => item.ip)) : [],
    sourceRanges: (spec.loadBalancerSourceRanges ?? [])
      .map((range) => range.trim())
      .filter((range) => parseCidr(range)?.version === version),
    internalTrafficPolicy: spec.internalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
    externalTrafficPolicy: spec.externalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
    affinitySeconds:
      spec.sessionAffinity === 'ClientIP'
        ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS)
        : 0,
    healthCheckNodePort: spec.healthCheckNodePort ?? 0,
    endpoints: candidates.map(({ endpoint }) => endpoint),
    clusterEndpoints: chooseClusterEndpoints(candidates, topology),
    localEndpoints: chooseLocalEndpoints(candidates),
  };
}

// One candidate for each address and port, in the order of that text: an endpoint may stand in two slices while the
// controller moves it, and the order of backends must not depend on the order of slices.
function candidatesOf(
  slices: readonly EndpointSlice[],
  portName: string,
  protocolName: string,
  topology: Topology,
): Candidate[] {
  const candidates = new Map<string, Candidate>();
  for (const slice of slices) {
    // A named targetPort was resolved when the slice was made; slices differ in the number they give the name.
    const port = (slice.ports ?? []).find(
      (item) => (item.name ?? '') === portName && (item.protocol ?? 'TCP') === protocolName,
    )?.port;
    if (port === undefined) continue;
    for (const endpoint of slice.endpoints ?? []) {
      const address = canonicalAddress(endpoint.addresses[0] ?? '');
      if (address !== undefined)
        candidates.set(`${address} ${port}`, candidate(endpoint, address, port, topology));
    }
  }
  const keys = [...candidates.keys()].sort();
  return keys.map((key) => candidates.get(key)!);
}

/** `forNodes` is newer than the type package. */
type Hints = Endpoint['hints'] & { forNodes?: { name: string }[] };

function candidate(endpoint: Endpoint, address: string, port: number, topology: Topology): Candidate {
  // discovery.k8s.io/v1: an unset ready means ready; an unset serving follows ready.
  const ready = endpoint.conditions?.ready ?? true;
  const hints: Hints | undefined = endpoint.hints;
  const target = endpoint.targetRef;
  const compiled: ServiceEndpoint = {
    address,
    port,
    ready,
    serving: endpoint.conditions?.serving ?? ready,
    terminating: endpoint.conditions?.terminating ?? false,
    local: endpoint.nodeName !== undefined && endpoint.nodeName === topology.nodeName,
    nodeName: endpoint.nodeName ?? '',
    zone: endpoint.zone ?? '',
    target: target?.kind === 'Pod' ? `${target.namespace ?? ''}/${target.name ?? ''}` : '',
  };
  return {
    endpoint: compiled,
    hintZones: (hints?.forZones ?? []).map((item) => item.name),
    hintNodes: (hints?.forNodes ?? []).map((item) => item.name),
  };
}
