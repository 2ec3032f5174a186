import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';

/** The server's side of a WebSocket that only sends. */
export interface WebSocketSender {
  send(bytes: Buffer | string): void;
  end(): void;
  readonly waitingBytes: number;
  onClose(listener: () => void): void;
}

const BASE64 = 'base64.binary.k8s.io';
const PROTOCOLS: readonly string[] = [BASE64, 'binary.k8s.io'];

/**
 * Takes a WebSocket of a client that runs in a browser: messages are plain or, where the client asks for that subprotocol, base64
 * text (apiserver pkg/util/wsstream/stream.go).
 */
export function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<WebSocketSender> {
  const server = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => PROTOCOLS.find((each) => offered.has(each)) ?? false,
  });
  return new Promise((resolve) => {
    server.handleUpgrade(request, socket, head, (client) => {
      client.on('error', () => client.terminate());
      const encodes = client.protocol === BASE64;
      resolve({
        send: (bytes) => client.send(encodes ? Buffer.from(bytes).toString('base64') : bytes),
        end: () => client.close(),
        get waitingBytes() {
          return client.bufferedAmount;
        },
        onClose: (listener) => client.once('close', listener),
      });
    });
  });
}
