import { posix } from 'node:path';
import { complain } from './exits.ts';
import { FileProblem } from './files.ts';
import type { Shell } from './interpreter.ts';
import { exitCodeOf } from './processes.ts';
import type { Streams } from './redirects.ts';
import { BrokenPipe } from './streams.ts';
import type { ToolContext } from './tool.ts';

export const EXIT_BROKEN_PIPE = 141;
const EXIT_NOT_FOUND = 127;
const EXIT_NOT_EXECUTABLE = 126;
/** EX_SOFTWARE of sysexits.h: a bug of ours. It is told, and ends neither the pod nor the node. */
const EXIT_BUG = 70;

/** Runs a command that is no part of the shell itself. */
export async function callTool(
  shell: Shell,
  argv: readonly string[],
  streams: Streams,
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const name = argv[0] ?? '';
  const { host, signal } = shell;
  const tool = await host.tools(posix.basename(name));
  if (!tool) {
    const known = name.includes('/') && shell.files.exists(name);
    await complain(streams, `${shell.name}: 1: ${name}: ${known ? 'Permission denied' : 'not found'}`);
    return known ? EXIT_NOT_EXECUTABLE : EXIT_NOT_FOUND;
  }
  const context: ToolContext = {
    argv,
    env: { ...shell.environment(), ...environment },
    ...streams,
    signal,
    files: shell.files,
    directory: shell.directory,
    sandbox: host.sandbox,
    processes: host.processes,
    sleepScale: host.sleepScale ?? 1,
    nowMs: host.nowMs,
    random32: host.random32,
    run: (inner, other = {}) => {
      const { signal: innerSignal = signal, environment: replaced, ...otherStreams } = other;
      const child = shell.subshell(innerSignal);
      // Another program runs: functions and what is not exported are no concern of it.
      child.functions.clear();
      if (replaced) replaceEnvironment(child, replaced);
      return child.callWith([...inner], { ...streams, ...otherStreams }, replaced ? {} : environment);
    },
  };
  try {
    const code = await tool(context);
    return signal.aborted ? exitCodeOf(signal) : code;
  } catch (error) {
    if (error instanceof BrokenPipe) return EXIT_BROKEN_PIPE;
    if (signal.aborted) return exitCodeOf(signal);
    if (error instanceof FileProblem) {
      await complain(streams, `${posix.basename(name)}: ${error.message}`);
      return 1;
    }
    await complain(streams, `${name}: internal error: ${(error as Error).message}`);
    return EXIT_BUG;
  }
}

function replaceEnvironment(shell: Shell, environment: Readonly<Record<string, string>>): void {
  for (const name of shell.exported) shell.variables.delete(name);
  shell.exported.clear();
  for (const [name, value] of Object.entries(environment)) {
    shell.variables.set(name, value);
    shell.exported.add(name);
  }
}
