import type { Sandbox } from '../types.ts';
import { builtinOf } from './builtins.ts';
import { evaluateWord, runTest } from './evaluation.ts';
import { complain, FunctionReturn, LoopExit, ShellExit } from './exits.ts';
import {
  type ExpansionHost,
  ExpansionProblem,
  expandToPattern,
  expandToString,
  expandWords,
} from './expansion.ts';
import type { Files } from './files.ts';
import { parseScript } from './parser.ts';
import { matchesPattern } from './pattern.ts';
import { exitCodeOf, type Processes, SignalReason } from './processes.ts';
import { openRedirects, type Streams } from './redirects.ts';
import { BrokenPipe, emptyInput, makePipe, outputTo, readAll } from './streams.ts';
import type { AndOr, Command, Pipeline, Script } from './syntax.ts';
import { SyntaxProblem } from './syntax.ts';
import type { ToolTable } from './tool.ts';
import { callTool, EXIT_BROKEN_PIPE } from './tool-call.ts';

/** What is the same for every command of one container. */
export interface ShellHost {
  sandbox: Sandbox;
  files: Files;
  tools: ToolTable;
  processes: Processes;
  /** Multiplies what `sleep` waits; default 1. */
  sleepScale?: number;
  /** The container's end, which no trap outlives. */
  kill: AbortSignal;
  nowMs: () => number;
  random32: () => number;
}

const EXIT_SYNTAX = 2;
const REDIRECT_FAILED = 2;
/** Their assignments stay, and their failed redirections end the shell (POSIX 2.14, 2.8.1). */
const SPECIAL_BUILTINS = new Set(
  ': . break continue eval exec exit export readonly return set shift times trap unset'.split(' '),
);
const MAX_CALL_DEPTH = 100;
const MAX_FINISHED_JOBS = 100;
/** Commands between two turns of the event loop, so that a busy loop in one pod starves nobody. */
const COMMANDS_PER_TURN = 50;

/** One shell: variables, functions, options. Subshells are copies. */
export class Shell implements ExpansionHost {
  readonly host: ShellHost;
  name: string;
  /** `$0` where it is not the shell's own name. */
  scriptName: string | undefined;
  pid = 1;
  signal: AbortSignal;
  readonly variables: Map<string, string>;
  readonly exported: Set<string>;
  readonly functions: Map<string, Command>;
  readonly options: Set<string>;
  positional: string[];
  directory: string;
  lastCode = 0;
  /** Background jobs by process number. */
  readonly jobs = new Map<number, Promise<number>>();
  lastJob = 0;
  /** Actions of `trap` by condition. */
  readonly traps = new Map<string, string>();
  readonly readonlyNames = new Set<string>();
  loopDepth = 0;
  /** What `local` hides, of the functions being called. */
  readonly #locals: Map<string, string | undefined>[] = [];
  #callDepth = 0;
  #commands = 0;
  /** Commands whose failure `set -e` must not act on: conditions and all but the last of && and ||. */
  #tested = 0;
  #streams: Streams | undefined;
  /** Of the last command substitution. */
  #substitutedCode: number | undefined;

  constructor(
    host: ShellHost,
    init: {
      name?: string;
      environment: Readonly<Record<string, string>>;
      positional?: string[];
      directory?: string;
      signal: AbortSignal;
    },
  ) {
    this.host = host;
    this.name = init.name ?? 'sh';
    this.signal = init.signal;
    this.variables = new Map(Object.entries(init.environment));
    this.exported = new Set(this.variables.keys());
    this.functions = new Map();
    this.options = new Set();
    this.positional = init.positional ?? [];
    this.directory = init.directory ?? '/';
  }

  get files(): Files {
    return this.host.files;
  }

  get expandsBraces(): boolean {
    return this.name === 'bash' || this.name === 'zsh';
  }

  get failOnUnset(): boolean {
    return this.options.has('u');
  }

