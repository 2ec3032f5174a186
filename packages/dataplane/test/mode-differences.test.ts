/** What somebody who changes `mode` sees change: the differences between the four modes, each in one table. */

import { buildIcmpEcho } from '@podwire/wire/build';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import { SERVICE_MODES, type ServiceMode, type ServicePort } from '../src/tables.ts';
import {
  type Arrival,
  answerTo,
  CLIENT_OUTSIDE,
  CLIENT_OUTSIDE_6,
  Cluster,
  endpoint,
  NODES,
  podAddress,
  SYN,
  service,
  tcp,
  traceText,
} from './cluster.ts';

type Version = 4 | 6;

const VIP = { 4: '10.96.0.9', 6: 'fd00:10:96::9' } as const;
const UNALLOCATED = { 4: '10.96.0.77', 6: 'fd00:10:96::77' } as const;
const OUTSIDE = { 4: CLIENT_OUTSIDE, 6: CLIENT_OUTSIDE_6 } as const;
const node1 = (version: Version): string => NODES[0].addresses[version === 4 ? 0 : 1];
const remote = (version: Version, over: Partial<ServicePort> = {}) => [
  service({ version, nodePort: 30080, endpoints: [endpoint(2, 1, 8080, version)], ...over }),
];
const none = (version: Version) => [service({ version, nodePort: 30080 })];

/** `refused`: ICMP port unreachable to the sender. Else where the packet ended, or `pod-2-1 as SOURCE`. */
function ending(there: Arrival, sender: string): string {
  if (there.at === sender && there.reason !== 0) {
    const error = new Packet();
    error.decode(there.frame);
    const kind = `${error.icmpType}/${error.icmpCode}`;
    return kind === '3/3' || kind === '1/4' ? 'refused' : `ICMP ${kind}`;
  }
  return there.at.startsWith('pod') ? `${there.at} as ${source(there)}` : there.at;
}

function source(there: Arrival): string {
  const packet = new Packet();
  packet.decode(there.frame);
  const [from] = there.seen.split(' -> ');
  const address = from.slice(0, from.lastIndexOf(':'));
  return address === NODES[0].gateway.v4 || address === NODES[0].gateway.v6 ? 'gateway' : 'itself';
}

interface Row {
  name: string;
  /** A pod of node 1, or a client outside that reaches node 1. */
  from: 'pod' | 'outside';
  services: (version: Version) => ServicePort[];
  frame: (from: string, version: Version) => Uint8Array;
  ends: Record<ServiceMode, string>;
  /** Where the backend's answer ends: with the client unless said otherwise. */
  answer?: Partial<Record<ServiceMode, string>>;
}

const syn = (to: (version: Version) => string, port: number) => (from: string, version: Version) =>
  tcp(from, 4000, to(version), port, SYN);
const ping = (to: Record<Version, string>) => (from: string, version: Version) =>
  buildIcmpEcho({ src: from, dst: to[version], id: 7, sequence: 1 });

const rows: Row[] = [
  {
    name: 'ping to a ClusterIP',
    from: 'pod',
    services: remote,
    frame: ping(VIP),
    ends: { iptables: 'drop 151', ipvs: 'refused', nftables: 'refused', ebpf: 'drop 151' },
  },
  {
    name: 'ping to a ClusterIP without endpoints',
    from: 'pod',
    services: none,
    frame: ping(VIP),
    ends: { iptables: 'drop 151', ipvs: 'refused', nftables: 'refused', ebpf: 'drop 151' },
  },
  {
    name: 'an address of the service CIDR that no service has',
    from: 'pod',
    services: remote,
    frame: syn((version) => UNALLOCATED[version], 80),
    ends: { iptables: 'drop 151', ipvs: 'drop 151', nftables: 'drop 151', ebpf: 'drop 151' },
  },
  {
    name: 'a port that the service of the ClusterIP does not have',
    from: 'pod',
    services: remote,
    frame: syn((version) => VIP[version], 81),
    ends: { iptables: 'drop 151', ipvs: 'refused', nftables: 'refused', ebpf: 'drop 151' },
  },
  {
    name: 'a ClusterIP without endpoints',
    from: 'pod',
    services: none,
    frame: syn((version) => VIP[version], 80),
    ends: { iptables: 'refused', ipvs: 'refused', nftables: 'refused', ebpf: 'refused' },
  },
  {
    name: 'a NodePort without endpoints',
    from: 'outside',
    services: none,
    frame: syn(node1, 30080),
    ends: { iptables: 'refused', ipvs: 'refused', nftables: 'refused', ebpf: 'refused' },
  },
  {
    name: 'externalTrafficPolicy Local without a local endpoint',
    from: 'outside',
    services: (version) => remote(version, { externalTrafficPolicy: 'Local' }),
    frame: syn(node1, 30080),
    ends: {
      iptables: 'drop 158',
      ipvs: 'pod-2-1 as itself',
      nftables: 'drop 158',
      ebpf: 'refused',
    },
    answer: { ipvs: 'host node-2' },
  },
  {
    name: 'internalTrafficPolicy Local without a local endpoint',
    from: 'pod',
    services: (version) => remote(version, { internalTrafficPolicy: 'Local' }),
    frame: syn((version) => VIP[version], 80),
    ends: {
      iptables: 'drop 158',
      ipvs: 'pod-2-1 as itself',
      nftables: 'drop 158',
      ebpf: 'refused',
    },
  },
  {
    name: "a NodePort on the node's overlay address",
    from: 'pod',
    services: remote,
    frame: syn((version) => NODES[0].gateway[version === 4 ? 'v4' : 'v6'], 30080),
    ends: {
      iptables: 'pod-2-1 as gateway',
      ipvs: 'pod-2-1 as gateway',
      nftables: 'host node-1',
      ebpf: 'host node-1',
    },
  },
  {
    name: 'a NodePort from a pod of the node',
    from: 'pod',
    services: remote,
    frame: syn(node1, 30080),
    ends: {
      iptables: 'pod-2-1 as gateway',
      ipvs: 'pod-2-1 as gateway',
      nftables: 'pod-2-1 as gateway',
      ebpf: 'pod-2-1 as itself',
    },
  },
];

