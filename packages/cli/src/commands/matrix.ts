import { readFileSync } from 'node:fs';
import { ApiClient } from '../api-client.ts';
import { Complaint } from '../complaint.ts';
import { labPaths } from '../home.ts';
import type { List, PodObject, ServiceObject, ServicePort } from '../kube-types.ts';
import { callsOf, workloadName } from '../matrix/calls.ts';
import { type OutputFormat, paint, printJson, say } from '../output.ts';
import { startProgress } from '../progress.ts';
import { formatTable } from '../table.ts';
import type { ProbeResult } from '../trace/observation.ts';

export interface MatrixOptions {
  name: string;
  namespace: string;
  allNamespaces?: boolean;
  calls?: boolean;
  timeout: number;
  output: OutputFormat;
  kubeconfig?: string;
}

interface Probe {
  pod: PodObject;
  to: string;
  host: string;
  port: number;
  protocol: 'http' | 'tcp' | 'udp';
  variable?: string;
}

interface Outcome {
  from: string;
  pod: string;
  to: string;
  variable?: string;
  ok: boolean;
  ms: number;
  error?: string;
  answeredBy?: string;
}

const CONCURRENCY = 16;

export async function matrix(options: MatrixOptions): Promise<void> {
  const api = options.kubeconfig
    ? new ApiClient(readFileSync(options.kubeconfig, 'utf8'))
    : ApiClient.ofLab(labPaths(options.name));
  try {
    const scope = options.allNamespaces ? '' : `/namespaces/${encodeURIComponent(options.namespace)}`;
    const pods = (await api.get<List<PodObject>>(`/api/v1${scope}/pods`)).items
      .filter(
        (pod) => pod.status.phase === 'Running' && !pod.metadata.deletionTimestamp && !pod.spec.hostNetwork,
      )
      .sort((a, b) => (podId(a) < podId(b) ? -1 : 1));
    const services = (await api.get<List<ServiceObject>>(`/api/v1${scope}/services`)).items;
    const probes = options.calls ? callProbes(pods) : serviceProbes(pods, services);
    if (probes.length === 0) {
      throw new Complaint(
        `There is nothing to try in ${options.allNamespaces ? 'this lab' : `namespace "${options.namespace}"`}: ${pods.length} running pods, ${services.length} Services`,
      );
    }
    const outcomes = await runProbes(api, probes, options);
    if (options.output === 'json') printJson(outcomes);
    else if (options.calls) printCalls(outcomes);
    else printGrid(outcomes);
    const failed = outcomes.filter((outcome) => !outcome.ok).length;
    if (options.output !== 'json')
      say(`${outcomes.length - failed} of ${outcomes.length} connections carried a request`);
    if (failed > 0) process.exitCode = 1;
  } finally {
    api.close();
  }
}

function callProbes(pods: PodObject[]): Probe[] {
  return pods.flatMap((pod) =>
    callsOf(pod).map((call) => ({
      pod,
      to: `${call.host}:${call.port}`,
      host: call.host,
      port: call.port,
      protocol: 'http' as const,
      variable: call.variable,
    })),
  );
}

function serviceProbes(pods: PodObject[], services: ServiceObject[]): Probe[] {
  const targets = services.flatMap((service) =>
    (service.spec.ports ?? [])
      .filter((port) => port.protocol !== 'SCTP' && service.spec.type !== 'ExternalName')
      .map((port) => {
        const host = `${service.metadata.name}.${service.metadata.namespace}`;
        const protocol = protocolOf(port);
        return {
          to: `${service.metadata.name}:${port.port}${protocol === 'udp' ? '/udp' : ''}`,
          host,
          port: port.port,
          protocol,
        };
      }),
  );
  return pods.flatMap((pod) => targets.map((target) => ({ pod, ...target })));
}

/** An HTTP request carries more proof than a connection, but a port that speaks TLS would only refuse it. */
function protocolOf(port: ServicePort): Probe['protocol'] {
  if (port.protocol === 'UDP') return 'udp';
  return port.port === 443 || /^https/.test(port.name ?? '') || /^(https|tls)$/.test(port.appProtocol ?? '')
    ? 'tcp'
    : 'http';
}

