/**
 * The table of IPVS: virtual servers and, behind each, real servers with weight 1. What `ipvsadm -Ln` shows.
 *
 * A TCP server that is to go stays with weight 0 until it has no connections left, which is looked at once a minute (K:
 * ipvs/graceful_termination.go). For UDP and SCTP it goes at once, and its flows with it, as the flows of a virtual server
 * that goes do (sysctl expire_nodest_conn).
 */

import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_TCP } from '@podwire/wire/protocol';
import { type Words, wordsOf } from '../address-words.ts';
import type { Conntrack } from '../conntrack.ts';
import { PrefixMap } from '../lpm.ts';
import { sourceText } from '../packet-text.ts';
import type { ServiceEndpoint, ServicePort, Tables } from '../tables.ts';
import { CountedAddresses, DestinationMap } from './destination-map.ts';
import { createScheduler, type Scheduler, type SchedulerName } from './ipvs-schedulers.ts';
import { diffServices } from './service-diff.ts';

const CHECK_INTERVAL_MS = 60_000;

export interface RealServer {
  /** Under which conntrack counts its flows. */
  readonly id: number;
  readonly words: Words;
  readonly port: number;
  /** 1, or 0 while it is leaving. */
  weight: number;
  endpoint: ServiceEndpoint;
}

export type FrontendKind = 'ClusterIP' | 'ExternalIP' | 'LoadBalancer' | 'NodePort';

export class VirtualServer {
  readonly kind: FrontendKind;
  readonly address: string;
  readonly words: Words;
  readonly port: number;
  servicePort: ServicePort;
  readonly servers: RealServer[] = [];
  readonly schedulerName: SchedulerName;
  readonly scheduler: Scheduler<RealServer>;
  /** Seconds a client stays with its server; 0 without persistence. */
  timeoutSeconds = 0;
  /** `loadBalancerSourceRanges`, where they hold. */
  sourceRanges: PrefixMap | undefined;
  // Persistence templates: client -> server and expiry, in the order of their last use.
  readonly #templates = new Map<string, { server: RealServer; expiresMs: number }>();

  constructor(
    kind: FrontendKind,
    address: string,
    port: number,
    servicePort: ServicePort,
    schedulerName: SchedulerName,
    scheduler: Scheduler<RealServer>,
  ) {
    this.kind = kind;
    this.address = address;
    this.words = wordsOf(address);
    this.port = port;
    this.servicePort = servicePort;
    this.schedulerName = schedulerName;
    this.scheduler = scheduler;
  }

  /** The server for a packet that opens a connection. A client's template leads it to the server it had, if that stays. */
  serverFor(packet: Packet, nowMs: number): RealServer | undefined {
    if (this.timeoutSeconds === 0) return this.scheduler.schedule(this.servers, packet);
    const client = sourceText(packet);
    const known = this.#templates.get(client);
    const isUsable = known !== undefined && known.expiresMs > nowMs && known.server.weight > 0;
    const server = isUsable ? known.server : this.scheduler.schedule(this.servers, packet);
    this.#templates.delete(client);
    this.#collect(nowMs);
    if (server !== undefined) {
      this.#templates.set(client, { server, expiresMs: nowMs + this.timeoutSeconds * 1000 });
    }
    return server;
  }

  // A few with each connection keeps the map from growing past what is alive.
  #collect(nowMs: number): void {
    let budget = 2;
    for (const [client, { expiresMs }] of this.#templates) {
      if (expiresMs > nowMs || budget-- === 0) return;
      this.#templates.delete(client);
    }
  }

  /** Templates alive, for dumps. */
  templates(nowMs: number): { client: string; server: RealServer; expiresInSeconds: number }[] {
    return [...this.#templates]
      .filter(([, { expiresMs }]) => expiresMs > nowMs)
      .map(([client, { server, expiresMs }]) => ({
        client,
        server,
        expiresInSeconds: Math.ceil((expiresMs - nowMs) / 1000),
      }));
  }

  forgetTemplates(): void {
    this.#templates.clear();
  }
}

