import { RE2JS } from 're2js';

/** A regular expression given by a user, matched in linear time. Throws Error with a one-line message. */
export interface Regex {
  test(text: string): boolean;
  /** Matches from `from` on: start, end and groups. */
  exec(
    text: string,
    from?: number,
  ): { start: number; end: number; groups: (string | undefined)[] } | undefined;
}

/** POSIX extended syntax as far as RE2 has it, which covers what is usual. */
export function compileRegex(pattern: string, options: { ignoreCase?: boolean } = {}): Regex {
  const source = pattern
    .replace(/\\</g, '\\b')
    .replace(/\\>/g, '\\b')
    // A leading `*` or a brace that begins no interval stands for itself.
    .replace(/^(\^?)\*/, '$1\\*')
    .replace(/(\\.)|\{(?!\d+(,\d*)?\})/g, (_, escaped: string | undefined) => escaped ?? '\\{');
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(source, RE2JS.LONGEST_MATCH | (options.ignoreCase ? RE2JS.CASE_INSENSITIVE : 0));
  } catch (error) {
    throw new Error(`Invalid regular expression "${pattern}": ${(error as Error).message}`);
  }
  return {
    test: (text) => compiled.matcher(text).find(),
    exec(text, from = 0) {
      const matcher = compiled.matcher(text);
      if (!matcher.find(from)) return undefined;
      const groups = Array.from(
        { length: matcher.groupCount() + 1 },
        (_, i) => matcher.group(i) ?? undefined,
      );
      return { start: matcher.start(), end: matcher.end(), groups };
    },
  };
}

/** Turns POSIX basic syntax into extended: there `\(` groups and `(` stands for itself. */
export function fromBasicSyntax(pattern: string): string {
  let result = '';
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i]!;
    if (c === '[') {
      let end = i + 1;
      if (pattern[end] === '^') end++;
      if (pattern[end] === ']') end++;
      while (end < pattern.length && pattern[end] !== ']') {
        const named = /^\[[:.=].*?[:.=]\]/.exec(pattern.slice(end));
        end += named ? named[0].length : 1;
      }
      result += pattern.slice(i, end + 1);
      i = end;
    } else if (c === '\\' && i + 1 < pattern.length) {
      const next = pattern[++i]!;
      result += '(){}|+?'.includes(next) ? next : `\\${next}`;
    } else if ('(){}|+?'.includes(c)) result += `\\${c}`;
    else if (c === '*' && (result === '' || result.endsWith('('))) result += '\\*';
    else result += c;
  }
  return result;
}

export function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
