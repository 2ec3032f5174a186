import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  crc32c,
  emitSctp,
  emitSctpChunk,
  parseSctp,
  parseSctpChunk,
  setSctpDstPort,
  setSctpSrcPort,
  setSctpVerificationTag,
} from '../src/sctp.ts';
import {
  createTcpOptionView,
  emitTcp,
  emitTcpOptions,
  parseTcp,
  readTcpOptions,
  setTcpAcknowledgment,
  setTcpChecksum,
  setTcpDstPort,
  setTcpFlags,
  setTcpSequence,
  setTcpSrcPort,
  setTcpUrgentPointer,
  setTcpWindow,
  TCP_ACK,
  TCP_SYN,
  type TcpOptions,
  tcpOptionsLength,
} from '../src/tcp.ts';
import { fillTransportChecksum, verifyTransportChecksum } from '../src/transport-checksum.ts';
import {
  emitUdp,
  getUdpChecksum,
  parseUdp,
  patchUdpChecksum16,
  patchUdpChecksum32,
  setUdpChecksum,
} from '../src/udp.ts';
import { u8, u16, u32 } from './arbitraries.ts';
import { dirty, emitted, hex } from './hex.ts';

describe('TCP', () => {
  const header = {
    srcPort: 41822,
    dstPort: 80,
    sequence: 0xdeadbeef,
    acknowledgment: 0xfffffffe,
    flags: TCP_SYN | TCP_ACK,
    window: 64240,
    checksum: 0x1234,
    urgentPointer: 5,
    options: {
      maxSegmentSize: 1410,
      sackPermitted: true,
      timestamps: { value: 0x01020304, echo: 0xa0b0c0d0 },
      windowScale: 7,
    },
  };
  const golden = hex(`
    a35e 0050 | deadbeef | fffffffe
    a0 12 faf0 | 1234 0005
    02 04 0582                          // MSS
    04 02 | 08 0a 01020304 a0b0c0d0     // SACK permitted, timestamps
    01 03 03 07                         // NOP, window scale
  `);

  it('emits and parses the golden bytes', () => {
    expect(emitted(40, (frame, at) => emitTcp(header, frame, at))).toEqual(golden);
    expect(parseTcp(golden, 0, 40)).toEqual(header);
  });

  it('emits and parses SACK beside timestamps', () => {
    const options = {
      timestamps: { value: 1, echo: 2 },
      sackBlocks: [
        { left: 1000, right: 2000 },
        { left: 0xfffffff0, right: 16 },
      ],
    };
    const bytes = hex(`
      01 01 08 0a 00000001 00000002
      01 01 05 12 000003e8 000007d0 fffffff0 00000010
    `);
    expect(emitted(32, (frame, at) => emitTcpOptions(options, frame, at))).toEqual(bytes);
    const view = createTcpOptionView();
    expect(readTcpOptions(bytes, 0, 32, view)).toBe(true);
    expect(view).toMatchObject({ hasTimestamps: true, timestampValue: 1, timestampEcho: 2, sackCount: 2 });
    expect([...view.sackEdges.subarray(0, 4)]).toEqual([1000, 2000, 0xfffffff0, 16]);
  });

  it('leaves out SACK blocks that do not fit into 40 bytes', () => {
    const sackBlocks = [1, 2, 3, 4, 5].map((n) => ({ left: n, right: n + 1 }));
    expect(tcpOptionsLength({ sackBlocks })).toBe(36);
    expect(tcpOptionsLength({ sackBlocks, timestamps: { value: 0, echo: 0 } })).toBe(40);
    expect(
      emitted(40, (f, at) => emitTcpOptions({ sackBlocks, timestamps: { value: 0, echo: 0 } }, f, at))[15],
    ).toBe(26);
  });

  it('keeps every header', () => {
    const full: fc.Arbitrary<TcpOptions> = fc.record(
      {
        maxSegmentSize: u16,
        windowScale: u8,
        sackPermitted: fc.constant(true),
        timestamps: fc.record({ value: u32, echo: u32 }),
        sackBlocks: fc.array(fc.record({ left: u32, right: u32 }), { minLength: 1, maxLength: 1 }),
      },
      { requiredKeys: [] },
    );
    const random = fc.record({
      srcPort: u16,
      dstPort: u16,
      sequence: u32,
      acknowledgment: u32,
      flags: u8,
      window: u16,
      checksum: u16,
      urgentPointer: u16,
      options: full,
    });
    fc.assert(
      fc.property(random, (value) => {
        const length = 20 + tcpOptionsLength(value.options);
        const bytes = emitted(length, (frame, at) => emitTcp(value, frame, at));
        expect(parseTcp(bytes, 0, length)).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it('sets single fields, and no others', () => {
    const frame = golden.slice();
    setTcpSrcPort(frame, 0, 1);
    setTcpDstPort(frame, 0, 2);
    setTcpSequence(frame, 0, 3);
    setTcpAcknowledgment(frame, 0, 4);
    setTcpFlags(frame, 0, 0xff);
    setTcpWindow(frame, 0, 6);
    setTcpChecksum(frame, 0, 7);
    setTcpUrgentPointer(frame, 0, 8);
    expect(frame.subarray(0, 20)).toEqual(hex('0001 0002 00000003 00000004 a0 ff 0006 0007 0008'));
    expect(frame.subarray(20)).toEqual(golden.subarray(20));
  });

  it.each([
    ['a cut header', golden, 19],
    ['a data offset past the segment', golden, 39],
    ['a data offset below 5', hex('a35e0050deadbeeffffffffe 40 12faf012340005'), 20],
    ['an end past the buffer', golden, 41],
  ])('refuses %s', (_, bytes, end) => {
    expect(parseTcp(bytes, 0, end)).toBeUndefined();
  });

  it.each([
    ['length 0', '02 00 0582'],
    ['length 1', '02 01 0582'],
    ['length 1 and an unknown kind', '1e 01 01 01'],
    ['length past the header', '01 01 02 04'],
    ['kind without length', '01 01 01 02'],
    ['MSS of another size', '02 03 05 01'],
    ['window scale of another size', '03 04 0700'],
    ['timestamps of another size', '08 04 0000'],
    ['SACK permitted of another size', '04 03 00 01'],
    ['SACK of half a block', '05 06 00000000 0101'],
    ['SACK of no block', '05 02 0101'],
  ])('stops at an option with %s', (_, text) => {
    const bytes = hex(text);
    expect(readTcpOptions(bytes, 0, bytes.length, createTcpOptionView())).toBe(false);
  });

  it('skips options it does not know, and what follows the end of options', () => {
    const view = createTcpOptionView();
    expect(readTcpOptions(hex('1e 04 abcd 0204 05b4 00 ff ff ff'), 0, 12, view)).toBe(true);
    expect(view.maxSegmentSize).toBe(1460);
    expect(readTcpOptions(hex('01010101'), 0, 4, view)).toBe(true);
    expect(view.hasMaxSegmentSize).toBe(false);
  });
});

describe('UDP', () => {
  const header = { srcPort: 53, dstPort: 41822, length: 10, checksum: 0xbeef };
  const golden = hex('0035 a35e 000a beef');
  const datagram = hex('0035 a35e 000a beef 0102');

  it('emits and parses the golden bytes', () => {
    expect(emitted(8, (frame, at) => emitUdp(header, frame, at))).toEqual(golden);
    expect(parseUdp(datagram, 0, 10)).toEqual(header);
  });

  it('keeps every header', () => {
    const random = fc.record({
      srcPort: u16,
      dstPort: u16,
      length: fc.integer({ min: 8, max: 40 }),
      checksum: u16,
    });
    fc.assert(
      fc.property(random, (value) => {
        const frame = dirty(40);
        expect(emitUdp(value, frame, 0)).toBe(8);
        expect(parseUdp(frame, 0, 40)).toEqual(value);
      }),
    );
  });

  it('refuses lengths that do not fit', () => {
    expect(parseUdp(datagram, 0, 7)).toBeUndefined();
    expect(parseUdp(datagram, 0, 9)).toBeUndefined();
    expect(parseUdp(hex('0035 a35e 0007 0000'), 0, 8)).toBeUndefined();
  });

  it('leaves no checksum alone and never makes one (RFC 768)', () => {
    const frame = hex('0035 a35e 0008 0000');
    patchUdpChecksum16(frame, 0, 1, 2);
    patchUdpChecksum32(frame, 0, 1, 2);
    expect(getUdpChecksum(frame, 0)).toBe(0);
    // RFC 1624's example, whose result is 0000.
    setUdpChecksum(frame, 0, 0xdd2f);
    patchUdpChecksum16(frame, 0, 0x5555, 0x3285);
    expect(getUdpChecksum(frame, 0)).toBe(0xffff);
    setUdpChecksum(frame, 0, 0xdd2f);
    patchUdpChecksum32(frame, 0, 0x00005555, 0x00003285);
    expect(getUdpChecksum(frame, 0)).toBe(0xffff);
  });
});

describe('SCTP', () => {
  const header = { srcPort: 9003, dstPort: 9005, verificationTag: 0xcafebabe, checksum: 0x01020304 };
  const golden = hex('232b 232d cafebabe 04030201');

  it('emits and parses the golden bytes', () => {
    expect(emitted(12, (frame, at) => emitSctp(header, frame, at))).toEqual(golden);
    expect(parseSctp(golden, 0, 12)).toEqual(header);
    expect(parseSctp(golden, 0, 11)).toBeUndefined();
    const chunk = { type: 1, flags: 3, length: 20 };
    expect(emitted(4, (frame, at) => emitSctpChunk(chunk, frame, at))).toEqual(hex('01 03 0014'));
    expect(parseSctpChunk(hex(`01 03 0014 ${'00'.repeat(16)}`), 0, 20)).toEqual(chunk);
    expect(parseSctpChunk(hex('01 03 0014'), 0, 4)).toBeUndefined();
    expect(parseSctpChunk(hex('01 03 0003'), 0, 4)).toBeUndefined();
  });

  it('keeps every header', () => {
    const random = fc.record({ srcPort: u16, dstPort: u16, verificationTag: u32, checksum: u32 });
    fc.assert(
      fc.property(random, (value) => {
        const bytes = emitted(12, (frame, at) => emitSctp(value, frame, at));
        expect(parseSctp(bytes, 0, 12)).toEqual(value);
        const other = golden.slice();
        setSctpSrcPort(other, 0, value.srcPort);
        setSctpDstPort(other, 0, value.dstPort);
        setSctpVerificationTag(other, 0, value.verificationTag);
        expect(other.subarray(0, 8)).toEqual(bytes.subarray(0, 8));
      }),
    );
  });

  // RFC 3720 B.4, and the check value of the CRC catalogue.
  it.each([
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    ['123456789', new TextEncoder().encode('123456789'), 0xe3069283],
    ['nothing', new Uint8Array(0), 0],
    [
      'an iSCSI read command',
      hex(`01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018
           28000000 00000000 02000000 00000000`),
      0xd9963a56,
    ],
  ])('CRC32c of %s', (_, bytes, expected) => {
    expect(crc32c(bytes, 0, bytes.length)).toBe(expected);
  });

  it('CRC32c takes four bytes as zero', () => {
    const bytes = Uint8Array.from({ length: 30 }, (_, i) => i * 7);
    const zeroed = bytes.slice();
    zeroed.fill(0, 3 + 8, 3 + 12);
    expect(crc32c(bytes, 3, 30, 8)).toBe(crc32c(zeroed, 3, 30));
  });
});

describe('transport checksums in place', () => {
  const v4 = '45000000 00000000 40000000 0a000001 0a000002';
  const v6 = '60000000 00000040 fd000000000000000000000000000001 fd000000000000000000000000000002';
  const places = [
    ['IPv4', 4, hex(v4)],
    ['IPv6', 6, hex(v6)],
  ] as const;

  for (const [name, version, ip] of places) {
    for (const protocol of version === 4 ? [1, 6, 17, 132] : [58, 6, 17, 132]) {
      it(`fills and verifies protocol ${protocol} over ${name}`, () => {
        fc.assert(
          fc.property(
            fc.uint8Array({ minLength: 20, maxLength: 120, size: 'max' }),
            fc.nat(1000),
            (segment, flip) => {
              const frame = new Uint8Array(ip.length + segment.length);
              frame.set(ip);
              frame.set(segment, ip.length);
              const l4 = ip.length;
              if (protocol === 17) frame.set([segment.length >>> 8, segment.length], l4 + 4);
              fillTransportChecksum(frame, version, 0, protocol, l4, frame.length);
              expect(verifyTransportChecksum(frame, version, 0, protocol, l4, frame.length)).toBe(true);
              // A single bit that changes in the ports or the payload is always seen.
              const place = [0, 1, 2, 3, 12, 13, 18, 19][flip % 8];
              frame[l4 + place] ^= 1 << (flip % 7);
              expect(verifyTransportChecksum(frame, version, 0, protocol, l4, frame.length)).toBe(false);
            },
          ),
          { numRuns: 60 },
        );
      });
    }
  }

  it('sends a computed zero of UDP as ffff', () => {
    // 0a00 + 0001 + 0a00 + 0002 + 0011 + 000a + ports + length + data = ffff
    const frame = hex(`${v4} 0001 0001 000a 0000 0000`);
    fillTransportChecksum(frame, 4, 0, 17, 20, 30);
    const checksum = getUdpChecksum(frame, 20);
    frame[28] = checksum >>> 8;
    frame[29] = checksum;
    fillTransportChecksum(frame, 4, 0, 17, 20, 30);
    expect(getUdpChecksum(frame, 20)).toBe(0xffff);
    expect(verifyTransportChecksum(frame, 4, 0, 17, 20, 30)).toBe(true);
  });

  it('accepts UDP without a checksum over IPv4 only', () => {
    expect(verifyTransportChecksum(hex(`${v4} 0001 0001 0008 0000`), 4, 0, 17, 20, 28)).toBe(true);
    expect(verifyTransportChecksum(hex(`${v6} 0001 0001 0008 0000`), 6, 0, 17, 40, 48)).toBe(false);
  });

  it('covers only the UDP length when the IP payload is longer', () => {
    const frame = hex(`${v4} 0001 0001 0009 0000 61 ffff`);
    fillTransportChecksum(frame, 4, 0, 17, 20, 29);
    expect(verifyTransportChecksum(frame, 4, 0, 17, 20, 31)).toBe(true);
  });

  it('has nothing to say about other protocols', () => {
    const frame = hex(`${v4} 01020304`);
    fillTransportChecksum(frame, 4, 0, 50, 20, 24);
    expect(frame).toEqual(hex(`${v4} 01020304`));
    expect(verifyTransportChecksum(frame, 4, 0, 50, 20, 24)).toBe(true);
  });
});
