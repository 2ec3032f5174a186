import { PassThrough } from 'node:stream';
import type { ProgramContext } from '../container.ts';
import { lineWriter } from '../programs.ts';
import { emptyInput, outputTo, readAll } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { OptionProblem } from '../tools/options.ts';
import { connect } from './connect.ts';
import { type AgnhostContext, untilEnded } from './context.ts';
import { netexec } from './netexec.ts';
import { porter } from './porter.ts';
import { serveHostname } from './serve-hostname.ts';
import { testWebserver } from './test-webserver.ts';

type Command = (args: readonly string[], context: AgnhostContext) => Promise<number> | number;

const never = new Promise<number>(() => {});

const COMMANDS: Record<string, Command> = {
  netexec,
  'serve-hostname': serveHostname,
  connect,
  porter,
  'test-webserver': testWebserver,
  pause: (_args, context) => {
    context.out('Paused\n');
    return untilEnded(context, never);
  },
  version: (_args, context) => {
    context.out('2.53\n');
    return 0;
  },
  'dns-suffix': (_args, context) => {
    context.out(`${context.sandbox.resolvConf.searches.join(',')}\n`);
    return 0;
  },
  'dns-server-list': (_args, context) => {
    context.out(`${context.sandbox.resolvConf.nameservers.join(',')}\n`);
    return 0;
  },
  'etc-hosts': (_args, context) => {
    context.out(context.sandbox.hostsFile);
    return 0;
  },
  'entrypoint-tester': (args, context) => {
    context.out(`[${['/agnhost', 'entrypoint-tester', ...args].join(' ')}]\n`);
    return untilEnded(context, never);
  },
};

/**
 * The commands of the Kubernetes project's test image (test/images/agnhost) that manifests and suites use. Resolves to
 * the exit code.
 */
async function run(args: readonly string[], context: AgnhostContext): Promise<number> {
  const [name = '', ...rest] = args;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    context.error(`Error: unknown command "${name}" for "app"\nRun 'app --help' for usage.\n`);
    return 1;
  }
  try {
    return await command(rest, context);
  } catch (error) {
    if (!(error instanceof OptionProblem)) throw error;
    const text =
      error.kind === 'missing' ? `flag needs an argument: ${error.option}` : `unknown flag: ${error.option}`;
    context.error(`Error: ${text}\n`);
    return 1;
  }
}

/** agnhost as a container's program. */
export async function runAgnhost(args: readonly string[], program: ProgramContext): Promise<number> {
  const stdout = lineWriter(program.output.stdout);
  const stderr = lineWriter(program.output.stderr);
  const code = await run(args, {
    sandbox: program.sandbox,
    env: program.spec.env,
    files: program.files,
    out: (text) => void stdout.write(text),
    error: (text) => void stderr.write(text),
    nowMs: program.clock.nowMs,
    terminate: program.terminate,
    kill: program.kill,
    async shell(command) {
      const both = new PassThrough();
      const read = readAll(both, program.kill);
      const output = outputTo(both);
      const shell = program.shell(program.kill);
      const exitCode = await shell.callWith(['sh', '-c', command], {
        stdin: emptyInput(),
        stdout: output,
        stderr: output,
      });
      both.end();
      return { output: (await read).toString('utf8'), exitCode };
    },
  });
  stdout.end();
  stderr.end();
  return code;
}

/** agnhost as a command: `/agnhost connect …` through exec. */
export const agnhost: Tool = (context) =>
  run(context.argv.slice(1), {
    sandbox: context.sandbox,
    env: context.env,
    files: context.files,
    // The reader of a closed pipe is gone, and so is whom it would tell.
    out: (text) => void context.stdout.write(text).catch(() => {}),
    error: (text) => void context.stderr.write(text).catch(() => {}),
    nowMs: context.nowMs,
    terminate: context.signal,
    kill: context.signal,
    async shell(command) {
      const both = new PassThrough();
      const read = readAll(both, context.signal);
      const output = outputTo(both);
      const exitCode = await context.run(['sh', '-c', command], {
        stdin: emptyInput(),
        stdout: output,
        stderr: output,
      });
      both.end();
      return { output: (await read).toString('utf8'), exitCode };
    },
  });
