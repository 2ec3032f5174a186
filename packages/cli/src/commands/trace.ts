import { readFileSync } from 'node:fs';
import { ApiClient } from '../api-client.ts';
import { labPaths } from '../home.ts';
import { type OutputFormat, printJson, say } from '../output.ts';
import type { PacketPath } from '../trace/join.ts';
import { hopsOf, renderPath } from '../trace/render.ts';
import { findSource, runTrace } from '../trace/run.ts';
import { parseTarget } from '../trace/target.ts';

export interface TraceOptions {
  name: string;
  udp?: boolean;
  allPackets?: boolean;
  timeout: number;
  output: OutputFormat;
  kubeconfig?: string;
}

export async function trace(from: string, to: string, options: TraceOptions): Promise<void> {
  const target = parseTarget(to, options.udp ?? false);
  const api = options.kubeconfig
    ? new ApiClient(readFileSync(options.kubeconfig, 'utf8'))
    : ApiClient.ofLab(labPaths(options.name));
  try {
    const source = await findSource(api, from);
    const result = await runTrace(api, source, target, options.timeout * 1000);
    if (!result.probe.ok) process.exitCode = 1;
    if (options.output === 'json') {
      const paths = (list: PacketPath[]) =>
        list.map((path) => ({
          direction: path.direction,
          hops: hopsOf(path),
          observations: path.observations,
        }));
      return printJson({ ...result, dns: paths(result.dns), flow: paths(result.flow) });
    }
    const { probe } = result;
    if (result.dns.length > 0) {
      say(
        `DNS: ${target.host} ${probe.resolved?.length ? `is ${probe.resolved.join(', ')}` : 'was not found'}`,
      );
      say('');
      printPaths(result.dns, options.allPackets ?? false);
    }
    if (result.flow.length > 0) printPaths(result.flow, options.allPackets ?? false);
    const outcome = probe.ok
      ? `${result.from} reached ${to} in ${probe.ms.toFixed(1)} ms${probe.status ? `: HTTP ${probe.status}` : ''}`
      : `${result.from} did not reach ${to}: ${probe.error}`;
    say(outcome);
  } finally {
    api.close();
  }
}

/** The first packet each way tells how the flow goes; the rest only repeat it from the conntrack table. */
function printPaths(paths: PacketPath[], all: boolean): void {
  const first = new Set<string>();
  let left = 0;
  for (const path of paths) {
    const verdict = path.observations.at(-1)!.verdict;
    const isNews = !first.has(path.direction) || verdict === 'drop';
    first.add(path.direction);
    if (!all && !isNews) {
      left++;
      continue;
    }
    say(`${path.direction === 'request' ? '->' : '<-'} ${renderPath(path)}`);
    say('');
  }
  if (left > 0) say(`   and ${left} more packets of the same flow (--all-packets shows them)\n`);
}
