import { isIP } from 'node:net';
import { posix } from 'node:path';
import type { DnsReply } from '../dns-codec.ts';
import { exchange, followNames, hostsEntries, searchNames } from '../resolver.ts';
import { linesOf } from '../shell/streams.ts';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { addressesOf, isFailure } from './connection.ts';
import { RECORD_TYPES, reverseName } from './dns-names.ts';
import { parseOptions } from './options.ts';
import { withUsage } from './tool-files.ts';

interface Asking {
  servers: readonly string[];
  port: number;
  type: string | undefined;
  timeoutMs: number;
  attempts: number;
  tcp: boolean;
  search: boolean;
}

interface Answer {
  reply: DnsReply;
  server: string;
  /** The name that was found, or the last one tried. */
  name: string;
}

/** Asks for one type along the search list; a string tells why nobody answered. */
async function lookUp(
  context: ToolContext,
  asking: Asking,
  name: string,
  type: string,
): Promise<Answer | { failure: string; server: string }> {
  const names = asking.search ? searchNames(context.sandbox, name) : [name.replace(/\.$/, '')];
  let last: Answer | undefined;
  let failure = 'timed out';
  let failedServer = asking.servers[0] ?? '';
  for (const candidate of names) {
    let answer: Answer | undefined;
    for (let attempt = 0; attempt < asking.attempts && !answer; attempt++) {
      for (const server of asking.servers) {
        const { signal } = context;
        const o = { port: asking.port, timeoutMs: asking.timeoutMs, tcp: asking.tcp, signal };
        let outcome = await exchange(context.sandbox, server, candidate, type, o);
        if ('reply' in outcome && outcome.reply.truncated)
          outcome = await exchange(context.sandbox, server, candidate, type, { ...o, tcp: true });
        if ('reply' in outcome) {
          answer = { reply: outcome.reply, server, name: candidate };
          break;
        }
        if (outcome.failure === 'aborted') return { failure: 'aborted', server };
        failure =
          outcome.failure === 'refused'
            ? 'connection refused'
            : outcome.failure === 'timeout'
              ? 'timed out'
              : 'host unreachable';
        failedServer = server;
      }
    }
    if (!answer) return { failure, server: failedServer };
    last = answer;
    if (
      answer.reply.rcode !== 'NXDOMAIN' &&
      (answer.reply.rcode !== 'NOERROR' || answer.reply.answers.length > 0 || names.length === 1)
    )
      return answer;
  }
  return last ?? { failure, server: failedServer };
}

/** nslookup of BIND. Exit code 1 when the name is not found or nobody answers. */
export const nslookup: Tool = async (context) => {
  const asking: Asking = {
    servers: context.sandbox.resolvConf.nameservers,
    port: 53,
    type: undefined,
    timeoutMs: 5_000,
    attempts: 2,
    tcp: false,
    search: true,
  };
  const operands: string[] = [];
  for (const argument of context.argv.slice(1)) {
    const option = /^-([a-z0-9]+)(?:=(.*))?$/i.exec(argument);
    if (!option) operands.push(argument);
    else if (!applyOption(asking, option[1]!.toLowerCase(), option[2])) {
      await context.stderr.write(`*** Invalid option: ${argument.slice(1)}\n`);
      return 1;
    }
  }
  const [name, server] = operands;
  if (server !== undefined) {
    const found = await addressesOf(context, server);
    if (isFailure(found)) {
      await context.stdout.write(`nslookup: couldn't get address for '${server}': not found\n`);
      return 1;
    }
    asking.servers = found.slice(0, 1);
  }
  if (name !== undefined) return showName(context, asking, name);
  let code = 0;
  for await (const line of linesOf(context.stdin, context.signal)) {
    const [first = '', ...rest] = line.trim().split(/\s+/);
    if (first === 'exit') return code;
    if (first === 'server') asking.servers = rest.slice(0, 1);
    else if (first === 'set') {
      const option = /^([a-z0-9]+)(?:=(.*))?$/i.exec(rest[0] ?? '');
      if (option) applyOption(asking, option[1]!.toLowerCase(), option[2]);
    } else if (first !== '') code = await showName(context, asking, first);
  }
  return code;
};

