import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { parse } from 'yaml';
import { Complaint } from './complaint.ts';
import type { LabPaths } from './home.ts';

interface Kubeconfig {
  clusters: { cluster: { server: string; 'certificate-authority-data': string } }[];
  users: { user: { 'client-certificate-data'?: string; 'client-key-data'?: string; token?: string } }[];
}

export interface ApiResponse {
  status: number;
  body: string;
}

/** An answer of the API server that is not 2xx, with its Status message as text. */
export class ApiFailure extends Error {
  readonly status: number;
  readonly reason: string | undefined;
  constructor(status: number, message: string, reason?: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

const decode = (base64: string): string => Buffer.from(base64, 'base64').toString();

/**
 * The lab's API as any client sees it: HTTPS with the credentials of the lab's kubeconfig. Agents are reached
 * through it as well, at `/api/v1/nodes/NAME/proxy/…`.
 */
export class ApiClient {
  readonly server: string;
  readonly #agent: Agent;
  /** Upgraded connections are not given back, so they get an agent that keeps none. */
  readonly #socketAgent: Agent;
  readonly #headers: Record<string, string>;

  constructor(kubeconfigText: string) {
    const config = parse(kubeconfigText) as Kubeconfig;
    const cluster = config.clusters[0]!.cluster;
    const user = config.users[0]!.user;
    this.server = cluster.server;
    const credentials = {
      ca: decode(cluster['certificate-authority-data']),
      ...(user['client-certificate-data'] && {
        cert: decode(user['client-certificate-data']),
        key: decode(user['client-key-data']!),
      }),
    };
    this.#agent = new Agent({ ...credentials, keepAlive: true, maxSockets: 16 });
    this.#socketAgent = new Agent(credentials);
    this.#headers = user.token ? { authorization: `Bearer ${user.token}` } : {};
  }

  static ofLab(paths: LabPaths): ApiClient {
    if (!existsSync(paths.kubeconfig)) {
      throw new Complaint(`There is no running lab at ${paths.dir}: start one with "podwire up"`);
    }
    return new ApiClient(readFileSync(paths.kubeconfig, 'utf8'));
  }

  /** Sends one request and returns the whole answer, whatever its status. */
  send(
    method: string,
    path: string,
    body?: string,
    contentType = 'application/json',
    timeoutMs = 30_000,
  ): Promise<ApiResponse> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string | number> = { ...this.#headers, accept: 'application/json' };
      if (body !== undefined) {
        headers['content-type'] = contentType;
        headers['content-length'] = Buffer.byteLength(body);
      }
      const outgoing = request(
        new URL(path, this.server),
        { method, agent: this.#agent, headers, timeout: timeoutMs },
        (response: IncomingMessage) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({ status: response.statusCode!, body: Buffer.concat(chunks).toString() }),
          );
          response.on('error', reject);
        },
      );
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      outgoing.on('error', (error) =>
        reject(
          new Complaint(
            `Cannot reach the lab's API at ${this.server}: ${error.message}; see "podwire status"`,
          ),
        ),
      );
      outgoing.end(body);
    });
  }

  /** Sends one request, expects 2xx and parses JSON. Throws ApiFailure with the Status message otherwise. */
  async json<T>(
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
    timeoutMs?: number,
  ): Promise<T> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await this.#text(method, path, text, contentType, timeoutMs);
    return answer === '' ? (undefined as T) : (JSON.parse(answer) as T);
  }

  async #text(
    method: string,
    path: string,
    body?: string,
    contentType?: string,
    timeoutMs?: number,
  ): Promise<string> {
    const response = await this.send(method, path, body, contentType, timeoutMs);
    if (response.status < 200 || response.status > 299) {
      let message = response.body.trim() || `HTTP ${response.status}`;
      let reason: string | undefined;
      try {
        const status = JSON.parse(response.body) as { message?: string; error?: string; reason?: string };
        message = status.message ?? status.error ?? message;
        reason = status.reason;
      } catch {
        // Not a Status object: the text itself is the message.
      }
      throw new ApiFailure(response.status, message, reason);
    }
    return response.body;
  }

  get<T>(path: string, timeoutMs?: number): Promise<T> {
    return this.json<T>('GET', path, undefined, undefined, timeoutMs);
  }

  /**
   * Follows the objects at a list's path, those that are there first, until `isDone` returns true. Rejects when the stream ends before,
   * is refused, or is aborted.
   */
  watch<T>(
    path: string,
    isDone: (event: { type: string; object: T }) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const url = new URL(path, this.server);
    url.searchParams.set('watch', 'true');
    return new Promise((resolve, reject) => {
      const headers = { ...this.#headers, accept: 'application/json' };
      const outgoing = request(url, { agent: this.#agent, headers, signal }, (response) => {
        if (response.statusCode !== 200) {
          reject(new ApiFailure(response.statusCode!, `watching ${path} is refused`));
          response.destroy();
          return;
        }
        let rest = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          const lines = `${rest}${text}`.split('\n');
          rest = lines.pop()!;
          for (const line of lines) {
            if (!isDone(JSON.parse(line) as { type: string; object: T })) continue;
            resolve();
            response.destroy();
            return;
          }
        });
        response.on('error', reject);
        response.on('end', () => reject(new ApiFailure(200, `watching ${path} has ended`)));
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  /** A request to a node agent, carried by the API server. */
  node<T>(node: string, method: string, path: string, body?: unknown, timeoutMs?: number): Promise<T> {
    return this.json<T>(method, `/api/v1/nodes/${node}/proxy${path}`, body, 'application/json', timeoutMs);
  }

  /** What a node agent answers to a GET, as it is. */
  nodeText(node: string, path: string): Promise<string> {
    return this.#text('GET', `/api/v1/nodes/${node}/proxy${path}`);
  }

  /** What the WebSocket client needs to reach a path of the API with the same credentials. */
  webSocketTarget(path: string): { url: string; options: { agent: Agent; headers: Record<string, string> } } {
    return {
      url: `${this.server.replace(/^http/, 'ws')}${path}`,
      options: { agent: this.#socketAgent, headers: this.#headers },
    };
  }

  close(): void {
    this.#socketAgent.destroy();
    this.#agent.destroy();
  }
}
