import { request } from 'node:https';
import { JOIN_PATH } from './types.ts';

/** How an agent comes to a certificate for its own HTTPS endpoint: it makes a P-256 key and has the controller certify it. */
export interface JoinRequest {
  nodeName: string;
  /** Addresses of the node, for the certificate's subjectAltName. */
  addresses: string[];
  /** DER SubjectPublicKeyInfo in base64. */
  publicKey: string;
}

export interface JoinResponse {
  /** Serves the node's HTTPS endpoint and identifies it as `system:node:NAME`. */
  certificatePem: string;
  /** Authority of the cluster: clients of the node show certificates signed by it. */
  caPem: string;
}

export interface JoinOptions {
  /** The controller, as in join.json: `https://127.0.0.10:6443`. */
  url: string;
  ca: string;
  token: string;
  timeoutMs?: number;
}

/** Asks the controller for a certificate. Rejects with an Error of one line. */
export function joinCluster(options: JoinOptions, body: JoinRequest): Promise<JoinResponse> {
  const { url, ca, token, timeoutMs = 5_000 } = options;
  const fail = (why: string, code?: string): Error =>
    Object.assign(new Error(`Cannot join the cluster at ${url}: ${why}`), { code });
  return new Promise((resolve, reject) => {
    const payload = Buffer.from(JSON.stringify(body));
    const outgoing = request(
      new URL(JOIN_PATH, url),
      {
        method: 'POST',
        ca,
        agent: false,
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'content-length': payload.length,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', (error) => reject(fail(error.message)));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          if (response.statusCode !== 200) {
            reject(fail(`it answers ${response.statusCode} ${messageIn(text)}`.trim()));
            return;
          }
          try {
            resolve(JSON.parse(text) as JoinResponse);
          } catch {
            reject(fail('its answer is not JSON'));
          }
        });
      },
    );
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      reject(
        fail(error.name === 'AbortError' ? `no answer within ${timeoutMs} ms` : error.message, error.code),
      );
    });
    outgoing.end(payload);
  });
}

function messageIn(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: string }).message ?? '');
  } catch {
    return '';
  }
}
