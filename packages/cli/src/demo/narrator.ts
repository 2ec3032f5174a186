import { paint, say } from '../output.ts';
import { wrap } from '../trace/render.ts';

/** Prints a demo step by step and counts what held. */
export class Narrator {
  #step = 0;
  held = 0;
  readonly failed: string[] = [];

  step(title: string, ...text: string[]): void {
    say(`\n${paint('bold', `${++this.#step}. ${title}`)}`);
    for (const paragraph of text) for (const line of wrap(paragraph, 96)) say(`   ${line}`);
  }

  show(block: string): void {
    for (const line of block.split('\n')) say(`   ${line}`);
  }

  /** Says whether a statement about what was just seen holds; a failed one makes the demo fail. */
  check(statement: string, holds: boolean, seen?: unknown): void {
    if (holds) {
      this.held++;
      say(`   ${paint('green', 'held:')} ${statement}`);
    } else {
      this.failed.push(statement);
      say(
        `   ${paint('red', 'DID NOT HOLD:')} ${statement}${seen === undefined ? '' : ` (seen: ${JSON.stringify(seen)})`}`,
      );
    }
  }
}
