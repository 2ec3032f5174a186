import { posix } from 'node:path';
import { SIGNALS, SignalReason, signalName } from '../shell/processes.ts';
import { pause } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { parseOptions, parseSeconds } from './options.ts';
import { hasTool } from './table.ts';
import { withUsage } from './tool-files.ts';

export const env: Tool = async ({ argv, env: environment, stdout, run }) => {
  let at = 1;
  const kept: Record<string, string> = { ...environment };
  for (; at < argv.length; at++) {
    const argument = argv[at]!;
    if (argument === '-i' || argument === '-') for (const name of Object.keys(kept)) delete kept[name];
    else if (argument === '-u') delete kept[argv[++at] ?? ''];
    else if (/^[A-Za-z_]\w*=/.test(argument)) {
      const equals = argument.indexOf('=');
      kept[argument.slice(0, equals)] = argument.slice(equals + 1);
    } else break;
  }
  if (at < argv.length) return run(argv.slice(at), { environment: kept });
  for (const [name, value] of Object.entries(kept)) await stdout.write(`${name}=${value}\n`);
  return 0;
};

export const printenv: Tool = async ({ argv, env: environment, stdout }) => {
  const names = argv.slice(1).filter((name) => !name.startsWith('-'));
  if (names.length === 0)
    for (const [name, value] of Object.entries(environment)) await stdout.write(`${name}=${value}\n`);
  let code = 0;
  for (const name of names) {
    if (Object.hasOwn(environment, name)) await stdout.write(`${environment[name]}\n`);
    else code = 1;
  }
  return code;
};

export const sleep: Tool = async ({ argv, stderr, signal, sleepScale }) => {
  const parts = argv.slice(1).map(parseSeconds);
  const wrong = parts.indexOf(undefined);
  if (parts.length === 0 || wrong >= 0) {
    await stderr.write(
      parts.length === 0 ? 'sleep: missing operand\n' : `sleep: invalid time interval '${argv[wrong + 1]}'\n`,
    );
    return 1;
  }
  const total = parts.reduce((sum, part) => sum! + part!, 0)!;
  await pause(Math.min(total * sleepScale, 2 ** 31 - 1), signal);
  return 0;
};

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** Containers run in UTC. */
export const date: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'uRI:d:', {
    utc: 'u',
    date: 'd=',
    'iso-8601': 'iso=?',
    rfc: 'R',
  });
  let at = new Date();
  const wanted = options.get('d');
  if (wanted !== undefined) {
    at = /^@-?\d+$/.test(wanted)
      ? new Date(Number(wanted.slice(1)) * 1000)
      : wanted === 'now'
        ? at
        : new Date(wanted);
    if (Number.isNaN(at.getTime())) {
      await context.stderr.write(`date: invalid date '${wanted}'\n`);
      return 1;
    }
  }
  const format =
    options.operands[0]?.replace(/^\+/, '') ??
    (options.has('R')
      ? '%a, %d %b %Y %H:%M:%S +0000'
      : options.has('I') || options.has('iso')
        ? /^s/.test(options.get('I') ?? options.get('iso') ?? '')
          ? '%Y-%m-%dT%H:%M:%S+00:00'
          : '%Y-%m-%d'
        : '%a %b %e %H:%M:%S UTC %Y');
  await context.stdout.write(`${formatDate(at, format)}\n`);
  return 0;
});

