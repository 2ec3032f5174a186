import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Files } from '../src/shell/files.ts';
import { Shell } from '../src/shell/interpreter.ts';
import { Processes } from '../src/shell/processes.ts';
import { inputOf, makePipe, outputTo, readAll } from '../src/shell/streams.ts';
import { findTool } from '../src/tools/table.ts';
import type { Sandbox } from '../src/types.ts';

const INPUT = 'alpha 1\nbeta 2 x:y\n{"a":[1,{"b":null}]}\n\n';

async function run(argv: string[]): Promise<{ code: number; stderr: string }> {
  const { signal } = new AbortController();
  const shell = new Shell(
    {
      sandbox: {
        hostname: 'pod',
        podIPs: ['10.0.0.1'],
        hostsFile: '',
        resolvConf: { nameservers: [], searches: [], ndots: 1 },
      } as unknown as Sandbox,
      files: new Files(),
      tools: findTool,
      processes: new Processes(),
      kill: signal,
      nowMs: () => 0,
      random32: () => 4,
    },
    { environment: {}, directory: '/tmp', signal },
  );
  const [stdout, stderr] = [makePipe(), makePipe()];
  const read = Promise.all([readAll(stdout, signal), readAll(stderr, signal)]);
  const code = await shell.callWith(argv, {
    stdin: inputOf(INPUT),
    stdout: outputTo(stdout),
    stderr: outputTo(stderr),
  });
  stdout.end();
  stderr.end();
  return { code, stderr: (await read)[1].toString() };
}

const from = (pieces: string) =>
  fc.array(fc.constantFrom(...pieces.split(' '), ' '), { maxLength: 14 }).map((parts) => parts.join(''));

/** Programs made of the tool's own pieces, which come far nearer to its corners than random characters. */
const PROGRAMS: Record<string, fc.Arbitrary<string>> = {
  awk: from(
    '{ } ( ) BEGIN END print $ 0 1 NF x = == ~ /a/ / + - ++ * ^ % , ; "s" if else while(0) for in a[ ] ! && || ? : substr( length split( \n',
  ),
  sed: from('s / | a .* \\( \\) [ ] g p d 1 2 $ , ! ; { } y q i\\ = n & \\1 ~'),
  grep: from('a . * \\( \\) [ ] [^ ^ $ \\ { } + ? | ( ) 1 , [: alpha :] \\<'),
  jq: from('. [] [0] .a | length keys "a" ["b"] .. ( $ -1'),
  printf: from('% d s 5 .2 - 0 * \\ n x41 c %% b u f e g # + q'),
  tr: from('a - z [:alpha:] [: \\ n 0 9 \\101 ]'),
  date: from('+ % Y m N 3 - d T'),
};

test.each(Object.entries(PROGRAMS))('%s takes any program', async (tool, program) => {
  await fc.assert(
    fc.asyncProperty(program, fc.boolean(), async (text, extra) => {
      const argv =
        tool === 'tr' ? [tool, text, 'x'] : extra && tool === 'grep' ? [tool, '-E', text] : [tool, text];
      const { code, stderr } = await run(argv);
      expect(stderr).not.toContain('internal error');
      expect(code).not.toBe(70);
    }),
    { numRuns: 150 },
  );
});

test('every tool takes any options', async () => {
  const tools =
    'cat head tail wc sort uniq cut tee rev tac grep sed awk xargs ls mkdir touch rm rmdir cp mv basename dirname readlink mktemp find md5sum base64 hexdump env printenv date uname id which kill ps ip ifconfig route hostname expr jq seq echo printf'.split(
      ' ',
    );
  const word = fc.oneof(
    fc.constantFrom(
      '-n',
      '-a',
      '-1',
      '-x',
      '--help',
      '--',
      '-',
      '-k2',
      '-d',
      '-f1',
      '-rn',
      'f',
      '/',
      '..',
      '0',
      '-o',
      '-i',
      '-c',
      'show',
      'addr',
    ),
    fc.string({ maxLength: 4 }).map((text) => text.replaceAll('\0', '')),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...tools), fc.array(word, { maxLength: 4 }), async (tool, args) => {
      // Needs the pod's stack, which this shell has not.
      fc.pre(
        !(
          ['ip', 'ifconfig', 'ps'].includes(tool) ||
          (tool === 'tail' && args.some((text) => /f|F/.test(text)))
        ),
      );
      const { stderr } = await run([tool, ...args]);
      expect(stderr).not.toContain('internal error');
    }),
    { numRuns: 600 },
  );
});
