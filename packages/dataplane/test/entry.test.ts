/** What is let in at all: from pods, from the tunnel, from the host; and what is answered on the link. */

import { formatMac } from '@podwire/wire/address';
import { parseArp } from '@podwire/wire/arp';
import {
  buildArp,
  buildIp,
  buildNeighborSolicitation,
  buildTcp,
  buildUdp,
  buildVxlanPayload,
} from '@podwire/wire/build';
import { ETHERNET_HEADER_LENGTH, setEtherType } from '@podwire/wire/ethernet';
import { parseNeighborAdvertisement } from '@podwire/wire/ndp';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import { dropReasonText } from '../src/drop-reasons.ts';
import type { Outcome } from '../src/outcome.ts';
import { PacketTrace } from '../src/trace.ts';
import { Cluster, expectChecksums, GATEWAY, NODES, podAddress, SYN, setMacs, tcp, udp } from './cluster.ts';

const POD = NODES[0].pods[0];
const A = podAddress(1, 1, 4);
const A6 = podAddress(1, 1, 6);
const B = podAddress(2, 1, 4);

function pipeline() {
  return new Cluster({ mode: 'iptables' }).pipelines[0];
}

function ended(outcome: Outcome): string {
  return outcome.verdict === 'drop' ? `${outcome.reason} ${dropReasonText(outcome.reason)}` : outcome.verdict;
}

describe('a frame from a pod', () => {
  const good = (): Uint8Array =>
    buildTcp({ src: A, srcPort: 1, dst: B, dstPort: 2, flags: SYN, srcMac: POD.mac, dstMac: GATEWAY });
  const cases: { name: string; frame: () => Uint8Array; ends: string; endpoint?: number }[] = [
    { name: 'that is right', frame: good, ends: 'encap' },
    {
      name: 'of an endpoint that is not here',
      frame: good,
      endpoint: 9,
      ends: '203 Endpoint policy program not available',
    },
    {
      name: 'with the MAC of another pod',
      frame: () =>
        buildTcp({
          src: A,
          srcPort: 1,
          dst: B,
          dstPort: 2,
          flags: SYN,
          srcMac: NODES[0].pods[1].mac,
          dstMac: GATEWAY,
        }),
      ends: '130 Invalid source mac',
    },
    {
      name: 'with the address of another pod',
      frame: () =>
        buildTcp({
          src: podAddress(1, 2, 4),
          srcPort: 1,
          dst: B,
          dstPort: 2,
          flags: SYN,
          srcMac: POD.mac,
          dstMac: GATEWAY,
        }),
      ends: '132 Invalid source ip',
    },
    {
      name: 'with another IPv6 address',
      frame: () =>
        buildTcp({
          src: 'fd00::bad',
          srcPort: 1,
          dst: podAddress(2, 1, 6),
          dstPort: 2,
          flags: SYN,
          srcMac: POD.mac,
          dstMac: GATEWAY,
        }),
      ends: '132 Invalid source ip',
    },
    {
      name: 'to another MAC than the gateway',
      frame: () =>
        buildTcp({
          src: A,
          srcPort: 1,
          dst: B,
          dstPort: 2,
          flags: SYN,
          srcMac: POD.mac,
          dstMac: NODES[0].pods[1].mac,
        }),
      ends: '131 Invalid destination mac',
    },
    {
      name: 'to the tunnel port of anybody',
      frame: () => buildUdp({ src: A, srcPort: 1, dst: B, dstPort: 8472, srcMac: POD.mac, dstMac: GATEWAY }),
      ends: '170 Encapsulation traffic is prohibited',
    },
    {
      name: 'to a multicast group',
      frame: () =>
        buildUdp({
          src: A,
          srcPort: 1,
          dst: '224.0.0.251',
          dstPort: 5353,
          srcMac: POD.mac,
          dstMac: '01:00:5e:00:00:fb',
        }),
      ends: '151 Stale or unroutable IP',
    },
    {
      name: 'to the limited broadcast address',
      frame: () =>
        buildUdp({
          src: A,
          srcPort: 1,
          dst: '255.255.255.255',
          dstPort: 67,
          srcMac: POD.mac,
          dstMac: 'ff:ff:ff:ff:ff:ff',
        }),
      ends: '151 Stale or unroutable IP',
    },
    {
      name: 'that is neither IP nor ARP',
      frame: () => {
        const frame = good();
        setEtherType(frame, 0, 0x88cc);
        return frame;
      },
      ends: '139 Unsupported L3 protocol',
    },
    { name: 'cut inside its IP header', frame: () => good().slice(0, 30), ends: '134 Invalid packet' },
    { name: 'of no bytes', frame: () => new Uint8Array(0), ends: '134 Invalid packet' },
    {
      name: 'that answers a connection nobody opened',
      frame: () =>
        buildTcp({ src: A, srcPort: 1, dst: B, dstPort: 2, flags: 0x12, srcMac: POD.mac, dstMac: GATEWAY }),
      ends: '163 Unknown connection tracking state',
    },
    {
      name: 'of another transport protocol',
      frame: () =>
        buildIp({
          src: A,
          dst: B,
          protocol: 47,
          payload: new Uint8Array(8),
          srcMac: POD.mac,
          dstMac: GATEWAY,
        }),
      ends: 'encap',
    },
  ];
  it.each(cases)('$name: $ends', ({ frame, ends, endpoint }) => {
    const bytes = frame();
    const plain = pipeline();
    expect(ended(plain.fromPod(endpoint ?? 1, bytes, bytes.length))).toBe(ends);
    expect(plain.counters.drops.reduce((sum, count) => sum + count, 0)).toBe(ends === 'encap' ? 0 : 1);
    // A trace changes nothing, and says the same.
    const trace = new PacketTrace();
    expect(ended(pipeline().fromPod(endpoint ?? 1, bytes, bytes.length, trace))).toBe(ends);
    if (ends !== 'encap')
      expect(trace.steps.at(-1)).toMatchObject({
        verdict: 'drop',
        detail: { reason: Number(ends.slice(0, 3)) },
      });
  });

  it('of an unknown protocol is tracked by the kernel and dropped by Cilium', () => {
    const bytes = buildIp({
      src: A,
      dst: B,
      protocol: 47,
      payload: new Uint8Array(8),
      srcMac: POD.mac,
      dstMac: GATEWAY,
    });
    const ebpf = new Cluster({ mode: 'ebpf' }).pipelines[0];
    expect(ended(ebpf.fromPod(1, bytes, bytes.length))).toBe('137 CT: Unknown L4 protocol');
  });

  it('may be longer than its packet, and leaves without the padding', () => {
    const padded = new Uint8Array(200);
    padded.set(good());
    const outcome = pipeline().fromPod(1, padded, 60);
    expect(outcome.frame.length).toBe(8 + 14 + 40);
    const neighbour = new Uint8Array(60);
    neighbour.set(tcp(A, 1, podAddress(1, 2, 4), 2, SYN));
    setMacs(neighbour, POD.mac, GATEWAY);
    expect(pipeline().fromPod(1, neighbour, 60).frame.length).toBe(14 + 40);
  });
});

