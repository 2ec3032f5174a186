import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient } from './api-client.ts';
import { Complaint } from './complaint.ts';
import type { LabPaths } from './home.ts';
import { type EndpointSlice, isReady, type NodeObject } from './kube-types.ts';
import type { Lab } from './lab-file.ts';
import { isRunning, lastLogLines, readProcesses } from './processes.ts';
import type { Progress } from './progress.ts';

const FILES_POLL_MS = 5;
const GUARD_MS = 50;
/** A real query goes through four processes: no more of them than it takes not to be late. */
const DNS_POLL_MS = 10;

/** Returns once the API serves, every node is Ready and the cluster's DNS answers; else throws a Complaint that says what did not happen. */
export async function waitUntilReady(
  paths: LabPaths,
  lab: Lab,
  progress: Progress,
  interrupted: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  const guard = new Guard(paths, interrupted, timeoutMs);
  let api: ApiClient | undefined;
  try {
    progress.stage('Waiting for the API server');
    guard.late = `The API server did not answer within ${guard.seconds} s; see ${paths.logs}/controller.log`;
    while (!existsSync(paths.kubeconfig) || !existsSync(paths.join)) await guard.sleep(FILES_POLL_MS);

    api = ApiClient.ofLab(paths);
    await nodesReady(api, lab, progress, guard);

    progress.stage('Waiting for DNS to answer');
    guard.late = `Cluster DNS did not answer within ${guard.seconds} s; see "kubectl -n kube-system get pods" and ${paths.logs}`;
    // The first query finds no server yet. It makes the way warm while the servers start.
    void dnsAnswers(api, lab);
    await dnsHasEndpoint(api, guard);
    while (!(await dnsAnswers(api, lab))) await guard.sleep(DNS_POLL_MS);
  } finally {
    guard.stop();
    api?.close();
  }
}

async function nodesReady(api: ApiClient, lab: Lab, progress: Progress, guard: Guard): Promise<void> {
  const missing = new Set(lab.nodes.map((node) => node.name));
  const tell = (): void => {
    const ready = lab.nodes.length - missing.size;
    progress.stage(`Waiting for nodes: ${ready} of ${lab.nodes.length} Ready`);
    guard.late = `Only ${ready} of ${lab.nodes.length} nodes were Ready within ${guard.seconds} s; see ${guard.paths.logs}`;
  };
  const known = new Set(missing);
  tell();
  await guard.follow<NodeObject>(api, '/api/v1/nodes', (node, type) => {
    const { name } = node.metadata;
    if (!known.has(name)) return false;
    if (type !== 'DELETED' && isReady(node)) missing.delete(name);
    else missing.add(name);
    tell();
    return missing.size === 0;
  });
}

function dnsHasEndpoint(api: ApiClient, guard: Guard): Promise<void> {
  const query = 'labelSelector=kubernetes.io%2Fservice-name%3Dkube-dns';
  const path = `/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices?${query}`;
  return guard.follow<EndpointSlice>(
    api,
    path,
    (slice, type) =>
      type !== 'DELETED' && (slice.endpoints?.some(({ conditions }) => conditions?.ready !== false) ?? false),
  );
}

/** One real query for kubernetes.default from the first node's own stack to the DNS Service, through the data plane. */
async function dnsAnswers(api: ApiClient, lab: Lab): Promise<boolean> {
  try {
    const answer = await api.node<{ ok: boolean }>(lab.nodes[0]!.name, 'POST', '/podwire/probe', {
      host: true,
      protocol: 'dns',
      target: 'kubernetes.default.svc.cluster.local',
      timeoutMs: 1_000,
    });
    return answer.ok;
  } catch {
    return false;
  }
}

/** Ends the wait with a Complaint once a process has ended, someone interrupts, or time is up. */
class Guard {
  readonly paths: LabPaths;
  readonly seconds: number;
  /** What to say when time is up. */
  late = '';
  readonly #interrupted: AbortSignal;
  readonly #deadlineMs: number;
  readonly #over = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(paths: LabPaths, interrupted: AbortSignal, timeoutMs: number) {
    this.paths = paths;
    this.seconds = timeoutMs / 1000;
    this.#interrupted = interrupted;
    this.#deadlineMs = performance.now() + timeoutMs;
    this.#timer = setInterval(() => {
      const complaint = this.#look();
      if (complaint) this.#over.abort(complaint);
    }, GUARD_MS);
  }

  async sleep(ms: number): Promise<void> {
    this.#over.signal.throwIfAborted();
    await sleep(ms);
  }

  /** Waits until `isDone` says so of an object that is there, appears or changes. The API server may come late or go away meanwhile. */
  async follow<T>(api: ApiClient, path: string, isDone: (object: T, type: string) => boolean): Promise<void> {
    for (;;) {
      try {
        await api.watch<T>(path, ({ object, type }) => isDone(object, type), this.#over.signal);
        return;
      } catch {
        await this.sleep(GUARD_MS);
      }
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): Complaint | undefined {
    const { paths } = this;
    if (this.#interrupted.aborted)
      return new Complaint('Interrupted; everything that was started has been stopped', 130);
    for (const record of readProcesses(paths)) {
      if (isRunning(record)) continue;
      const said = lastLogLines(paths, record.name, 3).map(logMessage).join(' | ');
      return new Complaint(
        `Cannot start the lab: ${record.name} ended at once${said ? `: ${said}` : ''}; see ${paths.logs}/${record.name}.log`,
      );
    }
    return performance.now() > this.#deadlineMs ? new Complaint(this.late) : undefined;
  }
}

/** A pino line as its message; any other line as it is. */
function logMessage(line: string): string {
  try {
    const parsed = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    return [parsed.msg, parsed.err?.message].filter(Boolean).join(': ') || line;
  } catch {
    return line;
  }
}
