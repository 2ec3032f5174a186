import { emptyInput, linesOf, readAll } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { parseOptions } from './options.ts';
import { withUsage } from './tool-files.ts';

/** Splits as xargs does: blanks and newlines separate, quotes and backslashes protect. */
function splitArguments(text: string): string[] | string {
  const found: string[] = [];
  let current: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (/\s/.test(c)) {
      if (current !== undefined) found.push(current);
      current = undefined;
    } else if (c === '"' || c === "'") {
      const end = text.indexOf(c, i + 1);
      if (end < 0) return `unmatched ${c === '"' ? 'double' : 'single'} quote`;
      current = (current ?? '') + text.slice(i + 1, end);
      i = end;
    } else if (c === '\\' && i + 1 < text.length) current = (current ?? '') + text[++i];
    else current = (current ?? '') + c;
  }
  if (current !== undefined) found.push(current);
  return found;
}

export const xargs: Tool = withUsage(1, async (context) => {
  const options = parseOptions(
    context.argv.slice(1),
    'I:n:L:P:r0td:s:',
    {
      'no-run-if-empty': 'r',
      null: '0',
      'max-args': 'n=',
      'max-procs': 'P=',
      replace: 'I=?',
      verbose: 't',
      delimiter: 'd=',
    },
    { stopAtOperand: true },
  );
  const command = options.operands.length > 0 ? [...options.operands] : ['echo'];
  const place = options.has('I') ? options.get('I') || '{}' : undefined;
  let items: string[] | string;
  if (options.has('0') || options.has('d')) {
    const delimiter = options.has('0') ? '\0' : options.get('d')!.replace('\\n', '\n');
    items = (await readAll(context.stdin, context.signal)).toString('utf8').split(delimiter);
    if (items.at(-1) === '') items.pop();
  } else if (place !== undefined || options.has('L')) {
    items = [];
    for await (const line of linesOf(context.stdin, context.signal))
      if (line.trim() !== '') items.push(line.trimStart());
  } else items = splitArguments((await readAll(context.stdin, context.signal)).toString('utf8'));
  if (typeof items === 'string') {
    await context.stderr.write(
      `xargs: ${items}; by default quotes are special to xargs unless you use the -0 option\n`,
    );
    return 1;
  }
  const calls: string[][] = [];
  if (place !== undefined) {
    for (const item of items) calls.push(command.map((word) => word.replaceAll(place, () => item)));
  } else {
    const size = Math.max(1, Number(options.get('n') ?? options.get('L') ?? 5_000) || 1);
    for (let i = 0; i < items.length; i += size) calls.push([...command, ...items.slice(i, i + size)]);
    if (items.length === 0 && !options.has('r')) calls.push(command);
  }
  let code = 0;
  const parallel = Math.max(1, Number(options.get('P') ?? 1) || 50);
  const worker = async (): Promise<void> => {
    for (let argv = calls.shift(); argv !== undefined && !context.signal.aborted; argv = calls.shift()) {
      if (options.has('t')) await context.stderr.write(`${argv.join(' ')}\n`);
      const result = await context.run(argv, { stdin: emptyInput() });
      if (result === 127 || result === 126) code = result;
      else if (result !== 0 && code === 0) code = 123;
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, calls.length) }, worker));
  return code;
});
