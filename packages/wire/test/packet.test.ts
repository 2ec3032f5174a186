import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddressWords } from '../src/address.ts';
import { ARP_REQUEST } from '../src/arp.ts';
import {
  buildArp,
  buildIcmpEcho,
  buildIcmpError,
  buildIp,
  buildNeighborSolicitation,
  buildSctp,
  buildTcp,
  buildUdp,
} from '../src/build.ts';
import { icmpErrorFor, mayTriggerIcmpError } from '../src/icmp-error.ts';
import { fillIpv4Checksum, setIpv4Fragment } from '../src/ipv4.ts';
import {
  DECODE_ETHERNET_TRUNCATED,
  DECODE_FRAGMENT,
  DECODE_ICMP,
  DECODE_IP_HEADER_LENGTH,
  DECODE_IP_TOTAL_LENGTH,
  DECODE_IP_TRUNCATED,
  DECODE_IP_VERSION,
  DECODE_IPV6_EXTENSION,
  DECODE_OK,
  DECODE_SCTP,
  DECODE_TCP,
  DECODE_UDP,
  decodeResultText,
  Packet,
} from '../src/packet.ts';
import { TCP_ACK, TCP_SYN } from '../src/tcp.ts';
import { bytesLike } from './arbitraries.ts';
import { hex } from './hex.ts';

const v4 = { src: '10.244.1.5', dst: '10.96.0.9' };
const v6 = { src: 'fd00:10:244::5', dst: 'fd00:10:96::9' };
const tcp4 = buildTcp({
  ...v4,
  srcPort: 41822,
  dstPort: 80,
  flags: TCP_SYN,
  sequence: 1,
  ttl: 63,
  options: { maxSegmentSize: 1410 },
});
const udp6 = buildUdp({ ...v6, srcPort: 5000, dstPort: 53, payload: 'query' });

function decoded(frame: Uint8Array): Packet {
  const packet = new Packet();
  expect(decodeResultText(packet.decode(frame))).toBe('well formed');
  return packet;
}

function resultOf(frame: Uint8Array, length?: number): number {
  return new Packet().decode(frame, length);
}

// The frame with some bytes replaced.
function changed(frame: Uint8Array, changes: Record<number, number>): Uint8Array {
  const copy = frame.slice();
  for (const [at, value] of Object.entries(changes)) copy[Number(at)] = value;
  return copy;
}

