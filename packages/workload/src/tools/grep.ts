import { linesOf } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { parseOptions } from './options.ts';
import { compileRegex, escapeRegex, fromBasicSyntax, type Regex } from './regex.ts';
import { openInput, withUsage } from './tool-files.ts';

const SHORTS = 'EFGPivcoqnlLhHswxrRm:e:A:B:C:a';
const LONGS = {
  'extended-regexp': 'E',
  'fixed-strings': 'F',
  'perl-regexp': 'P',
  'ignore-case': 'i',
  'invert-match': 'v',
  count: 'c',
  'only-matching': 'o',
  quiet: 'q',
  silent: 'q',
  'line-number': 'n',
  'files-with-matches': 'l',
  'files-without-match': 'L',
  'no-filename': 'h',
  'with-filename': 'H',
  'no-messages': 's',
  'word-regexp': 'w',
  'line-regexp': 'x',
  'max-count': 'm=',
  regexp: 'e=',
  'after-context': 'A=',
  'before-context': 'B=',
  context: 'C=',
  color: 'color=?',
  colour: 'color=?',
  recursive: 'r',
};

/** Exit code 0 when a line was selected, 1 when none, 2 for an error. */
export const grep: Tool = withUsage(2, async (context) => {
  const { stdout, stderr, signal } = context;
  const options = parseOptions(context.argv.slice(1), SHORTS, LONGS);
  const operands = [...options.operands];
  const patterns = [...options.all('e')];
  if (patterns.length === 0) {
    const first = operands.shift();
    if (first === undefined) {
      await stderr.write('Usage: grep [OPTION]... PATTERNS [FILE]...\n');
      return 2;
    }
    patterns.push(first);
  }
  const syntax = context.argv[0]!.endsWith('fgrep') || options.has('F') ? 'fixed' : undefined;
  const extended = options.has('E') || options.has('P') || context.argv[0]!.endsWith('egrep');
  const sources = patterns
    .flatMap((pattern) => pattern.split('\n'))
    .map((pattern) => {
      const source = syntax ? escapeRegex(pattern) : extended ? pattern : fromBasicSyntax(pattern);
      if (options.has('x')) return `^(?:${source})$`;
      return options.has('w') ? `\\b(?:${source})\\b` : source;
    });
  let regex: Regex;
  try {
    regex = compileRegex(
      sources.length === 1 ? sources[0]! : sources.map((source) => `(?:${source})`).join('|'),
      {
        ignoreCase: options.has('i'),
      },
    );
  } catch (error) {
    await stderr.write(`grep: ${(error as Error).message}\n`);
    return 2;
  }
  const limit = Number(options.get('m') ?? Infinity);
  const before = Number(options.get('B') ?? options.get('C') ?? 0);
  const after = Number(options.get('A') ?? options.get('C') ?? 0);
  const quiet = options.has('q');
  const titled = options.has('H') || (operands.length > 1 && !options.has('h'));
  let selected = false;
  let failed = false;
  for (const name of operands.length > 0 ? operands : ['-']) {
    const input = openInput(context, name);
    if (typeof input === 'string') {
      failed = true;
      if (!options.has('s')) await stderr.write(`grep: ${name}: ${input}\n`);
      continue;
    }
    const title = name === '-' ? '(standard input)' : name;
    let count = 0;
    let number = 0;
    let lastShown = 0;
    let trailing = 0;
    const held: [number, string][] = [];
    const show = async (at: number, text: string, mark: string): Promise<void> => {
      const prefix = `${titled ? `${title}${mark}` : ''}${options.has('n') ? `${at}${mark}` : ''}`;
      await stdout.write(`${prefix}${text}\n`);
    };
    const silent = quiet || options.has('c') || options.has('l') || options.has('L');
    if (limit === 0) continue;
    for await (const line of linesOf(input, signal)) {
      number++;
      const hit = regex.test(line) !== options.has('v');
      if (!hit) {
        if (trailing > 0 && !silent) {
          trailing--;
          lastShown = number;
          await show(number, line, '-');
        } else if (before > 0) {
          held.push([number, line]);
          if (held.length > before) held.shift();
        }
        continue;
      }
      count++;
      selected = true;
      if (quiet || options.has('l')) break;
      if (!silent) {
        const from = held[0]?.[0] ?? number;
        if ((before > 0 || after > 0) && lastShown > 0 && from > lastShown + 1) await stdout.write('--\n');
        for (const [at, text] of held.splice(0)) await show(at, text, '-');
        if (options.has('o') && !options.has('v')) {
          for (let at = 0; at <= line.length; ) {
            const match = regex.exec(line, at);
            if (!match) break;
            if (match.end > match.start) await show(number, line.slice(match.start, match.end), ':');
            at = match.end > match.start ? match.end : match.end + 1;
          }
        } else await show(number, line, ':');
        lastShown = number;
        trailing = after;
      }
      if (count >= limit) break;
    }
    if (input !== context.stdin) input.destroy();
    if (quiet && selected) return 0;
    if (options.has('c')) await stdout.write(`${titled ? `${title}:` : ''}${count}\n`);
    if (options.has('l') && count > 0) await stdout.write(`${title}\n`);
    if (options.has('L') && count === 0) await stdout.write(`${title}\n`);
  }
  return failed ? 2 : selected ? 0 : 1;
});