async function runProbes(api: ApiClient, probes: Probe[], options: MatrixOptions): Promise<Outcome[]> {
  const progress = startProgress(options.output === 'json' || !process.stderr.isTTY);
  const outcomes: Outcome[] = new Array(probes.length);
  let next = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (next < probes.length) {
      const index = next++;
      outcomes[index] = await runProbe(api, probes[index]!, options.timeout * 1000);
      progress.stage(`${++done} of ${probes.length} connections tried`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, probes.length) }, worker));
  progress.stop();
  return outcomes;
}

async function runProbe(api: ApiClient, probe: Probe, timeoutMs: number): Promise<Outcome> {
  const from = workloadName(probe.pod);
  const base = {
    from,
    pod: podId(probe.pod),
    to: probe.to,
    ...(probe.variable && { variable: probe.variable }),
  };
  try {
    const result = await api.node<ProbeResult>(
      probe.pod.spec.nodeName!,
      'POST',
      '/podwire/probe',
      {
        namespace: probe.pod.metadata.namespace,
        pod: probe.pod.metadata.name,
        host: probe.host,
        port: probe.port,
        protocol: probe.protocol,
        path: '/',
        timeoutMs,
      },
      timeoutMs + 10_000,
    );
    return {
      ...base,
      ok: result.ok,
      ms: result.ms,
      ...(result.error && { error: result.error }),
      ...answeredBy(result),
    };
  } catch (error) {
    return { ...base, ok: false, ms: 0, error: (error as Error).message };
  }
}

/** Stand-ins say who they are in a header-like first line; anything else is left out. */
function answeredBy(result: ProbeResult): { answeredBy?: string } {
  const match = /^(?:pod|hostname|"?pod"?): ?"?([-a-z0-9.]+)/im.exec(result.body ?? '');
  return match ? { answeredBy: match[1]! } : {};
}

function mark(outcome: Outcome): string {
  if (outcome.ok) return paint('green', 'ok');
  const error = outcome.error ?? '';
  if (/REFUSED/i.test(error)) return paint('red', 'refused');
  if (/TIMEDOUT|timeout|timed out/i.test(error)) return paint('red', 'timeout');
  if (/NOTFOUND|EAI_AGAIN|DNS/i.test(error)) return paint('red', 'no name');
  return paint('red', 'failed');
}

function printCalls(outcomes: Outcome[]): void {
  say(
    formatTable(
      ['FROM', 'VARIABLE', 'TO', 'RESULT', 'MS', 'ANSWERED BY'],
      outcomes.map((o) => [
        o.from,
        o.variable ?? '',
        o.to,
        mark(o),
        o.ms.toFixed(1),
        o.answeredBy ?? o.error ?? '',
      ]),
    ),
  );
}

/** Pods down, Service ports across; ports carry letters so that a big namespace still fits the screen. */
function printGrid(outcomes: Outcome[]): void {
  const columns = [...new Set(outcomes.map((o) => o.to))];
  const rows = [...new Set(outcomes.map((o) => o.pod))];
  const label = (index: number): string =>
    index < 26
      ? String.fromCharCode(65 + index)
      : `${String.fromCharCode(64 + Math.floor(index / 26))}${String.fromCharCode(65 + (index % 26))}`;
  say(
    columns
      .map((to, index) => `${label(index)} ${to}`)
      .join('   ')
      .replace(/(.{1,96})(?: {3}|$)/g, '$1\n')
      .trimEnd(),
  );
  say('');
  const cells = new Map(outcomes.map((o) => [`${o.pod}|${o.to}`, o]));
  say(
    formatTable(
      ['FROM', ...columns.map((_, index) => label(index))],
      rows.map((pod) => [
        pod,
        ...columns.map((to) => {
          const outcome = cells.get(`${pod}|${to}`);
          if (!outcome) return ' ';
          return outcome.ok
            ? paint('green', '+')
            : paint(
                'red',
                mark(outcome)
                  .replace(/\x1b\[\d+m/g, '')[0]!
                  .toUpperCase(),
              );
        }),
      ]),
    ),
  );
  say('+ answered   R refused   T timeout   N no such name   F failed');
}

function podId(pod: PodObject): string {
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}
