/**
 * Kubernetes objects -> one snapshot of data plane tables for one node. Pure: the same objects give the same tables.
 *
 * What did not change keeps its object identity from the previous snapshot, all the way up: an endpoint that comes and
 * goes makes one new service port, and a call that changes nothing gives the previous snapshot itself. Objects are
 * taken as unchanged when they are the same object or have the same uid and resourceVersion.
 */

import type {
  LocalEndpoint,
  NodeEntry,
  RouteEntry,
  ServiceMode,
  ServiceOptions,
  ServicePort,
  Tables,
  VtepEntry,
} from '@podwire/dataplane/tables';
import { jsonEquals } from '@podwire/kube/object';
import { VXLAN_PORT_LINUX } from '@podwire/wire/vxlan';
import type { Node, Service } from 'kubernetes-types/core/v1.js';
import type { EndpointSlice } from 'kubernetes-types/discovery/v1.js';
import type { ObjectMeta } from 'kubernetes-types/meta/v1.js';
import type { Topology } from './endpoint-choice.ts';
import { gatewayAddresses, type NodeFacts, nodeFacts } from './node-facts.ts';
import { compileRoutes, compileVteps } from './routes.ts';
import { compileService, SERVICE_NAME_LABEL } from './service-ports.ts';
import { vtepMac } from './vtep-mac.ts';

export interface CompileInput {
  readonly nodeName: string;
  readonly mode: ServiceMode;
  readonly vni: number;
  /** Largest IP packet inside the tunnel, in bytes. */
  readonly mtu: number;
  readonly clusterCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly nodes: readonly Node[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly localEndpoints: readonly LocalEndpoint[];
  readonly options?: ServiceOptions;
  /** Default 8472. */
  readonly tunnelPort?: number;
}

/** What one Service was compiled from, and to. */
interface CompiledService {
  readonly service: Service;
  readonly slices: readonly EndpointSlice[];
  readonly ports: readonly ServicePort[];
}

/** Beside each snapshot: what the next one may take over. */
interface Memory {
  readonly topology: Topology;
  readonly services: ReadonlyMap<string, CompiledService>;
}
const memories = new WeakMap<Tables, Memory>();

/** Compiles the tables of `nodeName`; `previous` must be its last snapshot, for reuse. */
export function compileTables(input: CompileInput, previous?: Tables): Tables {
  const facts = input.nodes.map(nodeFacts).sort((a, b) => (a.name < b.name ? -1 : 1));
  const self = facts.find((node) => node.name === input.nodeName);
  const others = facts.filter((node) => node !== self);
  const tunnelPort = input.tunnelPort ?? VXLAN_PORT_LINUX;
  const topology: Topology = { nodeName: input.nodeName, zone: self?.zone ?? '' };

  const compiled = compileServices(input, topology, previous && memories.get(previous));
  const services = [...compiled.values()].flatMap(({ ports }) => ports);
  const node = reuse<NodeEntry>(previous?.node, compileNode(input, self, tunnelPort));
  const vteps = reuseList<VtepEntry>(previous?.vteps, compileVteps(others, tunnelPort));
  const endpoints = reuseList<LocalEndpoint>(previous?.endpoints, input.localEndpoints);
  const { clusterCidrs, serviceCidrs } = input;
  const routes = compileRoutes({ self, others, vteps, endpoints, clusterCidrs, serviceCidrs });
  const candidate: Tables = {
    epoch: previous?.epoch ?? 1,
    mode: input.mode,
    node,
    clusterCidrs: reuse(previous?.clusterCidrs, clusterCidrs),
    serviceCidrs: reuse(previous?.serviceCidrs, serviceCidrs),
    endpoints,
    vteps,
    routes: reuseList<RouteEntry>(previous?.routes, routes),
    services: sameItems(previous?.services, services) ? previous!.services : services,
    options: reuse(previous?.options, input.options),
  };
  const isSame =
    previous !== undefined &&
    (Object.keys(candidate) as (keyof Tables)[]).every((key) => candidate[key] === previous[key]);
  const tables = isSame ? previous : { ...candidate, epoch: (previous?.epoch ?? 0) + 1 };
  memories.set(tables, { topology, services: compiled });
  return tables;
}

function compileServices(
  input: CompileInput,
  topology: Topology,
  memory: Memory | undefined,
): Map<string, CompiledService> {
  const slicesByService = new Map<string, EndpointSlice[]>();
  for (const slice of input.endpointSlices) {
    const name = slice.metadata?.labels?.[SERVICE_NAME_LABEL];
    if (name === undefined) continue;
    const key = `${slice.metadata?.namespace ?? ''}/${name}`;
    const list = slicesByService.get(key);
    if (list === undefined) slicesByService.set(key, [slice]);
    else list.push(slice);
  }
  const keyed = input.services.map((service) => ({
    key: `${service.metadata?.namespace ?? ''}/${service.metadata?.name ?? ''}`,
    service,
  }));
  // Chains are walked in this order; lists that come from a store are mostly in order already.
  if (keyed.some(({ key }, i) => i > 0 && key < keyed[i - 1].key)) {
    keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  }
  const mayReuse = memory !== undefined && jsonEquals(memory.topology, topology);
  const compiled = new Map<string, CompiledService>();
  for (const { key, service } of keyed) {
    const slices = slicesByService.get(key) ?? [];
    const old = memory?.services.get(key);
    const isUnchanged =
      mayReuse && old !== undefined && isSameObject(old.service, service) && sameObjects(old.slices, slices);
    const ports = isUnchanged ? old.ports : reuseList(old?.ports, compileService(service, slices, topology));
    compiled.set(key, { service, slices, ports });
  }
  return compiled;
}

function compileNode(input: CompileInput, self: NodeFacts | undefined, tunnelPort: number): NodeEntry {
  return {
    name: input.nodeName,
    addresses: self?.addresses ?? [],
    gatewayAddress: gatewayAddresses(self?.podCidrs ?? []),
    vtepMac: self?.vtepMac ?? vtepMac(input.nodeName),
    vni: input.vni,
    mtu: input.mtu,
    zone: self?.zone ?? '',
    tunnelPort,
  };
}

function isSameObject(a: { metadata?: ObjectMeta }, b: { metadata?: ObjectMeta }): boolean {
  if (a === b) return true;
  const version = a.metadata?.resourceVersion;
  return (
    version !== undefined &&
    version === b.metadata?.resourceVersion &&
    a.metadata?.uid !== undefined &&
    a.metadata.uid === b.metadata?.uid
  );
}

function sameObjects(a: readonly EndpointSlice[], b: readonly EndpointSlice[]): boolean {
  return a.length === b.length && a.every((slice, i) => isSameObject(slice, b[i]));
}

function sameItems<T>(a: readonly T[] | undefined, b: readonly T[]): boolean {
  return a !== undefined && a.length === b.length && a.every((item, i) => item === b[i]);
}

/** The old value when it says the same. */
function reuse<T>(old: T | undefined, next: T): T {
  return old !== undefined && jsonEquals(old, next) ? old : next;
}

/** The old list when all items say the same; else a new one with those of its items that do, place by place. */
function reuseList<T>(old: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  if (old === undefined) return next;
  const items = next.map((item, i) => reuse(old[i], item));
  return sameItems(old, items) ? old : items;
}
