import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { chunksOf, linesOf, pause, readAll } from '../shell/streams.ts';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { parseOptions } from './options.ts';
import { forEachInput, withUsage } from './tool-files.ts';

/** `-5` means `-n 5` to head and tail. */
function withNumberOption(args: readonly string[]): string[] {
  return args.map((argument, index) => (index === 0 ? argument.replace(/^-(\d+)$/, '-n$1') : argument));
}

async function titled(
  context: ToolContext,
  names: readonly string[],
  quiet: boolean,
  each: (input: Readable) => Promise<void>,
): Promise<number> {
  let first = true;
  return forEachInput(context, names, async (input, name) => {
    if (names.length > 1 && !quiet) await context.stdout.write(`${first ? '' : '\n'}==> ${name} <==\n`);
    first = false;
    await each(input);
  });
}

export const head: Tool = withUsage(1, async (context) => {
  const options = parseOptions(withNumberOption(context.argv.slice(1)), 'n:c:qv', {
    lines: 'n=',
    bytes: 'c=',
    quiet: 'q',
  });
  const bytes = options.get('c');
  const count = Number(bytes ?? options.get('n') ?? 10);
  return titled(context, options.operands, options.has('q'), async (input) => {
    if (bytes !== undefined) {
      let left = count;
      if (left > 0) {
        for await (const chunk of chunksOf(input, context.signal)) {
          await context.stdout.write(chunk.subarray(0, left));
          left -= chunk.length;
          if (left <= 0) break;
        }
      }
      return;
    }
    if (count < 0) {
      const lines: string[] = [];
      for await (const line of linesOf(input, context.signal)) lines.push(line);
      await context.stdout.write(joined(lines.slice(0, count)));
      return;
    }
    let left = count;
    if (left === 0) return;
    for await (const line of linesOf(input, context.signal)) {
      await context.stdout.write(`${line}\n`);
      if (--left === 0) break;
    }
  });
});

export const tail: Tool = withUsage(1, async (context) => {
  const options = parseOptions(withNumberOption(context.argv.slice(1)), 'n:c:fFqs:', {
    lines: 'n=',
    bytes: 'c=',
    follow: 'f=?',
    quiet: 'q',
    retry: 'F',
  });
  const amount = options.get('c') ?? options.get('n') ?? '10';
  const fromStart = amount.startsWith('+');
  const count = Math.abs(Number(amount));
  const code = await titled(context, options.operands, options.has('q'), async (input) => {
    if (options.has('c')) {
      const all = await readAll(input, context.signal);
      await context.stdout.write(
        fromStart ? all.subarray(count - 1) : all.subarray(Math.max(0, all.length - count)),
      );
      return;
    }
    const lines: string[] = [];
    let number = 0;
    for await (const line of linesOf(input, context.signal)) {
      if (fromStart) {
        if (++number >= count) await context.stdout.write(`${line}\n`);
        continue;
      }
      lines.push(line);
      if (lines.length > count) lines.shift();
    }
    await context.stdout.write(joined(lines));
  });
  const follows = (options.has('f') || options.has('F')) && options.operands.length > 0;
  return follows ? followFiles(context, options.operands, code) : code;
});

const FOLLOW_INTERVAL_MS = 250;

