import { isIP } from 'node:net';
import { posix } from 'node:path';
import { pause } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { addressesOf, isFailure } from './connection.ts';
import { OptionProblem, parseOptions } from './options.ts';

/** Echoes sent without -c, where the real one never ends. */
const UNLIMITED = Infinity;
const DEFAULT_SIZE_BYTES = 56;
const DEFAULT_WAIT_MS = 10_000;
const FLOOD_INTERVAL_MS = 2;

/** Reasons of ICMP "unreachable" (RFC 792) and ICMPv6's (RFC 4443), in iputils' words. */
const UNREACHABLE_4: Record<number, string> = {
  0: 'Destination Net Unreachable',
  1: 'Destination Host Unreachable',
  2: 'Destination Protocol Unreachable',
  3: 'Destination Port Unreachable',
  9: 'Destination Net Prohibited',
  10: 'Destination Host Prohibited',
  13: 'Packet filtered',
};
const UNREACHABLE_6: Record<number, string> = {
  0: 'Destination unreachable: No route',
  1: 'Destination unreachable: Administratively prohibited',
  3: 'Destination unreachable: Address unreachable',
  4: 'Destination unreachable: Port unreachable',
};

/** ping and ping6 of iputils: exit code 0 when something came back, 1 when nothing did, 2 for a name without address. */
export const ping: Tool = async (context) => {
  const { argv, sandbox, nowMs, stdout, stderr, signal } = context;
  const name = posix.basename(argv[0]!);
  let options: ReturnType<typeof parseOptions>;
  try {
    options = parseOptions(argv.slice(1), '46aAbBdDfhLnOqrRUvVc:F:i:I:l:m:M:p:Q:s:S:t:T:w:W:', {
      ipv4: '4',
      ipv6: '6',
    });
  } catch (error) {
    if (!(error instanceof OptionProblem)) throw error;
    await stderr.write(`${name}: ${error.text}\n`);
    return 2;
  }
  for (const letter of ['c', 'i', 's', 't', 'w', 'W']) {
    const value = options.get(letter);
    if (value === undefined || (/^\d+(\.\d+)?$/.test(value) && !(letter === 'c' && Number(value) < 1)))
      continue;
    await stderr.write(`${name}: invalid argument: '${value}'\n`);
    return 1;
  }
  const [host] = options.operands;
  if (host === undefined) {
    await stderr.write(`${name}: usage error: Destination address required\n`);
    return 1;
  }
  const family = options.has('6') || name === 'ping6' ? 6 : options.has('4') ? 4 : undefined;
  const found = await addressesOf(context, host, family);
  if (isFailure(found) || (family && isIP(found[0]!) !== family)) {
    if (signal.aborted) return 130;
    const isOther = isIP(host) !== 0;
    const temporary = isFailure(found) && found.code === 'EAI_AGAIN';
    const why = isOther
      ? 'Address family for hostname not supported'
      : temporary
        ? 'Temporary failure in name resolution'
        : 'Name or service not known';
    await stderr.write(`${name}: ${host}: ${why}\n`);
    return 2;
  }
  const address = found[0]!;
  const version = isIP(address) === 6 ? 6 : 4;
  const size = Math.min(Number(options.get('s') ?? DEFAULT_SIZE_BYTES), 65_507);
  const count = options.has('c') ? Number(options.get('c')) : UNLIMITED;
  const intervalMs = options.has('f')
    ? FLOOD_INTERVAL_MS
    : Math.max(FLOOD_INTERVAL_MS, Number(options.get('i') ?? 1) * 1000);
  const waitMs = options.has('W') ? Number(options.get('W')) * 1000 : DEFAULT_WAIT_MS;
  const deadlineMs = options.has('w') ? Number(options.get('w')) * 1000 : Infinity;
  const quiet = options.has('q') || options.has('f');
  const ttl = options.has('t') ? Number(options.get('t')) : 64;

  const headers =
    version === 4
      ? `(${address}) ${size}(${size + 28})`
      : `${host === address ? '' : `(${address}) `}${size} data`;
  await stdout.write(
    version === 4
      ? `PING ${host} ${headers} bytes of data.\n`
      : `PING ${host}${host === address ? '' : ' '}${host === address ? ' ' : ''}${headers} bytes\n`,
  );
  const socket = sandbox.stack.openIcmp(version);
  const sentAt = new Map<number, number>();
  const times: number[] = [];
  let errors = 0;
  let duplicates = 0;
  let transmitted = 0;
  let wake = new AbortController();
  const bell = (): void => wake.abort();
  const from = host === address ? address : `${host} (${address})`;
  const write = (text: string): void => void stdout.write(text).catch(() => {});
  socket.on('message', (reply) => {
    const sent = sentAt.get(reply.seq);
    if (reply.id !== socket.id || sent === undefined) {
      if (reply.id === socket.id) duplicates++;
      return;
    }
    sentAt.delete(reply.seq);
    const ms = nowMs() - sent;
    times.push(ms);
    if (!quiet)
      write(
        `${reply.payload.length + 8} bytes from ${from}: icmp_seq=${reply.seq} ttl=${reply.ttl} time=${roundTrip(ms)} ms\n`,
      );
    bell();
  });
  socket.on('unreachable', (failure) => {
    if (!sentAt.delete(failure.seq)) return;
    errors++;
    const expired = failure.type === (version === 4 ? 11 : 3);
    const why = expired
      ? version === 4
        ? 'Time to live exceeded'
        : 'Time exceeded: Hop limit'
      : failure.mtu > 0
        ? `Frag needed and DF set (mtu = ${failure.mtu})`
        : ((version === 4 ? UNREACHABLE_4 : UNREACHABLE_6)[failure.code] ??
          `Destination unreachable, code ${failure.code}`);
    if (!quiet) write(`From ${failure.address} icmp_seq=${failure.seq} ${why}\n`);
    bell();
  });

  const began = nowMs();
  const over = (): boolean => signal.aborted || nowMs() - began >= deadlineMs;
  try {
    const payload = Buffer.alloc(size);
    for (let i = 0; i < size; i++) payload[i] = i;
    while (transmitted < count && !over()) {
      const seq = (transmitted + 1) & 0xffff;
      sentAt.set(seq, nowMs());
      transmitted++;
      try {
        socket.send(address, { seq, payload, ttl });
      } catch (error) {
        const { code } = error as Error & { code?: string };
        sentAt.delete(seq);
        errors++;
        await stderr.write(
          `${name}: ${code === 'ENETUNREACH' ? 'connect: Network is unreachable' : `sendmsg: ${code}`}\n`,
        );
        if (code === 'ENETUNREACH') return 2;
      }
      if (transmitted < count)
        await pause(Math.min(intervalMs, Math.max(0, deadlineMs - (nowMs() - began))), signal);
    }
    // The last ones may still be on their way.
    const lastMs = nowMs();
    while (sentAt.size > 0 && !over() && nowMs() - lastMs < waitMs) {
      wake = new AbortController();
      const left = Math.min(waitMs - (nowMs() - lastMs), deadlineMs - (nowMs() - began));
      await pause(Math.max(1, left), AbortSignal.any([signal, wake.signal]));
    }
  } finally {
    socket.close();
  }
  await stdout.write(
    `\n--- ${host} ping statistics ---\n${statistics(transmitted, times, errors, duplicates, nowMs() - began)}`,
  );
  return times.length > 0 && !(options.has('w') && options.has('c') && times.length < count) ? 0 : 1;
};

