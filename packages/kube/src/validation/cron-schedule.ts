import { parseDuration } from '../duration.ts';

/** Schedules of CronJobs: five fields or a descriptor, with the error texts of the Go library robfig/cron, ParseStandard. */

interface Bounds {
  readonly min: number;
  readonly max: number;
  /** Lower-case names in order, the first standing for `min`. */
  readonly names?: readonly string[];
}

const FIELDS: readonly Bounds[] = [
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  {
    min: 1,
    max: 12,
    names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  },
  { min: 0, max: 6, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
];
const DESCRIPTORS: ReadonlySet<string> = new Set([
  '@yearly',
  '@annually',
  '@monthly',
  '@weekly',
  '@daily',
  '@midnight',
  '@hourly',
]);
const EVERY = '@every ';

/** What is wrong with a schedule, or undefined. */
export function cronScheduleError(schedule: string): string | undefined {
  let spec = schedule;
  if (spec === '') return 'empty spec string';
  const zone = /^(?:CRON_)?TZ=([^ ]*)( ?)/.exec(spec);
  if (zone !== null) {
    const [prefix, name] = zone as unknown as [string, string];
    if (!isTimeZone(name)) return `provided bad location ${name}: unknown time zone ${name}`;
    spec = spec.slice(prefix.length).trim();
  }
  if (spec.startsWith('@')) return descriptorError(spec);
  const fields = spec.split(/\s+/).filter((field) => field !== '');
  if (fields.length !== FIELDS.length) {
    return `expected exactly ${FIELDS.length} fields, found ${fields.length}: [${fields.join(' ')}]`;
  }
  for (const [i, bounds] of FIELDS.entries()) {
    for (const range of (fields[i] as string).split(',')) {
      const error = range === '' ? undefined : rangeError(range, bounds);
      if (error !== undefined) return error;
    }
  }
  return undefined;
}

/** True for a zone of the IANA database; '' is UTC. */
export function isTimeZone(name: string): boolean {
  if (name === '' || name === 'UTC' || name === 'Local') return true;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function descriptorError(descriptor: string): string | undefined {
  if (DESCRIPTORS.has(descriptor)) return undefined;
  if (!descriptor.startsWith(EVERY)) return `unrecognized descriptor: ${descriptor}`;
  const text = descriptor.slice(EVERY.length);
  if (parseDuration(text) !== undefined) return undefined;
  return `failed to parse duration ${descriptor}: time: invalid duration ${JSON.stringify(text)}`;
}

/** `*`, `5`, `1-5`, each with an optional `/step`. */
function rangeError(expression: string, bounds: Bounds): string | undefined {
  const [range = '', step, ...moreSteps] = expression.split('/');
  const [low = '', high, ...moreHighs] = range.split('-');
  let start = bounds.min;
  let end = bounds.max;
  const any = low === '*' || low === '?';
  if (!any) {
    if (moreHighs.length > 0) return `too many hyphens: ${expression}`;
    const first = parseNumber(low, bounds);
    if (typeof first === 'string') return first;
    const last = high === undefined ? first : parseNumber(high, bounds);
    if (typeof last === 'string') return last;
    start = first;
    end = last;
  }
  let stride = 1;
  if (moreSteps.length > 0) return `too many slashes: ${expression}`;
  if (step !== undefined) {
    const parsed = parseNumber(step, { min: 0, max: 0 });
    if (typeof parsed === 'string') return parsed;
    stride = parsed;
    if (high === undefined) end = bounds.max;
  }
  if (start < bounds.min) {
    return `beginning of range (${start}) below minimum (${bounds.min}): ${expression}`;
  }
  if (end > bounds.max) return `end of range (${end}) above maximum (${bounds.max}): ${expression}`;
  if (start > end) return `beginning of range (${start}) beyond end of range (${end}): ${expression}`;
  return stride === 0 ? `step of range should be a positive number: ${expression}` : undefined;
}

/** The number, or what is wrong with it. */
function parseNumber(text: string, bounds: Bounds): number | string {
  const named = bounds.names?.indexOf(text.toLowerCase()) ?? -1;
  if (named >= 0) return named + bounds.min;
  if (!/^[-+]?\d+$/.test(text)) {
    return `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
  }
  const number = Number(text);
  return number < 0 ? `negative number (${number}) not allowed: ${text}` : number;
}
