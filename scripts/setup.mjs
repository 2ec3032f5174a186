// Installs what a fresh clone lacks. Plain JavaScript that any Node from 20 on can run, because it runs
// before the pinned Node is there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const node = join(
  root,
  'node_modules',
  'node',
  'bin',
  process.platform === 'win32' ? 'node.exe' : 'node',
);
/** Where compiled code is kept between starts; packages/cli and the `podwire` script name the same place. */
export const compileCache = join(root, 'node_modules', '.cache', 'podwire-compile');

/** Makes node_modules agree with package-lock.json and the pinned Node runnable; quiet when nothing is to do. */
export function setup() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const stamp = join(root, 'node_modules', '.podwire-setup');
  const want = createHash('sha256').update(lock).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want && existsSync(node)) return;
  const started = Date.now();
  process.stderr.write('podwire: first run here, installing packages with npm …\n');
  // Not `npm ci`: it refuses a lock file that lacks an optional binary of some other platform, and registries
  // differ in which of those they hold. `--no-save` installs what the lock file says and leaves it as it is.
  const npm = spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) fail(`npm install ended with ${npm.status ?? npm.signal}; see its messages above`);
  // npm may be set to run no install scripts; the pinned Node is laid in place by one, so ask for it by name.
  if (!existsSync(node)) {
    const rebuilt = spawnSync('npm', ['rebuild', 'node', '--ignore-scripts=false'], {
      cwd: root,
      stdio: 'inherit',
    });
    if (rebuilt.status !== 0 || !existsSync(node)) fail('the npm package "node" did not install its binary');
  }
  warmCompileCache();
  writeFileSync(stamp, want);
  process.stderr.write(`podwire: installed in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}

/** Has every process compile its code once, so that the first lab starts as fast as the next. */
function warmCompileCache() {
  for (const name of ['controller', 'agent', 'cli']) {
    spawnSync(node, [join(root, 'packages', name, 'src', 'main.ts'), '--help'], {
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
      stdio: 'ignore',
      timeout: 30_000,
    });
  }
}

function fail(message) {
  process.stderr.write(`podwire: set-up failed: ${message}\n`);
  process.exit(1);
}
