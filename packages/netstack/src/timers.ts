/**
 * All deadlines of a stack behind one timer: a binary heap whose top arms the only timer there is.
 * Entries are lazy: pushing a deadline later costs nothing, because its owner is asked at the old time and
 * names the new one. That suits TCP, which moves its retransmission deadline on with every acknowledgment.
 */

/** What `setTimer` returns; Node's `Timeout` is one. */
export interface TimerHandle {
  close(): unknown;
}

export type SetTimer = (fn: () => void, delayMs: number) => TimerHandle;

/** Something with a deadline. `heapIndex` is -1 when it is in no heap. */
export interface Deadline {
  dueMs: number;
  heapIndex: number;
  /** The time has come, or came before the deadline was moved: the owner looks at its own fields. */
  expire(nowMs: number): void;
}

export class TimerQueue {
  readonly #nowMs: () => number;
  readonly #setTimer: SetTimer;
  readonly #heap: Deadline[] = [];
  readonly #fire = () => this.run();
  #handle: TimerHandle | undefined;
  #armedMs = Infinity;
  #running = false;

  constructor(nowMs: () => number, setTimer: SetTimer) {
    this.#nowMs = nowMs;
    this.#setTimer = setTimer;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Makes sure `deadline.expire` runs at `atMs` or before. */
  wake(deadline: Deadline, atMs: number): void {
    if (deadline.heapIndex >= 0) {
      if (atMs >= deadline.dueMs) return;
      deadline.dueMs = atMs;
      this.#up(deadline.heapIndex);
    } else {
      deadline.dueMs = atMs;
      deadline.heapIndex = this.#heap.length;
      this.#heap.push(deadline);
      this.#up(deadline.heapIndex);
    }
    if (!this.#running) this.#arm();
  }

  cancel(deadline: Deadline): void {
    const i = deadline.heapIndex;
    if (i < 0) return;
    deadline.heapIndex = -1;
    const last = this.#heap.pop()!;
    if (last !== deadline) {
      this.#heap[i] = last;
      last.heapIndex = i;
      this.#up(i);
      this.#down(last.heapIndex);
    }
    if (this.#heap.length === 0 && !this.#running) this.#disarm();
  }

  /** Runs everything due. The stack's timer calls it; a test with a fake clock may too. */
  run(): void {
    this.#disarm();
    const nowMs = this.#nowMs();
    this.#running = true;
    try {
      // An owner that names a past deadline again waits for the next turn, so that this ends.
      for (let budget = this.#heap.length; budget > 0 && this.#heap.length > 0; budget--) {
        const top = this.#heap[0];
        if (top.dueMs > nowMs) break;
        this.cancel(top);
        top.expire(nowMs);
      }
    } finally {
      this.#running = false;
      this.#arm();
    }
  }

  close(): void {
    for (const deadline of this.#heap) deadline.heapIndex = -1;
    this.#heap.length = 0;
    this.#disarm();
  }

  #arm(): void {
    if (this.#heap.length === 0) return;
    const atMs = this.#heap[0].dueMs;
    if (atMs >= this.#armedMs) return;
    this.#disarm();
    this.#armedMs = atMs;
    this.#handle = this.#setTimer(this.#fire, Math.max(0, Math.ceil(atMs - this.#nowMs())));
  }

  #disarm(): void {
    this.#handle?.close();
    this.#handle = undefined;
    this.#armedMs = Infinity;
  }

  #up(i: number): void {
    const heap = this.#heap;
    const item = heap[i];
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent].dueMs <= item.dueMs) break;
      heap[i] = heap[parent];
      heap[i].heapIndex = i;
      i = parent;
    }
    heap[i] = item;
    item.heapIndex = i;
  }

  #down(i: number): void {
    const heap = this.#heap;
    const item = heap[i];
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1].dueMs < heap[child].dueMs) child++;
      if (heap[child].dueMs >= item.dueMs) break;
      heap[i] = heap[child];
      heap[i].heapIndex = i;
      i = child;
    }
    heap[i] = item;
    item.heapIndex = i;
  }
}
