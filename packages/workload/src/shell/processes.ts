/**
 * What runs in one container, as `ps`, `kill`, `$!` and `wait` see it: the main program is 1, each exec and each
 * background job has a number of its own. The commands of a foreground shell have none.
 */
export interface Process {
  readonly pid: number;
  readonly argv: readonly string[];
  readonly startedMs: number;
  /** Sends the signal by its name without SIG. */
  signal(name: string): void;
}

/** Why an abort came, as the reason of an AbortSignal. */
export class SignalReason {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export class Processes {
  readonly #running = new Map<number, Process>();
  #next = 1;

  /** Lists a process until its promise settles. */
  add<T>(
    argv: readonly string[],
    startedMs: number,
    signal: (name: string) => void,
    run: (pid: number) => Promise<T>,
  ): { pid: number; ended: Promise<T> } {
    const pid = this.#next;
    this.#next = pid === 1 ? 7 : pid + 1;
    this.#running.set(pid, { pid, argv, startedMs, signal });
    const ended = run(pid).finally(() => this.#running.delete(pid));
    return { pid, ended };
  }

  get(pid: number): Process | undefined {
    return this.#running.get(pid);
  }

  list(): Process[] {
    return [...this.#running.values()];
  }
}

export const SIGNALS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  KILL: 9,
  USR1: 10,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
};

/** `TERM`, `SIGTERM`, `sigterm` or `15` is TERM; undefined for what is no signal. */
export function signalName(text: string): string | undefined {
  const name = text.toUpperCase().replace(/^SIG/, '');
  if (Object.hasOwn(SIGNALS, name)) return name;
  return Object.entries(SIGNALS).find(([, number]) => String(number) === text)?.[0];
}

/** The exit code of a process that a signal ended. */
export function exitCodeOf(signal: AbortSignal): number {
  const reason: unknown = signal.reason;
  return 128 + (reason instanceof SignalReason ? SIGNALS[reason.name]! : SIGNALS.INT!);
}
