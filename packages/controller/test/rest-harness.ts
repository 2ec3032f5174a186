import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Store, type StoreOptions } from '@podwire/store/store';
import { kubeconfigYaml, openPki, type Pki } from '../src/pki.ts';
import { standardAdmission } from '../src/registry/admission-plugins.ts';
import { startCustomResources } from '../src/registry/custom-resources.ts';
import { ObjectApi } from '../src/registry/object-api.ts';
import { ResourceTypes } from '../src/registry/resource-types.ts';
import { createKubeletClient } from '../src/rest/kubelet-client.ts';
import { createRestServer, type RestServerOptions } from '../src/rest/server.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

export interface Answer {
  code: number;
  headers: NodeJS.Dict<string | string[]>;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json: any;
}

export interface RequestSpec {
  body?: unknown;
  type?: string;
  accept?: string;
  headers?: Record<string, string>;
  token?: string | undefined;
}

const pkiDirectory = mkdtempSync(join(tmpdir(), 'rest-pki-'));
process.once('exit', () => rmSync(pkiDirectory, { recursive: true, force: true }));
const pki = await openPki({
  directory: join(pkiDirectory, 'pki'),
  serverNames: ['127.0.0.1', 'localhost'],
  nowMs: Date.now,
  randomBytes,
});

/** One set of certificates for all servers of a test process. */
export function testPki(): Pki {
  return pki;
}

/** A whole API server over an empty store, on a free port; nothing but the HTTP face and the registry runs. */
export class TestServer {
  readonly store: Store;
  readonly api: ObjectApi;
  readonly pki = testPki();
  readonly errors: unknown[] = [];
  readonly #stops: (() => void)[] = [];
  readonly #agent: Agent;
  #ownWatches = 0;
  port = 0;

  static async start(
    options: { store?: StoreOptions; rest?: Partial<RestServerOptions> } = {},
  ): Promise<TestServer> {
    const server = new TestServer(options.store ?? {});
    await server.#listen(options.rest ?? {});
    return server;
  }

  private constructor(storeOptions: StoreOptions) {
    this.store = Store.open(':memory:', storeOptions);
    this.api = new ObjectApi({
      store: this.store,
      types: new ResourceTypes(),
      admission: standardAdmission({ nodeTolerationSeconds: 300 }),
      nowMs: Date.now,
      random32: () => randomBytes(4).readUInt32LE(),
    });
    this.#agent = new Agent({ keepAlive: true, ca: this.pki.caPem });
    this.#stops.push(startCustomResources(this.api, (error) => this.errors.push(error)));
  }

  async #listen(rest: Partial<RestServerOptions>): Promise<void> {
    for (const name of ['default', 'kube-system']) {
      await this.api.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    const { pki, api } = this;
    const kubelet = createKubeletClient({
      ca: pki.caPem,
      cert: pki.kubeletClient.certPem,
      key: pki.kubeletClient.keyPem,
    });
    const server = createRestServer({
      api,
      tls: { ca: pki.caPem, cert: pki.server.certPem, key: pki.server.keyPem },
      authentication: {
        tokens: new Map([['secret', { username: 'tester', groups: ['system:masters'] }]]),
        signingKey: pki.serviceAccountKey,
        nowMs: Date.now,
      },
      kubelet,
      serverAddress: '127.0.0.1:6443',
      random32: () => 7,
      log: { ...silent, error: (fields) => this.errors.push(fields) },
      ...rest,
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    this.#ownWatches = this.store.watcherCount;
    this.#stops.push(() => {
      kubelet.close();
      server.close();
      server.closeAllConnections();
    });
  }

  /** Watches of clients, our own loops aside. */
  get openWatches(): number {
    return this.store.watcherCount - this.#ownWatches;
  }

  request(method: string, path: string, spec: RequestSpec = {}): Promise<Answer> {
    const body =
      spec.body === undefined || typeof spec.body === 'string' || spec.body instanceof Uint8Array
        ? (spec.body as string | Uint8Array | undefined)
        : JSON.stringify(spec.body);
    const token = 'token' in spec ? spec.token : 'secret';
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: this.port,
          method,
          path,
          agent: this.#agent,
          headers: {
            ...(token !== undefined && { authorization: `Bearer ${token}` }),
            ...(body !== undefined && {
              'content-type': spec.type ?? 'application/json',
              'content-length': Buffer.byteLength(body),
            }),
            ...(spec.accept !== undefined && { accept: spec.accept }),
            ...spec.headers,
          },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => {
            let json: unknown;
            try {
              json = JSON.parse(text);
            } catch {}
            resolve({ code: response.statusCode!, headers: response.headers, text, json });
          });
          response.on('error', reject);
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  get = (path: string, spec?: RequestSpec) => this.request('GET', path, spec);
  post = (path: string, body: unknown, spec?: RequestSpec) => this.request('POST', path, { ...spec, body });
  put = (path: string, body: unknown, spec?: RequestSpec) => this.request('PUT', path, { ...spec, body });
  delete = (path: string, body?: unknown, spec?: RequestSpec) =>
    this.request('DELETE', path, { ...spec, ...(body !== undefined && { body }) });
  patch = (path: string, body: unknown, type = 'application/merge-patch+json', spec?: RequestSpec) =>
    this.request('PATCH', path, { ...spec, body, type });

  /** Opens a watch; `next` waits for the next event. */
  watch(path: string, accept?: string): Promise<TestWatch> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: this.port,
          path,
          ca: this.pki.caPem,
          agent: false,
          headers: { authorization: 'Bearer secret', ...(accept !== undefined && { accept }) },
        },
        (response) => {
          const watch = new TestWatch(response, () => outgoing.destroy());
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => watch.feed(chunk));
          response.on('end', () => watch.end());
          response.on('error', () => watch.end());
          resolve(watch);
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  /** Writes a kubeconfig into `directory` and returns its path. */
  kubeconfig(directory: string): string {
    const path = join(directory, 'kubeconfig');
    writeFileSync(
      path,
      kubeconfigYaml('test', `https://127.0.0.1:${this.port}`, this.pki.caPem, this.pki.admin),
    );
    return path;
  }

  close(): void {
    this.#agent.destroy();
    for (const stop of this.#stops.toReversed()) stop();
    this.store.close();
  }
}

export class TestWatch {
  readonly code: number;
  readonly close: () => void;
  readonly pause: () => void;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every shape
  readonly #events: any[] = [];
  #waiting: (() => void) | undefined;
  #rest = '';
  ended = false;

  constructor(response: IncomingMessage, close: () => void) {
    this.code = response.statusCode!;
    this.close = close;
    this.pause = () => response.pause();
  }

  feed(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#events.push(JSON.parse(line));
    this.#waiting?.();
  }

  end(): void {
    this.ended = true;
    this.#waiting?.();
  }

  /** The next event, or undefined once the server ended the watch. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every shape
  async next(): Promise<any> {
    while (this.#events.length === 0 && !this.ended) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.#events.shift();
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every shape
  async take(count: number): Promise<any[]> {
    const events = [];
    for (let i = 0; i < count; i++) events.push(await this.next());
    return events;
  }
}
