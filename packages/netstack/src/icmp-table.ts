/** Echo sockets by identifier, and the rate limit of the ICMP errors that a stack sends. */
import type { IcmpSocket } from './icmp-socket.ts';

/** Linux net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst, for errors of all kinds together. */
const ERRORS_PER_SECOND = 1000;
const ERROR_BURST = 50;

export class IcmpTable {
  /** Keyed by version and identifier. */
  readonly #sockets = new Map<number, IcmpSocket>();
  readonly #all = new Set<IcmpSocket>();
  #tokens = ERROR_BURST;
  #filledMs = 0;

  get size(): number {
    return this.#all.size;
  }

  sockets(): Iterable<IcmpSocket> {
    return this.#all;
  }

  insert(socket: IcmpSocket): void {
    this.#all.add(socket);
  }

  /** Echo messages with this identifier belong to the socket from now on. */
  claim(socket: IcmpSocket, id: number): void {
    this.#sockets.set(key(socket.version, id), socket);
  }

  remove(socket: IcmpSocket): void {
    this.#all.delete(socket);
    for (const [id, owner] of this.#sockets) if (owner === socket) this.#sockets.delete(id);
  }

  isClaimed(version: number, id: number): boolean {
    return this.#sockets.has(key(version, id));
  }

  find(version: number, id: number): IcmpSocket | undefined {
    return this.#sockets.get(key(version, id));
  }

  /** Whether one more error may be sent (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)). */
  mayError(nowMs: number): boolean {
    const gained = ((nowMs - this.#filledMs) * ERRORS_PER_SECOND) / 1000;
    this.#tokens = Math.min(ERROR_BURST, this.#tokens + Math.max(0, gained));
    this.#filledMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

function key(version: number, id: number): number {
  return version * 65_536 + id;
}
