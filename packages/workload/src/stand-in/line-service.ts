import type { TcpSocket } from '@podwire/netstack/tcp-socket';

/**
 * What a stand-in says to a client that speaks neither HTTP: Redis's PING is answered as Redis does, anything else
 * comes back with the pod's name before it.
 */
export function serveLines(socket: TcpSocket, podName: string): void {
  socket.on('data', (chunk: Buffer) => {
    const text = chunk.toString('latin1');
    if (/^(?:\*1\r\n\$4\r\n)?PING\r?\n/i.test(text)) socket.write('+PONG\r\n');
    else if (/^(?:\*\d+\r\n\$\d+\r\n)/.test(text)) socket.write('+OK\r\n');
    else {
      socket.write(`${podName}: `);
      socket.write(chunk);
    }
  });
  socket.on('end', () => socket.end());
}
