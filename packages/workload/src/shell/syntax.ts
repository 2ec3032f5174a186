/** The syntax tree of a POSIX shell script (IEEE 1003.1-2017, 2.9 and 2.10), as far as one-liners go. */

export type WordPart =
  | { type: 'literal'; text: string; quoted: boolean }
  | { type: 'parameter'; name: string; operator: string; argument: Word | undefined; quoted: boolean }
  | { type: 'command'; script: Script; quoted: boolean }
  | { type: 'arithmetic'; expression: Word; quoted: boolean };

/** A word before expansion: the parts that stand side by side without a blank between. */
export type Word = WordPart[];

export interface Assignment {
  name: string;
  value: Word;
}

export interface Redirect {
  /** -1 for `&>`: both standard output and standard error. */
  fd: number;
  operator: '<' | '>' | '>>' | '<>' | '<&' | '>&' | '<<<' | '<<';
  target: Word;
}

export type Command =
  | { type: 'simple'; assignments: Assignment[]; words: Word[]; redirects: Redirect[] }
  | { type: 'group'; body: Script; redirects: Redirect[] }
  | { type: 'subshell'; body: Script; redirects: Redirect[] }
  | {
      type: 'if';
      branches: { condition: Script; body: Script }[];
      otherwise: Script | undefined;
      redirects: Redirect[];
    }
  | { type: 'loop'; until: boolean; condition: Script; body: Script; redirects: Redirect[] }
  | { type: 'for'; name: string; words: Word[] | undefined; body: Script; redirects: Redirect[] }
  | { type: 'count'; init: Word; condition: Word; step: Word; body: Script; redirects: Redirect[] }
  | { type: 'arithmetic'; expression: Word; redirects: Redirect[] }
  | { type: 'case'; subject: Word; branches: { patterns: Word[]; body: Script }[]; redirects: Redirect[] }
  | { type: 'test'; words: Word[]; redirects: Redirect[] }
  | { type: 'function'; name: string; body: Command };

export interface Pipeline {
  negated: boolean;
  commands: Command[];
}

export interface AndOr {
  first: Pipeline;
  rest: { operator: '&&' | '||'; pipeline: Pipeline }[];
  background: boolean;
}

export type Script = AndOr[];

/** What dash says of a script it cannot read; the shell prints it and exits 2. */
export class SyntaxProblem extends Error {
  /** True when more lines could complete the script: an interactive shell asks for them. */
  readonly incomplete: boolean;
  constructor(message: string, incomplete = false) {
    super(message);
    this.incomplete = incomplete;
  }
}
