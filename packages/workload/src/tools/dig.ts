import { isIP } from 'node:net';
import type { DnsRecord, DnsReply } from '../dns-codec.ts';
import { type DnsExchange, exchange, searchNames } from '../resolver.ts';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { addressesOf, isFailure } from './connection.ts';
import { RECORD_TYPES, reverseName } from './dns-names.ts';
import { formatDate } from './system.ts';

const VERSION = '9.18.28';

interface Lookup {
  name: string;
  type: string;
  server: string | undefined;
  port: number;
  flags: Map<string, string | boolean>;
  reverse: boolean;
  family: 4 | 6 | undefined;
}

/** dig of BIND 9.18. Exit code 0 when a server answered, whatever it said; 9 when none did; 1 for a bad command line. */
export const dig: Tool = async (context) => {
  const lookups = parseLookups(context.argv.slice(1));
  if (typeof lookups === 'string') {
    await context.stderr.write(
      `${lookups}\nUsage:  dig [@global-server] [domain] [q-type] [q-class] {q-opt}\n`,
    );
    return 1;
  }
  if (lookups === undefined) {
    await context.stdout.write(`DiG ${VERSION}\n`);
    return 0;
  }
  let code = 0;
  for (const lookup of lookups) {
    const result = await perform(context, lookup, context.argv.slice(1).join(' '));
    if (result !== 0) code = result;
    if (context.signal.aborted) return 130;
  }
  return code;
};

const VALUED = new Set(['time', 'timeout', 'tries', 'retry', 'ndots', 'bufsize', 'domain']);
const SWITCHES = new Set(
  'short search defname tcp vc all answer authority additional question comments cmd stats recurse edns dnssec identify multiline ttlid qr besteffort fail ignore keepopen nssearch trace aaflag aaonly adflag cdflag cookie onesoa crypto rrcomments class split idnin idnout yaml subnet showsearch'.split(
    ' ',
  ),
);

function parseLookups(args: readonly string[]): Lookup[] | string | undefined {
  const lookups: Lookup[] = [];
  const globals = new Map<string, string | boolean>();
  let server: string | undefined;
  let port = 53;
  let type: string | undefined;
  let family: 4 | 6 | undefined;
  let reverse: string | undefined;
  const names: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!;
    if (argument.startsWith('@')) server = argument.slice(1);
    else if (argument.startsWith('+')) {
      const [, negated, name = '', value] = /^\+(no)?([a-z]+\d?)(?:=(.*))?$/.exec(argument) ?? [];
      const known = [...VALUED, ...SWITCHES].filter(
        (candidate) => candidate === name || candidate.startsWith(name),
      );
      const full =
        SWITCHES.has(name) || VALUED.has(name)
          ? name
          : name === 'rec'
            ? 'recurse'
            : name === 'ans'
              ? 'answer'
              : known.length === 1
                ? known[0]
                : undefined;
      if (full === undefined) return `Invalid option: ${argument}`;
      globals.set(full, value ?? !negated);
    } else if (argument === '-x') reverse = args[++i] ?? '';
    else if (argument === '-t') type = (args[++i] ?? '').toUpperCase();
    else if (argument === '-q') names.push(args[++i] ?? '');
    else if (argument === '-p') port = Number(args[++i]);
    else if (argument === '-c' || argument === '-b' || argument === '-k') i++;
    else if (argument === '-4') family = 4;
    else if (argument === '-6') family = 6;
    else if (argument === '-v') return undefined;
    else if (argument === '-h') return 'Usage:';
    else if (argument.startsWith('-') && argument.length > 1) {
      const attached = /^-([tpx])(.+)$/.exec(argument);
      if (!attached) return `Invalid option: ${argument}`;
      if (attached[1] === 't') type = attached[2]!.toUpperCase();
      else if (attached[1] === 'p') port = Number(attached[2]);
      else reverse = attached[2];
    } else if (RECORD_TYPES.has(argument.toUpperCase()) && (type === undefined || names.length > 0))
      type = argument.toUpperCase();
    else if (/^(IN|CH|HS)$/i.test(argument)) continue;
    else names.push(argument);
  }
  const base = { server, port, flags: globals, family };
  if (reverse !== undefined) {
    if (isIP(reverse) === 0) return `Invalid IP address ${reverse}`;
    lookups.push({ ...base, name: reverseName(reverse), type: 'PTR', reverse: true });
  }
  for (const name of names) lookups.push({ ...base, name, type: type ?? 'A', reverse: false });
  if (lookups.length === 0) lookups.push({ ...base, name: '.', type: type ?? 'NS', reverse: false });
  return lookups;
}

