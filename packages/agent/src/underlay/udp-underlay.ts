/**
 * The node's end of every tunnel: one UDP socket on the node's address and the VXLAN port.
 */
import type { Socket } from 'node:dgram';

/** Room for bursts; the kernel caps it at net.core.rmem_max and wmem_max without an error. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

export interface UdpUnderlayOptions {
  /** Not yet bound; made with a `lookup` that answers at once, because every address here is numeric. */
  readonly socket: Socket;
  readonly address: string;
  readonly port: number;
  readonly onError: (error: Error) => void;
}

export class UdpUnderlay {
  readonly #socket: Socket;
  /** Set by whoever forwards; what comes before is lost. */
  onDatagram: (datagram: Uint8Array, source: string) => void = () => {};
  sent = 0;
  received = 0;
  sendErrors = 0;

  /** Resolves once the socket is bound; rejects with code EADDRINUSE or EADDRNOTAVAIL. */
  static async open(options: UdpUnderlayOptions): Promise<UdpUnderlay> {
    const { socket } = options;
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: options.address, port: options.port, exclusive: true }, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    return new UdpUnderlay(options);
  }

  private constructor(options: UdpUnderlayOptions) {
    this.#socket = options.socket;
    for (const grow of ['setRecvBufferSize', 'setSendBufferSize'] as const) {
      try {
        this.#socket[grow](SOCKET_BUFFER_BYTES);
      } catch {
        // Some systems refuse a size above their limit instead of capping it; the default then has to do.
      }
    }
    this.#socket.on('message', (datagram, remote) => {
      this.received += 1;
      this.onDatagram(datagram, remote.address);
    });
    this.#socket.on('error', options.onError);
  }

  /** Sends one VXLAN payload. The bytes are copied: the socket may hold them back while the kernel's queue is full. */
  send(buffer: Uint8Array, start: number, length: number, address: string, port: number): void {
    const copy = Buffer.allocUnsafe(length);
    copy.set(buffer.subarray(start, start + length));
    this.sent += 1;
    this.#socket.send(copy, 0, length, port, address, this.#sent);
  }

  readonly #sent = (error: Error | null): void => {
    // A node that is down answers with ICMP port unreachable: its packets are lost, as on any network.
    if (error !== null) this.sendErrors += 1;
  };

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}
