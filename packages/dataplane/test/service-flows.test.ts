/**
 * What each mode does with a Service, as tables: who opens a flow to what, where it arrives, as whom, and what the
 * answer looks like when it is back. Every row that arrives is checked in its reply direction too.
 */

import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import type { ServiceMode, ServicePort } from '../src/tables.ts';
import {
  ACK,
  type Arrival,
  answerTo,
  CLIENT_OUTSIDE,
  CLIENT_OUTSIDE_6,
  Cluster,
  endpoint,
  NODES,
  podAddress,
  SYN,
  sctp,
  seenText,
  service,
  tcp,
  traceText,
  udp,
} from './cluster.ts';

type Version = 4 | 6;
/** `pod-1-1`; `host-1` (by its overlay address), `node-1` (by its node address), `outside-1` (through node 1). */
type Sender = string;

interface Expected {
  /** Where it may arrive: `pod-2-1:8080`, or `drop 158`, or `refused` (ICMP port unreachable to the sender). */
  output: string | string[];
  /** Source the backend sees. Default: the sender's own. `gateway-1`, `loopback`. */
  source?: string;
  /** The backend answers the client past the node that translated, with an address the client never asked. */
  answerIsLost?: boolean;
}

interface Flow {
  name: string;
  from: Sender;
  /** `cluster`, `node-1`, `external`, `lb`. */
  to: string;
  port?: number;
  services: (version: Version) => ServicePort[];
  /** By mode where modes differ; a mode that is not named does as iptables does. */
  expect: Expected | ({ iptables: Expected } & Partial<Record<ServiceMode, Expected>>);
}

const EXTERNAL = { 4: '198.51.100.1', 6: '2001:db8:1::1' } as const;
const BALANCER = { 4: '203.0.113.1', 6: '2001:db8:2::1' } as const;

function address(name: string, version: Version): string {
  const [kind, n, id] = name.split('-');
  const node = NODES[Number(n) - 1];
  switch (kind) {
    case 'pod':
      return podAddress(Number(n), Number(id), version);
    case 'host':
    case 'gateway':
      return version === 4 ? node.gateway.v4 : node.gateway.v6;
    case 'node':
      return node.addresses[version === 4 ? 0 : 1];
    case 'outside':
      return version === 4 ? CLIENT_OUTSIDE : CLIENT_OUTSIDE_6;
    case 'loopback':
      return version === 4 ? '169.254.42.1' : 'fe80::1';
    case 'cluster':
      return version === 4 ? '10.96.0.9' : 'fd00:10:96::9';
    case 'external':
      return EXTERNAL[version];
    case 'lb':
      return BALANCER[version];
    default:
      throw new Error(name);
  }
}

const full = (version: Version, over: Partial<ServicePort> = {}): ServicePort =>
  service({
    version,
    nodePort: 30080,
    externalIps: [EXTERNAL[version]],
    loadBalancerIps: [BALANCER[version]],
    ...over,
  });
const at = (version: Version, ...names: string[]) =>
  names.map((name) => {
    const [, n, id] = name.split('-').map(Number);
    return endpoint(n, id, 8080, version);
  });
const remote = (version: Version) => [full(version, { endpoints: at(version, 'pod-2-1', 'pod-3-1') })];
const local = (version: Version) => [full(version, { endpoints: at(version, 'pod-1-2') })];
const none = (version: Version) => [full(version)];
const external = (endpoints: (version: Version) => ServicePort[]) => (version: Version) =>
  endpoints(version).map((port) => ({ ...port, externalTrafficPolicy: 'Local' as const }));
const internal = (endpoints: (version: Version) => ServicePort[]) => (version: Version) =>
  endpoints(version).map((port) => ({ ...port, internalTrafficPolicy: 'Local' as const }));
const ranges = (version: Version, ...sourceRanges: string[]) => [
  full(version, { endpoints: at(version, 'pod-2-1'), sourceRanges }),
];
const inRange = (version: Version) => ranges(version, version === 4 ? '192.0.2.0/24' : '2001:db8::/64');
const outOfRange = (version: Version) => ranges(version, version === 4 ? '192.0.3.0/24' : '2001:db8:3::/64');
const NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;
const REMOTE = ['pod-2-1:8080', 'pod-3-1:8080'];

