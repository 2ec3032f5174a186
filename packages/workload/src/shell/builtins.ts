import { posix } from 'node:path';
import { evaluateArithmetic } from './arithmetic.ts';
import { complain, FunctionReturn, LoopExit, ShellExit } from './exits.ts';
import type { Shell } from './interpreter.ts';
import { signalName } from './processes.ts';
import type { Streams } from './redirects.ts';
import { pause, readLine } from './streams.ts';

/** A command that changes the shell itself. */
export type Builtin = (shell: Shell, argv: readonly string[], streams: Streams) => Promise<number> | number;

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

function codeArgument(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : /^\d+$/.test(text) ? Number(text) & 255 : 2;
}

const loopExit =
  (kind: 'break' | 'continue'): Builtin =>
  (shell, argv) => {
    if (shell.loopDepth === 0) return 0;
    throw new LoopExit(kind, Math.max(1, Number(argv[1] ?? 1) || 1));
  };

const declare: Builtin = async (shell, argv, streams) => {
  const exporting = argv[0] === 'export';
  const hiding = argv[0] === 'local' || argv[0] === 'declare';
  for (const argument of argv.slice(1)) {
    if (argument.startsWith('-')) continue;
    const equals = argument.indexOf('=');
    const name = equals < 0 ? argument : argument.slice(0, equals);
    if (!NAME.test(name)) {
      await complain(streams, `${shell.name}: 1: ${argv[0]}: ${name}: bad variable name`);
      return 2;
    }
    if (hiding && !shell.hideVariable(name) && argv[0] === 'local') {
      await complain(streams, `${shell.name}: 1: local: not in a function`);
      return 2;
    }
    if (equals >= 0) shell.setVariable(name, argument.slice(equals + 1));
    if (argv[0] === 'readonly') shell.readonlyNames.add(name);
    if (exporting) shell.exported.add(name);
  }
  if (exporting && argv.slice(1).every((argument) => argument === '-p')) {
    for (const [name, value] of Object.entries(shell.environment()))
      await streams.stdout.write(`export ${name}='${value.replaceAll("'", `'"'"'`)}'\n`);
  }
  return 0;
};

const setOptions: Builtin = async (shell, argv, streams) => {
  const rest = argv.slice(1);
  if (rest.length === 0) {
    for (const [name, value] of [...shell.variables].sort())
      await streams.stdout.write(`${name}='${value}'\n`);
    return 0;
  }
  for (let i = 0; i < rest.length; i++) {
    const argument = rest[i]!;
    if (argument === '--') {
      shell.positional = rest.slice(i + 1);
      return 0;
    }
    if (!/^[-+][a-zA-Z]+$/.test(argument)) {
      shell.positional = rest.slice(i);
      return 0;
    }
    const names =
      argument[1] === 'o'
        ? [longOption(rest[++i] ?? '')]
        : [...argument.slice(1)].flatMap((c) => (c === 'o' ? [longOption(rest[++i] ?? '')] : [c]));
    for (const name of names) {
      if (argument.startsWith('-')) shell.options.add(name);
      else shell.options.delete(name);
    }
  }
  return 0;
};

function longOption(name: string): string {
  return (
    ({ errexit: 'e', nounset: 'u', xtrace: 'x', allexport: 'a' } as Record<string, string>)[name] ?? name
  );
}

const read: Builtin = async (shell, argv, streams) => {
  const names: string[] = [];
  let raw = false;
  let seconds: number | undefined;
  for (let i = 1; i < argv.length; i++) {
    const argument = argv[i]!;
    if (!argument.startsWith('-')) names.push(argument);
    else if (argument === '-t') seconds = Number(argv[++i]);
    else if (argument === '-p') await streams.stderr.write(argv[++i] ?? '');
    else if (argument === '-n' || argument === '-d') i++;
    else if (argument.includes('r')) raw = true;
  }
  for (const name of names) {
    if (NAME.test(name)) continue;
    await complain(streams, `${shell.name}: 1: read: ${name}: bad variable name`);
    return 2;
  }
  const late = new AbortController();
  if (seconds !== undefined && seconds >= 0)
    void pause(seconds * 1000, shell.signal).then(() => late.abort());
  const signal = AbortSignal.any([shell.signal, late.signal]);
  let { line, ended } = await readLine(streams.stdin, signal);
  while (!raw && !ended && /(?:^|[^\\])(?:\\\\)*\\$/.test(line)) {
    const next = await readLine(streams.stdin, signal);
    line = line.slice(0, -1) + next.line;
    ended = next.ended;
  }
  const fields = splitForRead(line, shell.getVariable('IFS') ?? ' \t\n', Math.max(1, names.length), raw);
  for (const [index, name] of (names.length > 0 ? names : ['REPLY']).entries())
    shell.setVariable(name, fields[index] ?? '');
  return ended ? 1 : 0;
};

/** Splits a line into at most `count` fields; the last one takes the rest. */
function splitForRead(line: string, separators: string, count: number, raw: boolean): string[] {
  const characters: { text: string; plain: boolean }[] = [];
  for (let i = 0; i < line.length; i++) {
    const escaped = !raw && line[i] === '\\' && i + 1 < line.length;
    if (escaped) i++;
    characters.push({ text: line[i]!, plain: !escaped });
  }
  const isSeparator = (at: number): boolean =>
    at < characters.length && characters[at]!.plain && separators.includes(characters[at]!.text);
  const isBlank = (at: number): boolean => isSeparator(at) && characters[at]!.text.trim() === '';
  let at = 0;
  let end = characters.length;
  const text = (from: number, to: number): string =>
    characters
      .slice(from, to)
      .map((character) => character.text)
      .join('');
  while (isBlank(at)) at++;
  while (end > at && isBlank(end - 1)) end--;
  const fields: string[] = [];
  while (fields.length < count - 1 && at < end) {
    const start = at;
    while (at < end && !isSeparator(at)) at++;
    fields.push(text(start, at));
    while (at < end && isBlank(at)) at++;
    if (at < end && isSeparator(at)) {
      at++;
      while (at < end && isBlank(at)) at++;
    }
  }
  fields.push(text(at, end));
  return fields;
}

/** `trap ACTION CONDITION…`, `trap - CONDITION…`, `trap`. */
const trap: Builtin = async (shell, argv, streams) => {
  const rest = argv[1] === '--' ? argv.slice(2) : argv.slice(1);
  if (rest.length === 0) {
    for (const [name, action] of shell.traps)
      await streams.stdout.write(`trap -- '${action.replaceAll("'", `'"'"'`)}' ${name}\n`);
    return 0;
  }
  const single = rest.length === 1;
  for (const condition of single ? rest : rest.slice(1)) {
    const name = condition === '0' || condition.toUpperCase() === 'EXIT' ? 'EXIT' : signalName(condition);
    if (name === undefined) {
      await complain(streams, `${shell.name}: 1: trap: ${condition}: bad trap`);
      return 1;
    }
    if (single || rest[0] === '-') shell.traps.delete(name);
    else shell.traps.set(name, rest[0]!);
  }
  return 0;
};

const wait: Builtin = async (shell, argv) => {
  const wanted = argv.slice(1).map((text) => Number(text.replace(/^%/, '')));
  if (wanted.length === 0) {
    await Promise.all(shell.jobs.values());
    shell.jobs.clear();
    return 0;
  }
  let code = 0;
  for (const pid of wanted) {
    code = (await shell.jobs.get(pid)) ?? 127;
    shell.jobs.delete(pid);
  }
  return code;
};

/** POSIX getopts. The place within a group of options is kept in a variable no script can name. */
const getopts: Builtin = async (shell, argv, streams) => {
  const [, letters = '', name = 'opt', ...own] = argv;
  const words = own.length > 0 ? own : shell.positional;
  let index = Number(shell.getVariable('OPTIND') ?? 1) || 1;
  let place = Number(shell.getVariable(' place') ?? 1) || 1;
  const word = words[index - 1];
  const finish = (value: string, code: number): number => {
    shell.setVariable(name, value);
    shell.setVariable('OPTIND', String(index));
    shell.setVariable(' place', String(place));
    return code;
  };
  if (word === undefined || !word.startsWith('-') || word === '-' || word === '--') {
    if (word === '--') index++;
    place = 1;
    return finish('?', 1);
  }
  const letter = word[place]!;
  const at = letter === ':' ? -1 : letters.indexOf(letter);
  const isLast = place >= word.length - 1;
  place = isLast ? 1 : place + 1;
  if (isLast) index++;
  const quiet = letters.startsWith(':');
  if (at < 0) {
    if (quiet) shell.setVariable('OPTARG', letter);
    else await complain(streams, `Illegal option -${letter}`);
    return finish('?', 0);
  }
  if (letters[at + 1] !== ':') {
    shell.variables.delete('OPTARG');
    return finish(letter, 0);
  }
  const argument = isLast ? words[index - 1] : word.slice(place);
  if (isLast) index++;
  else index++;
  place = 1;
  if (argument === undefined) {
    if (quiet) shell.setVariable('OPTARG', letter);
    else await complain(streams, `No arg for -${letter} option`);
    return finish(quiet ? ':' : '?', 0);
  }
  shell.setVariable('OPTARG', argument);
  return finish(letter, 0);
};

const changeDirectory: Builtin = async (shell, argv, streams) => {
  const wanted =
    argv[1] === '-'
      ? (shell.getVariable('OLDPWD') ?? '/')
      : (argv[1] ?? shell.getVariable('HOME') ?? '/root');
  const path = posix.resolve(shell.directory, wanted);
  if (!shell.files.isDirectory(path)) {
    await complain(streams, `${shell.name}: 1: cd: can't cd to ${wanted}`);
    return 2;
  }
  shell.setVariable('OLDPWD', shell.directory);
  shell.directory = path;
  return 0;
};

const source: Builtin = async (shell, argv, streams) => {
  const content = shell.files.read(posix.resolve(shell.directory, argv[1] ?? ''));
  if (!content) {
    await complain(streams, `${shell.name}: 1: .: cannot open ${argv[1] ?? ''}: No such file`);
    throw new ShellExit(2);
  }
  return shell.runText(content.toString('utf8'), streams);
};

/** `command NAME …` runs it; `command -v NAME` and `type NAME` tell what it is. */
const command: Builtin = async (shell, argv, streams) => {
  const asking = argv[0] === 'type' || argv[1] === '-v' || argv[1] === '-V';
  if (!asking) return argv.length > 1 ? shell.callWith(argv.slice(argv[1] === '-p' ? 2 : 1), streams) : 0;
  let code = 0;
  for (const name of argv.slice(argv[0] === 'type' ? 1 : 2)) {
    const inShell =
      Object.hasOwn(BUILTINS, name) || shell.functions.has(name) || name === 'test' || name === '[';
    const tool = inShell ? undefined : await shell.host.tools(name);
    const where = inShell ? name : tool ? `/usr/bin/${name}` : undefined;
    if (where)
      await streams.stdout.write(
        argv[0] === 'type' ? `${name} is ${inShell ? 'a shell builtin' : where}\n` : `${where}\n`,
      );
    else {
      code = 127;
      if (argv[0] === 'type') await streams.stdout.write(`${name}: not found\n`);
    }
  }
  return code;
};

const shellCommand: Builtin = async (shell, argv, streams) => {
  const options: string[] = [];
  let at = 1;
  while (at < argv.length && /^[-+][a-z]+$/.test(argv[at]!)) options.push(argv[at++]!);
  const flags = options.join('').replaceAll('-', '');
  const child = shell.subshell();
  child.functions.clear();
  child.readonlyNames.clear();
  child.loopDepth = 0;
  for (const name of [...child.variables.keys()]) if (!child.exported.has(name)) child.variables.delete(name);
  child.name = posix.basename(argv[0]!);
  for (const option of 'eux') if (flags.includes(option)) child.options.add(option);
  if (flags.includes('c')) {
    child.scriptName = argv[at + 1];
    child.positional = argv.slice(at + 2);
    return child.runProcess(argv[at] ?? '', streams);
  }
  if (at < argv.length) {
    const content = shell.files.read(posix.resolve(shell.directory, argv[at]!));
    if (!content) {
      await complain(streams, `${argv[0]}: 0: cannot open ${argv[at]}: No such file`);
      return 127;
    }
    child.scriptName = argv[at];
    child.positional = argv.slice(at + 1);
    return child.runProcess(content.toString('utf8'), streams);
  }
  const { runScriptFromInput } = await import('./interactive.ts');
  return runScriptFromInput(child, streams);
};

export const BUILTINS: Record<string, Builtin> = {
  ':': () => 0,
  true: () => 0,
  false: () => 1,
  break: loopExit('break'),
  continue: loopExit('continue'),
  exit: (shell, argv) => {
    throw new ShellExit(codeArgument(argv[1], shell.lastCode));
  },
  return: (shell, argv) => {
    throw new FunctionReturn(codeArgument(argv[1], shell.lastCode));
  },
  export: declare,
  local: declare,
  readonly: declare,
  declare,
  unset: (shell, argv) => {
    for (const name of argv.slice(1)) {
      if (argv[1] === '-f') shell.functions.delete(name);
      else {
        shell.variables.delete(name);
        shell.exported.delete(name);
      }
    }
    return 0;
  },
  set: setOptions,
  shift: (shell, argv) => {
    const count = Number(argv[1] ?? 1);
    if (count > shell.positional.length) throw new ShellExit(2);
    shell.positional = shell.positional.slice(count);
    return 0;
  },
  read,
  eval: (shell, argv, streams) => shell.runText(argv.slice(1).join(' '), streams),
  cd: changeDirectory,
  '.': source,
  source,
  command,
  type: command,
  sh: shellCommand,
  bash: shellCommand,
  ash: shellCommand,
  dash: shellCommand,
  zsh: shellCommand,
  exec: async (shell, argv, streams) => {
    if (argv.length === 1) return 0;
    throw new ShellExit(await shell.callWith(argv.slice(1), streams));
  },
  wait,
  jobs: async (shell, _argv, streams) => {
    for (const [index, pid] of [...shell.jobs.keys()].entries()) {
      if (shell.host.processes.get(pid)) await streams.stdout.write(`[${index + 1}] + Running\n`);
    }
    return 0;
  },
  trap,
  getopts,
  pwd: async (shell, _argv, streams) => {
    await streams.stdout.write(`${shell.directory}\n`);
    return 0;
  },
  let: (shell, argv) => {
    let value = 0n;
    for (const expression of argv.slice(1)) {
      value = evaluateArithmetic(expression, {
        get: (name) => shell.getVariable(name) ?? '',
        set: (name, next) => shell.setVariable(name, next),
      });
    }
    return value === 0n ? 1 : 0;
  },
  alias: () => 0,
  unalias: () => 0,
  shopt: () => 0,
  umask: () => 0,
  ulimit: async (_shell, _argv, streams) => {
    await streams.stdout.write('unlimited\n');
    return 0;
  },
  hash: () => 0,
  time: async (shell, argv, streams) => {
    const began = shell.host.nowMs();
    const code = await shell.callWith(argv.slice(1), streams);
    const seconds = ((shell.host.nowMs() - began) / 1000).toFixed(3);
    await streams.stderr.write(`real\t0m${seconds}s\nuser\t0m0.000s\nsys\t0m0.000s\n`);
    return code;
  },
};

/** A builtin by its name, and the shells by their path too: `/bin/sh -c …` is the commonest command of all. */
export function builtinOf(name: string): Builtin | undefined {
  const shell = posix.basename(name);
  const key = name.includes('/') && ['sh', 'bash', 'ash', 'dash', 'zsh'].includes(shell) ? shell : name;
  return Object.hasOwn(BUILTINS, key) ? BUILTINS[key] : undefined;
}
