import {
  type AndOr,
  type Assignment,
  type Command,
  type Pipeline,
  type Redirect,
  type Script,
  SyntaxProblem,
  type Word,
  type WordPart,
} from './syntax.ts';

/** Nesting deeper than this is refused rather than risking our own stack. */
const MAX_DEPTH = 60;
export const MAX_SCRIPT_CHARACTERS = 256 * 1024;

const RESERVED = new Set([
  'if',
  'then',
  'elif',
  'else',
  'fi',
  'for',
  'while',
  'until',
  'do',
  'done',
  'case',
  'esac',
  '{',
  '}',
  '!',
  '[[',
]);
const CLOSERS = new Set(['then', 'elif', 'else', 'fi', 'do', 'done', 'esac', '}']);
const BLANK = /[ \t]/;
const METACHARACTER = /[ \t\n;&|<>()]/;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;

/**
 * Parses a whole script; with `bash`, also `((…))`, `for ((…))` and `function f {`. Throws SyntaxProblem, with dash's
 * kind of message, and nothing else.
 */
export function parseScript(text: string, bash = false): Script {
  if (text.length > MAX_SCRIPT_CHARACTERS) throw new SyntaxProblem('script too long');
  const parser = new Parser(text, bash);
  const script = parser.list();
  parser.expectEnd();
  return script;
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  /** Here-documents whose bodies begin after the next newline. */
  #pendingHereDocuments: { redirect: Redirect; delimiter: string; expand: boolean; stripTabs: boolean }[] =
    [];

  readonly #bash: boolean;

  constructor(text: string, bash: boolean) {
    this.#text = text;
    this.#bash = bash;
  }

  expectEnd(): void {
    this.#skipNewlines();
    if (this.#at < this.#text.length) throw this.#unexpected();
    if (this.#pendingHereDocuments.length > 0) this.#readHereDocuments();
  }

  /** Commands up to a closing word, `)` or `;;`, or the end. */
  list(): Script {
    if (++this.#depth > MAX_DEPTH) throw new SyntaxProblem('nesting too deep');
    const script: Script = [];
    for (;;) {
      this.#skipNewlines();
      if (this.#atEnd() || this.#peekIs(')') || this.#peekIs(';;') || CLOSERS.has(this.#peekWord())) break;
      const item = this.#andOr();
      this.#skipBlanks();
      if (this.#peekIs('&') && !this.#peekIs('&&')) {
        this.#at++;
        item.background = true;
      } else if (this.#peekIs(';') && !this.#peekIs(';;')) this.#at++;
      else if (!this.#peekIs('\n') && !this.#atEnd() && !this.#peekIs(')') && !this.#peekIs(';;'))
        throw this.#unexpected();
      script.push(item);
    }
    this.#depth--;
    return script;
  }

  /** A list that may not be empty. */
  #commands(): Script {
    const script = this.list();
    if (script.length === 0) throw this.#unexpected();
    return script;
  }

  #andOr(): AndOr {
    const item: AndOr = { first: this.#pipeline(), rest: [], background: false };
    for (;;) {
      this.#skipBlanks();
      const operator = this.#peekIs('&&') ? '&&' : this.#peekIs('||') ? '||' : undefined;
      if (!operator) return item;
      this.#at += 2;
      this.#skipNewlines();
      item.rest.push({ operator, pipeline: this.#pipeline() });
    }
  }

  #pipeline(): Pipeline {
    this.#skipBlanks();
    let negated = false;
    while (this.#peekWord() === '!') {
      this.#at++;
      negated = !negated;
      this.#skipBlanks();
    }
    const commands = [this.#command()];
    for (;;) {
      this.#skipBlanks();
      if (!this.#peekIs('|') || this.#peekIs('||')) return { negated, commands };
      this.#at++;
      if (this.#peekIs('&')) {
        this.#at++;
        redirectsOf(commands.at(-1)!)?.push({
          fd: 2,
          operator: '>&',
          target: [{ type: 'literal', text: '1', quoted: true }],
        });
      }
      this.#skipNewlines();
      commands.push(this.#command());
    }
  }

  #command(): Command {
    this.#skipBlanks();
    if (this.#bash && this.#peekIs('((')) {
      const expression = this.#arithmeticSource(2);
      if (expression) return { type: 'arithmetic', expression: expression[0]!, redirects: this.#redirects() };
    }
    if (this.#peekIs('(')) {
      this.#at++;
      const body = this.#commands();
      this.#skipNewlines();
      this.#expect(')');
      return { type: 'subshell', body, redirects: this.#redirects() };
    }
    const word = this.#peekWord();
    switch (word) {
      case '{': {
        this.#at++;
        const body = this.#commands();
        this.#expectWord('}');
        return { type: 'group', body, redirects: this.#redirects() };
      }
      case 'if':
        return this.#if();
      case 'while':
      case 'until': {
        this.#at += word.length;
        const condition = this.#commands();
        const body = this.#doGroup();
        return { type: 'loop', until: word === 'until', condition, body, redirects: this.#redirects() };
      }
      case 'for':
        return this.#for();
      case 'case':
        return this.#case();
      case '[[':
        return this.#doubleBracket();
    }
    if (CLOSERS.has(word)) throw this.#unexpected();
    const head = this.#text.slice(this.#at, this.#at + 200);
    const definition =
      /^(?:function[ \t]+)?([A-Za-z_][A-Za-z0-9_-]*)[ \t]*\([ \t]*\)/.exec(head) ??
      (this.#bash ? /^function[ \t]+([A-Za-z_][A-Za-z0-9_-]*)(?=\s*\{)/.exec(head) : null);
    if (definition && !RESERVED.has(definition[1]!)) {
      this.#at += definition[0].length;
      this.#skipNewlines();
      return { type: 'function', name: definition[1]!, body: this.#deeper(() => this.#command()) };
    }
    return this.#simple();
  }

  #if(): Command {
    this.#at += 2;
    const branches: { condition: Script; body: Script }[] = [];
    let otherwise: Script | undefined;
    for (;;) {
      const condition = this.#commands();
      this.#expectWord('then');
      branches.push({ condition, body: this.#commands() });
      const next = this.#peekWord();
      if (next === 'elif') {
        this.#at += 4;
        continue;
      }
      if (next === 'else') {
        this.#at += 4;
        otherwise = this.#commands();
      }
      this.#expectWord('fi');
      return { type: 'if', branches, otherwise, redirects: this.#redirects() };
    }
  }

  #for(): Command {
    this.#at += 3;
    this.#skipBlanks();
    if (this.#bash && this.#peekIs('((')) {
      const [init, condition, step] = this.#arithmeticSource(2, 3) ?? this.#fail();
      this.#skipBlanks();
      if (this.#peekIs(';')) this.#at++;
      const body = this.#doGroup();
      return {
        type: 'count',
        init: init!,
        condition: condition!,
        step: step!,
        body,
        redirects: this.#redirects(),
      };
    }
    const name = NAME.exec(this.#text.slice(this.#at, this.#at + 256))?.[0];
    if (!name) throw new SyntaxProblem('Bad for loop variable');
    this.#at += name.length;
    this.#skipNewlines();
    let words: Word[] | undefined;
    if (this.#peekWord() === 'in') {
      this.#at += 2;
      words = [];
      for (this.#skipBlanks(); !this.#atEnd() && !/[\n;]/.test(this.#text[this.#at]!); this.#skipBlanks()) {
        words.push(this.#word() ?? this.#fail());
      }
    }
    this.#skipBlanks();
    if (this.#peekIs(';')) this.#at++;
    return { type: 'for', name, words, body: this.#doGroup(), redirects: this.#redirects() };
  }

  /** The expression in `((…))` here, or its three parts; undefined, and nothing read, when it does not end so. */
  #arithmeticSource(open: number, parts = 1): Word[] | undefined {
    const end = this.#findArithmeticEnd(this.#at + open);
    if (end < 0) return undefined;
    const sources =
      parts === 1
        ? [this.#text.slice(this.#at + open, end)]
        : this.#text.slice(this.#at + open, end).split(';');
    if (sources.length !== parts) return undefined;
    this.#at = end + 2;
    return sources.map((source) => parseHereDocument(source, this.#depth));
  }

  #doGroup(): Script {
    this.#skipNewlines();
    this.#expectWord('do');
    const body = this.#commands();
    this.#expectWord('done');
    return body;
  }

  #case(): Command {
    this.#at += 4;
    this.#skipBlanks();
    const subject = this.#word() ?? this.#fail();
    this.#skipNewlines();
    this.#expectWord('in');
    const branches: { patterns: Word[]; body: Script }[] = [];
    for (;;) {
      this.#skipNewlines();
      if (this.#peekWord() === 'esac') break;
      if (this.#atEnd()) throw this.#unexpected();
      if (this.#peekIs('(')) this.#at++;
      const patterns: Word[] = [];
      do {
        this.#skipBlanks();
        patterns.push(this.#word() ?? this.#fail());
        this.#skipBlanks();
      } while (this.#peekIs('|') && ++this.#at);
      this.#expect(')');
      branches.push({ patterns, body: this.list() });
      this.#skipBlanks();
      if (this.#peekIs(';;')) this.#at += 2;
    }
    this.#expectWord('esac');
    return { type: 'case', subject, branches, redirects: this.#redirects() };
  }

  /** `[[ … ]]` keeps `&&`, `||`, `<` and `>` as words of its own. */
  #doubleBracket(): Command {
    this.#at += 2;
    const words: Word[] = [];
    for (;;) {
      this.#skipNewlines();
      if (this.#atEnd()) throw this.#unexpected();
      const operator = /^(?:&&|\|\||[<>()])/.exec(this.#text.slice(this.#at, this.#at + 2))?.[0];
      if (operator) {
        this.#at += operator.length;
        words.push([{ type: 'literal', text: operator, quoted: false }]);
        continue;
      }
      if (this.#peekWord() === ']]') {
        this.#at += 2;
        return { type: 'test', words, redirects: this.#redirects() };
      }
      const isMatch = this.#peekWord() === '=~';
      words.push(this.#word() ?? this.#fail());
      if (isMatch) words.push(this.#regexWord());
    }
  }

  /** The right side of `=~`: up to a blank, with backslashes and parentheses as they stand. */
  #regexWord(): Word {
    this.#skipBlanks();
    const parts: Word = [];
    while (!this.#atEnd() && !/\s/.test(this.#text[this.#at]!)) {
      const c = this.#text[this.#at]!;
      if ('"\'`$'.includes(c)) this.#wordPart(c, parts, false);
      else {
        const text = this.#text.slice(this.#at, this.#at + (c === '\\' ? 2 : 1));
        parts.push({ type: 'literal', text, quoted: false });
        this.#at += text.length;
      }
    }
    return parts;
  }

  #simple(): Command {
    const assignments: Assignment[] = [];
    const words: Word[] = [];
    const redirects: Redirect[] = [];
    for (;;) {
      this.#skipBlanks();
      const redirect = this.#redirect();
      if (redirect) {
        redirects.push(redirect);
        continue;
      }
      const start = this.#at;
      const assigned =
        words.length === 0 ? /^([A-Za-z_][A-Za-z0-9_]*)=/.exec(this.#text.slice(start, start + 256)) : null;
      if (assigned) {
        this.#at += assigned[0].length;
        assignments.push({ name: assigned[1]!, value: this.#word() ?? [] });
        continue;
      }
      const word = this.#word();
      if (!word) break;
      words.push(word);
    }
    if (assignments.length + words.length + redirects.length === 0) throw this.#unexpected();
    return { type: 'simple', assignments, words, redirects };
  }

  #redirects(): Redirect[] {
    const redirects: Redirect[] = [];
    for (;;) {
      this.#skipBlanks();
      const redirect = this.#redirect();
      if (!redirect) return redirects;
      redirects.push(redirect);
    }
  }

  #redirect(): Redirect | undefined {
    const match = /^(\d*)(&>>?|<<<|<<-?|<&|<>|>&|>>|>\||<|>)/.exec(this.#text.slice(this.#at, this.#at + 12));
    if (!match) return undefined;
    this.#at += match[0].length;
    const symbol = match[2]!;
    this.#skipBlanks();
    const start = this.#at;
    const target = this.#word();
    if (!target) throw this.#unexpected();
    const fd =
      match[1] !== '' ? Number(match[1]) : symbol.startsWith('<') ? 0 : symbol.startsWith('&') ? -1 : 1;
    if (symbol === '<<' || symbol === '<<-') {
      const redirect: Redirect = { fd, operator: '<<', target: [] };
      const raw = this.#text.slice(start, this.#at);
      this.#pendingHereDocuments.push({
        redirect,
        delimiter: raw.replace(/["'\\]/g, ''),
        expand: !/["'\\]/.test(raw),
        stripTabs: symbol === '<<-',
      });
      return redirect;
    }
    const operator =
      symbol === '>|' || symbol === '&>' ? '>' : symbol === '&>>' ? '>>' : (symbol as Redirect['operator']);
    return { fd, operator, target };
  }

  #readHereDocuments(): void {
    for (const { redirect, delimiter, expand, stripTabs } of this.#pendingHereDocuments.splice(0)) {
      let body = '';
      for (;;) {
        if (this.#at >= this.#text.length) break; // As dash: the end of input also ends a here-document.
        const end = this.#text.indexOf('\n', this.#at);
        let line = this.#text.slice(this.#at, end < 0 ? this.#text.length : end);
        this.#at = end < 0 ? this.#text.length : end + 1;
        if (stripTabs) line = line.replace(/^\t+/, '');
        if (line === delimiter) break;
        body += `${line}\n`;
      }
      redirect.target = expand ? parseHereDocument(body) : [{ type: 'literal', text: body, quoted: true }];
    }
  }

  /** One word, or undefined when a metacharacter or the end stands here. */
  #word(): Word | undefined {
    const parts: Word = [];
    const start = this.#at;
    while (!this.#atEnd()) {
      const c = this.#text[this.#at]!;
      if (METACHARACTER.test(c)) break;
      if (c === '#' && this.#at === start) break;
      this.#wordPart(c, parts, false);
    }
    return this.#at === start ? undefined : parts;
  }

  /** Reads one part at the current character; `inQuotes` is inside double quotes. */
  #wordPart(c: string, parts: Word, inQuotes: boolean): void {
    switch (c) {
      case '\\': {
        const next = this.#text[this.#at + 1];
        this.#at += 2;
        if (next === undefined) parts.push({ type: 'literal', text: '\\', quoted: true });
        else if (next === '\n') return;
        else if (inQuotes && !'$`"\\'.includes(next))
          parts.push({ type: 'literal', text: `\\${next}`, quoted: true });
        else parts.push({ type: 'literal', text: next, quoted: true });
        return;
      }
      case "'": {
        if (inQuotes) break;
        const end = this.#text.indexOf("'", this.#at + 1);
        if (end < 0) throw new SyntaxProblem('Unterminated quoted string', true);
        parts.push({ type: 'literal', text: this.#text.slice(this.#at + 1, end), quoted: true });
        this.#at = end + 1;
        return;
      }
      case '"': {
        this.#at++;
        const before = parts.length;
        while (this.#text[this.#at] !== '"') {
          if (this.#atEnd()) throw new SyntaxProblem('Unterminated quoted string', true);
          this.#wordPart(this.#text[this.#at]!, parts, true);
        }
        this.#at++;
        if (parts.length === before) parts.push({ type: 'literal', text: '', quoted: true });
        return;
      }
      case '`': {
        const end = this.#findBacktick();
        const source = this.#text.slice(this.#at + 1, end).replace(/\\([$`\\])/g, '$1');
        this.#at = end + 1;
        parts.push({ type: 'command', script: this.#nested(source), quoted: inQuotes });
        return;
      }
      case '$':
        this.#dollar(parts, inQuotes);
        return;
    }
    const text = this.#plainRun(inQuotes);
    parts.push({ type: 'literal', text, quoted: inQuotes });
  }

  /** A run of characters that mean only themselves. */
  #plainRun(inQuotes: boolean): string {
    const start = this.#at++;
    while (!this.#atEnd()) {
      const c = this.#text[this.#at]!;
      if ('\\"`$'.includes(c) || (!inQuotes && (c === "'" || METACHARACTER.test(c)))) break;
      this.#at++;
    }
    return this.#text.slice(start, this.#at);
  }

  #dollar(parts: Word, quoted: boolean): void {
    const next = this.#text[this.#at + 1];
    if (next === '(' && this.#text[this.#at + 2] === '(') {
      const end = this.#findArithmeticEnd(this.#at + 3);
      if (end >= 0) {
        const source = this.#text.slice(this.#at + 3, end);
        this.#at = end + 2;
        parts.push({ type: 'arithmetic', expression: parseHereDocument(source, this.#depth), quoted });
        return;
      }
    }
    if (next === '(') {
      this.#at += 2;
      const script = this.list();
      this.#skipNewlines();
      this.#expect(')');
      parts.push({ type: 'command', script, quoted });
      return;
    }
    if (next === '{') {
      this.#at += 2;
      parts.push(this.#deeper(() => this.#braced(quoted)));
      return;
    }
    const name =
      NAME.exec(this.#text.slice(this.#at + 1, this.#at + 257))?.[0] ??
      (next !== undefined && /[0-9?$#@*!-]/.test(next) ? next : undefined);
    if (name === undefined) {
      this.#at++;
      parts.push({ type: 'literal', text: '$', quoted });
      return;
    }
    this.#at += 1 + name.length;
    parts.push({ type: 'parameter', name, operator: '', argument: undefined, quoted });
  }

  /** After `${`. */
  #braced(quoted: boolean): WordPart {
    const rest = this.#text.slice(this.#at, this.#at + 300);
    const length = /^#([A-Za-z_][A-Za-z0-9_]*|[0-9@*?$!-])\}/.exec(rest);
    if (length) {
      this.#at += length[0].length;
      return { type: 'parameter', name: length[1]!, operator: 'length', argument: undefined, quoted };
    }
    const head =
      /^([A-Za-z_][A-Za-z0-9_]*(?:\[\d{1,4}\])?|[0-9]+|[@*#?$!-])(:?[-=?+]|%%?|##?|\/\/?|\^\^?|,,?|:)?/.exec(
        rest,
      );
    if (!head) throw new SyntaxProblem('Bad substitution');
    this.#at += head[0].length;
    const argument: Word = [];
    while (this.#text[this.#at] !== '}') {
      if (this.#atEnd()) throw new SyntaxProblem('Missing }', true);
      const c = this.#text[this.#at]!;
      if ('\\"`$'.includes(c) || (c === "'" && !quoted)) this.#wordPart(c, argument, false);
      else {
        this.#at++;
        argument.push({ type: 'literal', text: c, quoted: false });
      }
    }
    this.#at++;
    if (!head[2] && argument.length > 0) throw new SyntaxProblem('Bad substitution');
    return { type: 'parameter', name: head[1]!, operator: head[2] ?? '', argument, quoted };
  }

  #deeper<T>(parse: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new SyntaxProblem('nesting too deep');
    const result = parse();
    this.#depth--;
    return result;
  }

  #nested(source: string): Script {
    if (this.#depth >= MAX_DEPTH) throw new SyntaxProblem('nesting too deep');
    const parser = new Parser(source, this.#bash);
    parser.#depth = this.#depth + 1;
    const script = parser.list();
    parser.expectEnd();
    return script;
  }

  #findBacktick(): number {
    for (let i = this.#at + 1; i < this.#text.length; i++) {
      if (this.#text[i] === '\\') i++;
      else if (this.#text[i] === '`') return i;
    }
    throw new SyntaxProblem('EOF in backquote substitution', true);
  }

  /** Index of the `))` that closes the expression beginning at `start`, or -1. */
  #findArithmeticEnd(start: number): number {
    let depth = 0;
    for (let i = start; i < this.#text.length; i++) {
      const c = this.#text[i];
      if (c === '(') depth++;
      else if (c === ')') {
        if (depth === 0) return this.#text[i + 1] === ')' ? i : -1;
        depth--;
      }
    }
    return -1;
  }

  #skipBlanks(): void {
    while (!this.#atEnd()) {
      const c = this.#text[this.#at]!;
      if (BLANK.test(c)) this.#at++;
      else if (c === '\\' && this.#text[this.#at + 1] === '\n') this.#at += 2;
      else if (c === '#') {
        const end = this.#text.indexOf('\n', this.#at);
        this.#at = end < 0 ? this.#text.length : end;
      } else return;
    }
  }

  #skipNewlines(): void {
    for (;;) {
      this.#skipBlanks();
      if (this.#text[this.#at] !== '\n') return;
      this.#at++;
      if (this.#pendingHereDocuments.length > 0) this.#readHereDocuments();
    }
  }

  #atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  #peekIs(text: string): boolean {
    return this.#text.startsWith(text, this.#at);
  }

  /** The unquoted word here, for comparison with reserved words. */
  #peekWord(): string {
    let end = this.#at;
    while (end < this.#text.length && end - this.#at < 12 && !METACHARACTER.test(this.#text[end]!)) end++;
    return this.#text.slice(this.#at, end);
  }

  #expect(text: string): void {
    if (!this.#peekIs(text)) throw this.#unexpected(text);
    this.#at += text.length;
  }

  #expectWord(word: string): void {
    this.#skipNewlines();
    if (this.#peekWord() !== word) throw this.#unexpected(word);
    this.#at += word.length;
  }

  #fail(): never {
    throw this.#unexpected();
  }

  #unexpected(expected?: string): SyntaxProblem {
    const wanted = expected ? ` (expecting "${expected}")` : '';
    if (this.#atEnd()) return new SyntaxProblem(`Syntax error: end of file unexpected${wanted}`, true);
    if (this.#peekIs('\n')) return new SyntaxProblem(`Syntax error: newline unexpected${wanted}`);
    const found =
      /^(?:&&|\|\||;;|[;&|()<>])/.exec(this.#text.slice(this.#at, this.#at + 2))?.[0] ?? this.#peekWord();
    const noun = CLOSERS.has(found) || METACHARACTER.test(found[0] ?? ' ') ? `"${found}"` : 'word';
    return new SyntaxProblem(`Syntax error: ${noun} unexpected${wanted}`);
  }

  /** Text in which only `$`, backquotes and `\` are special, as in a here-document or an arithmetic expression. */
  inQuotes(depth: number): Word {
    this.#depth = depth + 1;
    if (this.#depth > MAX_DEPTH) throw new SyntaxProblem('nesting too deep');
    const parts: Word = [];
    while (!this.#atEnd()) {
      const c = this.#text[this.#at]!;
      if (c === '"') {
        this.#at++;
        parts.push({ type: 'literal', text: '"', quoted: true });
      } else this.#wordPart(c, parts, true);
    }
    return parts;
  }
}

function parseHereDocument(text: string, depth = 0): Word {
  return new Parser(text, false).inQuotes(depth);
}

function redirectsOf(command: Command): Redirect[] | undefined {
  return command.type === 'function' ? undefined : command.redirects;
}
