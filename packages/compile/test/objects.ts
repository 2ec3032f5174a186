/** Kubernetes objects in few words, for tests. */

import type { Node, Service } from 'kubernetes-types/core/v1.js';
import type { Endpoint, EndpointSlice } from 'kubernetes-types/discovery/v1.js';
import type { CompileInput } from '../src/tables.ts';

export function node(n: number, over: { zone?: string } = {}): Node {
  return {
    metadata: { name: `node-${n}`, uid: `n${n}`, labels: { 'topology.kubernetes.io/zone': over.zone ?? '' } },
    spec: { podCIDRs: [`10.244.${n}.0/24`, `fd00:10:244:${n}::/64`] },
    status: { addresses: [{ type: 'InternalIP', address: `172.18.0.${n}` }] },
  };
}

export function service(spec: Service['spec'], over: Partial<Service> = {}, name = 'api'): Service {
  return {
    metadata: { namespace: 'web', name, uid: name, resourceVersion: '1' },
    spec: { clusterIP: '10.96.0.9', clusterIPs: ['10.96.0.9'], ports: [{ port: 80 }], ...spec },
    ...over,
  };
}

export type EndpointText = Partial<Endpoint> & { at: string; on?: number };

export function slice(
  endpoints: readonly EndpointText[],
  over: {
    name?: string;
    service?: string;
    version?: string;
    ports?: EndpointSlice['ports'];
    family?: string;
  } = {},
): EndpointSlice {
  return {
    metadata: {
      namespace: 'web',
      name: over.name ?? 'api-1',
      uid: over.name ?? 'api-1',
      resourceVersion: over.version ?? '1',
      labels: { 'kubernetes.io/service-name': over.service ?? 'api' },
    },
    addressType: over.family ?? 'IPv4',
    ports: over.ports ?? [{ port: 8080, protocol: 'TCP' }],
    endpoints: endpoints.map(({ at, on, ...rest }) => ({
      addresses: [at],
      ...(on === undefined ? {} : { nodeName: `node-${on}` }),
      ...rest,
    })),
  };
}

export function input(over: Partial<CompileInput> = {}): CompileInput {
  return {
    nodeName: 'node-1',
    mode: 'iptables',
    vni: 1,
    mtu: 1450,
    clusterCidrs: ['10.244.0.0/16'],
    serviceCidrs: ['10.96.0.0/16'],
    nodes: [node(1), node(2)],
    services: [],
    endpointSlices: [],
    localEndpoints: [],
    ...over,
  };
}
