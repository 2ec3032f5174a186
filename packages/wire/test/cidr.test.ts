import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addressIndex,
  type Cidr,
  cidrSize,
  contains,
  containsCidr,
  formatCidr,
  nthAddress,
  nthSubnet,
  overlaps,
  parseCidr,
} from '../src/cidr.ts';

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (!parsed) throw new Error(`no prefix: ${text}`);
  return parsed;
}

describe('CIDR', () => {
  it('clears host bits and says so', () => {
    expect(formatCidr(cidr('10.1.2.3/8'))).toBe('10.0.0.0/8');
    expect(cidr('10.1.2.3/8').hasHostBits).toBe(true);
    expect(cidr('10.0.0.0/8').hasHostBits).toBe(false);
    expect(formatCidr(cidr('fd00:10:244:FF::1/63'))).toBe('fd00:10:244:fe::/63');
    expect(formatCidr(cidr('1.2.3.4/32'))).toBe('1.2.3.4/32');
    expect(formatCidr(cidr('1.2.3.4/0'))).toBe('0.0.0.0/0');
  });

  it.each([
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/ 8',
    '/8',
    'x/8',
    '10.0.0.0/8/8',
  ])('refuses %j', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });

  it.each([
    ['10.244.0.0/16', '10.244.255.255', true],
    ['10.244.0.0/16', '10.245.0.0', false],
    ['10.244.1.0/25', '10.244.1.127', true],
    ['10.244.1.0/25', '10.244.1.128', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '::1', false],
    ['::/0', '1.2.3.4', false],
    ['fd00:10:96::/112', 'fd00:10:96::ffff', true],
    ['fd00:10:96::/112', 'fd00:10:96::1:0', false],
    ['10.0.0.0/8', 'ten', false],
  ])('%s contains %s: %s', (prefix, address, expected) => {
    expect(contains(cidr(prefix), address)).toBe(expected);
  });

  it('compares prefixes', () => {
    expect(containsCidr(cidr('10.244.0.0/16'), cidr('10.244.3.0/24'))).toBe(true);
    expect(containsCidr(cidr('10.244.3.0/24'), cidr('10.244.0.0/16'))).toBe(false);
    expect(overlaps(cidr('10.244.3.0/24'), cidr('10.244.0.0/16'))).toBe(true);
    expect(overlaps(cidr('10.96.0.0/16'), cidr('10.244.0.0/16'))).toBe(false);
    expect(overlaps(cidr('0.0.0.0/0'), cidr('::/0'))).toBe(false);
  });

  it('counts addresses', () => {
    expect(nthAddress(cidr('10.96.0.0/16'), 10)).toBe('10.96.0.10');
    expect(nthAddress(cidr('10.96.0.0/16'), 65535)).toBe('10.96.255.255');
    expect(nthAddress(cidr('fd00:10:96::/112'), 10)).toBe('fd00:10:96::a');
    expect(nthAddress(cidr('fd00::/64'), 2 ** 40 + 1)).toBe('fd00::100:0:1');
    expect(nthAddress(cidr('1.2.3.4/32'), 0)).toBe('1.2.3.4');
    expect(cidrSize(cidr('10.96.0.0/16'))).toBe(65536);
    expect(cidrSize(cidr('fd00::/64'))).toBe(2 ** 64);
    expect(() => nthAddress(cidr('10.0.0.0/30'), 4)).toThrow(
      'Cannot take address 4 of 10.0.0.0/30: it has 4 addresses',
    );
    expect(() => nthAddress(cidr('10.0.0.0/30'), -1)).toThrow(RangeError);
    expect(() => nthAddress(cidr('10.0.0.0/30'), 0.5)).toThrow(RangeError);
  });

  it('cuts subnets', () => {
    expect(nthSubnet(cidr('10.244.0.0/16'), 24, 0)).toBe('10.244.0.0/24');
    expect(nthSubnet(cidr('10.244.0.0/16'), 24, 255)).toBe('10.244.255.0/24');
    expect(nthSubnet(cidr('fd00:10:244::/48'), 64, 258)).toBe('fd00:10:244:102::/64');
    expect(() => nthSubnet(cidr('10.244.0.0/16'), 24, 256)).toThrow(RangeError);
    expect(() => nthSubnet(cidr('10.244.0.0/16'), 8, 0)).toThrow(RangeError);
    expect(() => nthSubnet(cidr('10.244.0.0/16'), 33, 0)).toThrow(RangeError);
  });

  it('finds the place of an address it gave', () => {
    const random = fc.record({
      n: fc.nat(0xffffff),
      prefix: fc.constantFrom('10.0.0.0/8', 'fd00::/64', '128.0.0.0/1'),
    });
    fc.assert(
      fc.property(random, ({ n, prefix }) => {
        const c = cidr(prefix);
        const address = nthAddress(c, n);
        expect(contains(c, address)).toBe(true);
        expect(addressIndex(c, address)).toBe(n);
      }),
    );
    expect(addressIndex(cidr('10.0.0.0/8'), '11.0.0.0')).toBe(-1);
    expect(addressIndex(cidr('10.244.1.128/25'), '10.244.1.130')).toBe(2);
  });
});