async function perform(context: ToolContext, lookup: Lookup, commandLine: string): Promise<number> {
  const { sandbox, nowMs, stdout, signal } = context;
  const { flags } = lookup;
  const on = (name: string, fallback: boolean): boolean => {
    const value = flags.get(name) ?? (name === 'all' ? undefined : flags.get('all'));
    return value === undefined ? fallback : value !== false;
  };
  const short = flags.get('short') === true;
  let servers = sandbox.resolvConf.nameservers;
  if (lookup.server !== undefined) {
    const found = await addressesOf(context, lookup.server, lookup.family);
    if (isFailure(found)) {
      await context.stderr.write(`dig: couldn't get address for '${lookup.server}': not found\n`);
      return 10;
    }
    servers = found.slice(0, 1);
  }
  const usesSearch =
    flags.get('search') === true || (flags.get('defname') === true && flags.get('search') !== false);
  const names =
    usesSearch && !lookup.reverse ? searchNames(sandbox, lookup.name) : [lookup.name.replace(/(.)\.$/, '$1')];
  const seconds = Number(flags.get('time') ?? flags.get('timeout') ?? 5);
  const tries = Number(flags.get('tries') ?? (flags.has('retry') ? Number(flags.get('retry')) + 1 : 3));
  const tcp = flags.get('tcp') === true || flags.get('vc') === true;
  const options = {
    port: lookup.port,
    timeoutMs: Math.max(0.1, seconds || 1) * 1000,
    signal,
    edns: flags.get('edns') !== false,
    recursionDesired: flags.get('recurse') !== false,
  };
  const problems: string[] = [];
  const began = nowMs();
  let answered: { reply: DnsReply; bytes: number; server: string; tcp: boolean } | undefined;
  ask: for (const [index, name] of names.entries()) {
    for (let attempt = 0; attempt < Math.max(1, tries); attempt++) {
      for (const server of servers) {
        if (signal.aborted) return 130;
        let outcome: DnsExchange = await exchange(sandbox, server, name, lookup.type, { ...options, tcp });
        let overTcp = tcp;
        if ('reply' in outcome && outcome.reply.truncated && !tcp && flags.get('ignore') !== true) {
          if (!short) await stdout.write(';; Truncated, retrying in TCP mode.\n');
          outcome = await exchange(sandbox, server, name, lookup.type, { ...options, tcp: true });
          overTcp = true;
        }
        if (!('reply' in outcome)) {
          problems.push(failureText(outcome.failure, server, lookup.port));
          continue;
        }
        answered = { ...outcome, server, tcp: overTcp };
        const isLast = index === names.length - 1;
        if (outcome.reply.rcode === 'NXDOMAIN' && !isLast) continue ask;
        break ask;
      }
    }
    break;
  }
  const elapsedMs = nowMs() - began;
  for (const problem of problems) await stdout.write(`${problem}\n`);
  const banner =
    `\n; <<>> DiG ${VERSION} <<>> ${commandLine}\n` +
    (lookup.server === undefined ? '' : `; (${servers.length} server found)\n`) +
    ';; global options: +cmd\n';
  if (!answered) {
    if (!short && on('cmd', true)) await stdout.write(banner);
    await stdout.write(';; no servers could be reached\n');
    return 9;
  }
  if (short) {
    for (const record of answered.reply.answers) await stdout.write(`${record.text}\n`);
    return 0;
  }
  await stdout.write(answerText(answered, { on, banner, elapsedMs, port: lookup.port }));
  return 0;
}

