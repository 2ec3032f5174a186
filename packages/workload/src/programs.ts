import { posix } from 'node:path';
import { Writable } from 'node:stream';
import type { ProgramContext } from './container.ts';
import { emptyInput, outputTo } from './shell/streams.ts';
import { hasTool } from './tools/table.ts';

const SHELLS = new Set(['sh', 'bash', 'ash', 'dash']);
const AGNHOST_COMMANDS = new Set(['netexec', 'serve-hostname', 'connect', 'porter', 'pause', 'version']);

/**
 * Chooses what a container runs, by its command and image: agnhost's commands, a script or a network tool in the
 * built-in shell, `pause`, and a stand-in for everything else. Resolves to the exit code.
 */
export async function runProgram(context: ProgramContext): Promise<number> {
  const { spec } = context;
  const argv = [...spec.command, ...spec.args];
  const image = imageName(spec.image);
  const agnhost = agnhostArguments(image, argv);
  if (agnhost) {
    const { runAgnhost } = await import('./agnhost/agnhost.ts');
    return runAgnhost(agnhost, context);
  }
  if (image === 'pause' || posix.basename(argv[0] ?? '') === 'pause') return untilStopped(context);
  const name = posix.basename(
    spec.command[0] ?? (spec.args.length > 0 && isScript(spec.args) ? spec.args[0]! : ''),
  );
  if (isScript(argv) || (name !== '' && hasTool(name))) return runInShell(argv, context);
  // Plain busybox-like images without a command run a shell that ends at once; people mean "stay there".
  const { runStandIn } = await import('./stand-in/stand-in.ts');
  return runStandIn(context);
}

function isScript(argv: readonly string[]): boolean {
  return SHELLS.has(posix.basename(argv[0] ?? '')) && argv.length > 1;
}

/** `registry:5000/path/agnhost:2.43@sha256:…` is `agnhost`. */
export function imageName(image: string): string {
  return posix.basename(image.replace(/@.*$/, '')).replace(/:.*$/, '');
}

/** The arguments after the program's name, when this container is agnhost. */
function agnhostArguments(image: string, argv: readonly string[]): string[] | undefined {
  if (posix.basename(argv[0] ?? '') === 'agnhost') return argv.slice(1);
  if (image !== 'agnhost' || (argv.length > 0 && !AGNHOST_COMMANDS.has(argv[0]!))) return undefined;
  return argv.length > 0 ? [...argv] : ['pause'];
}

async function runInShell(argv: string[], context: ProgramContext): Promise<number> {
  const ended = AbortSignal.any([context.terminate, context.kill]);
  const shell = context.shell(ended);
  const stdout = lineWriter(context.output.stdout);
  const stderr = lineWriter(context.output.stderr);
  const code = await shell.callWith(argv, {
    stdin: emptyInput(),
    stdout: outputTo(stdout),
    stderr: outputTo(stderr),
  });
  stdout.end();
  stderr.end();
  return code;
}

/** Resolves with 0 when the container is told to stop. */
export function untilStopped(context: ProgramContext): Promise<number> {
  return new Promise((resolve) => {
    if (context.terminate.aborted) return resolve(0);
    context.terminate.addEventListener('abort', () => resolve(0), { once: true });
  });
}

/** A stream that hands on whole lines, as a container runtime's log does. A line is cut at 16 KB. */
export function lineWriter(write: (line: string) => void): Writable {
  let rest = '';
  const flush = (): void => {
    if (rest !== '') write(rest);
    rest = '';
  };
  return new Writable({
    decodeStrings: false,
    write(chunk: Buffer | string, _encoding, done) {
      rest += chunk.toString();
      for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
        write(rest.slice(0, end));
        rest = rest.slice(end + 1);
      }
      if (rest.length > 16 * 1024) flush();
      done();
    },
    final(done) {
      flush();
      done();
    },
  });
}
