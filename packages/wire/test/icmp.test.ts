import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  emitIcmpv4,
  fillIcmpv4Checksum,
  getIcmpv4Id,
  getIcmpv4Mtu,
  getIcmpv4Sequence,
  isIcmpv4Echo,
  isIcmpv4Error,
  parseIcmpv4,
  setIcmpv4Id,
  setIcmpv4Sequence,
  verifyIcmpv4Checksum,
} from '../src/icmpv4.ts';
import {
  emitIcmpv6,
  fillIcmpv6Checksum,
  getIcmpv6Id,
  getIcmpv6Mtu,
  getIcmpv6Sequence,
  isIcmpv6Echo,
  isIcmpv6Error,
  parseIcmpv6,
  setIcmpv6Id,
  setIcmpv6Sequence,
  verifyIcmpv6Checksum,
} from '../src/icmpv6.ts';
import {
  emitNeighborAdvertisement,
  emitNeighborSolicitation,
  emitRouterAdvertisement,
  emitRouterSolicitation,
  findNdpOption,
  NDP_OPTION_MTU,
  type NeighborAdvertisement,
  parseNeighborAdvertisement,
  parseNeighborSolicitation,
  parseRouterAdvertisement,
  parseRouterSolicitation,
  type RouterAdvertisement,
} from '../src/ndp.ts';
import { ipv6, mac, u8, u16, u32 } from './arbitraries.ts';
import { emitted, hex } from './hex.ts';

describe('ICMP for IPv4', () => {
  const header = { type: 8, code: 0, checksum: 0x4d5a, rest: 0x00010001 };
  const golden = hex('08 00 4d5a | 0001 0001');

  it('emits and parses the golden bytes', () => {
    expect(emitted(8, (frame, at) => emitIcmpv4(header, frame, at))).toEqual(golden);
    expect(parseIcmpv4(golden, 0, 8)).toEqual(header);
    expect(parseIcmpv4(golden, 0, 7)).toBeUndefined();
  });

  it('computes the checksum of the ping of Windows, abc...w and abc...i', () => {
    const text = 'abcdefghijklmnopqrstuvwabcdefghi';
    const message = new Uint8Array(40);
    message.set(golden);
    message.set(new TextEncoder().encode(text), 8);
    expect(verifyIcmpv4Checksum(message, 0, 40)).toBe(true);
    message[2] = message[3] = 0xa5;
    expect(verifyIcmpv4Checksum(message, 0, 40)).toBe(false);
    fillIcmpv4Checksum(message, 0, 40);
    expect(message.subarray(0, 8)).toEqual(golden);
  });

  it('reads and writes what the rest holds', () => {
    const frame = hex('03 04 0000 | 0000 057a');
    expect(getIcmpv4Mtu(frame, 0)).toBe(1402);
    setIcmpv4Id(frame, 0, 0xabcd);
    setIcmpv4Sequence(frame, 0, 0x1234);
    expect(frame).toEqual(hex('03 04 0000 | abcd 1234'));
    expect([getIcmpv4Id(frame, 0), getIcmpv4Sequence(frame, 0)]).toEqual([0xabcd, 0x1234]);
  });

  it('knows errors and echoes', () => {
    expect([0, 3, 4, 5, 8, 11, 12, 13].filter(isIcmpv4Error)).toEqual([3, 4, 5, 11, 12]);
    expect([0, 3, 8, 11].filter(isIcmpv4Echo)).toEqual([0, 8]);
  });

  it('keeps every header', () => {
    fc.assert(
      fc.property(fc.record({ type: u8, code: u8, checksum: u16, rest: u32 }), (random) => {
        const v4 = emitted(8, (frame, at) => emitIcmpv4(random, frame, at));
        expect(parseIcmpv4(v4, 0, 8)).toEqual(random);
        const v6 = emitted(8, (frame, at) => emitIcmpv6(random, frame, at));
        expect(parseIcmpv6(v6, 0, 8)).toEqual(random);
      }),
    );
  });
});

describe('ICMPv6', () => {
  it('emits and parses the golden bytes', () => {
    const header = { type: 2, code: 0, checksum: 0x1234, rest: 1280 };
    const golden = hex('02 00 1234 | 00000500');
    expect(emitted(8, (frame, at) => emitIcmpv6(header, frame, at))).toEqual(golden);
    expect(parseIcmpv6(golden, 0, 8)).toEqual(header);
    expect(parseIcmpv6(golden, 0, 7)).toBeUndefined();
    expect(getIcmpv6Mtu(golden, 0)).toBe(1280);
  });

  it('covers the pseudo header with its checksum', () => {
    // 2001:db8::1 > 2001:db8::2, echo request, id 1234, sequence 1.
    const frame = hex(`
      60000000 0008 3a 40
      20010db8000000000000000000000001 20010db8000000000000000000000002
      80 00 0000 1234 0001
    `);
    fillIcmpv6Checksum(frame, 0, 40, 48);
    // Addresses, length, next header, then type and code, id, sequence.
    const sum = 2 * (0x2001 + 0x0db8) + 3 + 8 + 0x3a + 0x8000 + 0x1234 + 1;
    expect((frame[42] << 8) | frame[43]).toBe(~sum & 0xffff);
    expect(verifyIcmpv6Checksum(frame, 0, 40, 48)).toBe(true);
    frame[8] ^= 1;
    expect(verifyIcmpv6Checksum(frame, 0, 40, 48)).toBe(false);
    setIcmpv6Id(frame, 40, 0xabcd);
    setIcmpv6Sequence(frame, 40, 7);
    expect([getIcmpv6Id(frame, 40), getIcmpv6Sequence(frame, 40)]).toEqual([0xabcd, 7]);
  });

  it('knows errors and echoes', () => {
    expect([0, 1, 2, 3, 4, 5, 127, 128, 129].filter(isIcmpv6Error)).toEqual([1, 2, 3, 4]);
    expect([1, 128, 129, 130].filter(isIcmpv6Echo)).toEqual([128, 129]);
  });
});

