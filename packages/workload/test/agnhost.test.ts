import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { execIn, inFakeTime, loadEverything, PodNetwork, useFakeTime } from './pod-network.ts';

const AGNHOST = 'registry.k8s.io/e2e-test-images/agnhost:2.53';

beforeAll(async () => {
  useFakeTime();
  await loadEverything();
});
afterAll(() => void vi.useRealTimers());

/** A netexec pod "a" (10.244.1.1), one "b" (10.244.1.2) with its name in DNS, and a client to run commands in. */
async function world() {
  const net = new PodNetwork();
  net.names.set('b.default.svc.cluster.local', ['A 10.244.1.2']);
  const a = await net.start('a', {
    image: AGNHOST,
    args: ['netexec', '--http-port=8080', '--udp-port', '8081', '--sctp-port=8082'],
  });
  await net.start('b', {
    image: AGNHOST,
    command: ['/agnhost'],
    args: ['netexec', '--http-port', '80', '--udp-port=81'],
  });
  const { container } = await net.start('client', { image: AGNHOST });
  const sh = (script: string) => inFakeTime(execIn(container, ['/bin/sh', '-c', script]));
  const get = async (path: string) => (await sh(`curl -g -q -s 'http://10.244.1.1:8080${path}'`)).stdout;
  return { net, a, container, sh, get };
}

