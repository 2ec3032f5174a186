import type { Readable, Writable } from 'node:stream';
import { runIfComplete } from './interactive.ts';
import type { Shell, Streams } from './interpreter.ts';
import { emptyInput, outputTo } from './streams.ts';

const PROMPT = '# ';
const CONTINUATION = '> ';
const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const BACKSPACE = /[\b\u007f]/;
const MAX_LINE = 8_192;

/**
 * A shell at a terminal, as after `kubectl exec -it`: the client's terminal is raw, so the echo, the line editing and
 * Ctrl-C are ours. Ctrl-D on an empty line ends it.
 */
export async function runTerminal(
  shell: Shell,
  terminal: { stdin: Readable; output: Writable },
): Promise<number> {
  const out = outputTo(crlf(terminal.output), true);
  const keys = keysOf(terminal.stdin);
  let pending = '';
  for (;;) {
    await out.write(pending === '' ? PROMPT : CONTINUATION);
    const line = await readTypedLine(keys, out);
    if (line === 'end') {
      await out.write('\n');
      return shell.lastCode;
    }
    if (line === 'interrupt') {
      pending = '';
      continue;
    }
    pending += `${line.text}\n`;
    if (pending.trim() === '') {
      pending = '';
      continue;
    }
    const outcome = await runWithInterrupt(shell, pending, out, keys);
    if (outcome === 'incomplete') continue;
    pending = '';
    if (outcome.exit !== undefined) return outcome.exit;
  }
}

/** While a command runs, Ctrl-C ends it; other keys wait for the next prompt. */
async function runWithInterrupt(
  shell: Shell,
  text: string,
  out: Streams['stdout'],
  keys: Keys,
): ReturnType<typeof runIfComplete> {
  const interrupt = new AbortController();
  keys.onInterrupt = () => interrupt.abort();
  const outer = shell.signal;
  const streams: Streams = { stdin: emptyInput(), stdout: out, stderr: out };
  const outcome = await runIfComplete(
    shell.withSignal(AbortSignal.any([outer, interrupt.signal])),
    text,
    streams,
  );
  shell.withSignal(outer);
  keys.onInterrupt = undefined;
  if (interrupt.signal.aborted) {
    await out.write('^C\n');
    shell.lastCode = 130;
    return {};
  }
  return outcome;
}

interface Keys {
  next(): Promise<string | undefined>;
  onInterrupt: (() => void) | undefined;
}

function keysOf(stdin: Readable): Keys {
  const queue: string[] = [];
  let wake: (() => void) | undefined;
  let ended = false;
  const keys: Keys = {
    onInterrupt: undefined,
    async next() {
      while (queue.length === 0 && !ended) await new Promise<void>((resolve) => (wake = resolve));
      return queue.shift();
    },
  };
  stdin.on('data', (chunk: Buffer | string) => {
    for (const key of chunk.toString()) {
      if (key === CTRL_C && keys.onInterrupt) keys.onInterrupt();
      else if (queue.length < MAX_LINE) queue.push(key);
    }
    wake?.();
  });
  const end = (): void => {
    ended = true;
    wake?.();
  };
  stdin.on('end', end);
  stdin.on('close', end);
  return keys;
}

async function readTypedLine(
  keys: Keys,
  out: Streams['stdout'],
): Promise<'end' | 'interrupt' | { text: string }> {
  let line = '';
  for (;;) {
    const key = await keys.next();
    if (key === undefined || (key === CTRL_D && line === '')) return 'end';
    if (key === CTRL_C) {
      await out.write('^C\n');
      return 'interrupt';
    }
    if (key === '\r' || key === '\n') {
      await out.write('\n');
      return { text: line };
    }
    if (BACKSPACE.test(key)) {
      if (line !== '') await out.write('\b \b');
      line = line.slice(0, -1);
    } else if (key === '\u001b') {
      // Arrow keys and the like: no history here, so the sequence is swallowed.
      if ((await keys.next()) === '[')
        for (let c = await keys.next(); c !== undefined && !/[A-Za-z~]/.test(c); ) c = await keys.next();
    } else if (key >= ' ' && line.length < MAX_LINE) {
      line += key;
      await out.write(key);
    }
  }
}

/** A raw terminal wants a carriage return before each newline. */
function crlf(output: Writable): Writable {
  const wrapped = Object.create(output) as Writable;
  wrapped.write = ((chunk: string | Uint8Array) =>
    output.write(
      Buffer.from(chunk as string)
        .toString('utf8')
        .replace(/\r?\n/g, '\r\n'),
    )) as Writable['write'];
  wrapped.once = output.once.bind(output) as Writable['once'];
  return wrapped;
}
