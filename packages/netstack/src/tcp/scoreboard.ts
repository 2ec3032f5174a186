/** Which sequence ranges above the cumulative acknowledgment the peer says it holds (RFC 2018, RFC 6675 3). */
import { after, before, distance } from './sequence.ts';

/** More holes than any window has in practice; a hostile peer cannot make the list longer. */
const RANGE_LIMIT = 256;

export class Scoreboard {
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** Bytes in all ranges. */
  bytes = 0;

  get count(): number {
    return this.starts.length;
  }

  /** Adds [start, end); true when it told anything new. The caller has checked it against the send window. */
  add(start: number, end: number): boolean {
    const { starts, ends } = this;
    let i = 0;
    while (i < starts.length && before(ends[i], start)) i++;
    if (i < starts.length && !before(start, starts[i]) && !after(end, ends[i])) return false;
    // Ranges i to j - 1 touch the new one and melt into it.
    let j = i;
    let merged = 0;
    while (j < starts.length && !after(starts[j], end)) {
      if (before(starts[j], start)) start = starts[j];
      if (after(ends[j], end)) end = ends[j];
      merged += distance(ends[j], starts[j]);
      j++;
    }
    if (j === i && starts.length >= RANGE_LIMIT) return false;
    starts.splice(i, j - i, start);
    ends.splice(i, j - i, end);
    this.bytes += distance(end, start) - merged;
    return true;
  }

  /** Forgets what lies below the cumulative acknowledgment. */
  advance(una: number): void {
    const { starts, ends } = this;
    let gone = 0;
    while (gone < starts.length && !after(ends[gone], una)) {
      this.bytes -= distance(ends[gone], starts[gone]);
      gone++;
    }
    if (gone > 0) {
      starts.splice(0, gone);
      ends.splice(0, gone);
    }
    if (starts.length > 0 && before(starts[0], una)) {
      this.bytes -= distance(una, starts[0]);
      starts[0] = una;
    }
  }

  clear(): void {
    this.starts.length = 0;
    this.ends.length = 0;
    this.bytes = 0;
  }
}
