import { linesOf } from '../../shell/streams.ts';
import type { Tool, ToolContext } from '../../shell/tool.ts';
import { parseOptions } from '../options.ts';
import { formatPrintf, generalNumber } from '../printf-format.ts';
import { compileRegex, escapeRegex, type Regex } from '../regex.ts';
import { forEachInput, withUsage } from '../tool-files.ts';
import { AwkProblem, type Expression, parseAwk, type Rule, type Statement } from './syntax.ts';

/** A value: a number, a string, or text from the input that counts as a number when it looks like one. */
type Value = number | string | { input: string };

class Leave {
  readonly how: 'next' | 'break' | 'continue' | 'exit';
  constructor(how: 'next' | 'break' | 'continue' | 'exit') {
    this.how = how;
  }
}

/** Statements of one program that may run, so that an endless loop ends. */
const MAX_STEPS = 20_000_000;
const MAX_FIELDS = 10_000;

export const awk: Tool = withUsage(2, async (context) => {
  const options = parseOptions(
    context.argv.slice(1),
    'F:v:f:',
    { 'field-separator': 'F=', assign: 'v=' },
    { stopAtOperand: true },
  );
  const [source, ...names] = options.operands;
  if (source === undefined) {
    await context.stderr.write('usage: awk [-F fs][-v var=value][prog | -f progfile][file ...]\n');
    return 2;
  }
  let rules: Rule[];
  try {
    rules = parseAwk(source);
  } catch (error) {
    if (!(error instanceof AwkProblem)) throw error;
    await context.stderr.write(`awk: ${error.message}\n`);
    return 2;
  }
  const machine = new Machine(context);
  const separator = options.get('F');
  if (separator !== undefined)
    machine.set('FS', separator === 't' ? '\t' : separator.replaceAll('\\t', '\t'));
  for (const assignment of options.all('v')) {
    const equals = assignment.indexOf('=');
    if (equals > 0) machine.set(assignment.slice(0, equals), { input: assignment.slice(equals + 1) });
  }
  let code = 0;
  try {
    code = await machine.run(rules, names);
  } catch (error) {
    if (!(error instanceof AwkProblem)) throw error;
    await machine.flush();
    await context.stderr.write(`awk: ${error.message}\n`);
    return 2;
  }
  return code;
});