describe('agnhost netexec', () => {
  test('tells who it is and who asks', async () => {
    const { get, a } = await world();
    expect(await get('/hostname')).toBe('a');
    expect(await get('/hostName')).toBe('a');
    expect(await get('/clientip')).toMatch(/^10\.244\.1\.3:\d+$/);
    expect(await get('/echo?msg=Hello%20there')).toBe('Hello there');
    expect(await get('/header?key=user-agent')).toMatch(/^curl\//);
    expect(await get('/')).toMatch(/^NOW: 2026-01-02 03:04/);
    expect(a.errors[0]).toBe('2026/01/02 03:04:05 Started HTTP server on port 8080');
  });

  test('dials by HTTP and UDP', async () => {
    const { get } = await world();
    const dial = async (query: string) => JSON.parse(await get(`/dial?${query}`)) as unknown;
    expect(await dial('request=hostname&protocol=http&host=b&port=80&tries=2')).toEqual({
      responses: ['b', 'b'],
    });
    expect(await dial('request=hostname&protocol=udp&host=10.244.1.2&port=81&tries=1')).toEqual({
      responses: ['b'],
    });
    expect(await dial('request=echo%20hi&protocol=udp&host=b&port=81&tries=1')).toEqual({
      responses: ['hi'],
    });
    expect(await dial('request=hostname&protocol=http&host=10.244.1.2&port=82&tries=1')).toEqual({
      errors: ['Get "http://10.244.1.2:82/hostname": dial tcp 10.244.1.2:82: connect: connection refused'],
    });
    expect(await dial('request=hostname&protocol=http&host=10.244.9.9&port=80&tries=1')).toEqual({
      errors: ['Get "http://10.244.9.9:80/hostname": dial tcp 10.244.9.9:80: i/o timeout'],
    });
    expect(await dial('request=hostname&protocol=udp&host=10.244.1.2&port=9&tries=1')).toMatchObject({
      errors: [
        expect.stringMatching(
          /^reading from udp connection failed\. err:'read udp .*: read: connection refused'$/,
        ),
      ],
    });
    expect(await dial('protocol=x&tries=no')).toMatchObject({
      errors: [
        'tries parameter is invalid: strconv.Atoi: parsing "no": invalid syntax',
        'request parameter not specified',
        'unsupported protocol: x',
        'host parameter not specified',
        'port parameter not specified',
      ],
    });
  });

  test('answers to what is no HTTP, as Go does', async () => {
    const { sh } = await world();
    const result = await sh('echo hostName | nc -v -w 2 10.244.1.1 8080');
    expect(result.stdout).toMatch(/^HTTP\/1\.1 400 Bad Request/);
    expect(result.stderr).toBe('Connection to 10.244.1.1 8080 port [tcp/http-alt] succeeded!\n');
    expect((await sh('echo hostName | nc -v -u -w 2 10.244.1.1 8081')).stdout).toBe('a');
    expect((await sh('echo clientip | nc -u -w 1 10.244.1.1 8081')).stdout).toMatch(/^10\.244\.1\.3:\d+$/);
  });

  test('runs commands, redirects and exits', async () => {
    const { get, sh, a } = await world();
    expect(JSON.parse(await get('/shell?shellCommand=echo%20$((1%2b1))'))).toEqual({ output: '2\n' });
    expect(JSON.parse(await get('/shell?cmd=exit%203'))).toEqual({ error: 'exit status 3' });
    const url = 'http://10.244.1.1:8080';
    expect(
      (
        await sh(
          `curl -s -o /dev/null -w '%{http_code} %{redirect_url}' '${url}/redirect?location=/hostname'`,
        )
      ).stdout,
    ).toBe(`302 ${url}/hostname`);
    expect((await sh(`curl -sL '${url}/redirect?location=/hostname'`)).stdout).toBe('a');
    expect((await sh(`curl -s -o /dev/null -w '%{http_code}' '${url}/echo?msg=x&code=503'`)).stdout).toBe(
      '503',
    );
    await get('/exit?code=4');
    expect(await inFakeTime(a.container.exited)).toEqual({ exitCode: 4 });
  });

  test('stops on SIGTERM, later if told so', async () => {
    const { net, a } = await world();
    const began = Date.now();
    await inFakeTime(a.container.stop(30_000));
    expect(await a.container.exited).toEqual({ exitCode: 0 });
    expect(Date.now() - began).toBeLessThan(1_000);
    const slow = await net.start('slow', { image: AGNHOST, args: ['netexec', '--delay-shutdown=5'] });
    const from = Date.now();
    await inFakeTime(slow.container.stop(30_000));
    expect(Date.now() - from).toBeGreaterThanOrEqual(5_000);
  });
});

describe('agnhost', () => {
  test('serve-hostname by TCP, UDP and HTTP', async () => {
    const net = new PodNetwork();
    await net.start('t', {
      command: ['/agnhost', 'serve-hostname', '--tcp', '--http=false', '--port', '80'],
    });
    await net.start('u', {
      command: ['/agnhost', 'serve-hostname', '--udp', '--http=false', '--port', '80'],
    });
    await net.start('h', { image: AGNHOST, args: ['serve-hostname'] });
    const { container } = await net.start('client');
    const sh = (script: string) => inFakeTime(execIn(container, ['sh', '-c', script]));
    expect((await sh('nc -w 1 10.244.1.1 80 </dev/null')).stdout).toBe('t');
    expect((await sh('echo x | nc -u -w 1 10.244.1.2 80')).stdout).toBe('u');
    expect((await sh('curl -s 10.244.1.3:9376')).stdout).toBe('h');
  });

  test('connect is silent or says why not', async () => {
    const net = new PodNetwork();
    net.names.set('t.default.svc.cluster.local', ['A 10.244.1.1']);
    await net.start('t', {
      command: ['/agnhost', 'serve-hostname', '--tcp', '--http=false', '--port', '80'],
    });
    await net.start('u', {
      command: ['/agnhost', 'serve-hostname', '--udp', '--http=false', '--port', '80'],
    });
    const { container } = await net.start('client');
    const connect = (...args: string[]) => inFakeTime(execIn(container, ['/agnhost', 'connect', ...args]));
    expect(await connect('t:80', '--timeout=1s')).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await connect('10.244.1.2:80', '--timeout=1s', '--protocol=udp')).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
    expect(await connect('t:81', '--timeout=1s')).toEqual({ code: 1, stdout: '', stderr: 'REFUSED\n' });
    expect(await connect('10.244.1.2:81', '--timeout=1s', '--protocol', 'udp')).toMatchObject({
      code: 1,
      stderr: 'REFUSED\n',
    });
    const began = Date.now();
    expect(await connect('10.244.9.9:80', '--timeout=3s')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'TIMEOUT\n',
    });
    expect(Date.now() - began).toBeGreaterThanOrEqual(3_000);
    expect(Date.now() - began).toBeLessThan(3_500);
    expect(await connect('10.244.9.9:80', '--timeout=1s', '--protocol=udp')).toMatchObject({
      code: 1,
      stderr: 'TIMEOUT\n',
    });
    expect(await connect('nobody:80', '--timeout=1s')).toMatchObject({
      code: 1,
      stderr: 'DNS: lookup nobody on 10.96.0.10:53: no such host\n',
    });
    expect(await connect('t:80', '--protocol=sctp')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^OTHER: /),
    });
    net.unreachable.set('10.244.8.8', 13);
    expect(await connect('10.244.8.8:80', '--timeout=1s')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^OTHER: .*no route to host\n$/),
    });
    expect(await connect('t:80', '--bogus')).toMatchObject({
      code: 1,
      stderr: 'Error: unknown flag: --bogus\n',
    });
  });

  test('porter answers on the ports its environment names', async () => {
    const net = new PodNetwork();
    const { errors } = await net.start('p', {
      image: AGNHOST,
      args: ['porter'],
      env: { SERVE_PORT_80: 'eighty', SERVE_PORT_81: 'eighty-one', SERVE_SCTP_PORT_82: 'sctp' },
    });
    const { container } = await net.start('client');
    const result = await inFakeTime(
      execIn(container, ['sh', '-c', 'curl -s 10.244.1.1:80; echo; curl -s 10.244.1.1:81']),
    );
    expect(result.stdout).toBe('eighty\neighty-one');
    expect(errors.join('\n')).toContain('SERVE_SCTP_PORT_82: SCTP is not supported');
  });

  test('pauses without a command, tells its version, refuses what it does not know', async () => {
    const net = new PodNetwork();
    const paused = await net.start('p', { image: AGNHOST });
    expect(paused.lines).toEqual(['Paused']);
    await inFakeTime(paused.container.stop(1_000));
    expect(await paused.container.exited).toEqual({ exitCode: 0 });
    const version = await net.start('v', { image: AGNHOST, args: ['version'] });
    expect(version.lines).toEqual(['2.53']);
    const wrong = await net.start('w', { image: AGNHOST, command: ['/agnhost', 'nonsense'] });
    expect(await inFakeTime(wrong.container.exited)).toEqual({ exitCode: 1 });
    expect(wrong.errors[0]).toBe('Error: unknown command "nonsense" for "app"');
  });
});

test('test-webserver serves what another container of the pod wrote', async () => {
  const net = new PodNetwork();
  const results = new Map<string, Buffer>();
  await net.start('dns-test', {
    image: AGNHOST,
    args: ['test-webserver'],
    volumes: new Map([['/results', results]]),
  });
  const querier = await net.start('dns-test', {
    image: AGNHOST,
    command: [
      'sh',
      '-c',
      'for i in `seq 1 3`; do check="$(dig +notcp +noall +answer +search nobody A)" && test -n "$check" && echo OK > /results/udp@nobody; sleep 1; done; echo done > /results/end',
    ],
    volumes: new Map([['/results', results]]),
  });
  expect(await inFakeTime(querier.container.exited)).toEqual({ exitCode: 0 });
  const { container } = await net.start('client');
  const get = async (path: string) =>
    (await inFakeTime(execIn(container, ['curl', '-s', `10.244.1.1${path}`]))).stdout;
  expect(await get('/results/end')).toBe('done\n');
  expect(await get('/results/udp@nobody')).toBe('404 page not found\n');
});