/** Three significant digits, as iputils has them. */
function roundTrip(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(3);
}

function statistics(
  transmitted: number,
  times: readonly number[],
  errors: number,
  duplicates: number,
  elapsedMs: number,
): string {
  const loss = transmitted > 0 ? ((transmitted - times.length) / transmitted) * 100 : 0;
  const lossText = Number.isInteger(loss) ? String(loss) : loss.toFixed(4).replace(/0+$/, '');
  const parts = [
    `${transmitted} packets transmitted, ${times.length} received`,
    ...(duplicates > 0 ? [`+${duplicates} duplicates`] : []),
    ...(errors > 0 ? [`+${errors} errors`] : []),
    `${lossText}% packet loss`,
    `time ${Math.round(elapsedMs)}ms`,
  ];
  if (times.length === 0) return `${parts.join(', ')}\n\n`;
  const mean = times.reduce((sum, ms) => sum + ms, 0) / times.length;
  const variance = times.reduce((sum, ms) => sum + ms * ms, 0) / times.length - mean * mean;
  const numbers = [Math.min(...times), mean, Math.max(...times), Math.sqrt(Math.max(0, variance))];
  return `${parts.join(', ')}\nrtt min/avg/max/mdev = ${numbers.map((n) => n.toFixed(3)).join('/')} ms\n`;
}
