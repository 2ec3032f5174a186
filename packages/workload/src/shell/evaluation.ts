import { evaluateArithmetic } from './arithmetic.ts';
import { evaluateTest, TestProblem } from './conditions.ts';
import { complain } from './exits.ts';
import { ExpansionProblem, expandToString } from './expansion.ts';
import type { Shell } from './interpreter.ts';
import type { Streams } from './redirects.ts';
import type { Word } from './syntax.ts';

/** The value of an arithmetic expression in a shell. Throws ExpansionProblem. */
export async function evaluateWord(shell: Shell, expression: Word): Promise<bigint> {
  const text = await expandToString(expression, shell);
  try {
    return evaluateArithmetic(text, {
      get: (name) => shell.getVariable(name) ?? '',
      set: (name, value) => shell.setVariable(name, value),
    });
  } catch (error) {
    throw new ExpansionProblem((error as Error).message);
  }
}

/** `test`, `[` and, with `patterns`, `[[`: 0 true, 1 false, 2 cannot be read. */
export async function runTest(
  shell: Shell,
  words: readonly string[],
  streams: Streams,
  patterns: boolean,
): Promise<number> {
  try {
    const matcher = words.includes('=~') ? await regexMatcher(shell) : undefined;
    const scope = { files: shell.files, directory: shell.directory, patterns, ...(matcher && { matcher }) };
    return evaluateTest(words, scope) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof TestProblem)) throw error;
    await complain(streams, `${shell.name}: 1: [: ${error.message}`);
    return 2;
  }
}

/** `=~`: leaves what matched in BASH_REMATCH. */
async function regexMatcher(shell: Shell): Promise<(pattern: string, text: string) => boolean> {
  const { compileRegex } = await import('../tools/regex.ts');
  return (pattern, text) => {
    let groups: (string | undefined)[] | undefined;
    try {
      groups = compileRegex(pattern).exec(text)?.groups;
    } catch (error) {
      throw new TestProblem((error as Error).message);
    }
    for (const name of [...shell.variables.keys()])
      if (name.startsWith('BASH_REMATCH')) shell.variables.delete(name);
    for (const [index, group] of (groups ?? []).entries())
      shell.variables.set(`BASH_REMATCH[${index}]`, group ?? '');
    return groups !== undefined;
  };
}
