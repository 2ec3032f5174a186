/**
 * The channel protocol of kubectl exec over WebSocket: each binary message is one channel byte and its bytes.
 * Source: upstream staging/src/k8s.io/apimachinery/pkg/util/httpstream/wsstream and
 * staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand/websocket.go.
 */

export const CHANNEL_STDIN = 0;
export const CHANNEL_STDOUT = 1;
export const CHANNEL_STDERR = 2;
export const CHANNEL_ERROR = 3;
export const CHANNEL_RESIZE = 4;
/** v5 only: the next byte names the channel that has ended. */
export const CHANNEL_CLOSE = 255;

/** Best first. */
export const EXEC_PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;

/** Of exec over SPDY, best first; version 4 brought the Status on the error stream. */
export const SPDY_EXEC_PROTOCOLS = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io'] as const;

export type ExecMessage =
  | { readonly kind: 'stdin'; readonly data: Buffer }
  | { readonly kind: 'stdin-end' }
  | { readonly kind: 'resize'; readonly columns: number; readonly rows: number }
  | { readonly kind: 'ignored' };

/** What a client's message means. Anything unexpected is ignored, as upstream does; never throws. */
export function parseExecMessage(message: Buffer): ExecMessage {
  if (message.length === 0) return { kind: 'ignored' };
  const data = message.subarray(1);
  switch (message[0]) {
    case CHANNEL_STDIN:
      return { kind: 'stdin', data };
    case CHANNEL_CLOSE:
      return data.length === 1 && data[0] === CHANNEL_STDIN ? { kind: 'stdin-end' } : { kind: 'ignored' };
    case CHANNEL_RESIZE: {
      const size = parseSize(data);
      return size === undefined ? { kind: 'ignored' } : { kind: 'resize', ...size };
    }
    default:
      return { kind: 'ignored' };
  }
}

function parseSize(data: Buffer): { columns: number; rows: number } | undefined {
  try {
    const size = JSON.parse(data.toString('utf8')) as { Width?: unknown; Height?: unknown } | null;
    const { Width: columns, Height: rows } = size ?? {};
    return isSize(columns) && isSize(rows) ? { columns, rows } : undefined;
  } catch {
    return undefined;
  }
}

function isSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536;
}

/** A message of the server. */
export function channelMessage(channel: number, data: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(data.length + 1);
  message[0] = channel;
  message.set(data, 1);
  return message;
}

/** The metav1.Status that ends an exec on the error channel. */
export function exitStatus(exitCode: number): object {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

/** The metav1.Status of an exec that could not be carried out. */
export function errorStatus(message: string): object {
  return { metadata: {}, status: 'Failure', message, reason: 'InternalError', code: 500 };
}