describe.each(rows)('$name', (row) => {
  describe.each([4, 6] as const)('IPv%s', (version) => {
    it.each(SERVICE_MODES)('%s', (mode) => {
      const cluster = new Cluster({ mode, services: row.services(version) });
      const from = row.from === 'pod' ? podAddress(1, 1, version) : OUTSIDE[version];
      const frame = row.frame(from, version);
      const there = row.from === 'pod' ? cluster.fromPod(1, 1, frame) : cluster.fromHost(1, frame);
      const sender = row.from === 'pod' ? 'pod-1-1' : 'host node-1';
      expect(ending(there, sender), traceText(there)).toBe(row.ends[mode]);
      if (!row.ends[mode].startsWith('pod')) return;

      const back = cluster.fromPod(2, 1, answerTo(there.frame));
      expect(back.at, traceText(back)).toBe(row.answer?.[mode] ?? sender);
      const [answerer] = back.seen.split(' -> ');
      const asked = new Packet();
      asked.decode(frame);
      const isLost = row.answer?.[mode] !== undefined;
      expect(answerer, 'the address that answers').toMatch(new RegExp(`:${isLost ? 8080 : asked.dstPort}$`));
    });
  });
});

describe('affinity expiry: a client connects again after its 100 seconds, having connected at 0 and 60', () => {
  const three = [endpoint(1, 2, 8080, 4), endpoint(2, 1, 8080, 4), endpoint(3, 1, 8080, 4)];
  /** Backends of connections at 0 s, 60 s and `seconds` after that. */
  const backends = (mode: ServiceMode, seconds: number, seed: number): string[] => {
    const services = [service({ endpoints: three, affinitySeconds: 100 })];
    const cluster = new Cluster({ mode, services, seed });
    const open = (port: number) => cluster.fromPod(1, 1, tcp(podAddress(1, 1, 4), port, VIP[4], 80, SYN)).at;
    const first = open(1000);
    cluster.nowMs += 60_000;
    const second = open(1001);
    cluster.nowMs += seconds * 1000;
    return [first, second, open(1002)];
  };
  const seeds = Array.from({ length: 12 }, (_, i) => i + 1);
  /** Whether the last connection found the first backend again, for every seed. */
  const stays = (mode: ServiceMode, seconds: number): boolean =>
    seeds.every((seed) => new Set(backends(mode, seconds, seed)).size === 1);

  // The time begins again with each connection, in every mode; what differs is the moment it ends.
  it.each([
    { mode: 'iptables', lasts: 100, ends: 100.001 },
    { mode: 'ipvs', lasts: 99.999, ends: 100 },
    { mode: 'nftables', lasts: 99.999, ends: 100 },
    { mode: 'ebpf', lasts: 99.999, ends: 100 },
  ] as const)('$mode: holds $lasts s, not $ends s', ({ mode, lasts, ends }) => {
    expect(stays(mode, lasts)).toBe(true);
    expect(stays(mode, ends)).toBe(false);
  });
});
