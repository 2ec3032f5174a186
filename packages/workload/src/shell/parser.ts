import {
  type AndOr,
  type Assignment,
  type Command,
  type Pipeline,
  type Redirect,
  type Script,
  SyntaxProblem,
  type Word,
} from './syntax.ts';
import { CLOSERS, MAX_DEPTH, NAME, WordParser } from './word-parser.ts';

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

class Parser extends WordParser {
  /** Here-documents whose bodies begin after the next newline. */
  readonly #hereDocuments: { redirect: Redirect; delimiter: string; expand: boolean; stripTabs: boolean }[] =
    [];

  protected another(source: string): Parser {
    return new Parser(source, this.bash);
  }

  expectEnd(): void {
    this.skipNewlines();
    if (this.at < this.text.length) throw this.unexpected();
    if (this.#hereDocuments.length > 0) this.#readHereDocuments();
  }

  /** Commands up to a closing word, `)` or `;;`, or the end. */
  list(): Script {
    if (++this.depth > MAX_DEPTH) throw new SyntaxProblem('nesting too deep');
    const script: Script = [];
    for (;;) {
      this.skipNewlines();
      if (this.atEnd() || this.peekIs(')') || this.peekIs(';;') || CLOSERS.has(this.peekWord())) break;
      const item = this.#andOr();
      this.skipBlanks();
      if (this.peekIs('&') && !this.peekIs('&&')) {
        this.at++;
        item.background = true;
      } else if (this.peekIs(';') && !this.peekIs(';;')) this.at++;
      else if (!this.peekIs('\n') && !this.atEnd() && !this.peekIs(')') && !this.peekIs(';;'))
        throw this.unexpected();
      script.push(item);
    }
    this.depth--;
    return script;
  }

  /** A list that may not be empty. */
  #commands(): Script {
    const script = this.list();
    if (script.length === 0) throw this.unexpected();
    return script;
  }