export class IpvsTable {
  readonly #conntrack: Conntrack;
  readonly #maps: Readonly<Record<4 | 6, DestinationMap<VirtualServer>>> = {
    4: new DestinationMap(4),
    6: new DestinationMap(6),
  };
  /** Device kube-ipvs0: every ClusterIP, external IP and load balancer IP. */
  readonly boundAddresses = new CountedAddresses();
  readonly #programmed = new Map<ServicePort, readonly VirtualServer[]>();
  readonly #leaving = new Map<RealServer, VirtualServer>();
  #ports: readonly ServicePort[] = [];
  #inputs: readonly unknown[] = [];
  #scheduler: SchedulerName = 'rr';
  #nodeAddresses: readonly string[] = [];
  readonly #freeIds: number[] = [];
  #nextId = 1;
  #checkedMs: number;
  #gone = new Set<number>();

  constructor(conntrack: Conntrack, nowMs: number) {
    this.#conntrack = conntrack;
    this.#checkedMs = nowMs;
    // Flows that an earlier table counted have nothing to do with the servers of this one.
    conntrack.forgetBackends();
  }

  /** Brings the table to a new snapshot; answers the service ports that are new and that went. */
  program(tables: Tables): { added: readonly ServicePort[]; removed: readonly ServicePort[] } {
    const { addresses, gatewayAddress } = tables.node;
    const inputs = [addresses, gatewayAddress, tables.options];
    const keep = inputs.every((input, i) => input === this.#inputs[i]);
    this.#inputs = inputs;
    // kube-proxy makes a virtual server of a NodePort for each address of the node, its bridge's included.
    const own = [...addresses, gatewayAddress.v4, gatewayAddress.v6];
    this.#nodeAddresses = own.filter((address) => address !== undefined);
    this.#scheduler = tables.options?.ipvsScheduler ?? 'rr';
    const { added, removed } = keep
      ? diffServices(this.#ports, tables.services)
      : { added: tables.services, removed: this.#ports };
    this.#ports = tables.services;

    // A virtual server that stays keeps its servers, their connections and its clients.
    const before = new Map<string, VirtualServer>();
    for (const port of removed) {
      for (const server of this.#programmed.get(port) ?? []) {
        before.set(keyOf(port, server.address, server.port), server);
      }
      this.#programmed.delete(port);
    }
    const unbound = removed.flatMap(boundAddressesOf);
    for (const port of added) this.#programmed.set(port, this.#install(port, before));
    for (const server of before.values()) this.#uninstall(server);
    for (const address of unbound) this.boundAddresses.remove(address);
    this.#removeFlows();
    return { added, removed };
  }

  find(packet: Packet): VirtualServer | undefined {
    const { dst0, dst1, dst2, dst3, protocol, dstPort } = packet;
    const map = packet.version === 4 ? this.#maps[4] : this.#maps[6];
    return map.find(dst0 | 0, dst1 | 0, dst2 | 0, dst3 | 0, protocol, dstPort);
  }

  /** Once a minute: servers that are leaving and have no connections left are deleted. */
  checkLeaving(nowMs: number): void {
    if (nowMs - this.#checkedMs < CHECK_INTERVAL_MS) return;
    this.#checkedMs = nowMs;
    if (this.#leaving.size === 0) return;
    this.#conntrack.collectGarbage(nowMs, Number.POSITIVE_INFINITY);
    for (const [server, virtual] of this.#leaving) {
      if (this.connectionsOf(server) === 0) this.#delete(virtual, server);
    }
  }

  /** Active and inactive connections. */
  connectionsOf(server: RealServer): number {
    const flows = this.#conntrack.backendFlows;
    return flows.activeOf(server.id) + flows.inactiveOf(server.id);
  }

  /** Every virtual server, in the order of the tables, for dumps. */
  list(): readonly VirtualServer[] {
    return this.#ports.flatMap((port) => this.#programmed.get(port) ?? []);
  }

  #install(port: ServicePort, before: Map<string, VirtualServer>): VirtualServer[] {
    const made: VirtualServer[] = [];
    const add = (kind: FrontendKind, address: string, number: number): void => {
      const key = keyOf(port, address, number);
      const old = before.get(key);
      const isSame = old !== undefined && old.schedulerName === this.#scheduler && old.kind === kind;
      if (isSame) before.delete(key);
      made.push(this.#update(isSame ? old : this.#create(kind, address, number, port), port));
    };
    add('ClusterIP', port.clusterIp, port.port);
    for (const address of port.externalIps) add('ExternalIP', address, port.port);
    for (const address of port.loadBalancerIps) add('LoadBalancer', address, port.port);
    if (port.nodePort !== 0) {
      for (const address of this.#nodeAddresses) {
        if (address.includes(':') === (port.version === 6)) add('NodePort', address, port.nodePort);
      }
    }
    for (const address of boundAddressesOf(port)) this.boundAddresses.add(address);
    return made;
  }

  #create(kind: FrontendKind, address: string, number: number, port: ServicePort): VirtualServer {
    const scheduler = createScheduler<RealServer>(this.#scheduler, this.#conntrack.backendFlows);
    const made = new VirtualServer(kind, address, number, port, this.#scheduler, scheduler);
    this.#maps[port.version].set(made.words, port.protocol, number, made);
    return made;
  }

  #update(virtual: VirtualServer, port: ServicePort): VirtualServer {
    const isChanged = virtual.servicePort !== port || virtual.servers.length === 0;
    virtual.servicePort = port;
    if (virtual.timeoutSeconds !== port.affinitySeconds) {
      virtual.timeoutSeconds = port.affinitySeconds;
      virtual.forgetTemplates();
    }
    virtual.sourceRanges = virtual.kind === 'LoadBalancer' ? rangesOf(port) : undefined;
    if (!isChanged) return virtual;
    const policy = virtual.kind === 'ClusterIP' ? port.internalTrafficPolicy : port.externalTrafficPolicy;
    // Unlike in the other modes, Local without a local endpoint falls back to all of them.
    const isLocal = policy === 'Local' && port.localEndpoints.length > 0;
    this.#setServers(virtual, isLocal ? port.localEndpoints : port.clusterEndpoints);
    return virtual;
  }

  #setServers(virtual: VirtualServer, endpoints: readonly ServiceEndpoint[]): void {
    const current = new Map(virtual.servers.map((server) => [serverKey(server.endpoint), server]));
    for (const endpoint of endpoints) {
      const server = current.get(serverKey(endpoint));
      if (server === undefined) {
        const id = this.#freeIds.pop() ?? this.#nextId++;
        const words = wordsOf(endpoint.address);
        virtual.servers.push({ id, words, port: endpoint.port, weight: 1, endpoint });
      } else {
        current.delete(serverKey(endpoint));
        this.#leaving.delete(server);
        server.weight = 1;
        server.endpoint = endpoint;
      }
    }
    virtual.scheduler.changed(-1);
    for (const server of current.values()) if (!this.#leaving.has(server)) this.#retire(virtual, server);
  }

  #retire(virtual: VirtualServer, server: RealServer): void {
    const drains = virtual.servicePort.protocol === PROTOCOL_TCP && this.connectionsOf(server) > 0;
    if (!drains) {
      this.#delete(virtual, server);
      return;
    }
    server.weight = 0;
    this.#leaving.set(server, virtual);
    virtual.scheduler.changed(-1);
  }

  #delete(virtual: VirtualServer, server: RealServer): void {
    const at = virtual.servers.indexOf(server);
    virtual.servers.splice(at, 1);
    virtual.scheduler.changed(at);
    this.#leaving.delete(server);
    // Templates lead to it no more.
    server.weight = 0;
    this.#gone.add(server.id);
  }

  #uninstall(virtual: VirtualServer): void {
    const { words, port, servicePort } = virtual;
    this.#maps[servicePort.version].delete(words, servicePort.protocol, port, virtual);
    for (const server of virtual.servers) {
      this.#leaving.delete(server);
      this.#gone.add(server.id);
    }
  }

  // Of servers that went; their numbers are free when nothing counts for them any more.
  #removeFlows(): void {
    if (this.#gone.size === 0) return;
    const { backendFlows } = this.#conntrack;
    const counted = (id: number): boolean => backendFlows.activeOf(id) + backendFlows.inactiveOf(id) > 0;
    if ([...this.#gone].some(counted)) this.#conntrack.removeOfBackends(this.#gone);
    this.#freeIds.push(...this.#gone);
    this.#gone = new Set();
  }
}

function keyOf(port: ServicePort, address: string, number: number): string {
  return `${address} ${number} ${port.protocol}`;
}

function serverKey(endpoint: ServiceEndpoint): string {
  return `${endpoint.address} ${endpoint.port}`;
}

function boundAddressesOf(port: ServicePort): string[] {
  return [port.clusterIp, ...port.externalIps, ...port.loadBalancerIps];
}

function rangesOf(port: ServicePort): PrefixMap | undefined {
  if (port.sourceRanges.length === 0) return undefined;
  const ranges = new PrefixMap();
  port.sourceRanges.forEach((range, i) => {
    ranges.set(range, i);
  });
  return ranges;
}
