import type { ReportItem } from './gen/sync-proto.ts';
import { emitReportItem, reportKey } from './report-codec.ts';
import type { Report } from './types.ts';

/** Only Events are without bound: a node has few pods, but a crash loop beside an absent controller tells of itself for ever. */
const MAX_WAITING = 10_000;

/**
 * Reports on their way to the controller. The newest report of each key waits here until the controller says that it is durable; one batch is
 * under way at a time, so the order of the first report of each key is the order in which the controller sees them.
 */
export class ReportQueue {
  readonly #waiting = new Map<string, Report>();
  #underWay: { sequence: number; batch: Map<string, Report> } | undefined;
  #sequence = 0;

  /** Reports not yet acknowledged. */
  get size(): number {
    return this.#waiting.size + (this.#underWay?.batch.size ?? 0);
  }

  /** Heartbeats have no key and do not belong here. Returns false for an Event that finds MAX_WAITING reports before it: it is dropped. */
  push(report: Report): boolean {
    const key = reportKey(report);
    if (key === undefined) return false;
    if (report.kind === 'event' && this.#waiting.size >= MAX_WAITING && !this.#waiting.has(key)) return false;
    this.#waiting.set(key, report);
    return true;
  }

  /** The next batch, or undefined while one is under way or nothing waits. Bytes are those of the items' JSON, roughly. */
  next(limits: { items: number; bytes: number }): { sequence: number; items: ReportItem[] } | undefined {
    if (this.#underWay !== undefined || this.#waiting.size === 0) return undefined;
    const batch = new Map<string, Report>();
    const items: ReportItem[] = [];
    let bytes = 0;
    for (const [key, report] of this.#waiting) {
      const item = emitReportItem(report);
      bytes += sizeOf(item);
      if (items.length > 0 && (items.length >= limits.items || bytes > limits.bytes)) break;
      items.push(item);
      batch.set(key, report);
    }
    for (const key of batch.keys()) this.#waiting.delete(key);
    this.#underWay = { sequence: ++this.#sequence, batch };
    return { sequence: this.#sequence, items };
  }

  /** False when no such batch is under way. */
  acknowledge(sequence: number): boolean {
    if (this.#underWay?.sequence !== sequence) return false;
    this.#underWay = undefined;
    return true;
  }

  /** The link broke or the controller stays silent: what was under way waits again, before the rest, unless there is newer. */
  putBack(): void {
    if (this.#underWay === undefined) return;
    const later = [...this.#waiting];
    this.#waiting.clear();
    for (const [key, report] of this.#underWay.batch) this.#waiting.set(key, report);
    for (const [key, report] of later) this.#waiting.set(key, report);
    this.#underWay = undefined;
  }
}

function sizeOf(item: ReportItem): number {
  switch (item.kind) {
    case 'node':
      return item.value.node.length;
    case 'podStatus':
      return item.value.status.length + 100;
    case 'event':
      return item.value.event.length;
    default:
      return 100;
  }
}
