import type { Endpoints, Service, ServicePort } from 'kubernetes-types/core/v1.d.ts';
import type { EndpointSlice } from 'kubernetes-types/discovery/v1.d.ts';
import type { Ingress, IngressClass, NetworkPolicy } from 'kubernetes-types/networking/v1.d.ts';
import type { Stored } from '../object.ts';
import { formatLabelSelector } from '../selectors.ts';
import { AGE, ageOf, NAME, type Printer, printer, text, wide } from './columns.ts';
import { firstOf, formatLabels, hostPort, joined } from './lists.ts';

/** The kinds through which pods are reached. */

const MOST_ENDPOINTS = 3;

export const services: Printer = printer<Stored<Service>>(
  [
    NAME,
    text('Type'),
    text('Cluster-IP'),
    text('External-IP'),
    text('Port(s)'),
    AGE,
    ...wide(text('Selector')),
  ],
  (service, nowMs) => {
    const { spec } = service;
    return [
      service.metadata.name,
      spec?.type ?? '',
      spec?.clusterIPs?.[0] ?? (spec?.clusterIP || '<none>'),
      externalIp(service),
      joined((spec?.ports ?? []).map(portText)),
      ageOf(service, nowMs),
      formatLabels(spec?.selector),
    ];
  },
);

function externalIp({ spec, status }: Stored<Service>): string {
  const externalIps = spec?.externalIPs ?? [];
  switch (spec?.type) {
    case 'ClusterIP':
    case 'NodePort':
      return joined(externalIps);
    case 'LoadBalancer': {
      const ingress = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || '');
      const all = [...ingress.filter((each) => each !== ''), ...externalIps];
      return all.length === 0 ? '<pending>' : all.join(',');
    }
    case 'ExternalName':
      return spec.externalName ?? '';
    default:
      return '<unknown>';
  }
}

function portText({ port, nodePort, protocol = 'TCP' }: ServicePort): string {
  return nodePort ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`;
}

export const endpoints: Printer = printer<Stored<Endpoints>>(
  [NAME, text('Endpoints'), AGE],
  (object, nowMs) => {
    const subsets = object.subsets ?? [];
    const list = subsets.flatMap(({ addresses = [], ports = [] }) => {
      const hosts = addresses.map(({ ip }) => ip);
      return ports.length === 0
        ? hosts
        : ports.flatMap(({ port }) => hosts.map((host) => hostPort(host, port)));
    });
    const cell = subsets.length === 0 ? '<none>' : firstOf(list, MOST_ENDPOINTS);
    return [object.metadata.name, cell, ageOf(object, nowMs)];
  },
);

export const endpointSlices: Printer = printer<Stored<EndpointSlice>>(
  [NAME, text('AddressType'), text('Ports'), text('Endpoints'), AGE],
  (slice, nowMs) => {
    const ports = (slice.ports ?? []).map(({ port, name }) => (port === undefined ? name || '*' : `${port}`));
    const addresses = (slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses);
    return [
      slice.metadata.name,
      slice.addressType,
      firstOf(ports, MOST_ENDPOINTS) || '<unset>',
      firstOf(addresses, MOST_ENDPOINTS) || '<unset>',
      ageOf(slice, nowMs),
    ];
  },
);

export const ingresses: Printer = printer<Stored<Ingress>>(
  [NAME, text('Class'), text('Hosts'), text('Address'), text('Ports'), AGE],
  (ingress, nowMs) => {
    const { spec, status } = ingress;
    const hosts = (spec?.rules ?? []).map(({ host }) => host || '').filter((host) => host !== '');
    const addresses = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || '');
    return [
      ingress.metadata.name,
      spec?.ingressClassName ?? '<none>',
      firstOf(hosts, 3) || '*',
      [...new Set(addresses)].sort().join(','),
      (spec?.tls ?? []).length > 0 ? '80, 443' : '80',
      ageOf(ingress, nowMs),
    ];
  },
);

export const ingressClasses: Printer = printer<Stored<IngressClass>>(
  [NAME, text('Controller'), text('Parameters'), AGE],
  (ingressClass, nowMs) => {
    const { controller = '', parameters } = ingressClass.spec ?? {};
    let reference = '<none>';
    if (parameters !== undefined) {
      const { apiGroup, kind, name } = parameters;
      reference = `${apiGroup ? `${kind}.${apiGroup}` : kind}/${name}`;
    }
    return [ingressClass.metadata.name, controller, reference, ageOf(ingressClass, nowMs)];
  },
);

export const networkPolicies: Printer = printer<Stored<NetworkPolicy>>(
  [NAME, text('Pod-Selector'), AGE],
  (policy, nowMs) => {
    const selector = formatLabelSelector(policy.spec?.podSelector) || '<none>';
    return [policy.metadata.name, selector, ageOf(policy, nowMs)];
  },
);