function applyOption(asking: Asking, name: string, value: string | undefined): boolean {
  if (
    ['type', 'query', 'querytype', 'q', 'ty'].includes(name) &&
    value &&
    RECORD_TYPES.has(value.toUpperCase())
  )
    asking.type = value.toUpperCase();
  else if (name === 'timeout' || name === 't') asking.timeoutMs = Math.max(1, Number(value) || 1) * 1000;
  else if (name === 'retry' || name === 'ret') asking.attempts = Math.max(1, Number(value) || 1);
  else if (name === 'port' || name === 'po') asking.port = Number(value) || 53;
  else if (name === 'vc') asking.tcp = true;
  else if (name === 'novc') asking.tcp = false;
  else if (name === 'nosearch' || name === 'nosea') asking.search = false;
  else if (!/^(debug|nodebug|d2|search|sea|recurse|norecurse|class|domain|defname|nodef)$/.test(name))
    return false;
  return true;
}

async function showName(context: ToolContext, asking: Asking, name: string): Promise<number> {
  const { stdout, sandbox } = context;
  const isAddress = isIP(name) !== 0;
  const asked = isAddress ? reverseName(name) : name;
  const hasV6 = sandbox.podIPs.some((address) => address.includes(':'));
  const types = asking.type ? [asking.type] : isAddress ? ['PTR'] : hasV6 ? ['A', 'AAAA'] : ['A', 'AAAA'];
  const how = isAddress ? { ...asking, search: false } : asking;
  let shownServer = false;
  let found = false;
  let lastAnswer: Answer | undefined;
  for (const type of types) {
    const outcome = await lookUp(
      context,
      lastAnswer ? { ...how, search: false } : how,
      lastAnswer?.name ?? asked,
      type,
    );
    if ('failure' in outcome) {
      if (outcome.failure === 'aborted') return 130;
      await stdout.write(
        `;; communications error to ${outcome.server}#${asking.port}: ${outcome.failure}\n;; no servers could be reached\n\n`,
      );
      return 1;
    }
    const { reply, server } = outcome;
    if (!shownServer && !isAddress)
      await stdout.write(`Server:\t\t${server}\nAddress:\t${server}#${asking.port}\n\n`);
    shownServer = true;
    if (reply.rcode !== 'NOERROR') {
      if (found) break;
      await stdout.write(`** server can't find ${isAddress ? asked : outcome.name}: ${reply.rcode}\n\n`);
      return 1;
    }
    lastAnswer = outcome;
    if (reply.answers.length === 0) continue;
    if (!found && !reply.authoritative && !isAddress) await stdout.write('Non-authoritative answer:\n');
    found = true;
    for (const record of reply.answers) {
      const owner = record.name.replace(/\.$/, '');
      if (record.type === 'A' || record.type === 'AAAA')
        await stdout.write(`Name:\t${owner}\nAddress: ${record.text}\n`);
      else if (record.type === 'CNAME') {
        // The same alias comes with each type.
        if (type === types[0]) await stdout.write(`${owner}\tcanonical name = ${record.text}\n`);
      } else if (record.type === 'PTR') await stdout.write(`${owner}\tname = ${record.text}\n`);
      else if (record.type === 'SRV') await stdout.write(`${owner}\tservice = ${record.text}\n`);
      else if (record.type === 'TXT') await stdout.write(`${owner}\ttext = ${record.text}\n`);
      else await stdout.write(`${owner}\t${record.type.toLowerCase()} = ${record.text}\n`);
    }
  }
  await stdout.write(found ? '\n' : `*** Can't find ${name}: No answer\n\n`);
  return found ? 0 : 1;
}

