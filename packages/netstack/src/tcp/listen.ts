/** A listening socket: half-open connections up to its backlog, handed on once the handshake is complete. */
import type { Core } from '../core.ts';
import { addressOfWords, type IpAddress } from '../ip-address.ts';
import { TcpConnection } from './connection.ts';
import { synchronize } from './input.ts';
import type { Segment } from './segment.ts';
import { SYN_RECEIVED } from './state.ts';

export class ListenSocket {
  readonly core: Core;
  /** undefined: any address of either version. */
  readonly host: IpAddress | undefined;
  readonly port: number;
  readonly anyPort: boolean;
  readonly backlog: number;
  readonly #onConnection: (c: TcpConnection) => void;
  readonly #pending = new Set<TcpConnection>();
  closed = false;

  constructor(
    core: Core,
    host: IpAddress | undefined,
    port: number,
    anyPort: boolean,
    backlog: number,
    onConnection: (c: TcpConnection) => void,
  ) {
    this.core = core;
    this.host = host;
    this.port = port;
    this.anyPort = anyPort;
    this.backlog = backlog;
    this.#onConnection = onConnection;
  }

  /** Connections whose handshake is under way. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** A SYN for this listener: RFC 9293 3.10.7.2, "third, check for a SYN". */
  synArrives(s: Segment): void {
    const core = this.core;
    const packet = core.packet;
    if (this.#pending.size >= this.backlog) {
      // Silence: the peer tries again, when there may be room.
      core.statistics.synDrops++;
      return;
    }
    const c = new TcpConnection(
      core,
      addressOfWords(packet.dst0, packet.dst1, packet.dst2, packet.dst3),
      packet.dstPort,
      addressOfWords(packet.src0, packet.src1, packet.src2, packet.src3),
      packet.srcPort,
      undefined,
    );
    synchronize(c, s, core.nowMs());
    c.sndWnd = s.window;
    c.maxSndWnd = s.window;
    c.sndWl1 = s.seq;
    c.state = SYN_RECEIVED;
    c.listener = this;
    this.#pending.add(c);
    core.tcp.insert(c);
    c.wantOutput();
  }

  /** Called from a flush: the connection is established. */
  accept(c: TcpConnection): void {
    c.listener = undefined;
    this.#pending.delete(c);
    this.core.statistics.passiveOpens++;
    this.#onConnection(c);
  }

  /** The connection ended before it was accepted. */
  handshakeEnded(c: TcpConnection): void {
    this.#pending.delete(c);
  }

  /** Listens no more; handshakes under way are reset. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.core.tcp.removeListener(this);
    for (const c of [...this.#pending]) c.abort();
  }
}
