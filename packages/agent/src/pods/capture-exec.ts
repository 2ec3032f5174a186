/**
 * Running a command in a container for its exit code and its words: probes and hooks.
 */
import { Writable } from 'node:stream';
import type { RunningContainer } from '@podwire/workload/container';

/** Upstream reads no more than this of a probe's output. */
const MAX_OUTPUT_BYTES = 10 * 1024;

/** Runs `argv` with both outputs together; ends it after `timeoutMs`. */
export async function captureExec(
  process: RunningContainer,
  argv: string[],
  timeoutMs: number,
): Promise<{ exitCode: number; output: string; timedOut: boolean }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const collect = () =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        if (bytes < MAX_OUTPUT_BYTES) chunks.push(chunk.subarray(0, MAX_OUTPUT_BYTES - bytes));
        bytes += chunk.length;
        done();
      },
    });
  const signal = AbortSignal.timeout(timeoutMs);
  const late = new Promise<'late'>((resolve) => {
    signal.addEventListener('abort', () => resolve('late'), { once: true });
  });
  const ended = process.exec(argv, { stdout: collect(), stderr: collect(), signal });
  ended.catch(() => {});
  const result = await Promise.race([ended, late]);
  const output = Buffer.concat(chunks).toString('utf8');
  return result === 'late'
    ? { exitCode: -1, output, timedOut: true }
    : { exitCode: result, output, timedOut: false };
}
