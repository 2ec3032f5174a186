import { posix } from 'node:path';
import { chunksOf } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';

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
  if (escapes) text = text.replace(/\\([nt\\])/g, (_, c: string) => ({ n: '\n', t: '\t', '\\': '\\' })[c]!);
  await stdout.write(newline ? `${text}\n` : text);
  return 0;
};

export const cat: Tool = async ({ argv, stdin, stdout, stderr, signal, files, directory }) => {
  let code = 0;
  const names = argv.slice(1).filter((argument) => argument === '-' || !argument.startsWith('-'));
  for (const name of names.length > 0 ? names : ['-']) {
    if (name === '-') {
      for await (const chunk of chunksOf(stdin, signal)) await stdout.write(chunk);
      continue;
    }
    const path = posix.resolve(directory, name);
    const content = files.read(path);
    if (content) await stdout.write(content);
    else {
      code = 1;
      await stderr.write(
        `cat: ${name}: ${files.isDirectory(path) ? 'Is a directory' : 'No such file or directory'}\n`,
      );
    }
  }
  return code;
};
