// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what looks like a template is a shell script
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ContainerSpec } from '../src/container.ts';
import { defaultProgram, echoedText, imageName, pagePath, portOfArguments } from '../src/images.ts';
import { portsOf } from '../src/stand-in/stand-in.ts';
import { upstreamsOf } from '../src/stand-in/upstreams.ts';
import { execIn, inFakeTime, loadEverything, PodNetwork, useFakeTime } from './pod-network.ts';

beforeAll(async () => {
  useFakeTime();
  await loadEverything();
});
afterAll(() => void vi.useRealTimers());

const spec = (o: Partial<ContainerSpec>): ContainerSpec => ({
  name: 'c',
  image: 'example/app:1',
  command: [],
  args: [],
  env: {},
  ports: [],
  probes: {},
  files: new Map(),
  ...o,
});

describe('what is known of images', () => {
  test.each([
    ['nginx', 'nginx'],
    ['docker.io/library/nginx:1.27-alpine', 'nginx'],
    ['registry:5000/path/agnhost:2.43@sha256:abc', 'agnhost'],
  ])('%s is called %s', (image, name) => expect(imageName(image)).toBe(name));

  test.each([
    ['busybox:1.36', false, 'shell'],
    ['nicolaka/netshoot', true, 'shell'],
    ['python:3', false, 'shell'],
    ['python:3', true, 'server'],
    ['curlimages/curl', false, 'curl'],
    ['registry.k8s.io/pause:3.9', false, 'pause'],
    ['registry.k8s.io/e2e-test-images/agnhost:2.53', false, 'agnhost'],
    ['example/orders', false, 'server'],
  ])('%s with ports %s is a %s', (image, ports, program) =>
    expect(defaultProgram(image, ports)).toBe(program),
  );

  test.each<[string, Partial<ContainerSpec>, number[]]>([
    ['declared', { image: 'nginx', ports: [{ containerPort: 8081 }] }, [8081]],
    ['well known', { image: 'postgres:16' }, [5432]],
    ['a probe', { image: 'nginx', probes: { readiness: { httpGet: { port: 9000 } } } }, [9000]],
    ['PORT', { env: { PORT: '7070' } }, [7070]],
    ['an argument', { args: ['--port=7000'] }, [7000]],
    ['a listen address', { image: 'hashicorp/http-echo', args: ['-listen=:5679', '-text=hi'] }, [5679]],
    ['nothing', {}, []],
  ])('listens on what is %s', (_name, o, tcp) => expect(portsOf(spec(o)).tcp).toEqual(tcp));

  test.each<[string[], number | undefined]>([
    [['-p', '80'], 80],
    [['python', '-m', 'http.server', '8000'], 8000],
    [['--address', '0.0.0.0:9090'], 9090],
    [['--port', 'http'], undefined],
    [['-p', '99999'], undefined],
  ])('%j names port %s', (argv, port) => expect(portOfArguments(argv)).toBe(port));

  test('pages stay below their directory', () => {
    expect(pagePath('nginx', '/')).toBe('/usr/share/nginx/html/index.html');
    expect(pagePath('nginx', '/../../../../etc/passwd')).toBe('/usr/share/nginx/html/etc/passwd');
    expect(pagePath('other', '/')).toBeUndefined();
    expect(echoedText('hashicorp/http-echo:1', ['-text', 'hi'])).toBe('hi\n');
  });

  test('upstreams are hosts with ports, by name', () => {
    expect(
      upstreamsOf({
        CART_SERVICE_ADDR: 'cartservice:7070',
        API_URL: 'http://api.shop/v1',
        DB_HOST: 'db-0.db',
        DB_PORT: '5432',
        REDIS: 'redis://:secret@cache:6379/0',
        KUBERNETES_SERVICE_HOST: '10.96.0.1',
        KUBERNETES_SERVICE_PORT: '443',
        PATH: '/usr/bin:/bin',
        HOSTNAME: 'pod-1',
        NUMBER: '42',
      }).map(({ host, port }) => `${host}:${port}`),
    ).toEqual(['cartservice:7070', 'api.shop:80', 'db-0.db:5432', 'cache:6379']);
  });
});

describe('a container without a command', () => {
  test.each([['busybox'], ['alpine:3.20'], ['ubuntu'], ['debian:12'], ['nicolaka/netshoot:latest']])(
    'of %s ends at once',
    async (image) => {
      const { container, lines } = await new PodNetwork().start('c', { image });
      expect(await inFakeTime(container.exited)).toEqual({ exitCode: 0 });
      expect(lines).toEqual([]);
    },
  );

  test('of curlimages/curl calls curl with its arguments', async () => {
    const net = new PodNetwork();
    await net.start('web', { image: 'nginx' });
    const { container, lines } = await net.start('c', {
      image: 'curlimages/curl',
      args: ['-s', '-o', '/dev/null', '-w', '%{http_code}\n', '10.244.1.1'],
    });
    expect(await inFakeTime(container.exited)).toEqual({ exitCode: 0 });
    expect(lines).toEqual(['200']);
    const bare = await net.start('d', { image: 'curlimages/curl' });
    expect(await inFakeTime(bare.container.exited)).toEqual({ exitCode: 2 });
  });

  test('of nginx serves its page where there is one, and who it is where not', async () => {
    const net = new PodNetwork();
    const web = await net.start('web', {
      image: 'nginx',
      files: new Map([['/usr/share/nginx/html/index.html', '<h1>Hi</h1>\n']]),
    });
    await net.start('echo', { image: 'hashicorp/http-echo', args: ['-text=hello'] });
    const sh = (script: string) => inFakeTime(execIn(web.container, ['sh', '-c', script]));
    expect((await sh('curl -s localhost')).stdout).toBe('<h1>Hi</h1>\n');
    expect((await sh('curl -s localhost/other')).stdout).toContain('web');
    expect((await sh('echo new > /usr/share/nginx/html/index.html; curl -s localhost')).stdout).toBe('new\n');
    expect((await sh('curl -s 10.244.1.2:5678')).stdout).toBe('hello\n');
  });
});

