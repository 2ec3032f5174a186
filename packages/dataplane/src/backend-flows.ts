/**
 * How many flows each backend has, by the number its owner gave it: IPVS's ActiveConn (established connections) and
 * InActConn (all others). Conntrack keeps the counts as flows come, change and go.
 */
export class BackendFlows {
  #active = new Int32Array(64);
  #inactive = new Int32Array(64);

  activeOf(backend: number): number {
    return backend < this.#active.length ? this.#active[backend] : 0;
  }

  inactiveOf(backend: number): number {
    return backend < this.#inactive.length ? this.#inactive[backend] : 0;
  }

  add(backend: number, isActive: boolean): void {
    if (backend >= this.#active.length) this.#grow(backend);
    if (isActive) this.#active[backend]++;
    else this.#inactive[backend]++;
  }

  remove(backend: number, isActive: boolean): void {
    if (isActive) this.#active[backend]--;
    else this.#inactive[backend]--;
  }

  clear(): void {
    this.#active.fill(0);
    this.#inactive.fill(0);
  }

  #grow(backend: number): void {
    const length = Math.max(this.#active.length * 2, backend + 1);
    const active = new Int32Array(length);
    active.set(this.#active);
    this.#active = active;
    const inactive = new Int32Array(length);
    inactive.set(this.#inactive);
    this.#inactive = inactive;
  }
}
