import { createSocket } from 'node:dgram';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Complaint } from './complaint.ts';
import { knownLabs, type LabPaths, labPaths, readLab } from './home.ts';
import { type Lab, type LabNode, moveLab } from './lab-file.ts';
import type { waitUntilReady } from './lab-readiness.ts';
import { isRunning, type ProcessRecord, readProcesses, startProcess, stopAll } from './processes.ts';
import type { Progress } from './progress.ts';

const packages = fileURLToPath(new URL('../..', import.meta.url));
const CONTROLLER_MAIN = join(packages, 'controller', 'src', 'main.ts');
const AGENT_MAIN = join(packages, 'agent', 'src', 'main.ts');

export const VXLAN_PORT = 8472;
export const KUBELET_PORT = 10250;
const STOP_GRACE_MS = 3_000;

export function controllerArgv(paths: LabPaths): string[] {
  return [CONTROLLER_MAIN, '--lab', paths.lab, '--state-dir', paths.dir];
}

export function agentArgv(paths: LabPaths, node: LabNode): string[] {
  return [
    AGENT_MAIN,
    ...['--name', node.name],
    ...['--address', node.address],
    ...['--join', paths.join],
    ...['--state-dir', join(paths.nodes, node.name)],
  ];
}

/** The lab's own processes that run now. */
export function runningProcesses(paths: LabPaths): ProcessRecord[] {
  return readProcesses(paths).filter(isRunning);
}

/** Loopback blocks tried for a lab that names none. */
const BLOCKS = 64;

/**
 * The lab on the first loopback block that no other lab of this home uses and whose ports are free. A lab that
 * names its block, or goes on with state it has, stays where it is.
 */
export async function placeLab(lab: Lab): Promise<Lab> {
  if (!lab.anyLoopback) return lab;
  const used = new Set<string>();
  for (const name of knownLabs()) if (name !== lab.name) used.add(readLab(labPaths(name)).loopback);
  for (let third = 0; third < BLOCKS; third++) {
    const placed = moveLab(lab, `127.0.${third}.0/24`);
    if (!used.has(placed.loopback) && (await takenPort(placed)) === undefined) return placed;
  }
  throw new Complaint(
    `Cannot place lab "${lab.name}": the blocks 127.0.0.0/24 to 127.0.${BLOCKS - 1}.0/24 are all in use; stop a lab with "podwire down", or set "loopback" in a lab file`,
  );
}

/** A Complaint that names the first address and port of the lab that something else already holds. */
async function takenPort(lab: Lab): Promise<Complaint | undefined> {
  const checks = [
    checkTcp(lab.controller.address, lab.controller.port, 'the API server'),
    ...lab.nodes.flatMap((node) => [
      checkTcp(node.address, KUBELET_PORT, node.name),
      checkUdp(node.address, VXLAN_PORT, node.name),
    ]),
  ];
  return (await Promise.all(checks)).find((result) => result !== undefined);
}

function portTaken(
  protocol: string,
  address: string,
  port: number,
  owner: string,
  error: NodeJS.ErrnoException,
): Complaint {
  const why = error.code === 'EADDRINUSE' ? 'it is in use by another process' : error.message;
  const advice =
    error.code === 'EADDRINUSE'
      ? 'stop that process, or set "loopback: 127.0.1.0/24" in the lab file'
      : 'choose addresses of this machine in the lab file';
  return new Complaint(`Cannot give ${owner} ${protocol} ${address}:${port}: ${why}; ${advice}`);
}

function checkTcp(address: string, port: number, owner: string): Promise<Complaint | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', (error) => resolve(portTaken('TCP', address, port, owner, error)));
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

function checkUdp(address: string, port: number, owner: string): Promise<Complaint | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.on('error', (error) => resolve(portTaken('UDP', address, port, owner, error)));
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}

/**
 * Starts controller and agents and returns once every node is Ready and the cluster's DNS answers.
 * On any failure, and on an abort, it stops what it started.
 */
export async function bringUp(
  paths: LabPaths,
  lab: Lab,
  progress: Progress,
  abort: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  const taken = await takenPort(lab);
  if (taken) throw taken;
  const fresh = !existsSync(paths.lab);
  mkdirSync(paths.dir, { recursive: true, mode: 0o700 });
  writeFileSync(paths.lab, `${JSON.stringify(lab, null, 2)}\n`, { mode: 0o600 });
  try {
    progress.stage(`Starting the controller and ${plural(lab.nodes.length, 'node')}`);
    startProcess(paths, 'controller', controllerArgv(paths));
    for (const node of lab.nodes) startProcess(paths, node.name, agentArgv(paths, node));
    await waitUntilUp(paths, lab, progress, abort, timeoutMs);
  } catch (error) {
    progress.stop();
    await stopAll(readProcesses(paths), STOP_GRACE_MS);
    const keepLogs = !(abort.aborted || !fresh);
    if (fresh && !keepLogs) rmSync(paths.dir, { recursive: true, force: true });
    throw error;
  }
}

/** Names of the lab's processes that should run and do not. */
export function missingProcesses(paths: LabPaths, lab: Lab): string[] {
  const running = new Set(runningProcesses(paths).map((record) => record.name));
  return ['controller', ...lab.nodes.map((node) => node.name)].filter((name) => !running.has(name));
}

/** Starts what is missing of a lab that partly runs, and waits until all of it is up. What runs is left alone. */
export async function bringBack(
  paths: LabPaths,
  lab: Lab,
  missing: readonly string[],
  progress: Progress,
  timeoutMs: number,
): Promise<void> {
  progress.stage(`Starting ${missing.join(', ')} again`);
  for (const name of missing) {
    const node = lab.nodes.find((candidate) => candidate.name === name);
    startProcess(paths, name, node ? agentArgv(paths, node) : controllerArgv(paths));
  }
  await waitUntilUp(paths, lab, progress, new AbortController().signal, timeoutMs);
}

async function waitUntilUp(...args: Parameters<typeof waitUntilReady>): Promise<void> {
  // What it needs is loaded while the processes start, not before they do.
  const { waitUntilReady } = await import('./lab-readiness.ts');
  await waitUntilReady(...args);
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Stops the lab's processes and, unless told to keep it, removes its state. */
export async function takeDown(paths: LabPaths, keepState: boolean): Promise<number> {
  const records = readProcesses(paths);
  const running = records.filter(isRunning).length;
  // Agents first: a controller that outlives them would only mark nodes NotReady on the way down.
  await stopAll(
    records.filter((record) => record.name !== 'controller'),
    STOP_GRACE_MS,
  );
  await stopAll(records, STOP_GRACE_MS);
  if (keepState) rmSync(paths.processes, { force: true });
  else rmSync(paths.dir, { recursive: true, force: true });
  return running;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export function readText(path: string): string {
  return readFileSync(path, 'utf8');
}
