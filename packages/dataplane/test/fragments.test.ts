/** Fragments in and fragments out. */

import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { readU16 } from '@podwire/wire/big-endian';
import { buildUdp } from '@podwire/wire/build';
import {
  fillIpv4Checksum,
  setIpv4Fragment,
  setIpv4TotalLength,
  verifyIpv4Checksum,
} from '@podwire/wire/ipv4';
import { Packet } from '@podwire/wire/packet';
import { verifyTransportChecksum } from '@podwire/wire/transport-checksum';
import { describe, expect, it } from 'vitest';
import { FragmentCache } from '../src/fragment-cache.ts';
import { Fragmenter } from '../src/fragmenter.ts';
import { PacketTrace } from '../src/trace.ts';
import { Cluster, endpoint, GATEWAY, NODES, podAddress, seenText, service, setMacs } from './cluster.ts';

const A = podAddress(1, 1, 4);
const B = podAddress(2, 1, 4);
const VIP = '10.96.0.9';
const PAYLOAD = Uint8Array.from({ length: 3000 }, (_, i) => i * 7);

/** Cuts the IPv4 packet of a frame into fragments of at most `mtu` bytes. */
function cut(frame: Uint8Array, mtu: number): Uint8Array[] {
  const fragmenter = new Fragmenter();
  const packet = new Packet();
  expect(packet.decode(frame)).toBe(0);
  fragmenter.load(frame, packet.l3, packet.headerLength, packet.totalLength, mtu);
  const pieces: Uint8Array[] = [];
  while (fragmenter.hasMore) {
    const piece = new Uint8Array(2000).fill(0xa5);
    piece.set(frame.subarray(0, 14));
    const size = fragmenter.next(piece, 14);
    pieces.push(piece.slice(0, 14 + size));
  }
  return pieces;
}

/** Puts fragments of one packet together again, however they are ordered. */
function reassemble(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(70_000);
  let end = 0;
  let header = 0;
  for (const piece of pieces) {
    const packet = new Packet();
    expect(packet.decode(piece)).toBe(0);
    expect(verifyIpv4Checksum(piece, packet.l3), 'header checksum of a fragment').toBe(true);
    header = packet.headerLength;
    const data = piece.subarray(packet.l3 + header, packet.end);
    whole.set(data, 14 + header + packet.fragmentOffset);
    end = Math.max(end, 14 + header + packet.fragmentOffset + data.length);
    if (packet.fragmentOffset === 0) whole.set(piece.subarray(0, 14 + header));
  }
  const result = whole.slice(0, end);
  setIpv4Fragment(result, 14, 0, false);
  setIpv4TotalLength(result, 14, end - 14);
  fillIpv4Checksum(result, 14);
  return result;
}

const datagram = (src: string, dst: string, over: { dontFragment?: boolean } = {}): Uint8Array =>
  buildUdp({
    src,
    srcPort: 4000,
    dst,
    dstPort: 80,
    payload: PAYLOAD,
    dontFragment: false,
    identification: 99,
    ...over,
  });

describe('out', () => {
  it('a packet too big for the tunnel is cut before it is encapsulated', () => {
    const cluster = new Cluster({ mode: 'iptables' });
    const [pipeline] = cluster.pipelines;
    const frame = datagram(A, B);
    setMacs(frame, NODES[0].pods[0].mac, GATEWAY);
    const trace = new PacketTrace();
    const pieces: Uint8Array[] = [];
    const ports = new Set<number>();
    for (
      let outcome: ReturnType<typeof pipeline.nextFragment> = pipeline.fromPod(1, frame, frame.length, trace);
      outcome !== undefined;
      outcome = pipeline.nextFragment()
    ) {
      expect(outcome.verdict).toBe('encap');
      expect(outcome.more).toBe(pieces.length < 2);
      expect(outcome.frame.length).toBeLessThanOrEqual(8 + 14 + 1450);
      pieces.push(outcome.frame.slice(8));
      ports.add(outcome.sourcePort);
    }
    expect(pieces.map((piece) => piece.length - 14)).toEqual([1444, 1444, 180]);
    expect(ports.size, 'all pieces travel as one flow').toBe(1);
    const whole = reassemble(pieces);
    const packet = new Packet();
    expect(packet.decode(whole)).toBe(0);
    expect(packet.ttl).toBe(63);
    expect(verifyTransportChecksum(whole, 4, packet.l3, packet.protocol, packet.l4, packet.end)).toBe(true);
    expect(whole.slice(-PAYLOAD.length)).toEqual(PAYLOAD);
    expect(pipeline.counters.verdicts.encap).toBe(3);
    expect(trace.steps.find((step) => step.stage === 'encap')!.text).toContain(
      'in fragments of at most 1450 bytes',
    );
    expect(pipeline.nextFragment()).toBeUndefined();
  });

  it('the next packet makes what was left of one forgotten', () => {
    const [pipeline] = new Cluster({ mode: 'iptables' }).pipelines;
    const frame = datagram(A, B);
    setMacs(frame, NODES[0].pods[0].mac, GATEWAY);
    expect(pipeline.fromPod(1, frame, frame.length).more).toBe(true);
    pipeline.fromPod(1, new Uint8Array(3), 3);
    expect(pipeline.nextFragment()).toBeUndefined();
  });

  it('a fragment is cut again, and the last piece alone ends the packet', () => {
    const [first, last] = cut(datagram(A, B), 1600);
    const again = [...cut(first, 600), ...cut(last, 600)];
    const flags = again.map((piece) => readU16(piece, 20) & 0x2000);
    expect(flags.slice(0, -1).every((flag) => flag !== 0)).toBe(true);
    expect(flags.at(-1)).toBe(0);
    const whole = reassemble(again);
    expect(whole.slice(-PAYLOAD.length)).toEqual(PAYLOAD);
  });

  it('options without the copied flag go with the first piece only', () => {
    const options = [0x07, 0x04, 0x04, 0x00, 0x94, 0x04, 0x00, 0x00]; // record route (7), router alert (148)
    const plain = datagram(A, B);
    const frame = new Uint8Array(plain.length + options.length);
    frame.set(plain.subarray(0, 34));
    frame.set(options, 34);
    frame.set(plain.subarray(34), 34 + options.length);
    frame[14] = 0x47;
    setIpv4TotalLength(frame, 14, frame.length - 14);
    fillIpv4Checksum(frame, 14);
    const [first, second] = cut(frame, 1450);
    expect([...first.subarray(34, 42)]).toEqual(options);
    expect([...second.subarray(34, 42)]).toEqual([1, 1, 1, 1, 0x94, 0x04, 0x00, 0x00]);
    expect(reassemble([first, second, ...cut(frame, 1450).slice(2)]).slice(-PAYLOAD.length)).toEqual(PAYLOAD);
  });
});

