import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIpv6 } from '../src/address.ts';
import {
  emitIpv4Header,
  getIpv4Checksum,
  getIpv4DontFragment,
  getIpv4MoreFragments,
  getIpv4TrafficClass,
  parseIpv4Header,
  patchIpv4Dst,
  patchIpv4Src,
  patchIpv4Ttl,
  setIpv4DontFragment,
  setIpv4Fragment,
  setIpv4Identification,
  setIpv4Protocol,
  setIpv4TotalLength,
  setIpv4TrafficClass,
  setIpv4Ttl,
  verifyIpv4Checksum,
} from '../src/ipv4.ts';
import {
  createIpv6Walk,
  emitIpv6Fragment,
  emitIpv6Header,
  isIpv6LinkLocal,
  linkLocalAddress,
  parseIpv6Fragment,
  parseIpv6Header,
  setIpv6Dst,
  setIpv6FlowLabel,
  setIpv6HopLimit,
  setIpv6NextHeader,
  setIpv6PayloadLength,
  setIpv6Src,
  setIpv6TrafficClass,
  solicitedNodeAddress,
  walkIpv6Extensions,
} from '../src/ipv6.ts';
import { ipv6, u8, u16, u32 } from './arbitraries.ts';
import { emitted, hex } from './hex.ts';

describe('IPv4 header', () => {
  const golden = hex(`
    45 00 0073 | 0000 4000   // version 4, IHL 5, length 115, don't fragment
    40 11 b861               // TTL 64, UDP, checksum
    c0a80001 | c0a800c7      // 192.168.0.1 > 192.168.0.199
  `);
  const header = {
    dscp: 0,
    ecn: 0,
    totalLength: 115,
    identification: 0,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    ttl: 64,
    protocol: 17,
    src: 0xc0a80001,
    dst: 0xc0a800c7,
    options: new Uint8Array(0),
  };
  const packet = new Uint8Array(115);
  packet.set(golden);

  it('emits and parses the golden bytes', () => {
    expect(emitted(20, (frame, at) => emitIpv4Header(header, frame, at))).toEqual(golden);
    expect(parseIpv4Header(packet, 0, 115)).toEqual(header);
    expect(verifyIpv4Checksum(packet, 0)).toBe(true);
  });

  it('emits and parses every field at once', () => {
    const full = {
      ...header,
      dscp: 46,
      ecn: 1,
      totalLength: 28,
      identification: 0xbeef,
      dontFragment: false,
      moreFragments: true,
      fragmentOffset: 1480,
      options: hex('94040000'), // router alert
    };
    const bytes = emitted(24, (frame, at) => emitIpv4Header(full, frame, at));
    expect(bytes).toEqual(hex('46 b9 001c | beef 20b9 | 40 11 8352 | c0a80001 c0a800c7 | 94040000'));
    const whole = new Uint8Array(28);
    whole.set(bytes);
    expect(parseIpv4Header(whole, 0, 28)).toEqual(full);
  });

  it('keeps every header', () => {
    const random = fc.record({
      dscp: fc.nat(63),
      ecn: fc.nat(3),
      identification: u16,
      dontFragment: fc.boolean(),
      moreFragments: fc.boolean(),
      fragmentOffset: fc.nat(0x1fff).map((n) => n * 8),
      ttl: u8,
      protocol: u8,
      src: u32,
      dst: u32,
      options: fc.nat(10).chain((n) => fc.uint8Array({ minLength: n * 4, maxLength: n * 4 })),
      payload: fc.nat(100),
    });
    fc.assert(
      fc.property(random, ({ payload, ...fields }) => {
        const headerLength = 20 + fields.options.length;
        const value = { ...fields, totalLength: headerLength + payload };
        const frame = new Uint8Array(headerLength + payload).fill(0xa5);
        expect(emitIpv4Header(value, frame, 0)).toBe(headerLength);
        expect(parseIpv4Header(frame, 0, frame.length)).toEqual(value);
        expect(verifyIpv4Checksum(frame, 0)).toBe(true);
      }),
    );
  });

  it.each([
    ['a cut header', packet, 0, 19],
    ['total length past the end', packet, 0, 114],
    ['another version', hex(`65${'00'.repeat(30)}`), 0, 31],
    ['IHL below 5', hex('44000014 00000000 40110000 00000000 00000000'), 0, 20],
    ['IHL past total length', hex('46000014 00000000 40110000 00000000 00000000 00000000'), 0, 24],
    ['an end past the buffer', packet, 0, 116],
  ])('refuses %s', (_, bytes, at, end) => {
    expect(parseIpv4Header(bytes, at, end)).toBeUndefined();
  });

  it('sets single fields, and no others', () => {
    const frame = packet.slice();
    setIpv4TrafficClass(frame, 0, 0xb9);
    setIpv4TotalLength(frame, 0, 100);
    setIpv4Identification(frame, 0, 0x1234);
    setIpv4Fragment(frame, 0, 800, true);
    setIpv4Ttl(frame, 0, 1);
    setIpv4Protocol(frame, 0, 6);
    expect(getIpv4TrafficClass(frame, 0)).toBe(0xb9);
    expect(parseIpv4Header(frame, 0, 115)).toEqual({
      ...header,
      dscp: 46,
      ecn: 1,
      totalLength: 100,
      identification: 0x1234,
      fragmentOffset: 800,
      moreFragments: true,
      ttl: 1,
      protocol: 6,
    });
    setIpv4DontFragment(frame, 0, false);
    expect(getIpv4DontFragment(frame, 0)).toBe(false);
    expect(getIpv4MoreFragments(frame, 0)).toBe(true);
  });

  it('patches addresses and TTL with their checksum', () => {
    fc.assert(
      fc.property(u32, u32, u8, (src, dst, ttl) => {
        const frame = packet.slice();
        patchIpv4Src(frame, 0, src);
        patchIpv4Dst(frame, 0, dst);
        patchIpv4Ttl(frame, 0, ttl);
        expect(parseIpv4Header(frame, 0, 115)).toEqual({ ...header, src, dst, ttl });
        expect(verifyIpv4Checksum(frame, 0)).toBe(true);
        expect(getIpv4Checksum(frame, 0)).toBe(
          getIpv4Checksum(
            emitted(20, (f, at) => emitIpv4Header({ ...header, src, dst, ttl }, f, at)),
            0,
          ),
        );
      }),
    );
  });
});

