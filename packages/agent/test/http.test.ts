import { once } from 'node:events';
import { request } from 'node:https';
import { connect as tlsConnect } from 'node:tls';
import { LOOPBACK_CERTIFICATE, LOOPBACK_KEY } from '@podwire/testkit/loopback-certificate';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { parseExecMessage } from '../src/http/exec-channels.ts';
import { kubeletRoutes } from '../src/http/kubelet-routes.ts';
import { podwireRoutes } from '../src/http/podwire-routes.ts';
import { matchRoute } from '../src/http/route.ts';
import { HttpServer } from '../src/http/server.ts';
import { PodManager } from '../src/pods/pod-manager.ts';
import { parseProbeRequest } from '../src/probe-request.ts';
import { probeSource } from '../src/probe-sources.ts';
import { EmulatedCluster } from './emulated-cluster.ts';
import { FakeNode, makePod } from './fake-node.ts';

const TOKEN = 'join-token';
const ADDRESS = '127.0.0.1';
const PORT = 31_250;

let node: FakeNode;
let pods: PodManager;
let server: HttpServer;
let cluster: EmulatedCluster;
let errors: unknown[];

beforeEach(async () => {
  node = new FakeNode();
  pods = new PodManager(node.context);
  cluster = new EmulatedCluster({ nodes: ['127.0.9.31'] });
  errors = [];
  const { recorder, datapath, host } = cluster.node(1);
  server = await HttpServer.open({
    address: ADDRESS,
    port: PORT,
    keyPem: LOOPBACK_KEY,
    certPem: LOOPBACK_CERTIFICATE,
    caPem: LOOPBACK_CERTIFICATE,
    joinToken: TOKEN,
    routes: [
      ...kubeletRoutes(pods, node.clock.nowMs),
      ...podwireRoutes({
        recorder,
        probeSource: (from) => probeSource(from, pods, host, node.context.settings),
        tables: () => datapath.tables,
        conntrack: () => ({ size: 0, max: 1, entries: [] }),
        dump: (format) => (format === 'conntrack' ? 'a flow\n' : undefined),
        metrics: () => 'metric 1\n',
        unhealthy: () => undefined,
        nowMs: cluster.nowMs,
      }),
    ],
    onError: (error) => errors.push(error),
  });
});
afterEach(async () => {
  server.close();
  cluster.close();
  await pods.stop(0);
  expect(errors).toEqual([]);
});

async function startPod(spec: object = {}): Promise<void> {
  const pod = makePod({ containers: [{ name: 'c', image: 'i' }], ...spec });
  pods.apply([{ resource: 'pods', type: 'ADDED', object: pod as never }]);
  await node.clock.advance(0);
}

interface Answer {
  status: number;
  text: string;
}

function call(path: string, o: { method?: string; body?: unknown; token?: string } = {}): Promise<Answer> {
  const { method = 'GET', body, token = TOKEN } = o;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: ADDRESS,
        port: PORT,
        path,
        method,
        ca: LOOPBACK_CERTIFICATE,
        agent: false,
        headers: token === '' ? {} : { authorization: `Bearer ${token}` },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode!, text }));
        response.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
  });
}