class Machine {
  readonly #context: ToolContext;
  readonly #variables = new Map<string, Value>([
    ['FS', ' '],
    ['OFS', ' '],
    ['ORS', '\n'],
    ['NR', 0],
    ['FNR', 0],
    ['SUBSEP', '\u001c'],
    ['RSTART', 0],
    ['RLENGTH', -1],
    ['CONVFMT', '%.6g'],
    ['OFMT', '%.6g'],
    ['FILENAME', ''],
  ]);
  readonly #arrays = new Map<string, Map<string, Value>>();
  #record = '';
  #fields: string[] | undefined;
  #output = '';
  #steps = 0;
  #exitCode = 0;
  readonly #patterns = new Map<string, Regex>();

  constructor(context: ToolContext) {
    this.#context = context;
    const environment = new Map<string, Value>();
    for (const [name, value] of Object.entries(context.env)) environment.set(name, { input: value });
    this.#arrays.set('ENVIRON', environment);
  }

  set(name: string, value: Value): void {
    if (name === 'NF') {
      const fields = this.#splitRecord();
      const count = Math.min(MAX_FIELDS, Math.max(0, Math.trunc(toNumber(value))));
      while (fields.length < count) fields.push('');
      fields.length = count;
      this.#rejoin();
      return;
    }
    this.#variables.set(name, value);
  }

  async flush(): Promise<void> {
    const text = this.#output;
    this.#output = '';
    if (text !== '') await this.#context.stdout.write(text);
  }

  async run(rules: readonly Rule[], names: readonly string[]): Promise<number> {
    const active = new Set<Rule>();
    let code = 0;
    try {
      for (const rule of rules) if (rule.kind === 'begin') this.#statement(rule.body!);
      const others = rules.filter((rule) => rule.kind !== 'begin');
      if (others.length > 0) {
        code = await forEachInput(this.#context, names, async (input, name) => {
          this.set('FILENAME', name === '-' ? '' : name);
          this.set('FNR', 0);
          for await (const line of linesOf(input, this.#context.signal)) {
            this.#line(line, others, active);
            if (this.#output.length > 4096) await this.flush();
          }
          await this.flush();
        });
      }
    } catch (error) {
      if (!(error instanceof Leave)) throw error;
    }
    try {
      for (const rule of rules) if (rule.kind === 'end') this.#statement(rule.body!);
    } catch (error) {
      if (!(error instanceof Leave)) throw error;
    }
    await this.flush();
    return this.#exitCode || (code === 0 ? 0 : 2);
  }

  #line(line: string, rules: readonly Rule[], active: Set<Rule>): void {
    this.#record = line;
    this.#fields = undefined;
    this.set('NR', toNumber(this.#get('NR')) + 1);
    this.set('FNR', toNumber(this.#get('FNR')) + 1);
    try {
      for (const rule of rules) {
        if (rule.kind !== 'line' || !this.#selects(rule, active)) continue;
        if (rule.body) this.#statement(rule.body);
        else this.#output += `${this.#record}${this.#text(this.#get('ORS'))}`;
      }
    } catch (error) {
      if (!(error instanceof Leave) || error.how !== 'next') throw error;
    }
  }

  #selects(rule: Rule, active: Set<Rule>): boolean {
    if (!rule.pattern) return true;
    if (!rule.until) return truthy(this.#value(rule.pattern));
    if (!active.has(rule)) {
      if (!truthy(this.#value(rule.pattern))) return false;
      active.add(rule);
    }
    if (truthy(this.#value(rule.until))) active.delete(rule);
    return true;
  }

  #statement(statement: Statement): void {
    if (++this.#steps > MAX_STEPS) throw new AwkProblem('program runs too long');
    switch (statement.type) {
      case 'block':
        for (const inner of statement.body) this.#statement(inner);
        return;
      case 'expression':
        this.#value(statement.value);
        return;
      case 'print': {
        const values = statement.args.map((argument) => this.#value(argument));
        if (statement.formatted) {
          const [format = '', ...args] = values.map((value) => this.#text(value));
          this.#output += formatPrintf(format, args, { once: true }).text;
        } else {
          const texts = values.map((value) => this.#text(value));
          const line = texts.length > 0 ? texts.join(this.#text(this.#get('OFS'))) : this.#record;
          this.#output += line + this.#text(this.#get('ORS'));
        }
        if (this.#output.length > 2 ** 26) throw new AwkProblem('too much output');
        return;
      }
      case 'if':
        if (truthy(this.#value(statement.condition))) this.#statement(statement.yes);
        else if (statement.no) this.#statement(statement.no);
        return;
      case 'while':
        if (statement.first && !this.#iteration(statement.body)) return;
        while (truthy(this.#value(statement.condition))) if (!this.#iteration(statement.body)) return;
        return;
      case 'for':
        if (statement.init) this.#statement(statement.init);
        while (!statement.condition || truthy(this.#value(statement.condition))) {
          if (!this.#iteration(statement.body)) return;
          if (statement.step) this.#statement(statement.step);
        }
        return;
      case 'for-in':
        for (const key of [...this.#array(statement.name).keys()]) {
          this.set(statement.variable, { input: key });
          if (!this.#iteration(statement.body)) return;
        }
        return;
      case 'delete':
        if (statement.index) this.#array(statement.name).delete(this.#key(statement.index));
        else this.#array(statement.name).clear();
        return;
      case 'leave':
        if (statement.how === 'exit' && statement.value)
          this.#exitCode = toNumber(this.#value(statement.value)) & 255;
        throw new Leave(statement.how);
    }
  }

  /** False when the loop is to end. */
  #iteration(body: Statement): boolean {
    try {
      this.#statement(body);
    } catch (error) {
      if (!(error instanceof Leave) || error.how === 'next' || error.how === 'exit') throw error;
      return error.how === 'continue';
    }
    return true;
  }

  #value(expression: Expression): Value {
    if (++this.#steps > MAX_STEPS) throw new AwkProblem('program runs too long');
    switch (expression.type) {
      case 'number':
      case 'string':
        return expression.value;
      case 'regex':
        return expression.regex.test(this.#record) ? 1 : 0;
      case 'field':
        return { input: this.#field(toNumber(this.#value(expression.index))) };
      case 'variable':
        return this.#get(expression.name);
      case 'element':
        return this.#array(expression.name).get(this.#key(expression.index)) ?? { input: '' };
      case 'in':
        return this.#array(expression.name).has(this.#key(expression.index)) ? 1 : 0;
      case 'assign': {
        const right = this.#value(expression.value);
        const value =
          expression.operator === ''
            ? right
            : calculate(expression.operator, toNumber(this.#value(expression.target)), toNumber(right));
        return this.#assign(expression.target, value);
      }
      case 'step': {
        const before = toNumber(this.#value(expression.target));
        this.#assign(expression.target, before + expression.by);
        return expression.after ? before : before + expression.by;
      }
      case 'unary': {
        const value = this.#value(expression.value);
        if (expression.operator === '!') return truthy(value) ? 0 : 1;
        return expression.operator === '-' ? -toNumber(value) : toNumber(value);
      }
      case 'conditional':
        return this.#value(truthy(this.#value(expression.condition)) ? expression.yes : expression.no);
      case 'binary':
        return this.#binary(expression);
      case 'call':
        return this.#call(expression.name, expression.args);
    }
  }

  #binary(expression: Extract<Expression, { type: 'binary' }>): Value {
    const { operator } = expression;
    if (operator === '&&')
      return truthy(this.#value(expression.left)) && truthy(this.#value(expression.right)) ? 1 : 0;
    if (operator === '||')
      return truthy(this.#value(expression.left)) || truthy(this.#value(expression.right)) ? 1 : 0;
    const left = this.#value(expression.left);
    if (operator === '~' || operator === '!~')
      return this.#regex(expression.right).test(this.#text(left)) === (operator === '~') ? 1 : 0;
    const right = this.#value(expression.right);
    if (operator === ' ') {
      const text = this.#text(left) + this.#text(right);
      if (text.length > 2 ** 24) throw new AwkProblem('string too long');
      return text;
    }
    if (!/^([<>]=?|[!=]=)$/.test(operator)) return calculate(operator, toNumber(left), toNumber(right));
    const numeric = isNumeric(left) && isNumeric(right);
    const [a, b] = numeric ? [toNumber(left), toNumber(right)] : [this.#text(left), this.#text(right)];
    const result = { '<': a < b, '<=': a <= b, '>': a > b, '>=': a >= b, '==': a === b, '!=': a !== b }[
      operator
    ];
    return result ? 1 : 0;
  }

  #regex(expression: Expression): Regex {
    return expression.type === 'regex'
      ? expression.regex
      : this.#compiled(this.#text(this.#value(expression)));
  }

  #compiled(source: string): Regex {
    let regex = this.#patterns.get(source);
    if (!regex) {
      try {
        regex = compileRegex(source);
      } catch (error) {
        throw new AwkProblem((error as Error).message);
      }
      if (this.#patterns.size < 100) this.#patterns.set(source, regex);
    }
    return regex;
  }

  #call(name: string, args: Expression[]): Value {
    const value = (index: number): Value => (args[index] ? this.#value(args[index]) : { input: '' });
    const text = (index: number): string => this.#text(value(index));
    const number = (index: number): number => toNumber(value(index));
    switch (name) {
      case 'length': {
        const first = args[0];
        if (!first) return this.#record.length;
        if (first.type === 'variable' && this.#arrays.has(first.name))
          return this.#arrays.get(first.name)!.size;
        return text(0).length;
      }
      case 'substr': {
        const start = Math.round(number(1));
        const end = args[2] ? start + Math.round(number(2)) : Infinity;
        return text(0).slice(Math.max(0, start - 1), Math.max(0, end - 1));
      }
      case 'index':
        return text(0).indexOf(text(1)) + 1;
      case 'toupper':
        return text(0).toUpperCase();
      case 'tolower':
        return text(0).toLowerCase();
      case 'sprintf': {
        const [format = '', ...rest] = args.map((argument) => this.#text(this.#value(argument)));
        return formatPrintf(format, rest, { once: true }).text;
      }
      case 'int':
        return Math.trunc(number(0));
      case 'sqrt':
        return Math.sqrt(number(0));
      case 'log':
        return Math.log(number(0));
      case 'exp':
        return Math.exp(number(0));
      case 'sin':
        return Math.sin(number(0));
      case 'cos':
        return Math.cos(number(0));
      case 'rand':
        return this.#context.random32() / 2 ** 32;
      case 'srand':
      case 'system':
        return 0;
      case 'systime':
        return Math.floor(Date.now() / 1000);
      case 'split': {
        const target = args[1];
        if (target?.type !== 'variable') throw new AwkProblem('split: second argument must be an array');
        const array = this.#array(target.name);
        const source = text(0);
        const pieces = args[2]
          ? args[2].type === 'regex'
            ? splitBy(source, args[2].regex)
            : this.#split(source, text(2))
          : this.#split(source, this.#text(this.#get('FS')));
        array.clear();
        for (const [index, piece] of pieces.entries()) array.set(String(index + 1), { input: piece });
        return pieces.length;
      }
      case 'match': {
        const found = args[1] ? this.#regex(args[1]).exec(text(0)) : undefined;
        this.set('RSTART', found ? found.start + 1 : 0);
        this.set('RLENGTH', found ? found.end - found.start : -1);
        return found ? found.start + 1 : 0;
      }
      case 'sub':
      case 'gsub':
        return this.#substitute(args, name === 'gsub');
    }
    throw new AwkProblem(`function ${name} is not supported`);
  }

  #substitute(args: Expression[], all: boolean): number {
    const [
      pattern,
      replacement,
      target = { type: 'field', index: { type: 'number', value: 0 } } as Expression,
    ] = args;
    if (!pattern || !replacement) throw new AwkProblem('sub: two arguments are needed');
    const regex = this.#regex(pattern);
    const template = this.#text(this.#value(replacement));
    const source = this.#text(this.#value(target));
    let result = '';
    let at = 0;
    let count = 0;
    while (at <= source.length) {
      const match = regex.exec(source, at);
      if (!match) break;
      count++;
      result += source.slice(at, match.start);
      result += template.replace(/\\\\|\\&|&/g, (c) => (c === '&' ? match.groups[0]! : c.slice(1)));
      at = match.end;
      if (match.end === match.start) result += source[at++] ?? '';
      if (!all) break;
    }
    if (count > 0) this.#assign(target, result + source.slice(at));
    return count;
  }

  #assign(target: Expression, value: Value): Value {
    if (target.type === 'variable') this.set(target.name, value);
    else if (target.type === 'element') this.#array(target.name).set(this.#key(target.index), value);
    else if (target.type === 'field') {
      const index = Math.trunc(toNumber(this.#value(target.index)));
      if (index === 0) {
        this.#record = this.#text(value);
        this.#fields = undefined;
      } else if (index > 0 && index <= MAX_FIELDS) {
        const fields = this.#splitRecord();
        while (fields.length < index) fields.push('');
        fields[index - 1] = this.#text(value);
        this.#rejoin();
      }
    }
    return value;
  }

  #rejoin(): void {
    this.#record = this.#fields!.join(this.#text(this.#variables.get('OFS')!));
  }

  #get(name: string): Value {
    if (name === 'NF') return this.#splitRecord().length;
    return this.#variables.get(name) ?? { input: '' };
  }

  #array(name: string): Map<string, Value> {
    let array = this.#arrays.get(name);
    if (!array) {
      array = new Map();
      this.#arrays.set(name, array);
    }
    return array;
  }

  #key(index: Expression[]): string {
    return index.map((part) => this.#text(this.#value(part))).join(this.#text(this.#get('SUBSEP')));
  }

  #field(index: number): string {
    if (index === 0) return this.#record;
    if (index < 0) throw new AwkProblem(`attempt to access field ${index}`);
    return this.#splitRecord()[Math.trunc(index) - 1] ?? '';
  }

  #splitRecord(): string[] {
    this.#fields ??= this.#split(this.#record, this.#text(this.#variables.get('FS')!));
    return this.#fields;
  }

  #split(text: string, separator: string): string[] {
    if (separator === ' ') return text.split(/[ \t\n]+/).filter((field) => field !== '');
    if (text === '') return [];
    if (separator === '') return [...text];
    if (separator.length === 1) return text.split(separator);
    return splitBy(
      text,
      this.#compiled(/^\\[|.*+?]$/.test(separator) ? escapeRegex(separator.slice(1)) : separator),
    );
  }

  #text(value: Value): string {
    if (typeof value === 'object') return value.input;
    if (typeof value === 'string') return value;
    return Number.isInteger(value) && Math.abs(value) < 1e16
      ? String(value)
      : generalNumber(Math.abs(value), 6).replace(/^/, value < 0 ? '-' : '');
  }
}

function splitBy(text: string, regex: Regex): string[] {
  const pieces: string[] = [];
  let from = 0;
  for (let at = 0; at < text.length; ) {
    const match = regex.exec(text, at);
    if (!match) break;
    if (match.end === match.start) {
      at = match.end + 1;
      continue;
    }
    pieces.push(text.slice(from, match.start));
    from = match.end;
    at = match.end;
  }
  pieces.push(text.slice(from));
  return pieces;
}

function calculate(operator: string, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '^':
      return a ** b;
    default:
      if (b === 0) throw new AwkProblem('division by zero');
      return operator === '/' ? a / b : a % b;
  }
}

const NUMBER = /^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?/;

function toNumber(value: Value): number {
  if (typeof value === 'number') return value;
  const match = NUMBER.exec(typeof value === 'string' ? value : value.input);
  return match ? Number(match[0]) : 0;
}

function isNumeric(value: Value): boolean {
  if (typeof value === 'number') return true;
  if (typeof value === 'string') return false;
  return value.input.trim() === ''
    ? value.input === ''
    : NUMBER.exec(value.input)?.[0].length === value.input.trimEnd().length;
}

function truthy(value: Value): boolean {
  if (typeof value === 'number') return value !== 0;
  if (typeof value === 'string') return value !== '';
  return isNumeric(value) ? toNumber(value) !== 0 : value.input !== '';
}
