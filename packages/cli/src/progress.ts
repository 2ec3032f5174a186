import ora from 'ora';

/** Says what is being waited for: a spinner on a terminal, one plain line per stage elsewhere, nothing when quiet. */
export interface Progress {
  stage(text: string): void;
  done(text: string): void;
  stop(): void;
}

export function startProgress(quiet: boolean): Progress {
  if (quiet) return { stage() {}, done() {}, stop() {} };
  if (!process.stderr.isTTY) {
    let last = '';
    const line = (text: string): void => {
      if (text !== last) process.stderr.write(`${text}\n`);
      last = text;
    };
    return { stage: line, done: line, stop() {} };
  }
  const spinner = ora({ stream: process.stderr, discardStdin: false });
  return {
    stage: (text) => void (spinner.isSpinning ? (spinner.text = text) : spinner.start(text)),
    done: (text) => void spinner.succeed(text),
    stop: () => void spinner.stop(),
  };
}