describe.each(['iptables', 'ebpf'] as const)('in, mode %s', (mode) => {
  const services = [service({ protocol: 17, endpoints: [endpoint(2, 1, 8080, 4), endpoint(3, 1, 8080, 4)] })];

  it('later fragments of a datagram to a Service follow the first, and so do those of the answer', () => {
    const cluster = new Cluster({ mode, services });
    const arrived = cut(datagram(A, VIP), 1400).map((piece) => cluster.fromPod(1, 1, piece));
    const [{ at }] = arrived;
    expect(new Set(arrived.map((each) => each.at))).toEqual(new Set([at]));
    const whole = reassemble(arrived.map((each) => each.frame));
    const packet = new Packet();
    expect(packet.decode(whole)).toBe(0);
    const backend = podAddress(Number(at.split('-')[1]), 1, 4);
    expect(seenText(packet)).toBe(`${A}:4000 -> ${backend}:8080`);
    expect(verifyTransportChecksum(whole, 4, packet.l3, 17, packet.l4, packet.end)).toBe(true);

    const answer = buildUdp({
      src: backend,
      srcPort: 8080,
      dst: A,
      dstPort: 4000,
      payload: PAYLOAD,
      dontFragment: false,
      identification: 5,
    });
    const back = cut(answer, 1400).map((piece) => cluster.fromPod(Number(at.split('-')[1]), 1, piece));
    expect(back.map((each) => each.at)).toEqual(back.map(() => 'pod-1-1'));
    const answered = reassemble(back.map((each) => each.frame));
    expect(packet.decode(answered)).toBe(0);
    expect(seenText(packet)).toBe(`${VIP}:80 -> ${A}:4000`);
    expect(verifyTransportChecksum(answered, 4, packet.l3, 17, packet.l4, packet.end)).toBe(true);
  });

  it('a fragment that overtakes its first one is dropped, and the first one is not', () => {
    const cluster = new Cluster({ mode, services });
    const [first, second] = cut(datagram(A, VIP), 1400);
    expect(cluster.fromPod(1, 1, second).at).toBe('drop 175');
    expect(cluster.fromPod(1, 1, first).at).toMatch(/^pod/);
    expect(cluster.fromPod(1, 1, second).at).toMatch(/^pod/);
    cluster.nowMs += 30_000;
    expect(cluster.fromPod(1, 1, second).at).toBe('drop 175');
  });
});

describe('the fragment cache', () => {
  it('keeps to its size, the oldest datagram going first, against a naive twin', () => {
    const random = seededRandom32(3);
    const cache = new FragmentCache(16);
    const twin: { id: number; port: number }[] = [];
    const packet = new Packet();
    const frame = datagram(A, B);
    for (let step = 0; step < 3000; step++) {
      expect(packet.decode(frame)).toBe(0);
      const id = random() % 40;
      packet.identification = id;
      packet.srcPort = random() % 65_536;
      const known = twin.find((entry) => entry.id === id);
      if (random() % 2 === 0) {
        cache.remember(packet, 0);
        if (known) known.port = packet.srcPort;
        else twin.push({ id, port: packet.srcPort });
        if (twin.length > 16) twin.shift();
      } else {
        expect(cache.recall(packet, 1)).toBe(known !== undefined);
        if (known) expect(packet.srcPort).toBe(known.port);
      }
      expect(cache.size).toBe(twin.length);
    }
  });
});