/** An exec over a WebSocket: what came on each channel until the end. */
async function exec(path: string, protocol: string, onOpen: (socket: WebSocket) => void = () => {}) {
  const socket = new WebSocket(`wss://${ADDRESS}:${PORT}${path}`, protocol, {
    ca: LOOPBACK_CERTIFICATE,
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  const channels = new Map<number, Buffer[]>();
  socket.on('message', (message: Buffer) => {
    const list = channels.get(message[0]!) ?? [];
    channels.set(message[0]!, [...list, message.subarray(1)]);
  });
  socket.on('open', () => onOpen(socket));
  const [code] = (await once(socket, 'close')) as [number];
  const text = (channel: number) => Buffer.concat(channels.get(channel) ?? []).toString();
  return { code, protocol: socket.protocol, stdout: text(1), stderr: text(2), status: JSON.parse(text(3)) };
}

describe('access', () => {
  it('needs the join credential or a certificate; health needs none', async () => {
    expect((await call('/metrics', { token: '' })).status).toBe(401);
    expect((await call('/metrics', { token: 'other' })).status).toBe(401);
    expect(await call('/metrics')).toEqual({ status: 200, text: 'metric 1\n' });
    expect(await call('/healthz', { token: '' })).toEqual({ status: 200, text: 'ok' });
  });

  it('is refused to a client whose certificate is no one’s of the masters', async () => {
    // Signed by the authority, but without the organization.
    const socket = tlsConnect({
      host: ADDRESS,
      port: PORT,
      ca: LOOPBACK_CERTIFICATE,
      cert: LOOPBACK_CERTIFICATE,
      key: LOOPBACK_KEY,
    });
    await once(socket, 'secureConnect');
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk;
    expect(text).toMatch(/^HTTP\/1.1 401 /);
  });

  it('says what is not there', async () => {
    expect(await call('/nothing')).toEqual({ status: 404, text: '404 page not found: GET /nothing\n' });
    expect((await call('/exec/a/b/c')).status).toBe(400);
    expect((await call('/containerLogs/shop/none/c')).text).toBe('pod "none" not found in "shop"\n');
  });
});

describe('logs', () => {
  it('are read by lines, time and stream, of this process and the one before', async () => {
    await startPod();
    const path = '/containerLogs/shop/web/c';
    const first = node.process('c').output;
    first.stdout('one');
    first.stderr('two');
    await node.clock.advance(5000);
    first.stdout('three');
    expect((await call(path)).text).toBe('one\ntwo\nthree\n');
    expect((await call(`${path}?tailLines=1`)).text).toBe('three\n');
    expect((await call(`${path}?tailLines=0`)).text).toBe('');
    expect((await call(`${path}?sinceSeconds=2`)).text).toBe('three\n');
    expect((await call(`${path}?limitBytes=6`)).text).toBe('one\ntw');
    expect((await call(`${path}?stream=Stderr`)).text).toBe('two\n');
    expect((await call(`${path}?timestamps=true&tailLines=1`)).text).toMatch(
      /^2026-01-01T00:00:05\.000\d{6}Z three\n$/,
    );
    expect((await call(`${path}?previous=true`)).text).toBe(
      'previous terminated container "c" in pod "web" not found\n',
    );
    node.process('c').exit(1);
    await node.clock.advance(0);
    expect((await call(path)).text).toBe('');
    expect((await call(`${path}?previous=true`)).text).toBe('one\ntwo\nthree\n');
    expect(await call(`${path}?tailLines=x`)).toEqual({
      status: 400,
      text: 'Cannot read logs: tailLines must be a whole number, not "x"\n',
    });
    expect((await call(`${path}?sinceTime=yesterday`)).status).toBe(400);
  });

  it('are followed until the container ends', async () => {
    await startPod({ restartPolicy: 'Never' });
    const { output } = node.process('c');
    output.stdout('before');
    const following = call('/containerLogs/shop/web/c?follow=true');
    await new Promise((resolve) => setTimeout(resolve, 50));
    output.stdout('after');
    node.process('c').exit(0);
    expect((await following).text).toBe('before\nafter\n');
    expect((await call('/containerLogs/shop/web/c')).text).toBe('before\nafter\n');
  });

  it('of a container that has not started say what it waits for', async () => {
    await startPod({ containers: [{ name: 'c', image: 'i', envFrom: [{ configMapRef: { name: 'no' } }] }] });
    expect(await call('/containerLogs/shop/web/c')).toEqual({
      status: 400,
      text: 'container "c" in pod "web" is waiting to start: CreateContainerConfigError\n',
    });
  });
});

describe('exec', () => {
  const path = '/exec/shop/web/c?command=sh&command=-c&command=x&stdout=true&stderr=true';

  it.each(['v4.channel.k8s.io', 'v5.channel.k8s.io'])(
    'over %s carries output, errors and the exit code',
    async (protocol) => {
      await startPod();
      node.process('c').execResult = async (_argv, io) => {
        io.stdout.write('out');
        io.stderr.write('err');
        io.stdout.write('put');
        return 3;
      };
      const result = await exec(path, protocol);
      expect(result).toMatchObject({ code: 1000, protocol, stdout: 'output', stderr: 'err' });
      expect(result.status).toEqual({
        metadata: {},
        status: 'Failure',
        message: 'command terminated with non-zero exit code: exit status 3',
        reason: 'NonZeroExitCode',
        details: { causes: [{ reason: 'ExitCode', message: '3' }] },
      });
      expect(node.process('c').commands).toEqual([['sh', '-c', 'x']]);
    },
  );

  it('gives stdin to the command and ends it when v5 says so', async () => {
    await startPod();
    node.process('c').execResult = async (_argv, io) => {
      let text = '';
      for await (const chunk of io.stdin!) text += chunk;
      io.stdout.write(text.toUpperCase());
      return 0;
    };
    const result = await exec(`${path}&stdin=true`, 'v5.channel.k8s.io', (socket) => {
      socket.send(Buffer.from('\x00hello '));
      socket.send(Buffer.from('\x00world'));
      socket.send(Buffer.from([255, 0]));
    });
    expect(result.stdout).toBe('HELLO WORLD');
    expect(result.status).toEqual({ metadata: {}, status: 'Success' });
  });

  it('tells the command when the client has gone', async () => {
    await startPod();
    const gone = new Promise<boolean>((resolve) => {
      node.process('c').execResult = (_argv, io) =>
        new Promise((_done, fail) =>
          io.signal!.addEventListener('abort', () => {
            resolve(true);
            fail(new Error('gone'));
          }),
        );
    });
    const running = exec(path, 'v4.channel.k8s.io', (socket) => socket.terminate());
    await expect(running).rejects.toThrow();
    expect(await gone).toBe(true);
  });

  it('reports a command that cannot be run', async () => {
    await startPod();
    node.process('c').execResult = () => Promise.reject(new Error('no shell here'));
    const { status } = await exec(path, 'v4.channel.k8s.io');
    expect(status).toMatchObject({ status: 'Failure', reason: 'InternalError', message: 'no shell here' });
  });

  it('carries a lot, in order, to a client that reads slowly', async () => {
    await startPod();
    const block = 'x'.repeat(64 * 1024);
    node.process('c').execResult = async (_argv, io) => {
      for (let i = 0; i < 40; i++) if (!io.stdout.write(block)) await once(io.stdout, 'drain');
      return 0;
    };
    expect((await exec(path, 'v5.channel.k8s.io')).stdout).toHaveLength(40 * block.length);
  });

  it('refuses other protocols and containers that do not run', async () => {
    await startPod({ restartPolicy: 'Never' });
    await expect(exec(path, 'v9.channel.k8s.io')).rejects.toThrow('Unexpected server response: 400');
    node.process('c').exit(0);
    await node.clock.advance(0);
    await expect(exec(path, 'v4.channel.k8s.io')).rejects.toThrow('Unexpected server response: 4');
  });

  it('attach shows what the container writes from now on', async () => {
    await startPod({ restartPolicy: 'Never' });
    const process = node.process('c');
    process.output.stdout('before');
    const attached = exec('/attach/shop/web/c?stdout=1&stderr=1', 'v4.channel.k8s.io', () => {
      setTimeout(() => {
        process.output.stdout('now');
        process.exit(0);
      }, 30);
    });
    expect((await attached).stdout).toBe('now\n');
  });

  it('attach gives a person at a terminal the command, whose end is the container’s', async () => {
    await startPod({
      restartPolicy: 'Never',
      containers: [{ name: 'c', image: 'busybox', stdin: true, stdinOnce: true, tty: true, args: ['sh'] }],
    });
    const process = node.process('c');
    expect(process.spec.command).toEqual(['sleep', 'infinity']);
    process.execResult = async (argv, io) => {
      io.stdout.write(`${argv} tty=${io.tty}`);
      return 4;
    };
    const result = await exec('/attach/shop/web/c?stdin=1&stdout=1&tty=1', 'v4.channel.k8s.io');
    expect(result.stdout).toBe('sh tty=true');
    await node.clock.advance(0);
    expect(node.status().containerStatuses![0]!.state!.terminated!.exitCode).toBe(4);
  });
});

describe('hostile bytes', () => {
  it('on exec channels are ignored', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(parseExecMessage(Buffer.from(bytes)).kind).toMatch(/^(stdin|stdin-end|resize|ignored)$/);
      }),
    );
    for (const text of ['{', 'null', '[]', '{"Width":-1,"Height":2}', '{"Width":1e9,"Height":2}', '7']) {
      expect(parseExecMessage(Buffer.from(`\x04${text}`)).kind).toBe('ignored');
    }
    expect(parseExecMessage(Buffer.from('\x04{"Width":80,"Height":24}'))).toEqual({
      kind: 'resize',
      columns: 80,
      rows: 24,
    });
  });

  it('on an open exec do not disturb it', async () => {
    await startPod();
    node.process('c').execResult = async (_argv, io) => {
      for await (const chunk of io.stdin!) io.stdout.write(chunk);
      return 0;
    };
    const result = await exec(
      '/exec/shop/web/c?command=cat&stdin=1&stdout=1',
      'v5.channel.k8s.io',
      (socket) => {
        for (const bytes of ['', '\x09', '\x01x', '\x04{', '\x03y'])
          socket.send(Buffer.from(bytes, 'latin1'));
        socket.send('text is not binary');
        socket.send(Buffer.from([255]));
        socket.send(Buffer.from([255, 1]));
        socket.send(Buffer.from('\x00ok'));
        socket.send(Buffer.from([255, 0]));
      },
    );
    expect(result).toMatchObject({ code: 1000, stdout: 'ok', status: { status: 'Success' } });
  });

  it('in paths match nothing and never throw', () => {
    const routes = kubeletRoutes(pods, node.clock.nowMs);
    expect(matchRoute(routes, 'GET', '/exec/%E0%A4%A/b/c')).toBeUndefined();
    expect(matchRoute(routes, 'GET', '/exec//b/c')).toBeUndefined();
    expect(matchRoute(routes, 'GET', '/exec/a%2Fb/b/c')?.match.parts.namespace).toBe('a/b');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        matchRoute(routes, 'GET', `/exec/${Buffer.from(bytes).toString('latin1')}`);
      }),
    );
  });

  it('instead of HTTP end the connection', async () => {
    const socket = tlsConnect({ host: ADDRESS, port: PORT, ca: LOOPBACK_CERTIFICATE });
    await once(socket, 'secureConnect');
    socket.on('error', () => {});
    socket.write(Buffer.from('00ff17'.repeat(100), 'hex'));
    socket.resume();
    await once(socket, 'close');
    expect((await call('/healthz')).text).toBe('ok');
  });

  it('in bodies are named', async () => {
    const post = (path: string, body: unknown) => call(path, { method: 'POST', body });
    expect(await post('/podwire/trace/arm', '{')).toEqual({ status: 400, text: 'The body is not JSON\n' });
    expect((await post('/podwire/trace/arm', 'x'.repeat(70_000))).status).toBe(413);
    const arm = { id: 'a', windowMs: 1, maxPackets: 1 };
    for (const bad of [
      { id: '../x' },
      { id: 7 },
      { windowMs: -1 },
      { windowMs: 1e12 },
      { maxPackets: 0.5 },
    ]) {
      expect((await post('/podwire/trace/arm', { ...arm, ...bad })).status).toBe(400);
    }
    expect((await post('/podwire/probe', null)).status).toBe(400);
    for (const body of [
      1,
      [],
      'x',
      { host: 'a' },
      { host: true },
      { host: 'a', namespace: 'n', pod: 'p', port: 0 },
    ]) {
      expect(typeof parseProbeRequest(body)).toBe('string');
    }
  });
});

