import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { openDevice } from '../shell/devices.ts';
import { inputOf } from '../shell/streams.ts';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { OptionProblem } from './options.ts';

/** An input by name as a tool opens it: `-` is standard input. Text: why it cannot be. */
export function openInput(context: ToolContext, name: string): Readable | string {
  if (name === '-' || name === '/dev/stdin') return context.stdin;
  const path = posix.resolve(context.directory, name);
  const device = openDevice(path, context.random32);
  if (device) return device;
  const content = context.files.read(path);
  if (content) return inputOf(content);
  return context.files.isDirectory(path) ? 'Is a directory' : 'No such file or directory';
}

/** Runs `each` over the named inputs, or over standard input; tells of those that cannot be opened. */
export async function forEachInput(
  context: ToolContext,
  names: readonly string[],
  each: (input: Readable, name: string) => Promise<void>,
): Promise<number> {
  let code = 0;
  for (const name of names.length > 0 ? names : ['-']) {
    const input = openInput(context, name);
    if (typeof input === 'string') {
      code = 1;
      await context.stderr.write(`${context.argv[0]}: ${name}: ${input}\n`);
    } else {
      await each(input, name);
      if (input !== context.stdin) input.destroy();
    }
  }
  return code;
}

/** Makes a bad option a usage error of one line. */
export function withUsage(exitCode: number, tool: Tool): Tool {
  return async (context) => {
    try {
      return await tool(context);
    } catch (error) {
      if (!(error instanceof OptionProblem)) throw error;
      const name = posix.basename(context.argv[0]!);
      await context.stderr.write(`${name}: ${error.text}\n`);
      return exitCode;
    }
  };
}
