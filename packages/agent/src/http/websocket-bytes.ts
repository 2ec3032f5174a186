/**
 * A WebSocket as a stream of bytes: each binary message is some of them.
 */
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

export function byteStream(socket: WebSocket): Duplex {
  const stream = new Duplex({
    read: () => socket.resume(),
    write(chunk: Buffer, _encoding, done) {
      if (socket.readyState !== socket.OPEN) done(new Error('the WebSocket is closed'));
      else socket.send(chunk, { binary: true }, (error) => done(error ?? null));
    },
    final(done) {
      socket.close(1000);
      done();
    },
    destroy(error, done) {
      socket.close(1000);
      done(error);
    },
  });
  socket.on('message', (message: Buffer, isBinary) => {
    if (isBinary && !stream.readableEnded && !stream.push(message)) socket.pause();
  });
  socket.on('close', () => stream.push(null));
  socket.on('error', (error) => stream.destroy(error));
  return stream;
}
