import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

/** The machine in one line: a figure without it says nothing. */
export function describeMachine(): string {
  const memoryGiB = (totalmem() / 2 ** 30).toFixed(0);
  const model = cpus()[0]?.model.trim() ?? process.arch;
  const cores = availableParallelism();
  return `${model}, ${cores} ${cores === 1 ? 'core' : 'cores'}, ${memoryGiB} GiB, Linux ${release()}, Node ${process.version}`;
}

/** Runnable processes, averaged over the last minute: what else the machine was doing. */
export function loadAverage(): number {
  return loadavg()[0]!;
}

export interface ProcessUse {
  /** Resident bytes, pages shared with other processes counted whole. */
  rssBytes: number;
  /** Proportional bytes: a page that n processes share counts as 1/n. */
  pssBytes: number;
  /** User and system time since the process began. */
  cpuSeconds: number;
}

/** What a process uses, from `smaps_rollup` and `stat` of proc(5). Throws when it is gone. */
export function processUse(pid: number): ProcessUse {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytes = (field: string): number => {
    const match = new RegExp(`^${field}: +(\\d+) kB`, 'm').exec(rollup);
    if (!match) throw new Error(`/proc/${pid}/smaps_rollup has no ${field}`);
    return Number(match[1]) * 1024;
  };
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // After the name in parentheses, which may hold spaces: fields 3 and on; 14 is utime, 15 stime, in 1/100 s.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    rssBytes: bytes('Rss'),
    pssBytes: bytes('Pss'),
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
  };
}

export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
}

export function commandLine(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
}
