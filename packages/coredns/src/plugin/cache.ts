import type { Answer, DnsRecord, Query } from '../message.ts';
import { type Client, corefileError, type Directive, type Next, type Plugin } from '../plugin.ts';

const MAX_ENTRIES = 9_984;
const DEFAULT_POSITIVE_SECONDS = 3_600;
const DEFAULT_NEGATIVE_SECONDS = 1_800;

/** Keeps answers for the smaller of their TTL and the limit, counting the TTL down; oldest entries leave first. */
export class CachePlugin implements Plugin {
  readonly name = 'cache';
  readonly #entries = new Map<string, { answer: Answer; storedMs: number; expiresMs: number }>();
  readonly #maximumSeconds: number;
  readonly #nowMs: () => number;

  constructor(directive: Directive, nowMs: () => number) {
    const [first] = directive.args;
    const seconds = first === undefined ? DEFAULT_POSITIVE_SECONDS : Number(first);
    if (!Number.isInteger(seconds) || seconds < 0)
      throw corefileError(directive, `cache TTL "${first}" is not a number of seconds`);
    this.#maximumSeconds = seconds;
    this.#nowMs = nowMs;
  }

  async serve(query: Query, _client: Client, next: Next): Promise<Answer> {
    const key = `${query.question.type} ${query.question.name}`;
    const now = this.#nowMs();
    const hit = this.#entries.get(key);
    if (hit && hit.expiresMs > now) return aged(hit.answer, Math.floor((now - hit.storedMs) / 1000));
    this.#entries.delete(key);
    const answer = await next();
    const seconds = this.#lifetime(answer);
    if (seconds > 0) {
      if (this.#entries.size >= MAX_ENTRIES) this.#entries.delete(this.#entries.keys().next().value!);
      this.#entries.set(key, { answer, storedMs: now, expiresMs: now + seconds * 1000 });
    }
    return answer;
  }

  /** State has changed: what was answered may be wrong now. */
  clear(): void {
    this.#entries.clear();
  }

  #lifetime(answer: Answer): number {
    if (answer.rcode !== 'NOERROR' && answer.rcode !== 'NXDOMAIN') return 0;
    const positive = answer.answers.length > 0;
    const records = positive ? answer.answers : answer.authorities;
    if (records.length === 0) return 0;
    const least = Math.min(...records.map((record) => record.ttlSeconds));
    return Math.min(
      least,
      positive ? this.#maximumSeconds : Math.min(this.#maximumSeconds, DEFAULT_NEGATIVE_SECONDS),
    );
  }
}

function aged(answer: Answer, seconds: number): Answer {
  const age = (records: DnsRecord[]): DnsRecord[] =>
    records.map((record) => ({ ...record, ttlSeconds: Math.max(0, record.ttlSeconds - seconds) }));
  return {
    ...answer,
    answers: age(answer.answers),
    authorities: age(answer.authorities),
    additionals: age(answer.additionals),
  };
}