describe('a datagram from the tunnel', () => {
  const inner = (dst: string, over: { dstMac?: string } = {}): Uint8Array => {
    const frame = tcp(B, 1, dst, 2, SYN);
    setMacs(frame, NODES[1].mac, over.dstMac ?? NODES[0].mac);
    return frame;
  };
  const from = NODES[1].addresses[0];
  const flagless = buildVxlanPayload(1, inner(A));
  flagless[0] = 0;
  const otherFlags = buildVxlanPayload(1, inner(A));
  otherFlags[0] = 0xff;
  const cases: { name: string; datagram: Uint8Array; from?: string; ends: string }[] = [
    { name: 'that is right', datagram: buildVxlanPayload(1, inner(A)), ends: 'deliver' },
    { name: 'with reserved flags set too', datagram: otherFlags, ends: 'deliver' },
    { name: 'without the I flag', datagram: flagless, ends: '134 Invalid packet' },
    { name: 'shorter than the header', datagram: new Uint8Array(7), ends: '134 Invalid packet' },
    {
      name: 'without an inner frame',
      datagram: buildVxlanPayload(1, new Uint8Array(0)),
      ends: '134 Invalid packet',
    },
    { name: 'of another VNI', datagram: buildVxlanPayload(2, inner(A)), ends: '183 Incorrect VNI from VTEP' },
    {
      name: 'from nobody we know',
      datagram: buildVxlanPayload(1, inner(A)),
      from: '172.18.0.99',
      ends: '172 Unknown sender',
    },
    {
      name: 'from ourselves',
      datagram: buildVxlanPayload(1, inner(A)),
      from: NODES[0].addresses[0],
      ends: '172 Unknown sender',
    },
    {
      name: "for another node's VTEP",
      datagram: buildVxlanPayload(1, inner(A, { dstMac: NODES[2].mac })),
      ends: '131 Invalid destination mac',
    },
    {
      name: 'with ARP inside',
      datagram: buildVxlanPayload(
        1,
        withMacs(buildArp({ operation: 1, senderMac: NODES[1].mac, senderIp: B, targetIp: A })),
      ),
      ends: '139 Unsupported L3 protocol',
    },
    {
      name: 'for a pod address that no pod has',
      datagram: buildVxlanPayload(1, inner('10.244.1.99')),
      ends: 'reply',
    },
  ];
  it.each(cases)('$name: $ends', ({ datagram, from: source, ends }) => {
    const outcome = pipeline().fromUnderlay(datagram, datagram.length, source ?? from, new PacketTrace());
    expect(ended(outcome)).toBe(ends);
  });

  function withMacs(frame: Uint8Array): Uint8Array {
    setMacs(frame, NODES[1].mac, NODES[0].mac);
    return frame;
  }
});