describe('a container with a command', () => {
  test('runs a script and ends with its code', async () => {
    const net = new PodNetwork();
    const { container, lines, errors } = await net.start('job', {
      image: 'busybox',
      command: ['sh', '-c', 'echo one; echo two >&2; exit 3'],
    });
    expect(await inFakeTime(container.exited)).toEqual({ exitCode: 3 });
    expect([lines, errors]).toEqual([['one'], ['two']]);
  });

  test('busybox runs its arguments; another image keeps them', async () => {
    const net = new PodNetwork();
    const { container, lines } = await net.start('b', { image: 'busybox', args: ['echo', 'hi'] });
    expect(await inFakeTime(container.exited)).toEqual({ exitCode: 0 });
    expect(lines).toEqual(['hi']);
    const server = await net.start('s', {
      image: 'example/server',
      args: ['host'],
      ports: [{ containerPort: 80 }],
    });
    expect(server.lines[0]).toContain('listening on 80/tcp');
  });

  test('SIGTERM ends a script, after its trap', async () => {
    const net = new PodNetwork();
    const plain = await net.start('p', { command: ['sh', '-c', 'echo up; while true; do sleep 1; done'] });
    await inFakeTime(plain.container.stop(30_000));
    expect(await plain.container.exited).toEqual({ exitCode: 143 });
    const trapped = await net.start('t', {
      command: ['sh', '-c', 'trap "echo bye; exit 0" TERM; echo up; sleep 1000'],
    });
    await inFakeTime(trapped.container.stop(30_000));
    expect(await trapped.container.exited).toEqual({ exitCode: 0 });
    expect(trapped.lines).toEqual(['up', 'bye']);
  });

  test('a script that ends in an unknown server is that server', async () => {
    const net = new PodNetwork();
    const app = await net.start('app', {
      image: 'example/app',
      command: ['sh', '-c', 'echo starting; exec /app/server --fast'],
      ports: [{ containerPort: 80 }],
    });
    expect((await inFakeTime(execIn(app.container, ['curl', '-s', 'localhost']))).stdout).toContain('app');
    expect(app.lines[0]).toBe('starting');
    await inFakeTime(app.container.stop(30_000));
    const none = await net.start('none', { image: 'example/app', command: ['sh', '-c', 'nosuch'] });
    expect(await inFakeTime(none.container.exited)).toEqual({ exitCode: 127 });
  });

  test('an init container waits for what it needs', async () => {
    const net = new PodNetwork();
    const { container, lines } = await net.start('init', {
      image: 'busybox',
      command: [
        'sh',
        '-c',
        'until nslookup db.default.svc.cluster.local >/dev/null && pg_isready -h db; do echo waiting; sleep 2; done; echo ready',
      ],
    });
    setTimeout(() => net.names.set('db.default.svc.cluster.local', ['A 10.244.1.2']), 3_000);
    setTimeout(() => void net.launch('db', { image: 'postgres' }), 5_000);
    expect(await inFakeTime(container.exited)).toEqual({ exitCode: 0 });
    expect(lines.filter((line) => line === 'waiting').length).toBeGreaterThanOrEqual(2);
    expect(lines.at(-1)).toBe('ready');
  });

  test('a lab may scale what its program sleeps, not what exec runs', async () => {
    const net = new PodNetwork();
    const began = Date.now();
    const { container } = await net.start('init', {
      image: 'busybox',
      command: ['sh', '-c', 'echo up; sleep 10'],
      sleepScale: 0.02,
    });
    const slow = execIn(container, ['sleep', '10']);
    expect(await inFakeTime(container.exited)).toEqual({ exitCode: 0 });
    expect(Date.now() - began).toBeLessThan(1_000);
    expect((await inFakeTime(slow)).code).toBe(130);
  });

  test('bash leaves what matched in BASH_REMATCH', async () => {
    const net = new PodNetwork();
    const { container, lines } = await net.start('mysql-2', {
      command: [
        'bash',
        '-c',
        'set -e; [[ $(hostname) =~ -([0-9]+)$ ]] || exit 1; ordinal=${BASH_REMATCH[1]}; echo $((100 + $ordinal))',
      ],
    });
    expect(await inFakeTime(container.exited)).toEqual({ exitCode: 0 });
    expect(lines).toEqual(['102']);
  });
});