describe('the agent’s own endpoints', () => {
  it('refuse to dump what nobody knows, and what another mode keeps', async () => {
    const unknown = await call('/podwire/dump?as=tc');
    expect(unknown).toMatchObject({
      status: 400,
      text: expect.stringContaining('the formats are iptables-save, '),
    });
    const elsewhere = await call('/podwire/dump?as=ipvsadm');
    expect(elsewhere.status).toBe(409);
    expect(elsewhere.text).toContain(
      'as ipvsadm: it runs in mode iptables, and only ipvs keeps such a table',
    );
  });

  it('arm, read and end a trace', async () => {
    const body = { id: 't-1', windowMs: 60_000, maxPackets: 10 };
    expect((await call('/podwire/trace/arm', { method: 'POST', body })).status).toBe(200);
    cluster.node(1).datapath.fromUnderlay(new Uint8Array(9), '192.0.2.1');
    const { observations } = JSON.parse((await call('/podwire/trace/t-1')).text);
    expect(observations).toMatchObject([{ hook: 'from-underlay', verdict: 'drop' }]);
    expect((await call('/podwire/trace/t-1', { method: 'DELETE' })).status).toBe(200);
    expect((await call('/podwire/trace/t-1')).status).toBe(404);
  });

  it('show the tables', async () => {
    expect(await call('/podwire/dump?as=conntrack')).toEqual({ status: 200, text: 'a flow\n' });
    const tables = JSON.parse((await call('/podwire/tables')).text);
    expect(tables).toMatchObject({ mode: 'iptables', node: { name: 'node-1', addresses: ['127.0.9.31'] } });
  });

  it('open real connections', async () => {
    const pod = cluster.node(1).addPod('b');
    pod.stack.listenTcp({ port: 80 }, (socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\nhi'));
    });
    const probe = async (more: object) =>
      JSON.parse(
        (await call('/podwire/probe', { method: 'POST', body: { host: true, timeoutMs: 500, ...more } }))
          .text,
      );
    const target = pod.addresses[0];
    expect(await probe({ target, port: 80, protocol: 'http' })).toMatchObject({
      ok: true,
      localAddress: '10.244.1.1',
      remoteAddress: target,
      remotePort: 80,
      status: 202,
      body: 'hi',
    });
    expect(await probe({ target, port: 80, protocol: 'tcp', localPort: 40_000 })).toMatchObject({
      ok: true,
      localPort: 40_000,
    });
    expect(await probe({ target, port: 81, protocol: 'tcp' })).toMatchObject({
      ok: false,
      error: 'ECONNREFUSED',
    });
    expect(await probe({ target, protocol: 'icmp' })).toMatchObject({ ok: true });
    expect(await probe({ target, port: 9, protocol: 'udp' })).toMatchObject({
      ok: false,
      error: 'ECONNREFUSED',
    });
  });

  it('name a pod that is not here', async () => {
    const body = { namespace: 'shop', pod: 'none', host: '10.0.0.1', port: 80 };
    expect(await call('/podwire/probe', { method: 'POST', body })).toEqual({
      status: 404,
      text: 'Cannot probe from pod shop/none: it is not on this node\n',
    });
  });
});
