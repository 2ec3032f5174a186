import { chunksOf } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { formatPrintf, interpretEscapes } from './printf-format.ts';
import { forEachInput } from './tool-files.ts';

/** As busybox and bash: backslashes mean something only after -e. */
export const echo: Tool = async ({ argv, stdout }) => {
  let words = argv.slice(1);
  let newline = true;
  let escapes = false;
  while (words[0] !== undefined && /^-[neE]+$/.test(words[0])) {
    if (words[0].includes('n')) newline = false;
    if (words[0].includes('e')) escapes = true;
    words = words.slice(1);
  }
  let text = words.join(' ');
  if (escapes) {
    const interpreted = interpretEscapes(text);
    text = interpreted.text;
    if (interpreted.stop) newline = false;
  }
  await stdout.write(newline ? `${text}\n` : text);
  return 0;
};

export const cat: Tool = async (context) => {
  const names = context.argv.slice(1);
  const numbered = names.some((name) => /^-[a-zA-Z]*n/.test(name));
  let line = 0;
  let atStart = true;
  return forEachInput(
    context,
    names.filter((name) => name === '-' || !name.startsWith('-')),
    async (input) => {
      for await (const chunk of chunksOf(input, context.signal)) {
        if (!numbered) {
          await context.stdout.write(chunk);
          continue;
        }
        let text = '';
        for (const part of chunk.toString('utf8').split(/(?<=\n)/)) {
          text += atStart ? `${String(++line).padStart(6)}\t${part}` : part;
          atStart = part.endsWith('\n');
        }
        await context.stdout.write(text);
      }
    },
  );
};

export const printf: Tool = async ({ argv, stdout, stderr }) => {
  if (argv.length < 2) {
    await stderr.write('printf: usage: printf format [arg ...]\n');
    return 2;
  }
  const { text, problem } = formatPrintf(argv[1]!, argv.slice(2));
  await stdout.write(Buffer.from(text, 'utf8'));
  if (problem) await stderr.write(`printf: ${problem}\n`);
  return problem ? 1 : 0;
};

export const yes: Tool = async ({ argv, stdout, signal }) => {
  const line = `${argv.slice(1).join(' ') || 'y'}\n`;
  const block = line.repeat(Math.max(1, Math.floor(4096 / line.length)));
  while (!signal.aborted) {
    await stdout.write(block);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return 0;
};

export const seq: Tool = async ({ argv, stdout, stderr, signal }) => {
  let separator = '\n';
  let wide = false;
  let rest = argv.slice(1);
  while (rest[0] !== undefined && /^-[sw]/.test(rest[0])) {
    if (rest[0] === '-w') {
      wide = true;
      rest = rest.slice(1);
    } else if (rest[0].length > 2) {
      separator = rest[0].slice(2);
      rest = rest.slice(1);
    } else {
      separator = rest[1] ?? '\n';
      rest = rest.slice(2);
    }
  }
  const numbers = rest.map(Number);
  if (rest.length < 1 || rest.length > 3) {
    await stderr.write('seq: missing operand\n');
    return 1;
  }
  const wrong = rest.find((text) => text.trim() === '' || Number.isNaN(Number(text)));
  if (wrong !== undefined) {
    await stderr.write(`seq: invalid floating point argument: '${wrong}'\n`);
    return 1;
  }
  const first = numbers.length > 1 ? numbers[0]! : 1;
  const step = numbers.length > 2 ? numbers[1]! : 1;
  const last = numbers.at(-1)!;
  if (step === 0) {
    await stderr.write("seq: invalid Zero increment value: '0'\n");
    return 1;
  }
  const decimals = Math.max(0, ...rest.slice(0, 2).map((text) => (text.split('.')[1] ?? '').length));
  const width = wide ? Math.max(first.toFixed(decimals).length, last.toFixed(decimals).length) : 0;
  let block = '';
  let count = 0;
  for (
    let value = first;
    step > 0 ? value <= last + 1e-10 : value >= last - 1e-10;
    value = first + ++count * step
  ) {
    block += `${count > 0 ? separator : ''}${value.toFixed(decimals).padStart(width, '0')}`;
    if (block.length > 4096) {
      await stdout.write(block);
      block = '';
      if (signal.aborted) return 130;
    }
  }
  if (count > 0) block += '\n';
  await stdout.write(block);
  return 0;
};