describe('IPv6 header', () => {
  const golden = hex(`
    60012345 | 0008 3a ff                     // class, flow label, payload length, ICMPv6, hop limit
    fe80000000000000 ecee eeff feee eeee      // fe80::ecee:eeff:feee:eeee
    ff02000000000000 0000 0001 ff00 0001      // ff02::1:ff00:1
  `);
  const header = {
    trafficClass: 0,
    flowLabel: 0x12345,
    payloadLength: 8,
    nextHeader: 58,
    hopLimit: 255,
    src: hex('fe80000000000000eceeeefffeeeeeee'),
    dst: hex('ff0200000000000000000001ff000001'),
  };
  const packet = new Uint8Array(48);
  packet.set(golden);

  it('emits and parses the golden bytes', () => {
    expect(emitted(40, (frame, at) => emitIpv6Header(header, frame, at))).toEqual(golden);
    expect(parseIpv6Header(packet, 0, 48)).toEqual(header);
  });

  it('keeps every header', () => {
    const random = fc.record({
      trafficClass: u8,
      flowLabel: fc.nat(0xfffff),
      payloadLength: fc.nat(60),
      nextHeader: u8,
      hopLimit: u8,
      src: ipv6,
      dst: ipv6,
    });
    fc.assert(
      fc.property(random, (value) => {
        const frame = new Uint8Array(100).fill(0xa5);
        expect(emitIpv6Header(value, frame, 0)).toBe(40);
        expect(parseIpv6Header(frame, 0, 100)).toEqual(value);
        // The same by single setters over other content.
        const other = packet.slice();
        setIpv6TrafficClass(other, 0, value.trafficClass);
        setIpv6FlowLabel(other, 0, value.flowLabel);
        setIpv6PayloadLength(other, 0, 8);
        setIpv6NextHeader(other, 0, value.nextHeader);
        setIpv6HopLimit(other, 0, value.hopLimit);
        setIpv6Src(other, 0, value.src);
        setIpv6Dst(other, 0, value.dst);
        expect(parseIpv6Header(other, 0, 48)).toEqual({ ...value, payloadLength: 8 });
      }),
    );
  });

  it('refuses cut packets and other versions', () => {
    expect(parseIpv6Header(packet, 0, 39)).toBeUndefined();
    expect(parseIpv6Header(packet, 0, 47)).toBeUndefined();
    expect(parseIpv6Header(packet, 0, 49)).toBeUndefined();
    expect(parseIpv6Header(packet, 4, 48)).toBeUndefined();
  });

  it('derives addresses (RFC 4291 2.7.1, appendix A)', () => {
    expect(linkLocalAddress(hex('eeeeeeeeeeee'))).toEqual(header.src);
    expect(isIpv6LinkLocal(header.src)).toBe(true);
    expect(isIpv6LinkLocal(hex('fec0'))).toBe(false);
    expect(solicitedNodeAddress(parseIpv6('2001:db8::ff00:1')!)).toEqual(header.dst);
  });
});

