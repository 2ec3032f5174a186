import { flushCompileCache } from 'node:module';

/** By then what a process does after its start, such as joining and starting the first pods, has been compiled too. */
const SETTLED_MS = 3_000;

/**
 * To be called once a process has started: keeps its compiled code for the next one. Node does so only when a process exits, which
 * one that is killed does not; and what it has kept once it does not complete later, so this must not come early.
 */
export function keepCompiledCode(): void {
  setTimeout(flushCompileCache, SETTLED_MS).unref();
}
