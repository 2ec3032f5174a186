import type { Streams } from './redirects.ts';

/** `break`, `continue`, `return` and `exit` leave by these. */
export class LoopExit {
  readonly kind: 'break' | 'continue';
  levels: number;
  constructor(kind: 'break' | 'continue', levels: number) {
    this.kind = kind;
    this.levels = levels;
  }
}
export class FunctionReturn {
  readonly code: number;
  constructor(code: number) {
    this.code = code;
  }
}
export class ShellExit {
  readonly code: number;
  constructor(code: number) {
    this.code = code;
  }
}

export async function complain(streams: Streams, text: string): Promise<void> {
  await streams.stderr.write(`${text}\n`);
}