describe('IPv6 extension headers', () => {
  function packetOf(first: number, chain: string): Uint8Array {
    const body = hex(chain);
    const frame = new Uint8Array(40 + body.length);
    frame[0] = 0x60;
    frame[5] = body.length;
    frame[6] = first;
    frame.set(body, 40);
    return frame;
  }
  function walk(frame: Uint8Array, end = frame.length) {
    const found = createIpv6Walk();
    return walkIpv6Extensions(frame, 0, end, found) ? found : undefined;
  }

  it('finds the upper header at once when there is no extension', () => {
    expect(walk(packetOf(6, '00'.repeat(20)))).toMatchObject({ protocol: 6, upper: 40, fragmentHeader: -1 });
  });

  it('walks hop-by-hop, destination options, routing, AH', () => {
    const frame = packetOf(
      0,
      `3c 00 0104 00000000                   // hop-by-hop, next 60
       2b 01 010c 0000000000000000 00000000  // destination options of 16 bytes, next 43
       33 00 0000 00000000                   // routing, next 51
       11 04 0000 ${'00'.repeat(20)}         // AH of (4 + 2) * 4 bytes, next UDP
       0035 0035 0008 0000`,
    );
    expect(walk(frame)).toMatchObject({ protocol: 17, upper: 40 + 8 + 16 + 8 + 24, fragmentHeader: -1 });
  });

  it('reads a first and a later fragment', () => {
    expect(walk(packetOf(44, '11 00 0001 cafebabe 0035 0035 0008 0000'))).toEqual({
      protocol: 17,
      upper: 48,
      fragmentHeader: 40,
      fragmentOffset: 0,
      moreFragments: true,
    });
    // Data of a later fragment is not walked, though its next header says destination options.
    expect(walk(packetOf(44, '3c 00 05a8 cafebabe ffffffffffffffff'))).toEqual({
      protocol: 60,
      upper: 48,
      fragmentHeader: 40,
      fragmentOffset: 1448,
      moreFragments: false,
    });
  });

  it('bounds the number of headers', () => {
    expect(walk(packetOf(60, `${'3c00000000000000'.repeat(7)}0600000000000000`))).toMatchObject({
      protocol: 6,
    });
    expect(walk(packetOf(60, `${'3c00000000000000'.repeat(8)}0600000000000000`))).toBeUndefined();
  });

  it.each([
    ['a cut header', packetOf(60, '06 00 0000')],
    ['a length past the end', packetOf(60, '06 01 0000 00000000')],
    ['hop-by-hop options that are not first', packetOf(60, '00 00 0000 00000000 06 00 0000 00000000')],
    ['two fragment headers', packetOf(44, '2c 00 0001 00000000 06 00 0001 00000000')],
    ['an AH past the end', packetOf(51, '06 04 0000 00000000')],
  ])('refuses %s', (_, frame) => {
    expect(walk(frame)).toBeUndefined();
  });

  it('emits and parses the fragment header both ways', () => {
    const header = { nextHeader: 6, fragmentOffset: 1448, moreFragments: true, identification: 0xcafebabe };
    const golden = hex('06 00 05a9 cafebabe');
    expect(emitted(8, (frame, at) => emitIpv6Fragment(header, frame, at))).toEqual(golden);
    expect(parseIpv6Fragment(golden, 0, 8)).toEqual(header);
    expect(parseIpv6Fragment(golden, 0, 7)).toBeUndefined();
  });
});
