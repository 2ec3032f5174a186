/** Bytes from hex text; white space and `|` separate groups, `//` starts a comment to the end of the line. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\/\/.*$/gm, '').replace(/[\s|]/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-fA-F]/.test(digits)) throw new Error(`not hex: ${text}`);
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

/** A buffer in which a byte that nobody wrote shows. */
export function dirty(length: number): Uint8Array {
  return new Uint8Array(length).fill(0xa5);
}

/** Emits at an odd place of a dirty buffer; gives the written bytes after checking that nothing else changed. */
export function emitted(length: number, emit: (frame: Uint8Array, offset: number) => number): Uint8Array {
  const frame = dirty(length + 6);
  const written = emit(frame, 3);
  if (written !== length) throw new Error(`emitted ${written} bytes, expected ${length}`);
  for (const at of [0, 1, 2, length + 3, length + 4, length + 5]) {
    if (frame[at] !== 0xa5) throw new Error(`byte ${at - 3} outside of the header was written`);
  }
  return frame.slice(3, 3 + length);
}
