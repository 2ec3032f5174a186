import { styleText } from 'node:util';
import type { Ora } from 'ora';

/** Says what is being waited for: a spinner on a terminal, one plain line per stage elsewhere, nothing when quiet. */
export interface Progress {
  stage(text: string): void;
  done(text: string): void;
  stop(): void;
}

export function startProgress(quiet: boolean): Progress {
  if (quiet) return { stage() {}, done() {}, stop() {} };
  // A terminal without a width, as some programs make one, is none that a spinner could draw on.
  if (!process.stderr.isTTY || !process.stderr.columns) {
    let last = '';
    const line = (text: string): void => {
      if (text !== last) process.stderr.write(`${text}\n`);
      last = text;
    };
    return { stage: line, done: line, stop() {} };
  }
  // Loading the spinner takes as long as starting a process: nothing waits for it.
  let spinner: Ora | undefined;
  let text = '';
  let isOver = false;
  void import('ora').then(({ default: ora }) => {
    if (!isOver) spinner = ora({ text, stream: process.stderr, discardStdin: false }).start();
  });
  const stop = (): void => {
    isOver = true;
    spinner?.stop();
  };
  return {
    stage(next) {
      text = next;
      if (spinner) spinner.text = next;
    },
    done(last) {
      stop();
      process.stderr.write(`${styleText('green', '✔', { stream: process.stderr })} ${last}\n`);
    },
    stop,
  };
}
