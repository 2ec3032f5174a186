import type { Answer, DnsRecord, Query } from '../message.ts';
import type { Client, Next, Plugin } from '../plugin.ts';

/** Shuffles address records, so that clients that take the first spread out. */
export class LoadbalancePlugin implements Plugin {
  readonly name = 'loadbalance';
  readonly #random32: () => number;

  constructor(random32: () => number) {
    this.#random32 = random32;
  }

  async serve(_query: Query, _client: Client, next: Next): Promise<Answer> {
    const answer = await next();
    if (answer.answers.length < 2) return answer;
    const fixed = answer.answers.filter((record) => record.type === 'CNAME');
    const shuffled = answer.answers.filter((record) => record.type !== 'CNAME');
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.#random32() % (i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j] as DnsRecord, shuffled[i] as DnsRecord];
    }
    return { ...answer, answers: [...fixed, ...shuffled] };
  }
}
