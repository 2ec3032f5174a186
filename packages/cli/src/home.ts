import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Lab } from './lab-file.ts';

/** Where labs keep their state: `$PODWIRE_HOME`, by default `~/.podwire`. */
export function podwireHome(): string {
  return process.env.PODWIRE_HOME ?? join(homedir(), '.podwire');
}

/** The paths of one lab's state. The controller and the agents write below `dir`; nothing lives elsewhere. */
export interface LabPaths {
  readonly dir: string;
  readonly lab: string;
  readonly kubeconfig: string;
  readonly join: string;
  readonly processes: string;
  readonly logs: string;
  readonly nodes: string;
}

export function labPaths(name: string, home = podwireHome()): LabPaths {
  const dir = join(home, 'labs', name);
  return {
    dir,
    lab: join(dir, 'lab.json'),
    kubeconfig: join(dir, 'kubeconfig'),
    join: join(dir, 'join.json'),
    processes: join(dir, 'processes.json'),
    logs: join(dir, 'logs'),
    nodes: join(dir, 'nodes'),
  };
}

/** Names of the labs that have state under this home, whether they run or not. */
export function knownLabs(home = podwireHome()): string[] {
  const dir = join(home, 'labs');
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(dir, entry.name, 'lab.json')))
    .map((entry) => entry.name)
    .sort();
}

export function readLab(paths: LabPaths): Lab {
  return JSON.parse(readFileSync(paths.lab, 'utf8')) as Lab;
}
