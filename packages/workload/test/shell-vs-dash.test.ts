import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Files } from '../src/shell/files.ts';
import { Shell } from '../src/shell/interpreter.ts';
import { Processes } from '../src/shell/processes.ts';
import { emptyInput, makePipe, outputTo, readAll } from '../src/shell/streams.ts';
import { findTool } from '../src/tools/table.ts';
import type { Sandbox } from '../src/types.ts';
import { SHELL_SCRIPTS, TOOL_SCRIPTS } from './scripts.ts';

const hasDash = spawnSync('dash', ['-c', 'exit 0']).status === 0;

async function runBuiltIn(script: string): Promise<{ stdout: string; code: number; stderr: string }> {
  const stdout = makePipe();
  const stderr = makePipe();
  const signal = new AbortController().signal;
  const files = new Files();
  files.makeDirectory('/tmp/work');
  const shell = new Shell(
    {
      sandbox: { hostname: 'pod' } as Sandbox,
      files,
      tools: findTool,
      processes: new Processes(),
      kill: signal,
      nowMs: () => 0,
      random32: () => 4,
    },
    { environment: { HOME: '/root', PATH: '/usr/bin' }, directory: '/tmp/work', signal },
  );
  const read = Promise.all([readAll(stdout, signal), readAll(stderr, signal)]);
  const ended = shell.host.processes.add(
    ['sh'],
    0,
    () => {},
    (pid) => {
      shell.pid = pid;
      return shell.runProcess(script, { stdin: emptyInput(), stdout: outputTo(stdout), stderr: outputTo(stderr) });
    },
  ).ended;
  const code = await ended;
  stdout.end();
  stderr.end();
  const [out, err] = await read;
  return { stdout: out.toString(), code, stderr: err.toString() };
}

function runDash(script: string): { stdout: string; code: number | null } {
  const directory = mkdtempSync(join(tmpdir(), 'podwire-shell-'));
  try {
    const { stdout, status } = spawnSync('dash', ['-c', script], {
      cwd: directory,
      env: { HOME: '/root', PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
      encoding: 'utf8',
      input: '',
      timeout: 10_000,
    });
    return { stdout, code: status };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

describe.skipIf(!hasDash)('the built-in shell and dash agree on', () => {
  test.each([...SHELL_SCRIPTS, ...TOOL_SCRIPTS])('%s', async (script) => {
    const ours = await runBuiltIn(script);
    expect({ stdout: ours.stdout, code: ours.code }, `stderr: ${ours.stderr}`).toEqual(runDash(script));
  });
});
