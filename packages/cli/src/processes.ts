import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LabPaths } from './home.ts';

/**
 * Compiled code is kept here. With it a process starts without the compiler and the type stripper ever being
 * loaded: half the time, and 25 MB less of memory each.
 */
const COMPILE_CACHE = fileURLToPath(new URL('../../../node_modules/.cache/podwire-compile', import.meta.url));

/** A young generation of 2 MB and not of 16: up to 10 MB less memory per process, and what packets leave behind is gone just as fast. */
const NODE_FLAGS = ['--max-semi-space-size=2'];

/** A process of a lab as `processes.json` remembers it. */
export interface ProcessRecord {
  /** `controller` or a node's name. */
  name: string;
  pid: number;
  /** Kernel start time in clock ticks: together with the pid it names one process even after the pid is used again. */
  startTicks: string;
  argv: string[];
}

export function readProcesses(paths: LabPaths): ProcessRecord[] {
  if (!existsSync(paths.processes)) return [];
  return JSON.parse(readFileSync(paths.processes, 'utf8')) as ProcessRecord[];
}

/** Written whole and renamed, so that a crash between two writes leaves the older list and not half of one. */
export function writeProcesses(paths: LabPaths, records: ProcessRecord[]): void {
  const next = `${paths.processes}.next`;
  writeFileSync(next, `${JSON.stringify(records, null, 2)}\n`);
  renameSync(next, paths.processes);
}

export function remember(paths: LabPaths, record: ProcessRecord): void {
  writeProcesses(paths, [...readProcesses(paths).filter((other) => other.name !== record.name), record]);
}

export function forget(paths: LabPaths, name: string): void {
  writeProcesses(
    paths,
    readProcesses(paths).filter((record) => record.name !== name),
  );
}

/** Starts a process of the lab that outlives this one; its output goes to `logs/NAME.log`. */
export function startProcess(
  paths: LabPaths,
  name: string,
  argv: string[],
  env: NodeJS.ProcessEnv = {},
): ProcessRecord {
  mkdirSync(paths.logs, { recursive: true });
  const log = openSync(join(paths.logs, `${name}.log`), 'a');
  const child = spawn(process.execPath, [...NODE_FLAGS, ...argv], {
    detached: true,
    stdio: ['ignore', log, log],
    env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, ...env },
  });
  closeSync(log);
  child.unref();
  if (child.pid === undefined) throw new Error(`the operating system did not start ${name}`);
  const record = { name, pid: child.pid, startTicks: startTicks(child.pid) ?? '', argv };
  remember(paths, record);
  return record;
}

/** Field 22 of /proc/PID/stat; undefined when there is no such process, or it is a zombie. */
function startTicks(pid: number): string | undefined {
  if (process.platform !== 'linux') return isAlive(pid) ? '' : undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** True only for the very process that was started, not for a later one with its pid. */
export function isRunning(record: ProcessRecord): boolean {
  return startTicks(record.pid) === record.startTicks;
}

export function signal(record: ProcessRecord, name: NodeJS.Signals): void {
  if (!isRunning(record)) return;
  try {
    process.kill(record.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** SIGTERM to all, then SIGKILL to whoever is left after the grace. */
export async function stopAll(records: ProcessRecord[], graceMs: number): Promise<void> {
  for (const record of records) signal(record, 'SIGTERM');
  if (await allGone(records, graceMs)) return;
  for (const record of records) signal(record, 'SIGKILL');
  await allGone(records, 2_000);
}

async function allGone(records: ProcessRecord[], withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (performance.now() < deadline) {
    if (!records.some(isRunning)) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return !records.some(isRunning);
}

/** Resident set size in bytes, from /proc; undefined where there is none. */
export function residentBytes(pid: number): number | undefined {
  try {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return match ? Number(match[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}

/** The last lines of a process's log, to tell why it did not come up. */
export function lastLogLines(paths: LabPaths, name: string, count: number): string[] {
  const path = join(paths.logs, `${name}.log`);
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-count);
}
