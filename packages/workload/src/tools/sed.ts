import { posix } from 'node:path';
import { linesOf } from '../shell/streams.ts';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { parseOptions } from './options.ts';
import { compileRegex, fromBasicSyntax, type Regex } from './regex.ts';
import { forEachInput, withUsage } from './tool-files.ts';

type Address = { line: number } | { last: true } | { regex: Regex } | { step: number; first: number };

interface SedCommand {
  from?: Address;
  to?: Address;
  negated: boolean;
  name: string;
  text: string;
  regex?: Regex;
  global: boolean;
  print: boolean;
  nth: number;
  /** For `y`. */
  map?: ReadonlyMap<string, string>;
  active: boolean;
}

class SedProblem extends Error {}

/** The stream editor without branches and hold space: s y p d q = a i c n, with line, `$`, regex and range addresses. */
export const sed: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'nEre:si', {
    quiet: 'n',
    silent: 'n',
    'regexp-extended': 'E',
    expression: 'e=',
    'in-place': 'i=?',
  });
  const operands = [...options.operands];
  const sources = [...options.all('e')];
  if (sources.length === 0) {
    const first = operands.shift();
    if (first === undefined) {
      await context.stderr.write('Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...\n');
      return 1;
    }
    sources.push(first);
  }
  let commands: SedCommand[];
  try {
    commands = parseCommands(sources.join('\n'), options.has('E') || options.has('r'));
  } catch (error) {
    await context.stderr.write(`sed: -e expression #1, char 0: ${(error as Error).message}\n`);
    return 1;
  }
  if (!options.has('i'))
    return edit(context, commands, operands, options.has('n'), (text) => context.stdout.write(text));
  let code = 0;
  for (const name of operands) {
    let result = '';
    code ||= await edit(context, commands, [name], options.has('n'), async (text) => {
      result += text;
    });
    if (code === 0) context.files.write(posix.resolve(context.directory, name), Buffer.from(result));
  }
  return code;
});

async function edit(
  context: ToolContext,
  commands: SedCommand[],
  names: readonly string[],
  quiet: boolean,
  write: (text: string) => Promise<void>,
): Promise<number> {
  let number = 0;
  let exitCode: number | undefined;
  let held: string | undefined;
  const cycle = async (line: string, isLast: boolean): Promise<void> => {
    number++;
    let space = line;
    let appended = '';
    let deleted = false;
    for (const command of commands) {
      if (!isSelected(command, space, number, isLast)) continue;
      if (command.name === 'd') {
        deleted = true;
        break;
      }
      switch (command.name) {
        case 's': {
          const replaced = substitute(command, space);
          if (replaced === undefined) break;
          space = replaced;
          if (command.print) await write(`${space}\n`);
          break;
        }
        case 'y':
          space = [...space].map((c) => command.map!.get(c) ?? c).join('');
          break;
        case 'p':
          await write(`${space}\n`);
          break;
        case '=':
          await write(`${number}\n`);
          break;
        case 'i':
          await write(`${command.text}\n`);
          break;
        case 'a':
          appended += `${command.text}\n`;
          break;
        case 'c':
          await write(`${command.text}\n`);
          deleted = true;
          break;
        case 'q':
          exitCode = Number(command.text || 0);
      }
      if (deleted || exitCode !== undefined) break;
    }
    if (!deleted && !quiet) await write(`${space}\n`);
    if (appended) await write(appended);
  };
  const code = await forEachInput(context, names, async (input) => {
    for await (const line of linesOf(input, context.signal)) {
      // One line is held back, so that the last one is known.
      if (held !== undefined) await cycle(held, false);
      held = line;
      if (exitCode !== undefined) return;
    }
  });
  if (held !== undefined && exitCode === undefined) await cycle(held, true);
  return exitCode ?? (code === 0 ? 0 : 2);
}

function isSelected(command: SedCommand, line: string, number: number, isLast: boolean): boolean {
  const matches = (address: Address): boolean =>
    'line' in address
      ? number === address.line
      : 'last' in address
        ? isLast
        : 'regex' in address
          ? address.regex.test(line)
          : number >= address.first && (number - address.first) % address.step === 0;
  let selected: boolean;
  if (!command.from) selected = true;
  else if (!command.to) selected = matches(command.from);
  else if (command.active) {
    selected = true;
    const end = command.to;
    if ('line' in end ? number >= end.line : matches(end)) command.active = false;
    if ('line' in end && number > end.line) selected = false;
  } else {
    selected = matches(command.from);
    if (selected) command.active = !('line' in command.to && command.to.line <= number);
  }
  return selected !== command.negated;
}

function substitute(command: SedCommand, line: string): string | undefined {
  let result = '';
  let at = 0;
  let count = 0;
  let changed = false;
  while (at <= line.length) {
    const match = command.regex!.exec(line, at);
    if (!match) break;
    count++;
    result += line.slice(at, match.start);
    if (count >= command.nth) {
      result += replacement(command.text, match.groups);
      changed = true;
    } else result += line.slice(match.start, match.end);
    at = match.end;
    if (match.end === match.start) result += line[at++] ?? '';
    if (changed && !command.global) break;
  }
  return changed ? result + line.slice(at) : undefined;
}

