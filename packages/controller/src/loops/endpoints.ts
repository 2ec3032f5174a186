import { formatTime, jsonEquals } from '@podwire/kube/object';
import { ApiError } from '@podwire/kube/status';
import {
  canBeEndpoint,
  endpointHostname,
  findTargetPort,
  hasSelector,
  isHeadless,
  podAddresses,
  podsBehind,
  watchServicePods,
} from './endpoint-pods.ts';
import { HEADLESS_LABEL, TRIGGER_TIME } from './endpointslice.ts';
import { splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, startQueue } from './loop.ts';
import type {
  Draft,
  EndpointAddress,
  EndpointPort,
  EndpointSubset,
  Endpoints,
  Pod,
  Service,
} from './objects.ts';
import { isPodReady, isTerminating } from './pod-state.ts';

const RESOURCE = 'endpoints';
export const MANAGED_BY_LABEL = 'endpoints.kubernetes.io/managed-by';
export const MANAGER = 'endpoint-controller';
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';
const MOST_ADDRESSES = 1000;

/**
 * Keeps the older Endpoints object of every Service with a selector, for clients that still read it: its first IP family only.
 * Source: pkg/controller/endpoint/endpoints_controller.go.
 */
export function startEndpointsController(context: LoopContext): Loop {
  const { api, clock } = context;
  const queue = startQueue(context, 'endpoint-controller', reconcile);
  const stopSources = watchServicePods(api, (key) => queue.add(key));
  const stopEndpoints = api.watch<Endpoints>(RESOURCE, ({ type, object }) => {
    const managed = object.metadata.labels?.[MANAGED_BY_LABEL] === MANAGER;
    if (managed && type !== 'ADDED') queue.add(`${object.metadata.namespace}/${object.metadata.name}`);
  });

  async function reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key);
    const service = api.get<Service>('services', namespace, name);
    const existing = api.get<Endpoints>(RESOURCE, namespace, name);
    if (service === undefined) {
      if (existing !== undefined) await remove(existing);
      return;
    }
    if (!hasSelector(service) || service.metadata.deletionTimestamp !== undefined) return;
    const { subsets, truncated } = truncate(subsetsOf(service, podsBehind(api, service)));
    const labels: Record<string, string> = { ...service.metadata.labels, [MANAGED_BY_LABEL]: MANAGER };
    delete labels[HEADLESS_LABEL];
    if (isHeadless(service)) labels[HEADLESS_LABEL] = '';
    if (
      existing !== undefined &&
      jsonEquals(existing.subsets ?? [], subsets) &&
      jsonEquals(existing.metadata.labels ?? {}, labels)
    ) {
      return;
    }
    const annotations: Record<string, string> = {
      ...existing?.metadata.annotations,
      [TRIGGER_TIME]: formatTime(clock.nowMs()),
    };
    delete annotations[OVER_CAPACITY];
    if (truncated) annotations[OVER_CAPACITY] = 'truncated';
    if (existing !== undefined) {
      await api.update(RESOURCE, {
        ...existing,
        metadata: { ...existing.metadata, labels, annotations },
        subsets,
      });
      return;
    }
    const draft: Draft<Endpoints> = {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name, namespace, labels, annotations },
      subsets,
    };
    await api.create(RESOURCE, draft);
  }

  async function remove({ metadata: { namespace, name, uid } }: Endpoints): Promise<void> {
    try {
      await api.delete(RESOURCE, namespace!, name, { preconditions: { uid } });
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  }

  return loopOf(queue, stopSources, stopEndpoints);
}

/** One subset for each set of ports, addresses in order. */
export function subsetsOf(service: Service, pods: readonly Pod[]): EndpointSubset[] {
  const { spec } = service;
  const wantsIpv6 = (spec.ipFamilies?.[0] ?? (spec.clusterIP?.includes(':') ? 'IPv6' : 'IPv4')) === 'IPv6';
  const publishAll = spec.publishNotReadyAddresses === true;
  const subsets = new Map<string, Required<EndpointSubset>>();
  for (const pod of pods) {
    if (!canBeEndpoint(pod) || (isTerminating(pod) && !publishAll)) continue;
    const ip = podAddresses(pod).find((each) => each.includes(':') === wantsIpv6);
    if (ip === undefined) continue;
    const ports = portsOf(service, pod);
    if (ports.length === 0 && (spec.ports ?? []).length > 0) continue;
    const key = JSON.stringify(ports);
    let subset = subsets.get(key);
    if (subset === undefined) subsets.set(key, (subset = { addresses: [], notReadyAddresses: [], ports }));
    const ready = isPodReady(pod) || publishAll;
    (ready ? subset.addresses : subset.notReadyAddresses).push(addressOf(pod, ip, service));
  }
  return [...subsets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { addresses, notReadyAddresses, ports }]) => ({
      ...(addresses.length > 0 ? { addresses: addresses.sort(byAddress) } : {}),
      ...(notReadyAddresses.length > 0 ? { notReadyAddresses: notReadyAddresses.sort(byAddress) } : {}),
      ...(ports.length > 0 ? { ports } : {}),
    }));
}

function portsOf(service: Service, pod: Pod): EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const each of service.spec.ports ?? []) {
    const port = findTargetPort(pod, each);
    if (port === undefined) continue;
    const { name, protocol = 'TCP', appProtocol } = each;
    ports.push({ ...(name ? { name } : {}), port, protocol, ...(appProtocol ? { appProtocol } : {}) });
  }
  return ports;
}

function addressOf(pod: Pod, ip: string, service: Service): EndpointAddress {
  const hostname = endpointHostname(pod, service);
  const { namespace, name, uid } = pod.metadata;
  const { nodeName } = pod.spec;
  return {
    ip,
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName ? { nodeName } : {}),
    targetRef: { kind: 'Pod', namespace, name, uid },
  };
}

function byAddress(a: EndpointAddress, b: EndpointAddress): number {
  return a.ip < b.ip ? -1 : Number(a.ip > b.ip);
}

/** Keeps the first thousand addresses, ready ones before others. */
function truncate(subsets: readonly EndpointSubset[]): { subsets: EndpointSubset[]; truncated: boolean } {
  const count = (key: 'addresses' | 'notReadyAddresses') =>
    subsets.reduce((sum, subset) => sum + (subset[key]?.length ?? 0), 0);
  const total = count('addresses') + count('notReadyAddresses');
  if (total <= MOST_ADDRESSES) return { subsets: [...subsets], truncated: false };
  let ready = MOST_ADDRESSES;
  let notReady = Math.max(0, MOST_ADDRESSES - count('addresses'));
  const kept = subsets.map((subset) => {
    const addresses = subset.addresses?.slice(0, ready) ?? [];
    const notReadyAddresses = subset.notReadyAddresses?.slice(0, notReady) ?? [];
    ready -= addresses.length;
    notReady -= notReadyAddresses.length;
    return {
      ...(addresses.length > 0 ? { addresses } : {}),
      ...(notReadyAddresses.length > 0 ? { notReadyAddresses } : {}),
      ...(subset.ports ? { ports: subset.ports } : {}),
    };
  });
  return { subsets: kept.filter((subset) => subset.addresses || subset.notReadyAddresses), truncated: true };
}
