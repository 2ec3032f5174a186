import { formatTime, jsonEquals } from '@podwire/kube/object';
import { canonicalAddress } from '@podwire/wire/address';
import { controllerRef } from './controller-ref.ts';
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
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, startQueue } from './loop.ts';
import type { Draft, EndpointPort, EndpointSlice, Node, Pod, Service, SliceEndpoint } from './objects.ts';
import { isPodReady, isTerminating } from './pod-state.ts';

export const SLICES = 'endpointslices.discovery.k8s.io';
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by';
export const HEADLESS_LABEL = 'service.kubernetes.io/headless';
export const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';
const MANAGER = 'endpointslice-controller.k8s.io';
const ZONE_LABEL = 'topology.kubernetes.io/zone';
/** More endpoints than this go into a further slice. */
export const MOST_ENDPOINTS = 100;

/** Endpoints that share one set of port numbers, by pod. */
interface PortGroup {
  ports: EndpointPort[];
  endpoints: Map<string, SliceEndpoint>;
}

/** What to do with the slices of one address type. */
export interface SlicePlan {
  create: { ports: EndpointPort[]; endpoints: SliceEndpoint[] }[];
  update: EndpointSlice[];
  remove: EndpointSlice[];
}

/** Keeps the EndpointSlices of every Service with a selector. Source: staging/src/k8s.io/endpointslice/reconciler.go. */
export function startEndpointSliceController(context: LoopContext): Loop {
  const { api, clock } = context;
  const queue = startQueue(context, 'endpoint-slice-controller', reconcile);
  const stopSources = watchServicePods(api, (key) => queue.add(key));
  const stopSlices = api.watch<EndpointSlice>(SLICES, ({ type, object }) => {
    const service = serviceOf(object);
    if (type !== 'ADDED' && service !== undefined) queue.add(`${object.metadata.namespace}/${service}`);
  });
  const stopNodes = api.watch<Node>('nodes', ({ type, object, previous }) => {
    const zone = object.metadata.labels?.[ZONE_LABEL];
    if (type === 'MODIFIED' && zone === previous?.metadata.labels?.[ZONE_LABEL]) return;
    for (const service of api.list<Service>('services')) queue.add(keyOf(service.metadata));
  });

  async function reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key);
    const service = api.get<Service>('services', namespace, name);
    const existing = api
      .list<EndpointSlice>(SLICES, { namespace })
      .filter((slice) => serviceOf(slice) === name && slice.metadata.deletionTimestamp === undefined);
    if (service === undefined) {
      await Promise.all(existing.map(remove));
      return;
    }
    if (!hasSelector(service) || service.metadata.deletionTimestamp !== undefined) return;

    const pods = podsBehind(api, service);
    const labels = sliceLabels(service);
    const families = addressTypes(service);
    const writes: Promise<unknown>[] = existing
      .filter((slice) => !families.includes(slice.addressType))
      .map(remove);
    for (const addressType of families) {
      const ofType = existing.filter((slice) => slice.addressType === addressType);
      const plan = planSlices(ofType, groupByPorts(service, pods, addressType), labels);
      for (const each of plan.create) writes.push(create(service, addressType, labels, each));
      for (const slice of plan.update) writes.push(api.update(SLICES, stamped(slice)));
      for (const slice of plan.remove) writes.push(remove(slice));
    }
    await Promise.all(writes);
  }

  function groupByPorts(service: Service, pods: readonly Pod[], addressType: string): PortGroup[] {
    const groups = new Map<string, PortGroup>();
    for (const pod of pods) {
      if (!canBeEndpoint(pod)) continue;
      const node = pod.spec.nodeName ? api.get<Node>('nodes', '', pod.spec.nodeName) : undefined;
      if (node === undefined && pod.spec.nodeName && !service.spec.publishNotReadyAddresses) continue;
      const endpoint = endpointOf(pod, node, service, addressType);
      if (endpoint === undefined) continue;
      const ports = portsOf(service, pod);
      const key = JSON.stringify(ports);
      let group = groups.get(key);
      if (group === undefined) groups.set(key, (group = { ports, endpoints: new Map() }));
      group.endpoints.set(endpointKey(endpoint), endpoint);
    }
    return [...groups.values()];
  }

  function create(
    service: Service,
    addressType: string,
    labels: Record<string, string>,
    content: { ports: EndpointPort[]; endpoints: SliceEndpoint[] },
  ): Promise<unknown> {
    const { namespace, name } = service.metadata;
    const draft: Draft<EndpointSlice> = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        generateName: `${name}-`,
        namespace,
        labels,
        annotations: { [TRIGGER_TIME]: formatTime(clock.nowMs()) },
        ownerReferences: [controllerRef({ ...service, apiVersion: 'v1', kind: 'Service' })],
      },
      addressType,
      ...content,
    };
    return api.create(SLICES, draft);
  }

  function stamped(slice: EndpointSlice): EndpointSlice {
    const annotations = { ...slice.metadata.annotations, [TRIGGER_TIME]: formatTime(clock.nowMs()) };
    return { ...slice, metadata: { ...slice.metadata, annotations } };
  }

  async function remove(slice: EndpointSlice): Promise<void> {
    const { namespace, name, uid } = slice.metadata;
    if (api.get(SLICES, namespace!, name) === undefined) return;
    await api.delete(SLICES, namespace!, name, { preconditions: { uid } });
  }

  return loopOf(queue, stopSources, stopSlices, stopNodes);
}

