/**
 * cilium_lb4_affinity: which backend a client of a service was sent to, and when that was last used. Bounded; the one
 * not used for longest makes room. Only services with session affinity come here.
 */

const CAPACITY = 65_536;

interface Affinity {
  backend: number;
  lastUsedSeconds: number;
}

export class AffinityMap {
  readonly #entries = new Map<string, Affinity>();

  /** The backend of a client, or 0; an entry is expired when last use + timeout <= now (C: lb.h). */
  find(reverseNat: number, client: string, timeoutSeconds: number, nowMs: number): number {
    const key = `${reverseNat} ${client}`;
    const entry = this.#entries.get(key);
    if (entry === undefined) return 0;
    if (entry.lastUsedSeconds + timeoutSeconds <= Math.floor(nowMs / 1000)) {
      this.#entries.delete(key);
      return 0;
    }
    return entry.backend;
  }

  /** Remembers, or refreshes, a client's backend. */
  update(reverseNat: number, client: string, backend: number, nowMs: number): void {
    const key = `${reverseNat} ${client}`;
    this.#entries.delete(key);
    if (this.#entries.size >= CAPACITY) this.#entries.delete(this.#entries.keys().next().value!);
    this.#entries.set(key, { backend, lastUsedSeconds: Math.floor(nowMs / 1000) });
  }
}
