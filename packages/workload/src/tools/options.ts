/** What getopt_long(3) finds in an argument list. */
export interface Options {
  /** Values by canonical name; an option without a value has ''. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
  has(name: string): boolean;
  /** The last value. */
  get(name: string): string | undefined;
  all(name: string): readonly string[];
}

/** An option that a tool does not know, or one that lacks its value. */
export class OptionProblem extends Error {
  readonly kind: 'unknown' | 'missing' | 'unwanted';
  /** As written: `-x` or `--name`. */
  readonly option: string;
  constructor(kind: 'unknown' | 'missing' | 'unwanted', option: string) {
    super(`${kind} ${option}`);
    this.kind = kind;
    this.option = option;
  }

  /** The text of GNU's getopt. */
  get text(): string {
    const isLong = this.option.startsWith('--');
    const name = isLong ? `'${this.option}'` : `'${this.option.slice(1)}'`;
    if (this.kind === 'unknown') return isLong ? `unrecognized option ${name}` : `invalid option -- ${name}`;
    if (this.kind === 'unwanted') return `option ${name} doesn't allow an argument`;
    return isLong ? `option ${name} requires an argument` : `option requires an argument -- ${name}`;
  }
}

/**
 * Reads options as getopt does: `shorts` as `ab:c` with a colon after letters that take a value, `longs` from name to
 * canonical name, with `=` at its end when it takes a value and `=?` when it may. Options may stand after operands
 * unless `stopAtOperand`. Throws OptionProblem.
 */
export function parseOptions(
  args: readonly string[],
  shorts: string,
  longs: Readonly<Record<string, string>> = {},
  settings: { stopAtOperand?: boolean } = {},
): Options {
  const values = new Map<string, string[]>();
  const operands: string[] = [];
  const add = (name: string, value: string): void => {
    const list = values.get(name);
    if (list) list.push(value);
    else values.set(name, [value]);
  };
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!;
    if (argument === '--') {
      operands.push(...args.slice(i + 1));
      break;
    }
    if (!argument.startsWith('-') || argument === '-') {
      if (settings.stopAtOperand) {
        operands.push(...args.slice(i));
        break;
      }
      operands.push(argument);
    } else if (argument.startsWith('--')) {
      const equals = argument.indexOf('=');
      const written = equals < 0 ? argument.slice(2) : argument.slice(2, equals);
      const target = findLong(longs, written);
      if (target === undefined) throw new OptionProblem('unknown', `--${written}`);
      const name = target.replace(/=\??$/, '');
      if (target.endsWith('=?')) add(name, equals < 0 ? '' : argument.slice(equals + 1));
      else if (target.endsWith('=')) {
        const value = equals < 0 ? args[++i] : argument.slice(equals + 1);
        if (value === undefined) throw new OptionProblem('missing', `--${written}`);
        add(name, value);
      } else {
        if (equals >= 0) throw new OptionProblem('unwanted', `--${written}`);
        add(name, '');
      }
    } else {
      for (let at = 1; at < argument.length; at++) {
        const letter = argument[at]!;
        const index = letter === ':' ? -1 : shorts.indexOf(letter);
        if (index < 0) throw new OptionProblem('unknown', `-${letter}`);
        if (shorts[index + 1] !== ':') {
          add(letter, '');
          continue;
        }
        const value = at + 1 < argument.length ? argument.slice(at + 1) : args[++i];
        if (value === undefined) throw new OptionProblem('missing', `-${letter}`);
        add(letter, value);
        break;
      }
    }
  }
  return {
    values,
    operands,
    has: (name) => values.has(name),
    get: (name) => values.get(name)?.at(-1),
    all: (name) => values.get(name) ?? [],
  };
}

function findLong(longs: Readonly<Record<string, string>>, name: string): string | undefined {
  if (Object.hasOwn(longs, name)) return longs[name];
  const matches = Object.keys(longs).filter((candidate) => candidate.startsWith(name));
  return matches.length === 1 ? longs[matches[0]!] : undefined;
}

/** `1.5`, `2s`, `3m`, `1h`, `1d`, `infinity` of sleep and timeout, or Go's `500ms`: milliseconds. */
export function parseSeconds(text: string): number | undefined {
  if (/^inf(inity)?$/i.test(text)) return 2 ** 31 - 1;
  const match = /^(\d+\.?\d*|\.\d+)(ms|us|ns|s|m|h|d)?$/.exec(text);
  if (!match) return undefined;
  const unit = { ns: 1e-6, us: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  return Math.min(Number(match[1]) * unit[(match[2] ?? 's') as keyof typeof unit], 2 ** 31 - 1);
}