describe('Packet.decode', () => {
  it('decodes TCP over IPv4', () => {
    const p = decoded(tcp4);
    expect(p).toMatchObject({
      etherType: 0x0800,
      l3: 14,
      version: 4,
      headerLength: 20,
      protocol: 6,
      ttl: 63,
      totalLength: 44,
      end: 58,
      fragmentOffset: 0,
      moreFragments: false,
      dontFragment: true,
      src0: 0,
      src1: 0,
      src2: 0xffff,
      src3: 0x0af40105,
      dst2: 0xffff,
      dst3: 0x0a600009,
      l4: 34,
      payload: 58,
      srcPort: 41822,
      dstPort: 80,
      tcpFlags: TCP_SYN,
      icmpType: -1,
      quoted: -1,
    });
  });

  it('decodes UDP over IPv6', () => {
    const p = decoded(udp6);
    expect(p).toMatchObject({
      version: 6,
      headerLength: 40,
      protocol: 17,
      totalLength: 53,
      l4: 54,
      payload: 62,
    });
    expect(p).toMatchObject({ srcPort: 5000, dstPort: 53, dontFragment: true });
    expect(formatAddressWords(p.src0, p.src1, p.src2, p.src3)).toBe(v6.src);
    expect(formatAddressWords(p.dst0, p.dst1, p.dst2, p.dst3)).toBe(v6.dst);
  });

  it('puts the echo id into both ports', () => {
    for (const ends of [v4, v6]) {
      const p = decoded(buildIcmpEcho({ ...ends, id: 0xabcd, sequence: 7, payload: 'hello' }));
      expect(p).toMatchObject({
        srcPort: 0xabcd,
        dstPort: 0xabcd,
        icmpType: ends === v4 ? 8 : 128,
        icmpCode: 0,
      });
    }
  });

  it('decodes SCTP ports, and other protocols without a transport header', () => {
    const sctp = buildSctp({
      ...v4,
      srcPort: 9003,
      dstPort: 9005,
      verificationTag: 1,
      chunks: hex('0b000004'),
    });
    expect(decoded(sctp)).toMatchObject({ srcPort: 9003, dstPort: 9005, l4: 34, payload: 46 });
    const esp = buildIp({ ...v4, protocol: 50, payload: new Uint8Array(30) });
    expect(decoded(esp)).toMatchObject({ protocol: 50, l4: -1, srcPort: 0 });
    // ICMP of the other version is just a protocol number.
    expect(decoded(buildIp({ ...v4, protocol: 58, payload: hex('80') }))).toMatchObject({
      l4: -1,
      icmpType: -1,
    });
  });

  it('leaves ARP and others to their parsers', () => {
    const arp = buildArp({
      operation: ARP_REQUEST,
      senderMac: '0a:58:0a:f4:01:05',
      senderIp: '10.244.1.5',
      targetIp: '169.254.1.1',
    });
    expect(decoded(arp)).toMatchObject({ l3: -1, version: 0, etherType: 0x0806 });
  });

  it('allows padding behind the IP packet, and a buffer longer than the frame', () => {
    const padded = new Uint8Array(100);
    padded.set(tcp4);
    expect(resultOf(padded)).toBe(DECODE_OK);
    expect(decoded(padded)).toMatchObject({ length: 100, end: 58 });
    expect(resultOf(padded, 58)).toBe(DECODE_OK);
    expect(resultOf(padded, 57)).toBe(DECODE_IP_TOTAL_LENGTH);
    expect(resultOf(padded, 101)).toBe(DECODE_ETHERNET_TRUNCATED);
  });

  it('forgets the packet before', () => {
    const p = new Packet();
    p.decode(buildIcmpError({ about: tcp4, src: '10.0.0.1', type: 3, code: 3 }));
    expect(p.quoted).toBe(42);
    p.decode(udp6);
    expect(p).toMatchObject({ icmpType: -1, icmpCode: -1, quoted: -1, tcpFlags: 0 });
    p.decode(tcp4);
    p.decode(buildIp({ ...v4, protocol: 50, payload: new Uint8Array(0) }));
    expect(p).toMatchObject({ l4: -1, payload: -1, srcPort: 0, dstPort: 0, tcpFlags: 0 });
    p.decode(hex('00'));
    expect(p).toMatchObject({ l3: -1, version: 0 });
  });

  it('reads fragments of both versions', () => {
    const later = buildIp({
      ...v4,
      protocol: 17,
      payload: new Uint8Array(11),
      identification: 77,
      dontFragment: false,
    });
    setIpv4Fragment(later, 14, 1480, false);
    fillIpv4Checksum(later, 14);
    expect(decoded(later)).toMatchObject({
      fragmentOffset: 1480,
      moreFragments: false,
      l4: -1,
      srcPort: 0,
      identification: 77,
    });
    const first = buildIp({ ...v4, protocol: 17, payload: hex('1388 0035 2000 0000 6162636465666768') });
    setIpv4Fragment(first, 14, 0, true);
    expect(decoded(first)).toMatchObject({ moreFragments: true, l4: 34, srcPort: 5000, dstPort: 53 });

    const later6 = buildIp({ ...v6, protocol: 44, payload: hex('11 00 05a8 cafebabe 6162') });
    expect(decoded(later6)).toMatchObject({
      protocol: 17,
      fragmentOffset: 1448,
      headerLength: 48,
      l4: -1,
      identification: 0xcafebabe,
    });
    const first6 = buildIp({ ...v6, protocol: 44, payload: hex('11 00 0001 cafebabe 1388 0035 2000 0000') });
    expect(decoded(first6)).toMatchObject({ protocol: 17, moreFragments: true, l4: 62, srcPort: 5000 });
  });

  it('finds the transport behind extension headers', () => {
    const frame = buildIp({ ...v6, protocol: 60, payload: hex('11 00 0104 00000000 1388 0035 0008 0000') });
    expect(decoded(frame)).toMatchObject({ protocol: 17, headerLength: 48, l4: 62, srcPort: 5000 });
  });

  const short = (protocol: number, text: string, ends = v4) =>
    buildIp({ ...ends, protocol, payload: hex(text) });
  it.each([
    ['an empty frame', new Uint8Array(0), DECODE_ETHERNET_TRUNCATED],
    ['13 bytes', tcp4.subarray(0, 13), DECODE_ETHERNET_TRUNCATED],
    ['an IPv4 header cut', tcp4.subarray(0, 33), DECODE_IP_TRUNCATED],
    ['an IPv6 header cut', udp6.subarray(0, 53), DECODE_IP_TRUNCATED],
    ['version 6 in an IPv4 frame', changed(tcp4, { 14: 0x65 }), DECODE_IP_VERSION],
    ['version 4 in an IPv6 frame', changed(udp6, { 14: 0x45 }), DECODE_IP_VERSION],
    ['IHL 4', changed(tcp4, { 14: 0x44 }), DECODE_IP_HEADER_LENGTH],
    ['IHL past the frame', changed(tcp4, { 14: 0x4f }), DECODE_IP_HEADER_LENGTH],
    ['total length below IHL', changed(tcp4, { 14: 0x46, 17: 20 }), DECODE_IP_TOTAL_LENGTH],
    ['total length past the frame', changed(tcp4, { 17: 45 }), DECODE_IP_TOTAL_LENGTH],
    ['IPv6 payload past the frame', changed(udp6, { 19: 14 }), DECODE_IP_TOTAL_LENGTH],
    ['an extension header cut', short(60, '1100', v6), DECODE_IPV6_EXTENSION],
    ['a fragment past 65535', changed(short(17, '00'.repeat(8)), { 20: 0x1f, 21: 0xff }), DECODE_FRAGMENT],
    [
      'a middle fragment of odd size',
      changed(short(17, '00'.repeat(9)), { 20: 0x20, 21: 1 }),
      DECODE_FRAGMENT,
    ],
    ['TCP of 19 bytes', short(6, '00'.repeat(19)), DECODE_TCP],
    ['TCP data offset 4', changed(tcp4, { 46: 0x40 }), DECODE_TCP],
    ['TCP data offset past the segment', changed(tcp4, { 46: 0x70 }), DECODE_TCP],
    ['a tiny first fragment of TCP', changed(short(6, '00'.repeat(16)), { 20: 0x20 }), DECODE_TCP],
    ['UDP of 7 bytes', short(17, '00'.repeat(7)), DECODE_UDP],
    ['UDP length 7', short(17, '0001 0002 0007 0000'), DECODE_UDP],
    ['UDP length past the packet', short(17, '0001 0002 0009 0000'), DECODE_UDP],
    ['ICMP of 7 bytes', short(1, '08000000000000'), DECODE_ICMP],
    ['ICMPv6 of 7 bytes', short(58, '80000000000000', v6), DECODE_ICMP],
    ['SCTP of 11 bytes', short(132, '00'.repeat(11)), DECODE_SCTP],
  ])('refuses %s', (_, frame, expected) => {
    const packet = new Packet();
    expect(decodeResultText(packet.decode(frame))).toBe(decodeResultText(expected));
    expect(packet.l3).toBe(-1);
  });

  it('keeps offsets inside the frame whatever the bytes are', () => {
    const p = new Packet();
    const q = new Packet();
    const frame = fc
      .tuple(fc.constantFrom(hex('0800'), hex('86dd')), bytesLike([0x45, 0x46, 0x60], 120))
      .map(([type, rest]) => {
        const bytes = new Uint8Array(14 + rest.length);
        bytes.set(type, 12);
        bytes.set(rest, 14);
        // Lengths that are often right, so that more than the first test is reached.
        if (rest.length > 6 && rest[5] & 1) {
          if (type[0] === 8) bytes.set([0, rest.length], 16);
          else bytes.set([0, Math.max(0, rest.length - 40)], 18);
        }
        if (rest.length > 9 && rest[4] & 1)
          bytes[type[0] === 8 ? 23 : 20] = [0, 1, 6, 17, 44, 58, 60, 132][rest[4] >>> 5];
        return bytes;
      });
    fc.assert(
      fc.property(frame, (bytes) => {
        if (p.decode(bytes) !== DECODE_OK || p.l3 < 0) return;
        expect(p.end).toBeLessThanOrEqual(bytes.length);
        expect(p.l3 + p.headerLength).toBeLessThanOrEqual(p.end);
        if (p.l4 >= 0) {
          expect(p.l4).toBe(p.l3 + p.headerLength);
          expect(p.payload).toBeGreaterThanOrEqual(p.l4 + 8);
          expect(p.payload).toBeLessThanOrEqual(p.end);
        }
        if (p.quoted >= 0) q.decodeQuoted(bytes, p.quoted, p.end);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('quoted packets', () => {
  it('finds the flow of the packet an error is about', () => {
    const error = buildIcmpError({ about: tcp4, src: '10.244.1.1', type: 3, code: 4, rest: 1400 });
    const p = decoded(error);
    expect(p).toMatchObject({ icmpType: 3, icmpCode: 4, quoted: 42, srcPort: 0 });
    const q = new Packet();
    expect(q.decodeQuoted(error, p.quoted, p.end)).toBe(DECODE_OK);
    expect(q).toMatchObject({
      l3: 42,
      l4: 62,
      srcPort: 41822,
      dstPort: 80,
      src3: 0x0af40105,
      tcpFlags: TCP_SYN,
    });
  });

  it('is content with 8 bytes of transport header, and without a flow below that', () => {
    const quote = tcp4.slice(14);
    const q = new Packet();
    expect(q.decodeQuoted(quote, 0, 28)).toBe(DECODE_OK);
    expect(q).toMatchObject({ l4: 20, srcPort: 41822, dstPort: 80, tcpFlags: 0, totalLength: 44, end: 28 });
    expect(q.decodeQuoted(quote, 0, 34)).toBe(DECODE_OK);
    expect(q.tcpFlags).toBe(TCP_SYN);
    expect(q.decodeQuoted(quote, 0, 27)).toBe(DECODE_OK);
    expect(q).toMatchObject({ l3: 0, l4: -1, srcPort: 0 });
    expect(q.decodeQuoted(quote, 0, 19)).toBe(DECODE_IP_TRUNCATED);
    expect(q.decodeQuoted(quote, 0, 0)).toBe(DECODE_IP_TRUNCATED);
    expect(q.decodeQuoted(hex('f0'.repeat(40)), 0, 40)).toBe(DECODE_IP_VERSION);
  });

  it('decodes a bare IP packet', () => {
    const p = new Packet();
    expect(p.decodeIp(udp6.slice(14), 0, udp6.length - 14)).toBe(DECODE_OK);
    expect(p).toMatchObject({ l3: 0, l4: 40, version: 6, srcPort: 5000 });
    expect(p.decodeIp(udp6.slice(14), 0, udp6.length - 15)).toBe(DECODE_IP_TOTAL_LENGTH);
  });
});

describe('ICMP errors', () => {
  it('quotes at most 576 and 1280 bytes in all (RFC 1812 4.3.2.3, RFC 4443 2.4)', () => {
    const long4 = buildUdp({ ...v4, srcPort: 1, dstPort: 2, payload: new Uint8Array(1400) });
    expect(buildIcmpError({ about: long4, src: '10.0.0.1', type: 3, code: 1 }).length).toBe(14 + 576);
    const long6 = buildUdp({ ...v6, srcPort: 1, dstPort: 2, payload: new Uint8Array(1400) });
    expect(buildIcmpError({ about: long6, src: 'fd00::1', type: 1, code: 0 }).length).toBe(14 + 1280);
  });

  it('writes the golden bytes', () => {
    const about = hex(`
      eeeeeeeeeeee 0a580af40105 0800
      4500 001c 0000 4000 40 11 2470 0af40105 0a600009
      1388 0035 0008 0000
    `);
    expect(buildIcmpError({ about, src: '169.254.1.1', type: 3, code: 3 })).toEqual(
      hex(`
        0a580af40105 eeeeeeeeeeee 0800                         // turned round
        45c0 0038 0000 4000 40 01 830d a9fe0101 0af40105        // precedence 6, don't fragment, ICMP
        03 03 e937 00000000                                     // port unreachable
        4500 001c 0000 4000 40 11 2470 0af40105 0a600009        // the quoted packet
        1388 0035 0008 0000
      `),
    );
  });

  const allowed = (frame: Uint8Array, type?: number) => mayTriggerIcmpError(decoded(frame), type);
  const udp = (src: string, dst: string, dstMac?: string) =>
    buildUdp({ src, dst, dstMac, srcPort: 1, dstPort: 2 });

  it('may be sent about ordinary packets and echoes', () => {
    expect(allowed(tcp4)).toBe(true);
    expect(allowed(udp6)).toBe(true);
    expect(allowed(buildIcmpEcho({ ...v4, id: 1, sequence: 1 }))).toBe(true);
    expect(allowed(buildIcmpEcho({ ...v6, id: 1, sequence: 1 }))).toBe(true);
  });

  it.each([
    ['ICMP errors', buildIcmpError({ about: tcp4, src: '10.0.0.1', type: 11, code: 0 })],
    ['ICMPv6 errors', buildIcmpError({ about: udp6, src: 'fd00::1', type: 3, code: 0 })],
    ['multicast', udp('10.0.0.1', '224.0.0.251')],
    ['broadcast', udp('10.0.0.1', '255.255.255.255')],
    ['a broadcast link', udp('10.0.0.1', '10.0.0.255', 'ff:ff:ff:ff:ff:ff')],
    ['IPv6 multicast', udp('fd00::1', 'ff02::fb')],
    ['no source', udp('0.0.0.0', '10.0.0.2')],
    ['a loopback source', udp('127.0.0.1', '10.0.0.2')],
    ['a multicast source', udp('224.0.0.1', '10.0.0.2')],
    ['a redirect', buildIp({ ...v6, protocol: 58, payload: hex(`89 00 0000 ${'00'.repeat(36)}`) })],
    [
      'an ICMPv6 error of unknown type',
      buildIp({ ...v6, protocol: 58, payload: hex('7f 00 0000 00000000') }),
    ],
    ['no IPv6 source', udp('::', 'fd00::1')],
    ['an IPv6 loopback source', udp('::1', 'fd00::1')],
    ['an IPv6 multicast source', udp('ff02::1', 'fd00::1')],
  ])('is not sent about %s', (_, frame) => {
    expect(allowed(frame)).toBe(false);
  });

  it('is not sent about later fragments, nor about what is not IP', () => {
    const later = udp('10.0.0.1', '10.0.0.2');
    setIpv4Fragment(later, 14, 8, false);
    expect(allowed(later)).toBe(false);
    expect(mayTriggerIcmpError(new Packet())).toBe(false);
  });

  it('lets "packet too big" through for IPv6 multicast', () => {
    expect(allowed(udp('fd00::1', 'ff02::fb', '33:33:00:00:00:fb'), 2)).toBe(true);
    expect(allowed(udp('fd00::1', 'ff02::fb', '33:33:00:00:00:fb'), 1)).toBe(false);
  });

  it('is undefined about malformed frames', () => {
    const error = { type: 3, code: 3, rest: 0, src: [0, 0, 0xffff, 1] as [number, number, number, number] };
    expect(icmpErrorFor(hex('00'), error)).toBeUndefined();
    const nd = buildNeighborSolicitation({ srcMac: '02:00:00:00:00:01', src: 'fe80::2', target: 'fe80::1' });
    expect(icmpErrorFor(nd.subarray(0, 20), error)).toBeUndefined();
  });
});

describe('large packets', () => {
  it('decodes 65535 bytes of IPv4 and of IPv6 payload', () => {
    const big4 = buildTcp({
      ...v4,
      srcPort: 1,
      dstPort: 2,
      flags: TCP_ACK,
      payload: new Uint8Array(65535 - 40),
    });
    expect(decoded(big4)).toMatchObject({ totalLength: 65535, end: 65549 });
    const big6 = buildTcp({
      ...v6,
      srcPort: 1,
      dstPort: 2,
      flags: TCP_ACK,
      payload: new Uint8Array(65535 - 20),
    });
    expect(decoded(big6)).toMatchObject({ totalLength: 65575 });
  });
});