/** strftime(3) in UTC. */
export function formatDate(at: Date, format: string): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const hour12 = at.getUTCHours() % 12 || 12;
  const dayOfYear = Math.floor((at.getTime() - Date.UTC(at.getUTCFullYear(), 0, 1)) / 86_400_000) + 1;
  const nanoseconds = String(at.getUTCMilliseconds() * 1_000_000).padStart(9, '0');
  const fields: Record<string, () => string> = {
    Y: () => String(at.getUTCFullYear()),
    y: () => two(at.getUTCFullYear() % 100),
    m: () => two(at.getUTCMonth() + 1),
    d: () => two(at.getUTCDate()),
    e: () => String(at.getUTCDate()).padStart(2),
    H: () => two(at.getUTCHours()),
    I: () => two(hour12),
    M: () => two(at.getUTCMinutes()),
    S: () => two(at.getUTCSeconds()),
    p: () => (at.getUTCHours() < 12 ? 'AM' : 'PM'),
    s: () => String(Math.floor(at.getTime() / 1000)),
    N: () => nanoseconds,
    a: () => DAYS[at.getUTCDay()]!.slice(0, 3),
    A: () => DAYS[at.getUTCDay()]!,
    b: () => MONTHS[at.getUTCMonth()]!.slice(0, 3),
    h: () => MONTHS[at.getUTCMonth()]!.slice(0, 3),
    B: () => MONTHS[at.getUTCMonth()]!,
    j: () => String(dayOfYear).padStart(3, '0'),
    u: () => String(at.getUTCDay() || 7),
    w: () => String(at.getUTCDay()),
    Z: () => 'UTC',
    z: () => '+0000',
    n: () => '\n',
    t: () => '\t',
    '%': () => '%',
    F: () => formatDate(at, '%Y-%m-%d'),
    T: () => formatDate(at, '%H:%M:%S'),
    R: () => formatDate(at, '%H:%M'),
    D: () => formatDate(at, '%m/%d/%y'),
    c: () => formatDate(at, '%a %b %e %H:%M:%S %Y'),
  };
  return format.replace(
    /%([-_]?)(\d?)([A-Za-z%])/g,
    (whole, flag: string, digits: string, letter: string) => {
      const field = fields[letter];
      if (!field) return whole;
      const text = letter === 'N' && digits ? nanoseconds.slice(0, Number(digits)) : field();
      return flag === '-' ? text.replace(/^[0 ]+(?=.)/, '') : text;
    },
  );
}

export const uname: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'asnrvmpio', { all: 'a' });
  const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as string] ?? process.arch;
  const fields: [string, string][] = [
    ['s', 'Linux'],
    ['n', context.sandbox.hostname],
    ['r', '6.1.0-podwire'],
    ['v', '#1 SMP PREEMPT_DYNAMIC'],
    ['m', machine],
    ['o', 'GNU/Linux'],
  ];
  const shown = fields.filter(([name]) => options.has('a') || options.has(name));
  const texts = (shown.length > 0 ? shown : fields.slice(0, 1)).map(([, text]) => text);
  await context.stdout.write(`${texts.join(' ')}\n`);
  return 0;
});

export const id: Tool = async ({ argv, stdout }) => {
  const options = argv.slice(1).join('');
  const text = options.includes('n')
    ? 'root'
    : /-[ugG]/.test(options)
      ? '0'
      : 'uid=0(root) gid=0(root) groups=0(root)';
  await stdout.write(`${text}\n`);
  return 0;
};

export const whoami: Tool = async ({ stdout }) => {
  await stdout.write('root\n');
  return 0;
};

export const which: Tool = async ({ argv, stdout }) => {
  let code = 0;
  for (const name of argv.slice(1).filter((argument) => !argument.startsWith('-'))) {
    const known = hasTool(posix.basename(name)) || /^(sh|bash|ash|dash)$/.test(name);
    if (known) await stdout.write(`/usr/bin/${posix.basename(name)}\n`);
    else code = 1;
  }
  return code;
};

export const timeout: Tool = withUsage(125, async (context) => {
  const options = parseOptions(
    context.argv.slice(1),
    's:k:vt:',
    { signal: 's=', 'kill-after': 'k=', 'preserve-status': 'preserve', foreground: 'foreground' },
    { stopAtOperand: true },
  );
  // Old busybox: `timeout -t SECONDS COMMAND`.
  const [duration, ...argv] = options.has('t') ? [options.get('t')!, ...options.operands] : options.operands;
  const afterMs = duration === undefined ? undefined : parseSeconds(duration);
  if (afterMs === undefined || argv.length === 0) {
    await context.stderr.write(
      duration !== undefined && afterMs === undefined
        ? `timeout: invalid time interval '${duration}'\n`
        : 'timeout: missing operand\n',
    );
    return 125;
  }
  const name = signalName(options.get('s') ?? 'TERM') ?? 'TERM';
  const late = new AbortController();
  const signal = AbortSignal.any([context.signal, late.signal]);
  const timer = afterMs > 0 ? setTimeout(() => late.abort(new SignalReason(name)), afterMs) : undefined;
  try {
    const code = await context.run(argv, { signal });
    if (!late.signal.aborted || options.has('preserve')) return code;
    return name === 'KILL' ? 137 : 124;
  } finally {
    clearTimeout(timer);
  }
});