/** host of BIND. */
export const host: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), '46aCdilrsTUvVwc:N:p:R:t:W:');
  const [name, server] = options.operands;
  if (name === undefined) {
    await context.stderr.write('Usage: host [-aCdilrTvVw] [-t type] hostname [server]\n');
    return 1;
  }
  let servers: readonly string[] = context.sandbox.resolvConf.nameservers;
  if (server !== undefined) {
    const found = await addressesOf(context, server);
    if (isFailure(found)) {
      await context.stdout.write(`host: couldn't get address for '${server}': not found\n`);
      return 1;
    }
    servers = found.slice(0, 1);
    await context.stdout.write(
      `Using domain server:\nName: ${server}\nAddress: ${servers[0]}#53\nAliases: \n\n`,
    );
  }
  const asking: Asking = {
    servers,
    port: Number(options.get('p') ?? 53),
    type: undefined,
    timeoutMs: Number(options.get('W') ?? 5) * 1000,
    attempts: Number(options.get('R') ?? 1) + 1,
    tcp: options.has('T'),
    search: true,
  };
  const isAddress = isIP(name) !== 0;
  const types = options.has('t') ? [options.get('t')!.toUpperCase()] : isAddress ? ['PTR'] : ['A', 'AAAA'];
  let found = false;
  let known: string | undefined;
  for (const type of types) {
    const outcome = await lookUp(
      context,
      { ...asking, search: !isAddress && known === undefined },
      known ?? (isAddress ? reverseName(name) : name),
      type,
    );
    if ('failure' in outcome) {
      if (outcome.failure === 'aborted') return 130;
      await context.stdout.write(
        `;; communications error to ${outcome.server}#${asking.port}: ${outcome.failure}\n;; no servers could be reached\n`,
      );
      return 1;
    }
    const { reply } = outcome;
    if (reply.rcode !== 'NOERROR') {
      await context.stdout.write(
        `Host ${isAddress ? `${reverseName(name)}.` : name} not found: ${reply.rcode === 'NXDOMAIN' ? '3' : '2'}(${reply.rcode})\n`,
      );
      return 1;
    }
    known = outcome.name;
    for (const record of reply.answers) {
      found = true;
      const owner = record.name.replace(/\.$/, '');
      const says: Record<string, string> = {
        A: 'has address',
        AAAA: 'has IPv6 address',
        CNAME: 'is an alias for',
        PTR: 'domain name pointer',
        SRV: 'has SRV record',
        TXT: 'descriptive text',
      };
      if (record.type === 'CNAME' && type !== types[0]) continue;
      await context.stdout.write(
        `${owner} ${says[record.type] ?? `has ${record.type} record`} ${record.text}\n`,
      );
    }
  }
  if (!found) await context.stdout.write(`${known ?? name} has no ${types.join('/')} record\n`);
  return found ? 0 : 1;
});

/** getent hosts, ahosts, ahostsv4, ahostsv6, passwd. Exit code 2 when the key is not found. */
export const getent: Tool = async (context) => {
  const { sandbox, stdout, stderr, argv, files, signal } = context;
  const [, database, ...keys] = argv;
  if (database === undefined) {
    await stderr.write('getent: wrong number of arguments\n');
    return 1;
  }
  if (database === 'passwd' || database === 'group') {
    const lines = (files.read('/etc/passwd')?.toString() ?? '').split('\n').filter((line) => line !== '');
    const wanted = keys.length === 0 ? lines : lines.filter((line) => keys.includes(line.split(':')[0]!));
    for (const line of wanted) await stdout.write(`${line}\n`);
    return wanted.length > 0 ? 0 : 2;
  }
  const isAll = /^ahosts(v[46])?$/.test(database);
  if (database !== 'hosts' && !isAll) {
    await stderr.write(`Unknown database: ${database}\n`);
    return 1;
  }
  if (keys.length === 0 && database === 'hosts') {
    for (const line of sandbox.hostsFile.split('\n')) {
      const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
      if (address && isIP(address)) await stdout.write(`${address.padEnd(15)} ${names.join(' ')}\n`);
    }
    return 0;
  }
  let code = 0;
  for (const key of keys) {
    if (isIP(key) && !isAll) {
      const fromFile = sandbox.hostsFile
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
        .find(([address]) => address === key);
      const names = fromFile?.slice(1) ?? (await pointer(context, key));
      if (names.length === 0) code = 2;
      else await stdout.write(`${key.padEnd(15)} ${names.join(' ')}\n`);
      continue;
    }
    const family = database.endsWith('v4') ? 4 : database.endsWith('v6') ? 6 : undefined;
    const found = await addressesOf(context, key, family);
    if (isFailure(found)) {
      if (signal.aborted) return 130;
      code = 2;
      continue;
    }
    const canonical = await canonicalName(context, key);
    if (!isAll) {
      // As glibc: gethostbyname2 with IPv6 first.
      const v6 = found.filter((address) => address.includes(':'));
      for (const address of v6.length > 0 ? v6 : found)
        await stdout.write(`${address.padEnd(15)} ${canonical}${canonical === key ? '' : ` ${key}`}\n`);
      continue;
    }
    for (const [index, address] of found.entries()) {
      await stdout.write(`${address.padEnd(15)} STREAM ${index === 0 ? canonical : ''}\n`);
      await stdout.write(`${address.padEnd(15)} DGRAM  \n${address.padEnd(15)} RAW    \n`);
    }
  }
  return code;
};

