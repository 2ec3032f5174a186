/** Sequence numbers modulo 2^32 (RFC 9293 3.4), held as int32. */

/** a < b */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** a > b */
export function after(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

/** How far `a` is past `b`; negative when before. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

export function laterOf(a: number, b: number): number {
  return ((a - b) | 0) >= 0 ? a : b;
}
