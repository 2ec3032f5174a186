import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { TestServer, testPki } from './rest-harness.ts';

/** Stands in for a node's agent: answers what it was asked, and echoes upgraded streams. */
class FakeAgent {
  readonly requests: {
    method: string;
    url: string;
    organization: unknown;
    authorization: string | undefined;
  }[] = [];
  readonly #server: Server;
  readonly #forwards = new WebSocketServer({ noServer: true, handleProtocols: () => 'v4.channel.k8s.io' });
  port = 0;

  constructor() {
    const { caPem, server } = testPki();
    this.#server = createServer({ ca: caPem, cert: server.certPem, key: server.keyPem, requestCert: true });
    this.#server.on('request', (request, response) => this.#serve(request, response));
    this.#server.on('upgrade', (request, socket: TLSSocket, head: Buffer) => {
      this.#note(request);
      if (request.url!.startsWith('/portForward/') && request.headers.upgrade === 'websocket') {
        this.#forwards.handleUpgrade(request, socket, head, (client) => forwardToPod(client));
        return;
      }
      if (request.url!.includes('refuse')) {
        socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot here\n');
        return;
      }
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\nX-Agent: yes\r\n\r\nhello `,
      );
      socket.pipe(socket);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.port = (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #note(request: IncomingMessage): void {
    const { subject } = (request.socket as TLSSocket).getPeerCertificate();
    const { authorization } = request.headers;
    this.requests.push({
      method: request.method!,
      url: request.url!,
      organization: subject?.O,
      authorization,
    });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.#note(request);
    if (request.url!.includes('/waiting'))
      response.writeHead(400).end('container "waiting" is waiting to start\n');
    else if (request.url!.startsWith('/redirect')) response.writeHead(302, { location: '/metrics' }).end();
    else if (request.url!.startsWith('/containerLogs')) response.end('line 1\nline 2\n');
    else {
      response.writeHead(418, { 'x-path': request.url!, 'content-type': 'text/plain' });
      request.pipe(response);
    }
  }
}

/** A pod that answers one HTTP request, behind the kubelet's WebSocket port forwarding. */
function forwardToPod(client: WebSocket): void {
  for (const channel of [0, 1]) client.send(Buffer.from([channel, 80, 0]));
  client.once('message', (message: Buffer) => {
    const [line] = message.subarray(1).toString().split('\r\n');
    const body = `pod saw ${line}`;
    client.send(
      Buffer.concat([
        Buffer.of(0),
        Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
      ]),
    );
  });
}

let server: TestServer;
const agent = new FakeAgent();
const PODS = '/api/v1/namespaces/default/pods';

beforeAll(async () => {
  server = await TestServer.start();
  await agent.start();
  await server.post('/api/v1/nodes', {
    metadata: { name: 'node-1' },
    status: {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: agent.port } },
    },
  });
  const containers = (...names: string[]) => names.map((name) => ({ name, image: 'i' }));
  const pods = {
    one: { containers: containers('main'), nodeName: 'node-1' },
    two: {
      containers: containers('main', 'waiting'),
      initContainers: containers('init'),
      nodeName: 'node-1',
    },
    homeless: { containers: containers('main') },
    refuse: { containers: containers('main'), nodeName: 'node-1' },
  };
  for (const [name, spec] of Object.entries(pods)) await server.post(PODS, { metadata: { name }, spec });
});
afterAll(() => {
  expect(server.errors).toEqual([]);
  server.close();
  agent.close();
});

/** Opens a raw connection, sends a request and returns it with all it gets until `until` holds. */
async function raw(
  head: string,
  until: (text: string) => boolean,
): Promise<{ socket: TLSSocket; text: string }> {
  const socket = connect({ host: '127.0.0.1', port: server.port, ca: server.pki.caPem });
  socket.write(`${head}\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n`);
  let text = '';
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (until(text)) resolve();
    });
    socket.on('end', () => resolve());
    socket.on('error', reject);
  });
  return { socket, text };
}

test('logs come from the agent, as text, with the options passed on', async () => {
  const answer = await server.get(`${PODS}/one/log?tailLines=5&timestamps=true`);
  expect(answer).toMatchObject({ code: 200, text: 'line 1\nline 2\n' });
  expect(answer.headers['content-type']).toBe('text/plain');
  expect(agent.requests.at(-1)).toEqual({
    method: 'GET',
    url: '/containerLogs/default/one/main?tailLines=5&timestamps=true',
    organization: 'system:masters',
    authorization: undefined,
  });
});

test('browsers read logs over WebSocket', async () => {
  const open = (path: string) =>
    new WebSocket(`wss://127.0.0.1:${server.port}${path}`, ['base64.binary.k8s.io'], {
      ca: server.pki.caPem,
      headers: { authorization: 'Bearer secret' },
    });
  const socket = open(`${PODS}/one/log?follow=true`);
  let text = '';
  socket.on('message', (data: Buffer) => {
    text += Buffer.from(data.toString(), 'base64').toString();
  });
  await new Promise((resolve) => socket.once('close', resolve));
  expect(text).toBe('line 1\nline 2\n');
  const refused = open(`${PODS}/two/log?container=waiting`);
  const code = await new Promise((resolve) => {
    refused.on('unexpected-response', (_request, response) => resolve(response.statusCode));
    refused.on('error', () => {});
  });
  expect(code).toBe(400);
});

