import { ANY_V6, formatIpAddress } from './ip-address.ts';
import type { ListenSocket } from './tcp/listen.ts';

/** What `NetStack.listenTcp` gives. */
export class TcpListener {
  readonly #listener: ListenSocket;

  constructor(listener: ListenSocket) {
    this.#listener = listener;
  }

  get address(): string {
    return formatIpAddress(this.#listener.host ?? ANY_V6);
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Accepts no more; connections already accepted live on. */
  close(): void {
    this.#listener.close();
  }
}