describe('neighbours on the link', () => {
  it.each(['169.254.1.1', '10.244.1.1', '10.244.1.6'])(
    'ARP for %s is answered with the gateway MAC',
    (target) => {
      const request = buildArp({ operation: 1, senderMac: POD.mac, senderIp: A, targetIp: target });
      const outcome = pipeline().fromPod(1, request, request.length);
      expect([outcome.verdict, outcome.endpointId]).toEqual(['reply', 1]);
      const frame = outcome.frame;
      const arp = parseArp(frame, ETHERNET_HEADER_LENGTH, frame.length)!;
      expect([arp.operation, formatMac(arp.senderMac), formatMac(arp.targetMac)]).toEqual([
        2,
        GATEWAY,
        POD.mac,
      ]);
      expect([formatMac(frame, 0), formatMac(frame, 6)]).toEqual([POD.mac, GATEWAY]);
    },
  );

  it.each([
    ['a probe', '0.0.0.0', A],
    ['an announcement', A, A],
  ])('ARP %s gets no answer', (_name, senderIp, targetIp) => {
    const request = buildArp({ operation: 1, senderMac: POD.mac, senderIp, targetIp });
    expect(ended(pipeline().fromPod(1, request, request.length))).toBe('150 Unknown L3 target address');
  });

  it('ARP from a wrong MAC gets no answer', () => {
    const request = buildArp({
      operation: 1,
      senderMac: '02:00:00:00:00:99',
      senderIp: A,
      targetIp: '169.254.1.1',
    });
    expect(ended(pipeline().fromPod(1, request, request.length))).toBe('130 Invalid source mac');
  });

  it.each([
    ['its global address', A6],
    ['its link-local address', 'fe80::800:ff:fe00:101'],
  ])('a neighbour solicitation from %s is answered', (_name, src) => {
    const request = buildNeighborSolicitation({ srcMac: POD.mac, src, target: 'fe80::1' });
    const outcome = pipeline().fromPod(1, request, request.length);
    expect([outcome.verdict, outcome.endpointId]).toEqual(['reply', 1]);
    const packet = new Packet();
    expect(packet.decode(outcome.frame.slice())).toBe(0);
    expectChecksums(packet);
    expect(packet.ttl).toBe(255);
    const answer = parseNeighborAdvertisement(packet.frame, packet.l4, packet.end)!;
    expect([answer.router, answer.solicited, formatMac(answer.targetMac!)]).toEqual([true, true, GATEWAY]);
  });

  it('duplicate address detection gets no answer', () => {
    const request = buildNeighborSolicitation({ srcMac: POD.mac, src: '::', target: A6 });
    expect(ended(pipeline().fromPod(1, request, request.length))).toBe('150 Unknown L3 target address');
  });

  it("the host's questions are answered to the host", () => {
    const request = buildArp({
      operation: 1,
      senderMac: NODES[0].mac,
      senderIp: '10.244.1.1',
      targetIp: '169.254.1.1',
    });
    const outcome = pipeline().fromHost(request, request.length);
    expect([outcome.verdict, formatMac(outcome.frame, 0)]).toEqual(['host', NODES[0].mac]);
  });
});

describe('the host', () => {
  it('has no groups to talk to', () => {
    const cluster = new Cluster({ mode: 'iptables' });
    expect(cluster.fromHost(1, udp('10.244.1.1', 1, '224.0.0.251', 5353)).at).toBe('drop 151');
    expect(cluster.fromHost(1, udp('fd00:10:244:1::1', 1, 'ff02::fb', 5353)).at).toBe('drop 151');
  });

  it.each([4, 6] as const)('reaches pods here and elsewhere, and is reached, IPv%s', (version) => {
    const cluster = new Cluster({ mode: 'iptables' });
    const own = version === 4 ? NODES[0].gateway.v4 : NODES[0].gateway.v6;
    const probe = cluster.fromHost(1, tcp(own, 1000, podAddress(1, 1, version), 80, SYN));
    // What a node sends itself, it does not route.
    expect(probe).toMatchObject({ at: 'pod-1-1', ttl: 64 });
    expect(cluster.fromHost(1, tcp(own, 1001, podAddress(2, 1, version), 80, SYN))).toMatchObject({
      at: 'pod-2-1',
      ttl: 63,
    });
    const address = NODES[0].addresses[version === 4 ? 0 : 1];
    expect(cluster.fromPod(1, 1, udp(podAddress(1, 1, version), 1, address, 10250))).toMatchObject({
      at: 'host node-1',
      ttl: 64,
    });
    expect(cluster.fromPod(2, 1, udp(podAddress(2, 1, version), 1, address, 10250))).toMatchObject({
      at: 'host node-1',
      ttl: 63,
    });
    expect(cluster.fromPod(1, 1, udp(podAddress(1, 1, version), 1, own, 53)).at).toBe('host node-1');
    const outside = version === 4 ? '192.0.2.1' : '2001:db8::1';
    expect(cluster.fromPod(1, 1, udp(podAddress(1, 1, version), 1, outside, 53)).at).toBe('host node-1');
  });
});
