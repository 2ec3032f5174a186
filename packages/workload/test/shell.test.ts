// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what looks like a template is a shell script
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { evaluateArithmetic } from '../src/shell/arithmetic.ts';
import { parseScript } from '../src/shell/parser.ts';
import { matchesPattern } from '../src/shell/pattern.ts';
import { SyntaxProblem } from '../src/shell/syntax.ts';
import { execIn, inFakeTime, loadEverything, PodNetwork, useFakeTime } from './pod-network.ts';

/** Pieces from which random scripts are made: far more often nearly right than random characters are. */
const PIECE = fc.constantFrom(
  ...'if then else elif fi for in while until do done case esac { } ( ) (( )) $( ${ } $(( " \' ` \\ | || & && ; ;; ;; < > >> << <<- <<< >& &> # ! [[ ]] x= $x ${x:-y} "$@" a b 1 * ? [a] = ~ \n \t'.split(
    ' ',
  ),
  ' ',
  '\n',
);

describe('the parser', () => {
  beforeAll(loadEverything);

  test('reads any text or says what is wrong with it', () => {
    const parses = (text: string, bash: boolean): void => {
      try {
        parseScript(text, bash);
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxProblem);
      }
    };
    fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.boolean(), parses), { numRuns: 500 });
    fc.assert(
      fc.property(
        fc
          .array(PIECE, { maxLength: 40 })
          .chain((pieces) => fc.constantFrom(pieces.join(''), pieces.join(' '))),
        fc.boolean(),
        parses,
      ),
      { numRuns: 3_000 },
    );
  });

  test.each([
    '$('.repeat(30_000),
    '${x:-'.repeat(30_000),
    '"$('.repeat(20_000),
    'a()'.repeat(30_000),
    '{ '.repeat(30_000),
    '('.repeat(30_000),
    'if '.repeat(30_000),
    '! '.repeat(30_000),
    '`'.repeat(30_001),
    '$(('.repeat(20_000),
    '((1+'.repeat(20_000),
    'case x in a) '.repeat(10_000),
    'a|'.repeat(30_000),
    'x=$(x='.repeat(20_000),
  ])('refuses what is nested too deep: %#', (script) => {
    expect(() => parseScript(script)).toThrow(SyntaxProblem);
    expect(() => parseScript(script, true)).toThrow(SyntaxProblem);
  });

  test('arithmetic of any text gives a number or an Error', () => {
    const TOKEN = fc.constantFrom(
      ...'1 0 08 x ( ) + - * / % ** << >> < <= == != && || ? : = += ++ -- ! ~ , 0x1f'.split(' '),
    );
    fc.assert(
      fc.property(fc.array(TOKEN, { maxLength: 12 }), (tokens) => {
        const variables = new Map([['x', '3']]);
        try {
          const value = evaluateArithmetic(tokens.join(' '), {
            get: (name) => variables.get(name) ?? '',
            set: (name, value) => void variables.set(name, value),
          });
          expect(typeof value).toBe('bigint');
        } catch (error) {
          expect((error as Error).message).not.toMatch(/^Cannot (convert|mix|read)/);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('a hostile pattern costs no more than its length times the text', () => {
    expect(matchesPattern(`${'*a'.repeat(2_000)}b`, 'a'.repeat(4_000))).toBe(false);
  });
});

async function sh(script: string, name = 'sh'): Promise<{ code: number; stdout: string; stderr: string }> {
  const net = new PodNetwork();
  const { container } = await net.start('pod', { ports: [{ containerPort: 80 }], env: { GREETING: 'hi' } });
  return inFakeTime(execIn(container, [name, '-c', script]));
}

describe('bash', () => {
  beforeAll(() => useFakeTime());

  test.each([
    ['for i in {1..3}; do echo -n $i; done', '123'],
    ['echo a{b,c}d {01..03} {c..a} {1..7..3} {x} "{1..2}"', 'abd acd 01 02 03 c b a 1 4 7 {x} {1..2}\n'],
    ['for ((i=0;i<3;i++)); do echo -n $i; done', '012'],
    ['i=1; ((i+=4)); echo $i; ((i==5)) && echo yes; ((0)) || echo no', '5\nyes\nno\n'],
    ['function f { echo in $1; }; f x', 'in x\n'],
    ['[[ abc == a* && 1 -lt 2 ]] && echo glob; [[ "a*" == "a*" ]] && echo quoted', 'glob\nquoted\n'],
    ['[[ 10.0.0.1 =~ ^[0-9.]+$ ]] && echo regex', 'regex\n'],
    ['x=hello; echo ${x^^} ${x/l/L} ${x//l/L} ${x:1:3} ${x^}', 'HELLO heLlo heLLo ell Hello\n'],
    ['set -o pipefail; false | true; echo $?', '1\n'],
    ['read -r a b <<< "1 2"; echo $b$a', '21\n'],
    ['echo out &> f; cat f; let x=2+3; echo $x', 'out\n5\n'],
  ])('%s', async (script, stdout) => {
    expect(await sh(script, 'bash')).toEqual({ code: 0, stdout, stderr: '' });
  });

  test('/dev/tcp opens a connection', async () => {
    const net = new PodNetwork();
    await net.start('server', { ports: [{ containerPort: 6379 }] });
    const { container } = await net.start('client');
    const run = (script: string) => inFakeTime(execIn(container, ['bash', '-c', script]));
    expect(
      await run('exec 3<>/dev/tcp/10.244.1.1/6379; echo PING >&3; read -r x <&3; echo "got $x"'),
    ).toMatchObject({
      code: 0,
      stdout: 'got +PONG\r\n',
    });
    expect(await run('timeout 1 bash -c "</dev/tcp/10.244.1.1/6379" && echo open')).toMatchObject({
      stdout: 'open\n',
    });
    expect(await run('</dev/tcp/10.244.1.1/81')).toMatchObject({
      code: 2,
      stderr: 'bash: 1: connect: Connection refused\nbash: 1: /dev/tcp/10.244.1.1/81: Connection refused\n',
    });
    expect(await run('timeout 1 bash -c "</dev/tcp/10.244.1.99/80"; echo $?')).toMatchObject({
      stdout: '124\n',
    });
  });
});

describe('a shell in a container', () => {
  beforeAll(() => useFakeTime());

  test('has the environment, the files and the identity of the container', async () => {
    const result = await sh(
      'echo $GREETING $HOSTNAME; head -1 /etc/resolv.conf; env | grep GREETING; cat /sys/class/net/eth0/mtu',
    );
    expect(result.stdout).toBe(
      'hi pod\nsearch default.svc.cluster.local svc.cluster.local cluster.local\nGREETING=hi\n1450\n',
    );
  });

  test('tells what it cannot find or run', async () => {
    expect(await sh('nosuch')).toEqual({ code: 127, stdout: '', stderr: 'sh: 1: nosuch: not found\n' });
    expect(await sh('echo $(')).toMatchObject({ code: 2 });
    const net = new PodNetwork();
    const { container } = await net.start('pod');
    expect(await inFakeTime(execIn(container, ['nosuch', 'x']))).toMatchObject({ code: 127 });
    expect(await inFakeTime(execIn(container, []))).toMatchObject({ code: 126 });
  });

  test('a busy loop lets others run and ends with its client', async () => {
    const net = new PodNetwork();
    const { container } = await net.start('pod');
    const abort = new AbortController();
    const busy = execIn(container, ['sh', '-c', 'while :; do :; done'], '', { signal: abort.signal });
    expect(await inFakeTime(execIn(container, ['echo', 'alive']))).toMatchObject({ stdout: 'alive\n' });
    abort.abort();
    expect(await inFakeTime(busy)).toMatchObject({ code: 130 });
  });

  test('reads a script from its input', async () => {
    const net = new PodNetwork();
    const { container } = await net.start('pod');
    expect(
      await inFakeTime(execIn(container, ['sh'], 'x=1\nif true; then\necho $x\nfi\nexit 4\necho no\n')),
    ).toEqual({
      code: 4,
      stdout: '1\n',
      stderr: '',
    });
  });

  test('kill 1 ends the container, which ends its shells', async () => {
    const net = new PodNetwork();
    const { container } = await net.start('pod', { ports: [{ containerPort: 80 }] });
    const sleeping = execIn(container, ['sleep', '1000']);
    await inFakeTime(execIn(container, ['sh', '-c', 'ps; kill 1']));
    expect(await inFakeTime(container.exited)).toEqual({ exitCode: 0 });
    expect((await inFakeTime(sleeping)).code).toBe(130);
  });
});
