import { posix } from 'node:path';
import type { Files } from './files.ts';
import { matchesPattern, unescapePattern } from './pattern.ts';

/** A `test` that cannot be read, e.g. `[ 1 -eq x ]`. */
export class TestProblem extends Error {}

export interface TestScope {
  files: Files;
  directory: string;
  /** In `[[ ]]` the right side of `==` is a pattern, and words arrive with quoted characters escaped. */
  patterns: boolean;
  /** Matches the left side of `=~` against the expression on its right. */
  matcher?: (pattern: string, text: string) => boolean;
}

/** `test`, `[` and `[[`: true or false. Throws TestProblem. */
export function evaluateTest(words: readonly string[], scope: TestScope): boolean {
  let at = 0;
  const raw = (word: string): string => (scope.patterns ? unescapePattern(word) : word);
  const or = (): boolean => {
    let result = and();
    while (words[at] === '-o' || words[at] === '||') {
      at++;
      const right = and();
      result ||= right;
    }
    return result;
  };
  const and = (): boolean => {
    let result = not();
    while (words[at] === '-a' || words[at] === '&&') {
      at++;
      const right = not();
      result &&= right;
    }
    return result;
  };
  const not = (): boolean => {
    if (words[at] === '!' && at + 1 < words.length) {
      at++;
      return !not();
    }
    return primary();
  };
  const primary = (): boolean => {
    const word = words[at];
    if (word === undefined) throw new TestProblem('argument expected');
    const operator = words[at + 1];
    if (operator !== undefined && isBinary(operator) && words[at + 2] !== undefined) {
      at += 3;
      return binary(word, operator, words[at - 1]!, scope, raw);
    }
    if (word === '(') {
      at++;
      const inner = or();
      if (words[at++] !== ')') throw new TestProblem('closing paren expected');
      return inner;
    }
    if (/^-[a-zA-Z]$/.test(word) && operator !== undefined) {
      at += 2;
      return unary(word, raw(operator), scope);
    }
    at++;
    return raw(word) !== '';
  };
  if (words.length === 0) return false;
  if (words.length === 1) return raw(words[0]!) !== '';
  const result = or();
  if (at < words.length) throw new TestProblem(`${words[at]}: unexpected operator`);
  return result;
}

function isBinary(operator: string): boolean {
  return /^(=|==|!=|<|>|=~|-eq|-ne|-lt|-le|-gt|-ge|-nt|-ot|-ef)$/.test(operator);
}

function binary(
  left: string,
  operator: string,
  right: string,
  scope: TestScope,
  raw: (word: string) => string,
): boolean {
  switch (operator) {
    case '=':
    case '==':
      return scope.patterns ? matchesPattern(right, raw(left)) : left === right;
    case '!=':
      return scope.patterns ? !matchesPattern(right, raw(left)) : left !== right;
    case '<':
      return raw(left) < raw(right);
    case '>':
      return raw(left) > raw(right);
    case '=~':
      if (!scope.matcher) throw new TestProblem('=~: unexpected operator');
      return scope.matcher(right, raw(left));
  }
  const [a, b] = [integer(raw(left)), integer(raw(right))];
  switch (operator) {
    case '-eq':
      return a === b;
    case '-ne':
      return a !== b;
    case '-lt':
      return a < b;
    case '-le':
      return a <= b;
    case '-gt':
      return a > b;
    default:
      return a >= b;
  }
}

function integer(text: string): bigint {
  if (!/^\s*[-+]?\d{1,19}\s*$/.test(text)) throw new TestProblem(`Illegal number: ${text}`);
  return BigInt(text.trim().replace(/^\+/, ''));
}

function unary(operator: string, operand: string, scope: TestScope): boolean {
  const path = posix.resolve(scope.directory, operand);
  switch (operator) {
    case '-n':
      return operand !== '';
    case '-z':
      return operand === '';
    case '-e':
    case '-r':
    case '-w':
      return scope.files.exists(path);
    case '-f':
      return scope.files.exists(path) && !scope.files.isDirectory(path);
    case '-d':
      return scope.files.isDirectory(path);
    case '-s':
      return (scope.files.read(path)?.length ?? 0) > 0;
    case '-x':
    case '-p':
    case '-S':
    case '-b':
    case '-c':
    case '-h':
    case '-L':
    case '-t':
      return operator === '-c' && operand.startsWith('/dev/');
  }
  throw new TestProblem(`${operator}: unexpected operator`);
}
