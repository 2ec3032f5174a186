/**
 * Numbers that depend on the seed alone, so that a failed test can be run again: uint32 by mulberry32 (Tommy Ettinger,
 * public domain), which passes over all seeds, 0 among them.
 */
export function seededRandom32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** A number in [0, 1). */
export function fraction(random32: () => number): number {
  return random32() / 0x100000000;
}
