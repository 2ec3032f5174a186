import { once } from 'node:events';
import { PassThrough, type Readable, type Writable } from 'node:stream';

/** The reader of a pipe is gone: the writer ends as SIGPIPE would end it, with 141. */
export class BrokenPipe extends Error {}

/** One output of a command. A write resolves when the reader can take more, so a slow reader slows its writer. */
export interface Output {
  write(data: string | Uint8Array): Promise<void>;
  readonly stream: Writable;
  /** Whether a person sees it as it is written. */
  readonly isTerminal?: boolean;
}

export function outputTo(stream: Writable, isTerminal = false): Output {
  return {
    stream,
    isTerminal,
    async write(data) {
      if (stream.destroyed || stream.writableEnded) throw new BrokenPipe();
      if (data.length === 0 || stream.write(data)) return;
      await Promise.race([once(stream, 'drain').catch(() => {}), once(stream, 'close')]);
      if (stream.destroyed) throw new BrokenPipe();
    },
  };
}

export function makePipe(): PassThrough {
  const pipe = new PassThrough({ highWaterMark: 64 * 1024 });
  // A destroyed pipe is the reader's word that it wants no more; the writer hears of it from `write`.
  pipe.on('error', () => {});
  return pipe;
}

export function emptyInput(): Readable {
  const pipe = makePipe();
  pipe.end();
  return pipe;
}

export function inputOf(content: Uint8Array | string): Readable {
  const pipe = makePipe();
  pipe.end(content);
  return pipe;
}

/** Everything until the end of input, or until the abort. Stops at `limit` bytes. */
export async function readAll(input: Readable, signal: AbortSignal, limit = 16 * 2 ** 20): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunksOf(input, signal)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > limit) break;
  }
  return Buffer.concat(chunks);
}

/** Chunks of an input; ends quietly when the input is destroyed or the abort comes. */
export async function* chunksOf(input: Readable, signal: AbortSignal): AsyncGenerator<Buffer> {
  for (;;) {
    const chunk = input.read() as Buffer | string | null;
    if (chunk !== null) {
      yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      continue;
    }
    if (input.readableEnded || input.destroyed || signal.aborted) return;
    await readableOrEnd(input, signal);
  }
}

function readableOrEnd(input: Readable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const events = ['readable', 'end', 'close', 'error'];
    const settle = (): void => {
      for (const event of events) input.off(event, settle);
      signal.removeEventListener('abort', settle);
      resolve();
    };
    for (const event of events) input.on(event, settle);
    signal.addEventListener('abort', settle);
  });
}

/** Lines of an input without their newline; the last one may lack it. A line is cut at 1 MB. */
export async function* linesOf(input: Readable, signal: AbortSignal): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunksOf(input, signal)) {
    rest += chunk.toString('utf8');
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      yield line;
    }
    if (rest.length > 2 ** 20) {
      yield rest;
      rest = '';
    }
  }
  if (rest !== '') yield rest;
}

/** One line for `read`, byte by byte in effect: what follows the newline stays in the input. */
export async function readLine(
  input: Readable,
  signal: AbortSignal,
): Promise<{ line: string; ended: boolean }> {
  let line = '';
  for (;;) {
    const chunk = input.read() as Buffer | string | null;
    if (chunk !== null) {
      const text = chunk.toString();
      const end = text.indexOf('\n');
      if (end < 0) {
        line += text;
        continue;
      }
      const rest = text.slice(end + 1);
      if (rest !== '') input.unshift(Buffer.from(rest));
      return { line: line + text.slice(0, end), ended: false };
    }
    if (input.readableEnded || input.destroyed || signal.aborted) return { line, ended: true };
    await readableOrEnd(input, signal);
  }
}

/** Resolves after the time, or at once when the abort comes. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', settle);
      resolve();
    };
    const timer = setTimeout(settle, milliseconds);
    signal.addEventListener('abort', settle);
  });
}
