/**
 * Resource quantities (`250m`, `1Gi`, `1e3`) as exact integers of 10⁻⁹ units, with the canonical text the API server
 * gives them (apimachinery `pkg/api/resource/quantity.go`).
 */
export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

export interface Quantity {
  /** The value times 10⁹; finer values were rounded away from zero. */
  readonly nano: bigint;
  readonly format: QuantityFormat;
}

const NANO = 1_000_000_000n;
const DECIMAL_SUFFIXES = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];
const BINARY_SUFFIXES = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const MAX_BINARY = ((1n << 63n) - 1n) * NANO;
/** An exponent past this cannot change a capped or rounded value and would only cost memory. */
const MAX_EXPONENT = 64;

export const QUANTITY_PATTERN_TEXT =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/** What is wrong with the text of a quantity, in the API server's words, or undefined. */
export function quantityError(text: string): string | undefined {
  const match = /^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$/.exec(text);
  if (!match || !/^[+-]?(\d+\.?\d*|\.\d+)$/.test(match[1] as string)) return QUANTITY_PATTERN_TEXT;
  return /^([numkMGTPE]?|[KMGTPE]i|[eE][+-]?\d+)$/.test(match[2] as string)
    ? undefined
    : "unable to parse quantity's suffix";
}

function divideRoundingAway(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  if (value % divisor === 0n) return quotient;
  return value < 0n ? quotient - 1n : quotient + 1n;
}

/** Parses text; undefined when quantityError would say something. */
export function parseQuantity(text: string): Quantity | undefined {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?([numkMGTPE]?|[KMGTPE]i|[eE][+-]?\d+)$/.exec(text);
  if (!match) return undefined;
  const [, sign, whole, fraction = '', suffix] = match as unknown as [string, string, string, string, string];
  if (whole === '' && fraction === '') return undefined;
  let mantissa = BigInt(whole + fraction);
  let format: QuantityFormat = 'DecimalSI';
  let exponent = 0;
  if (suffix.endsWith('i')) {
    format = 'BinarySI';
    mantissa <<= 10n * BigInt(BINARY_SUFFIXES.indexOf(suffix));
  } else if (suffix.length > 1) {
    format = 'DecimalExponent';
    exponent = Math.max(-MAX_EXPONENT, Math.min(MAX_EXPONENT, Number(suffix.slice(1))));
  } else {
    exponent = (DECIMAL_SUFFIXES.indexOf(suffix) - 3) * 3;
  }
  const shift = 9 + exponent - fraction.length;
  let nano =
    shift >= 0 ? mantissa * 10n ** BigInt(shift) : divideRoundingAway(mantissa, 10n ** BigInt(-shift));
  if (format === 'BinarySI' && nano > MAX_BINARY) nano = MAX_BINARY;
  if (format === 'BinarySI' && nano > 0n && nano < NANO) format = 'DecimalSI';
  return { nano: sign === '-' ? -nano : nano, format };
}

/** Canonical text: no fraction, the largest suffix that loses nothing. */
export function formatQuantity(quantity: Quantity): string {
  const { nano } = quantity;
  if (nano === 0n) return '0';
  const small = nano > -1024n * NANO && nano < 1024n * NANO;
  if (quantity.format === 'BinarySI' && !small) {
    let value = divideRoundingAway(nano, NANO);
    let power = 0;
    while (value % 1024n === 0n && power < BINARY_SUFFIXES.length - 1) {
      value /= 1024n;
      power++;
    }
    return `${value}${BINARY_SUFFIXES[power]}`;
  }
  let value = nano;
  let power = 0;
  const last = quantity.format === 'DecimalExponent' ? Infinity : DECIMAL_SUFFIXES.length - 1;
  while (value % 1000n === 0n && power < last) {
    value /= 1000n;
    power++;
  }
  if (quantity.format === 'DecimalExponent') return power === 3 ? `${value}` : `${value}e${(power - 3) * 3}`;
  return `${value}${DECIMAL_SUFFIXES[power]}`;
}

/** The text the API server would store for `text`; text that is no quantity comes back as it is. */
export function canonicalQuantity(text: string): string {
  const quantity = parseQuantity(text);
  return quantity ? formatQuantity(quantity) : text;
}

/** Sums keep the format of the first operand, unless that is zero. */
export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return { nano: a.nano + b.nano, format: a.nano === 0n ? b.format : a.format };
}

/** Below zero, zero or above zero as `a` is less than, equal to or more than `b`. */
export function compareQuantities(a: Quantity, b: Quantity): number {
  return a.nano < b.nano ? -1 : a.nano > b.nano ? 1 : 0;
}

/** Nearest number; `250m` is 0.25. */
export function quantityToNumber(quantity: Quantity): number {
  return Number(quantity.nano) / 1e9;
}
