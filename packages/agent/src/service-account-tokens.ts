/**
 * Tokens by which pods show the API server which service account they run under, as the kubelet asks for them: with the
 * node's own certificate, and anew before they end.
 */
import { request } from 'node:https';
import type { NodeCredentials } from './join.ts';
import type { SetTimer } from './timer.ts';

export interface TokenSourceOptions {
  /** The API server: `https://127.0.0.10:6443`. */
  readonly url: string;
  /** The node's own, on their way while it starts. */
  readonly credentials: Promise<NodeCredentials>;
  readonly setTimer: SetTimer;
  /** A token of this namespace has come, or is another one now. */
  readonly onChange: (namespace: string) => void;
  readonly onError: (error: Error) => void;
}

const EXPIRATION_SECONDS = 3607;
/** The kubelet renews when a fifth of the time is left. */
const RENEW_AFTER_MS = EXPIRATION_SECONDS * 800;
const RETRY_MS = 2_000;
const TIMEOUT_MS = 5_000;

export class TokenSource {
  readonly #options: TokenSourceOptions;
  readonly #tokens = new Map<string, string>();
  #closed = false;

  constructor(options: TokenSourceOptions) {
    this.#options = options;
  }

  /** The token, or '' while it is on its way: `onChange` tells when it has come. */
  get(namespace: string, serviceAccount: string): string {
    const key = `${namespace}/${serviceAccount}`;
    const token = this.#tokens.get(key);
    if (token === undefined) {
      this.#tokens.set(key, '');
      void this.#fetch(namespace, serviceAccount);
    }
    return token ?? '';
  }

  close(): void {
    this.#closed = true;
  }

  async #fetch(namespace: string, serviceAccount: string): Promise<void> {
    let againMs = RENEW_AFTER_MS;
    try {
      const { url, credentials } = this.#options;
      const token = await requestToken(url, await credentials, namespace, serviceAccount);
      this.#tokens.set(`${namespace}/${serviceAccount}`, token);
      this.#options.onChange(namespace);
    } catch (error) {
      if (!this.#closed) this.#options.onError(error as Error);
      againMs = RETRY_MS;
    }
    if (this.#closed) return;
    this.#options.setTimer(() => {
      if (!this.#closed) void this.#fetch(namespace, serviceAccount);
    }, againMs);
  }
}

function requestToken(
  url: string,
  credentials: NodeCredentials,
  namespace: string,
  name: string,
): Promise<string> {
  const body = JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: EXPIRATION_SECONDS },
  });
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}/token`;
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, url), {
      method: 'POST',
      ca: credentials.caPem,
      cert: credentials.certPem,
      key: credentials.keyPem,
      agent: false,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const token = tokenIn(Buffer.concat(chunks).toString('utf8'));
        if (token !== undefined) resolve(token);
        else {
          const what = `Cannot get a token for service account ${namespace}/${name}`;
          reject(new Error(`${what}: the API server answers ${response.statusCode}`));
        }
      });
    });
    outgoing.end(body);
  });
}

function tokenIn(text: string): string | undefined {
  try {
    const token = (JSON.parse(text) as { status?: { token?: unknown } }).status?.token;
    return typeof token === 'string' ? token : undefined;
  } catch {
    return undefined;
  }
}
