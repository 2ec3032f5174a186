import { describe, expect, test } from 'vitest';
import { reconnectDelayMs } from '../src/backoff.ts';

const longest = () => 2 ** 32 - 1;
const shortest = () => 0;

describe('delay before connecting again', () => {
  test('the first retry is at once, and none waits long for an absent controller', () => {
    const delays = Array.from({ length: 100 }, (_, attempt) => reconnectDelayMs(attempt, 'absent', longest));
    expect(Math.round(delays[0]!)).toBe(20);
    expect(delays.slice(1, 4).map(Math.round)).toEqual([40, 80, 160]);
    expect(Math.max(...delays)).toBeLessThanOrEqual(300);
  });

  test('a controller that refuses is left alone for up to five seconds', () => {
    expect(Math.round(reconnectDelayMs(50, 'refused', longest))).toBe(5_000);
    expect(reconnectDelayMs(50, 'refused', shortest)).toBe(2_500);
  });
});
