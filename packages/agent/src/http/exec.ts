/**
 * kubectl exec and attach: a command in a container, over a WebSocket.
 */
import { PassThrough, type Readable, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import {
  CHANNEL_ERROR,
  CHANNEL_STDERR,
  CHANNEL_STDOUT,
  channelMessage,
  errorStatus,
  exitStatus,
  parseExecMessage,
} from './exec-channels.ts';

export interface ExecStreams {
  readonly stdin?: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly tty: boolean;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

export interface ExecWants {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** Reads what an exec asks for; kubelet's own names are input, output and error. */
export function execWants(query: URLSearchParams): ExecWants {
  const on = (...names: string[]) => names.some((name) => ['1', 'true'].includes(query.get(name) ?? ''));
  const tty = on('tty');
  return {
    stdin: on('stdin', 'input'),
    stdout: on('stdout', 'output'),
    // A terminal has one output.
    stderr: on('stderr', 'error') && !tty,
    tty,
  };
}

/** Joins a WebSocket to `run`, whose result is the exit code, and ends it with the Status kubectl waits for. */
export async function serveExec(
  socket: WebSocket,
  wants: ExecWants,
  run: (streams: ExecStreams) => Promise<number>,
): Promise<void> {
  const gone = new AbortController();
  const stdin = wants.stdin ? new PassThrough() : undefined;
  socket.on('close', () => {
    gone.abort();
    stdin?.end();
  });
  socket.on('error', () => gone.abort());
  socket.on('message', (data: Buffer, isBinary) => {
    if (!isBinary) return;
    const message = parseExecMessage(data);
    if (stdin === undefined || stdin.writableEnded) return;
    if (message.kind === 'stdin-end') stdin.end();
    else if (message.kind === 'stdin' && message.data.length > 0 && !stdin.write(message.data)) {
      socket.pause();
      stdin.once('drain', () => socket.resume());
    }
  });
  // Tells the client that the streams are there, as upstream does.
  if (wants.stdout || wants.stderr) {
    send(socket, channelMessage(wants.stdout ? CHANNEL_STDOUT : CHANNEL_STDERR, new Uint8Array(0)));
  }
  const stdout = channelWriter(socket, wants.stdout ? CHANNEL_STDOUT : undefined);
  const stderr = channelWriter(
    socket,
    wants.stderr ? CHANNEL_STDERR : wants.tty ? CHANNEL_STDOUT : undefined,
  );
  let status: object;
  try {
    const streams = { stdout, stderr, tty: wants.tty, signal: gone.signal };
    status = exitStatus(await run(stdin === undefined ? streams : { ...streams, stdin }));
  } catch (error) {
    status = errorStatus((error as Error).message);
  }
  // The status is the last the client reads: what was written goes out before it.
  await Promise.all([ended(stdout), ended(stderr)]);
  send(socket, channelMessage(CHANNEL_ERROR, Buffer.from(JSON.stringify(status))));
  socket.close(1000);
}

/** Writes to a channel with the socket's own backpressure; without a channel, to nowhere. */
function channelWriter(socket: WebSocket, channel: number | undefined): Writable {
  return new Writable({
    decodeStrings: true,
    write(chunk: Buffer, _encoding, done) {
      if (channel === undefined || socket.readyState !== socket.OPEN) {
        done();
        return;
      }
      socket.send(channelMessage(channel, chunk), { binary: true }, () => done());
    },
  });
}

/** Ends a stream and settles when all of it has left, or it is broken. */
export function ended(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writableFinished || stream.destroyed) return resolve();
    stream.once('finish', resolve);
    stream.once('close', resolve);
    stream.end();
  });
}

function send(socket: WebSocket, message: Buffer): void {
  if (socket.readyState === socket.OPEN) socket.send(message, { binary: true }, () => {});
}
