import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
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
      return shell.runProcess(script, {
        stdin: emptyInput(),
        stdout: outputTo(stdout),
        stderr: outputTo(stderr),
      });
    },
  ).ended;
  const code = await ended;
  stdout.end();
  stderr.end();
  const [out, err] = await read;
  return { stdout: out.toString(), code, stderr: err.toString() };
}

interface Outcome {
  stdout: string;
  code: number;
}

function runDash(script: string): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), 'podwire-shell-'));
  return new Promise((resolve) => {
    const child = execFile(
      'dash',
      ['-c', script],
      {
        cwd: directory,
        env: { HOME: '/root', PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
        timeout: 10_000,
      },
      (error, stdout) => {
        rmSync(directory, { recursive: true, force: true });
        resolve({ stdout, code: error ? Number(error.code) : 0 });
      },
    );
    child.stdin!.end();
  });
}

const PARALLEL = 8;

describe.skipIf(!hasDash)('the built-in shell and dash agree on', () => {
  const scripts = [...SHELL_SCRIPTS, ...TOOL_SCRIPTS];
  const wanted = new Map<string, Outcome>();

  beforeAll(async () => {
    const left = [...scripts];
    const worker = async (): Promise<void> => {
      for (let script = left.pop(); script !== undefined; script = left.pop())
        wanted.set(script, await runDash(script));
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
  });

  test.each(scripts)('%s', async (script) => {
    const ours = await runBuiltIn(script);
    expect({ stdout: ours.stdout, code: ours.code }, `stderr: ${ours.stderr}`).toEqual(wanted.get(script));
  });
});
