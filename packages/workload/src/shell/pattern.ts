/**
 * Shell patterns (POSIX 2.13): `*`, `?`, `[...]`. Matched by hand with one point of return, so that no pattern,
 * however hostile, costs more than length times length.
 */
export function matchesPattern(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let starAt = -1;
  let resumeAt = 0;
  while (t < text.length) {
    const step = p < pattern.length && pattern[p] !== '*' ? matchOne(pattern, p, text[t]!) : 0;
    if (step > 0) {
      p += step;
      t++;
    } else if (pattern[p] === '*') {
      starAt = p++;
      resumeAt = t;
    } else if (starAt >= 0) {
      p = starAt + 1;
      t = ++resumeAt;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}

/** Length of the pattern element at `p` when it matches the character, else 0. */
function matchOne(pattern: string, p: number, character: string): number {
  const c = pattern[p]!;
  if (c === '?') return 1;
  if (c === '\\' && p + 1 < pattern.length) return pattern[p + 1] === character ? 2 : 0;
  if (c === '[') {
    let i = p + 1;
    const negated = pattern[i] === '!' || pattern[i] === '^';
    if (negated) i++;
    let hit = false;
    const first = i;
    for (; i < pattern.length && (pattern[i] !== ']' || i === first); i++) {
      const named = /^\[:(\w+):\]/.exec(pattern.slice(i, i + 12));
      if (named) {
        hit ||= CLASSES[named[1]!]?.test(character) ?? false;
        i += named[0].length - 1;
      } else if (pattern[i + 1] === '-' && pattern[i + 2] !== undefined && pattern[i + 2] !== ']') {
        hit ||= character >= pattern[i]! && character <= pattern[i + 2]!;
        i += 2;
      } else hit ||= pattern[i] === character;
    }
    if (i < pattern.length) return hit !== negated ? i - p + 1 : 0;
  }
  return c === character ? 1 : 0;
}

const CLASSES: Record<string, RegExp> = {
  alpha: /[A-Za-z]/,
  digit: /[0-9]/,
  alnum: /[A-Za-z0-9]/,
  upper: /[A-Z]/,
  lower: /[a-z]/,
  space: /\s/,
  blank: /[ \t]/,
  punct: /[!-/:-@[-`{-~]/,
  xdigit: /[0-9A-Fa-f]/,
};

/** Makes every character of a literal text stand for itself in a pattern. */
export function escapePattern(text: string): string {
  return text.replace(/[*?[\]\\]/g, '\\$&');
}

export function hasPattern(pattern: string): boolean {
  return /(^|[^\\])(\\\\)*[*?[]/.test(pattern);
}

export function unescapePattern(pattern: string): string {
  return pattern.replace(/\\([\s\S])/g, '$1');
}
