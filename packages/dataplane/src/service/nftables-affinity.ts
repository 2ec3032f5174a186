/**
 * A dynamic set with a timeout (`type ipv4_addr; flags dynamic,timeout; timeout 3h`): the clients of one endpoint.
 * `update @set { ip saddr }` adds a client or lets its time begin again.
 */

import type { Packet } from '@podwire/wire/packet';
import { sourceText } from '../packet-text.ts';

/** What the kernel lets a dynamic set without a size hold. */
const CAPACITY = 65_535;
/** Clients looked at for expiry with each update. */
const COLLECT_PER_UPDATE = 2;

export class AffinitySet {
  readonly name: string;
  readonly timeoutSeconds: number;
  // In the order of their last update, which is that of their expiry.
  readonly #clients = new Map<string, number>();

  constructor(name: string, timeoutSeconds: number) {
    this.name = name;
    this.timeoutSeconds = timeoutSeconds;
  }

  /** Whether the packet's source is in the set. Does not refresh it. */
  has(packet: Packet, nowMs: number): boolean {
    if (this.#clients.size === 0) return false;
    const expiresMs = this.#clients.get(sourceText(packet));
    return expiresMs !== undefined && expiresMs > nowMs;
  }

  /** Adds or refreshes the packet's source. A full set takes no more, and the packet goes on. */
  update(packet: Packet, nowMs: number): void {
    const client = sourceText(packet);
    this.#clients.delete(client);
    let budget = COLLECT_PER_UPDATE;
    for (const [oldest, expiresMs] of this.#clients) {
      if (expiresMs > nowMs || budget-- === 0) break;
      this.#clients.delete(oldest);
    }
    if (this.#clients.size < CAPACITY) this.#clients.set(client, nowMs + this.timeoutSeconds * 1000);
  }

  /** Clients and the seconds they have left, for dumps. */
  elements(nowMs: number): { client: string; expiresInSeconds: number }[] {
    return [...this.#clients]
      .filter(([, expiresMs]) => expiresMs > nowMs)
      .map(([client, expiresMs]) => ({ client, expiresInSeconds: Math.ceil((expiresMs - nowMs) / 1000) }));
  }
}
