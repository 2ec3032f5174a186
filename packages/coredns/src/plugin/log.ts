import type { Answer, Query } from '../message.ts';
import type { Client, Next, Plugin } from '../plugin.ts';

/** One line a query: `10.244.1.5:41822 - A db.default.svc.cluster.local. udp NOERROR 1 answers 0.2ms`. */
export class LogPlugin implements Plugin {
  readonly name = 'log';
  readonly #write: (line: string) => void;
  readonly #nowMs: () => number;

  constructor(write: (line: string) => void, nowMs: () => number) {
    this.#write = write;
    this.#nowMs = nowMs;
  }

  async serve(query: Query, client: Client, next: Next): Promise<Answer> {
    const began = this.#nowMs();
    const answer = await next();
    this.#write(
      `[INFO] ${client.address}:${client.port} - ${query.id} "${query.question.type} IN ${query.question.name}. ${client.protocol}" ${answer.rcode} ${answer.answers.length} ${((this.#nowMs() - began) / 1000).toFixed(6)}s`,
    );
    return answer;
  }
}
