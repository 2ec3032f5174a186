import { readAll } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { parseOptions } from './options.ts';
import { forEachInput, withUsage } from './tool-files.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Step = { key: string } | { index: number } | { each: true } | { call: 'length' | 'keys' };

class JqProblem extends Error {}

/** jq for looking into a document: paths, `[]`, pipes, `length`, `keys`; -r and -c. */
export const jq: Tool = withUsage(2, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'rcMCSejn', {
    'raw-output': 'r',
    'compact-output': 'c',
    'exit-status': 'e',
    'monochrome-output': 'M',
  });
  const [filter = '.', ...names] = options.operands;
  let steps: Step[];
  try {
    steps = parseFilter(filter);
  } catch (error) {
    await context.stderr.write(`jq: error: ${(error as Error).message}\njq: 1 compile error\n`);
    return 3;
  }
  let failure = 0;
  let last: Json | undefined;
  const code = await forEachInput(context, names, async (input) => {
    try {
      const text = (await readAll(input, context.signal)).toString('utf8').trim();
      if (text === '') return;
      let values: Json[] = [JSON.parse(text) as Json];
      for (const step of steps) values = values.flatMap((value) => follow(value, step));
      for (const value of values) {
        last = value;
        const shown =
          options.has('r') && typeof value === 'string'
            ? value
            : JSON.stringify(value, null, options.has('c') ? 0 : 2);
        await context.stdout.write(`${shown}\n`);
      }
    } catch (error) {
      failure = error instanceof JqProblem ? 5 : 2;
      await context.stderr.write(
        `jq: ${error instanceof JqProblem ? 'error' : 'parse error'}: ${(error as Error).message}\n`,
      );
    }
  });
  if (failure !== 0) return failure;
  if (options.has('e') && (last === undefined || last === null || last === false)) return 1;
  return code === 0 ? 0 : 2;
});

function parseFilter(filter: string): Step[] {
  const steps: Step[] = [];
  const token =
    /\s*(?:\||\.?\["((?:[^"\\]|\\.)*)"\]|\.?\[(-?\d+)\]|\.?\[\]|\.([A-Za-z_]\w*)\??|\."([^"]*)"|(length|keys)\b|\.)\s*/y;
  while (token.lastIndex < filter.length) {
    const from = token.lastIndex;
    const match = token.exec(filter);
    if (!match) throw new JqProblem(`syntax error, unexpected ${filter.slice(from, from + 10)}`);
    const key = match[1] ?? match[3] ?? match[4];
    if (key !== undefined) steps.push({ key });
    else if (match[2] !== undefined) steps.push({ index: Number(match[2]) });
    else if (match[5] !== undefined) steps.push({ call: match[5] as 'length' | 'keys' });
    else if (match[0].includes('[]')) steps.push({ each: true });
  }
  return steps;
}

function follow(value: Json, step: Step): Json[] {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  if ('key' in step) {
    if (value === null) return [null];
    if (kind !== 'object') throw new JqProblem(`Cannot index ${kind} with "${step.key}"`);
    const object = value as { [key: string]: Json };
    return [Object.hasOwn(object, step.key) ? object[step.key]! : null];
  }
  if ('index' in step) {
    if (value === null) return [null];
    if (!Array.isArray(value)) throw new JqProblem(`Cannot index ${kind} with number`);
    return [value.at(step.index) ?? null];
  }
  if ('each' in step) {
    if (value === null || typeof value !== 'object') throw new JqProblem(`Cannot iterate over ${kind}`);
    return Object.values(value);
  }
  if (step.call === 'keys') {
    if (value === null || typeof value !== 'object') throw new JqProblem(`${kind} has no keys`);
    return [Array.isArray(value) ? value.map((_, index) => index) : Object.keys(value).sort()];
  }
  if (typeof value === 'number') return [Math.abs(value)];
  return [value === null ? 0 : typeof value === 'string' ? [...value].length : Object.keys(value).length];
}