  getVariable(name: string): string | undefined {
    switch (name) {
      case '?':
        return String(this.lastCode);
      case '$':
        return String(this.pid);
      case '#':
        return String(this.positional.length);
      case '@':
      case '*':
        return this.positional.join(' ');
      case '!':
        return this.lastJob === 0 ? '' : String(this.lastJob);
      case 'PPID':
        return '0';
      case '-':
        return [...this.options].join('');
      case '0':
        return this.scriptName ?? this.name;
      case 'RANDOM':
        return String(this.host.random32() % 32_768);
      case 'PWD':
        return this.directory;
    }
    if (/^[1-9]\d*$/.test(name)) return this.positional[Number(name) - 1];
    return this.variables.get(name);
  }

  setVariable(name: string, value: string): void {
    if (this.readonlyNames.has(name)) throw new ExpansionProblem(`${name}: is read only`);
    this.variables.set(name, value);
    if (this.options.has('a')) this.exported.add(name);
  }

  /** `local`: the function's end gives the variable its old value again. False outside of functions. */
  hideVariable(name: string): boolean {
    const frame = this.#locals.at(-1);
    if (frame && !frame.has(name)) frame.set(name, this.variables.get(name));
    return frame !== undefined;
  }

  environment(): Record<string, string> {
    const result: Record<string, string> = {};
    for (const name of this.exported) {
      const value = this.variables.get(name);
      if (value !== undefined) result[name] = value;
    }
    return result;
  }

  /** The same shell under another signal: what it sets stays set. */
  withSignal(signal: AbortSignal): Shell {
    this.signal = signal;
    return this;
  }

  subshell(signal = this.signal): Shell {
    const copy = new Shell(this.host, {
      name: this.name,
      environment: {},
      positional: [...this.positional],
      directory: this.directory,
      signal,
    });
    for (const [name, value] of this.variables) copy.variables.set(name, value);
    for (const name of this.exported) copy.exported.add(name);
    for (const [name, body] of this.functions) copy.functions.set(name, body);
    for (const option of this.options) copy.options.add(option);
    for (const name of this.readonlyNames) copy.readonlyNames.add(name);
    copy.scriptName = this.scriptName;
    copy.pid = this.pid;
    copy.lastJob = this.lastJob;
    copy.lastCode = this.lastCode;
    copy.loopDepth = this.loopDepth;
    copy.#callDepth = this.#callDepth + 1;
    copy.#tested = this.#tested;
    copy.#streams = this.#streams;
    return copy;
  }

  async substitute(script: Script): Promise<string> {
    const pipe = makePipe();
    const shell = this.subshell();
    const streams = this.#streams!;
    const running = shell.runToEnd(script, { ...streams, stdout: outputTo(pipe) }).finally(() => pipe.end());
    const output = await readAll(pipe, this.signal);
    pipe.destroy();
    this.lastCode = await running;
    this.#substitutedCode = this.lastCode;
    return output.toString('utf8').replaceAll('\0', '');
  }

  /** Parses and runs a text; syntax errors are told on stderr. `exit` ends it. Returns the exit code. */
  async runText(text: string, streams: Streams): Promise<number> {
    let script: Script;
    try {
      script = parseScript(text, this.expandsBraces);
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      await complain(streams, `${this.name}: 1: ${error.message}`);
      return (this.lastCode = EXIT_SYNTAX);
    }
    return this.run(script, streams);
  }

  /** Runs a text as a process of its own, with its traps. */
  async runProcess(text: string, streams: Streams): Promise<number> {
    const own = { ...streams };
    let code: number;
    try {
      code = await this.runText(text, own);
    } catch (error) {
      code = await this.endOf(error, own);
    }
    return this.finish(code, own);
  }

  /** Runs the traps of the signal that ended the shell and of EXIT. */
  async finish(code: number, streams: Streams): Promise<number> {
    if (this.traps.size === 0) return code;
    const names = ['EXIT'];
    if (this.signal.aborted) {
      const reason: unknown = this.signal.reason;
      names.unshift(reason instanceof SignalReason ? reason.name : 'INT');
      this.signal = this.host.kill;
    }
    let last = code;
    for (const name of names) {
      const action = this.traps.get(name);
      this.traps.delete(name);
      if (!action) continue;
      this.lastCode = last;
      try {
        await this.runText(action, streams);
      } catch (error) {
        last = await this.endOf(error, streams);
      }
    }
    return last;
  }

