/**
 * Port forwarding over a WebSocket as the kubelet speaks it: port number i of the query has channel 2i for data and
 * 2i + 1 for errors; the first message of each channel, from the server, holds the port as two bytes, low byte first.
 * Source: upstream staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go.
 */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { channelMessage } from './exec-channels.ts';

export const PORT_FORWARD_PROTOCOLS = ['v4.channel.k8s.io', 'portforward.k8s.io'] as const;

/** The same over SPDY. */
export const SPDY_PORT_FORWARD_PROTOCOL = 'portforward.k8s.io';

/** SPDY inside a WebSocket, whose messages are the bytes of the SPDY connection. */
export const TUNNELLED_PORT_FORWARD_PROTOCOL = 'SPDY/3.1+portforward.k8s.io';

/** Ports of one request; upstream has no limit, a hostile one shall have. */
const MAX_PORTS = 64;

/** The ports asked for: `port=80&port=443` or `port=80,443`; undefined when one is no port. */
export function forwardedPorts(query: URLSearchParams): number[] | undefined {
  const ports = query.getAll('port').flatMap((text) => text.split(',').map(Number));
  const good = ports.every((port) => Number.isInteger(port) && port > 0 && port < 65_536);
  return good && ports.length > 0 && ports.length <= MAX_PORTS ? ports : undefined;
}

/** Joins each port's channel to a connection that `dial` makes to it inside the pod. */
export function servePortForward(
  socket: WebSocket,
  ports: readonly number[],
  dial: (port: number) => Duplex,
): void {
  const connections = ports.map((port, index) => {
    const head = Uint8Array.of(port & 255, port >> 8);
    const data = index * 2;
    send(socket, channelMessage(data, head));
    send(socket, channelMessage(data + 1, head));
    const connection = dial(port);
    connection.on('data', (chunk: Buffer) => {
      connection.pause();
      socket.send(channelMessage(data, chunk), { binary: true }, () => connection.resume());
    });
    connection.on('error', (error: Error) => {
      send(socket, channelMessage(data + 1, Buffer.from(`error forwarding port ${port}: ${error.message}`)));
    });
    connection.on('close', () => {
      if (connections.every(({ destroyed }) => destroyed)) socket.close(1000);
    });
    return connection;
  });
  socket.on('message', (message: Buffer, isBinary) => {
    if (!isBinary || message.length < 2 || message[0]! % 2 !== 0) return;
    const connection = connections[message[0]! >> 1];
    if (connection === undefined || connection.destroyed || connection.writableEnded) return;
    if (!connection.write(message.subarray(1))) {
      socket.pause();
      connection.once('drain', () => socket.resume());
      connection.once('close', () => socket.resume());
    }
  });
  const hangUp = () => {
    for (const connection of connections) connection.destroy();
  };
  socket.on('close', hangUp);
  socket.on('error', hangUp);
}

function send(socket: WebSocket, message: Buffer): void {
  if (socket.readyState === socket.OPEN) socket.send(message, { binary: true }, () => {});
}
