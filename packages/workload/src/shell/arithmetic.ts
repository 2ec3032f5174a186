/** `$(( … ))` of POSIX 2.6.4: C integers of 64 bits, variables by name. Throws Error with dash's kind of message. */
export function evaluateArithmetic(
  text: string,
  variables: { get(name: string): string; set(name: string, value: string): void },
): bigint {
  const tokens =
    text.match(
      /\s+|0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|<<=|>>=|\*\*|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|[-+*/%&|^]=|[-+*/%<>=!~&|^?:()]|[\s\S]/g,
    ) ?? [];
  const list = tokens.filter((token) => token.trim() !== '');
  if (list.length > 2_000) throw new Error('arithmetic expression too long');
  let at = 0;
  const fail = (): never => {
    throw new Error(`arithmetic expression: expecting primary: "${text}"`);
  };
  const wrap = (value: bigint): bigint => BigInt.asIntN(64, value);
  const constant = (digits: string): bigint => {
    if (!/^0\d/.test(digits)) return BigInt(digits);
    if (/[89]/.test(digits)) throw new Error(`arithmetic expression: expecting EOF: "${text}"`);
    return BigInt(`0o${digits.slice(1)}`);
  };
  /** Above 0 while reading the side of &&, || or ?: that is not taken. */
  let skipped = 0;
  const skip = (when: boolean, read: () => bigint): bigint => {
    if (when) skipped++;
    try {
      return read();
    } finally {
      if (when) skipped--;
    }
  };
  const assign = (name: string, next: bigint): void => {
    if (skipped === 0) variables.set(name, String(next));
  };
  const value = (name: string): bigint => {
    const raw = variables.get(name).trim();
    if (raw === '') return 0n;
    if (!/^[-+]?(0[xX][0-9a-fA-F]+|\d+)$/.test(raw)) throw new Error(`Illegal number: ${raw}`);
    const digits = constant(raw.replace(/^[-+]/, ''));
    return wrap(raw.startsWith('-') ? -digits : digits);
  };

  const primary = (): bigint => {
    const token = list[at++] ?? fail();
    if (token === '(') {
      const inner = assignment();
      if (list[at++] !== ')') throw new Error(`arithmetic expression: expecting ')': "${text}"`);
      return inner;
    }
    if (token === '-') return wrap(-primary());
    if (token === '+') return primary();
    if (token === '!') return primary() === 0n ? 1n : 0n;
    if (token === '~') return wrap(~primary());
    if (token === '++' || token === '--') {
      const name = list[at++] ?? fail();
      const next = wrap(value(name) + (token === '++' ? 1n : -1n));
      assign(name, next);
      return next;
    }
    if (/^[A-Za-z_]/.test(token)) {
      const now = value(token);
      if (list[at] === '++' || list[at] === '--') assign(token, wrap(now + (list[at++] === '++' ? 1n : -1n)));
      return now;
    }
    if (!/^\d/.test(token)) fail();
    return wrap(constant(token));
  };

  const LEVELS: string[][] = [
    ['||'],
    ['&&'],
    ['|'],
    ['^'],
    ['&'],
    ['==', '!='],
    ['<', '<=', '>', '>='],
    ['<<', '>>'],
    ['+', '-'],
    ['*', '/', '%'],
  ];
  const binary = (level: number): bigint => {
    if (level === LEVELS.length) return primary();
    let left = binary(level + 1);
    while (at < list.length && LEVELS[level]!.includes(list[at]!)) {
      const operator = list[at++]!;
      const decided = (operator === '&&' && left === 0n) || (operator === '||' && left !== 0n);
      const known = left;
      left = apply(
        operator,
        known,
        skip(decided, () => binary(level + 1)),
      );
    }
    return left;
  };
  const bool = (condition: boolean): bigint => (condition ? 1n : 0n);
  const apply = (operator: string, a: bigint, b: bigint): bigint => {
    switch (operator) {
      case '||':
        return bool(a !== 0n || b !== 0n);
      case '&&':
        return bool(a !== 0n && b !== 0n);
      case '|':
        return a | b;
      case '^':
        return a ^ b;
      case '&':
        return a & b;
      case '==':
        return bool(a === b);
      case '!=':
        return bool(a !== b);
      case '<':
        return bool(a < b);
      case '<=':
        return bool(a <= b);
      case '>':
        return bool(a > b);
      case '>=':
        return bool(a >= b);
      case '<<':
        return wrap(a << (b & 63n));
      case '>>':
        return a >> (b & 63n);
      case '+':
        return wrap(a + b);
      case '-':
        return wrap(a - b);
      case '*':
        return wrap(a * b);
      default:
        if (b === 0n && skipped > 0) return 0n;
        if (b === 0n) throw new Error('division by zero');
        return wrap(operator === '/' ? a / b : a % b);
    }
  };
  const conditional = (): bigint => {
    const condition = binary(0);
    if (list[at] !== '?') return condition;
    at++;
    const yes = skip(condition === 0n, assignment);
    if (list[at++] !== ':') fail();
    const no = skip(condition !== 0n, conditional);
    return condition !== 0n ? yes : no;
  };
  const assignment = (): bigint => {
    const name = list[at];
    const operator = list[at + 1];
    if (name && /^[A-Za-z_]/.test(name) && operator && /^(=|[-+*/%&|^]=|<<=|>>=)$/.test(operator)) {
      at += 2;
      const right = assignment();
      const next = operator === '=' ? right : apply(operator.slice(0, -1), value(name), right);
      assign(name, next);
      return next;
    }
    return conditional();
  };

  if (list.length === 0) return 0n;
  const result = assignment();
  if (at < list.length) fail();
  return result;
}
