import { compileRegex, type Regex } from '../regex.ts';

export type Expression =
  | { type: 'number'; value: number }
  | { type: 'string'; value: string }
  | { type: 'regex'; regex: Regex }
  | { type: 'field'; index: Expression }
  | { type: 'variable'; name: string }
  | { type: 'element'; name: string; index: Expression[] }
  | { type: 'assign'; target: Expression; operator: string; value: Expression }
  | { type: 'unary'; operator: string; value: Expression }
  | { type: 'binary'; operator: string; left: Expression; right: Expression }
  | { type: 'conditional'; condition: Expression; yes: Expression; no: Expression }
  | { type: 'in'; index: Expression[]; name: string }
  | { type: 'step'; target: Expression; by: number; after: boolean }
  | { type: 'call'; name: string; args: Expression[] };

export type Statement =
  | { type: 'expression'; value: Expression }
  | { type: 'print'; args: Expression[]; formatted: boolean }
  | { type: 'if'; condition: Expression; yes: Statement; no: Statement | undefined }
  | { type: 'while'; condition: Expression; body: Statement; first: boolean }
  | {
      type: 'for';
      init: Statement | undefined;
      condition: Expression | undefined;
      step: Statement | undefined;
      body: Statement;
    }
  | { type: 'for-in'; variable: string; name: string; body: Statement }
  | { type: 'block'; body: Statement[] }
  | { type: 'delete'; name: string; index: Expression[] | undefined }
  | { type: 'leave'; how: 'next' | 'break' | 'continue' | 'exit'; value: Expression | undefined };

export interface Rule {
  kind: 'begin' | 'end' | 'line';
  pattern: Expression | undefined;
  /** Of a range `from, to`. */
  until: Expression | undefined;
  body: Statement | undefined;
}

export class AwkProblem extends Error {}

const FUNCTIONS = new Set(
  'length substr index split sub gsub match toupper tolower sprintf int sqrt log exp sin cos rand srand system strftime systime'.split(
    ' ',
  ),
);
const KEYWORDS = new Set(
  'BEGIN END if else while for do in print printf next break continue exit delete getline function return'.split(
    ' ',
  ),
);
const MAX_DEPTH = 200;

interface Token {
  kind: 'number' | 'string' | 'regex' | 'name' | 'word' | 'operator' | 'newline' | 'end';
  text: string;
  /** A name directly before `(`. */
  call?: boolean;
}

/** Reads an awk program (POSIX, without user functions, getline and redirection). Throws AwkProblem. */
export function parseAwk(source: string): Rule[] {
  return new Parser(tokensOf(source)).program();
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  const pattern =
    /[ \t\r]+|\\\n|#[^\n]*|(\n)|(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|0x[0-9a-fA-F]+)|"((?:[^"\\\n]|\\[\s\S])*)"|([A-Za-z_]\w*)(\()?|(\+\+|--|\+=|-=|\*=|\/=|%=|\^=|==|<=|>=|!=|!~|&&|\|\||>>|[-+*/%^!<>|?:~$=(){}[\];,])/y;
  while (pattern.lastIndex < source.length) {
    const start = pattern.lastIndex;
    const last = tokens.at(-1);
    const afterValue =
      last !== undefined &&
      (/^(number|string|name)$/.test(last.kind) || [')', ']', '$', '++', '--'].includes(last.text));
    if (source[start] === '/' && !afterValue) {
      const end = /(?:[^/\\\n[]|\\.|\[\^?\]?[^\]\n]*\])*\//y;
      end.lastIndex = start + 1;
      const found = end.exec(source);
      if (!found) throw new AwkProblem('unterminated regexp');
      tokens.push({ kind: 'regex', text: found[0].slice(0, -1).replaceAll('\\/', '/') });
      pattern.lastIndex = end.lastIndex;
      continue;
    }
    const match = pattern.exec(source);
    if (!match) throw new AwkProblem(`syntax error at source line 1 near ${source.slice(start, start + 10)}`);
    if (match[1] !== undefined) tokens.push({ kind: 'newline', text: '\n' });
    else if (match[2] !== undefined) tokens.push({ kind: 'number', text: match[2] });
    else if (match[3] !== undefined) tokens.push({ kind: 'string', text: unescapeString(match[3]) });
    else if (match[4] !== undefined) {
      if (match[5]) pattern.lastIndex--;
      const kind = KEYWORDS.has(match[4]) ? 'word' : 'name';
      tokens.push({ kind, text: match[4], ...(match[5] && { call: true }) });
    } else if (match[6] !== undefined) tokens.push({ kind: 'operator', text: match[6] });
  }
  tokens.push({ kind: 'end', text: '' });
  return tokens;
}

