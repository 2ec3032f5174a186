import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { readAll } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { parseOptions } from './options.ts';
import { forEachInput, withUsage } from './tool-files.ts';

/** md5sum, sha1sum, sha256sum, sha512sum. */
export const checksum: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'bt');
  const algorithm = posix.basename(context.argv[0]!).replace(/sum$/, '');
  return forEachInput(context, options.operands, async (input, name) => {
    const hash = createHash(algorithm).update(await readAll(input, context.signal));
    await context.stdout.write(`${hash.digest('hex')}  ${name}\n`);
  });
});

export const base64: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'dDw:i', { decode: 'd', wrap: 'w=' });
  return forEachInput(context, options.operands.slice(0, 1), async (input) => {
    const content = await readAll(input, context.signal);
    if (options.has('d') || options.has('D')) {
      await context.stdout.write(Buffer.from(content.toString('latin1'), 'base64'));
      return;
    }
    const text = content.toString('base64');
    const width = Number(options.get('w') ?? 76);
    const lines = width > 0 ? (text.match(new RegExp(`.{1,${Math.min(width, 10_000)}}`, 'g')) ?? []) : [];
    await context.stdout.write(width > 0 ? lines.map((line) => `${line}\n`).join('') : text);
  });
});

export const hexdump: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'Cvn:');
  return forEachInput(context, options.operands, async (input) => {
    const content = await readAll(input, context.signal, Number(options.get('n') ?? 2 ** 20));
    for (let at = 0; at < content.length; at += 16) {
      const row = [...content.subarray(at, at + 16)];
      const hex = row.map((byte) => byte.toString(16).padStart(2, '0'));
      const shown = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
      const columns = `${hex.slice(0, 8).join(' ').padEnd(23)}  ${hex.slice(8).join(' ').padEnd(23)}`;
      await context.stdout.write(`${at.toString(16).padStart(8, '0')}  ${columns}  |${shown}|\n`);
    }
    if (content.length > 0) await context.stdout.write(`${content.length.toString(16).padStart(8, '0')}\n`);
  });
});
