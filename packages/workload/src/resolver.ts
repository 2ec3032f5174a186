import { randomInt } from 'node:crypto';
import { isIP } from 'node:net';
import { type DnsRecord, type DnsReply, emitQuestion, parseReply } from './dns-codec.ts';
import type { Sandbox } from './types.ts';

/** `EAI_AGAIN`: no server answered; `ENOTFOUND`: the name has no address. */
export class ResolveError extends Error {
  readonly code: 'ENOTFOUND' | 'EAI_AGAIN';
  readonly hostname: string;
  constructor(code: 'ENOTFOUND' | 'EAI_AGAIN', hostname: string) {
    super(`getaddrinfo ${code} ${hostname}`);
    this.code = code;
    this.hostname = hostname;
  }
}

/** resolv.conf(5): five seconds, twice. */
const TIMEOUT_MS = 5_000;
const ATTEMPTS = 2;
const MAX_CNAMES = 8;

export interface QueryOptions {
  server?: string;
  port?: number;
  tcp?: boolean;
  timeoutMs?: number;
  attempts?: number;
  signal?: AbortSignal;
  edns?: boolean;
  /** Default true. */
  recursionDesired?: boolean;
}

/** What asking one server once came to; `TRUNCATED` never: that is a reply. */
export type DnsExchange =
  | { reply: DnsReply; bytes: number }
  | { failure: 'timeout' | 'refused' | 'unreachable' | 'reset' | 'aborted' | 'malformed' };

/**
 * Addresses of a host as getaddrinfo finds them in a pod: literal addresses, /etc/hosts, then DNS with the search
 * list and ndots (resolv.conf(5)). IPv6 is asked for only where the pod has such an address. Throws ResolveError.
 */
export async function resolveHost(
  sandbox: Sandbox,
  host: string,
  options: { family?: 4 | 6; signal?: AbortSignal } = {},
): Promise<string[]> {
  if (isIP(host)) return [host];
  const name = host.toLowerCase();
  const fromHosts = hostsEntries(sandbox.hostsFile, name.replace(/\.$/, '')).filter(
    (address) => !options.family || isIP(address) === options.family,
  );
  if (fromHosts.length > 0) return fromHosts;
  if (name === 'localhost' || !isHostname(name)) {
    if (name === 'localhost') return ['127.0.0.1'];
    throw new ResolveError('ENOTFOUND', host);
  }
  const hasV6 = sandbox.podIPs.some((address) => address.includes(':'));
  const hasV4 = sandbox.podIPs.some((address) => !address.includes(':'));
  const types = options.family
    ? [options.family === 4 ? 'A' : 'AAAA']
    : [...(hasV4 ? ['A'] : []), ...(hasV6 ? ['AAAA'] : [])];
  let unanswered = false;
  for (const candidate of searchNames(sandbox, name)) {
    const replies = await Promise.all(types.map((type) => query(sandbox, candidate, type, options)));
    const addresses = replies.flatMap((reply, index) =>
      reply ? followNames(reply, candidate, types[index]!) : [],
    );
    if (addresses.length > 0) return addresses;
    // A server that fails says nothing about the name: glibc stops the search there.
    if (replies.some((reply) => reply === undefined || reply.rcode === 'SERVFAIL')) unanswered = true;
    if (options.signal?.aborted) break;
  }
  throw new ResolveError(unanswered ? 'EAI_AGAIN' : 'ENOTFOUND', host);
}

/** The names to try, in order. */
export function searchNames(sandbox: Pick<Sandbox, 'resolvConf'>, name: string): string[] {
  const { searches, ndots } = sandbox.resolvConf;
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const dots = name.split('.').length - 1;
  const searched = searches.map((domain) => `${name}.${domain.replace(/\.$/, '')}`);
  return dots >= ndots ? [name, ...searched] : [...searched, name];
}

/** Asks the pod's name servers one question: UDP, then TCP when the answer was cut. Undefined when nobody answered. */
export async function query(
  sandbox: Sandbox,
  name: string,
  type: string,
  options: QueryOptions = {},
): Promise<DnsReply | undefined> {
  const servers = options.server ? [options.server] : sandbox.resolvConf.nameservers;
  for (let attempt = 0; attempt < (options.attempts ?? ATTEMPTS); attempt++) {
    for (const server of servers) {
      if (options.signal?.aborted) return undefined;
      const first = await exchange(sandbox, server, name, type, options);
      if (!('reply' in first)) continue;
      if (!first.reply.truncated) return first.reply;
      const whole = await exchange(sandbox, server, name, type, { ...options, tcp: true });
      if ('reply' in whole) return whole.reply;
    }
  }
  return undefined;
}

