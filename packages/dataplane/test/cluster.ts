/** A small cluster of pipelines for tests: pods send frames, the frames travel, and what arrives is looked at. */

import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { formatAddressWords } from '@podwire/wire/address';
import { buildSctp, buildTcp, buildUdp } from '@podwire/wire/build';
import { verifyIpv4Checksum } from '@podwire/wire/ipv4';
import { Packet } from '@podwire/wire/packet';
import { verifyTransportChecksum } from '@podwire/wire/transport-checksum';
import { expect } from 'vitest';
import type { Outcome } from '../src/outcome.ts';
import { Pipeline } from '../src/pipeline.ts';
import type {
  LocalEndpoint,
  RouteEntry,
  ServiceEndpoint,
  ServiceMode,
  ServiceOptions,
  ServicePort,
  Tables,
  VtepEntry,
} from '../src/tables.ts';
import { PacketTrace } from '../src/trace.ts';

export const GATEWAY = 'ee:ee:ee:ee:ee:ee';
export const CLIENT_OUTSIDE = '192.0.2.10';
export const CLIENT_OUTSIDE_6 = '2001:db8::10';

export interface TestNode {
  name: string;
  /** Underlay addresses, IPv4 then IPv6. */
  addresses: string[];
  mac: string;
  gateway: { v4: string; v6: string };
  cidrs: string[];
  pods: LocalEndpoint[];
}

/** Node n: 172.18.0.n and fd18::n, pods 10.244.n.0/24 and fd00:10:244:n::/64, two pods a and b. */
export function testNode(n: number): TestNode {
  const pod = (id: number): LocalEndpoint => ({
    id,
    namespace: 'web',
    name: `pod-${n}-${id}`,
    addresses: [`10.244.${n}.${id + 4}`, `fd00:10:244:${n}::${id + 4}`],
    mac: `0a:00:00:00:0${n}:0${id}`,
  });
  return {
    name: `node-${n}`,
    addresses: [`172.18.0.${n}`, `fd18::${n}`],
    mac: `66:00:00:00:00:0${n}`,
    gateway: { v4: `10.244.${n}.1`, v6: `fd00:10:244:${n}::1` },
    cidrs: [`10.244.${n}.0/24`, `fd00:10:244:${n}::/64`],
    pods: [pod(1), pod(2)],
  };
}

export const NODES: readonly TestNode[] = [testNode(1), testNode(2), testNode(3)];

/** Address of pod `id` of node `n` in a family. */
export function podAddress(n: number, id: number, version: 4 | 6): string {
  return NODES[n - 1].pods[id - 1].addresses[version === 4 ? 0 : 1];
}

export function endpoint(
  n: number,
  id: number,
  port: number,
  version: 4 | 6,
  over: Partial<ServiceEndpoint> = {},
): ServiceEndpoint {
  return {
    address: podAddress(n, id, version),
    port,
    ready: true,
    serving: true,
    terminating: false,
    local: false,
    nodeName: `node-${n}`,
    zone: '',
    target: `web/pod-${n}-${id}`,
    ...over,
  };
}

export function service(over: Partial<ServicePort> & { version?: 4 | 6 } = {}): ServicePort {
  const version = over.version ?? 4;
  const endpoints = over.endpoints ?? [];
  return {
    name: 'web/api:http',
    namespace: 'web',
    service: 'api',
    portName: 'http',
    version,
    protocol: 6,
    clusterIp: version === 4 ? '10.96.0.9' : 'fd00:10:96::9',
    port: 80,
    nodePort: 0,
    externalIps: [],
    loadBalancerIps: [],
    sourceRanges: [],
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    affinitySeconds: 0,
    healthCheckNodePort: 0,
    endpoints,
    clusterEndpoints: endpoints,
    localEndpoints: endpoints,
    ...over,
  };
}

