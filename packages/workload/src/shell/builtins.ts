import { posix } from 'node:path';
import { complain, FunctionReturn, LoopExit, type Shell, ShellExit, type Streams } from './interpreter.ts';
import { outputTo, readLine } from './streams.ts';

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
  for (const argument of argv.slice(1)) {
    if (argument.startsWith('-')) continue;
    const equals = argument.indexOf('=');
    const name = equals < 0 ? argument : argument.slice(0, equals);
    if (!NAME.test(name)) {
      await complain(streams, `${shell.name}: 1: ${argv[0]}: ${name}: bad variable name`);
      return 2;
    }
    if (equals >= 0) shell.setVariable(name, argument.slice(equals + 1));
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
  for (let i = 1; i < argv.length; i++) {
    if (argv[i] === '-p' || argv[i] === '-t' || argv[i] === '-n') i++;
    else if (!argv[i]!.startsWith('-')) names.push(argv[i]!);
  }
  const { line, ended } = await readLine(streams.stdin, shell.signal);
  const separators = shell.getVariable('IFS') ?? ' \t\n';
  let rest = line;
  if (separators.includes(' ')) rest = rest.trim();
  for (const [index, name] of (names.length > 0 ? names : ['REPLY']).entries()) {
    if (index === names.length - 1 || names.length === 0) shell.setVariable(name, rest);
    else {
      let end = 0;
      while (end < rest.length && !separators.includes(rest[end]!)) end++;
      shell.setVariable(name, rest.slice(0, end));
      rest = rest.slice(end + 1);
      if (separators.includes(' ')) rest = rest.trimStart();
    }
  }
  return ended ? 1 : 0;
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
    await complain(streams, `${shell.name}: 1: .: ${argv[1] ?? ''}: not found`);
    return 127;
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
  for (const option of 'eux') if (flags.includes(option)) child.options.add(option);
  if (flags.includes('c')) {
    child.positional = argv.slice(at + 2);
    return child.runText(argv[at] ?? '', streams);
  }
  if (at < argv.length) {
    const content = shell.files.read(posix.resolve(shell.directory, argv[at]!));
    if (!content) {
      await complain(streams, `${argv[0]}: 0: cannot open ${argv[at]}: No such file`);
      return 127;
    }
    child.positional = argv.slice(at + 1);
    return child.runText(content.toString('utf8'), streams);
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
    if (count > shell.positional.length) return 1;
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
  exec: async (shell, argv, streams) => {
    if (argv.length === 1) return 0;
    throw new ShellExit(await shell.callWith(argv.slice(1), streams));
  },
  wait: async (shell) => {
    await Promise.all(shell.jobs);
    return 0;
  },
  jobs: () => 0,
  trap: () => 0,
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
    await outputTo(streams.stderr.stream).write(`real\t0m${seconds}s\nuser\t0m0.000s\nsys\t0m0.000s\n`);
    return code;
  },
};