function replacement(template: string, groups: readonly (string | undefined)[]): string {
  return template.replace(/\\(\d)|\\n|\\t|\\([\s\S])|&/g, (whole, group?: string, escaped?: string) => {
    if (group !== undefined) return groups[Number(group)] ?? '';
    if (escaped !== undefined) return escaped;
    return whole === '&' ? (groups[0] ?? '') : whole === '\\n' ? '\n' : '\t';
  });
}

function parseCommands(source: string, extended: boolean): SedCommand[] {
  const commands: SedCommand[] = [];
  const open: { from?: Address; to?: Address; negated: boolean }[] = [];
  let at = 0;
  const regexOf = (text: string): Regex => compileRegex(extended ? text : fromBasicSyntax(text));
  const delimited = (delimiter: string): string => {
    let text = '';
    for (; at < source.length && source[at] !== delimiter; at++) {
      if (source[at] === '\\' && at + 1 < source.length) {
        text += source[at + 1] === delimiter ? delimiter : source.slice(at, at + 2);
        at++;
      } else text += source[at];
    }
    if (source[at++] !== delimiter) throw new SedProblem("unterminated `s' command");
    return text;
  };
  const address = (): Address | undefined => {
    const number = /^(\d+)(?:~(\d+))?/.exec(source.slice(at, at + 40));
    if (number) {
      at += number[0].length;
      return number[2] === undefined
        ? { line: Number(number[1]) }
        : { first: Number(number[1]), step: Math.max(1, Number(number[2])) };
    }
    if (source[at] === '$') {
      at++;
      return { last: true };
    }
    if (source[at] !== '/') return undefined;
    at++;
    return { regex: regexOf(delimited('/')) };
  };
  while (at < source.length) {
    if (/[\s;]/.test(source[at]!)) {
      at++;
      continue;
    }
    if (source[at] === '#') {
      while (at < source.length && source[at] !== '\n') at++;
      continue;
    }
    const from = address();
    let to: Address | undefined;
    if (from && source[at] === ',') {
      at++;
      if (source[at] === '+') throw new SedProblem("unexpected `,'");
      to = address();
      if (!to) throw new SedProblem("unexpected `,'");
    }
    while (source[at] === ' ') at++;
    let negated = false;
    while (source[at] === '!') {
      negated = true;
      at++;
    }
    const name = source[at++];
    if (name === undefined) throw new SedProblem('missing command');
    const scope = { ...(from && { from }), ...(to && { to }), negated };
    if (name === '{') {
      open.push(scope);
      continue;
    }
    if (name === '}') {
      if (!open.pop()) throw new SedProblem("unexpected `}'");
      continue;
    }
    // Of nested addresses the innermost counts; an outer one applies where the command has none.
    const effective = from || open.length === 0 ? scope : open.at(-1)!;
    const command: SedCommand = {
      ...effective,
      name,
      text: '',
      global: false,
      print: false,
      nth: 1,
      active: false,
    };
    switch (name) {
      case 's': {
        const delimiter = source[at++] ?? '/';
        const pattern = delimited(delimiter);
        command.text = delimited(delimiter);
        const flags = /^[gpiIeMm\d]*/.exec(source.slice(at))![0];
        at += flags.length;
        command.global = flags.includes('g');
        command.print = flags.includes('p');
        command.nth = Number(/\d+/.exec(flags)?.[0] ?? 1);
        command.regex = compileRegex(extended ? pattern : fromBasicSyntax(pattern), {
          ignoreCase: /i/i.test(flags),
        });
        break;
      }
      case 'y': {
        const delimiter = source[at++] ?? '/';
        const [left, right] = [[...delimited(delimiter)], [...delimited(delimiter)]];
        if (left.length !== right.length)
          throw new SedProblem("strings for `y' command are different lengths");
        command.map = new Map(left.map((c, index) => [c, right[index]!]));
        break;
      }
      case 'a':
      case 'i':
      case 'c': {
        const end =
          source.indexOf('\n', at) < 0 || /^\\\n/.test(source.slice(at))
            ? source.length
            : source.indexOf('\n', at);
        command.text = source.slice(at, end).replace(/^\s*\\?\n?\s*/, '');
        at = end;
        break;
      }
      case 'q':
        command.text = /^\s*\d*/.exec(source.slice(at))![0].trim();
        at += /^\s*\d*/.exec(source.slice(at))![0].length;
        break;
      case 'p':
      case 'd':
      case '=':
        break;
      default:
        throw new SedProblem(`unknown command: \`${name}'`);
    }
    while (source[at] === ' ') at++;
    if (at < source.length && !/[;\n}]/.test(source[at]!))
      throw new SedProblem('extra characters after command');
    commands.push(command);
  }
  if (open.length > 0) throw new SedProblem("unmatched `{'");
  return commands;
}
