import { isIP } from 'node:net';
import { pause } from '../shell/streams.ts';
import type { Tool } from '../shell/tool.ts';
import { addressesOf, isFailure } from './connection.ts';
import { parseOptions } from './options.ts';
import { withUsage } from './tool-files.ts';

/**
 * traceroute by echo requests with growing TTLs, as `traceroute -I` does; `-T`, `-U` and `-p` are taken and mean the
 * same here, because only an echo socket hears who answered.
 */
export const traceroute: Tool = withUsage(2, async (context) => {
  const { argv, sandbox, nowMs, stdout, stderr, signal } = context;
  const options = parseOptions(argv.slice(1), '46InTUvdFf:m:q:w:p:s:i:z:N:');
  const [host] = options.operands;
  if (host === undefined) {
    await stderr.write('Specify "host" missing argument.\n');
    return 2;
  }
  const family = options.has('6') || argv[0]!.endsWith('6') ? 6 : options.has('4') ? 4 : undefined;
  const found = await addressesOf(context, host, family);
  if (isFailure(found)) {
    if (signal.aborted) return 130;
    await stderr.write(
      `${host}: Name or service not known\nCannot handle "host" cmdline arg \`${host}' on position 1 (argc ${argv.length - 1})\n`,
    );
    return 2;
  }
  const address = found[0]!;
  const version = isIP(address) === 6 ? 6 : 4;
  const maxHops = Math.min(255, Number(options.get('m') ?? 30) || 30);
  const probes = Math.min(10, Number(options.get('q') ?? 3) || 3);
  const waitMs = (Number(options.get('w') ?? 5) || 5) * 1000;
  await stdout.write(`traceroute to ${host} (${address}), ${maxHops} hops max, 60 byte packets\n`);
  const socket = sandbox.stack.openIcmp(version);
  const payload = Buffer.alloc(32);
  let waiting: { seq: number; done(answer: { from: string; last: boolean; mark: string }): void } | undefined;
  socket.on('message', (reply) => {
    if (reply.seq === waiting?.seq) waiting.done({ from: reply.address, last: true, mark: '' });
  });
  socket.on('unreachable', (failure) => {
    if (failure.seq !== waiting?.seq) return;
    const expired = failure.type === (version === 4 ? 11 : 3);
    const marks: Record<number, string> = {
      0: ' !N',
      1: ' !H',
      2: ' !P',
      3: '',
      9: ' !X',
      10: ' !X',
      13: ' !X',
    };
    waiting.done({
      from: failure.address,
      last: !expired,
      mark: expired ? '' : (marks[failure.code] ?? ` !${failure.code}`),
    });
  });
  let seq = 0;
  try {
    for (let ttl = Number(options.get('f') ?? 1) || 1; ttl <= maxHops && !signal.aborted; ttl++) {
      let line = `${String(ttl).padStart(2)} `;
      let reached = false;
      let shown = '';
      for (let probe = 0; probe < probes && !signal.aborted; probe++) {
        const late = new AbortController();
        const sent = nowMs();
        let answer: { from: string; last: boolean; mark: string } | undefined;
        waiting = {
          seq: ++seq & 0xffff,
          done(found) {
            answer = found;
            late.abort();
          },
        };
        socket.send(address, { seq: waiting.seq, payload, ttl });
        if (!answer) await pause(waitMs, AbortSignal.any([signal, late.signal]));
        if (!answer) {
          line += ' *';
          continue;
        }
        if (answer.from !== shown) {
          const name = answer.from === address ? host : answer.from;
          line += options.has('n') ? ` ${answer.from} ` : ` ${name} (${answer.from}) `;
          shown = answer.from;
        }
        line += ` ${(nowMs() - sent).toFixed(3)} ms${answer.mark} `;
        reached ||= answer.last;
      }
      await stdout.write(`${line.trimEnd()}\n`);
      if (reached) break;
    }
  } finally {
    socket.close();
  }
  return signal.aborted ? 130 : 0;
});