async function pointer(context: ToolContext, address: string): Promise<string[]> {
  const outcome = await lookUp(context, plain(context, false), reverseName(address), 'PTR');
  return 'reply' in outcome
    ? outcome.reply.answers.filter(({ type }) => type === 'PTR').map(({ text }) => text.replace(/\.$/, ''))
    : [];
}

/** The full name under which the search list found a host. */
async function canonicalName(context: ToolContext, name: string): Promise<string> {
  if (isIP(name) || hostsEntries(context.sandbox.hostsFile, name.toLowerCase()).length > 0) return name;
  for (const type of ['A', 'AAAA']) {
    const outcome = await lookUp(context, plain(context, true), name, type);
    if ('reply' in outcome && followNames(outcome.reply, outcome.name, type).length > 0)
      return outcome.reply.answers.find((record) => record.type === type)?.name.replace(/\.$/, '') ?? name;
  }
  return name;
}

function plain(context: ToolContext, search: boolean): Asking {
  return {
    servers: context.sandbox.resolvConf.nameservers,
    port: 53,
    type: undefined,
    timeoutMs: 5_000,
    attempts: 2,
    tcp: false,
    search,
  };
}

/** hostname of Debian: -f, -s, -i, -I, -d. */
export const hostname: Tool = withUsage(1, async (context) => {
  const { sandbox, stdout, stderr } = context;
  const options = parseOptions(context.argv.slice(1), 'aAdfisIyF:', {
    fqdn: 'f',
    long: 'f',
    short: 's',
    domain: 'd',
    'ip-address': 'i',
    'all-ip-addresses': 'I',
  });
  if (options.operands.length > 0) {
    await stderr.write('hostname: you must be root to change the host name\n');
    return 1;
  }
  const isDomain = posix.basename(context.argv[0]!) === 'dnsdomainname' || options.has('d');
  const name = sandbox.hostname;
  const line = sandbox.hostsFile
    .split('\n')
    .map((text) => text.trim().split(/\s+/))
    .find((words) => words.slice(1).includes(name));
  const full = line?.[1] ?? name;
  let text = name;
  if (options.has('I')) text = sandbox.podIPs.join(' ');
  else if (options.has('i'))
    text = hostsEntries(sandbox.hostsFile, name).join(' ') || (sandbox.podIPs[0] ?? '');
  else if (isDomain) text = full.includes('.') ? full.slice(full.indexOf('.') + 1) : '';
  else if (options.has('f') || options.has('A')) text = full;
  else if (options.has('s')) text = name.split('.')[0]!;
  if (text !== '' || !isDomain) await stdout.write(`${text}${options.has('I') ? ' ' : ''}\n`);
  return 0;
});
