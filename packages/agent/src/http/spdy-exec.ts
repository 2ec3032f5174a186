/**
 * kubectl exec and attach over SPDY: one stream for each of error, stdin, stdout, stderr and resize.
 * Source: upstream staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand/httpstream.go.
 */
import { type Duplex, PassThrough } from 'node:stream';
import { type ExecStreams, type ExecWants, ended } from './exec.ts';
import { errorStatus, exitStatus, SPDY_EXEC_PROTOCOLS } from './exec-channels.ts';
import { SpdySession, type SpdyStream } from './spdy-session.ts';

/** The client has this long to open its streams. */
const STREAMS_TIMEOUT_MS = 30_000;

/** Runs a command with the streams of a connection that has been upgraded. */
export function serveSpdyExec(
  connection: Duplex,
  protocol: string,
  wants: ExecWants,
  run: (streams: ExecStreams) => Promise<number>,
): void {
  const streams = new Map<string, SpdyStream>();
  const gone = new AbortController();
  const resizes = wants.tty && protocol !== 'v2.channel.k8s.io';
  const expected = 1 + [wants.stdin, wants.stdout, wants.stderr, resizes].filter(Boolean).length;
  const timer = setTimeout(() => session.close(), STREAMS_TIMEOUT_MS);
  let opened = 0;
  const session = new SpdySession({
    connection,
    onStream(stream) {
      streams.set(stream.headers.get('streamtype') ?? '', stream);
      opened += 1;
      if (opened !== expected) return;
      clearTimeout(timer);
      void begin().then(() => session.end());
    },
    onClose() {
      clearTimeout(timer);
      gone.abort();
    },
  });
  const begin = async () => {
    const stdin = streams.get('stdin');
    const stdout = streams.get('stdout') ?? discard();
    const stderr = streams.get('stderr') ?? (wants.tty ? stdout : discard());
    streams.get('resize')?.resume();
    let status: { status?: string; message?: string };
    try {
      const out = { stdout, stderr, tty: wants.tty, signal: gone.signal };
      status = exitStatus(await run(stdin === undefined ? out : { ...out, stdin }));
    } catch (error) {
      status = errorStatus((error as Error).message);
    }
    const isFailure = status.status !== 'Success';
    const text =
      protocol === SPDY_EXEC_PROTOCOLS[0] ? JSON.stringify(status) : isFailure ? status.message : '';
    await Promise.all([ended(stdout), ended(stderr)]);
    const error = streams.get('error');
    if (error !== undefined) {
      error.end(text);
      await ended(error);
    }
  };
}

function discard(): PassThrough {
  const stream = new PassThrough();
  stream.resume();
  return stream;
}
