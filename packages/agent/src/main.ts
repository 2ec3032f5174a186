import '@podwire/boot/fast-imports';
import { randomFillSync } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { keepCompiledCode } from '@podwire/boot/compile-cache';
import type { JoinFile } from './join.ts';

// Imported at run time, that is after fast-imports has taken effect.
const [{ startAgent }, { readJoinFile }, { createLog, LOG_LEVELS }, { systemTimer }] = await Promise.all([
  import('./agent.ts'),
  import('./join.ts'),
  import('./log.ts'),
  import('./timer.ts'),
]);

const USAGE = `usage: main.ts --name NODE [--address ADDRESS] --join FILE --state-dir DIR [--heartbeat-ms N] [--log-level ${LOG_LEVELS.join('|')}]

  --name NODE        name of the Node object
  --address ADDRESS  address of the node: tunnel (UDP 8472), HTTPS (10250) and node ports
                     (default: the first IPv4 address that is not loopback)
  --join FILE        join.json of the controller; waited for when it is not there yet
  --state-dir DIR    where the node keeps what must survive it
  --heartbeat-ms N   time between two signs of life (default 500)
  --log-level LEVEL  what goes to stderr (default info)
`;

/** Time an agent gets to stop its pods and end its links. */
const SHUTDOWN_MS = 3_000;

/**
 * From then on V8 takes half of the memory for a few percent of speed: a lab runs many agents on one machine. Compiled code
 * that is cached must be made without that flag (or the next start refuses it), so it comes after the cache was written and
 * goes before the exit, which writes it again.
 */
const SPARE_MEMORY_AFTER_MS = 3_000;

const JOIN_FILE_WAIT_MS = 60_000;
const JOIN_FILE_POLL_MS = 5;

await run(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});

/** The agent as an OS process: arguments, clock, chance, log, signals, exit code. */
async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      name: { type: 'string' },
      address: { type: 'string' },
      join: { type: 'string' },
      'state-dir': { type: 'string' },
      'heartbeat-ms': { type: 'string', default: '500' },
      'log-level': { type: 'string', default: 'info' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const { name, join: joinPath, 'state-dir': stateDir } = values;
  const address = values.address ?? firstOutsideAddress();
  const level = LOG_LEVELS.find((each) => each === values['log-level']);
  const heartbeatMs = Number(values['heartbeat-ms']);
  if (!name || !joinPath || !stateDir || level === undefined || !(heartbeatMs >= 10)) {
    throw new Error(`Cannot start the agent: --name, --join and --state-dir are needed\n${USAGE.trimEnd()}`);
  }
  if (address === undefined) {
    throw new Error(
      'Cannot start the agent: this machine has no IPv4 address but loopback; give one with --address',
    );
  }
  const log = createLog(level, name);
  const join = joinFileWritten(joinPath, () =>
    log.info({ path: joinPath }, 'waiting for the controller to write the join file'),
  ).then((): JoinFile => readJoinFile(joinPath));
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const agent = await startAgent({
    name,
    address,
    join,
    stateDir,
    heartbeatMs,
    nowMs: () => performance.timeOrigin + performance.now(),
    nowNs: process.hrtime.bigint,
    random32: makeRandom32(),
    setTimer: systemTimer,
    log,
  });
  const timer = setTimeout(() => setFlagsFromString('--optimize-for-size'), SPARE_MEMORY_AFTER_MS);
  process.stdout.write(`${JSON.stringify({ ready: true, node: name })}\n`);
  log.info({ startMs: Math.round(performance.now()) }, 'started');
  keepCompiledCode();

  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    clearTimeout(timer);
    setFlagsFromString('--no-optimize-for-size');
    log.info({ signal }, 'shutting down');
    setTimeout(() => process.exit(1), SHUTDOWN_MS).unref();
    agent.stop().then(
      () => process.exit(0),
      (err: Error) => {
        log.error({ err }, 'shutdown failed');
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop(signal));
}

function firstOutsideAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

/** Controller and agents of a lab start at once; whoever comes first waits. After the limit reading it says what is wrong. */
async function joinFileWritten(path: string, onWait: () => void): Promise<void> {
  const deadline = performance.now() + JOIN_FILE_WAIT_MS;
  if (!existsSync(path)) onWait();
  while (!existsSync(path) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, JOIN_FILE_POLL_MS));
  }
}

/** Uniform 32-bit numbers from the operating system, drawn in blocks. */
function makeRandom32(): () => number {
  const block = new Uint32Array(256);
  let next = block.length;
  return () => {
    if (next === block.length) {
      randomFillSync(block);
      next = 0;
    }
    return block[next++]!;
  };
}
