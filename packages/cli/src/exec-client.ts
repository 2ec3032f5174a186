import { WebSocket } from 'ws';
import type { ApiClient } from './api-client.ts';

export interface ExecResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

const CHANNEL_STDOUT = 1;
const CHANNEL_STDERR = 2;
const CHANNEL_ERROR = 3;

/** Runs a command in a pod as `kubectl exec` does: WebSocket, subprotocol v5.channel.k8s.io. */
export function execInPod(
  api: ApiClient,
  namespace: string,
  pod: string,
  command: string[],
  timeoutMs = 30_000,
): Promise<ExecResult> {
  const query = new URLSearchParams({ stdout: 'true', stderr: 'true' });
  for (const word of command) query.append('command', word);
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}/exec?${query}`;
  const { url, options } = api.webSocketTarget(path);
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, ['v5.channel.k8s.io', 'v4.channel.k8s.io'], {
      ...options,
      handshakeTimeout: 5_000,
    });
    const output = { stdout: '', stderr: '', status: '' };
    const timer = setTimeout(() => socket.terminate(), timeoutMs);
    socket.on('message', (data: Buffer) => {
      const text = data.toString('utf8', 1);
      if (data[0] === CHANNEL_STDOUT) output.stdout += text;
      else if (data[0] === CHANNEL_STDERR) output.stderr += text;
      else if (data[0] === CHANNEL_ERROR) output.status += text;
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      if (output.status === '')
        return reject(
          new Error(`the connection to ${pod} ended before its command did: ${command.join(' ')}`),
        );
      resolve({ stdout: output.stdout, stderr: output.stderr, exitCode: exitCode(output.status) });
    });
  });
}

function exitCode(statusText: string): number {
  const status = JSON.parse(statusText) as {
    status: string;
    message?: string;
    details?: { causes?: { reason: string; message: string }[] };
  };
  if (status.status === 'Success') return 0;
  const cause = status.details?.causes?.find((candidate) => candidate.reason === 'ExitCode');
  if (!cause) throw new Error(status.message ?? statusText);
  return Number(cause.message);
}
