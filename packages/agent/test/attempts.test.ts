import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Container, Probe } from 'kubernetes-types/core/v1.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { attemptProbe, resolvePort, TIMED_OUT } from '../src/probes/attempts.ts';
import { healthRequest, healthStatus } from '../src/probes/grpc-health.ts';
import { EmulatedCluster, type EmulatedPod } from './emulated-cluster.ts';

let cluster: EmulatedCluster;
let pod: EmulatedPod;
let execResult: { exitCode: number; output: string };
beforeEach(() => {
  cluster = new EmulatedCluster({ nodes: ['127.0.9.41'] });
  pod = cluster.node(1).addPod('p');
  execResult = { exitCode: 0, output: '' };
});
afterEach(() => cluster.close());

const container = { name: 'c', ports: [{ name: 'web', containerPort: 8080 }] } as Container;

function attempt(probe: Probe, timeoutMs = 2000) {
  return attemptProbe(
    probe,
    {
      dialer: cluster.node(1).host,
      container,
      podIP: pod.addresses[0]!,
      exec: async () => execResult,
    },
    timeoutMs,
  );
}

/** A server of Node on the pod's own stack. */
function serveOn(port: number, server: Server | ReturnType<typeof createHttp2Server>): void {
  pod.stack.listenTcp({ port }, (socket) => {
    socket.on('error', () => {});
    server.emit('connection', socket as unknown as Socket);
  });
}

const OK = { ok: true, message: '' };
const failed = (message: string) => ({ ok: false, message });

describe('an HTTP probe', () => {
  it('takes 2xx and 3xx, and names what else it got', async () => {
    const seen: string[] = [];
    serveOn(
      8080,
      createServer((request, response) => {
        seen.push(
          `${request.method} ${request.url} ${request.headers['user-agent']} ${request.headers['x-a']}`,
        );
        response.statusCode = Number(request.url!.slice(1)) || 200;
        if (request.url === '/307') response.setHeader('Location', 'http://elsewhere.example/');
        response.end();
      }),
    );
    const get = (path: string) =>
      attempt({ httpGet: { path, port: 'web', httpHeaders: [{ name: 'X-A', value: '1' }] } });
    expect(await get('/204')).toEqual(OK);
    expect(await get('/307')).toEqual(OK);
    expect(await get('/404')).toEqual(failed('HTTP probe failed with statuscode: 404'));
    expect(await get('/500')).toEqual(failed('HTTP probe failed with statuscode: 500'));
    expect(seen[0]).toBe('GET /204 kube-probe/1.32 1');
  });

  it('follows redirects of the same host', async () => {
    serveOn(
      8080,
      createServer((request, response) => {
        if (request.url === '/loop') response.writeHead(302, { Location: '/loop' });
        else if (request.url === '/') response.writeHead(302, { Location: '/teapot' });
        else response.writeHead(418);
        response.end();
      }),
    );
    expect(await attempt({ httpGet: { port: 8080 } })).toEqual(
      failed('HTTP probe failed with statuscode: 418'),
    );
    const { message } = await attempt({ httpGet: { path: '/loop', port: 8080 } });
    expect(message).toMatch(/stopped after 10 redirects$/);
  });

  it('says why there was no answer', async () => {
    const url = `http://${pod.addresses[0]}:8080/`;
    expect(await attempt({ httpGet: { port: 8080 } })).toEqual(
      failed(`Get "${url}": dial tcp ${pod.addresses[0]}:8080: connect: connection refused`),
    );
    pod.stack.listenTcp({ port: 8080 }, (socket) => socket.resume());
    expect(await attempt({ httpGet: { port: 8080 } }, 60)).toEqual(
      failed(`Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`),
    );
    pod.stack.listenTcp({ port: 8081 }, (socket) => socket.end());
    expect(await attempt({ httpGet: { port: 8081 } })).toEqual(
      failed(`Get "http://${pod.addresses[0]}:8081/": EOF`),
    );
  });
});

describe('a TCP probe', () => {
  it('only connects', async () => {
    expect(await attempt({ tcpSocket: { port: 9000 } })).toEqual(
      failed(`dial tcp ${pod.addresses[0]}:9000: connect: connection refused`),
    );
    pod.stack.listenTcp({ port: 9000 }, (socket) => socket.on('error', () => {}));
    expect(await attempt({ tcpSocket: { port: 9000 } })).toEqual(OK);
    expect(await attempt({ tcpSocket: { host: '10.244.1.99', port: 9000 } })).toEqual(
      failed('dial tcp 10.244.1.99:9000: connect: no route to host'),
    );
  });
});

describe('a gRPC probe', () => {
  it('asks the health service', async () => {
    const asked: string[] = [];
    const server = createHttp2Server();
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const service = Buffer.concat(chunks).subarray(7).toString();
        asked.push(`${headers[':path']} ${service}`);
        if (service === 'none') {
          stream.respond(
            { ':status': 200, 'grpc-status': '12', 'grpc-message': 'unknown method' },
            { endStream: true },
          );
          return;
        }
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, service === 'sick' ? 2 : 1]));
      });
    });
    serveOn(50_051, server);
    const probe = (service?: string) => attempt({ grpc: { port: 50_051, ...(service && { service }) } });
    expect(await probe()).toEqual(OK);
    expect(await probe('sick')).toEqual(failed('service unhealthy (responded with "NOT_SERVING")'));
    expect(await probe('none')).toEqual(
      failed(
        'error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown method',
      ),
    );
    expect(asked).toEqual(['', 'sick', 'none'].map((name) => `/grpc.health.v1.Health/Check ${name}`));
  });

  it('gives up in time', async () => {
    pod.stack.listenTcp({ port: 50_051 }, (socket) => socket.resume());
    expect((await attempt({ grpc: { port: 50_051 } }, 60)).message).toBe(
      'timeout: health rpc did not complete within 0.06s: context deadline exceeded',
    );
    expect((await attempt({ grpc: { port: 50_052 } })).message).toBe(
      `error: dial tcp ${pod.addresses[0]}:50052: connect: connection refused`,
    );
  });

  it('writes and reads the two messages', () => {
    expect(healthRequest('').toString('hex')).toBe('0000000000');
    expect(healthRequest('ab').toString('hex')).toBe('00000000040a026162');
    expect(healthRequest('x'.repeat(200)).subarray(5, 8).toString('hex')).toBe('0ac801');
    expect(healthStatus(Buffer.from('00000000020801', 'hex'))).toBe(1);
    expect(healthStatus(Buffer.alloc(0))).toBe(0);
  });
});

describe('an exec probe', () => {
  it('fails with the words of the command, or with its time', async () => {
    const probe: Probe = { exec: { command: ['check', 'it'] } };
    expect(await attempt(probe)).toEqual(OK);
    execResult = { exitCode: 1, output: 'not yet\n' };
    expect(await attempt(probe)).toEqual(failed('not yet\n'));
    execResult = { exitCode: TIMED_OUT, output: '' };
    expect(await attempt(probe)).toEqual(failed('command timed out: "check it" timed out after 2s'));
  });
});

it('ports are numbers or names', () => {
  expect([resolvePort(container, 80), resolvePort(container, 'web'), resolvePort(container, '81')]).toEqual([
    80, 8080, 81,
  ]);
  expect(resolvePort(container, 'none')).toBe(0);
});
