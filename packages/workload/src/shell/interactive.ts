import { complain, ShellExit } from './exits.ts';
import type { Shell } from './interpreter.ts';
import { parseScript } from './parser.ts';
import type { Streams } from './redirects.ts';
import { linesOf } from './streams.ts';
import { SyntaxProblem } from './syntax.ts';

/** `sh` with its script on standard input and no terminal: runs line by line, as commands become complete. */
export async function runScriptFromInput(shell: Shell, streams: Streams): Promise<number> {
  let pending = '';
  for await (const line of linesOf(streams.stdin, shell.signal)) {
    pending += `${line}\n`;
    const outcome = await runIfComplete(shell, pending, streams);
    if (outcome === 'incomplete') continue;
    if (outcome.exit !== undefined) return outcome.exit;
    pending = '';
  }
  if (pending.trim() !== '') return shell.runText(pending, streams);
  return shell.lastCode;
}

/** Runs a text if it is a whole script. `exit` is set when the shell itself is to end. */
export async function runIfComplete(
  shell: Shell,
  text: string,
  streams: Streams,
): Promise<'incomplete' | { exit?: number }> {
  try {
    const script = parseScript(text, shell.expandsBraces);
    await shell.run(script, streams);
    return {};
  } catch (error) {
    if (error instanceof SyntaxProblem) {
      if (error.incomplete) return 'incomplete';
      await complain(streams, `${shell.name}: 1: ${error.message}`);
      shell.lastCode = 2;
      return {};
    }
    const code = await shell.endOf(error, streams);
    shell.lastCode = code;
    return error instanceof ShellExit ? { exit: code } : {};
  }
}
