/**
 * The output of one container: the newest lines up to a number of bytes, readable while it runs and after it ended.
 */

export type LogStream = 'stdout' | 'stderr';

export interface LogLine {
  readonly timeMs: number;
  /** Grows by one with each line; also breaks ties within a millisecond in timestamps. */
  readonly sequence: number;
  readonly stream: LogStream;
  readonly text: string;
}

export interface LogQuery {
  readonly tailLines?: number;
  /** Lines of this time and later. */
  readonly sinceMs?: number;
  readonly timestamps?: boolean;
  readonly stream?: LogStream;
}

/** Kept per container. Kubernetes rotates at 10 MB; a lab's containers share one process. */
const MAX_BYTES = 256 * 1024;

/** One line is cut here, so that a container cannot fill the buffer with a single one. */
const MAX_LINE = 16 * 1024;

export class LogBuffer {
  #lines: LogLine[] = [];
  #head = 0;
  #bytes = 0;
  #sequence = 0;
  #closed = false;
  readonly #followers = new Set<(line: LogLine | undefined) => void>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  append(stream: LogStream, text: string): void {
    if (this.#closed) return;
    const cut = text.length > MAX_LINE ? text.slice(0, MAX_LINE) : text;
    const line: LogLine = { timeMs: this.#nowMs(), sequence: this.#sequence++, stream, text: cut };
    this.#lines.push(line);
    this.#bytes += cut.length + 1;
    while (this.#bytes > MAX_BYTES && this.#head < this.#lines.length - 1) {
      this.#bytes -= this.#lines[this.#head]!.text.length + 1;
      this.#head += 1;
    }
    if (this.#head > 512 && this.#head > this.#lines.length / 2) {
      this.#lines = this.#lines.slice(this.#head);
      this.#head = 0;
    }
    for (const follower of this.#followers) follower(line);
  }

  /** The container has ended: followers are told and no line comes any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const follower of this.#followers) follower(undefined);
    this.#followers.clear();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Lines as they are kept, oldest first. */
  read(query: LogQuery = {}): LogLine[] {
    let lines = this.#lines.slice(this.#head);
    if (query.stream !== undefined) lines = lines.filter((line) => line.stream === query.stream);
    if (query.sinceMs !== undefined) lines = lines.filter((line) => line.timeMs >= query.sinceMs!);
    if (query.tailLines !== undefined) lines = query.tailLines <= 0 ? [] : lines.slice(-query.tailLines);
    return lines;
  }

  /** Calls `follower` with each later line, and with undefined at the end. Returns a function that stops it. */
  follow(follower: (line: LogLine | undefined) => void): () => void {
    if (this.#closed) {
      follower(undefined);
      return () => {};
    }
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** The last lines as one text of at most `maxBytes`: an exit message from FallbackToLogsOnError. */
  tail(maxLines: number, maxBytes: number): string {
    const text = this.read({ tailLines: maxLines })
      .map((line) => line.text)
      .join('\n');
    return text.slice(-maxBytes);
  }
}

/** A line as `kubectl logs` prints it, with its newline. */
export function formatLogLine(line: LogLine, timestamps: boolean): string {
  if (!timestamps) return `${line.text}\n`;
  // Kubernetes prints nanoseconds; the digits below the millisecond keep lines of one millisecond in order.
  const iso = new Date(line.timeMs).toISOString();
  const nanoseconds = String(line.sequence % 1_000_000).padStart(6, '0');
  return `${iso.slice(0, -1)}${nanoseconds}Z ${line.text}\n`;
}