/** Writes what is appended to the files until the end of the command. `tail -f /dev/null` waits for ever. */
async function followFiles(context: ToolContext, names: readonly string[], code: number): Promise<number> {
  const paths = names.map((name) => posix.resolve(context.directory, name));
  const known = paths.filter((path) => context.files.exists(path));
  if (known.length === 0) return code;
  const sizes = new Map(known.map((path) => [path, context.files.read(path)?.length ?? 0]));
  while (!context.signal.aborted) {
    const isNull = known.every((path) => path === '/dev/null');
    await pause(isNull ? 2 ** 30 : FOLLOW_INTERVAL_MS, context.signal);
    for (const path of known) {
      const content = context.files.read(path) ?? Buffer.alloc(0);
      const before = sizes.get(path)!;
      if (content.length > before) await context.stdout.write(content.subarray(before));
      sizes.set(path, content.length);
    }
  }
  return code;
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

export const wc: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'lwcmL', {
    lines: 'l',
    words: 'w',
    bytes: 'c',
    chars: 'm',
  });
  const wanted = ['l', 'w', 'm', 'c'].filter((name) => options.has(name));
  const shown = wanted.length > 0 ? wanted : ['l', 'w', 'c'];
  const total = { l: 0, w: 0, m: 0, c: 0 } as Record<string, number>;
  const names = options.operands;
  const rows: [Record<string, number>, string][] = [];
  const code = await forEachInput(context, names, async (input, name) => {
    const counts = { l: 0, w: 0, m: 0, c: 0 } as Record<string, number>;
    let inWord = false;
    for await (const chunk of chunksOf(input, context.signal)) {
      counts.c! += chunk.length;
      for (const byte of chunk) {
        if (byte === 10) counts.l!++;
        if ((byte & 0xc0) !== 0x80) counts.m!++;
        const blank = byte === 32 || (byte >= 9 && byte <= 13);
        if (!blank && !inWord) counts.w!++;
        inWord = !blank;
      }
    }
    for (const key of Object.keys(total)) total[key]! += counts[key]!;
    rows.push([counts, names.length > 0 ? name : '']);
  });
  if (names.length > 1) rows.push([total, 'total']);
  // GNU: one number alone is not padded; a pipe's are padded to seven, files' to the widest.
  const widest = Math.max(
    ...rows.map(([counts]) => Math.max(...shown.map((key) => String(counts[key]).length))),
    1,
  );
  const width =
    shown.length === 1 && rows.length === 1
      ? 0
      : names.length === 0 || names.includes('-')
        ? 7
        : Math.max(widest, String(total.c).length);
  for (const [counts, name] of rows) {
    const numbers = shown.map((key) => String(counts[key]).padStart(width)).join(' ');
    await context.stdout.write(`${numbers}${name === '' ? '' : ` ${name}`}\n`);
  }
  return code;
});

async function allLines(
  context: ToolContext,
  names: readonly string[],
): Promise<{ lines: string[]; code: number }> {
  const lines: string[] = [];
  const code = await forEachInput(context, names, async (input) => {
    for await (const line of linesOf(input, context.signal)) lines.push(line);
  });
  return { lines, code };
}

export const sort: Tool = withUsage(2, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'bcdfghik:mno:rst:uV', {
    numeric: 'n',
    'numeric-sort': 'n',
    reverse: 'r',
    unique: 'u',
    key: 'k=',
    'field-separator': 't=',
  });
  const { lines, code } = await allLines(context, options.operands);
  const separator = options.get('t');
  const keys = options.all('k').map(parseKey);
  const global = {
    numeric: options.has('n') || options.has('g') || options.has('h'),
    reverse: options.has('r'),
    fold: options.has('f'),
  };
  const compareText = (a: string, b: string, how: { numeric: boolean; fold: boolean }): number => {
    if (how.numeric) {
      const difference = (Number.parseFloat(a) || 0) - (Number.parseFloat(b) || 0);
      return difference;
    }
    const [x, y] = how.fold ? [a.toUpperCase(), b.toUpperCase()] : [a, b];
    return Buffer.compare(Buffer.from(x), Buffer.from(y));
  };
  const compareKeys = (a: string, b: string): number => {
    if (keys.length === 0) return compareText(a, b, global) * (global.reverse ? -1 : 1);
    for (const key of keys) {
      const how = key.numeric || key.fold || key.reverse ? key : { ...global, ...key, ...global };
      const result = compareText(keyOf(a, key, separator), keyOf(b, key, separator), how);
      if (result !== 0) return how.reverse ? -result : result;
    }
    return 0;
  };
  const sorted = [...lines].sort((a, b) => {
    const result = compareKeys(a, b);
    if (result !== 0 || options.has('s') || options.has('u')) return result;
    return compareText(a, b, { numeric: false, fold: false }) * (global.reverse ? -1 : 1);
  });
  const kept = options.has('u')
    ? sorted.filter((line, index) => index === 0 || compareKeys(sorted[index - 1]!, line) !== 0)
    : sorted;
  const target = options.get('o');
  if (target !== undefined)
    context.files.write(posix.resolve(context.directory, target), Buffer.from(joined(kept)));
  else await context.stdout.write(joined(kept));
  return code === 0 ? 0 : 2;
});

