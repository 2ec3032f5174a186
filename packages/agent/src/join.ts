/**
 * Joining a cluster: the join file, and a certificate for the node.
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { joinCluster } from '@podwire/sync/join';
import { type SetTimer, sleep } from './timer.ts';

/** What the controller writes into join.json. */
export interface JoinFile {
  /** `https://127.0.0.10:6443` */
  readonly url: string;
  readonly caPem: string;
  readonly token: string;
}

/** @throws Error in one line that says what to do */
export function readJoinFile(path: string): JoinFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new Error(`Cannot read the join file ${path}: ${why}; the controller writes it when it starts`);
  }
  let value: Partial<JoinFile> | null;
  try {
    value = JSON.parse(text) as Partial<JoinFile> | null;
  } catch {
    throw new Error(`Cannot use the join file ${path}: it is not JSON; take a fresh one from the controller`);
  }
  for (const field of ['url', 'caPem', 'token'] as const) {
    if (typeof value?.[field] !== 'string' || value[field] === '') {
      throw new Error(
        `Cannot use the join file ${path}: ${field} is missing; take a fresh one from the controller`,
      );
    }
  }
  if (!URL.canParse(value!.url!) || new URL(value!.url!).protocol !== 'https:') {
    throw new Error(`Cannot use the join file ${path}: url "${value!.url}" must be https://ADDRESS:PORT`);
  }
  return value as JoinFile;
}

export interface NodeCredentials {
  readonly keyPem: string;
  readonly certPem: string;
  readonly caPem: string;
}

export interface CertifyOptions {
  readonly setTimer: SetTimer;
  /** The controller does not answer; the agent goes on asking. */
  readonly onRetry: (error: Error) => void;
}

/** While nobody listens at the controller's address the agent asks again, from quickly to slowly. */
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1_000;

export interface NodeKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function makeNodeKey(): NodeKey {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/**
 * Has the controller certify the node's key, waiting for a controller that is not there yet. Rejects with an Error of one
 * line when the controller refuses.
 */
export async function certifyNode(
  join: JoinFile,
  node: { name: string; addresses: string[] },
  { privateKey, publicKey }: NodeKey,
  options: CertifyOptions,
): Promise<NodeCredentials> {
  const body = {
    nodeName: node.name,
    addresses: node.addresses,
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
  };
  for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
    try {
      const answer = await joinCluster({ url: join.url, ca: join.caPem, token: join.token }, body);
      return {
        keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
        certPem: answer.certificatePem,
        caPem: answer.caPem,
      };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined || !ABSENT.has(code)) throw error;
      options.onRetry(error as Error);
    }
    await sleep(options.setTimer, retryMs, new AbortController().signal);
  }
}

/** What an address says at which nobody serves, or not yet. */
const ABSENT = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENOTFOUND',
  'ABORT_ERR',
]);
