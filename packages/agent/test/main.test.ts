import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'agent-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs the agent as a process until it ends by itself. */
async function run(args: string[]): Promise<{ code: number; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [code] = (await once(child, 'close')) as [number];
  return { code, stderr };
}

const joinFile = (content: string): string => {
  const path = join(directory, 'join.json');
  writeFileSync(path, content);
  return path;
};
const GOOD = JSON.stringify({ url: 'https://127.0.0.1:1', caPem: 'pem', token: 't' });
const at = (address: string, path: string) => [
  ...['--name', 'n', '--address', address, '--join', path],
  ...['--state-dir', join(directory, 'state'), '--log-level', 'fatal'],
];

describe('the agent, when it cannot start, says in one line why and exits with 1', () => {
  it.each([
    ['{', 'it is not JSON'],
    ['{"url":"https://127.0.0.1:1","caPem":"x"}', 'token is missing'],
    ['{"url":"ftp://x","caPem":"x","token":"x"}', 'url "ftp://x" must be https://ADDRESS:PORT'],
  ])('for the join file %s', async (content, message) => {
    const path = joinFile(content);
    const { code, stderr } = await run(at('127.0.9.51', path));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Cannot use the join file [^\n]*\n$/);
    expect(stderr).toContain(message);
  });

  it('for an address that is taken', async () => {
    const other = createSocket('udp4');
    other.bind(8472, '127.0.9.51');
    await once(other, 'listening');
    const { code, stderr } = await run(at('127.0.9.51', joinFile(GOOD)));
    other.close();
    expect(code).toBe(1);
    expect(stderr).toBe(
      'Cannot listen on 127.0.9.51:8472 (UDP): the address is in use; is another agent of this node running?\n',
    );
  });

  it('for an address that is not here', async () => {
    const { code, stderr } = await run(at('192.0.2.1', joinFile(GOOD)));
    expect([code, stderr]).toEqual([
      1,
      'Cannot listen on 192.0.2.1:8472 (UDP): this machine has no such address; add it or choose another\n',
    ]);
  });

  it('for missing arguments', async () => {
    const { code, stderr } = await run([]);
    expect(code).toBe(1);
    expect(stderr).toContain('Cannot start the agent: --name, --join and --state-dir are needed');
  });
});
