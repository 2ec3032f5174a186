import { type Script, SyntaxProblem, type Word, type WordPart } from './syntax.ts';

/** Nesting deeper than this is refused rather than risking our own stack. */
export const MAX_DEPTH = 60;
const BLANK = /[ \t]/;
export const METACHARACTER = /[ \t\n;&|<>()]/;
export const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;
/** Words that end a list of commands. */
export const CLOSERS = new Set(['then', 'elif', 'else', 'fi', 'do', 'done', 'esac', '}']);

/** The words of the shell's grammar (POSIX 2.2, 2.6): quotes, parameters, substitutions. The grammar itself is Parser's. */
export abstract class WordParser {
  protected readonly text: string;
  protected readonly bash: boolean;
  protected at = 0;
  protected depth = 0;

  constructor(text: string, bash: boolean) {
    this.text = text;
    this.bash = bash;
  }

  /** Commands up to a closing word, `)` or `;;`, or the end. */
  abstract list(): Script;
  abstract expectEnd(): void;
  protected abstract skipNewlines(): void;
  /** A parser of the same kind for a text inside this one. */
  protected abstract another(source: string): WordParser;

  /** One word, or undefined when a metacharacter or the end stands here. */
  protected word(): Word | undefined {
    const parts: Word = [];
    const start = this.at;
    while (!this.atEnd()) {
      const c = this.text[this.at]!;
      if (METACHARACTER.test(c)) break;
      if (c === '#' && this.at === start) break;
      this.wordPart(c, parts, false);
    }
    return this.at === start ? undefined : parts;
  }

