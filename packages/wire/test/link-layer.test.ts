import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emitArp, isArp, parseArp, setArpOperation, setArpSenderIp, setArpTargetIp } from '../src/arp.ts';
import {
  emitEthernet,
  isDstMac,
  isGroupDstMac,
  multicastMac4,
  multicastMac6,
  parseEthernet,
  swapMacs,
} from '../src/ethernet.ts';
import { mac, u16, u32 } from './arbitraries.ts';
import { emitted, hex } from './hex.ts';

describe('Ethernet', () => {
  const golden = hex('eeeeeeeeeeee | 0a580af40105 | 0800');
  const header = { dstMac: hex('eeeeeeeeeeee'), srcMac: hex('0a580af40105'), etherType: 0x0800 };

  it('emits and parses the golden bytes', () => {
    expect(emitted(14, (frame, at) => emitEthernet(header, frame, at))).toEqual(golden);
    expect(parseEthernet(golden, 0, 14)).toEqual(header);
  });

  it('keeps every header', () => {
    fc.assert(
      fc.property(fc.record({ dstMac: mac, srcMac: mac, etherType: u16 }), (random) => {
        const bytes = emitted(14, (frame, at) => emitEthernet(random, frame, at));
        expect(parseEthernet(bytes, 0, 14)).toEqual(random);
      }),
    );
  });

  it('refuses a cut header', () => {
    expect(parseEthernet(golden, 0, 13)).toBeUndefined();
    expect(parseEthernet(golden, 1, 14)).toBeUndefined();
    expect(parseEthernet(golden, 0, 15)).toBeUndefined();
  });

  it('turns a frame round and tells destinations apart', () => {
    const frame = golden.slice();
    swapMacs(frame, 0);
    expect(frame).toEqual(hex('0a580af40105 | eeeeeeeeeeee | 0800'));
    expect(isDstMac(frame, 0, hex('0a580af40105'))).toBe(true);
    expect(isDstMac(frame, 0, hex('0a580af40106'))).toBe(false);
    expect(isGroupDstMac(frame, 0)).toBe(false);
    expect(isGroupDstMac(hex('ffffffffffff'), 0)).toBe(true);
  });

  it('maps multicast addresses (RFC 2464 7, RFC 1112 6.4)', () => {
    expect(multicastMac6(hex('ff0200000000000000000001ff28 9c5a'))).toEqual(hex('3333ff289c5a'));
    expect(multicastMac4(0xe0800001)).toEqual(hex('01005e000001'));
  });
});

describe('ARP', () => {
  const golden = hex(`
    0001 0800 06 04 | 0002          // Ethernet, IPv4, lengths, reply
    eeeeeeeeeeee | a9fe0101         // sender 169.254.1.1
    0a580af40105 | 0af40105         // target 10.244.1.5
  `);
  const header = {
    operation: 2,
    senderMac: hex('eeeeeeeeeeee'),
    senderIp: 0xa9fe0101,
    targetMac: hex('0a580af40105'),
    targetIp: 0x0af40105,
  };

  it('emits and parses the golden bytes', () => {
    expect(emitted(28, (frame, at) => emitArp(header, frame, at))).toEqual(golden);
    expect(parseArp(golden, 0, 28)).toEqual(header);
  });

  it('keeps every header', () => {
    const random = fc.record({
      operation: u16,
      senderMac: mac,
      senderIp: u32,
      targetMac: mac,
      targetIp: u32,
    });
    fc.assert(
      fc.property(random, (arp) => {
        const bytes = emitted(28, (frame, at) => emitArp(arp, frame, at));
        expect(parseArp(bytes, 0, 28)).toEqual(arp);
      }),
    );
  });

  it('sets single fields', () => {
    const frame = golden.slice();
    setArpOperation(frame, 0, 1);
    setArpSenderIp(frame, 0, 0xffffffff);
    setArpTargetIp(frame, 0, 1);
    expect(parseArp(frame, 0, 28)).toEqual({ ...header, operation: 1, senderIp: 0xffffffff, targetIp: 1 });
  });

  it.each([
    ['other hardware', 1, 6],
    ['other protocol', 2, 0x86],
    ['other hardware length', 4, 8],
    ['other protocol length', 5, 16],
  ])('refuses %s', (_, at, value) => {
    const frame = golden.slice();
    frame[at] = value;
    expect(isArp(frame, 0, 28)).toBe(false);
    expect(parseArp(frame, 0, 28)).toBeUndefined();
  });

  it('refuses a cut message', () => {
    expect(parseArp(golden, 0, 27)).toBeUndefined();
  });
});
