import { request } from 'node:http';
import { connect } from 'node:http2';
import type { NetStack } from '@podwire/netstack/stack';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Report } from '../src/stand-in/calls.ts';
import { inFakeTime, loadEverything, PodNetwork, useFakeTime } from './pod-network.ts';

beforeAll(loadEverything);
beforeEach(() => useFakeTime());
afterEach(() => void vi.useRealTimers());

interface HttpAnswer {
  status: number;
  body: string;
  headers: Record<string, unknown>;
}

function get(
  stack: NetStack,
  host: string,
  port: number,
  path = '/',
  headers: Record<string, string> = {},
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      path,
      headers: { host, connection: 'close', ...headers },
      createConnection: () => stack.connectTcp({ host, port }),
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode!, body, headers: response.headers }));
    });
    outgoing.end();
  });
}

/** What a raw client gets before the server or `until` ends it. */
function exchange(
  stack: NetStack,
  host: string,
  port: number,
  parts: string[],
  until: RegExp,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = stack.connectTcp({ host, port });
    let seen = '';
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
      if (until.test(seen)) {
        socket.end();
        resolve(seen);
      }
    });
    socket.on('end', () => resolve(seen));
    void (async () => {
      for (const part of parts) {
        socket.write(part);
        await new Promise((next) => setImmediate(next));
      }
    })();
  });
}

const port = (containerPort: number, protocol = 'TCP') => ({ containerPort, protocol });