  /** Reads one part at the current character; `inQuotes` is inside double quotes. */
  protected wordPart(c: string, parts: Word, inQuotes: boolean): void {
    switch (c) {
      case '\\': {
        const next = this.text[this.at + 1];
        this.at += 2;
        if (next === undefined) parts.push({ type: 'literal', text: '\\', quoted: true });
        else if (next === '\n') return;
        else if (inQuotes && !'$`"\\'.includes(next))
          parts.push({ type: 'literal', text: `\\${next}`, quoted: true });
        else parts.push({ type: 'literal', text: next, quoted: true });
        return;
      }
      case "'": {
        if (inQuotes) break;
        const end = this.text.indexOf("'", this.at + 1);
        if (end < 0) throw new SyntaxProblem('Unterminated quoted string', true);
        parts.push({ type: 'literal', text: this.text.slice(this.at + 1, end), quoted: true });
        this.at = end + 1;
        return;
      }
      case '"': {
        this.at++;
        const before = parts.length;
        while (this.text[this.at] !== '"') {
          if (this.atEnd()) throw new SyntaxProblem('Unterminated quoted string', true);
          this.wordPart(this.text[this.at]!, parts, true);
        }
        this.at++;
        if (parts.length === before) parts.push({ type: 'literal', text: '', quoted: true });
        return;
      }
      case '`': {
        const end = this.findBacktick();
        const source = this.text.slice(this.at + 1, end).replace(/\\([$`\\])/g, '$1');
        this.at = end + 1;
        parts.push({ type: 'command', script: this.nested(source), quoted: inQuotes });
        return;
      }
      case '$':
        this.dollar(parts, inQuotes);
        return;
    }
    const text = this.plainRun(inQuotes);
    parts.push({ type: 'literal', text, quoted: inQuotes });
  }

  /** A run of characters that mean only themselves. */
  protected plainRun(inQuotes: boolean): string {
    const start = this.at++;
    while (!this.atEnd()) {
      const c = this.text[this.at]!;
      if ('\\"`$'.includes(c) || (!inQuotes && (c === "'" || METACHARACTER.test(c)))) break;
      this.at++;
    }
    return this.text.slice(start, this.at);
  }

  protected dollar(parts: Word, quoted: boolean): void {
    const next = this.text[this.at + 1];
    if (next === '(' && this.text[this.at + 2] === '(') {
      const end = this.findArithmeticEnd(this.at + 3);
      if (end >= 0) {
        const source = this.text.slice(this.at + 3, end);
        this.at = end + 2;
        parts.push({ type: 'arithmetic', expression: this.another(source).inQuotes(this.depth), quoted });
        return;
      }
    }
    if (next === '(') {
      this.at += 2;
      const script = this.list();
      this.skipNewlines();
      this.expect(')');
      parts.push({ type: 'command', script, quoted });
      return;
    }
    if (next === '{') {
      this.at += 2;
      parts.push(this.deeper(() => this.braced(quoted)));
      return;
    }
    const name =
      NAME.exec(this.text.slice(this.at + 1, this.at + 257))?.[0] ??
      (next !== undefined && /[0-9?$#@*!-]/.test(next) ? next : undefined);
    if (name === undefined) {
      this.at++;
      parts.push({ type: 'literal', text: '$', quoted });
      return;
    }
    this.at += 1 + name.length;
    parts.push({ type: 'parameter', name, operator: '', argument: undefined, quoted });
  }

  /** After `${`. */
  protected braced(quoted: boolean): WordPart {
    const rest = this.text.slice(this.at, this.at + 300);
    const length = /^#([A-Za-z_][A-Za-z0-9_]*|[0-9@*?$!-])\}/.exec(rest);
    if (length) {
      this.at += length[0].length;
      return { type: 'parameter', name: length[1]!, operator: 'length', argument: undefined, quoted };
    }
    const head =
      /^([A-Za-z_][A-Za-z0-9_]*(?:\[\d{1,4}\])?|[0-9]+|[@*#?$!-])(:?[-=?+]|%%?|##?|\/\/?|\^\^?|,,?|:)?/.exec(
        rest,
      );
    if (!head) throw new SyntaxProblem('Bad substitution');
    this.at += head[0].length;
    const argument: Word = [];
    while (this.text[this.at] !== '}') {
      if (this.atEnd()) throw new SyntaxProblem('Missing }', true);
      const c = this.text[this.at]!;
      if ('\\"`$'.includes(c) || (c === "'" && !quoted)) this.wordPart(c, argument, false);
      else {
        this.at++;
        argument.push({ type: 'literal', text: c, quoted: false });
      }
    }
    this.at++;
    if (!head[2] && argument.length > 0) throw new SyntaxProblem('Bad substitution');
    return { type: 'parameter', name: head[1]!, operator: head[2] ?? '', argument, quoted };
  }

  protected deeper<T>(parse: () => T): T {
    if (++this.depth > MAX_DEPTH) throw new SyntaxProblem('nesting too deep');
    const result = parse();
    this.depth--;
    return result;
  }

  protected nested(source: string): Script {
    if (this.depth >= MAX_DEPTH) throw new SyntaxProblem('nesting too deep');
    const parser = this.another(source);
    parser.depth = this.depth + 1;
    const script = parser.list();
    parser.expectEnd();
    return script;
  }

  protected findBacktick(): number {
    for (let i = this.at + 1; i < this.text.length; i++) {
      if (this.text[i] === '\\') i++;
      else if (this.text[i] === '`') return i;
    }
    throw new SyntaxProblem('EOF in backquote substitution', true);
  }

  /** Index of the `))` that closes the expression beginning at `start`, or -1. */
  protected findArithmeticEnd(start: number): number {
    let depth = 0;
    for (let i = start; i < this.text.length; i++) {
      const c = this.text[i];
      if (c === '(') depth++;
      else if (c === ')') {
        if (depth === 0) return this.text[i + 1] === ')' ? i : -1;
        depth--;
      }
    }
    return -1;
  }

  protected skipBlanks(): void {
    while (!this.atEnd()) {
      const c = this.text[this.at]!;
      if (BLANK.test(c)) this.at++;
      else if (c === '\\' && this.text[this.at + 1] === '\n') this.at += 2;
      else if (c === '#') {
        const end = this.text.indexOf('\n', this.at);
        this.at = end < 0 ? this.text.length : end;
      } else return;
    }
  }

  protected atEnd(): boolean {
    return this.at >= this.text.length;
  }

  protected peekIs(text: string): boolean {
    return this.text.startsWith(text, this.at);
  }

  /** The unquoted word here, for comparison with reserved words. */
  protected peekWord(): string {
    let end = this.at;
    while (end < this.text.length && end - this.at < 12 && !METACHARACTER.test(this.text[end]!)) end++;
    return this.text.slice(this.at, end);
  }

  protected fail(): never {
    throw this.unexpected();
  }

  protected unexpected(expected?: string): SyntaxProblem {
    const wanted = expected ? ` (expecting "${expected}")` : '';
    if (this.atEnd()) return new SyntaxProblem(`Syntax error: end of file unexpected${wanted}`, true);
    if (this.peekIs('\n')) return new SyntaxProblem(`Syntax error: newline unexpected${wanted}`);
    const found =
      /^(?:&&|\|\||;;|[;&|()<>])/.exec(this.text.slice(this.at, this.at + 2))?.[0] ?? this.peekWord();
    const noun = CLOSERS.has(found) || METACHARACTER.test(found[0] ?? ' ') ? `"${found}"` : 'word';
    return new SyntaxProblem(`Syntax error: ${noun} unexpected${wanted}`);
  }

  /** Text in which only `$`, backquotes and `\` are special, as in a here-document or an arithmetic expression. */
  inQuotes(depth: number): Word {
    this.depth = depth + 1;
    if (this.depth > MAX_DEPTH) throw new SyntaxProblem('nesting too deep');
    const parts: Word = [];
    while (!this.atEnd()) {
      const c = this.text[this.at]!;
      if (c === '"') {
        this.at++;
        parts.push({ type: 'literal', text: '"', quoted: true });
      } else this.wordPart(c, parts, true);
    }
    return parts;
  }

  protected expect(text: string): void {
    if (!this.peekIs(text)) throw this.unexpected(text);
    this.at += text.length;
  }
}
