// The one entry behind the npm scripts: sets up what is missing, then runs the task on the pinned Node.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { compileCache, node, root, setup } from './setup.mjs';

const [task, ...rest] = process.argv.slice(2);
const bin = (name) => join(root, 'node_modules', '.bin', name);
const cli = join(root, 'packages', 'cli', 'src', 'main.ts');

/** Each task is a list of commands run in order until one fails. */
const tasks = {
  setup: [],
  demo: [[node, cli, 'demo', ...rest]],
  test: [
    [
      bin('turbo'),
      'run',
      '//#types',
      '//#lint',
      '--output-logs=new-only',
      '--log-prefix=none',
      '--ui=stream',
    ],
    [node, bin('vitest'), 'run', ...rest],
  ],
  types: [[node, bin('tsc'), '-p', 'tsconfig.json', ...rest]],
  lint: [[bin('biome'), 'check', ...rest]],
  format: [[bin('biome'), 'check', '--write', ...rest]],
  bench: [[node, join(root, 'test', 'bench', `${rest[0]}.ts`), ...rest.slice(1)]],
};

if (!Object.hasOwn(tasks, task ?? '')) {
  process.stderr.write(`podwire: no task "${task}"; there are ${Object.keys(tasks).join(', ')}\n`);
  process.exit(2);
}
setup();
for (const [command, ...args] of tasks[task]) {
  const code = await run(command, args);
  if (code !== 0) process.exit(code);
}

/** Runs one command with our terminal and passes signals on, so that Ctrl-C ends the task and not only this wrapper. */
function run(command, args) {
  return new Promise((resolve) => {
    const env = {
      ...process.env,
      TURBO_TELEMETRY_DISABLED: '1',
      DO_NOT_TRACK: '1',
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? compileCache,
      PATH: `${join(root, 'node_modules', 'node', 'bin')}:${process.env.PATH}`,
    };
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env });
    const forward = (signal) => child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward);
    child.on('error', (error) => {
      process.stderr.write(`podwire: cannot run ${command}: ${error.message}\n`);
      resolve(1);
    });
    child.on('exit', (code, signal) => {
      for (const s of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(s, forward);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 1));
    });
  });
}