export function tablesOf(
  node: TestNode,
  services: readonly ServicePort[],
  mode: ServiceMode,
  epoch = 1,
  options?: ServiceOptions,
): Tables {
  const vteps: VtepEntry[] = NODES.filter((other) => other !== node).map((other) => ({
    node: other.name,
    address: other.addresses[0],
    port: 8472,
    mac: other.mac,
  }));
  const routes: RouteEntry[] = [];
  for (const other of NODES) {
    const vtep = vteps.find((candidate) => candidate.node === other.name);
    const hosts = [...other.addresses, other.gateway.v4, other.gateway.v6];
    if (vtep) {
      for (const prefix of other.cidrs) routes.push({ prefix, target: { kind: 'vtep', vtep } });
      for (const address of other.addresses) {
        routes.push({ prefix: hostPrefix(address), target: { kind: 'vtep', vtep } });
      }
    } else {
      for (const prefix of other.cidrs) {
        routes.push({ prefix, target: { kind: 'unreachable', text: 'no pod has this address' } });
      }
      for (const address of hosts) routes.push({ prefix: hostPrefix(address), target: { kind: 'host' } });
      for (const pod of other.pods) {
        for (const address of pod.addresses) {
          routes.push({ prefix: hostPrefix(address), target: { kind: 'endpoint', endpointId: pod.id } });
        }
      }
    }
  }
  for (const prefix of ['10.96.0.0/16', 'fd00:10:96::/112']) {
    routes.push({ prefix, target: { kind: 'blackhole', text: 'nothing translated this service address' } });
  }
  // Every node sees the same services; what is local differs.
  const localized = services.map((port) => {
    const endpoints = port.endpoints.map((item) => ({ ...item, local: item.nodeName === node.name }));
    const pick = (chosen: readonly ServiceEndpoint[]): ServiceEndpoint[] =>
      chosen.map((item) => endpoints[port.endpoints.indexOf(item)]);
    return {
      ...port,
      endpoints,
      clusterEndpoints: pick(port.clusterEndpoints),
      localEndpoints: pick(port.localEndpoints).filter((item) => item.local),
    };
  });
  return {
    epoch,
    mode,
    node: {
      name: node.name,
      addresses: node.addresses,
      gatewayAddress: node.gateway,
      vtepMac: node.mac,
      vni: 1,
      mtu: 1450,
      tunnelPort: 8472,
    },
    clusterCidrs: ['10.244.0.0/16', 'fd00:10:244::/48'],
    serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'],
    endpoints: node.pods,
    vteps,
    routes,
    services: localized,
    options,
  };
}

function hostPrefix(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

/** Where a packet ended and what it looked like there. */
export interface Arrival {
  /** `pod-2-1`, `host node-1`, or `drop 133`. */
  at: string;
  frame: Uint8Array;
  trace: PacketTrace[];
  /** Source and destination on arrival, `10.244.1.5:1000 -> 10.244.2.5:80`. */
  seen: string;
  /** Drop reason, also of a refusal that was answered by ICMP. */
  reason: number;
  ttl: number;
  encapsulations: number;
}

export interface ClusterOptions {
  mode: ServiceMode;
  services?: readonly ServicePort[];
  options?: ServiceOptions;
  seed?: number;
  maxFlows?: number;
}

export class Cluster {
  nowMs = 1_000_000;
  readonly pipelines: Pipeline[];
  services: readonly ServicePort[];
  mode: ServiceMode;
  readonly options: ServiceOptions | undefined;
  #epoch = 1;

  constructor(o: ClusterOptions) {
    this.services = o.services ?? [];
    this.mode = o.mode;
    this.options = o.options;
    const random32 = seededRandom32(o.seed ?? 7);
    this.pipelines = NODES.map(
      (node) =>
        new Pipeline({
          nowMs: () => this.nowMs,
          random32,
          tables: tablesOf(node, this.services, o.mode, 1, o.options),
          maxFlows: o.maxFlows,
        }),
    );
  }

  setServices(services: readonly ServicePort[]): void {
    this.services = services;
    this.#epoch++;
    NODES.forEach((node, i) => {
      this.pipelines[i].tables = tablesOf(node, services, this.mode, this.#epoch, this.options);
    });
  }

  /** A frame as pod `id` of node `n` would send it: its MACs are filled in. */
  fromPod(n: number, id: number, frame: Uint8Array): Arrival {
    const sent = frame.slice();
    setMacs(sent, NODES[n - 1].pods[id - 1].mac, GATEWAY);
    const trace = new PacketTrace();
    return this.#follow(n, this.pipelines[n - 1].fromPod(id, sent, sent.length, trace), [trace]);
  }

  /** A frame from the host stack of node `n`. */
  fromHost(n: number, frame: Uint8Array): Arrival {
    const sent = frame.slice();
    setMacs(sent, NODES[n - 1].mac, GATEWAY);
    const trace = new PacketTrace();
    return this.#follow(n, this.pipelines[n - 1].fromHost(sent, sent.length, trace), [trace]);
  }

  #follow(n: number, outcome: Outcome, traces: PacketTrace[], encapsulations = 0): Arrival {
    const node = NODES[n - 1];
    const reason = outcome.reason;
    switch (outcome.verdict) {
      case 'drop':
        return {
          at: `drop ${reason}`,
          frame: new Uint8Array(0),
          trace: traces,
          seen: '',
          reason,
          ttl: 0,
          encapsulations,
        };
      case 'deliver': {
        const pod = node.pods.find((candidate) => candidate.id === outcome.endpointId)!;
        return arrival(pod.name, outcome, traces, encapsulations);
      }
      case 'host':
        return arrival(`host ${node.name}`, outcome, traces, encapsulations);
      case 'reply': {
        if (outcome.endpointId >= 0) {
          const pod = node.pods.find((candidate) => candidate.id === outcome.endpointId)!;
          return arrival(pod.name, outcome, traces, encapsulations);
        }
        const frame = outcome.frame.slice();
        const trace = new PacketTrace();
        const end = this.#follow(n, this.pipelines[n - 1].fromHost(frame, frame.length, trace), [
          ...traces,
          trace,
        ]);
        return { ...end, reason };
      }
      case 'encap': {
        const next = NODES.findIndex((candidate) => candidate.addresses.includes(outcome.vtep.address));
        const datagram = outcome.frame.slice();
        const trace = new PacketTrace();
        const result = this.pipelines[next].fromUnderlay(datagram, datagram.length, node.addresses[0], trace);
        return this.#follow(next + 1, result, [...traces, trace], encapsulations + 1);
      }
    }
  }
}