test('a container must be named where there are several', async () => {
  const which = await server.get(`${PODS}/two/log`);
  expect(which.json).toMatchObject({
    code: 400,
    reason: 'BadRequest',
    message:
      'a container name must be specified for pod two, choose one of: [main waiting] or one of the init containers: [init]',
  });
  expect((await server.get(`${PODS}/two/log?container=init`)).code).toBe(200);
  const wrong = await server.get(`${PODS}/two/log?container=other`);
  expect(wrong.json.message).toBe('container other is not valid for pod two');
  const waiting = await server.get(`${PODS}/two/log?container=waiting`);
  expect(waiting.json).toMatchObject({ code: 400, message: 'container "waiting" is waiting to start' });
});

test('pods without a node have no logs and no exec', async () => {
  expect(await server.get(`${PODS}/homeless/log`)).toMatchObject({ code: 200, text: '' });
  expect((await server.get(`${PODS}/nobody/log`)).json).toMatchObject({
    code: 404,
    message: 'pods "nobody" not found',
  });
  const { text } = await raw(
    `GET ${PODS}/homeless/exec?command=ls HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket`,
    () => false,
  );
  expect(text).toMatch(/^HTTP\/1.1 400 BadRequest\r\n/);
  expect(text).toContain('"message":"pod homeless does not have a host assigned"');
  const plain = await server.post(`${PODS}/one/exec?command=ls`, undefined);
  expect(plain.json).toMatchObject({ code: 400, message: 'Upgrade request required' });
});

test.each([
  ['exec', 'SPDY/3.1', 'POST', '/exec/default/one/main?command=ls&command=-l&stdout=true'],
  ['attach', 'websocket', 'GET', '/attach/default/one/main?command=ls&command=-l&stdout=true'],
  ['portforward', 'SPDY/3.1', 'POST', '/portForward/default/one?command=ls&command=-l&stdout=true'],
])('%s over %s is joined byte for byte', async (subresource, protocol, method, url) => {
  const head = `${method} ${PODS}/one/${subresource}?command=ls&command=-l&stdout=true HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: ${protocol}`;
  if (subresource === 'portforward') agent.requests.length = 0;
  const { socket, text } = await raw(head, (sofar) => sofar.endsWith('hello '));
  expect(text).toMatch(/^HTTP\/1.1 101 Switching Protocols\r\n/);
  expect(text.toLowerCase()).toContain('\r\nx-agent: yes\r\n');
  expect(agent.requests.at(-1)).toMatchObject({ method, url, authorization: undefined });
  const sent = Buffer.from([0, 255, 13, 10, 1, 2, 3]);
  const back = new Promise<Buffer>((resolve) => socket.once('data', resolve));
  socket.write(sent);
  expect(await back).toEqual(sent);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.end();
  await closed;
});

