/**
 * `$(NAME)` references in environment values, commands and arguments.
 * Source: upstream third_party/forked/golang/expansion.
 */

/**
 * Replaces `$(NAME)` by what `lookup` gives for NAME. `$$` is an escaped `$`; a reference that `lookup` does not know,
 * and any other `$`, stays as it is.
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  if (!text.includes('$')) return text;
  let out = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char !== '$' || at + 1 >= text.length) {
      out += char;
      continue;
    }
    const next = text[at + 1]!;
    if (next === '$') {
      out += '$';
      at += 1;
      continue;
    }
    const end = next === '(' ? text.indexOf(')', at + 2) : -1;
    if (end < 0) {
      out += char + next;
      at += 1;
      continue;
    }
    const name = text.slice(at + 2, end);
    out += lookup(name) ?? `$(${name})`;
    at = end;
  }
  return out;
}
