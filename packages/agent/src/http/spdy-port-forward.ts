/**
 * kubectl port-forward over SPDY: for each connection a pair of streams, data and error, with the port and a request id in
 * their headers. Source: upstream staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward/httpstream.go.
 */
import type { Duplex } from 'node:stream';
import { SpdySession, type SpdyStream } from './spdy-session.ts';

interface Pair {
  data?: SpdyStream;
  error?: SpdyStream;
}

/** Carries connections to ports of a pod until the client goes. */
export function serveSpdyPortForward(connection: Duplex, dial: (port: number) => Duplex): void {
  const pairs = new Map<string, Pair>();
  new SpdySession({
    connection,
    onStream(stream) {
      const id = stream.headers.get('requestid') ?? stream.headers.get('port') ?? '';
      const type = stream.headers.get('streamtype');
      if (type !== 'data' && type !== 'error') return void stream.destroy();
      const pair = pairs.get(id) ?? {};
      pair[type] = stream;
      pairs.set(id, pair);
      if (pair.data === undefined || pair.error === undefined) return;
      pairs.delete(id);
      carry(pair.data, pair.error, dial);
    },
    onClose: () => pairs.clear(),
  });
}

function carry(data: SpdyStream, error: SpdyStream, dial: (port: number) => Duplex): void {
  const port = Number(data.headers.get('port'));
  error.resume();
  if (!(Number.isInteger(port) && port > 0 && port < 65_536)) {
    error.end(`invalid port "${data.headers.get('port')}"`);
    data.end();
    return;
  }
  const inside = dial(port);
  inside.on('error', (cause: NodeJS.ErrnoException) => {
    if (!error.writableEnded) error.end(`error forwarding port ${port}: ${cause.code ?? cause.message}`);
    data.end();
    data.resume();
  });
  inside.on('close', () => {
    if (!error.writableEnded) error.end();
    if (!data.writableEnded) data.end();
  });
  data.on('close', () => inside.destroy());
  inside.pipe(data);
  data.pipe(inside);
}