function failureText(failure: string, server: string, port: number): string {
  const why = {
    timeout: 'timed out',
    refused: 'connection refused',
    unreachable: 'host unreachable',
    reset: 'end of file',
  }[failure];
  return `;; communications error to ${server}#${port}: ${why ?? failure}`;
}

function answerText(
  { reply, bytes, server, tcp }: { reply: DnsReply; bytes: number; server: string; tcp: boolean },
  {
    on,
    banner,
    elapsedMs,
    port,
  }: { on(name: string, fallback: boolean): boolean; banner: string; elapsedMs: number; port: number },
): string {
  let text = on('cmd', true) ? banner : '';
  if (on('comments', true)) {
    const flags = [
      'qr',
      ...(reply.authoritative ? ['aa'] : []),
      ...(reply.truncated ? ['tc'] : []),
      ...(reply.recursionDesired ? ['rd'] : []),
      ...(reply.recursionAvailable ? ['ra'] : []),
      ...(reply.authenticData ? ['ad'] : []),
    ];
    const additional = reply.additionals.length + (reply.ednsBytes === undefined ? 0 : 1);
    text += ';; Got answer:\n';
    text += `;; ->>HEADER<<- opcode: QUERY, status: ${reply.rcode}, id: ${reply.id}\n`;
    text += `;; flags: ${flags.join(' ')}; QUERY: ${reply.questions.length}, ANSWER: ${reply.answers.length}, AUTHORITY: ${reply.authorities.length}, ADDITIONAL: ${additional}\n`;
    if (reply.recursionDesired && !reply.recursionAvailable)
      text += ';; WARNING: recursion requested but not available\n';
    text += '\n';
    if (reply.ednsBytes !== undefined)
      text += `;; OPT PSEUDOSECTION:\n; EDNS: version: 0, flags:; udp: ${reply.ednsBytes}\n`;
  }
  const comments = on('comments', true);
  if (on('question', true)) {
    if (comments) text += ';; QUESTION SECTION:\n';
    for (const { name, type } of reply.questions)
      text += columns(`;${dotted(name)}`, [
        ['IN', COLUMNS.class],
        [type, COLUMNS.type],
      ]);
    text += '\n';
  }
  const sections: [string, string, DnsRecord[]][] = [
    ['answer', 'ANSWER', reply.answers],
    ['authority', 'AUTHORITY', reply.authorities],
    ['additional', 'ADDITIONAL', reply.additionals],
  ];
  for (const [flag, title, records] of sections) {
    if (records.length === 0 || !on(flag, true)) continue;
    if (comments) text += `;; ${title} SECTION:\n`;
    text += records.map(recordLine).join('');
    if (comments) text += '\n';
  }
  if (on('stats', true)) {
    const when = formatDate(new Date(), '%a %b %d %H:%M:%S UTC %Y');
    text += `;; Query time: ${Math.round(elapsedMs)} msec\n;; SERVER: ${server}#${port}(${server}) (${tcp ? 'TCP' : 'UDP'})\n;; WHEN: ${when}\n;; MSG SIZE  rcvd: ${bytes}\n\n`;
  }
  return text;
}

const dotted = (name: string): string => (name === '.' || name.endsWith('.') ? name : `${name}.`);

const TAB = 8;
/** Where the fields of a record begin, when those before leave room. */
const COLUMNS = { ttl: 24, class: 32, type: 40, data: 48 };

/** Joins fields as BIND does: tabs up to the field's column, or one blank when that is passed. */
function columns(first: string, fields: readonly [string, number][]): string {
  let text = first;
  let at = first.length;
  for (const [field, column] of fields) {
    const to = Math.max(column, at + 1);
    const tabs = Math.floor(to / TAB) - Math.floor(at / TAB);
    const reached = tabs > 0 ? Math.floor(to / TAB) * TAB : at;
    text += '\t'.repeat(tabs) + ' '.repeat(to - reached) + field;
    at = to + field.length;
  }
  return `${text}\n`;
}

export function recordLine(record: DnsRecord): string {
  return columns(dotted(record.name), [
    [String(record.ttlSeconds), COLUMNS.ttl],
    ['IN', COLUMNS.class],
    [record.type, COLUMNS.type],
    [record.text, COLUMNS.data],
  ]);
}
