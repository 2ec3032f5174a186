import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ObjectApi } from '../registry/object-api.ts';
import { parseListOptions, parseSelection } from './list-options.ts';
import { negotiate } from './negotiation.ts';
import type { Target } from './resource-handlers.ts';
import { startWatch } from './watch.ts';
import { acceptWebSocket } from './websocket.ts';

/** A watch as WebSocket messages, one event each. */
export async function upgradeWatch(
  context: { api: ObjectApi; random32: () => number },
  request: IncomingMessage,
  url: URL,
  socket: Duplex,
  head: Buffer,
  { type, namespace }: Target,
): Promise<void> {
  const options = parseListOptions(url.searchParams);
  const selection = parseSelection(type, url.searchParams);
  const representation = negotiate(request.headers.accept, ['PartialObjectMetadata']);
  const client = await acceptWebSocket(request, socket, head);
  const details = { type, namespace, options, selection, representation, includeObject: 'Metadata' as const };
  const sink = {
    send: (event: string) => client.send(`${event}\n`),
    end: client.end,
    get waitingBytes() {
      return client.waitingBytes;
    },
  };
  client.onClose(startWatch(context.api, details, sink, context.random32));
}