  #andOr(): AndOr {
    const item: AndOr = { first: this.#pipeline(), rest: [], background: false };
    for (;;) {
      this.skipBlanks();
      const operator = this.peekIs('&&') ? '&&' : this.peekIs('||') ? '||' : undefined;
      if (!operator) return item;
      this.at += 2;
      this.skipNewlines();
      item.rest.push({ operator, pipeline: this.#pipeline() });
    }
  }

  #pipeline(): Pipeline {
    this.skipBlanks();
    let negated = false;
    while (this.peekWord() === '!') {
      this.at++;
      negated = !negated;
      this.skipBlanks();
    }
    const commands = [this.#command()];
    for (;;) {
      this.skipBlanks();
      if (!this.peekIs('|') || this.peekIs('||')) return { negated, commands };
      this.at++;
      if (this.peekIs('&')) {
        this.at++;
        redirectsOf(commands.at(-1)!)?.push({
          fd: 2,
          operator: '>&',
          target: [{ type: 'literal', text: '1', quoted: true }],
        });
      }
      this.skipNewlines();
      commands.push(this.#command());
    }
  }

  #command(): Command {
    this.skipBlanks();
    if (this.bash && this.peekIs('((')) {
      const expression = this.#arithmeticSource(2);
      if (expression) return { type: 'arithmetic', expression: expression[0]!, redirects: this.#redirects() };
    }
    if (this.peekIs('(')) {
      this.at++;
      const body = this.#commands();
      this.skipNewlines();
      this.expect(')');
      return { type: 'subshell', body, redirects: this.#redirects() };
    }
    const word = this.peekWord();
    switch (word) {
      case '{': {
        this.at++;
        const body = this.#commands();
        this.expectWord('}');
        return { type: 'group', body, redirects: this.#redirects() };
      }
      case 'if':
        return this.#if();
      case 'while':
      case 'until': {
        this.at += word.length;
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
    if (CLOSERS.has(word)) throw this.unexpected();
    const head = this.text.slice(this.at, this.at + 200);
    const definition =
      /^(?:function[ \t]+)?([A-Za-z_][A-Za-z0-9_-]*)[ \t]*\([ \t]*\)/.exec(head) ??
      (this.bash ? /^function[ \t]+([A-Za-z_][A-Za-z0-9_-]*)(?=\s*\{)/.exec(head) : null);
    if (definition && !RESERVED.has(definition[1]!)) {
      this.at += definition[0].length;
      this.skipNewlines();
      return { type: 'function', name: definition[1]!, body: this.deeper(() => this.#command()) };
    }
    return this.#simple();
  }

  #if(): Command {
    this.at += 2;
    const branches: { condition: Script; body: Script }[] = [];
    let otherwise: Script | undefined;
    for (;;) {
      const condition = this.#commands();
      this.expectWord('then');
      branches.push({ condition, body: this.#commands() });
      const next = this.peekWord();
      if (next === 'elif') {
        this.at += 4;
        continue;
      }
      if (next === 'else') {
        this.at += 4;
        otherwise = this.#commands();
      }
      this.expectWord('fi');
      return { type: 'if', branches, otherwise, redirects: this.#redirects() };
    }
  }

  #for(): Command {
    this.at += 3;
    this.skipBlanks();
    if (this.bash && this.peekIs('((')) {
      const [init, condition, step] = this.#arithmeticSource(2, 3) ?? this.fail();
      this.skipBlanks();
      if (this.peekIs(';')) this.at++;
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
    const name = NAME.exec(this.text.slice(this.at, this.at + 256))?.[0];
    if (!name) throw new SyntaxProblem('Bad for loop variable');
    this.at += name.length;
    this.skipNewlines();
    let words: Word[] | undefined;
    if (this.peekWord() === 'in') {
      this.at += 2;
      words = [];
      for (this.skipBlanks(); !this.atEnd() && !/[\n;]/.test(this.text[this.at]!); this.skipBlanks()) {
        words.push(this.word() ?? this.fail());
      }
    }
    this.skipBlanks();
    if (this.peekIs(';')) this.at++;
    return { type: 'for', name, words, body: this.#doGroup(), redirects: this.#redirects() };
  }

  /** The expression in `((…))` here, or its three parts; undefined, and nothing read, when it does not end so. */
  #arithmeticSource(open: number, parts = 1): Word[] | undefined {
    const end = this.findArithmeticEnd(this.at + open);
    if (end < 0) return undefined;
    const sources =
      parts === 1 ? [this.text.slice(this.at + open, end)] : this.text.slice(this.at + open, end).split(';');
    if (sources.length !== parts) return undefined;
    this.at = end + 2;
    return sources.map((source) => this.another(source).inQuotes(this.depth));
  }

  #doGroup(): Script {
    this.skipNewlines();
    this.expectWord('do');
    const body = this.#commands();
    this.expectWord('done');
    return body;
  }

  #case(): Command {
    this.at += 4;
    this.skipBlanks();
    const subject = this.word() ?? this.fail();
    this.skipNewlines();
    this.expectWord('in');
    const branches: { patterns: Word[]; body: Script }[] = [];
    for (;;) {
      this.skipNewlines();
      if (this.peekWord() === 'esac') break;
      if (this.atEnd()) throw this.unexpected();
      if (this.peekIs('(')) this.at++;
      const patterns: Word[] = [];
      do {
        this.skipBlanks();
        patterns.push(this.word() ?? this.fail());
        this.skipBlanks();
      } while (this.peekIs('|') && ++this.at);
      this.expect(')');
      branches.push({ patterns, body: this.list() });
      this.skipBlanks();
      if (this.peekIs(';;')) this.at += 2;
    }
    this.expectWord('esac');
    return { type: 'case', subject, branches, redirects: this.#redirects() };
  }

  /** `[[ … ]]` keeps `&&`, `||`, `<` and `>` as words of its own. */
  #doubleBracket(): Command {
    this.at += 2;
    const words: Word[] = [];
    for (;;) {
      this.skipNewlines();
      if (this.atEnd()) throw this.unexpected();
      const operator = /^(?:&&|\|\||[<>()])/.exec(this.text.slice(this.at, this.at + 2))?.[0];
      if (operator) {
        this.at += operator.length;
        words.push([{ type: 'literal', text: operator, quoted: false }]);
        continue;
      }
      if (this.peekWord() === ']]') {
        this.at += 2;
        return { type: 'test', words, redirects: this.#redirects() };
      }
      const isMatch = this.peekWord() === '=~';
      words.push(this.word() ?? this.fail());
      if (isMatch) words.push(this.#regexWord());
    }
  }

  /** The right side of `=~`: up to a blank, with backslashes and parentheses as they stand. */
  #regexWord(): Word {
    this.skipBlanks();
    const parts: Word = [];
    while (!this.atEnd() && !/\s/.test(this.text[this.at]!)) {
      const c = this.text[this.at]!;
      if ('"\'`$'.includes(c)) this.wordPart(c, parts, false);
      else {
        const text = this.text.slice(this.at, this.at + (c === '\\' ? 2 : 1));
        parts.push({ type: 'literal', text, quoted: false });
        this.at += text.length;
      }
    }
    return parts;
  }

  #simple(): Command {
    const assignments: Assignment[] = [];
    const words: Word[] = [];
    const redirects: Redirect[] = [];
    for (;;) {
      this.skipBlanks();
      const redirect = this.#redirect();
      if (redirect) {
        redirects.push(redirect);
        continue;
      }
      const start = this.at;
      const assigned =
        words.length === 0 ? /^([A-Za-z_][A-Za-z0-9_]*)=/.exec(this.text.slice(start, start + 256)) : null;
      if (assigned) {
        this.at += assigned[0].length;
        assignments.push({ name: assigned[1]!, value: this.word() ?? [] });
        continue;
      }
      const word = this.word();
      if (!word) break;
      words.push(word);
    }
    if (assignments.length + words.length + redirects.length === 0) throw this.unexpected();
    return { type: 'simple', assignments, words, redirects };
  }

  #redirects(): Redirect[] {
    const redirects: Redirect[] = [];
    for (;;) {
      this.skipBlanks();
      const redirect = this.#redirect();
      if (!redirect) return redirects;
      redirects.push(redirect);
    }
  }

  #redirect(): Redirect | undefined {
    const match = /^(\d*)(&>>?|<<<|<<-?|<&|<>|>&|>>|>\||<|>)/.exec(this.text.slice(this.at, this.at + 12));
    if (!match) return undefined;
    this.at += match[0].length;
    const symbol = match[2]!;
    this.skipBlanks();
    const start = this.at;
    const target = this.word();
    if (!target) throw this.unexpected();
    const fd =
      match[1] !== '' ? Number(match[1]) : symbol.startsWith('<') ? 0 : symbol.startsWith('&') ? -1 : 1;
    if (symbol === '<<' || symbol === '<<-') {
      const redirect: Redirect = { fd, operator: '<<', target: [] };
      const raw = this.text.slice(start, this.at);
      this.#hereDocuments.push({
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
    for (const { redirect, delimiter, expand, stripTabs } of this.#hereDocuments.splice(0)) {
      let body = '';
      for (;;) {
        if (this.at >= this.text.length) break; // As dash: the end of input also ends a here-document.
        const end = this.text.indexOf('\n', this.at);
        let line = this.text.slice(this.at, end < 0 ? this.text.length : end);
        this.at = end < 0 ? this.text.length : end + 1;
        if (stripTabs) line = line.replace(/^\t+/, '');
        if (line === delimiter) break;
        body += `${line}\n`;
      }
      redirect.target = expand
        ? this.another(body).inQuotes(0)
        : [{ type: 'literal', text: body, quoted: true }];
    }
  }

  protected skipNewlines(): void {
    for (;;) {
      this.skipBlanks();
      if (this.text[this.at] !== '\n') return;
      this.at++;
      if (this.#hereDocuments.length > 0) this.#readHereDocuments();
    }
  }

  protected expectWord(word: string): void {
    this.skipNewlines();
    if (this.peekWord() !== word) throw this.unexpected(word);
    this.at += word.length;
  }
}

function redirectsOf(command: Command): Redirect[] | undefined {
  return command.type === 'function' ? undefined : command.redirects;
}
