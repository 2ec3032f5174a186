import { request } from 'node:https';
import { connect } from 'node:tls';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestServer } from './rest-harness.ts';

let server: TestServer;
const waiting: string[] = [];
beforeAll(async () => {
  server = await TestServer.start({ rest: { notReady: () => waiting } });
});
afterAll(() => server.close());

const unauthorized = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: 'Unauthorized',
  reason: 'Unauthorized',
  code: 401,
};

test('health and version are open to everyone, the API is not', async () => {
  for (const path of ['/healthz', '/livez', '/readyz']) {
    expect(await server.get(path, { token: undefined })).toMatchObject({ code: 200, text: 'ok' });
  }
  expect((await server.get('/version', { token: undefined })).json).toMatchObject({
    major: '1',
    minor: '32',
  });
  for (const token of [undefined, 'wrong', 'secret2', 'a.b.c']) {
    const answer = await server.get('/api/v1/namespaces', { token });
    expect(answer.code).toBe(401);
    expect(answer.json).toEqual(unauthorized);
  }
});

test('readyz names what is still starting', async () => {
  waiting.push('scheduler');
  const answer = await server.get('/readyz', { token: undefined });
  waiting.pop();
  expect(answer).toMatchObject({ code: 500, text: '[-]scheduler not ready\nreadyz check failed\n' });
});

test('a client certificate says who one is', async () => {
  const { admin, caPem } = server.pki;
  const review = JSON.stringify({ kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1' });
  const answer = await new Promise<string>((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: server.port,
        method: 'POST',
        path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
        ca: caPem,
        cert: admin.certPem,
        key: admin.keyPem,
        agent: false,
        headers: { 'content-type': 'application/json' },
      },
      async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        resolve(text);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(review);
  });
  expect(JSON.parse(answer).status.userInfo.groups).toEqual(['system:masters', 'system:authenticated']);
});

test('a service account token is issued, let in and known by a TokenReview', async () => {
  await server.post('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'robot' } });
  const issued = await server.post('/api/v1/namespaces/default/serviceaccounts/robot/token', {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: 900 },
  });
  expect(issued.code).toBe(201);
  const { token } = issued.json.status;
  const self = await server.post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, { token });
  expect(self.json.status.userInfo.username).toBe('system:serviceaccount:default:robot');
  const review = (text: string) =>
    server.post('/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: text } });
  expect((await review(token)).json.status).toMatchObject({
    authenticated: true,
    user: { username: 'system:serviceaccount:default:robot' },
  });
  expect((await review(`${token.slice(0, -4)}AAAA`)).json.status.authenticated).toBe(false);
  expect((await server.post('/api/v1/namespaces/default/serviceaccounts/nobody/token', {})).code).toBe(404);
});

test('access reviews allow everything', async () => {
  const spec = { resourceAttributes: { verb: 'get', resource: 'pods' } };
  const answer = await server.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { spec });
  expect(answer).toMatchObject({
    code: 201,
    json: { kind: 'SelfSubjectAccessReview', spec, status: { allowed: true } },
  });
  const rules = await server.post('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {
    spec: { namespace: 'default' },
  });
  expect(rules.json.status.resourceRules).toEqual([{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }]);
});

const NOT_FOUND = 'the server could not find the requested resource';

test.each([
  '/nothing',
  '/api/v2/pods',
  '/api/v1/nothing',
  '/apis/apps/v2',
  '/apis/nothing.example.com',
  '/apis/apps/v1/pods',
  '/api/v1/namespaces/default/nodes',
  '/api/v1/pods/a',
  '/api/v1/namespaces/default/pods/a/nothing',
  '/api/v1/namespaces/default/pods/a/status/more',
  '/api/v1/namespaces//pods',
  '/api/v1/namespaces/default/pods/%zz',
])('GET %s is an unknown path', async (path) => {
  const answer = await server.get(path);
  expect(answer.json).toMatchObject({ kind: 'Status', reason: 'NotFound', message: NOT_FOUND, code: 404 });
});

test.each([
  ['PUT', '/api/v1/namespaces'],
  ['POST', '/api/v1/namespaces/default/pods/a'],
  ['DELETE', '/api/v1/namespaces'],
  ['GET', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'],
  ['DELETE', '/api/v1/namespaces/default/pods/a/status'],
  ['GET', '/api/v1/namespaces/default/pods/a/eviction'],
])('%s %s is not allowed', async (method, path) => {
  const answer = await server.request(method, path);
  expect(answer.json).toMatchObject({
    reason: 'MethodNotAllowed',
    message: 'the server does not allow this method on the requested resource',
    code: 405,
  });
});

test('only JSON and YAML are given', async () => {
  const path = '/api/v1/namespaces/default';
  const refused = await server.get(path, { accept: 'application/vnd.kubernetes.protobuf' });
  expect(refused.json).toMatchObject({ code: 406, reason: 'NotAcceptable' });
  const chosen = await server.get(path, { accept: 'application/vnd.kubernetes.protobuf, */*' });
  expect(chosen.headers['content-type']).toBe('application/json');
  const yaml = await server.get(path, { accept: 'application/yaml' });
  expect(yaml.headers['content-type']).toBe('application/yaml');
  expect(yaml.text).toContain('\nkind: Namespace\n');
});

test('bodies are taken as JSON or YAML, up to a size', async () => {
  const path = '/api/v1/namespaces/default/configmaps';
  const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-yaml}\ndata: {a: "1"}\n';
  expect((await server.post(path, yaml, { type: 'application/yaml' })).json.data).toEqual({ a: '1' });
  const unknown = await server.post(path, '<a/>', { type: 'application/xml' });
  expect(unknown.json).toMatchObject({ code: 415, reason: 'UnsupportedMediaType' });
  const broken = await server.post(path, '{"kind":');
  expect(broken.json).toMatchObject({ code: 400, reason: 'BadRequest' });
  expect(broken.json.message).toContain('the object provided is unrecognized (must be of type ConfigMap)');
  const big = JSON.stringify({ metadata: { name: 'big' }, data: { a: 'x'.repeat(3 * 1024 * 1024) } });
  const tooBig = await server.post(path, big);
  expect(tooBig.json).toMatchObject({ code: 413, reason: 'RequestEntityTooLarge' });
  expect((await server.get('/healthz')).code).toBe(200);
});

test('large answers are compressed for those who can read them', async () => {
  const path = '/api/v1/namespaces/default/configmaps';
  await server.post(path, { metadata: { name: 'large' }, data: { a: 'x'.repeat(200_000) } });
  const packed = await server.get(`${path}/large`, { headers: { 'accept-encoding': 'gzip' } });
  expect(packed.headers['content-encoding']).toBe('gzip');
  expect(Number(packed.headers['content-length'])).toBeLessThan(10_000);
  const plain = await server.get(`${path}/large`);
  expect(plain.headers['content-encoding']).toBeUndefined();
  expect(plain.json.data.a).toHaveLength(200_000);
});

test('random bytes on the wire never take the server down', async () => {
  const random = seededRandom32(12345);
  for (let round = 0; round < 20; round++) {
    await new Promise<void>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: server.port, ca: server.pki.caPem }, () => {
        const start = round % 2 === 0 ? 'GET /api/v1/' : '';
        socket.end(
          Buffer.concat([Buffer.from(start), Buffer.from(Array.from({ length: 200 }, () => random() & 255))]),
        );
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve());
      socket.resume();
    });
  }
  expect((await server.get('/healthz')).text).toBe('ok');
  expect(server.errors).toEqual([]);
});
