/**
 * Joining a cluster: the join file, and what the agent needs of the controller before it can serve.
 */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';

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
    throw new Error(
      `Cannot read the join file ${path}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}; start the controller first, it writes it`,
    );
  }
  let value: Partial<JoinFile> | null;
  try {
    value = JSON.parse(text) as Partial<JoinFile> | null;
  } catch {
    throw new Error(`Cannot use the join file ${path}: it is not JSON; take a fresh one from the controller`);
  }
  for (const field of ['url', 'caPem', 'token'] as const) {
    if (typeof value?.[field] !== 'string' || value[field] === '') {
      throw new Error(`Cannot use the join file ${path}: ${field} is missing; take a fresh one from the controller`);
    }
  }
  if (!URL.canParse(value!.url!) || new URL(value!.url!).protocol !== 'https:') {
    throw new Error(`Cannot use the join file ${path}: url "${value!.url}" must be https://ADDRESS:PORT`);
  }
  return value as JoinFile;
}
