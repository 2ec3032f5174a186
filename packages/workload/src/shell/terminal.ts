import type { PassThrough, Readable, Writable } from 'node:stream';
import { runIfComplete } from './interactive.ts';
import type { Shell } from './interpreter.ts';
import { exitCodeOf, SignalReason } from './processes.ts';
import { makePipe, type Output, outputTo } from './streams.ts';

const CONTINUATION = '> ';
const MAX_LINE = 8_192;
const MAX_HISTORY = 200;
const CLEAR_LINE = '\r\u001b[K';

/**
 * The line discipline of a terminal whose other end is raw, as after `kubectl exec -it`: echo, editing, history,
 * Ctrl-C and Ctrl-D. Keys go to whoever reads: the shell's prompt, or the command that runs in the foreground.
 */
export class Terminal {
  /** Puts a carriage return before each newline. */
  readonly out: Output;
  /** Ctrl-C while a command runs. */
  onInterrupt: (() => void) | undefined;
  readonly #keys: string[] = [];
  readonly #history: string[] = [];
  #ended = false;
  #wake: (() => void) | undefined;
  #input: PassThrough | undefined;
  #cooked = '';

  constructor(stdin: Readable, output: Writable) {
    const raw = outputTo(output, true);
    this.out = { ...raw, write: (data) => raw.write(withCarriageReturns(data)) };
    stdin.on('data', (chunk: Buffer | string) => {
      for (const key of chunk.toString()) {
        if (this.#input) this.#cook(key, this.#input);
        else if (this.#keys.length < MAX_LINE) this.#keys.push(key);
      }
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#input?.end();
      this.#wake?.();
    };
    stdin.on('end', end);
    stdin.on('close', end);
    stdin.on('error', end);
  }

  /** Standard input of a foreground command: whole lines as they are typed. */
  openInput(): Readable {
    const input = makePipe();
    this.#input = input;
    for (const key of this.#keys.splice(0)) this.#cook(key, input);
    if (this.#ended) input.end();
    return input;
  }

  /** The command has ended: what it did not read is typed at the next prompt. */
  closeInput(): void {
    const input = this.#input;
    this.#input = undefined;
    if (!input) return;
    const unread = input.readableEnded ? null : (input.read() as Buffer | null);
    const text = (unread?.toString() ?? '') + this.#cooked;
    this.#cooked = '';
    this.#keys.unshift(...text);
    input.destroy();
  }

  #cook(key: string, input: PassThrough): void {
    const echo = (text: string): void => void this.out.write(text).catch(() => {});
    if (key === '\u0003') {
      this.#cooked = '';
      echo('^C\n');
      this.onInterrupt?.();
    } else if (key === '\u0004') {
      if (this.#cooked === '') input.end();
      else input.write(this.#cooked);
      this.#cooked = '';
    } else if (key === '\r' || key === '\n') {
      echo('\n');
      if (!input.writableEnded) input.write(`${this.#cooked}\n`);
      this.#cooked = '';
    } else if (key === '\b' || key === '\u007f') {
      if (this.#cooked !== '') echo('\b \b');
      this.#cooked = this.#cooked.slice(0, -1);
    } else if (key >= ' ' && this.#cooked.length < MAX_LINE) {
      this.#cooked += key;
      echo(key);
    }
  }

  async #key(): Promise<string | undefined> {
    while (this.#keys.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#keys.shift();
  }

  /** Reads a line at a prompt, with editing and history. `end` is Ctrl-D on an empty line or the end of input. */
  async readLine(prompt: string, signal: AbortSignal): Promise<'end' | 'interrupt' | { text: string }> {
    const { out } = this;
    let line = '';
    let cursor = 0;
    let recalled = this.#history.length;
    const onAbort = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    await out.write(prompt);
    const redraw = (): Promise<void> => {
      const back = line.length - cursor;
      return out.write(`${CLEAR_LINE}${prompt}${line}${back > 0 ? `\u001b[${back}D` : ''}`);
    };
    const recall = (step: number): Promise<void> => {
      recalled = Math.max(0, Math.min(this.#history.length, recalled + step));
      line = this.#history[recalled] ?? '';
      cursor = line.length;
      return redraw();
    };
    const moveTo = (place: number): Promise<void> => {
      cursor = Math.max(0, Math.min(line.length, place));
      return redraw();
    };
    const erase = (from: number): Promise<void> => {
      line = line.slice(0, from) + line.slice(cursor);
      cursor = from;
      return redraw();
    };
    try {
      for (;;) {
        const key = await this.#key();
        switch (key) {
          case undefined:
            return 'end';
          case '\u0004':
            if (line === '') return 'end';
            break;
          case '\u0003':
            await out.write('^C\n');
            return 'interrupt';
          case '\r':
          case '\n':
            await out.write('\n');
            if (line.trim() !== '' && this.#history.at(-1) !== line) this.#history.push(line);
            if (this.#history.length > MAX_HISTORY) this.#history.shift();
            return { text: line };
          case '\b':
          case '\u007f':
            if (cursor === 0) break;
            if (cursor < line.length) await erase(cursor - 1);
            else {
              line = line.slice(0, -1);
              cursor--;
              await out.write('\b \b');
            }
            break;
          case '\u0001':
            await moveTo(0);
            break;
          case '\u0005':
            await moveTo(line.length);
            break;
          case '\u0015':
            await erase(0);
            break;
          case '\u0017':
            await erase(line.slice(0, cursor).replace(/\S*\s*$/, '').length);
            break;
          case '\u000c':
            await out.write('\u001b[H\u001b[2J');
            await redraw();
            break;
          case '\u001b': {
            const sequence = await this.#escapeSequence();
            if (sequence === 'A') await recall(-1);
            else if (sequence === 'B') await recall(1);
            else if (sequence === 'C') await moveTo(cursor + 1);
            else if (sequence === 'D') await moveTo(cursor - 1);
            else if (sequence === 'H' || sequence === '1~') await moveTo(0);
            else if (sequence === 'F' || sequence === '4~') await moveTo(line.length);
            else if (sequence === '3~' && cursor < line.length) {
              cursor++;
              await erase(cursor - 1);
            }
            break;
          }
          default:
            if (key < ' ' || line.length >= MAX_LINE) break;
            line = line.slice(0, cursor) + key + line.slice(cursor);
            cursor += key.length;
            if (cursor === line.length) await out.write(key);
            else await redraw();
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** What follows ESC [ or ESC O, up to its final letter (ECMA-48 5.4). */
  async #escapeSequence(): Promise<string> {
    const first = await this.#key();
    if (first !== '[' && first !== 'O') return '';
    let sequence = '';
    for (let key = await this.#key(); key !== undefined; key = await this.#key()) {
      sequence += key;
      if (/[A-Za-z~]/.test(key) || sequence.length > 16) break;
    }
    return sequence;
  }
}

function withCarriageReturns(data: string | Uint8Array): string | Uint8Array {
  if (typeof data === 'string') return data.replace(/\r?\n/g, '\r\n');
  if (!data.includes(10)) return data;
  return Buffer.from(Buffer.from(data).toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
}

/** A shell at a terminal. Resolves to its exit code. */
export async function runTerminal(shell: Shell, terminal: Terminal): Promise<number> {
  const { out } = terminal;
  let pending = '';
  for (;;) {
    const line = await terminal.readLine(pending === '' ? promptOf(shell) : CONTINUATION, shell.signal);
    if (line === 'end') {
      if (!shell.signal.aborted) await out.write('\n').catch(() => {});
      return shell.signal.aborted
        ? exitCodeOf(shell.signal)
        : shell.finish(shell.lastCode, streamsOf(out, terminal));
    }
    if (line === 'interrupt') {
      pending = '';
      shell.lastCode = 130;
      continue;
    }
    pending += `${line.text}\n`;
    if (pending.trim() === '') {
      pending = '';
      continue;
    }
    const outcome = await runInForeground(shell, pending, terminal);
    if (outcome === 'incomplete') continue;
    pending = '';
    if (outcome.exit !== undefined) return outcome.exit;
  }
}

function promptOf(shell: Shell): string {
  if (!shell.expandsBraces) return '# ';
  return `root@${shell.host.sandbox.hostname}:${shell.directory === '/root' ? '~' : shell.directory}# `;
}

function streamsOf(out: Output, terminal: Terminal): { stdin: Readable; stdout: Output; stderr: Output } {
  return { stdin: terminal.openInput(), stdout: out, stderr: out };
}

/** Runs one command line; Ctrl-C ends what runs, not the shell. */
async function runInForeground(
  shell: Shell,
  text: string,
  terminal: Terminal,
): ReturnType<typeof runIfComplete> {
  const interrupt = new AbortController();
  terminal.onInterrupt = () => interrupt.abort(new SignalReason('INT'));
  const outer = shell.signal;
  const streams = streamsOf(terminal.out, terminal);
  try {
    const signal = AbortSignal.any([outer, interrupt.signal]);
    const outcome = await runIfComplete(shell.withSignal(signal), text, streams);
    if (!interrupt.signal.aborted) return outcome;
    shell.lastCode = 130;
    return {};
  } finally {
    shell.withSignal(outer);
    terminal.onInterrupt = undefined;
    terminal.closeInput();
  }
}

/** One command at a terminal, without a shell's prompt. */
export async function runAtTerminal(shell: Shell, argv: string[], terminal: Terminal): Promise<number> {
  const interrupt = new AbortController();
  terminal.onInterrupt = () => interrupt.abort(new SignalReason('INT'));
  shell.withSignal(AbortSignal.any([shell.signal, interrupt.signal]));
  return shell.callWith(argv, streamsOf(terminal.out, terminal));
}
