/**
 * What `-m recent` remembers for ClientIP affinity: for each endpoint's chain, the client addresses that were sent
 * there and when. A check does not refresh; only `set` does. A list keeps 100 addresses (ip_list_tot) and the one
 * not set for longest makes room.
 */

import type { Packet } from '@podwire/wire/packet';
import { sourceText } from '../packet-text.ts';

const ADDRESSES_PER_LIST = 100;

export class RecentLists {
  // Insertion order of the inner maps is the order of the last `set`.
  readonly #lists = new Map<string, Map<string, number>>();

  /** `--rcheck --seconds S --reap`: whether the packet's source was set within the window. */
  check(list: string, packet: Packet, seconds: number, nowMs: number): boolean {
    const clients = this.#lists.get(list);
    if (clients === undefined) return false;
    // --reap: entries older than the window go, oldest first.
    for (const [client, setMs] of clients) {
      if (nowMs - setMs <= seconds * 1000) break;
      clients.delete(client);
    }
    if (clients.size === 0) {
      this.#lists.delete(list);
      return false;
    }
    return clients.has(sourceText(packet));
  }

  /** `--set`: remembers the packet's source now. */
  set(list: string, packet: Packet, nowMs: number): void {
    let clients = this.#lists.get(list);
    if (clients === undefined) this.#lists.set(list, (clients = new Map()));
    const client = sourceText(packet);
    clients.delete(client);
    if (clients.size >= ADDRESSES_PER_LIST) clients.delete(clients.keys().next().value!);
    clients.set(client, nowMs);
  }

  /** Forgets the lists that no rule names any more, as the kernel does. */
  retain(isNamed: (list: string) => boolean): void {
    for (const list of this.#lists.keys()) if (!isNamed(list)) this.#lists.delete(list);
  }

  get size(): number {
    return this.#lists.size;
  }
}
