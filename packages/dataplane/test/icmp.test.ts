/** Errors the node makes, and errors that travel through translated flows. */

import { readU16, readU32, writeU16 } from '@podwire/wire/big-endian';
import { buildIcmpEcho, buildIcmpError, buildTcp, buildUdp } from '@podwire/wire/build';
import { fillIpv4Checksum } from '@podwire/wire/ipv4';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
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
  seenText,
  service,
  tcp,
  traceText,
  udp,
} from './cluster.ts';

/** What an ICMP error says: where it comes from, type and code, the quoted packet. */
function errorText(arrived: Arrival): {
  from: string;
  kind: string;
  about: string;
  mtu: number;
  ttl: number;
} {
  const packet = new Packet();
  expect(packet.decode(arrived.frame)).toBe(0);
  expect(packet.quoted, `an ICMP error arrived, not ${arrived.seen}`).toBeGreaterThan(0);
  const quoted = new Packet();
  expect(quoted.decodeQuoted(packet.frame, packet.quoted, packet.end)).toBe(0);
  const mtu =
    packet.version === 4 ? readU16(packet.frame, packet.l4 + 6) : readU32(packet.frame, packet.l4 + 4);
  return {
    from: arrived.seen.split(' -> ')[0],
    kind: `${packet.icmpType}/${packet.icmpCode}`,
    about: seenText(quoted),
    mtu,
    ttl: quoted.ttl,
  };
}