/** The Service a slice of this controller belongs to. */
function serviceOf(slice: EndpointSlice): string | undefined {
  const labels = slice.metadata.labels;
  return labels?.[MANAGED_BY_LABEL] === MANAGER ? labels[SERVICE_NAME_LABEL] : undefined;
}

function addressTypes(service: Service): string[] {
  const { ipFamilies, clusterIP } = service.spec;
  if (ipFamilies !== undefined && ipFamilies.length > 0) return ipFamilies;
  if (isHeadless(service)) return ['IPv4', 'IPv6'];
  return [clusterIP!.includes(':') ? 'IPv6' : 'IPv4'];
}

function sliceLabels(service: Service): Record<string, string> {
  const labels: Record<string, string> = { ...service.metadata.labels };
  delete labels[HEADLESS_LABEL];
  if (isHeadless(service)) labels[HEADLESS_LABEL] = '';
  labels[SERVICE_NAME_LABEL] = service.metadata.name;
  labels[MANAGED_BY_LABEL] = MANAGER;
  return labels;
}

function portsOf(service: Service, pod: Pod): EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const each of service.spec.ports ?? []) {
    const port = findTargetPort(pod, each);
    if (port === undefined) continue;
    const { name = '', protocol = 'TCP', appProtocol } = each;
    ports.push({ name, port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) });
  }
  return ports;
}

function endpointOf(
  pod: Pod,
  node: Node | undefined,
  service: Service,
  addressType: string,
): SliceEndpoint | undefined {
  const addresses = podAddresses(pod)
    .filter((ip) => ip.includes(':') === (addressType === 'IPv6'))
    .map((ip) => canonicalAddress(ip) ?? ip);
  if (addresses.length === 0) return undefined;
  const serving = isPodReady(pod);
  const terminating = isTerminating(pod);
  // "ready" is never true of a terminating pod, unless the Service publishes whatever there is.
  const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
  const zone = node?.metadata.labels?.[ZONE_LABEL];
  const hostname = endpointHostname(pod, service);
  const { nodeName } = pod.spec;
  const { namespace, name, uid } = pod.metadata;
  const hints = ready ? hintsFor(service, zone, nodeName) : undefined;
  return {
    addresses,
    conditions: { ready, serving, terminating },
    ...(hostname === undefined ? {} : { hostname }),
    targetRef: { kind: 'Pod', namespace, name, uid },
    ...(nodeName ? { nodeName } : {}),
    ...(zone === undefined ? {} : { zone }),
    ...(hints === undefined ? {} : { hints }),
  };
}