  /** Runs a script as a whole process would: `exit`, a closed pipe and an interrupt become its code. */
  async runToEnd(script: Script, streams: Streams): Promise<number> {
    try {
      return await this.run(script, streams);
    } catch (error) {
      return this.endOf(error, streams);
    }
  }

  async endOf(error: unknown, streams: Streams): Promise<number> {
    if (error instanceof ShellExit) return error.code;
    if (error instanceof FunctionReturn) return error.code;
    if (error instanceof LoopExit) return this.lastCode;
    if (error instanceof BrokenPipe) return EXIT_BROKEN_PIPE;
    if (error instanceof ExpansionProblem) {
      await complain(streams, `${this.name}: 1: ${error.message}`);
      return 2;
    }
    if (error instanceof RangeError) {
      await complain(streams, `${this.name}: 1: nesting too deep`);
      return 2;
    }
    throw error;
  }

  async run(script: Script, streams: Streams): Promise<number> {
    const outer = this.#streams;
    this.#streams = streams;
    try {
      for (const item of script) {
        if (item.background) this.#runInBackground(item, streams);
        else await this.#andOr(item, streams);
      }
      return this.lastCode;
    } finally {
      this.#streams = outer;
    }
  }

  #runInBackground(item: AndOr, streams: Streams): void {
    const kill = new AbortController();
    const shell = this.subshell(AbortSignal.any([this.signal, kill.signal]));
    const { pid, ended } = this.host.processes.add(
      [this.name],
      this.host.nowMs(),
      (name) => kill.abort(new SignalReason(name)),
      (pid) => {
        shell.pid = pid;
        const script = [{ ...item, background: false }];
        return shell.runToEnd(script, { ...streams, stdin: emptyInput() });
      },
    );
    const job = ended.catch(async (error: Error) => {
      await complain(streams, `${this.name}: internal error: ${error.message}`).catch(() => {});
      return 1;
    });
    this.jobs.set(pid, job);
    void job.then(() => {
      // A finished job is remembered for `wait`, as long as there are not too many.
      if (this.jobs.size > MAX_FINISHED_JOBS) this.jobs.delete(pid);
    });
    this.lastJob = pid;
    this.lastCode = 0;
  }

  async #andOr(item: AndOr, streams: Streams): Promise<number> {
    const last = item.rest.length;
    let code = await this.#maybeTested(last > 0, () => this.#pipeline(item.first, streams));
    for (const [index, { operator, pipeline }] of item.rest.entries()) {
      if ((operator === '&&') !== (code === 0)) continue;
      code = await this.#maybeTested(index < last - 1, () => this.#pipeline(pipeline, streams));
    }
    return code;
  }

  async #maybeTested<T>(tested: boolean, action: () => Promise<T>): Promise<T> {
    if (tested) this.#tested++;
    try {
      return await action();
    } finally {
      if (tested) this.#tested--;
    }
  }

  async #pipeline(pipeline: Pipeline, streams: Streams): Promise<number> {
    let code: number;
    if (pipeline.commands.length === 1) {
      code = await this.#maybeTested(pipeline.negated, () => this.#command(pipeline.commands[0]!, streams));
    } else code = await this.#piped(pipeline.commands, streams);
    if (pipeline.negated) code = code === 0 ? 1 : 0;
    this.lastCode = code;
    if (code !== 0 && this.options.has('e') && this.#tested === 0 && !pipeline.negated)
      throw new ShellExit(code);
    return code;
  }

  async #piped(commands: Command[], streams: Streams): Promise<number> {
    let stdin = streams.stdin;
    const running: Promise<number>[] = [];
    for (const [index, command] of commands.entries()) {
      const isLast = index === commands.length - 1;
      const pipe = isLast ? undefined : makePipe();
      // The end of its reader ends a command that writes nothing for long, as the next write would.
      const gone = new AbortController();
      pipe?.once('close', () => gone.abort());
      const shell = this.subshell(pipe ? AbortSignal.any([this.signal, gone.signal]) : this.signal);
      const input = stdin;
      const own: Streams = {
        ...streams,
        stdin: input,
        stdout: pipe ? outputTo(pipe) : streams.stdout,
      };
      running.push(
        shell
          .runToEnd([{ first: { negated: false, commands: [command] }, rest: [], background: false }], own)
          .finally(() => {
            pipe?.end();
            if (index > 0) input.destroy();
          }),
      );
      if (pipe) stdin = pipe;
    }
    const codes = await Promise.all(running);
    return this.options.has('pipefail') ? (codes.findLast((code) => code !== 0) ?? 0) : codes.at(-1)!;
  }

  async #command(command: Command, streams: Streams): Promise<number> {
    if (this.signal.aborted) throw new ShellExit(exitCodeOf(this.signal));
    if (++this.#commands % COMMANDS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    if (command.type === 'function') {
      this.functions.set(command.name, command.body);
      return 0;
    }
    if (command.type === 'simple') return this.#simple(command, streams);
    const redirected = await openRedirects(this, command.redirects, streams);
    if (!redirected) return REDIRECT_FAILED;
    try {
      return await this.#compound(command, redirected.streams);
    } finally {
      redirected.finish();
    }
  }

  async #compound(
    command: Exclude<Command, { type: 'simple' | 'function' }>,
    streams: Streams,
  ): Promise<number> {
    switch (command.type) {
      case 'group':
        return this.run(command.body, streams);
      case 'subshell': {
        const shell = this.subshell();
        const own = { ...streams };
        return shell.finish(await shell.runToEnd(command.body, own), own);
      }
      case 'if':
        for (const { condition, body } of command.branches) {
          if ((await this.#condition(condition, streams)) === 0) return this.run(body, streams);
        }
        return command.otherwise ? this.run(command.otherwise, streams) : (this.lastCode = 0);
      case 'loop': {
        let code = 0;
        await this.#loop(async () => {
          if (((await this.#condition(command.condition, streams)) === 0) === command.until) return false;
          code = await this.run(command.body, streams);
          return true;
        });
        return (this.lastCode = code);
      }
      case 'arithmetic':
        return (await evaluateWord(this, command.expression)) !== 0n ? 0 : 1;
      case 'count': {
        let code = 0;
        let first = true;
        await evaluateWord(this, command.init);
        await this.#loop(async () => {
          if (!first) await evaluateWord(this, command.step);
          first = false;
          if (command.condition.length > 0 && (await evaluateWord(this, command.condition)) === 0n)
            return false;
          code = await this.run(command.body, streams);
          return true;
        });
        return (this.lastCode = code);
      }
      case 'for': {
        const words = command.words ? await expandWords(command.words, this) : [...this.positional];
        let index = 0;
        let code = 0;
        await this.#loop(async () => {
          if (index >= words.length) return false;
          this.setVariable(command.name, words[index++]!);
          code = await this.run(command.body, streams);
          return true;
        });
        return (this.lastCode = code);
      }
      case 'case': {
        const subject = await expandToString(command.subject, this);
        for (const { patterns, body } of command.branches) {
          for (const pattern of patterns) {
            if (matchesPattern(await expandToPattern(pattern, this), subject)) {
              this.lastCode = 0;
              return this.run(body, streams);
            }
          }
        }
        return (this.lastCode = 0);
      }
      case 'test': {
        const words = await Promise.all(command.words.map((word) => expandToPattern(word, this)));
        return runTest(this, words, streams, true);
      }
    }
  }

  #condition(script: Script, streams: Streams): Promise<number> {
    return this.#maybeTested(true, () => this.run(script, streams));
  }

  async #loop(iterate: () => Promise<boolean>): Promise<void> {
    this.loopDepth++;
    try {
      for (;;) {
        if (this.signal.aborted) throw new ShellExit(exitCodeOf(this.signal));
        try {
          if (!(await iterate())) return;
        } catch (error) {
          if (!(error instanceof LoopExit)) throw error;
          if (--error.levels > 0 && this.loopDepth > 1) throw error;
          this.lastCode = 0;
          if (error.kind === 'break') return;
        }
      }
    } finally {
      this.loopDepth--;
    }
  }

  async #simple(command: Extract<Command, { type: 'simple' }>, streams: Streams): Promise<number> {
    this.#substitutedCode = undefined;
    const argv = await expandWords(command.words, this);
    const assignments: [string, string][] = [];
    for (const { name, value } of command.assignments)
      assignments.push([name, await expandToString(value, this)]);
    const redirected = await openRedirects(this, command.redirects, streams);
    if (!redirected) {
      if (SPECIAL_BUILTINS.has(argv[0] ?? '')) throw new ShellExit(REDIRECT_FAILED);
      return REDIRECT_FAILED;
    }
    if (argv.length === 1 && argv[0] === 'exec') {
      // `exec 3</dev/tcp/…`: the redirections are the shell's own from now on.
      Object.assign(streams, { others: undefined }, redirected.streams);
      return 0;
    }
    try {
      if (this.options.has('x') && argv.length + assignments.length > 0) {
        const shown = [...assignments.map(([name, value]) => `${name}=${value}`), ...argv].map(quoteForTrace);
        await streams.stderr.write(`+ ${shown.join(' ')}\n`);
      }
      if (argv.length === 0) {
        for (const [name, value] of assignments) this.setVariable(name, value);
        // A command substitution in an assignment alone sets the code of the whole command.
        return this.#substitutedCode ?? 0;
      }
      return await this.#call(argv, assignments, redirected.streams);
    } finally {
      redirected.finish();
    }
  }

  async #call(argv: string[], assignments: [string, string][], streams: Streams): Promise<number> {
    const name = argv[0]!;
    const body = this.functions.get(name);
    if (body) {
      return this.#withAssignments(assignments, () => this.#callFunction(body, argv.slice(1), streams));
    }
    if (name === '[' || name === 'test') {
      const words = argv.slice(1);
      if (name === '[' && words.pop() !== ']') {
        await complain(streams, `${this.name}: 1: [: missing ]`);
        return 2;
      }
      return runTest(this, words, streams, false);
    }
    const builtin = builtinOf(name);
    if (builtin) {
      if (!SPECIAL_BUILTINS.has(name)) {
        return this.#withAssignments(assignments, async () => builtin(this, argv, streams));
      }
      for (const [variable, value] of assignments) this.setVariable(variable, value);
      return builtin(this, argv, streams);
    }
    if (this.#callDepth >= MAX_CALL_DEPTH) {
      await complain(streams, `${this.name}: ${name}: too many nested commands`);
      return 2;
    }
    return callTool(this, argv, streams, Object.fromEntries(assignments));
  }

  /** Runs with variables that get their old values afterwards. */
  async #withAssignments(assignments: [string, string][], action: () => Promise<number>): Promise<number> {
    if (assignments.length === 0) return action();
    const saved = assignments.map(
      ([name]) => [name, this.variables.get(name), this.exported.has(name)] as const,
    );
    for (const [name, value] of assignments) {
      this.setVariable(name, value);
      this.exported.add(name);
    }
    try {
      return await action();
    } finally {
      for (const [name, value, exported] of saved) {
        if (value === undefined) this.variables.delete(name);
        else this.variables.set(name, value);
        if (!exported) this.exported.delete(name);
      }
    }
  }

  async #callFunction(body: Command, positional: string[], streams: Streams): Promise<number> {
    if (this.#callDepth >= MAX_CALL_DEPTH) {
      await complain(streams, `${this.name}: maximum function recursion depth (${MAX_CALL_DEPTH}) reached`);
      throw new ShellExit(2);
    }
    const saved = this.positional;
    const savedLoopDepth = this.loopDepth;
    const locals = new Map<string, string | undefined>();
    this.#locals.push(locals);
    this.positional = positional;
    this.loopDepth = 0;
    this.#callDepth++;
    try {
      return await this.#command(body, streams);
    } catch (error) {
      if (error instanceof FunctionReturn) return error.code;
      throw error;
    } finally {
      this.positional = saved;
      this.loopDepth = savedLoopDepth;
      this.#callDepth--;
      this.#locals.pop();
      for (const [name, value] of locals) {
        if (value === undefined) this.variables.delete(name);
        else this.variables.set(name, value);
      }
    }
  }

  /** Calls a function, builtin or tool by argument list, as `exec`, `xargs` and `timeout` do. */
  async callWith(
    argv: string[],
    streams: Streams,
    environment: Record<string, string> = {},
  ): Promise<number> {
    try {
      return await this.#call(argv, Object.entries(environment), streams);
    } catch (error) {
      return this.endOf(error, streams);
    }
  }
}

function quoteForTrace(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}