interface SortKey {
  from: number;
  to: number;
  numeric: boolean;
  reverse: boolean;
  fold: boolean;
}

function parseKey(text: string): SortKey {
  const match = /^(\d+)(?:\.\d+)?([a-zA-Z]*)(?:,(\d+)(?:\.\d+)?([a-zA-Z]*))?$/.exec(text);
  const flags = `${match?.[2] ?? ''}${match?.[4] ?? ''}`;
  return {
    from: Number(match?.[1] ?? 1),
    to: match?.[3] === undefined ? Infinity : Number(match[3]),
    numeric: /[ngh]/.test(flags),
    reverse: flags.includes('r'),
    fold: flags.includes('f'),
  };
}

function keyOf(line: string, key: SortKey, separator: string | undefined): string {
  const fields = separator === undefined ? (line.match(/[ \t]*[^ \t]+/g) ?? []) : line.split(separator);
  return fields.slice(key.from - 1, key.to).join(separator ?? '');
}

export const uniq: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'cdui', { count: 'c', repeated: 'd', unique: 'u' });
  const { lines, code } = await allLines(context, options.operands.slice(0, 1));
  const same = (a: string, b: string): boolean =>
    options.has('i') ? a.toLowerCase() === b.toLowerCase() : a === b;
  for (let at = 0; at < lines.length; ) {
    let end = at + 1;
    while (end < lines.length && same(lines[at]!, lines[end]!)) end++;
    const count = end - at;
    const shown = (!options.has('d') || count > 1) && (!options.has('u') || count === 1);
    if (shown) {
      const prefix = options.has('c') ? `${String(count).padStart(7)} ` : '';
      await context.stdout.write(`${prefix}${lines[at]}\n`);
    }
    at = end;
  }
  return code;
});

export const cut: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'd:f:c:b:sn', {
    delimiter: 'd=',
    fields: 'f=',
    characters: 'c=',
    bytes: 'b=',
    'only-delimited': 's',
    'output-delimiter': 'output=',
  });
  const list = options.get('f') ?? options.get('c') ?? options.get('b');
  if (list === undefined) {
    await context.stderr.write('cut: you must specify a list of bytes, characters, or fields\n');
    return 1;
  }
  const ranges = list.split(',').map((text) => /^(\d*)(-?)(\d*)$/.exec(text));
  if (ranges.some((range) => !range || range[0] === '' || range[0] === '-')) {
    await context.stderr.write(`cut: invalid field value '${list}'\n`);
    return 1;
  }
  const includes = (n: number): boolean =>
    ranges.some((range) => {
      const from = Number(range![1] || 1);
      const to = range![2] ? (range![3] ? Number(range![3]) : Infinity) : from;
      return n >= from && n <= to;
    });
  const delimiter = options.get('d') ?? '\t';
  return forEachInput(context, options.operands, async (input) => {
    for await (const line of linesOf(input, context.signal)) {
      if (!options.has('f')) {
        await context.stdout.write(`${[...line].filter((_, index) => includes(index + 1)).join('')}\n`);
        continue;
      }
      if (!line.includes(delimiter)) {
        if (!options.has('s')) await context.stdout.write(`${line}\n`);
        continue;
      }
      const fields = line.split(delimiter).filter((_, index) => includes(index + 1));
      await context.stdout.write(`${fields.join(options.get('output') ?? delimiter)}\n`);
    }
  });
});

