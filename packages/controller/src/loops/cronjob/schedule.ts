/**
 * Cron schedules as CronJobs write them: five fields, `*`, ranges, steps, lists, names of months and weekdays, and the @-words
 * (github.com/robfig/cron, standard parser). Times are milliseconds since 1970.
 */
export interface Schedule {
  minutes: ReadonlySet<number>;
  hours: ReadonlySet<number>;
  days: ReadonlySet<number>;
  months: ReadonlySet<number>;
  weekdays: ReadonlySet<number>;
  /** With both day fields restricted either one suffices. */
  anyDay: boolean;
  anyWeekday: boolean;
}

const MACROS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const MINUTE_MS = 60_000;
const LONGEST_SEARCH_MS = 5 * 366 * 24 * 60 * MINUTE_MS;

/** Undefined when the text is no schedule. */
export function parseSchedule(text: string): Schedule | undefined {
  const fields = (MACROS[text.trim()] ?? text).trim().split(/\s+/);
  if (fields.length !== 5) return undefined;
  const [minutes, hours, days, months, weekdays] = [
    parseField(fields[0], 0, 59),
    parseField(fields[1], 0, 23),
    parseField(fields[2], 1, 31),
    parseField(fields[3], 1, 12, MONTHS),
    parseField(fields[4], 0, 7, WEEKDAYS),
  ];
  if (!minutes || !hours || !days || !months || !weekdays) return undefined;
  if (weekdays.delete(7)) weekdays.add(0);
  const isAny = (field: string) => field.startsWith('*') || field.startsWith('?');
  return { minutes, hours, days, months, weekdays, anyDay: isAny(fields[2]), anyWeekday: isAny(fields[4]) };
}

function parseField(
  text: string,
  least: number,
  most: number,
  names: readonly string[] = [],
): Set<number> | undefined {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(\*|\?|[a-z]+|\d+)(?:-([a-z]+|\d+))?(?:\/(\d+))?$/i.exec(part);
    if (match === null) return undefined;
    const [, from, to, step] = match;
    const number = (word: string) => {
      const index = names.indexOf(word.toLowerCase());
      return index < 0 ? Number(word) : index + (names === MONTHS ? 1 : 0);
    };
    const any = from === '*' || from === '?';
    const first = any ? least : number(from);
    const open = any || (step !== undefined && to === undefined);
    const last = open ? (names === WEEKDAYS ? 6 : most) : number(to ?? from);
    const every = step === undefined ? 1 : Number(step);
    if (!(first >= least && first <= last && last <= most && every > 0)) return undefined;
    for (let value = first; value <= last; value += every) values.add(value);
  }
  return values;
}

interface LocalTime {
  minute: number;
  hour: number;
  day: number;
  month: number;
  weekday: number;
}

/** Reads a time as clocks in a time zone show it; undefined when there is no such zone. */
export function localTimeReader(timeZone: string): ((ms: number) => LocalTime) | undefined {
  if (timeZone === 'UTC' || timeZone === 'Etc/UTC') {
    return (ms) => {
      const date = new Date(ms);
      return {
        minute: date.getUTCMinutes(),
        hour: date.getUTCHours(),
        day: date.getUTCDate(),
        month: date.getUTCMonth() + 1,
        weekday: date.getUTCDay(),
      };
    };
  }
  let format: Intl.DateTimeFormat;
  try {
    const numeric = { month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' } as const;
    format = new Intl.DateTimeFormat('en-US', { timeZone, weekday: 'short', hourCycle: 'h23', ...numeric });
  } catch {
    return undefined;
  }
  return (ms) => {
    const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    return {
      minute: Number(parts.minute),
      hour: Number(parts.hour),
      day: Number(parts.day),
      month: Number(parts.month),
      weekday: WEEKDAYS.indexOf(parts.weekday.toLowerCase()),
    };
  };
}

/** The first time after `ms`; undefined when there is none within five years (31 February). */
export function nextTime(
  schedule: Schedule,
  ms: number,
  read: (ms: number) => LocalTime,
): number | undefined {
  let at = (Math.floor(ms / MINUTE_MS) + 1) * MINUTE_MS;
  const end = ms + LONGEST_SEARCH_MS;
  while (at < end) {
    const local = read(at);
    const toNextHour = (60 - local.minute) * MINUTE_MS;
    if (!schedule.months.has(local.month) || !matchesDay(schedule, local)) {
      // An hour short of midnight, so that no change of clocks is jumped over.
      at += local.hour < 22 ? toNextHour + (22 - local.hour) * 60 * MINUTE_MS : toNextHour;
    } else if (!schedule.hours.has(local.hour)) at += toNextHour;
    else if (!schedule.minutes.has(local.minute)) at += MINUTE_MS;
    else return at;
  }
  return undefined;
}

function matchesDay(schedule: Schedule, { day, weekday }: LocalTime): boolean {
  const byDay = schedule.days.has(day);
  const byWeekday = schedule.weekdays.has(weekday);
  return schedule.anyDay || schedule.anyWeekday ? byDay && byWeekday : byDay || byWeekday;
}
