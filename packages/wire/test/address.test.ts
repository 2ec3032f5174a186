import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalAddress,
  formatAddress,
  formatAddressWords,
  formatIpv4,
  formatIpv6,
  formatMac,
  ipVersionOf,
  parseAddress,
  parseAddressWords,
  parseIpv4,
  parseIpv6,
  parseMac,
} from '../src/address.ts';
import { hex } from './hex.ts';

describe('IPv4 text', () => {
  it('reads and writes unsigned numbers', () => {
    expect(parseIpv4('255.255.255.255')).toBe(0xffffffff);
    expect(parseIpv4('10.244.1.5')).toBe(0x0af40105);
    expect(formatIpv4(0xffffffff)).toBe('255.255.255.255');
    expect(formatIpv4(0)).toBe('0.0.0.0');
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '1..3.4',
    '.1.2.3',
    '1.2.3.',
    'a.b.c.d',
    '-1.2.3.4',
    '1.2.3.1000',
  ])('refuses %j', (text) => {
    expect(parseIpv4(text)).toBeUndefined();
  });

  it('keeps every address', () => {
    fc.assert(fc.property(fc.nat(0xffffffff), (n) => parseIpv4(formatIpv4(n)) === n));
  });
});

describe('IPv6 text', () => {
  // RFC 5952 section 4 and 5, RFC 4291 2.2.
  it.each([
    ['2001:db8::1', '2001:0DB8:0:0:0:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8::1:1:1:1:1'],
    ['2001:0:0:1::1', '2001:0:0:1:0:0:0:1'],
    ['2001:db8::1:0:0:1', '2001:db8:0:0:1:0:0:1'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['::1', '::0001'],
    ['fe80::', 'fe80:0::0'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['64:ff9b::c000:221', '64:ff9b::192.0.2.33'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::2:3:4:5:6:7:8'.replace('::', '0:'), '::2:3:4:5:6:7:8'],
  ])('writes %s for %s', (canonical, text) => {
    expect(canonicalAddress(text)).toBe(canonical);
    expect(canonicalAddress(canonical)).toBe(canonical);
  });

  it.each([
    '',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '12345::',
    'g::',
    '::1.2.3',
    '1.2.3.4::',
    'fe80::1%eth0',
    '::1 ',
    '1:2:3:4:5:6:7:',
    ':1:2:3:4:5:6:7',
  ])('refuses %j', (text) => {
    expect(parseIpv6(text)).toBeUndefined();
  });

  it('reads the bytes in network order', () => {
    expect(parseIpv6('fd00:10:244::a:5')).toEqual(hex('fd00 0010 0244 0000 0000 0000 000a 0005'));
    expect(formatIpv6(hex('ffff fd00 0010 0244 0000 0000 0000 000a 0005'), 2)).toBe('fd00:10:244::a:5');
  });

  it('keeps every address, and agrees with Node on what is one', () => {
    const sparse = fc.array(fc.constantFrom(0, 0, 0, 1, 0xff, 0xa0), { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(sparse, (list) => {
        const bytes = Uint8Array.from(list);
        const text = formatIpv6(bytes);
        expect(parseIpv6(text)).toEqual(bytes);
        expect(isIPv6(text)).toBe(true);
        if (!text.includes('.')) expect(new URL(`http://[${text}]/`).hostname).toBe(`[${text}]`);
      }),
    );
    const noise = fc.string({ unit: fc.constantFrom(...'01a:.:2'), maxLength: 20 });
    fc.assert(
      fc.property(noise, (text) => {
        expect(parseIpv6(text) !== undefined).toBe(isIPv6(text));
        expect(parseIpv4(text) !== undefined).toBe(isIPv4(text));
      }),
      { numRuns: 500 },
    );
  });
});

describe('either version', () => {
  it('tells versions apart', () => {
    expect(ipVersionOf('10.0.0.1')).toBe(4);
    expect(ipVersionOf('::1')).toBe(6);
    expect(ipVersionOf('localhost')).toBe(0);
    expect(ipVersionOf('')).toBe(0);
  });

  it('reads and writes bytes', () => {
    expect(parseAddress('10.0.0.1')).toEqual(hex('0a000001'));
    expect(parseAddress('::1')?.length).toBe(16);
    expect(parseAddress('x')).toBeUndefined();
    expect(formatAddress(hex('0a000001'))).toBe('10.0.0.1');
    expect(formatAddress(hex('0a'))).toBe('');
    expect(canonicalAddress('nowhere')).toBeUndefined();
  });

  it('reads and writes four words, IPv4 being v4-mapped', () => {
    expect(parseAddressWords('10.0.0.1')).toEqual([0, 0, 0xffff, 0x0a000001]);
    expect(parseAddressWords('fd00::f0f0:1')).toEqual([0xfd000000, 0, 0, 0xf0f00001]);
    expect(parseAddressWords('no')).toBeUndefined();
    expect(formatAddressWords(0, 0, 0xffff, 0x0a000001)).toBe('10.0.0.1');
    expect(formatAddressWords(0xfd000000, 0, 0, 0xf0f00001)).toBe('fd00::f0f0:1');
  });
});

describe('MAC text', () => {
  it('reads both separators and writes colons', () => {
    expect(parseMac('EE:ee:0e:EE:ee:ee')).toEqual(hex('eeee0eeeeeee'));
    expect(parseMac('02-00-00-00-00-0a')).toEqual(hex('02000000000a'));
    expect(formatMac(hex('ff 02000000000a'), 1)).toBe('02:00:00:00:00:0a');
  });
  it.each(['', '02:00:00:00:00', '02:00:00:00:00:0g', '02-00:00-00:00-00', '02:00:00:00:00:00:00'])(
    'refuses %j',
    (text) => {
      expect(parseMac(text)).toBeUndefined();
    },
  );
});