function hintsFor(
  service: Service,
  zone: string | undefined,
  nodeName: string | undefined,
): SliceEndpoint['hints'] {
  const { trafficDistribution } = service.spec;
  const forZones = zone === undefined ? undefined : { forZones: [{ name: zone }] };
  if (trafficDistribution === 'PreferClose' || trafficDistribution === 'PreferSameZone') return forZones;
  if (trafficDistribution === 'PreferSameNode' && nodeName)
    return { ...forZones, forNodes: [{ name: nodeName }] };
  return undefined;
}

function endpointKey(endpoint: SliceEndpoint): string {
  return `${endpoint.targetRef?.uid ?? ''} ${endpoint.addresses[0]}`;
}

/**
 * Changes as few slices as possible: endpoints stay where they are, new ones fill slices that change anyway, then others that have
 * room, then new ones. An emptied slice keeps its name for the next endpoints; a Service without any keeps one empty slice.
 */
export function planSlices(
  existing: readonly EndpointSlice[],
  groups: readonly PortGroup[],
  labels: Record<string, string>,
): SlicePlan {
  const plan: SlicePlan = { create: [], update: [], remove: [] };
  const kept: EndpointSlice[] = [];
  const unused = new Set(existing);
  const missing: { group: PortGroup; slices: EndpointSlice[]; endpoints: SliceEndpoint[] }[] = [];

  for (const group of groups) {
    const wanted = new Map(group.endpoints);
    const slices: EndpointSlice[] = [];
    for (const slice of existing) {
      if (!jsonEquals(slice.ports ?? [], group.ports) || !unused.has(slice)) continue;
      const endpoints: SliceEndpoint[] = [];
      for (const old of slice.endpoints ?? []) {
        const key = endpointKey(old);
        const endpoint = wanted.get(key);
        if (endpoint === undefined) continue;
        wanted.delete(key);
        endpoints.push(endpoint);
      }
      if (endpoints.length === 0) continue;
      unused.delete(slice);
      slices.push({ ...slice, endpoints });
    }
    missing.push({ group, slices, endpoints: [...wanted.values()] });
  }

  for (const { group, slices, endpoints } of missing) {
    const isChanged = (slice: EndpointSlice) =>
      !jsonEquals(
        existing.find((old) => old.metadata.uid === slice.metadata.uid)!.endpoints ?? [],
        slice.endpoints,
      );
    const byUse = [...slices.filter(isChanged), ...slices.filter((slice) => !isChanged(slice))];
    for (const slice of byUse) {
      slice.endpoints.push(...endpoints.splice(0, MOST_ENDPOINTS - slice.endpoints.length));
    }
    for (const slice of unused) {
      if (endpoints.length === 0) break;
      unused.delete(slice);
      slices.push({ ...slice, ports: group.ports, endpoints: endpoints.splice(0, MOST_ENDPOINTS) });
    }
    while (endpoints.length > 0) {
      plan.create.push({ ports: group.ports, endpoints: endpoints.splice(0, MOST_ENDPOINTS) });
    }
    kept.push(...slices);
  }

  if (kept.length === 0 && plan.create.length === 0) {
    const [placeholder] = unused;
    if (placeholder === undefined) plan.create.push({ ports: [], endpoints: [] });
    else {
      unused.delete(placeholder);
      kept.push({ ...placeholder, ports: [], endpoints: [] });
    }
  }
  plan.remove.push(...unused);
  for (const slice of kept) {
    const old = existing.find((each) => each.metadata.uid === slice.metadata.uid)!;
    const next = { ...slice, metadata: { ...slice.metadata, labels } };
    const same =
      jsonEquals(old.endpoints ?? [], next.endpoints) &&
      jsonEquals(old.ports ?? [], next.ports ?? []) &&
      jsonEquals(old.metadata.labels ?? {}, labels);
    if (!same) plan.update.push(next);
  }
  return plan;
}