test('what an agent refuses to upgrade is passed on as it is', async () => {
  const { text } = await raw(
    `GET ${PODS}/refuse/exec?command=ls HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket`,
    () => false,
  );
  expect(text).toMatch(/^HTTP\/1.1 404 Not Found\r\n/);
  expect(text).toMatch(/\r\n\r\nnot here\n$/);
});

test('an upgrade needs credentials and a path that takes one', async () => {
  const upgrade = '\r\nConnection: Upgrade\r\nUpgrade: websocket';
  const elsewhere = await raw(`GET ${PODS}/one HTTP/1.1${upgrade}`, () => false);
  expect(elsewhere.text).toContain('"message":"this path takes no upgrade"');
  const socket = new WebSocket(`wss://127.0.0.1:${server.port}${PODS}/one/exec`, { ca: server.pki.caPem });
  const code = await new Promise((resolve) => {
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode));
    socket.on('error', () => {});
  });
  expect(code).toBe(401);
});

test('a node is proxied whole: method, path, query, body, code and headers', async () => {
  const answer = await server.post('/api/v1/nodes/node-1/proxy/podwire/probe%20x?a=b&c', 'ping');
  expect(answer).toMatchObject({ code: 418, text: 'ping' });
  expect(answer.headers['x-path']).toBe('/podwire/probe%20x?a=b&c');
  expect((await server.get(`/api/v1/nodes/node-1:${agent.port}/proxy/x`)).headers['x-path']).toBe('/x');
  const redirect = await server.get('/api/v1/nodes/node-1/proxy');
  expect(redirect).toMatchObject({ code: 301, headers: { location: '/api/v1/nodes/node-1/proxy/' } });
  const moved = await server.get('/api/v1/nodes/node-1/proxy/redirect');
  expect(moved).toMatchObject({ code: 302, headers: { location: '/api/v1/nodes/node-1/proxy/metrics' } });
  expect((await server.get('/api/v1/nodes/nobody/proxy/x')).json).toMatchObject({ code: 400 });
});

test('pods and services are proxied through the agent of the pod', async () => {
  const pod = await server.get(`${PODS}/one:8080/proxy/some/path?q=1`);
  expect(pod.text).toBe('pod saw GET /some/path?q=1 HTTP/1.1');
  expect(agent.requests.at(-1)!.url).toBe('/portForward/default/one?port=8080');
  await server.post('/api/v1/namespaces/default/services', {
    metadata: { name: 'svc' },
    spec: { clusterIP: 'None', selector: { a: 'b' }, ports: [{ name: 'http', port: 80, protocol: 'TCP' }] },
  });
  const path = '/api/v1/namespaces/default/services/svc:http/proxy/x';
  expect((await server.get(path)).json).toMatchObject({
    code: 503,
    reason: 'ServiceUnavailable',
    message: 'no endpoints available for service "svc"',
  });
  await server.post('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: 'svc-1', labels: { 'kubernetes.io/service-name': 'svc' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 9090, protocol: 'TCP' }],
    endpoints: [
      {
        addresses: ['10.0.0.1'],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', namespace: 'default', name: 'one' },
      },
      {
        addresses: ['10.0.0.2'],
        conditions: { ready: false },
        targetRef: { kind: 'Pod', namespace: 'default', name: 'two' },
      },
    ],
  });
  expect((await server.get(path)).text).toBe('pod saw GET /x HTTP/1.1');
  expect(agent.requests.at(-1)!.url).toBe('/portForward/default/one?port=9090');
});

test('an agent that is away is told of', async () => {
  await server.patch('/api/v1/nodes/node-1/status', {
    status: { daemonEndpoints: { kubeletEndpoint: { Port: 1 } } },
  });
  const log = await server.get(`${PODS}/one/log`);
  expect(log.json).toMatchObject({ code: 503, reason: 'ServiceUnavailable' });
  expect(log.json.message).toMatch(/^error trying to reach service: .*ECONNREFUSED/);
  const { text } = await raw(
    `GET ${PODS}/one/exec?command=ls HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket`,
    () => false,
  );
  expect(text).toContain('ECONNREFUSED');
});