export const tr: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'cCds', {
    complement: 'c',
    delete: 'd',
    'squeeze-repeats': 's',
  });
  const [first = '', second] = options.operands;
  if (options.operands.length === 0 || (second === undefined && !options.has('d') && !options.has('s'))) {
    await context.stderr.write(`tr: missing operand${first ? ` after '${first}'` : ''}\n`);
    return 1;
  }
  const complement = options.has('c') || options.has('C');
  const from = characterSet(first);
  const to = characterSet(second ?? '');
  const members = new Set(from);
  const isMember = (c: string): boolean => members.has(c) !== complement;
  const translate = (c: string): string => {
    if (second === undefined || options.has('d')) return c;
    if (complement) return to.at(-1) ?? c;
    return to[Math.min(from.lastIndexOf(c), to.length - 1)] ?? c;
  };
  const squeezed = new Set(second === undefined ? [] : to);
  const squeezes = (c: string): boolean => (second === undefined ? isMember(c) : squeezed.has(c));
  let last = '';
  for await (const chunk of chunksOf(context.stdin, context.signal)) {
    let text = '';
    for (const c of chunk.toString('utf8')) {
      if (options.has('d') && isMember(c)) continue;
      const next = isMember(c) ? translate(c) : c;
      if (options.has('s') && next === last && squeezes(next)) continue;
      text += next;
      last = next;
    }
    await context.stdout.write(text);
  }
  return 0;
});

const CLASSES: Record<string, string> = {
  digit: '0-9',
  lower: 'a-z',
  upper: 'A-Z',
  alpha: 'A-Za-z',
  alnum: '0-9A-Za-z',
  space: ' \\t\\n\\v\\f\\r',
  blank: ' \\t',
  xdigit: '0-9A-Fa-f',
  punct: '!-/:-@[-`{-~',
  print: ' -~',
  cntrl: '\\001-\\037',
};

function characterSet(text: string): string[] {
  const source = text.replace(/\[:(\w+):\]/g, (whole, name: string) => CLASSES[name] ?? whole);
  const items: string[] = [];
  const tokens = source.match(/\\[0-7]{1,3}|\\[\s\S]|[\s\S]/gu) ?? [];
  const literal = (token: string): string => {
    if (!token.startsWith('\\') || token.length === 1) return token;
    if (/^\\[0-7]/.test(token)) return String.fromCharCode(Number.parseInt(token.slice(1), 8));
    const named: Record<string, string> = {
      n: '\n',
      t: '\t',
      r: '\r',
      v: '\v',
      f: '\f',
      a: '\u0007',
      b: '\b',
    };
    return named[token[1]!] ?? token[1]!;
  };
  for (let i = 0; i < tokens.length; i++) {
    const from = literal(tokens[i]!);
    if (tokens[i + 1] === '-' && tokens[i + 2] !== undefined) {
      const to = literal(tokens[i + 2]!);
      for (let code = from.codePointAt(0)!; code <= to.codePointAt(0)! && items.length < 70_000; code++)
        items.push(String.fromCodePoint(code));
      i += 2;
    } else items.push(from);
  }
  return items;
}

export const tee: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'ai', { append: 'a' });
  const paths = options.operands.map((name) => posix.resolve(context.directory, name));
  if (!options.has('a')) for (const path of paths) context.files.write(path, new Uint8Array(0));
  for await (const chunk of chunksOf(context.stdin, context.signal)) {
    for (const path of paths) context.files.write(path, chunk, true);
    await context.stdout.write(chunk);
  }
  return 0;
});

export const rev: Tool = async (context) =>
  forEachInput(context, context.argv.slice(1), async (input) => {
    for await (const line of linesOf(input, context.signal))
      await context.stdout.write(`${[...line].reverse().join('')}\n`);
  });

export const tac: Tool = async (context) => {
  const { lines, code } = await allLines(context, context.argv.slice(1));
  await context.stdout.write(joined(lines.reverse()));
  return code;
};