describe('neighbor discovery', () => {
  const target = hex('fe80 0000 0000 0000 0000 0000 0000 0001');
  const macA = hex('0a580af40105');

  it('solicits both ways', () => {
    const golden = hex(`
      87 00 0000 | 00000000
      fe800000000000000000000000000001
      01 01 0a580af40105                // source link-layer address
    `);
    const message = { target, sourceMac: macA };
    expect(emitted(32, (frame, at) => emitNeighborSolicitation(message, frame, at))).toEqual(golden);
    expect(parseNeighborSolicitation(golden, 0, 32)).toEqual(message);
    expect(parseNeighborSolicitation(golden, 0, 24)).toEqual({ target });
    expect(emitted(24, (frame, at) => emitNeighborSolicitation({ target }, frame, at))).toEqual(
      golden.subarray(0, 24),
    );
    expect(parseNeighborSolicitation(golden, 0, 31)).toBeUndefined();
    expect(parseNeighborSolicitation(golden, 0, 23)).toBeUndefined();
    expect(parseNeighborAdvertisement(golden, 0, 32)).toBeUndefined();
  });

  it('advertises both ways', () => {
    const golden = hex(`
      88 00 0000 | e0000000             // router, solicited, override
      fe800000000000000000000000000001
      02 01 eeeeeeeeeeee                // target link-layer address
    `);
    const message = { router: true, solicited: true, override: true, target, targetMac: hex('eeeeeeeeeeee') };
    expect(emitted(32, (frame, at) => emitNeighborAdvertisement(message, frame, at))).toEqual(golden);
    expect(parseNeighborAdvertisement(golden, 0, 32)).toEqual(message);
  });

  it('keeps every advertisement', () => {
    const flags = { router: fc.boolean(), solicited: fc.boolean(), override: fc.boolean(), target: ipv6 };
    const random: fc.Arbitrary<NeighborAdvertisement> = fc.oneof(
      fc.record(flags),
      fc.record({ ...flags, targetMac: mac }),
    );
    fc.assert(
      fc.property(random, (message) => {
        const length = message.targetMac ? 32 : 24;
        const bytes = emitted(length, (frame, at) => emitNeighborAdvertisement(message, frame, at));
        expect(parseNeighborAdvertisement(bytes, 0, length)).toEqual(message);
      }),
    );
  });

  it('solicits routers both ways', () => {
    const golden = hex('85 00 0000 00000000 | 01 01 0a580af40105');
    expect(emitted(16, (frame, at) => emitRouterSolicitation({ sourceMac: macA }, frame, at))).toEqual(
      golden,
    );
    expect(parseRouterSolicitation(golden, 0, 16)).toEqual({ sourceMac: macA });
    expect(emitted(8, (frame, at) => emitRouterSolicitation({}, frame, at))).toEqual(golden.subarray(0, 8));
    expect(parseRouterSolicitation(golden, 0, 8)).toEqual({});
  });

  const advertisement: RouterAdvertisement = {
    hopLimit: 64,
    managed: true,
    otherConfiguration: false,
    routerLifetimeSeconds: 1800,
    reachableTimeMs: 30000,
    retransmissionTimerMs: 1000,
    sourceMac: hex('eeeeeeeeeeee'),
    mtu: 1450,
    prefixes: [
      {
        prefixLength: 64,
        onLink: true,
        autonomous: true,
        validLifetimeSeconds: 86400,
        preferredLifetimeSeconds: 14400,
        prefix: hex('fd00 0010 0244 0000 0000 0000 0000 0000'),
      },
    ],
  };
  const advertisementBytes = hex(`
    86 00 0000 | 40 80 0708 | 00007530 | 000003e8
    01 01 eeeeeeeeeeee
    05 01 0000 000005aa
    03 04 40 c0 | 00015180 00003840 00000000
    fd000010024400000000000000000000
  `);

  it('advertises routers both ways', () => {
    expect(emitted(64, (frame, at) => emitRouterAdvertisement(advertisement, frame, at))).toEqual(
      advertisementBytes,
    );
    expect(parseRouterAdvertisement(advertisementBytes, 0, 64)).toEqual(advertisement);
  });

  it('finds options, and refuses messages with impossible ones (RFC 4861 4.6)', () => {
    expect(findNdpOption(advertisementBytes, 16, 64, NDP_OPTION_MTU)).toBe(24);
    expect(findNdpOption(advertisementBytes, 16, 64, 99)).toBe(-1);
    const zero = advertisementBytes.slice();
    zero[25] = 0;
    expect(findNdpOption(zero, 16, 64, NDP_OPTION_MTU)).toBe(-2);
    expect(parseRouterAdvertisement(zero, 0, 64)).toBeUndefined();
    const long = advertisementBytes.slice();
    long[33] = 5;
    expect(parseRouterAdvertisement(long, 0, 64)).toBeUndefined();
  });
});
