/**
 * How long a person waits for a lab, and what its processes cost: `npm run bench:boot`.
 *
 * The time is the wall time of the whole command `podwire up`, from its start to its end, which is when every
 * node is Ready and the cluster's DNS has answered a real query. Memory is read right after.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { type Bar, barsSvg, shortNumber } from './bars.ts';
import {
  childrenOf,
  commandLine,
  describeMachine,
  loadAverage,
  type ProcessUse,
  processUse,
} from './machine.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const docs = join(root, 'docs');
const UP_TIMEOUT_SECONDS = 180;
const USAGE = `usage: npm run bench:boot -- [--json] [--nodes 1,3,10,30] [--runs 3] [--mode MODE]
                             [--loopback 127.0.79.0/24] [--write-docs]
`;

const ROLES = ['controller', 'agent', 'coredns'] as const;
type Role = (typeof ROLES)[number];

interface Run {
  /** Wall time of `podwire up`. */
  upSeconds: number;
  /** Processor time that all processes of the lab had used by then. */
  cpuSeconds: number;
  loadBefore: number;
  uses: Record<Role, ProcessUse[]>;
}

interface Case {
  name: string;
  nodes: number;
  runs: Run[];
}

interface Settings {
  nodes: number;
  mode: string;
  loopback: string;
  /** Start as after an installation: without the code that earlier starts compiled. */
  cold?: boolean;
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    nodes: { type: 'string', default: '1,3,10,30' },
    runs: { type: 'string', default: '3' },
    mode: { type: 'string', default: 'iptables' },
    loopback: { type: 'string', default: '127.0.79.0/24' },
    'write-docs': { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const counts = values.nodes.split(',').map((text) => wholeNumber('--nodes', text));
const runs = wholeNumber('--runs', values.runs);
const settings = { mode: values.mode, loopback: values.loopback };

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());

try {
  say('one start that does not count …');
  await boot({ ...settings, nodes: Math.min(...counts) });
  const cases: Case[] = [];
  for (const nodes of counts) cases.push(await measure(plural(nodes), { ...settings, nodes }));
  cases.push(await measure('3 nodes, nothing compiled', { ...settings, nodes: 3, cold: true }));
  if (values.json) for (const line of jsonLines(cases)) process.stdout.write(`${JSON.stringify(line)}\n`);
  else process.stdout.write(report(cases));
  if (values['write-docs']) writeDocs(cases);
} catch (error) {
  const stopped = interrupted.signal.aborted;
  say(stopped ? 'interrupted; the lab under measurement is stopped and removed' : (error as Error).message);
  process.exitCode = stopped ? 130 : 1;
}

async function measure(name: string, what: Settings): Promise<Case> {
  const done: Run[] = [];
  for (let i = 0; i < runs; i++) {
    const run = await boot(what);
    say(`${name}, run ${i + 1} of ${runs}: ${run.upSeconds.toFixed(2)} s`);
    done.push(run);
  }
  return { name, nodes: what.nodes, runs: done };
}

/** One lab under a home of its own, up and down again; whatever happens it is gone afterwards. */
async function boot(what: Settings): Promise<Run> {
  const home = mkdtempSync(join(tmpdir(), 'podwire-bench-'));
  const file = join(home, 'lab.yaml');
  const { nodes, mode, loopback } = what;
  writeFileSync(file, JSON.stringify({ name: 'bench', nodes, mode, loopback }));
  const env = { PODWIRE_HOME: home, ...(what.cold && { NODE_COMPILE_CACHE: join(home, 'compiled') }) };
  const podwire = join(root, 'podwire');
  try {
    const loadBefore = loadAverage();
    const started = performance.now();
    const up = await execa(podwire, ['up', '-f', file, '--timeout', String(UP_TIMEOUT_SECONDS)], {
      env,
      reject: false,
      cancelSignal: interrupted.signal,
      forceKillAfterDelay: 15_000,
      timeout: (UP_TIMEOUT_SECONDS + 30) * 1000,
    });
    const upSeconds = (performance.now() - started) / 1000;
    if (up.exitCode !== 0)
      throw new Error(
        `Cannot measure ${plural(nodes)}: ${up.stderr.trim().split('\n').at(-1) || up.shortMessage}`,
      );
    const uses = labUses(join(home, 'labs', 'bench', 'processes.json'));
    const cpuSeconds = ROLES.flatMap((role) => uses[role]).reduce((sum, use) => sum + use.cpuSeconds, 0);
    return { upSeconds, cpuSeconds, loadBefore, uses };
  } finally {
    // A process group of its own: Ctrl-C in a terminal reaches the whole group, and must not stop the clean-up.
    const down = await execa(podwire, ['down', '--all'], {
      env,
      reject: false,
      detached: true,
      timeout: 60_000,
    });
    if (down.exitCode !== 0) process.stderr.write(`podwire down: ${down.stderr}\n`);
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

function labUses(processesFile: string): Record<Role, ProcessUse[]> {
  const uses: Record<Role, ProcessUse[]> = { controller: [], agent: [], coredns: [] };
  for (const { name, pid } of JSON.parse(readFileSync(processesFile, 'utf8')) as {
    name: string;
    pid: number;
  }[]) {
    uses[name === 'controller' ? 'controller' : 'agent'].push(processUse(pid));
    for (const child of childrenOf(pid)) {
      if (commandLine(child).some((word) => word.includes('/coredns/'))) uses.coredns.push(processUse(child));
    }
  }
  return uses;
}

function report(cases: Case[]): string {
  const time = table(
    ['lab', 'runs', 'median', 'min', 'max', 'CPU time', 'load before'],
    cases.map(({ name, runs }) => {
      const seconds = runs.map((run) => run.upSeconds);
      return [
        name,
        String(runs.length),
        `${shortNumber(median(seconds))} s`,
        `${shortNumber(Math.min(...seconds))} s`,
        `${shortNumber(Math.max(...seconds))} s`,
        `${shortNumber(median(runs.map((run) => run.cpuSeconds)))} s`,
        shortNumber(median(runs.map((run) => run.loadBefore))),
      ];
    }),
  );
  const memory = table(
    ['lab', 'process', 'count', 'RSS median', 'RSS max', 'PSS median', 'PSS max'],
    memoryRows(cases).map((row) => [
      row.name,
      row.role,
      String(row.count),
      ...[row.rss, row.rssMax, row.pss, row.pssMax].map((value) => `${value.toFixed(1)} MB`),
    ]),
  );
  return [
    `machine: ${describeMachine()}`,
    '',
    'podwire up, until every node is Ready and DNS answers (wall time of the command):',
    ...time,
    '',
    'memory of one process right after (RSS counts shared pages whole, PSS in proportion):',
    ...memory,
    '',
  ].join('\n');
}

function memoryRows(cases: Case[]) {
  return cases.flatMap(({ name, nodes, runs }) =>
    ROLES.map((role) => {
      const uses = runs.flatMap((run) => run.uses[role]);
      const megabytes = (bytes: (use: ProcessUse) => number): number[] => uses.map((use) => bytes(use) / 1e6);
      const rss = megabytes((use) => use.rssBytes);
      const pss = megabytes((use) => use.pssBytes);
      return {
        name,
        nodes,
        role,
        count: uses.length / runs.length,
        rss: median(rss),
        rssMax: Math.max(...rss),
        pss: median(pss),
        pssMax: Math.max(...pss),
      };
    }),
  );
}

function jsonLines(cases: Case[]): object[] {
  const line = (name: string, value: number, unit: string) => ({
    bench: 'boot',
    case: name,
    impl: values.mode,
    value: Math.round(value * 1000) / 1000,
    unit,
  });
  const times = cases.flatMap(({ name, runs }) => [
    ...runs.map((run) => line(`${name}: up`, run.upSeconds, 's')),
    line(`${name}: up, median`, median(runs.map((run) => run.upSeconds)), 's'),
    line(`${name}: CPU time, median`, median(runs.map((run) => run.cpuSeconds)), 's'),
  ]);
  const memory = memoryRows(cases).flatMap(({ name, role, rss, pss }) => [
    line(`${name}: ${role} RSS, median`, rss, 'MB'),
    line(`${name}: ${role} PSS, median`, pss, 'MB'),
  ]);
  return [...times, ...memory];
}

/** Puts the figures between the marks of docs/performance.md, and the same as pictures beside it. */
function writeDocs(cases: Case[]): void {
  const begin = '<!-- boot: begin; written by "npm run bench:boot -- --write-docs" -->';
  const end = '<!-- boot: end -->';
  const path = join(docs, 'performance.md');
  const text = readFileSync(path, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot write ${path}: it has no lines "${begin}" and "${end}"`);
  const body = ['```', report(cases).trimEnd(), '```'].join('\n');
  writeFileSync(path, `${text.slice(0, from + begin.length)}\n${body}\n${text.slice(to)}`);

  const title = `podwire up to all nodes Ready and DNS answering (${availableParallelism()} cores)`;
  const times = cases.map(({ name, runs }): Bar => {
    const seconds = runs.map((run) => run.upSeconds);
    return { label: name, value: median(seconds), range: [Math.min(...seconds), Math.max(...seconds)] };
  });
  writeFileSync(join(docs, 'boot-time.svg'), barsSvg(title, 's', times));
  const memory = memoryRows(cases)
    .filter(({ name, nodes }) => name === plural(nodes))
    .flatMap(({ nodes, role, rss, pss }): Bar[] => [
      { label: `${role}, ${plural(nodes)}`, value: rss, series: 'RSS' },
      { label: '', value: pss, series: 'PSS' },
    ]);
  writeFileSync(join(docs, 'boot-memory.svg'), barsSvg('Memory of one process after boot', 'MB', memory));
}

function table(head: string[], rows: string[][]): string[] {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  // Words to the left, figures to the right.
  const isText = head.map((_, i) => rows.every((row) => !/^\d/.test(row[i]!)) || i === 0);
  return [head, ...rows].map((row) =>
    row
      .map((cell, i) => (isText[i] ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function plural(nodes: number): string {
  return `${nodes} ${nodes === 1 ? 'node' : 'nodes'}`;
}

function wholeNumber(option: string, text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  process.stderr.write(`Cannot use ${option} "${text}": it must be a whole number from 1\n${USAGE}`);
  process.exit(2);
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}