describe.each(['iptables', 'ebpf'] as const)('mode %s', (mode) => {
  describe.each([4, 6] as const)('IPv%s', (version) => {
    const a = podAddress(1, 1, version);
    const b = podAddress(2, 1, version);
    const gateway = (n: number): string =>
      version === 4 ? NODES[n - 1].gateway.v4 : NODES[n - 1].gateway.v6;
    const vip = version === 4 ? '10.96.0.9' : 'fd00:10:96::9';
    const services = [service({ version, nodePort: 30080, endpoints: [endpoint(2, 1, 8080, version)] })];

    it('TTL: each routing node takes one and says when it runs out', () => {
      const cluster = new Cluster({ mode });
      const first = cluster.fromPod(1, 1, buildUdp({ src: a, srcPort: 1, dst: b, dstPort: 33434, ttl: 1 }));
      expect(first).toMatchObject({ at: 'pod-1-1', reason: 196 });
      const kind = version === 4 ? '11/0' : '3/0';
      expect(errorText(first)).toMatchObject({
        from: `${gateway(1)}:0`,
        kind,
        about: `${a}:1 -> ${b}:33434`,
        ttl: 1,
      });
      const second = cluster.fromPod(1, 1, buildUdp({ src: a, srcPort: 2, dst: b, dstPort: 33434, ttl: 2 }));
      expect(second.at, traceText(second)).toBe('pod-1-1');
      expect(errorText(second)).toMatchObject({
        from: `${gateway(2)}:0`,
        kind,
        about: `${a}:2 -> ${b}:33434`,
        ttl: 1,
      });
      expect(
        cluster.fromPod(1, 1, buildUdp({ src: a, srcPort: 3, dst: b, dstPort: 33434, ttl: 3 })),
      ).toMatchObject({ at: 'pod-2-1', ttl: 1 });
    });

    it('size: what may not be fragmented is refused with the MTU of the tunnel', () => {
      const cluster = new Cluster({ mode, services });
      const header = version === 4 ? 20 : 40;
      const send = (size: number, dst = b) =>
        cluster.fromPod(
          1,
          1,
          buildUdp({ src: a, srcPort: 1, dst, dstPort: 80, payload: new Uint8Array(size - header - 8) }),
        );
      expect(send(1450).at).toBe('pod-2-1');
      const refused = send(1451);
      expect(refused).toMatchObject({ at: 'pod-1-1', reason: 136 });
      expect(errorText(refused)).toMatchObject({
        from: `${gateway(1)}:0`,
        kind: version === 4 ? '3/4' : '2/0',
        about: `${a}:1 -> ${b}:80`,
        mtu: 1450,
      });
      // On one node there is no tunnel.
      expect(send(1500, podAddress(1, 2, version)).at).toBe('pod-1-2');
    });

    it('size through a Service: the error quotes the packet as the client sent it', () => {
      const cluster = new Cluster({ mode, services });
      const opening = buildTcp({ src: a, srcPort: 4000, dst: vip, dstPort: 80, flags: SYN });
      expect(cluster.fromPod(1, 1, opening).at).toBe('pod-2-1');
      const big = buildTcp({
        src: a,
        srcPort: 4000,
        dst: vip,
        dstPort: 80,
        flags: SYN,
        payload: new Uint8Array(1500),
      });
      const refused = cluster.fromPod(1, 1, big);
      expect(errorText(refused)).toMatchObject({ about: `${a}:4000 -> ${vip}:80`, mtu: 1450 });
    });

    it('an address of the node that no pod holds is unreachable', () => {
      const cluster = new Cluster({ mode });
      const nobody = version === 4 ? '10.244.1.99' : 'fd00:10:244:1::99';
      const refused = cluster.fromPod(1, 1, udp(a, 1, nobody, 2));
      expect(errorText(refused)).toMatchObject({
        kind: version === 4 ? '3/1' : '1/3',
        about: `${a}:1 -> ${nobody}:2`,
      });
      const far = version === 4 ? '10.244.2.99' : 'fd00:10:244:2::99';
      const away = cluster.fromPod(1, 1, udp(a, 1, far, 2));
      expect(away.at).toBe('pod-1-1');
      expect(errorText(away)).toMatchObject({ from: `${gateway(2)}:0`, about: `${a}:1 -> ${far}:2` });
    });

    // backend: port unreachable; client: must see its own packet, to the Service, from the Service.
    it('an error of the backend comes back as if the Service had sent it', () => {
      const dns = services.map((port) => ({ ...port, protocol: 17 as const }));
      const cluster = new Cluster({ mode, services: dns });
      const question = udp(a, 4000, vip, 80);
      const there = cluster.fromPod(1, 1, question);
      expect(there.seen).toBe(`${a}:4000 -> ${b}:8080`);
      const [type, code] = version === 4 ? [3, 3] : [1, 4];
      const back = cluster.fromPod(2, 1, buildIcmpError({ about: there.frame, src: b, type, code }));
      expect(back.at, traceText(back)).toBe('pod-1-1');
      expect(errorText(back)).toMatchObject({
        from: `${vip}:0`,
        kind: `${type}/${code}`,
        about: `${a}:4000 -> ${vip}:80`,
      });
      expect(back.seen).toBe(`${vip}:0 -> ${a}:0`);
    });

    it('an error of the backend finds its way through a masqueraded NodePort flow', () => {
      const dns = services.map((port) => ({ ...port, protocol: 17 as const }));
      const cluster = new Cluster({ mode, services: dns });
      const client = version === 4 ? CLIENT_OUTSIDE : CLIENT_OUTSIDE_6;
      const node = NODES[0].addresses[version === 4 ? 0 : 1];
      const there = cluster.fromHost(1, udp(client, 4000, node, 30080));
      expect(there.at).toBe('pod-2-1');
      const [type, code] = version === 4 ? [3, 3] : [1, 4];
      const back = cluster.fromPod(2, 1, buildIcmpError({ about: there.frame, src: b, type, code }));
      expect(back.at, traceText(back)).toBe('host node-1');
      expect(errorText(back)).toMatchObject({ from: `${node}:0`, about: `${client}:4000 -> ${node}:30080` });
      expect(back.seen).toBe(`${node}:0 -> ${client}:0`);
    });

    it('a router on the way to a backend is hidden behind the Service', () => {
      const dns = services.map((port) => ({ ...port, protocol: 17 as const }));
      const cluster = new Cluster({ mode, services: dns });
      const there = cluster.fromPod(1, 1, buildUdp({ src: a, srcPort: 4000, dst: vip, dstPort: 80, ttl: 2 }));
      // Node 2 answers: the TTL ran out there.
      expect(there.at, traceText(there)).toBe('pod-1-1');
      expect(errorText(there)).toMatchObject({ from: `${vip}:0`, about: `${a}:4000 -> ${vip}:80` });
    });

    it('an error about nothing known, or with a broken checksum, is dropped', () => {
      const cluster = new Cluster({ mode });
      const [type, code] = version === 4 ? [3, 3] : [1, 4];
      const stray = buildIcmpError({ about: udp(b, 1, a, 2), src: a, type, code });
      expect(cluster.fromPod(1, 1, stray).at).toBe('drop 163');
      const there = cluster.fromPod(1, 1, udp(a, 1, b, 2));
      const back = buildIcmpError({ about: there.frame, src: b, type, code });
      expect(cluster.fromPod(2, 1, back).at).toBe('pod-1-1');
      const broken = back.slice();
      broken[broken.length - 1] ^= 1;
      expect(cluster.fromPod(2, 1, broken).at).toBe('drop 163');
    });

    it('echo goes there and back, and an answer nobody asked for is dropped', () => {
      const cluster = new Cluster({ mode });
      const there = cluster.fromPod(1, 1, buildIcmpEcho({ src: a, dst: b, id: 77, sequence: 1 }));
      expect(there.seen).toBe(`${a}:77 -> ${b}:77`);
      const back = cluster.fromPod(2, 1, buildIcmpEcho({ src: b, dst: a, id: 77, sequence: 1, reply: true }));
      expect(back.at).toBe('pod-1-1');
      expect(
        cluster.fromPod(2, 1, buildIcmpEcho({ src: b, dst: a, id: 78, sequence: 1, reply: true })).at,
      ).toBe('drop 163');
    });
  });

  it('sends at most a burst of fifty errors at once, then a thousand a second; "fragmentation needed" always', () => {
    const cluster = new Cluster({ mode });
    const [pipeline] = cluster.pipelines;
    const a = podAddress(1, 1, 4);
    const errors = (count: number): number => {
      let sent = 0;
      for (let i = 0; i < count; i++)
        if (cluster.fromPod(1, 1, udp(a, 1, '10.244.1.99', 2)).at !== 'drop 164') sent++;
      return sent;
    };
    expect(errors(80)).toBe(50);
    expect(pipeline.counters.errorsSuppressed).toBe(30);
    cluster.nowMs += 10;
    expect(errors(80)).toBe(10);
    const big = buildUdp({
      src: a,
      srcPort: 1,
      dst: podAddress(2, 1, 4),
      dstPort: 2,
      payload: new Uint8Array(1500),
    });
    expect(cluster.fromPod(1, 1, big)).toMatchObject({ at: 'pod-1-1', reason: 136 });
  });

  it('makes no error about an error', () => {
    const cluster = new Cluster({ mode });
    const a = podAddress(1, 1, 4);
    const b = podAddress(2, 1, 4);
    const there = cluster.fromPod(1, 1, udp(a, 1, b, 2));
    const error = buildIcmpError({ about: there.frame, src: b, type: 3, code: 3 });
    error[14 + 8] = 1;
    // TTL 1 with its header checksum put right.
    const checksum = readU16(error, 24) + (63 << 8);
    error[24] = ((checksum & 0xffff) + (checksum >>> 16)) >>> 8;
    error[25] = ((checksum & 0xffff) + (checksum >>> 16)) & 0xff;
    expect(cluster.fromPod(2, 1, error).at).toBe('drop 196');
  });

  it('makes no error about a later fragment', () => {
    const cluster = new Cluster({ mode });
    const fragment = (offset: number, flags: number, ttl: number): Uint8Array => {
      const frame = buildUdp({
        src: podAddress(1, 1, 4),
        srcPort: 1,
        dst: podAddress(2, 1, 4),
        dstPort: 2,
        ttl,
        payload: new Uint8Array(64),
      });
      writeU16(frame, 20, flags | (offset >>> 3));
      fillIpv4Checksum(frame, 14);
      return frame;
    };
    expect(cluster.fromPod(1, 1, fragment(0, 0x2000, 1)).at).toBe('pod-1-1');
    expect(cluster.fromPod(1, 1, fragment(72, 0, 1)).at).toBe('drop 196');
  });

  it('keeps to the flow after an error', () => {
    const services = [service({ endpoints: [endpoint(2, 1, 8080, 4), endpoint(3, 1, 8080, 4)] })];
    const cluster = new Cluster({ mode, services });
    const a = podAddress(1, 1, 4);
    const there = cluster.fromPod(1, 1, tcp(a, 4000, '10.96.0.9', 80, SYN));
    cluster.fromPod(Number(there.at.split('-')[1]), 1, answerTo(there.frame));
    expect(cluster.fromPod(1, 1, tcp(a, 4000, '10.96.0.9', 80, ACK)).at).toBe(there.at);
  });
});
