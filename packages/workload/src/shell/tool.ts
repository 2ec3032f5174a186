import type { Readable } from 'node:stream';
import type { Sandbox } from '../types.ts';
import type { Files } from './files.ts';
import type { Processes } from './processes.ts';
import type { Output } from './streams.ts';

/** What a command of the built-in shell works with. */
export interface ToolContext {
  /** argv[0] is the name it was called by. */
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  stdin: Readable;
  stdout: Output;
  stderr: Output;
  /** Set when the command is to end: Ctrl-C, a closed pipe, `timeout`, the container's end. */
  signal: AbortSignal;
  files: Files;
  /** Current directory, absolute. */
  directory: string;
  sandbox: Sandbox;
  processes: Processes;
  /** Multiplies what `sleep` waits. */
  sleepScale: number;
  nowMs: () => number;
  random32: () => number;
  /** Runs another command with the same streams unless others are given; resolves to its exit code. */
  run(
    argv: readonly string[],
    other?: {
      stdin?: Readable;
      stdout?: Output;
      stderr?: Output;
      signal?: AbortSignal;
      /** Replaces the environment. */
      environment?: Readonly<Record<string, string>>;
    },
  ): Promise<number>;
}

/** A command: resolves to its exit code. Throws only for a bug of ours. */
export type Tool = (context: ToolContext) => Promise<number> | number;

/** Looks a command up by name; loading is lazy because most pods never run most tools. */
export type ToolTable = (name: string) => Promise<Tool | undefined>;