export const kill: Tool = async ({ argv, processes, stdout, stderr }) => {
  let name = 'TERM';
  let rest = argv.slice(1);
  if (rest[0] === '-l') {
    await stdout.write(`${Object.keys(SIGNALS).join(' ')}\n`);
    return 0;
  }
  if (rest[0] === '-s' || (rest[0]?.startsWith('-') && rest[0] !== '--')) {
    const text = rest[0] === '-s' ? (rest[1] ?? '') : rest[0].slice(1);
    // Signal 0 only asks whether the process is there.
    const known = text === '0' ? '0' : signalName(text);
    if (known === undefined) {
      await stderr.write(`kill: ${text}: invalid signal specification\n`);
      return 1;
    }
    name = known;
    rest = rest.slice(rest[0] === '-s' ? 2 : 1);
  }
  if (rest.length === 0) {
    await stderr.write('kill: usage: kill [-s sigspec | -signum] pid ...\n');
    return 2;
  }
  let code = 0;
  for (const text of rest) {
    const process = processes.get(Number(text.replace(/^%/, '')));
    if (!process) {
      code = 1;
      await stderr.write(`kill: (${text}) - No such process\n`);
    } else if (name !== '0' && !['CONT', 'STOP', 'CHLD', 'USR1', 'USR2'].includes(name)) process.signal(name);
  }
  return code;
};

/** killall and pkill by the name of a command; pgrep and pidof only tell. */
export const byName: Tool = async ({ argv, processes, stdout, stderr }) => {
  const called = posix.basename(argv[0]!);
  const wanted = argv.slice(1).filter((argument) => !argument.startsWith('-'));
  const whole = argv.includes('-f');
  const found = processes.list().filter((process) => {
    const text = whole ? process.argv.join(' ') : posix.basename(process.argv[0] ?? '');
    return wanted.some((name) =>
      called.startsWith('p') && called !== 'pidof' ? text.includes(name) : text === name,
    );
  });
  if (called === 'pgrep') for (const { pid } of found) await stdout.write(`${pid}\n`);
  else if (called === 'pidof' && found.length > 0)
    await stdout.write(`${found.map(({ pid }) => pid).join(' ')}\n`);
  else for (const process of found) process.signal('TERM');
  if (found.length === 0 && called === 'killall')
    await stderr.write(`killall: ${wanted[0] ?? ''}: no process killed\n`);
  return found.length > 0 ? 0 : 1;
};

export const ps: Tool = async ({ argv, processes, nowMs, stdout }) => {
  const bsd = argv.slice(1).some((argument) => /^-?[a-z]*[ue]/.test(argument));
  await stdout.write(
    bsd ? 'USER         PID %CPU %MEM STAT   TIME COMMAND\n' : 'PID   USER     TIME  COMMAND\n',
  );
  for (const process of processes.list()) {
    const seconds = Math.floor((nowMs() - process.startedMs) / 1000);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    const command = process.argv.join(' ');
    await stdout.write(
      bsd
        ? `root     ${String(process.pid).padStart(7)}  0.0  0.0 S   ${time.padStart(6)} ${command}\n`
        : `${String(process.pid).padStart(5)} root     ${time.padStart(6)} ${command}\n`,
    );
  }
  return 0;
};

export const nproc: Tool = async ({ stdout }) => {
  await stdout.write('1\n');
  return 0;
};

export const uptime: Tool = async ({ nowMs, processes, stdout }) => {
  const seconds = Math.floor((nowMs() - (processes.get(1)?.startedMs ?? nowMs())) / 1000);
  const clock = formatDate(new Date(), '%H:%M:%S');
  await stdout.write(
    ` ${clock} up ${Math.floor(seconds / 60)} min,  0 users,  load average: 0.00, 0.00, 0.00\n`,
  );
  return 0;
};

export const clear: Tool = async ({ stdout }) => {
  await stdout.write('\u001b[H\u001b[2J');
  return 0;
};

export const succeed: Tool = () => 0;
export const fail: Tool = () => 1;
