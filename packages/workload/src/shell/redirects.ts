import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { openDevice, openTcpDevice, parseTcpDevice } from './devices.ts';
import { expandToString } from './expansion.ts';
import type { Shell } from './interpreter.ts';
import { BrokenPipe, emptyInput, inputOf, makePipe, type Output, outputTo } from './streams.ts';
import type { Redirect } from './syntax.ts';

/** An open file descriptor: one side or both. */
export interface Descriptor {
  input?: Readable;
  output?: Output;
}

export interface Streams {
  stdin: Readable;
  stdout: Output;
  stderr: Output;
  /** Descriptors from 3 on. */
  others?: ReadonlyMap<number, Descriptor>;
}

export interface Redirected {
  streams: Streams;
  /** Closes what was opened for this command alone. */
  finish(): void;
}

/** Opens the redirections of one command in their order; undefined after telling what could not be opened. */
export async function openRedirects(
  shell: Shell,
  redirects: readonly Redirect[],
  streams: Streams,
): Promise<Redirected | undefined> {
  if (redirects.length === 0) return { streams, finish() {} };
  const table = new Map<number, Descriptor>(streams.others);
  table.set(0, { input: streams.stdin });
  table.set(1, { output: streams.stdout });
  table.set(2, { output: streams.stderr });
  const closers: (() => void)[] = [];
  for (const { fd, operator, target } of redirects) {
    const text = await expandToString(target, shell);
    const problem = await openOne(shell, table, fd, operator, text, closers);
    if (problem !== undefined) {
      for (const close of closers) close();
      await streams.stderr.write(`${shell.name}: 1: ${problem}\n`);
      return undefined;
    }
  }
  const opened: Streams = {
    stdin: table.get(0)?.input ?? emptyInput(),
    stdout: table.get(1)?.output ?? closedOutput(),
    stderr: table.get(2)?.output ?? closedOutput(),
  };
  for (const fd of [0, 1, 2]) table.delete(fd);
  if (table.size > 0) opened.others = table;
  return { streams: opened, finish: () => closers.forEach((close) => void close()) };
}

async function openOne(
  shell: Shell,
  table: Map<number, Descriptor>,
  fd: number,
  operator: Redirect['operator'],
  text: string,
  closers: (() => void)[],
): Promise<string | undefined> {
  const path = posix.resolve(shell.directory, text);
  switch (operator) {
    case '<<':
    case '<<<':
      table.set(fd, { input: inputOf(operator === '<<' ? text : `${text}\n`) });
      return undefined;
    case '<&':
    case '>&': {
      if (text === '-') {
        table.delete(fd);
        return undefined;
      }
      const source = /^\d+$/.test(text) ? table.get(Number(text)) : undefined;
      if (!source) return `${text}: Bad file descriptor`;
      table.set(fd, source);
      return undefined;
    }
  }
  const remote = parseTcpDevice(path);
  if (remote) {
    const socket = await openTcpDevice(shell.host.sandbox, remote, shell.signal);
    if (typeof socket === 'string') return `connect: ${socket}\n${shell.name}: 1: ${text}: ${socket}`;
    closers.push(() => socket.destroySoon());
    // A socket paused here still notices its end; its reader resumes it.
    table.set(fd, { input: socket, output: outputTo(socket) });
    return undefined;
  }
  const standard = { '/dev/stdin': 0, '/dev/stdout': 1, '/dev/stderr': 2 }[path];
  if (standard !== undefined) {
    table.set(fd === -1 ? 1 : fd, table.get(standard) ?? {});
    return undefined;
  }
  if (operator === '<' || operator === '<>') {
    const device = openDevice(path, shell.host.random32);
    if (device) closers.push(() => device.destroy());
    const input = device ?? shell.files.read(path);
    if (input === undefined) {
      if (operator === '<') return `cannot open ${text}: No such file`;
      table.set(fd, { input: emptyInput(), output: fileOutput(shell, path) });
      return undefined;
    }
    table.set(fd, { input: input instanceof Readable ? input : inputOf(input) });
    return undefined;
  }
  try {
    if (operator === '>' || !shell.files.exists(path)) shell.files.write(path, new Uint8Array(0));
    else if (shell.files.isDirectory(path)) throw new Error('Is a directory');
  } catch (error) {
    const why = (error as Error).message.replace(/^No such.*/, 'Directory nonexistent');
    return `cannot create ${text}: ${why}`;
  }
  const output = fileOutput(shell, path);
  if (fd === -1) {
    table.set(1, { output });
    table.set(2, { output });
  } else table.set(fd, { output });
  return undefined;
}

function fileOutput(shell: Shell, path: string): Output {
  const { files } = shell;
  return {
    stream: makePipe(),
    async write(data) {
      try {
        files.write(path, Buffer.from(data as Uint8Array), true);
      } catch {
        throw new BrokenPipe();
      }
    },
  };
}

/** After `>&-`. */
function closedOutput(): Output {
  return { stream: makePipe(), async write() {} };
}
