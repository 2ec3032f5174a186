import type { Answer, DnsRecord, Query } from '../message.ts';
import { type Client, corefileError, type Directive, type Next, type Plugin } from '../plugin.ts';
import { longestZone } from '../zones.ts';

const MAX_ENTRIES = 9_984;
const DEFAULT_POSITIVE_SECONDS = 3_600;
const DEFAULT_NEGATIVE_SECONDS = 1_800;

interface CacheRules {
  /** Longest time an answer is kept, in seconds. */
  success: number;
  denial: number;
  /** Zones whose answers of a kind are not kept. */
  disabled: { success: string[]; denial: string[] };
}

/**
 * Keeps answers for the smaller of their TTL and the limit, counting the TTL down; oldest entries leave first.
 * `disable success ZONE` and `disable denial ZONE` leave a zone out: what a cluster's names stand for changes faster
 * than any TTL.
 */
export class CachePlugin implements Plugin {
  readonly name = 'cache';
  readonly #entries = new Map<string, { answer: Answer; storedMs: number; expiresMs: number }>();
  readonly #rules: CacheRules;
  readonly #nowMs: () => number;

  constructor(directive: Directive, blockZones: readonly string[], nowMs: () => number) {
    this.#rules = cacheRules(directive, blockZones);
    this.#nowMs = nowMs;
  }

  async serve(query: Query, _client: Client, next: Next): Promise<Answer> {
    const key = `${query.question.type} ${query.question.name}`;
    const now = this.#nowMs();
    const hit = this.#entries.get(key);
    if (hit && hit.expiresMs > now) return aged(hit.answer, Math.floor((now - hit.storedMs) / 1000));
    this.#entries.delete(key);
    const answer = await next();
    const seconds = this.#lifetime(query, answer);
    if (seconds > 0) {
      if (this.#entries.size >= MAX_ENTRIES) this.#entries.delete(this.#entries.keys().next().value!);
      this.#entries.set(key, { answer, storedMs: now, expiresMs: now + seconds * 1000 });
    }
    return answer;
  }

  #lifetime(query: Query, answer: Answer): number {
    if (answer.rcode !== 'NOERROR' && answer.rcode !== 'NXDOMAIN') return 0;
    const kind = answer.answers.length > 0 ? 'success' : 'denial';
    const records = kind === 'success' ? answer.answers : answer.authorities;
    if (records.length === 0) return 0;
    if (longestZone(query.question.name, this.#rules.disabled[kind]) !== undefined) return 0;
    return Math.min(this.#rules[kind], ...records.map((record) => record.ttlSeconds));
  }
}

function cacheRules(directive: Directive, blockZones: readonly string[]): CacheRules {
  const seconds = (text: string | undefined, fallback: number): number => {
    if (text === undefined) return fallback;
    if (!/^\d+$/.test(text)) throw corefileError(directive, `cache TTL "${text}" is not a number of seconds`);
    return Number(text);
  };
  const most = seconds(directive.args[0], DEFAULT_POSITIVE_SECONDS);
  const rules: CacheRules = {
    success: most,
    denial: Math.min(most, DEFAULT_NEGATIVE_SECONDS),
    disabled: { success: [], denial: [] },
  };
  for (const { name, args } of directive.block) {
    // `success CAPACITY [TTL [MINTTL]]`: the capacity is ours.
    if (name === 'success' || name === 'denial') rules[name] = seconds(args[1], rules[name]);
    else if (name === 'disable') {
      const [kind, ...zones] = args;
      if (kind !== 'success' && kind !== 'denial') {
        throw corefileError(
          directive,
          `cache type for disable must be "success" or "denial", not "${kind ?? ''}"`,
        );
      }
      rules.disabled[kind].push(
        ...(zones.length > 0 ? zones : blockZones).map((zone) => zone.toLowerCase().replace(/\.$/, '')),
      );
    } else if (name !== 'prefetch' && name !== 'serve_stale' && name !== 'keepttl') {
      throw corefileError(directive, `unknown property '${name}'`);
    }
  }
  return rules;
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
