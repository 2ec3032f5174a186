import { Duplex } from 'node:stream';
import WebSocket from 'ws';
import type { AgentAddress } from './kubelet-client.ts';

const DATA_CHANNEL = 0;
const ERROR_CHANNEL = 1;
const PORT_BYTES = 2;

/**
 * One TCP connection into a pod over the kubelet's WebSocket port forwarding: channel 0 carries data, channel 1 an error text,
 * and the first message of each only repeats the port (kubelet pkg/cri/streaming/portforward/websocket.go).
 */
export function dialThroughPortForward(
  tls: { ca: string; cert: string; key: string },
  agent: AgentAddress,
  namespace: string,
  pod: string,
  port: number,
): Promise<Duplex> {
  const host = agent.address.includes(':') ? `[${agent.address}]` : agent.address;
  const path = `/portForward/${encodeURIComponent(namespace)}/${encodeURIComponent(pod)}?port=${port}`;
  const socket = new WebSocket(`wss://${host}:${agent.port}${path}`, 'v4.channel.k8s.io', tls);
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('unexpected-response', (_request, response) => {
      response.resume();
      reject(new Error(`the agent answered ${response.statusCode} to ${path}`));
    });
    socket.once('open', () => {
      socket.off('error', reject);
      resolve(streamOf(socket));
    });
  });
}

function streamOf(socket: WebSocket): Duplex {
  const greeted = new Set<number>();
  const stream = new Duplex({
    read: () => socket.resume(),
    write(chunk: Buffer, _encoding, done) {
      socket.send(Buffer.concat([Buffer.of(DATA_CHANNEL), chunk]), { binary: true }, (error) =>
        done(error ?? null),
      );
    },
    // The protocol cannot say that one direction is finished: the other goes on until it is closed.
    final: (done) => done(),
    destroy(error, done) {
      socket.terminate();
      done(error);
    },
  });
  socket.on('message', (message: Buffer) => {
    const channel = message[0]!;
    if (!greeted.has(channel)) {
      greeted.add(channel);
      if (message.length <= 1 + PORT_BYTES) return;
      message = message.subarray(PORT_BYTES);
    }
    if (channel === ERROR_CHANNEL) stream.destroy(new Error(message.subarray(1).toString()));
    else if (!stream.push(message.subarray(1))) socket.pause();
  });
  socket.on('close', () => stream.push(null));
  socket.on('error', (error) => stream.destroy(error));
  return stream;
}
