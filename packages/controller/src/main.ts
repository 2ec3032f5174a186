import '@podwire/boot/fast-imports';
import { randomBytes, randomFillSync } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { parseArgs } from 'node:util';
import { keepCompiledCode } from '@podwire/boot/compile-cache';
import type { Lab } from './lab.ts';
import type { Clock } from './loops/clock.ts';

// Imported at run time, that is after fast-imports has taken effect.
const { startController } = await import('./controller.ts');
const { labNodesIn, readLab } = await import('./lab.ts');
const { createLog, LOG_LEVELS } = await import('./log.ts');

const USAGE = `usage: main.ts --lab FILE --state-dir DIR [--join-file FILE] [--log-level ${LOG_LEVELS.join('|')}]

  --lab FILE         lab.json, as "podwire up" writes it
  --state-dir DIR    where store.db, pki/, kubeconfig and join.json live
  --join-file FILE   where agents find the join credential (default DIR/join.json)
  --log-level LEVEL  what goes to stderr (default info)
`;

/** Time a controller gets to end its links and its last writes. */
const SHUTDOWN_MS = 2_000;

await run(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});

/** The controller as an OS process: arguments, clock, chance, log, signals, exit code. */
async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      lab: { type: 'string' },
      'state-dir': { type: 'string' },
      'join-file': { type: 'string' },
      'log-level': { type: 'string', default: 'info' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const stateDir = values['state-dir'];
  const level = LOG_LEVELS.find((each) => each === values['log-level']);
  if (values.lab === undefined || stateDir === undefined || level === undefined) {
    throw new Error(`Cannot start the controller: --lab and --state-dir are needed\n${USAGE.trimEnd()}`);
  }
  const lab = readLab(values.lab);
  // Keys, credentials and Secrets are in what is written from here on.
  process.umask(0o077);
  mkdirSync(stateDir, { recursive: true });
  const log = createLog(level);
  const controller = await startController({
    lab,
    labNodes: labNodesIn(values.lab, lab),
    stateDir,
    joinFile: values['join-file'],
    ...addressesOf(lab),
    clock: systemClock(),
    randomBytes,
    log,
  });
  process.stdout.write(`${JSON.stringify({ ready: true, url: controller.url })}\n`);
  log.info({ url: controller.url, startMs: Math.round(performance.now()) }, 'the API server serves');
  keepCompiledCode();

  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'shutting down');
    setTimeout(() => process.exit(1), SHUTDOWN_MS).unref();
    controller.stop().then(
      () => process.exit(0),
      (error: Error) => {
        log.error({ error: error.message }, 'shutdown failed');
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop(signal));
}

/** Where to listen, and which IP address stands for the API server inside the cluster. */
function addressesOf(lab: Lab): { listenAddress: string; advertiseAddress: string; hostName: string } {
  const { address, listen } = lab.controller;
  const isIp = /^[\d.]+$|:/.test(address);
  const isWildcard = address === '0.0.0.0' || address === '::';
  return {
    listenAddress: listen ?? (isIp ? address : '0.0.0.0'),
    advertiseAddress: isIp && !isWildcard ? address : outwardAddress(),
    hostName: isWildcard ? hostname() : address,
  };
}

function outwardAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) {
      if (family === 'IPv4' && !internal) return address;
    }
  }
  return '127.0.0.1';
}

function systemClock(): Clock {
  let lastMs = 0;
  const pool = new Uint32Array(256);
  let used = pool.length;
  return {
    nowMs: () => (lastMs = Math.max(lastMs, Date.now())),
    setTimer: (fn, delayMs) => setTimeout(fn, delayMs),
    random32() {
      if (used === pool.length) {
        randomFillSync(pool);
        used = 0;
      }
      return pool[used++]!;
    },
  };
}
