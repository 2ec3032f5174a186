import type { Answer, Query } from './message.ts';

/** Where a query came from: plugins such as log name it, the kubernetes plugin may look it up. */
export interface Client {
  address: string;
  port: number;
  protocol: 'udp' | 'tcp';
}

export type Next = () => Promise<Answer>;

/** One link of a server block's chain. It answers, or asks `next()`, or changes what `next()` answers. */
export interface Plugin {
  readonly name: string;
  serve(query: Query, client: Client, next: Next): Promise<Answer>;
  /** Whether the server may say it is ready; absent means always. */
  ready?(): boolean;
  stop?(): void;
}

/** A directive of a server block: its name, its words, and the lines of its own block. */
export interface Directive {
  name: string;
  args: string[];
  block: { name: string; args: string[] }[];
  line: number;
}

/** Text of a mistake in a Corefile, with the line it is on. */
export class CorefileError extends Error {}

export function corefileError(directive: { line: number }, text: string): CorefileError {
  return new CorefileError(`Corefile:${directive.line} - Error during parsing: ${text}`);
}