const flows: Flow[] = [
  { name: 'pod to ClusterIP', from: 'pod-1-1', to: 'cluster', services: remote, expect: { output: REMOTE } },
  {
    name: 'pod to ClusterIP, backend on its node',
    from: 'pod-1-1',
    to: 'cluster',
    services: local,
    expect: { output: 'pod-1-2:8080' },
  },
  {
    name: 'pod to itself through ClusterIP (hairpin)',
    from: 'pod-1-2',
    to: 'cluster',
    services: local,
    expect: {
      iptables: { output: 'pod-1-2:8080', source: 'gateway-1' },
      ebpf: { output: 'pod-1-2:8080', source: 'loopback' },
    },
  },
  {
    name: 'host to ClusterIP by its overlay address',
    from: 'host-1',
    to: 'cluster',
    services: remote,
    expect: { output: REMOTE },
  },
  {
    name: 'host to ClusterIP by its node address',
    from: 'node-1',
    to: 'cluster',
    services: remote,
    expect: { output: REMOTE, source: 'gateway-1' },
  },
  {
    name: 'outside to ClusterIP',
    from: 'outside-1',
    to: 'cluster',
    services: remote,
    expect: { iptables: { output: REMOTE, source: 'gateway-1' }, ebpf: { output: 'drop 174' } },
  },
  {
    name: 'outside to NodePort, policy Cluster',
    from: 'outside-1',
    to: 'node-1',
    port: 30080,
    services: remote,
    expect: { output: REMOTE, source: 'gateway-1' },
  },
  {
    name: 'outside to NodePort, policy Cluster, backend on that node',
    from: 'outside-1',
    to: 'node-1',
    port: 30080,
    services: local,
    expect: { iptables: { output: 'pod-1-2:8080', source: 'gateway-1' }, ebpf: { output: 'pod-1-2:8080' } },
  },
  {
    name: 'outside to NodePort, policy Local with a local backend',
    from: 'outside-1',
    to: 'node-1',
    port: 30080,
    services: external(local),
    expect: { output: 'pod-1-2:8080' },
  },
  {
    name: 'outside to NodePort, policy Local without a local backend',
    from: 'outside-1',
    to: 'node-1',
    port: 30080,
    services: external(remote),
    expect: {
      iptables: { output: 'drop 158' },
      ipvs: { output: REMOTE, answerIsLost: true },
      ebpf: { output: 'refused' },
    },
  },
  {
    name: 'the node itself to its NodePort, policy Local without a local backend',
    from: 'node-1',
    to: 'node-1',
    port: 30080,
    services: external(remote),
    expect: {
      iptables: { output: REMOTE, source: 'gateway-1' },
      ipvs: { output: REMOTE },
      ebpf: { output: REMOTE, source: 'gateway-1' },
    },
  },
  {
    name: "pod to its node's NodePort, policy Cluster",
    from: 'pod-1-1',
    to: 'node-1',
    port: 30080,
    services: remote,
    expect: { iptables: { output: REMOTE, source: 'gateway-1' }, ebpf: { output: REMOTE } },
  },
  {
    name: "pod to its node's NodePort, policy Local without a local backend",
    from: 'pod-1-1',
    to: 'node-1',
    port: 30080,
    services: external(remote),
    expect: { output: REMOTE },
  },
  {
    name: "pod to another node's NodePort, backend back on the pod's node",
    from: 'pod-2-2',
    to: 'node-1',
    port: 30080,
    services: remote,
    expect: { output: REMOTE, source: 'gateway-1' },
  },
  {
    name: 'pod to external IP',
    from: 'pod-1-1',
    to: 'external',
    services: remote,
    expect: { iptables: { output: REMOTE, source: 'gateway-1' }, ebpf: { output: REMOTE } },
  },
  {
    name: 'outside to load balancer IP',
    from: 'outside-1',
    to: 'lb',
    services: remote,
    expect: { output: REMOTE, source: 'gateway-1' },
  },
  {
    name: 'outside to load balancer IP, inside its source ranges',
    from: 'outside-1',
    to: 'lb',
    services: inRange,
    expect: { output: 'pod-2-1:8080', source: 'gateway-1' },
  },
  {
    name: 'outside to load balancer IP, outside its source ranges',
    from: 'outside-1',
    to: 'lb',
    services: outOfRange,
    expect: { output: 'drop 177' },
  },
  {
    name: 'NodePorts are not filtered by source ranges',
    from: 'outside-1',
    to: 'node-1',
    port: 30080,
    services: outOfRange,
    expect: { output: 'pod-2-1:8080', source: 'gateway-1' },
  },
  {
    name: 'pod to load balancer IP, not in its source ranges',
    from: 'pod-1-1',
    to: 'lb',
    services: outOfRange,
    expect: { iptables: { output: 'drop 177' }, ebpf: { output: 'pod-2-1:8080' } },
  },
  {
    name: 'pod to ClusterIP without endpoints',
    from: 'pod-1-1',
    to: 'cluster',
    services: none,
    expect: { output: 'refused' },
  },
  {
    name: 'outside to NodePort without endpoints',
    from: 'outside-1',
    to: 'node-1',
    port: 30080,
    services: none,
    expect: { output: 'refused' },
  },
  {
    name: 'the node itself to its NodePort without endpoints',
    from: 'node-1',
    to: 'node-1',
    port: 30080,
    services: none,
    expect: { output: 'refused' },
  },
  {
    name: 'outside to load balancer IP without endpoints',
    from: 'outside-1',
    to: 'lb',
    services: none,
    expect: { output: 'refused' },
  },
  {
    name: 'outside to load balancer IP without endpoints, outside its source ranges',
    from: 'outside-1',
    to: 'lb',
    services: (version) =>
      outOfRange(version).map((port) => full(version, { sourceRanges: port.sourceRanges })),
    // The kernel's filter comes before its load balancer, and nftables asks for the source before anything else.
    expect: {
      iptables: { output: 'refused' },
      ipvs: { output: 'drop 177' },
      nftables: { output: 'drop 177' },
      ebpf: { output: 'drop 177' },
    },
  },
  {
    name: 'pod to ClusterIP, internal policy Local with a local backend',
    from: 'pod-1-1',
    to: 'cluster',
    services: internal((version) => [full(version, { endpoints: at(version, 'pod-1-2', 'pod-2-1') })]),
    expect: { output: 'pod-1-2:8080' },
  },
  {
    name: 'pod to ClusterIP, internal policy Local without a local backend',
    from: 'pod-1-1',
    to: 'cluster',
    services: internal(remote),
    expect: { iptables: { output: 'drop 158' }, ipvs: { output: REMOTE }, ebpf: { output: 'refused' } },
  },
  {
    name: 'outside to NodePort while internal policy is Local without a local backend',
    from: 'outside-1',
    to: 'node-1',
    port: 30080,
    services: internal(remote),
    expect: { output: REMOTE, source: 'gateway-1' },
  },
  {
    name: 'pod to a port the Service does not have',
    from: 'pod-1-1',
    to: 'cluster',
    port: 81,
    services: remote,
    expect: {
      iptables: { output: 'drop 151' },
      ipvs: { output: 'refused' },
      nftables: { output: 'refused' },
      ebpf: { output: 'drop 151' },
    },
  },
  {
    name: 'outside to a port of a load balancer IP that no Service has',
    from: 'outside-1',
    to: 'lb',
    port: 81,
    services: remote,
    expect: {
      iptables: { output: 'host node-1' },
      ipvs: { output: 'refused' },
      ebpf: { output: 'drop 158' },
    },
  },
];

