import { posix } from 'node:path';
import { Writable } from 'node:stream';
import type { ProgramContext } from './container.ts';
import { defaultProgram } from './images.ts';
import { emptyInput, outputTo } from './shell/streams.ts';
import type { Tool } from './shell/tool.ts';
import { findTool, hasTool } from './tools/table.ts';

const SHELLS = new Set(['sh', 'bash', 'ash', 'dash', 'zsh']);
const AGNHOST_COMMANDS = new Set(
  'netexec serve-hostname connect porter test-webserver pause version dns-suffix dns-server-list etc-hosts entrypoint-tester'.split(
    ' ',
  ),
);
/** Commands that nobody's image has as the first argument of another program. */
const UNMISTAKABLE = new Set(['sh', 'bash', 'ash', 'dash', 'sleep', 'tail', 'agnhost']);

/**
 * Chooses what a container runs, by its command and image: agnhost's commands, a script or a tool in the built-in
 * shell, `pause`, and a stand-in for everything else. A command that is no tool, `java -jar app.jar` or what a script
 * ends with, is somebody's server, and so a stand-in too. Resolves to the exit code.
 */
export async function runProgram(context: ProgramContext): Promise<number> {
  const { spec } = context;
  const argv = [...spec.command, ...spec.args];
  const byImage = defaultProgram(spec.image, spec.ports.length > 0);
  const name = posix.basename(argv[0] ?? '');

  if (name === 'agnhost') return runAgnhost(argv.slice(1), context);
  if (byImage === 'agnhost' && (argv.length === 0 || AGNHOST_COMMANDS.has(name)))
    return runAgnhost(argv.length > 0 ? argv : ['pause'], context);
  if (name === 'pause' || (byImage === 'pause' && spec.command.length === 0)) return untilStopped(context);

  const isNamed =
    spec.command.length > 0 || byImage === 'shell' || byImage === 'curl' || UNMISTAKABLE.has(name);
  if (isNamed && (SHELLS.has(name) || hasTool(name))) return runInShell(argv, context);
  if (spec.command.length === 0 && byImage === 'curl') return runInShell(['curl', ...argv], context);
  // The shell of such an image reads the end of its input at once.
  if (argv.length === 0 && byImage === 'shell') return 0;
  return runStandIn(context);
}

async function runAgnhost(args: readonly string[], context: ProgramContext): Promise<number> {
  const agnhost = await import('./agnhost/agnhost.ts');
  return agnhost.runAgnhost(args, context);
}

async function runStandIn(context: ProgramContext): Promise<number> {
  const standIn = await import('./stand-in/stand-in.ts');
  return standIn.runStandIn(context);
}

async function runInShell(argv: string[], context: ProgramContext): Promise<number> {
  const ended = AbortSignal.any([context.terminate, context.kill]);
  // One server is enough for the ports there are; what else a script calls that is not known is told so.
  let hasServer = defaultProgram(context.spec.image, true) !== 'server';
  const server: Tool = () => runStandIn(context);
  const shell = context.shell(ended, async (name) => {
    const tool = await findTool(name);
    if (tool || hasServer || !(await servesSomething(context))) return tool;
    hasServer = true;
    return server;
  });
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

/** Whether the container is somebody's server: then an unknown program in its script is the server. */
async function servesSomething(context: ProgramContext): Promise<boolean> {
  const { portsOf } = await import('./stand-in/stand-in.ts');
  const { tcp, udp } = portsOf(context.spec);
  return tcp.length + udp.length > 0;
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
