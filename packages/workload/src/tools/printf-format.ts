/** The format of printf(1) and awk's printf: conversions, widths, escapes; the format is used again for more arguments. */
export function formatPrintf(
  format: string,
  args: readonly string[],
  settings: { once?: boolean } = {},
): { text: string; problem?: string } {
  let text = '';
  let problem: string | undefined;
  let next = 0;
  const conversions =
    /%(?:%|([-+ 0#]*)(\*|\d+)?(?:\.(\*|\d+)?)?([a-zA-Z]))|\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|[\s\S])|%/g;
  do {
    const before = next;
    let last = 0;
    for (const match of format.matchAll(conversions)) {
      text += format.slice(last, match.index);
      last = match.index + match[0].length;
      if (match[0] === '%%') text += '%';
      else if (match[0].startsWith('\\')) {
        if (match[0] === '\\c') return finish(text, problem);
        text += interpretEscapes(match[0]).text;
      } else if (match[4] === undefined) problem = `${match[0]}: invalid directive`;
      else {
        const flags = match[1] ?? '';
        const width = match[2] === '*' ? Number(args[next++] ?? 0) : Number(match[2] ?? 0);
        const hasPrecision = match[0].includes('.');
        const precision = match[3] === '*' ? Number(args[next++] ?? 0) : Number(match[3] ?? 0);
        const argument = args[next++];
        if (match[4] === 'b') {
          const inner = interpretEscapes(argument ?? '');
          text += inner.text;
          if (inner.stop) return finish(text, problem);
          continue;
        }
        const converted = convert(match[4], argument, flags, hasPrecision ? precision : undefined);
        if (converted.problem) problem = converted.problem;
        text += pad(
          converted.text,
          Math.min(Math.abs(width), 10_000),
          flags,
          width < 0,
          'diouxXfeEgG'.includes(match[4]),
        );
      }
    }
    text += format.slice(last);
    if (next === before) break;
  } while (!settings.once && next < args.length && text.length < 2 ** 20);
  return finish(text, problem);
}

function finish(text: string, problem: string | undefined): { text: string; problem?: string } {
  return problem === undefined ? { text } : { text, problem };
}

function pad(text: string, width: number, flags: string, left: boolean, numeric: boolean): string {
  if (text.length >= width) return text;
  if (flags.includes('-') || left) return text.padEnd(width);
  if (!flags.includes('0') || !numeric) return text.padStart(width);
  const sign = /^[-+ ]/.test(text) ? text[0]! : '';
  return sign + text.slice(sign.length).padStart(width - sign.length, '0');
}

function convert(
  conversion: string,
  argument: string | undefined,
  flags: string,
  precision: number | undefined,
): { text: string; problem?: string } {
  const digits = precision === undefined ? undefined : Math.min(precision, 100);
  switch (conversion) {
    case 's':
      return { text: digits === undefined ? (argument ?? '') : (argument ?? '').slice(0, digits) };
    case 'c':
      return { text: (argument ?? '').slice(0, 1) };
  }
  const raw = (argument ?? '').trim();
  let value = /^["']/.test(raw) ? (raw.codePointAt(1) ?? 0) : Number(raw === '' ? 0 : raw);
  if (/^[-+]?0[0-7]+$/.test(raw)) value = Number.parseInt(raw, 8);
  let problem: string | undefined;
  if (Number.isNaN(value)) {
    problem = `${argument}: expected numeric value`;
    value = Number.parseFloat(raw) || 0;
  }
  const sign = value < 0 ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  const size = Math.abs(value);
  const whole = (base: number): string =>
    BigInt(Math.trunc(Number.isFinite(size) ? size : 0))
      .toString(base)
      .padStart(digits ?? 1, '0');
  let text: string;
  switch (conversion) {
    case 'd':
    case 'i':
      text = sign + whole(10);
      break;
    case 'u':
      text = whole(10);
      break;
    case 'o':
      text = whole(8);
      break;
    case 'x':
      text = (flags.includes('#') ? '0x' : '') + whole(16);
      break;
    case 'X':
      text = (flags.includes('#') ? '0X' : '') + whole(16).toUpperCase();
      break;
    case 'f':
    case 'F':
      text = sign + size.toFixed(digits ?? 6);
      break;
    case 'e':
    case 'E': {
      text = sign + size.toExponential(digits ?? 6).replace(/e([-+])(\d)$/, 'e$10$2');
      if (conversion === 'E') text = text.toUpperCase();
      break;
    }
    case 'g':
    case 'G':
      text = sign + generalNumber(size, digits ?? 6);
      break;
    default:
      return { text: '', problem: `%${conversion}: invalid directive` };
  }
  return problem === undefined ? { text } : { text, problem };
}

/** C's %g. */
export function generalNumber(value: number, precision: number): string {
  if (value === 0) return '0';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : value < 0 ? '-inf' : 'nan';
  const significant = Math.max(1, precision);
  const exponent = Number(value.toExponential(significant - 1).split('e')[1]);
  if (exponent < -4 || exponent >= significant) {
    const [mantissa, power] = value.toExponential(significant - 1).split('e') as [string, string];
    const short = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
    return `${short}e${power.replace(/^([-+])(\d)$/, '$10$2')}`;
  }
  const fixed = value.toFixed(Math.max(0, significant - 1 - exponent));
  return fixed.includes('.') ? fixed.replace(/\.?0+$/, '') : fixed;
}

const ESCAPES: Record<string, string> = {
  a: '\u0007',
  b: '\b',
  e: '\u001b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
};

/** `\n`, `\033`, `\x1b` and the like; `\c` stops all output. */
export function interpretEscapes(text: string): { text: string; stop: boolean } {
  const cut = /(?:^|[^\\])(?:\\\\)*\\c/.exec(text);
  const kept = cut ? text.slice(0, cut.index + cut[0].length - 2) : text;
  const result = kept.replace(/\\(0?[0-7]{1,3}|x[0-9a-fA-F]{1,2}|[\s\S])/g, (whole, code: string) => {
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 255);
    if (code.length > 1) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return ESCAPES[code] ?? whole;
  });
  return { text: result, stop: cut !== null };
}
