/**
 * Joins two stream sockets into one connection: bytes with backpressure, half-close, and reset, both ways.
 */
import type { Duplex } from 'node:stream';

/** What `net.Socket` and the netstack's TcpSocket have in common. */
export interface RelaySocket extends Duplex {
  resetAndDestroy(): unknown;
}

/**
 * Relays until both directions have ended. An error of one side, or its going away before its end of the stream was
 * seen, becomes a reset of the other, so that neither peer mistakes a broken stream for a complete one.
 */
export function relay(a: RelaySocket, b: RelaySocket, onClosed?: () => void): void {
  let open = 2;
  const link = (from: RelaySocket, to: RelaySocket) => {
    let ended = false;
    from.on('end', () => {
      ended = true;
    });
    from.on('error', () => to.resetAndDestroy());
    from.on('close', () => {
      if (!ended && !to.destroyed) to.resetAndDestroy();
      open -= 1;
      if (open === 0) onClosed?.();
    });
    from.pipe(to);
  };
  link(a, b);
  link(b, a);
}
