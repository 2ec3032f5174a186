import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { podMac } from '../src/cni/attach.ts';
import { COOL_DOWN_MS, gatewayOf, Ipam, RangeExhausted } from '../src/cni/ipam.ts';
import { FakeClock } from './fake-clock.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ipam-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const make = (clock = new FakeClock(), cidrs = ['10.244.1.0/24']) => {
  const ipam = new Ipam({ nowMs: clock.nowMs, file: join(directory, 'ipam.json') });
  ipam.configure(cidrs);
  return ipam;
};

describe('pod addresses', () => {
  it('leave the first address to the gateway and go on from the last one given', () => {
    const ipam = make();
    expect(gatewayOf('10.244.1.0/24')).toBe('10.244.1.1');
    expect(ipam.allocate('a')).toEqual(['10.244.1.2']);
    expect(ipam.allocate('b')).toEqual(['10.244.1.3']);
    expect(ipam.allocate('a')).toEqual(['10.244.1.2']);
    ipam.release('a');
    expect(ipam.allocate('c')).toEqual(['10.244.1.4']);
  });

  it('never give the broadcast address, and say so when there is none left', () => {
    const ipam = make(new FakeClock(), ['10.244.1.0/29']);
    const given = ['a', 'b', 'c', 'd', 'e'].map((pod) => ipam.allocate(pod)[0]);
    expect(given).toEqual(['10.244.1.2', '10.244.1.3', '10.244.1.4', '10.244.1.5', '10.244.1.6']);
    expect(() => ipam.allocate('f')).toThrow(RangeExhausted);
    expect(() => ipam.allocate('f')).toThrow('no IP addresses available in range set: 10.244.1.0/29');
  });

  it('rest after their release', async () => {
    const clock = new FakeClock();
    const ipam = make(clock, ['10.244.1.0/30']);
    expect(ipam.allocate('a')).toEqual(['10.244.1.2']);
    ipam.release('a');
    expect(() => ipam.allocate('b')).toThrow(RangeExhausted);
    await clock.advance(COOL_DOWN_MS - 1);
    expect(() => ipam.allocate('b')).toThrow(RangeExhausted);
    await clock.advance(1);
    expect(ipam.allocate('b')).toEqual(['10.244.1.2']);
  });

  it('come one of each family, in the order of the ranges', () => {
    const ipam = make(new FakeClock(), ['10.244.3.0/24', 'fd00:10:244:3::/64']);
    expect(ipam.allocate('a')).toEqual(['10.244.3.2', 'fd00:10:244:3::2']);
    expect(gatewayOf('fd00:10:244:3::/64')).toBe('fd00:10:244:3::1');
  });

  it('are the same ones after the agent was killed', () => {
    const before = make();
    before.allocate('a');
    before.allocate('b');
    before.release('a');
    const after = make();
    expect(after.owners()).toEqual(['b']);
    expect(after.allocate('b')).toEqual(['10.244.1.3']);
    expect(after.allocate('c')).toEqual(['10.244.1.4']);
  });

  it('start anew when the file is of other ranges, broken, or full of nonsense', () => {
    make().allocate('a');
    expect(make(new FakeClock(), ['10.244.7.0/24']).allocate('x')).toEqual(['10.244.7.2']);
    const file = join(directory, 'ipam.json');
    for (const text of [
      '',
      '{',
      'null',
      '{"ranges":1}',
      '{"ranges":["10.244.1.0/24"],"last":["x"],"allocations":[{}]}',
    ]) {
      writeFileSync(file, text);
      expect(make().allocate('b')).toEqual(['10.244.1.2']);
    }
    expect(JSON.parse(readFileSync(file, 'utf8')).allocations).toHaveLength(1);
  });

  it('refuse ranges that hold no pod', () => {
    for (const cidr of ['10.0.0.0/31', '10.0.0.1', 'x/24', '10.0.0.0/33']) {
      expect(() => make(new FakeClock(), [cidr])).toThrow(`Cannot use pod CIDR "${cidr}"`);
    }
  });
});

describe('podMac', () => {
  it('is 0a:58 and the IPv4 address, or the end of an IPv6 one', () => {
    expect(podMac(['10.244.1.5'])).toBe('0a:58:0a:f4:01:05');
    expect(podMac(['fd00::abcd:1', '10.244.1.5'])).toBe('0a:58:0a:f4:01:05');
    expect(podMac(['fd00::abcd:1'])).toBe('0a:58:ab:cd:00:01');
  });
});
