import type { Files } from '../shell/files.ts';
import type { Sandbox } from '../types.ts';

/** What a command of agnhost runs with, be it the container's program or a command called by exec. */
export interface AgnhostContext {
  sandbox: Sandbox;
  env: Readonly<Record<string, string>>;
  files: Files;
  /** Text for standard output and standard error, with its newlines. */
  out(text: string): void;
  error(text: string): void;
  nowMs: () => number;
  /** SIGTERM, or the end of the caller. */
  terminate: AbortSignal;
  /** Nothing goes on after it. */
  kill: AbortSignal;
  /** Runs `sh -c` and collects what it writes to both outputs. */
  shell(command: string): Promise<{ output: string; exitCode: number }>;
}

/** A line of Go's log package. */
export function logLine(context: AgnhostContext, text: string): void {
  const now = new Date().toISOString();
  context.error(`${now.slice(0, 10).replaceAll('-', '/')} ${now.slice(11, 19)} ${text}\n`);
}

/** Ends on SIGTERM or with the value a server was told to exit with. */
export function untilEnded(context: AgnhostContext, exited: Promise<number>): Promise<number> {
  return new Promise((resolve) => {
    void exited.then(resolve);
    for (const signal of [context.terminate, context.kill]) {
      if (signal.aborted) resolve(0);
      signal.addEventListener('abort', () => resolve(0), { once: true });
    }
  });
}
