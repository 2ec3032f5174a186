import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

it('ends without a word when nobody reads what it prints', async () => {
  const child = spawn(process.execPath, [main, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = once(child, 'exit');
  child.stdout.destroy();
  expect(await text(child.stderr)).toBe('');
  expect(await exit).toEqual([141, null]);
});
