import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { KubeObject } from '@podwire/kube/object';
import { LOOPBACK_CERTIFICATE, LOOPBACK_KEY } from '@podwire/testkit/loopback-certificate';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { SyncClient, type SyncClientOptions } from '../src/client.ts';
import { SyncHub, type SyncHubOptions } from '../src/hub.ts';
import type { Interest, SourceEvent, SyncSource, View } from '../src/source.ts';
import type { Change, ClusterSettings, Report } from '../src/types.ts';

export const SETTINGS: ClusterSettings = {
  name: 'lab',
  mode: 'iptables',
  ipFamilies: ['IPv4'],
  podCIDRs: ['10.244.0.0/16'],
  serviceCIDRs: ['10.96.0.0/16'],
  clusterDomain: 'cluster.local',
  clusterDNS: ['10.96.0.10'],
  vni: 1,
  mtu: 1450,
  probeDelayScale: 0.02,
};

export const TOKEN = 'test-token';

export const silentLog = { info: () => {}, warn: () => {} };

/** A store in memory: tells events at once. */
export class FakeStore implements SyncSource {
  instanceId = 'store-1';
  compacted = 0;
  readonly events: SourceEvent[] = [];
  readonly #objects = new Map<string, KubeObject>();
  readonly #listeners = new Set<(event: SourceEvent) => void>();
  #revision = 0;

  revision(): number {
    return this.#revision;
  }

  list(resource: string, namespace?: string): KubeObject[] {
    return [...this.#objects]
      .filter(([key]) => key.startsWith(`${resource}/`))
      .map(([, object]) => object)
      .filter((object) => namespace === undefined || object.metadata.namespace === namespace);
  }

  watch(listener: (event: SourceEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  history(since: number): SourceEvent[] | undefined {
    return since < this.compacted ? undefined : this.events.filter((event) => event.revision > since);
  }

  put(resource: string, namespace: string, name: string, fields: Record<string, unknown> = {}): KubeObject {
    const key = `${resource}/${namespace}/${name}`;
    const previous = this.#objects.get(key);
    const object: KubeObject = {
      apiVersion: 'v1',
      kind: resource,
      ...fields,
      metadata: { namespace, name, resourceVersion: String(++this.#revision) },
    };
    this.#objects.set(key, object);
    this.#tell({
      type: previous ? 'MODIFIED' : 'ADDED',
      resource,
      object,
      revision: this.#revision,
      ...(previous ? { previous } : {}),
    });
    return object;
  }

  remove(resource: string, namespace: string, name: string): void {
    const key = `${resource}/${namespace}/${name}`;
    const previous = this.#objects.get(key)!;
    this.#objects.delete(key);
    this.#revision += 1;
    this.#tell({ type: 'DELETED', resource, object: previous, previous, revision: this.#revision });
  }

  #tell(event: SourceEvent): void {
    this.events.push(event);
    for (const listener of this.#listeners) listener(event);
  }
}

export const WHOLE: View = { name: 'whole', shared: true, apply: (object) => object };

/** Sees Services and Pods whole. */
export function everything(): Interest {
  const resources = ['services', 'pods'];
  return {
    resources,
    scoped: [],
    view: (r) => (resources.includes(r) ? WHOLE : undefined),
    observe: () => [],
  };
}

export interface TestHub {
  hub: SyncHub;
  url: string;
  port: number;
  reports: Report[];
  refusals: string[];
  /** Cuts every connection without a goodbye, as SIGKILL does, and frees the port. */
  kill(): Promise<void>;
}

export async function startHub(
  source: SyncSource,
  options: Partial<SyncHubOptions> = {},
  port = 0,
): Promise<TestHub> {
  const reports: Report[] = [];
  const refusals: string[] = [];
  const hub = new SyncHub({
    source,
    settings: SETTINGS,
    authenticate: (request) => request.headers.authorization === `Bearer ${TOKEN}`,
    interest: everything,
    onReport: async (_peer, batch) => {
      reports.push(...batch);
      return batch.map(() => undefined);
    },
    onRefusal: (_peer, error) => refusals.push(error),
    nowMs: () => performance.now(),
    log: silentLog,
    ...options,
  });
  const server: Server = createServer({ cert: LOOPBACK_CERTIFICATE, key: LOOPBACK_KEY });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => {});
  server.on('upgrade', (request, socket, head) => hub.handleUpgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const bound = (server.address() as AddressInfo).port;
  const kill = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.resetAndDestroy();
    await hub.close();
    await closed;
  };
  return { hub, url: `https://127.0.0.1:${bound}`, port: bound, reports, refusals, kill };
}

let seed = 1;

export function newClient(url: string, options: Partial<SyncClientOptions> = {}): SyncClient {
  return new SyncClient({
    url,
    ca: LOOPBACK_CERTIFICATE,
    token: TOKEN,
    role: 'agent',
    nodeName: 'node-1',
    nowMs: () => performance.now(),
    random32: seededRandom32(seed++),
    log: silentLog,
    ...options,
  });
}

/** Changes the client has told of so far, as `TYPE resource ns/name`. */
export function recordChanges(client: SyncClient): string[] {
  const seen: string[] = [];
  client.on('change', (changes: readonly Change[]) => {
    for (const { type, resource, object } of changes) {
      seen.push(`${type} ${resource} ${object.metadata.namespace}/${object.metadata.name}`);
    }
  });
  return seen;
}

/** Resolves once `condition` holds; looks again whenever the event loop turns. */
export async function until(condition: () => boolean, what: string, patienceMs = 10_000): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${patienceMs} ms in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