describe('a stand-in', () => {
  test('answers HTTP with who it is and who asked', async () => {
    const net = new PodNetwork();
    const client = net.pod('client');
    const { pod, lines } = await net.start('orders-1', { ports: [port(8080)] });
    const answer = await inFakeTime(get(client.stack, pod.sandbox.podIPs[0]!, 8080));
    expect(answer.status).toBe(200);
    expect(answer.headers['x-podwire-pod']).toBe('orders-1');
    expect(answer.body).toContain('orders-1');
    expect(lines[0]).toBe('stand-in: listening on 8080/tcp; 0 upstreams');
    expect(lines[1]).toMatch(/^GET \/ from 10\.244\.1\.1:\d+ -> 200$/);
    const json = await inFakeTime(
      get(client.stack, pod.sandbox.podIPs[0]!, 8080, '/x', { accept: 'application/json' }),
    );
    expect(JSON.parse(json.body)).toMatchObject({ pod: 'orders-1', node: 'node-1', calls: [] });
  });

  test('keeps a connection for several requests', async () => {
    const net = new PodNetwork();
    const client = net.pod('client');
    await net.start('a', { ports: [port(80)] });
    const request1 = 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n';
    const text = await inFakeTime(
      exchange(
        client.stack,
        '10.244.1.2',
        80,
        ['GE', 'T /', 'healthz HTTP/1.1\r\nhost: a\r\n\r\n', request1],
        /ok\n[\s\S]*ok\n/,
      ),
    );
    expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
  });

  test('calls the upstreams its environment names, to any depth', async () => {
    const net = new PodNetwork();
    net.names.set('orders.default.svc.cluster.local', ['A 10.244.1.2']);
    net.names.set('db-0.db.default.svc.cluster.local', ['A 10.244.1.3']);
    const client = net.pod('client');
    await net.start('orders-1', { ports: [port(80)], env: { DB_HOST: 'db-0.db', DB_PORT: '5432' } });
    await net.start('db-0', { ports: [port(5432)] });
    await net.start('frontend', {
      ports: [port(8080)],
      env: { ORDERS_ADDR: 'orders:80', MISSING: 'nobody:1', KUBERNETES_SERVICE_HOST: '10.96.0.1' },
    });
    const answer = await inFakeTime(
      get(client.stack, '10.244.1.4', 8080, '/', { accept: 'application/json' }),
    );
    const report = JSON.parse(answer.body) as Report;
    expect(report.calls.map(({ to, status, error }) => ({ to, status, error }))).toEqual([
      { to: 'orders:80', status: 200, error: undefined },
      { to: 'nobody:1', status: undefined, error: 'ENOTFOUND' },
    ]);
    expect(report.calls[0]!.answer).toMatchObject({
      pod: 'orders-1',
      calls: [{ to: 'db-0.db:5432', status: 200, answer: { pod: 'db-0', calls: [] } }],
    });
  });

  test('ends a circle of upstreams', async () => {
    const net = new PodNetwork();
    net.names.set('a.default.svc.cluster.local', ['A 10.244.1.2']);
    const client = net.pod('client');
    await net.start('a', { ports: [port(80)], env: { SELF: 'a:80' } });
    const answer = await inFakeTime(get(client.stack, '10.244.1.2', 80));
    expect(answer.body.match(/SELF a:80 -> 200/g)).toHaveLength(8);
  });

  test('is SERVING to gRPC health checks over cleartext HTTP/2', async () => {
    const net = new PodNetwork();
    const client = net.pod('client');
    await net.start('grpc', { ports: [port(50051)] });
    const result = await inFakeTime(
      new Promise<{ body: Buffer; trailers: unknown; headers: Record<string, unknown> }>(
        (resolve, reject) => {
          const session = connect('http://grpc:50051', {
            createConnection: () => client.stack.connectTcp({ host: '10.244.1.2', port: 50051 }),
          });
          session.on('error', reject);
          const stream = session.request({
            ':method': 'POST',
            ':path': '/grpc.health.v1.Health/Check',
            'content-type': 'application/grpc',
            te: 'trailers',
          });
          const chunks: Buffer[] = [];
          let trailers: unknown;
          let headers: Record<string, unknown> = {};
          stream.on('response', (h) => (headers = h));
          stream.on('trailers', (t) => (trailers = t));
          stream.on('data', (chunk: Buffer) => chunks.push(chunk));
          stream.on('error', reject);
          stream.on('end', () => {
            session.close();
            resolve({ body: Buffer.concat(chunks), trailers, headers });
          });
          stream.end(Buffer.from([0, 0, 0, 0, 0]));
        },
      ),
    );
    expect(result.headers[':status']).toBe(200);
    expect(result.body).toEqual(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
    expect(result.trailers).toMatchObject({ 'grpc-status': '0' });
  });

  test('answers plain lines and Redis', async () => {
    const net = new PodNetwork();
    const client = net.pod('client');
    await net.start('cache', { ports: [port(6379)] });
    expect(await inFakeTime(exchange(client.stack, '10.244.1.2', 6379, ['hello\n'], /\n/))).toBe(
      'cache: hello\n',
    );
    expect(await inFakeTime(exchange(client.stack, '10.244.1.2', 6379, ['*1\r\n$4\r\nPING\r\n'], /\n/))).toBe(
      '+PONG\r\n',
    );
    expect(await inFakeTime(exchange(client.stack, '10.244.1.2', 6379, ['PING\r\n'], /\n/))).toBe(
      '+PONG\r\n',
    );
  });

  test('echoes datagrams with its name', async () => {
    const net = new PodNetwork();
    const client = net.pod('client');
    await net.start('u', { ports: [port(53, 'UDP')] });
    const socket = client.stack.bindUdp();
    const answered = new Promise<string>((resolve) => {
      socket.on('message', (data, peer) => resolve(`${data.toString()} from ${peer.address}:${peer.port}`));
    });
    socket.send('hi', 53, '10.244.1.2');
    expect(await inFakeTime(answered)).toBe('u: hi from 10.244.1.2:53');
  });

  test('stops on SIGTERM once the request under way is answered', async () => {
    const net = new PodNetwork();
    const client = net.pod('client');
    net.names.set('slow.default.svc.cluster.local', ['A 10.244.9.9']);
    const { container } = await net.start('a', { ports: [port(80)], env: { UP: 'slow:80' } });
    const idle = client.stack.connectTcp({ host: '10.244.1.2', port: 80 });
    idle.on('error', () => {});
    let closed = false;
    idle.on('close', () => (closed = true));
    idle.on('end', () => idle.end());
    idle.resume();
    const answer = get(client.stack, '10.244.1.2', 80);
    answer.catch(() => {});
    for (let i = 0; i < 20; i++) await new Promise((next) => setImmediate(next));
    const stopped = container.stop(30_000);
    await expect(inFakeTime(get(client.stack, '10.244.1.2', 80))).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    expect((await inFakeTime(answer)).status).toBe(200);
    await inFakeTime(stopped);
    expect(await container.exited).toEqual({ exitCode: 0 });
    for (let i = 0; i < 20; i++) await new Promise((next) => setImmediate(next));
    expect(closed).toBe(true);
  });

  test('stops at once when its connections are idle', async () => {
    const net = new PodNetwork();
    const client = net.pod('client');
    const { container } = await net.start('a', { ports: [port(80)] });
    const request1 = 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n';
    const socket = client.stack.connectTcp({ host: '10.244.1.2', port: 80 });
    let ended = false;
    const answered = new Promise<void>((resolve) => socket.on('data', () => resolve()));
    socket.on('end', () => {
      ended = true;
      socket.end();
    });
    socket.write(request1);
    await inFakeTime(answered);
    const began = Date.now();
    await inFakeTime(container.stop(30_000));
    expect(Date.now() - began).toBeLessThan(500);
    expect(ended).toBe(true);
  });

  test('dies at once when killed', async () => {
    const net = new PodNetwork();
    const { container } = await net.start('a', { ports: [port(80)] });
    container.kill();
    expect(await inFakeTime(container.exited)).toEqual({ exitCode: 137 });
    expect(
      net.pods
        .get('a')!
        .stack.sockets()
        .filter((s) => s.state === 'LISTEN'),
    ).toEqual([]);
  });
});
