/** A snapshot made ready for the packet path: text parsed to words and bytes, lists to lookup structures. */

import { parseMac } from '@podwire/wire/address';
import { AddressSet, isIpv4Words, type Words, wordsOf } from './address-words.ts';
import { PrefixMap } from './lpm.ts';
import type { NodeFacts } from './service/translator.ts';
import type { LocalEndpoint, RouteTarget, Tables, VtepEntry } from './tables.ts';

export interface PreparedEndpoint {
  readonly endpoint: LocalEndpoint;
  /** `namespace/name` */
  readonly name: string;
  readonly mac: Uint8Array;
  readonly addresses: readonly Words[];
}

export interface PreparedVtep {
  readonly vtep: VtepEntry;
  readonly mac: Uint8Array;
}

export const ROUTE_ENDPOINT = 0;
export const ROUTE_VTEP = 1;
export const ROUTE_HOST = 2;
export const ROUTE_UNREACHABLE = 3;
export const ROUTE_BLACKHOLE = 4;

export interface PreparedRoute {
  readonly kind: number;
  readonly prefix: string;
  readonly endpoint: PreparedEndpoint | undefined;
  readonly vtep: PreparedVtep | undefined;
  /** Why, for unreachable and blackhole. */
  readonly text: string;
}

export const DEFAULT_ROUTE: PreparedRoute = {
  kind: ROUTE_HOST,
  prefix: 'default',
  endpoint: undefined,
  vtep: undefined,
  text: '',
};

export interface PreparedTables extends NodeFacts {
  readonly tables: Tables;
  readonly endpoints: ReadonlyMap<number, PreparedEndpoint>;
  /** By underlay address. */
  readonly vteps: ReadonlyMap<string, PreparedVtep>;
  readonly routes: readonly PreparedRoute[];
  /** Answers an index into `routes`. */
  readonly routeMap: PrefixMap;
  readonly vtepMac: Uint8Array;
  readonly gateway4: Words | undefined;
  readonly gateway6: Words | undefined;
}

/**
 * Prepares a snapshot, taking over the parts of `previous` whose inputs are the same objects.
 * @throws Error naming the address, MAC or prefix that cannot be parsed
 */
export function prepareTables(tables: Tables, previous: PreparedTables | undefined): PreparedTables {
  const before = previous?.tables;
  const node = tables.node;
  const sameNode =
    before !== undefined && before.node === node && before.clusterCidrs === tables.clusterCidrs;
  const endpoints =
    before?.endpoints === tables.endpoints ? previous!.endpoints : prepareEndpoints(tables, previous);
  const vteps = before?.vteps === tables.vteps ? previous!.vteps : prepareVteps(tables);
  const sameRoutes =
    before?.routes === tables.routes && endpoints === previous!.endpoints && vteps === previous!.vteps;
  const { routes, routeMap } = sameRoutes ? previous! : prepareRoutes(tables, endpoints, vteps);
  const facts = sameNode ? previous! : prepareFacts(tables);
  return {
    tables,
    endpoints,
    vteps,
    routes,
    routeMap,
    localAddresses: facts.localAddresses,
    clusterCidrs: facts.clusterCidrs,
    vtepMac: macOf(node.vtepMac),
    gateway4: errorSource(tables, node.gatewayAddress.v4, true),
    gateway6: errorSource(tables, node.gatewayAddress.v6, false),
  };
}

function prepareEndpoints(
  tables: Tables,
  previous: PreparedTables | undefined,
): ReadonlyMap<number, PreparedEndpoint> {
  const endpoints = new Map<number, PreparedEndpoint>();
  for (const endpoint of tables.endpoints) {
    const old = previous?.endpoints.get(endpoint.id);
    endpoints.set(
      endpoint.id,
      old?.endpoint === endpoint
        ? old
        : {
            endpoint,
            name: `${endpoint.namespace}/${endpoint.name}`,
            mac: macOf(endpoint.mac),
            addresses: endpoint.addresses.map(wordsOf),
          },
    );
  }
  return endpoints;
}

function prepareVteps(tables: Tables): ReadonlyMap<string, PreparedVtep> {
  return new Map(tables.vteps.map((vtep) => [vtep.address, { vtep, mac: macOf(vtep.mac) }]));
}

function prepareRoutes(
  tables: Tables,
  endpoints: ReadonlyMap<number, PreparedEndpoint>,
  vteps: ReadonlyMap<string, PreparedVtep>,
): { routes: PreparedRoute[]; routeMap: PrefixMap } {
  const routeMap = new PrefixMap();
  const routes = tables.routes.map(({ prefix, target }, i) => {
    routeMap.set(prefix, i);
    return prepareRoute(prefix, target, endpoints, vteps);
  });
  return { routes, routeMap };
}

function prepareRoute(
  prefix: string,
  target: RouteTarget,
  endpoints: ReadonlyMap<number, PreparedEndpoint>,
  vteps: ReadonlyMap<string, PreparedVtep>,
): PreparedRoute {
  const base = { ...DEFAULT_ROUTE, prefix };
  switch (target.kind) {
    case 'endpoint': {
      const endpoint = endpoints.get(target.endpointId);
      if (endpoint === undefined) {
        throw new Error(
          `Cannot route ${prefix} to endpoint ${target.endpointId}: it is not among the endpoints`,
        );
      }
      return { ...base, kind: ROUTE_ENDPOINT, endpoint };
    }
    case 'vtep': {
      const known = vteps.get(target.vtep.address);
      const vtep = known ?? { vtep: target.vtep, mac: macOf(target.vtep.mac) };
      return { ...base, kind: ROUTE_VTEP, vtep };
    }
    case 'host':
      return base;
    case 'unreachable':
      return { ...base, kind: ROUTE_UNREACHABLE, text: target.text };
    case 'blackhole':
      return { ...base, kind: ROUTE_BLACKHOLE, text: target.text };
  }
}

function prepareFacts(tables: Tables): NodeFacts {
  const { addresses, gatewayAddress } = tables.node;
  const localAddresses = new AddressSet();
  for (const address of addresses) localAddresses.add(address);
  if (gatewayAddress.v4 !== undefined) localAddresses.add(gatewayAddress.v4);
  if (gatewayAddress.v6 !== undefined) localAddresses.add(gatewayAddress.v6);
  const clusterCidrs = new PrefixMap();
  tables.clusterCidrs.forEach((cidr, i) => {
    clusterCidrs.set(cidr, i);
  });
  return { localAddresses, clusterCidrs };
}

// The overlay address; a node without one in this family answers from its own address.
function errorSource(tables: Tables, gateway: string | undefined, isV4: boolean): Words | undefined {
  if (gateway !== undefined) return wordsOf(gateway);
  return tables.node.addresses.map(wordsOf).find((words) => isIpv4Words(words) === isV4);
}

function macOf(text: string): Uint8Array {
  const mac = parseMac(text);
  if (mac === undefined)
    throw new Error(`Cannot use MAC "${text}": write six hexadecimal bytes, aa:bb:cc:dd:ee:ff`);
  return mac;
}
