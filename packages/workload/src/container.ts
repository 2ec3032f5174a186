import { posix } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { imageName } from './images.ts';
import { runProgram } from './programs.ts';
import { Files, type SharedVolume } from './shell/files.ts';
import { Shell } from './shell/interpreter.ts';
import { Processes, SignalReason } from './shell/processes.ts';
import { emptyInput, outputTo } from './shell/streams.ts';
import type { ToolTable } from './shell/tool.ts';
import { findTool } from './tools/table.ts';
import type { Sandbox } from './types.ts';

/** A probe of a container, as far as a built-in workload looks at it: what it must answer. */
export interface ProbeSpec {
  httpGet?: { path?: string; port: number | string };
  tcpSocket?: { port: number | string };
  grpc?: { port: number; service?: string };
}

export interface ContainerSpec {
  name: string;
  image: string;
  /** Overrides the image's entry point, as in a Pod's `command`. */
  command: string[];
  args: string[];
  env: Record<string, string>;
  ports: { name?: string; containerPort: number; protocol?: string }[];
  probes: { readiness?: ProbeSpec; liveness?: ProbeSpec; startup?: ProbeSpec };
  /** Mounted files by absolute path; an update of a ConfigMap shows here while the container runs. */
  files: ReadonlyMap<string, string>;
  /**
   * Volumes that containers write to, as emptyDir, by where they are mounted: containers of a pod that are given the
   * same map share it. Without any, every directory that a file is written to comes into being.
   */
  volumes?: ReadonlyMap<string, SharedVolume>;
  workingDir?: string;
  /**
   * Multiplies what `sleep` waits in the container's own program, for labs that scale their delays: an init container
   * that tries again every ten seconds. What exec runs sleeps as long as it says. Default 1.
   */
  sleepScale?: number;
}

export interface ContainerOutput {
  stdout(line: string): void;
  stderr(line: string): void;
}

export interface Clock {
  nowMs: () => number;
  random32: () => number;
}

export interface ExecStreams {
  stdin?: Readable;
  stdout: Writable;
  stderr: Writable;
  tty?: boolean;
  signal?: AbortSignal;
}

export interface RunningContainer {
  exited: Promise<{ exitCode: number; reason?: string }>;
  /** SIGTERM, then SIGKILL after the grace. Resolves when the container has ended. */
  stop(graceMs: number): Promise<void>;
  kill(): void;
  /** Runs a command in the container; resolves to its exit code (127: no such command). */
  exec(argv: string[], io: ExecStreams): Promise<number>;
}

/** What every program of a container shares. */
export interface ProgramContext {
  sandbox: Sandbox;
  spec: ContainerSpec;
  output: ContainerOutput;
  clock: Clock;
  files: Files;
  processes: Processes;
  /** SIGTERM. */
  terminate: AbortSignal;
  /** SIGKILL: nothing of the container may go on after it. */
  kill: AbortSignal;
  /** A shell for the program, with the tools there are unless others are given. */
  shell(signal: AbortSignal, tools?: ToolTable): Shell;
}

const EXIT_KILLED = 137;

/** Starts an embedded container: its sockets are the pod's, its program runs in this process. */
export function startContainer(
  sandbox: Sandbox,
  spec: ContainerSpec,
  output: ContainerOutput,
  clock: Clock,
): RunningContainer {
  const terminate = new AbortController();
  const kill = new AbortController();
  const files = new Files({
    mounted: spec.files,
    volumes: spec.volumes,
    image: imageFiles(sandbox),
    makesParents: spec.volumes === undefined,
  });
  const processes = new Processes();
  const shell = (signal: AbortSignal, tools = findTool, sleepScale = 1): Shell =>
    new Shell(
      { sandbox, files, tools, processes, sleepScale, kill: kill.signal, ...clock },
      {
        environment: {
          PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
          HOME: '/root',
          HOSTNAME: sandbox.hostname,
          ...spec.env,
        },
        directory: spec.workingDir ?? '/',
        signal,
      },
    );
  const context: ProgramContext = {
    sandbox,
    spec,
    output,
    clock,
    files,
    processes,
    terminate: terminate.signal,
    kill: kill.signal,
    shell: (signal, tools) => shell(signal, tools, spec.sleepScale),
  };
  const killed = new Promise<{ exitCode: number }>((resolve) => {
    kill.signal.addEventListener('abort', () => resolve({ exitCode: EXIT_KILLED }), { once: true });
  });
  // To the program itself only SIGTERM means something: it is process 1.
  const signalProgram = (name: string): void => {
    if (name === 'TERM') terminate.abort(new SignalReason(name));
  };
  const argv = [...spec.command, ...spec.args];
  const main = processes.add(
    argv.length > 0 ? argv : [imageName(spec.image)],
    clock.nowMs(),
    signalProgram,
    () => runProgram(context),
  );
  const program = main.ended.then(
    (exitCode) => ({ exitCode }),
    (error: Error) => {
      output.stderr(error.message);
      return { exitCode: 1, reason: 'Error' };
    },
  );
  const exited = Promise.race([program, killed]);
  // Sockets and shells of the container end with it, whichever way it ends.
  void exited.then(() => kill.abort());

  return {
    exited,
    async stop(graceMs) {
      terminate.abort(new SignalReason('TERM'));
      const timer = setTimeout(() => kill.abort(), graceMs);
      await exited;
      clearTimeout(timer);
    },
    kill: () => kill.abort(),
    async exec(argv, io) {
      if (argv.length === 0) return 126;
      const interrupt = new AbortController();
      const signal = AbortSignal.any([kill.signal, interrupt.signal, ...(io.signal ? [io.signal] : [])]);
      const process = processes.add(
        argv,
        clock.nowMs(),
        (name) => interrupt.abort(new SignalReason(name)),
        (pid) => runCommand(shell(signal), pid, argv, io),
      );
      return process.ended;
    },
  };
}

/** What programs look for in any image and on any kernel. */
function imageFiles(sandbox: Sandbox): Map<string, string> {
  return new Map([
    ['/etc/os-release', 'NAME="Podwire"\nID=podwire\nPRETTY_NAME="Podwire built-in container"\n'],
    ['/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'],
    ['/etc/nsswitch.conf', 'hosts: files dns\n'],
    ['/sys/class/net/eth0/address', `${sandbox.interfaceMac}\n`],
    ['/sys/class/net/eth0/mtu', `${sandbox.mtu}\n`],
    ['/sys/class/net/eth0/operstate', 'up\n'],
  ]);
}

async function runCommand(shell: Shell, pid: number, argv: string[], io: ExecStreams): Promise<number> {
  shell.pid = pid;
  const stdin = io.stdin ?? emptyInput();
  if (io.tty) {
    const { Terminal, runAtTerminal, runTerminal } = await import('./shell/terminal.ts');
    const terminal = new Terminal(stdin, io.stdout);
    if (!isBareShell(argv)) return runAtTerminal(shell, argv, terminal);
    shell.name = posix.basename(argv[0]!);
    return runTerminal(shell, terminal);
  }
  return shell.callWith(argv, {
    stdin,
    stdout: outputTo(io.stdout),
    stderr: outputTo(io.stderr),
  });
}

function isBareShell(argv: readonly string[]): boolean {
  const name = posix.basename(argv[0]!);
  return (
    ['sh', 'bash', 'ash', 'dash', 'zsh'].includes(name) &&
    argv.slice(1).every((argument) => /^-[il]+$/.test(argument))
  );
}
