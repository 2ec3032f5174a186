/** Random bytes into every parser, and into `describe`: nothing throws or hangs. */
import fc from 'fast-check';
import { expect, describe as group, it } from 'vitest';
import { formatIpv6, formatMac, parseIpv4, parseIpv6, parseMac } from '../src/address.ts';
import { parseArp } from '../src/arp.ts';
import {
  buildIcmpEcho,
  buildIcmpError,
  buildNeighborSolicitation,
  buildSctp,
  buildTcp,
  buildUdp,
  buildVxlan,
} from '../src/build.ts';
import { internetChecksum } from '../src/checksum.ts';
import { parseCidr } from '../src/cidr.ts';
import { describe, describeIp } from '../src/describe.ts';
import { parseEthernet } from '../src/ethernet.ts';
import { parseGeneve } from '../src/geneve.ts';
import { icmpErrorFor } from '../src/icmp-error.ts';
import { parseIcmpv4 } from '../src/icmpv4.ts';
import { parseIcmpv6 } from '../src/icmpv6.ts';
import { parseIpv4Header } from '../src/ipv4.ts';
import { createIpv6Walk, parseIpv6Fragment, parseIpv6Header, walkIpv6Extensions } from '../src/ipv6.ts';
import {
  findNdpOption,
  parseNeighborAdvertisement,
  parseNeighborSolicitation,
  parseRouterAdvertisement,
  parseRouterSolicitation,
} from '../src/ndp.ts';
import { Packet } from '../src/packet.ts';
import { decodePcapng, encodePcapng } from '../src/pcapng.ts';
import { crc32c, parseSctp, parseSctpChunk } from '../src/sctp.ts';
import { createTcpOptionView, parseTcp, readTcpOptions } from '../src/tcp.ts';
import { verifyTransportChecksum } from '../src/transport-checksum.ts';
import { parseUdp } from '../src/udp.ts';
import { parseVxlan } from '../src/vxlan.ts';
import { bytesLike } from './arbitraries.ts';
import { hex } from './hex.ts';

const v4 = { src: '10.0.0.1', dst: '10.0.0.2' };
const v6 = { src: 'fd00::1', dst: 'fd00::2' };
const tcp = buildTcp({
  ...v6,
  srcPort: 1,
  dstPort: 2,
  flags: 2,
  options: { maxSegmentSize: 1, sackBlocks: [{ left: 1, right: 2 }] },
});
const udp = buildUdp({ ...v4, srcPort: 1, dstPort: 2, payload: 'x' });

// Well-formed frames, a few of whose bytes are then damaged: deeper in than pure noise ever comes.
const SEEDS = [
  tcp,
  udp,
  buildIcmpEcho({ ...v4, id: 1, sequence: 1 }),
  buildIcmpError({ about: udp, src: '10.0.0.9', type: 3, code: 3 }),
  buildIcmpError({ about: tcp, src: 'fd00::9', type: 1, code: 4 }),
  buildNeighborSolicitation({ srcMac: '02:00:00:00:00:01', src: 'fe80::1', target: 'fe80::2' }),
  buildSctp({ ...v4, srcPort: 1, dstPort: 2, verificationTag: 3, chunks: hex('0b000004 00030005 00000000') }),
  buildVxlan({ ...v4, srcPort: 1, vni: 1, inner: tcp }),
  buildUdp({
    ...v4,
    srcPort: 1,
    dstPort: 6081,
    payload: Buffer.concat([hex('01 00 6558 000009 00 00010200'), udp]),
  }),
];

const damaged = fc
  .record({
    seed: fc.nat(SEEDS.length - 1),
    hits: fc.array(fc.tuple(fc.nat(150), fc.nat(255)), { maxLength: 4 }),
    cut: fc.option(fc.nat(150)),
  })
  .map(({ seed, hits, cut }) => {
    const bytes = SEEDS[seed].slice(0, cut ?? undefined);
    for (const [at, value] of hits) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });

const noise = bytesLike([0x45, 0x60, 0x85, 0x86, 0x87, 0x88], 150);

const PARSERS: Record<string, (bytes: Uint8Array, offset: number, end: number) => unknown> = {
  parseEthernet,
  parseArp,
  parseIpv4Header,
  parseIpv6Header,
  parseIpv6Fragment,
  parseIcmpv4,
  parseIcmpv6,
  parseNeighborSolicitation,
  parseNeighborAdvertisement,
  parseRouterSolicitation,
  parseRouterAdvertisement,
  parseTcp,
  parseUdp,
  parseSctp,
  parseSctpChunk,
  parseVxlan,
  parseGeneve,
  describeIp,
  walkIpv6Extensions: (bytes, offset, end) =>
    end - offset < 40 || walkIpv6Extensions(bytes, offset, end, createIpv6Walk()),
  readTcpOptions: (bytes, offset, end) => readTcpOptions(bytes, offset, end, createTcpOptionView()),
  findNdpOption: (bytes, offset, end) => findNdpOption(bytes, offset, end, 1),
  decodeIp: (bytes, offset, end) => new Packet().decodeIp(bytes, offset, end),
  decodeQuoted: (bytes, offset, end) => new Packet().decodeQuoted(bytes, offset, end),
  internetChecksum: (bytes, offset, end) => internetChecksum(bytes, offset, end),
  crc32c: (bytes, offset, end) => crc32c(bytes, offset, end),
};

group('random bytes', () => {
  it.each(Object.keys(PARSERS))('%s never throws', (name) => {
    fc.assert(
      fc.property(fc.oneof(noise, damaged), fc.nat(50), fc.nat(5), (bytes, from, short) => {
        const offset = Math.min(from % 2 === 0 ? 0 : from, bytes.length);
        PARSERS[name](bytes, offset, Math.max(offset, bytes.length - short));
      }),
      { numRuns: 400 },
    );
  });

  it('decode, describe, checksums and ICMP errors never throw', () => {
    const packet = new Packet();
    const error = { type: 3, code: 3, rest: 0, src: [0, 0, 0xffff, 1] as [number, number, number, number] };
    fc.assert(
      fc.property(fc.oneof(damaged, damaged, noise), (bytes) => {
        expect(describe(bytes)).toMatch(/^(IP6?|ARP|Ethernet|[0-9a-f:]{17} >)/);
        expect(describe(bytes)).not.toMatch(/undefined|NaN|\n/);
        if (packet.decode(bytes) === 0 && packet.l4 >= 0) {
          verifyTransportChecksum(bytes, packet.version, packet.l3, packet.protocol, packet.l4, packet.end);
        }
        const about = icmpErrorFor(bytes, error);
        if (about) expect(describe(about)).toMatch(/ICMP/);
      }),
      { numRuns: 3000 },
    );
  });

  it('decodePcapng never throws', () => {
    const file = encodePcapng(
      'test',
      [{ name: 'eth0' }],
      [{ interfaceId: 0, timestampNs: 1n, data: udp, comment: 'c' }],
    );
    const hits = fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(hits, fc.nat(file.length), (changes, cut) => {
        const bytes = file.slice(0, cut);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        decodePcapng(bytes);
      }),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100, size: 'max' }), (bytes) => void decodePcapng(bytes)),
    );
  });

  it('text parsers never throw', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'0123af:./%') })), (text) => {
        parseIpv4(text);
        parseIpv6(text);
        parseMac(text);
        parseCidr(text);
      }),
      { numRuns: 1000 },
    );
    expect(formatIpv6(new Uint8Array(16).fill(0xff))).toHaveLength(39);
    expect(formatMac(new Uint8Array(6))).toHaveLength(17);
  });
});