function arrival(at: string, outcome: Outcome, trace: PacketTrace[], encapsulations: number): Arrival {
  const frame = outcome.frame.slice();
  const packet = new Packet();
  expect(packet.decode(frame), `frame that arrived at ${at} is well formed`).toBe(0);
  expectChecksums(packet);
  return {
    at,
    frame,
    trace,
    seen: seenText(packet),
    reason: outcome.reason,
    ttl: packet.ttl,
    encapsulations,
  };
}

/** `source:port -> destination:port`. */
export function seenText(packet: Packet): string {
  const from = formatAddressWords(packet.src0, packet.src1, packet.src2, packet.src3);
  const to = formatAddressWords(packet.dst0, packet.dst1, packet.dst2, packet.dst3);
  return `${from}:${packet.srcPort} -> ${to}:${packet.dstPort}`;
}

/** Asserts that the IP and transport checksums of an unfragmented packet are right. */
export function expectChecksums(packet: Packet): void {
  if (packet.l3 < 0) return;
  if (packet.version === 4) expect(verifyIpv4Checksum(packet.frame, packet.l3), 'IPv4 checksum').toBe(true);
  if (packet.l4 < 0 || packet.moreFragments) return;
  expect(
    verifyTransportChecksum(packet.frame, packet.version, packet.l3, packet.protocol, packet.l4, packet.end),
    'transport checksum',
  ).toBe(true);
}

export function setMacs(frame: Uint8Array, from: string, to: string): void {
  const bytes = (mac: string): number[] => mac.split(':').map((part) => Number.parseInt(part, 16));
  frame.set(bytes(to), 0);
  frame.set(bytes(from), 6);
}

export const SYN = 0x02;
export const ACK = 0x10;
export const FIN = 0x01;
export const RST = 0x04;

/** `a.b.c.d:port`, `[v6]:port`. */
export function tcp(from: string, fromPort: number, to: string, toPort: number, flags: number): Uint8Array {
  return buildTcp({
    src: from,
    srcPort: fromPort,
    dst: to,
    dstPort: toPort,
    flags,
    payload: flags === ACK ? 'x' : '',
  });
}

export function udp(
  from: string,
  fromPort: number,
  to: string,
  toPort: number,
  payload = 'question',
): Uint8Array {
  return buildUdp({ src: from, srcPort: fromPort, dst: to, dstPort: toPort, payload });
}

/** An SCTP packet of one chunk without a value: 1 INIT, 2 INIT ACK, 10 COOKIE ECHO, 11 COOKIE ACK. */
export function sctp(from: string, fromPort: number, to: string, toPort: number, chunk: number): Uint8Array {
  const chunks = new Uint8Array([chunk, 0, 0, 4]);
  return buildSctp({ src: from, srcPort: fromPort, dst: to, dstPort: toPort, verificationTag: 1, chunks });
}

/** The packet an addressee would answer an opening with: everything turned round, same protocol. */
export function answerTo(frame: Uint8Array, flags = SYN | ACK): Uint8Array {
  const packet = new Packet();
  expect(packet.decode(frame)).toBe(0);
  const src = formatAddressWords(packet.dst0, packet.dst1, packet.dst2, packet.dst3);
  const dst = formatAddressWords(packet.src0, packet.src1, packet.src2, packet.src3);
  switch (packet.protocol) {
    case 6:
      return tcp(src, packet.dstPort, dst, packet.srcPort, flags);
    case 132:
      return sctp(src, packet.dstPort, dst, packet.srcPort, 2);
    default:
      return udp(src, packet.dstPort, dst, packet.srcPort, 'answer');
  }
}

/** All steps of all nodes as `stage text` lines. */
export function traceText(arrived: Arrival): string {
  return arrived.trace
    .flatMap((trace) => trace.steps.map((step) => `${step.stage} ${step.verdict}: ${step.text}`))
    .join('\n');
}
