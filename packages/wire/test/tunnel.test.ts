import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  emitGeneve,
  getGeneveHeaderLength,
  getGeneveProtocol,
  getGeneveVni,
  isGeneve,
  parseGeneve,
  setGeneveVni,
} from '../src/geneve.ts';
import { emitVxlan, getVxlanFlags, getVxlanVni, isVxlan, parseVxlan, setVxlanVni } from '../src/vxlan.ts';
import { u8, u16, u24 } from './arbitraries.ts';
import { emitted, hex } from './hex.ts';

describe('VXLAN', () => {
  const golden = hex('08 000000 | 123456 00');

  it('emits and parses the golden bytes', () => {
    expect(emitted(8, (frame, at) => emitVxlan({ vni: 0x123456 }, frame, at))).toEqual(golden);
    expect(parseVxlan(golden, 0, 8)).toEqual({ vni: 0x123456 });
    expect(getVxlanFlags(golden, 0)).toBe(8);
    expect(getVxlanVni(golden, 0)).toBe(0x123456);
  });

  it('keeps every VNI', () => {
    fc.assert(
      fc.property(u24, (vni) => {
        const bytes = emitted(8, (frame, at) => emitVxlan({ vni }, frame, at));
        expect(parseVxlan(bytes, 0, 8)).toEqual({ vni });
        const other = golden.slice();
        setVxlanVni(other, 0, vni);
        expect(other).toEqual(bytes);
      }),
    );
  });

  it('ignores reserved bits, and refuses a header without the I flag or cut (RFC 7348 5)', () => {
    expect(parseVxlan(hex('ff ffffff 000001 ff'), 0, 8)).toEqual({ vni: 1 });
    expect(parseVxlan(hex('f7 000000 000001 00'), 0, 8)).toBeUndefined();
    expect(parseVxlan(golden, 0, 7)).toBeUndefined();
    expect(isVxlan(golden, 1, 9)).toBe(false);
  });
});

describe('Geneve', () => {
  const header = {
    control: false,
    protocol: 0x6558,
    vni: 0xabcdef,
    options: [
      { optionClass: 0x014b, type: 0x81, data: hex('1234567890abcdef') },
      { optionClass: 0x0102, type: 0x03, data: new Uint8Array(0) },
    ],
  };
  const golden = hex(`
    04 40 6558 | abcdef 00                // 4 words of options, a critical one, Ethernet
    014b 81 02 | 1234567890abcdef
    0102 03 00
  `);

  it('emits and parses the golden bytes', () => {
    expect(emitted(24, (frame, at) => emitGeneve(header, frame, at))).toEqual(golden);
    expect(parseGeneve(golden, 0, 24)).toEqual(header);
    expect(getGeneveHeaderLength(golden, 0)).toBe(24);
    expect(getGeneveProtocol(golden, 0)).toBe(0x6558);
    expect(getGeneveVni(golden, 0)).toBe(0xabcdef);
  });

  it('keeps every header', () => {
    const data = fc.nat(6).chain((n) => fc.uint8Array({ minLength: n * 4, maxLength: n * 4 }));
    const random = fc.record({
      control: fc.boolean(),
      protocol: u16,
      vni: u24,
      options: fc.array(fc.record({ optionClass: u16, type: u8, data }), { maxLength: 5 }),
    });
    fc.assert(
      fc.property(random, (value) => {
        const length = value.options.reduce((sum, option) => sum + 4 + option.data.length, 8);
        const bytes = emitted(length, (frame, at) => emitGeneve(value, frame, at));
        expect(parseGeneve(bytes, 0, length)).toEqual(value);
        setGeneveVni(bytes, 0, 7);
        expect(getGeneveVni(bytes, 0)).toBe(7);
      }),
    );
  });

  it.each([
    ['another version', hex('40 00 6558 00000100'), 8],
    ['cut options', golden, 23],
    ['an option past the options', hex('01 00 6558 00000100 0102 03 01'), 12],
    ['a cut header', golden, 7],
  ])('refuses %s', (_, bytes, end) => {
    expect(parseGeneve(bytes, 0, end)).toBeUndefined();
  });

  it('asks only for what it needs', () => {
    expect(isGeneve(golden, 0, 24)).toBe(true);
    expect(isGeneve(golden, 0, 25)).toBe(false);
  });
});