function unescapeString(text: string): string {
  const named: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\u0007', b: '\b', f: '\f', v: '\v' };
  return text.replace(/\\([0-7]{1,3}|[\s\S])/g, (_, code: string) => {
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 255);
    return named[code] ?? (code === '"' || code === '\\' || code === '/' ? code : `\\${code}`);
  });
}

const BINARY: Record<string, number> = {
  '||': 1,
  '&&': 2,
  in: 3,
  '~': 4,
  '!~': 4,
  '<': 5,
  '<=': 5,
  '==': 5,
  '!=': 5,
  '>': 5,
  '>=': 5,
  ' ': 6,
  '+': 7,
  '-': 7,
  '*': 8,
  '/': 8,
  '%': 8,
  '^': 10,
};
const UNARY_LEVEL = 9;

class Parser {
  readonly #tokens: Token[];
  #at = 0;
  #depth = 0;
  /** Inside `print` without parentheses `>` redirects. */
  #noGreater = false;
  #noIn = false;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  program(): Rule[] {
    const rules: Rule[] = [];
    for (;;) {
      this.#skip();
      if (this.#peek().kind === 'end') return rules;
      const rule: Rule = { kind: 'line', pattern: undefined, until: undefined, body: undefined };
      if (this.#accept('BEGIN')) rule.kind = 'begin';
      else if (this.#accept('END')) rule.kind = 'end';
      else if (this.#peek().text !== '{' || this.#peek().kind !== 'operator') {
        rule.pattern = this.#expression();
        if (this.#accept(',')) rule.until = this.#expression();
      }
      if (this.#isOperator('{')) rule.body = this.#block();
      else if (rule.kind !== 'line') throw this.#problem();
      rules.push(rule);
    }
  }

  #block(): Statement {
    this.#expect('{');
    const body: Statement[] = [];
    for (;;) {
      this.#skip();
      if (this.#accept('}')) return { type: 'block', body };
      body.push(this.#statement());
    }
  }

  #statement(): Statement {
    if (++this.#depth > MAX_DEPTH) throw new AwkProblem('nesting too deep');
    try {
      return this.#oneStatement();
    } finally {
      this.#depth--;
    }
  }

  #oneStatement(): Statement {
    if (this.#isOperator('{')) return this.#block();
    if (this.#accept(';')) return { type: 'block', body: [] };
    if (this.#accept('if')) {
      this.#expect('(');
      const condition = this.#expression();
      this.#expect(')');
      this.#skipNewlines();
      const yes = this.#statement();
      const before = this.#at;
      this.#skip();
      if (this.#accept('else')) {
        this.#skipNewlines();
        return { type: 'if', condition, yes, no: this.#statement() };
      }
      this.#at = before;
      return { type: 'if', condition, yes, no: undefined };
    }
    if (this.#accept('while')) {
      this.#expect('(');
      const condition = this.#expression();
      this.#expect(')');
      this.#skipNewlines();
      return { type: 'while', condition, body: this.#statement(), first: false };
    }
    if (this.#accept('do')) {
      this.#skipNewlines();
      const body = this.#statement();
      this.#skip();
      this.#expect('while');
      this.#expect('(');
      const condition = this.#expression();
      this.#expect(')');
      return { type: 'while', condition, body, first: true };
    }
    if (this.#accept('for')) return this.#for();
    const simple = this.#simple();
    if (!this.#isOperator('}') && this.#peek().kind !== 'end') {
      if (!this.#accept(';') && this.#peek().kind !== 'newline') throw this.#problem();
    }
    return simple;
  }

  #for(): Statement {
    this.#expect('(');
    const [variable, word, name] = this.#tokens.slice(this.#at, this.#at + 3);
    if (
      variable?.kind === 'name' &&
      word?.text === 'in' &&
      name?.kind === 'name' &&
      this.#tokens[this.#at + 3]?.text === ')'
    ) {
      this.#at += 4;
      this.#skipNewlines();
      return { type: 'for-in', variable: variable.text, name: name.text, body: this.#statement() };
    }
    const init = this.#isOperator(';') ? undefined : this.#simple();
    this.#expect(';');
    const condition = this.#isOperator(';') ? undefined : this.#expression();
    this.#expect(';');
    const step = this.#isOperator(')') ? undefined : this.#simple();
    this.#expect(')');
    this.#skipNewlines();
    return { type: 'for', init, condition, step, body: this.#statement() };
  }

  #simple(): Statement {
    for (const how of ['next', 'break', 'continue', 'exit'] as const) {
      if (!this.#accept(how)) continue;
      const value = how === 'exit' && !this.#atStatementEnd() ? this.#expression() : undefined;
      return { type: 'leave', how, value };
    }
    if (this.#accept('delete')) {
      const name = this.#next().text;
      let index: Expression[] | undefined;
      if (this.#accept('[')) {
        index = this.#list(']');
        this.#expect(']');
      }
      return { type: 'delete', name, index };
    }
    const formatted = this.#peek().text === 'printf' && this.#peek().kind === 'word';
    if (formatted || (this.#peek().text === 'print' && this.#peek().kind === 'word')) {
      this.#at++;
      const grouped = this.#isOperator('(') && this.#groupEndsStatement();
      if (grouped) this.#at++;
      this.#noGreater = !grouped;
      const args = this.#atStatementEnd() || this.#isOperator(')') ? [] : this.#list(grouped ? ')' : '');
      this.#noGreater = false;
      if (grouped) this.#expect(')');
      if (this.#isOperator('>') || this.#isOperator('|') || this.#isOperator('>>'))
        throw new AwkProblem('output redirection is not supported');
      return { type: 'print', args, formatted };
    }
    return { type: 'expression', value: this.#expression() };
  }

  /** Whether the parenthesis here closes right before the statement's end: `print (a, b)`. */
  #groupEndsStatement(): boolean {
    let depth = 0;
    for (let i = this.#at; i < this.#tokens.length; i++) {
      const { kind, text } = this.#tokens[i]!;
      if (kind !== 'operator') continue;
      if (text === '(') depth++;
      else if (text === ')' && --depth === 0) {
        const next = this.#tokens[i + 1]!;
        return next.kind === 'newline' || next.kind === 'end' || next.text === ';' || next.text === '}';
      }
    }
    return false;
  }

  #list(end: string): Expression[] {
    const items: Expression[] = [];
    if (end !== '' && this.#isOperator(end)) return items;
    do {
      this.#skipNewlines();
      items.push(this.#expression());
    } while (this.#accept(','));
    return items;
  }

  #expression(): Expression {
    if (++this.#depth > MAX_DEPTH) throw new AwkProblem('nesting too deep');
    try {
      return this.#assignment();
    } finally {
      this.#depth--;
    }
  }

  #assignment(): Expression {
    const left = this.#conditional();
    const { kind, text } = this.#peek();
    if (kind !== 'operator' || !/^([-+*/%^]?=)$/.test(text)) return left;
    if (!['field', 'variable', 'element'].includes(left.type)) throw this.#problem();
    this.#at++;
    return { type: 'assign', target: left, operator: text.slice(0, -1), value: this.#expression() };
  }

  #conditional(): Expression {
    const condition = this.#binary(1);
    if (!this.#accept('?')) return condition;
    const yes = this.#expression();
    this.#expect(':');
    return { type: 'conditional', condition, yes, no: this.#expression() };
  }

  #binary(level: number): Expression {
    let left = this.#unary();
    for (;;) {
      const { kind, text } = this.#peek();
      let operator = kind === 'operator' || text === 'in' ? text : ' ';
      if (operator === '>' && this.#noGreater) return left;
      if (operator === 'in' && this.#noIn) return left;
      const concatenates =
        kind === 'number' ||
        kind === 'string' ||
        kind === 'name' ||
        (kind === 'operator' &&
          ['$', '!', '(', '-', '+', '++', '--'].includes(text) &&
          BINARY[text] === undefined);
      if (BINARY[operator] === undefined) operator = ' ';
      if (operator === ' ' && !concatenates) return left;
      if (operator === ' ' && text === '!') return left;
      const strength = BINARY[operator]!;
      if (strength < level) return left;
      if (operator === 'in') {
        this.#at++;
        left = { type: 'in', index: [left], name: this.#next().text };
        continue;
      }
      if (operator !== ' ') this.#at++;
      if (operator === '&&' || operator === '||') this.#skipNewlines();
      const right = this.#binary(operator === '^' ? strength : strength + 1);
      left = { type: 'binary', operator, left, right };
    }
  }

  #unary(): Expression {
    const { kind, text } = this.#peek();
    if (kind === 'operator' && (text === '!' || text === '-' || text === '+')) {
      this.#at++;
      if (++this.#depth > MAX_DEPTH) throw new AwkProblem('nesting too deep');
      const value = this.#binary(UNARY_LEVEL);
      this.#depth--;
      return { type: 'unary', operator: text, value };
    }
    if (kind === 'operator' && (text === '++' || text === '--')) {
      this.#at++;
      return { type: 'step', target: this.#primary(), by: text === '++' ? 1 : -1, after: false };
    }
    const value = this.#primary();
    const next = this.#peek();
    if (
      next.kind === 'operator' &&
      (next.text === '++' || next.text === '--') &&
      ['field', 'variable', 'element'].includes(value.type)
    ) {
      this.#at++;
      return { type: 'step', target: value, by: next.text === '++' ? 1 : -1, after: true };
    }
    return value;
  }

  #primary(): Expression {
    const token = this.#next();
    if (token.kind === 'number') return { type: 'number', value: Number(token.text) };
    if (token.kind === 'string') return { type: 'string', value: token.text };
    if (token.kind === 'regex') {
      try {
        return { type: 'regex', regex: compileRegex(token.text) };
      } catch (error) {
        throw new AwkProblem((error as Error).message);
      }
    }
    if (token.text === '$' && token.kind === 'operator') {
      if (++this.#depth > MAX_DEPTH) throw new AwkProblem('nesting too deep');
      const index =
        this.#isOperator('-') || this.#isOperator('++') || this.#isOperator('--')
          ? this.#unary()
          : this.#primary();
      this.#depth--;
      return { type: 'field', index };
    }
    if (token.text === '(' && token.kind === 'operator') {
      const saved = this.#noGreater;
      this.#noGreater = false;
      const items = this.#list(')');
      this.#noGreater = saved;
      this.#expect(')');
      if (items.length > 1) {
        if (!this.#accept('in')) throw this.#problem();
        return { type: 'in', index: items, name: this.#next().text };
      }
      const value = items[0];
      if (value === undefined) throw this.#problem();
      // Wrapped, so that `(a) = 1` is none and `($1)++` stays what it is.
      return value;
    }
    if (token.kind === 'name') {
      if (FUNCTIONS.has(token.text)) {
        if (!token.call && token.text !== 'length') throw this.#problem();
        if (!this.#accept('(')) return { type: 'call', name: token.text, args: [] };
        const saved = this.#noGreater;
        this.#noGreater = false;
        const args = this.#list(')');
        this.#noGreater = saved;
        this.#expect(')');
        return { type: 'call', name: token.text, args };
      }
      if (token.call) throw new AwkProblem(`calling undefined function ${token.text}`);
      if (this.#accept('[')) {
        const index = this.#list(']');
        this.#expect(']');
        return { type: 'element', name: token.text, index };
      }
      return { type: 'variable', name: token.text };
    }
    this.#at--;
    throw this.#problem();
  }

  #peek(): Token {
    return this.#tokens[this.#at]!;
  }

  #next(): Token {
    const token = this.#tokens[this.#at]!;
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  #isOperator(text: string): boolean {
    const token = this.#peek();
    return token.kind === 'operator' && token.text === text;
  }

  #accept(text: string): boolean {
    const token = this.#peek();
    if (token.text !== text || (token.kind !== 'operator' && token.kind !== 'word')) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) throw this.#problem();
  }

  #atStatementEnd(): boolean {
    const { kind, text } = this.#peek();
    return (
      kind === 'newline' ||
      kind === 'end' ||
      (kind === 'operator' && (text === ';' || text === '}' || text === ')'))
    );
  }

  #skipNewlines(): void {
    while (this.#peek().kind === 'newline') this.#at++;
  }

  #skip(): void {
    while (this.#peek().kind === 'newline' || this.#isOperator(';')) this.#at++;
  }

  #problem(): AwkProblem {
    const { kind, text } = this.#peek();
    return new AwkProblem(
      kind === 'end'
        ? 'syntax error: unexpected end of program'
        : `syntax error at or near ${text === '\n' ? 'newline' : text}`,
    );
  }
}
