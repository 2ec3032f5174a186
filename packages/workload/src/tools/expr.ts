import type { Tool } from '../shell/tool.ts';
import { compileRegex, fromBasicSyntax } from './regex.ts';

class ExprProblem extends Error {}

const LEVELS: readonly (readonly string[])[] = [
  ['|'],
  ['&'],
  ['<', '<=', '=', '==', '!=', '>=', '>'],
  ['+', '-'],
  ['*', '/', '%'],
  [':'],
];
const MAX_WORDS = 1_000;

/** expr(1): integers, comparisons, `STRING : REGEX`, length, substr, index. Exit code 1 when the result is 0 or empty. */
export const expr: Tool = async ({ argv, stdout, stderr }) => {
  const words = argv.slice(1);
  let at = 0;
  const number = (text: string): bigint => {
    if (!/^-?\d+$/.test(text)) throw new ExprProblem('non-integer argument');
    return BigInt(text);
  };
  const primary = (): string => {
    const word = words[at++];
    if (word === undefined)
      throw new ExprProblem(`syntax error: missing argument after '${words.at(-1) ?? ''}'`);
    if (word === '(') {
      const inner = binary(0);
      if (words[at++] !== ')') throw new ExprProblem("syntax error: expecting ')'");
      return inner;
    }
    if (at >= words.length) return word;
    if (word === 'length') return String(primary().length);
    if (word === 'substr') {
      const [text, from, length] = [primary(), Number(primary()), Number(primary())];
      return from > 0 && length > 0 ? text.slice(from - 1, from - 1 + length) : '';
    }
    if (word === 'index') {
      const [text, set] = [primary(), primary()];
      return String([...text].findIndex((c) => set.includes(c)) + 1);
    }
    if (word === 'match') return match(primary(), primary());
    return word;
  };
  const match = (text: string, pattern: string): string => {
    const found = compileRegex(`^(?:${fromBasicSyntax(pattern)})`).exec(text);
    const groups = /\\\(/.test(pattern);
    return groups ? (found?.groups[1] ?? '') : String(found ? found.end - found.start : 0);
  };
  const isNull = (text: string): boolean => text === '' || /^-?0+$/.test(text);
  const binary = (level: number): string => {
    if (level === LEVELS.length) return primary();
    let left = binary(level + 1);
    while (at < words.length && LEVELS[level]!.includes(words[at]!))
      left = apply(words[at++]!, left, binary(level + 1));
    return left;
  };
  const apply = (operator: string, a: string, b: string): string => {
    switch (operator) {
      case '|':
        return isNull(a) ? (isNull(b) ? '0' : b) : a;
      case '&':
        return isNull(a) || isNull(b) ? '0' : a;
      case ':':
        return match(a, b);
      case '+':
        return String(number(a) + number(b));
      case '-':
        return String(number(a) - number(b));
      case '*':
        return String(number(a) * number(b));
      case '/':
      case '%':
        if (number(b) === 0n) throw new ExprProblem('division by zero');
        return String(operator === '/' ? number(a) / number(b) : number(a) % number(b));
    }
    const numeric = /^-?\d+$/.test(a) && /^-?\d+$/.test(b);
    const order = numeric ? Number(number(a) - number(b)) : a < b ? -1 : a > b ? 1 : 0;
    const holds = {
      '<': order < 0,
      '<=': order <= 0,
      '=': order === 0,
      '==': order === 0,
      '!=': order !== 0,
      '>=': order >= 0,
      '>': order > 0,
    }[operator];
    return holds ? '1' : '0';
  };
  try {
    if (words.length > MAX_WORDS) throw new ExprProblem('expression too long');
    if (words.length === 0) throw new ExprProblem('missing operand');
    const result = binary(0);
    if (at < words.length) throw new ExprProblem(`syntax error: unexpected argument '${words[at]}'`);
    await stdout.write(`${result}\n`);
    return isNull(result) ? 1 : 0;
  } catch (error) {
    await stderr.write(`expr: ${(error as Error).message}\n`);
    return 2;
  }
};
