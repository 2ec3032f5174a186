import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodePcapng,
  encodeInterface,
  encodePacket,
  encodePcapng,
  encodeSectionHeader,
  LINKTYPE_ETHERNET,
  LINKTYPE_RAW,
  type PcapngPacket,
} from '../src/pcapng.ts';
import { hex } from './hex.ts';

describe('pcapng blocks', () => {
  it('writes the golden section header', () => {
    expect(encodeSectionHeader('podwire')).toEqual(
      hex(`
        0a0d0d0a 2c000000                       // type, length 44
        4d3c2b1a 0100 0000 ffffffffffffffff     // magic, 1.0, section length unknown
        0400 0700 706f6477697265 00             // application
        00000000 2c000000
      `),
    );
  });

  it('writes the golden interface', () => {
    expect(encodeInterface({ name: 'eth0', snapLength: 65535 })).toEqual(
      hex(`
        01000000 28000000
        0100 0000 ffff0000                      // Ethernet, snap length
        0200 0400 65746830                      // name
        0900 0100 09 000000                     // nanoseconds
        00000000 28000000
      `),
    );
  });

  it('writes the golden packet', () => {
    const packet: PcapngPacket = {
      interfaceId: 2,
      timestampNs: 0x0102030405060708n,
      data: hex('aabbccddee'),
      originalLength: 9,
      comment: 'drop',
      direction: 'outbound',
    };
    expect(encodePacket(packet)).toEqual(
      hex(`
        06000000 3c000000
        02000000 04030201 08070605              // interface, timestamp high and low
        05000000 09000000                       // captured, original length
        aabbccddee 000000
        0100 0400 64726f70                      // comment
        0200 0400 02000000                      // outbound
        00000000 3c000000
      `),
    );
  });
});

describe('pcapng files', () => {
  const random = fc.record({
    interfaces: fc.array(
      fc.record({
        name: fc.string(),
        description: fc.string(),
        linkType: fc.constantFrom(LINKTYPE_ETHERNET, LINKTYPE_RAW),
        snapLength: fc.nat(),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    packets: fc.array(
      fc.record(
        {
          timestampNs: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
          data: fc.uint8Array({ maxLength: 60, size: 'max' }),
          comment: fc.string({ unit: 'binary' }),
          direction: fc.constantFrom('inbound' as const, 'outbound' as const),
        },
        { requiredKeys: ['timestampNs', 'data'] },
      ),
      { maxLength: 5 },
    ),
  });

  it('keeps what was written', () => {
    fc.assert(
      fc.property(random, ({ interfaces, packets }) => {
        const written = packets.map((packet, i) => ({
          ...packet,
          interfaceId: i % interfaces.length,
          originalLength: packet.data.length + (i % 2),
        }));
        expect(decodePcapng(encodePcapng('test', interfaces, written))).toEqual({
          interfaces,
          packets: written,
        });
      }),
    );
  });

  // A big-endian file: default microseconds, then 2^-10 seconds; an unknown block; a simple packet; a second section.
  const bigEndian = hex(`
    0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c
    00000001 00000014 0001 0000 00000000 00000014
    00000001 00000020 0001 0000 00000000 0009 0001 8a 000000 00000000 00000020
    00000bad 00000010 deadbeef 00000010
    00000006 00000024 00000000 00000000 00000005 00000001 00000001 aa000000 00000024
    00000006 00000024 00000001 00000000 00000c00 00000001 00000001 bb000000 00000024
    00000003 00000014 00000003 ccddee00 00000014
    0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000
    01000000 14000000 6500 0000 00000000 14000000
    06000000 24000000 00000000 00000000 01000000 01000000 01000000 ff000000 24000000
  `);

  it('reads the other byte order, other resolutions, simple packets, unknown blocks, and sections', () => {
    const capture = decodePcapng(bigEndian);
    expect(capture.error).toBeUndefined();
    expect(capture.interfaces.map((i) => i.linkType)).toEqual([1, 1, 101]);
    expect(capture.packets.map((p) => [p.interfaceId, p.timestampNs, [...p.data]])).toEqual([
      [0, 5000n, [0xaa]],
      [1, 3_000_000_000n, [0xbb]],
      [0, 0n, [0xcc, 0xdd, 0xee]],
      [2, 1000n, [0xff]],
    ]);
  });

  it.each([
    ['a file that is none', hex('d4c3b2a1 02000400 00000000'), 'does not start with a section header'],
    ['no magic', hex('0a0d0d0a 1c000000 00000000'), 'no byte-order magic'],
    ['a cut header', bigEndian.subarray(0, 30), 'cut inside a block header'],
    ['a cut block', bigEndian.subarray(0, 44), 'cut inside a block'],
    [
      'an impossible length',
      hex('0a0d0d0a 0000001d 1a2b3c4d 0001 0000 ffffffffffffffff 0000001d 00'),
      'block length 29',
    ],
    [
      'a packet without interface',
      Buffer.concat([
        encodeSectionHeader(''),
        encodePacket({ interfaceId: 0, timestampNs: 0n, data: hex('') }),
      ]),
      'was not declared',
    ],
    [
      'a packet longer than its block',
      Buffer.concat([
        encodeSectionHeader(''),
        encodeInterface({}),
        hex('06000000 20000000 00000000 00000000 00000000 01000000 01000000 20000000'),
      ]),
      'longer than its block',
    ],
  ])('says what is wrong with %s', (_, bytes, why) => {
    expect(decodePcapng(bytes).error).toContain(why);
  });

  it('reads timestamps finer than nanoseconds', () => {
    const picoseconds = encodePcapng(
      '',
      [{}],
      [{ interfaceId: 0, timestampNs: 1_234_567n, data: hex('00') }],
    );
    // Behind the section header come block header, link type and snap length, option header.
    const at = encodeSectionHeader('').length + 8 + 8 + 4;
    expect(picoseconds[at]).toBe(9);
    picoseconds[at] = 12;
    expect(decodePcapng(picoseconds).packets[0].timestampNs).toBe(1_234n);
  });

  it('keeps what stands before the cut of a crashed writer', () => {
    const data = hex('0102');
    const file = encodePcapng(
      'test',
      [{}],
      [
        { interfaceId: 0, timestampNs: 1n, data },
        { interfaceId: 0, timestampNs: 2n, data },
      ],
    );
    const capture = decodePcapng(file.subarray(0, file.length - 5));
    expect(capture.packets).toHaveLength(1);
    expect(capture.error).toContain('cut inside a block');
  });
});
