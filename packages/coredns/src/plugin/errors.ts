import { type Answer, emptyAnswer, type Query } from '../message.ts';
import type { Client, Next, Plugin } from '../plugin.ts';

/** Turns a failure further down the chain into SERVFAIL and a line in the log. */
export class ErrorsPlugin implements Plugin {
  readonly name = 'errors';
  readonly #write: (line: string) => void;

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  async serve(query: Query, _client: Client, next: Next): Promise<Answer> {
    try {
      return await next();
    } catch (error) {
      this.#write(
        `[ERROR] plugin/errors: 2 ${query.question.name}. ${query.question.type}: ${(error as Error).message}`,
      );
      return emptyAnswer('SERVFAIL');
    }
  }
}
