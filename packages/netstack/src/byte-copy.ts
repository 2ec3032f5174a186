const bufferCopy = Buffer.prototype.copy;

/**
 * Copies from[start, end) to to[at…]. Buffer's copy takes any Uint8Array and, unlike `set(subarray())`, makes
 * no view: for a segment that halves the time.
 */
export function copyRange(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  bufferCopy.call(from, to, at, start, end);
}
