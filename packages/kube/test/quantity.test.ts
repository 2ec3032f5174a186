import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDuration, humanDuration, parseDuration } from '../src/duration.ts';
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  QUANTITY_PATTERN_TEXT,
  quantityError,
  quantityToNumber,
} from '../src/quantity.ts';

describe('quantities', () => {
  test.each([
    ['0', '0'],
    ['0.5', '500m'],
    ['.5', '500m'],
    ['1.', '1'],
    ['100m', '100m'],
    ['1000m', '1'],
    ['0.1m', '100u'],
    ['1024Mi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['1000Ki', '1000Ki'],
    ['512Ki', '512Ki'],
    ['0.5Ki', '512'],
    ['3000', '3k'],
    ['1e3', '1e3'],
    ['1E3', '1e3'],
    ['1E', '1E'],
    ['-1.5', '-1500m'],
    ['+1', '1'],
    ['1e-20', '1e-9'],
  ])('%s is %s', (text, canonical) => {
    expect(quantityError(text)).toBeUndefined();
    expect(canonicalQuantity(text)).toBe(canonical);
  });

  test.each([
    ['', QUANTITY_PATTERN_TEXT],
    ['abc', QUANTITY_PATTERN_TEXT],
    ['1.2.3', QUANTITY_PATTERN_TEXT],
    ['1 Gi', QUANTITY_PATTERN_TEXT],
    ['1GG', "unable to parse quantity's suffix"],
    ['1mi', "unable to parse quantity's suffix"],
  ])('%j is refused', (text, message) => {
    expect(quantityError(text)).toBe(message);
    expect(parseQuantity(text)).toBeUndefined();
    expect(canonicalQuantity(text)).toBe(text);
  });

  test('arithmetic is exact', () => {
    const sum = addQuantities(parseQuantity('0.1')!, parseQuantity('0.2')!);
    expect(formatQuantity(sum)).toBe('300m');
    expect(formatQuantity(addQuantities(parseQuantity('0')!, parseQuantity('1Gi')!))).toBe('1Gi');
    expect(compareQuantities(parseQuantity('1Ki')!, parseQuantity('1k')!)).toBe(1);
    expect(compareQuantities(parseQuantity('1024')!, parseQuantity('1Ki')!)).toBe(0);
    expect(quantityToNumber(parseQuantity('250m')!)).toBe(0.25);
  });

  test('an error is told exactly when parsing fails, and canonical text keeps the value', () => {
    const text = fc.oneof(
      fc.stringMatching(/^[+-]?[0-9.]{0,6}([numkMGTPE]?i?|[eE][+-]?[0-9]{0,2})$/),
      fc.string({ maxLength: 8 }),
    );
    fc.assert(
      fc.property(text, (value) => {
        const quantity = parseQuantity(value);
        expect(quantity === undefined).toBe(quantityError(value) !== undefined);
        if (!quantity) return;
        const again = parseQuantity(formatQuantity(quantity));
        expect(again && formatQuantity(again)).toBe(formatQuantity(quantity));
        // Binary quantities of 1024 and more are rounded up to whole units in text; nothing else changes.
        if (quantity.format !== 'BinarySI') expect(again?.nano).toBe(quantity.nano);
      }),
    );
  });

  test('a huge exponent costs nothing', () => {
    expect(parseQuantity('1e999999999')).toBeDefined();
  });
});

describe('durations', () => {
  test.each([
    ['0', 0],
    ['0s', 0],
    ['1.5s', 1500],
    ['1h2m3s', 3_723_000],
    ['100ms', 100],
    ['-2m', -120_000],
    ['5us', 0.005],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBeCloseTo(ms, 9);
  });

  test.each(['', '5', 's', '1x', '1h-2m', '1 s'])('%j is refused', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  test.each([
    [0, '0s'],
    [1500, '1.5s'],
    [65_000, '1m5s'],
    [7_200_000, '2h0m0s'],
    [15, '15ms'],
    [0.5, '500µs'],
    [-1000, '-1s'],
  ])('%d ms is %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
    expect(parseDuration(text)).toBeCloseTo(ms, 9);
  });

  const minute = 60_000;
  const hour = 60 * minute;
  const day = 24 * hour;
  test.each([
    [-3000, '<invalid>'],
    [-1500, '0s'],
    [0, '0s'],
    [119_000, '119s'],
    [2 * minute, '2m'],
    [2 * minute + 5000, '2m5s'],
    [10 * minute, '10m'],
    [179 * minute, '179m'],
    [3 * hour, '3h'],
    [3 * hour + 4 * minute, '3h4m'],
    [9 * hour, '9h'],
    [47 * hour, '47h'],
    [2 * day, '2d'],
    [2 * day + 3 * hour, '2d3h'],
    [8 * day, '8d'],
    [700 * day, '700d'],
    [730 * day, '2y'],
    [735 * day, '2y5d'],
    [8 * 365 * day, '8y'],
  ])('an age of %d ms shows as %s', (ms, text) => {
    expect(humanDuration(ms)).toBe(text);
  });
});