/** Asks one server one question, once, over UDP or TCP. */
export function exchange(
  sandbox: Sandbox,
  server: string,
  name: string,
  type: string,
  options: QueryOptions,
): Promise<DnsExchange> {
  return options.tcp
    ? askTcp(sandbox, server, name, type, options)
    : askUdp(sandbox, server, name, type, options);
}

function failureOf(error: Error & { code?: string }): DnsExchange {
  if (error.code === 'ECONNREFUSED') return { failure: 'refused' };
  if (error.code === 'ETIMEDOUT') return { failure: 'timeout' };
  return { failure: error.code === 'ECONNRESET' ? 'reset' : 'unreachable' };
}

/** Settles once: by an answer, an error, the time or the abort. */
function settled(
  options: QueryOptions,
  start: (settle: (outcome: DnsExchange) => void) => void,
  cleanUp: () => void,
): Promise<DnsExchange> {
  return new Promise((resolve) => {
    let over = false;
    const settle = (outcome: DnsExchange): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      cleanUp();
      resolve(outcome);
    };
    const onAbort = (): void => settle({ failure: 'aborted' });
    const timer = setTimeout(() => settle({ failure: 'timeout' }), options.timeoutMs ?? TIMEOUT_MS);
    options.signal?.addEventListener('abort', onAbort);
    if (options.signal?.aborted) onAbort();
    else start(settle);
  });
}

function askUdp(
  sandbox: Sandbox,
  server: string,
  name: string,
  type: string,
  options: QueryOptions,
): Promise<DnsExchange> {
  const id = randomInt(65_536);
  const socket = sandbox.stack.bindUdp();
  return settled(
    options,
    (settle) => {
      socket.on('error', (error) => settle(failureOf(error)));
      socket.on('message', (message) => {
        const reply = parseReply(message);
        if (reply?.id === id) settle({ reply, bytes: message.length });
      });
      try {
        socket.connect(options.port ?? 53, server);
        socket.send(emitQuestion(id, name, type, options), undefined, undefined, (error) => {
          if (error) settle(failureOf(error));
        });
      } catch {
        settle({ failure: 'malformed' });
      }
    },
    () => socket.close(),
  );
}

function askTcp(
  sandbox: Sandbox,
  server: string,
  name: string,
  type: string,
  options: QueryOptions,
): Promise<DnsExchange> {
  const id = randomInt(65_536);
  const socket = sandbox.stack.connectTcp({ host: server, port: options.port ?? 53 });
  let pending: Buffer = Buffer.alloc(0);
  socket.on('error', () => {});
  return settled(
    options,
    (settle) => {
      socket.on('error', (error) => settle(failureOf(error)));
      socket.on('end', () => settle({ failure: 'reset' }));
      socket.on('connect', () => {
        try {
          const question = emitQuestion(id, name, type, options);
          const prefix = Buffer.alloc(2);
          prefix.writeUInt16BE(question.length, 0);
          socket.write(Buffer.concat([prefix, question]));
        } catch {
          settle({ failure: 'malformed' });
        }
      });
      socket.on('data', (chunk: Buffer) => {
        pending = Buffer.concat([pending, chunk]);
        if (pending.length < 2 || pending.length < 2 + pending.readUInt16BE(0)) return;
        const message = pending.subarray(2, 2 + pending.readUInt16BE(0));
        const reply = parseReply(message);
        settle(reply?.id === id ? { reply, bytes: message.length } : { failure: 'malformed' });
      });
    },
    () => socket.destroy(),
  );
}

/** The addresses an answer has for a name, through its CNAMEs. */
export function followNames(reply: DnsReply, name: string, type: string): string[] {
  let current = name.toLowerCase();
  for (let hops = 0; hops < MAX_CNAMES; hops++) {
    const at = (record: DnsRecord): boolean => record.name.toLowerCase().replace(/\.$/, '') === current;
    const found = reply.answers
      .filter((record) => record.type === type && at(record))
      .map((record) => record.text);
    const alias = reply.answers.find((record) => record.type === 'CNAME' && at(record));
    if (found.length > 0 || !alias) return found;
    current = alias.text.toLowerCase().replace(/\.$/, '');
  }
  return [];
}

/** Addresses that /etc/hosts has for a name. */
export function hostsEntries(hostsFile: string, name: string): string[] {
  const found: string[] = [];
  for (const line of hostsFile.split('\n')) {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (address && isIP(address) && names.some((candidate) => candidate.toLowerCase() === name))
      found.push(address);
  }
  return found;
}

function isHostname(name: string): boolean {
  return (
    name.length <= 253 &&
    name
      .replace(/\.$/, '')
      .split('.')
      .every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
  );
}
