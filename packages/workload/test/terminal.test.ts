import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { inFakeTime, loadEverything, PodNetwork, useFakeTime } from './pod-network.ts';

beforeAll(async () => {
  useFakeTime();
  await loadEverything();
});
afterAll(() => void vi.useRealTimers());

/** A person at a terminal: types, and waits for what the screen shows. */
async function sit(argv: string[]) {
  const net = new PodNetwork();
  await net.start('server', { ports: [{ containerPort: 6379 }] });
  const { container } = await net.start('web-0', { ports: [{ containerPort: 80 }] });
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  let screen = '';
  stdout.on('data', (chunk: Buffer) => {
    screen += chunk.toString();
  });
  let shown = 0;
  const ended = container.exec(argv, { stdin, stdout, stderr, tty: true });
  const seen = async (text: string): Promise<void> => {
    const wait = async (): Promise<void> => {
      while (!screen.slice(shown).includes(text)) await new Promise((next) => setImmediate(next));
    };
    await inFakeTime(wait(), 60_000).catch(() => {
      throw new Error(
        `waited for ${JSON.stringify(text)}; the screen shows ${JSON.stringify(screen.slice(shown))}`,
      );
    });
    shown = screen.indexOf(text, shown) + text.length;
  };
  return { stdin, ended: () => inFakeTime(ended), seen, screen: () => screen, container };
}

describe('a shell at a terminal', () => {
  test('prompts, echoes, runs and ends with Ctrl-D', async () => {
    const { stdin, seen, ended, screen } = await sit(['sh']);
    await seen('# ');
    stdin.write('echo hi; false\r');
    await seen('# ');
    expect(screen()).toBe('# echo hi; false\r\nhi\r\n# ');
    stdin.write('\u0004');
    expect(await ended()).toBe(1);
  });

  test('keeps variables and the directory from line to line; exit gives the code', async () => {
    const { stdin, seen, ended } = await sit(['/bin/bash', '-il']);
    await seen('root@web-0:/# ');
    stdin.write('x=5\rcd /tmp\r');
    await seen('root@web-0:/tmp# ');
    stdin.write('echo $x; exit 7\r');
    await seen('\r\n5\r\n');
    expect(await ended()).toBe(7);
  });

  test('Ctrl-C ends a running loop and an unfinished line, not the shell', async () => {
    const { stdin, seen, ended } = await sit(['sh']);
    await seen('# ');
    stdin.write('while true; do sleep 1; done\r');
    await seen('done\r\n');
    stdin.write('\u0003');
    await seen('^C\r\n# ');
    stdin.write('while :; do :; done\r');
    await seen('done\r\n');
    await new Promise((next) => setImmediate(next));
    stdin.write('\u0003');
    await seen('^C\r\n# ');
    stdin.write('half a line\u0003');
    await seen('half a line^C\r\n# ');
    stdin.write('echo $?\r');
    await seen('\r\n130\r\n# ');
    stdin.write('\u0004');
    expect(await ended()).toBe(0);
  });

  test('asks for the rest of a command', async () => {
    const { stdin, seen } = await sit(['sh']);
    await seen('# ');
    stdin.write('for i in 1 2; do\r');
    await seen('> ');
    stdin.write('echo "n$i\r');
    await seen('> ');
    stdin.write('"; done\r');
    await seen('n1\r\n\r\nn2\r\n\r\n# ');
    stdin.write('if\u0003');
    await seen('^C\r\n# ');
    stdin.write(')\r');
    await seen('Syntax error: ")" unexpected\r\n# ');
  });

  test('edits lines and remembers them', async () => {
    const { stdin, seen } = await sit(['sh']);
    await seen('# ');
    stdin.write('echo ax\u007fb\r');
    await seen('\r\nab\r\n# ');
    stdin.write('\u001b[A\r');
    await seen('echo ab\r\nab\r\n# ');
    stdin.write('cho x\u0001e\u0005y\r');
    await seen('\r\nxy\r\n# ');
    stdin.write('junk\u0015echo one two\u0017three\r');
    await seen('\r\none three\r\n# ');
    stdin.write('echo ac\u001b[Db\r');
    await seen('\r\nabc\r\n# ');
  });

  test('gives typed lines to the command in the foreground', async () => {
    const { stdin, seen } = await sit(['sh']);
    await seen('# ');
    stdin.write('cat\r');
    await seen('cat\r\n');
    stdin.write('typed\r');
    await seen('typed\r\ntyped\r\n');
    stdin.write('\u0004');
    await seen('# ');
    stdin.write('read x y; echo "$y-$x"\r');
    stdin.write('a b\r');
    await seen('b-a\r\n# ');
    stdin.write('nc 10.244.1.1 6379\r');
    await seen('6379\r\n');
    stdin.write('PING\r');
    await seen('+PONG\r\n');
    stdin.write('\u0003');
    await seen('# ');
    // Typed ahead: for the next prompt.
    stdin.write('sleep 1\recho ahead\r');
    await seen('# echo ahead\r\nahead\r\n# ');
  });

  test('ends with its client and with its container', async () => {
    const gone = await sit(['sh']);
    await gone.seen('# ');
    gone.stdin.end();
    expect(await gone.ended()).toBe(0);
    const killed = await sit(['sh']);
    await killed.seen('# ');
    killed.container.kill();
    expect(await killed.ended()).toBe(130);
  });

  test('another command at a terminal is interrupted too', async () => {
    const { stdin, seen, ended } = await sit(['ping', '10.244.1.1']);
    await seen('icmp_seq=2');
    stdin.write('\u0003');
    await seen('ping statistics ---\r\n');
    expect(await ended()).toBe(130);
  });
});
