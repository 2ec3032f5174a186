import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { ObjectApi } from '../registry/object-api.ts';
import { parseListOptions, parseSelection } from './list-options.ts';
import { negotiate } from './negotiation.ts';
import type { Target } from './resource-handlers.ts';
import { startWatch, type WatchSink } from './watch.ts';

const BASE64 = 'base64.binary.k8s.io';
const PROTOCOLS: readonly string[] = [BASE64, 'binary.k8s.io'];

/** A watch as WebSocket messages, one event each, for clients that run in browsers (apiserver pkg/util/wsstream/stream.go). */
export function upgradeWatch(
  context: { api: ObjectApi; random32: () => number },
  request: IncomingMessage,
  url: URL,
  socket: Duplex,
  head: Buffer,
  { type, namespace }: Target,
): void {
  const options = parseListOptions(url.searchParams);
  const selection = parseSelection(type, url.searchParams);
  const representation = negotiate(request.headers.accept, ['Table', 'PartialObjectMetadata']);
  const server = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => PROTOCOLS.find((each) => offered.has(each)) ?? false,
  });
  server.handleUpgrade(request, socket, head, (client) => {
    const sink: WatchSink = {
      send(event) {
        if (client.protocol === BASE64) client.send(Buffer.from(`${event}\n`).toString('base64'));
        else client.send(`${event}\n`);
      },
      end: () => client.close(),
      get waitingBytes() {
        return client.bufferedAmount;
      },
    };
    client.on('error', () => client.terminate());
    const details = {
      type,
      namespace,
      options,
      selection,
      representation,
      includeObject: 'Metadata' as const,
    };
    client.once('close', startWatch(context.api, details, sink, context.random32));
  });
}