function send(cluster: Cluster, from: Sender, frame: Uint8Array): Arrival {
  const [kind, n, id] = from.split('-');
  return kind === 'pod' ? cluster.fromPod(Number(n), Number(id), frame) : cluster.fromHost(Number(n), frame);
}

/** `pod-2-1` or the host the sender sits on. */
function home(from: Sender): string {
  const [kind, n] = from.split('-');
  return kind === 'pod' ? from : `host node-${n}`;
}

describe.each(['iptables', 'ipvs', 'nftables', 'ebpf'] as const)('mode %s', (mode) => {
  describe.each([4, 6] as const)('IPv%s', (version) => {
    for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
      it.each(flows)(`${protocol}: $name`, (flow) => {
        const services = flow
          .services(version)
          .map((port) => ({ ...port, protocol: NUMBERS[protocol] }) as ServicePort);
        const cluster = new Cluster({ mode, services });
        const expected = (
          'output' in flow.expect ? flow.expect : (flow.expect[mode] ?? flow.expect.iptables)
        ) as Expected;
        const to = address(flow.to, version);
        const port = flow.port ?? 80;
        const from = address(flow.from, version);
        const opening =
          protocol === 'tcp'
            ? tcp(from, 4000, to, port, SYN)
            : protocol === 'sctp'
              ? sctp(from, 4000, to, port, 1)
              : udp(from, 4000, to, port);
        const there = send(cluster, flow.from, opening);
        const outputs = [expected.output].flat();
        if (outputs[0].startsWith('drop') || outputs[0].startsWith('host')) {
          expect(there.at, traceText(there)).toBe(outputs[0]);
          return;
        }
        if (outputs[0] === 'refused') {
          expectRefusal(there, flow.from, opening, version);
          return;
        }
        const arrived = new Packet();
        arrived.decode(there.frame);
        expect(outputs, traceText(there)).toContain(`${there.at}:${arrived.dstPort}`);
        const source = address(expected.source ?? flow.from, version);
        const backend = address(there.at, version);
        expect(there.seen).toBe(`${source}:${arrived.srcPort} -> ${backend}:8080`);
        if (source === from) expect(arrived.srcPort, 'a source that stays keeps its port').toBe(4000);

        // The answer must look as if the address that was asked had given it.
        const back = send(cluster, there.at, answerTo(there.frame));
        if (expected.answerIsLost) {
          const [, n] = there.at.split('-');
          expect(back).toMatchObject({ at: `host node-${n}`, seen: `${backend}:8080 -> ${from}:4000` });
          return;
        }
        expect(back, traceText(back)).toMatchObject({
          at: home(flow.from),
          seen: `${to}:${port} -> ${from}:4000`,
        });

        // And the flow goes on as it began.
        const more =
          protocol === 'tcp'
            ? tcp(from, 4000, to, port, ACK)
            : protocol === 'sctp'
              ? sctp(from, 4000, to, port, 10)
              : opening;
        expect(send(cluster, flow.from, more)).toMatchObject({ at: there.at, seen: there.seen });
      });
    }
  });

  it("takes a loopback source of the node's stack for the node itself", () => {
    const cluster = new Cluster({ mode, services: external(remote)(4) });
    const own = cluster.fromHost(1, tcp('127.0.0.1', 4000, '172.18.0.1', 30080, SYN));
    expect(own.seen, traceText(own)).toMatch(/^10\.244\.1\.1:\d+ -> 10\.244\.[23]\.5:8080$/);
    const back = send(cluster, own.at, answerTo(own.frame));
    expect(back).toMatchObject({ at: 'host node-1', seen: '172.18.0.1:30080 -> 127.0.0.1:4000' });
  });
});

function expectRefusal(there: Arrival, from: Sender, opening: Uint8Array, version: Version): void {
  expect(there.at, traceText(there)).toBe(home(from));
  expect(there.reason).toBe(158);
  const error = new Packet();
  error.decode(there.frame);
  expect([error.icmpType, error.icmpCode]).toEqual(version === 4 ? [3, 3] : [1, 4]);
  const quoted = new Packet();
  expect(quoted.decodeQuoted(there.frame, error.quoted, error.end)).toBe(0);
  const sent = new Packet();
  sent.decode(opening);
  // The client must recognize its own packet.
  expect(seenText(quoted)).toBe(seenText(sent));
}
