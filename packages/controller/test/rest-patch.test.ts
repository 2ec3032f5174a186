import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestServer } from './rest-harness.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => {
  expect(server.errors).toEqual([]);
  server.close();
});

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';
const JSON_PATCH = 'application/json-patch+json';
const STRATEGIC = 'application/strategic-merge-patch+json';
const APPLY = 'application/apply-patch+yaml';

function deployment(name: string, spec: object = {}) {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, labels: { app: name } },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [
            { name: 'a', image: 'one' },
            { name: 'b', image: 'two' },
          ],
        },
      },
      ...spec,
    },
  };
}

test('a merge patch replaces lists, a strategic one merges them by name', async () => {
  await server.post(DEPLOYMENTS, deployment('m'));
  const patch = { spec: { template: { spec: { containers: [{ name: 'b', image: 'new' }] } } } };
  const strategic = await server.patch(`${DEPLOYMENTS}/m`, patch, STRATEGIC);
  expect(strategic.json.spec.template.spec.containers.map((c: { image: string }) => c.image)).toEqual([
    'one',
    'new',
  ]);
  const merged = await server.patch(`${DEPLOYMENTS}/m`, patch);
  expect(merged.json.spec.template.spec.containers.map((c: { image: string }) => c.image)).toEqual(['new']);
});

test('a JSON patch applies whole or not at all', async () => {
  await server.post(CONFIG_MAPS, { metadata: { name: 'j' }, data: { a: '1' } });
  const path = `${CONFIG_MAPS}/j`;
  const replaced = await server.patch(path, [{ op: 'replace', path: '/data/a', value: '2' }], JSON_PATCH);
  expect(replaced.json.data).toEqual({ a: '2' });
  const failed = await server.patch(
    path,
    [
      { op: 'add', path: '/data/b', value: '3' },
      { op: 'test', path: '/data/a', value: '9' },
    ],
    JSON_PATCH,
  );
  expect(failed.json).toMatchObject({
    code: 422,
    reason: 'Invalid',
    message: 'the server rejected our request due to an error in our request',
  });
  expect((await server.get(path)).json.data).toEqual({ a: '2' });
  expect((await server.patch(path, { op: 'add' }, JSON_PATCH)).json.code).toBe(400);
});

test('what is no patch is refused', async () => {
  await server.post(CONFIG_MAPS, { metadata: { name: 'p' } });
  const path = `${CONFIG_MAPS}/p`;
  const type = await server.patch(path, {}, 'application/json');
  expect(type.json).toMatchObject({ code: 415, reason: 'UnsupportedMediaType' });
  expect(type.json.message).toContain('application/strategic-merge-patch+json, application/apply-patch+yaml');
  expect((await server.patch(path, '{')).json.message).toMatch(/^error decoding patch: /);
  expect((await server.patch(path, '[]')).json.code).toBe(400);
  expect((await server.patch(`${CONFIG_MAPS}/absent`, {})).json.code).toBe(404);
  const renamed = await server.patch(path, { metadata: { name: 'q' } });
  expect(renamed.json.message).toContain('metadata.name: Invalid value: "q": field is immutable');
  const stale = await server.patch(path, { metadata: { resourceVersion: '1' } });
  expect(stale.json).toMatchObject({ code: 409, reason: 'Conflict' });
  const mistyped = await server.patch(path, { data: [] });
  expect(mistyped.json).toMatchObject({ code: 422, reason: 'Invalid' });
  expect(mistyped.json.message).toContain('patch: Invalid value: ');
});

test('patches of one turn do not lose each other', async () => {
  await server.post(CONFIG_MAPS, { metadata: { name: 'race' } });
  await Promise.all(
    Array.from({ length: 20 }, (_, i) => server.patch(`${CONFIG_MAPS}/race`, { data: { [`k${i}`]: 'v' } })),
  );
  expect(Object.keys((await server.get(`${CONFIG_MAPS}/race`)).json.data)).toHaveLength(20);
});

test('unknown and repeated fields are refused, told of or passed over', async () => {
  const body = JSON.stringify(deployment('fv')).replace('"replicas":2', '"replicas":1,"replicas":2,"foo":1');
  const strict = await server.post(`${DEPLOYMENTS}?fieldValidation=Strict`, body);
  expect(strict.json).toMatchObject({ code: 400, reason: 'BadRequest' });
  expect(strict.json.message).toBe(
    'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: duplicate field "spec.replicas", unknown field "spec.foo"',
  );
  const warned = await server.post(`${DEPLOYMENTS}?dryRun=All`, body);
  expect(warned.code).toBe(201);
  expect(warned.headers.warning).toContain('299 - "duplicate field \\"spec.replicas\\""');
  expect(warned.headers.warning).toContain('299 - "unknown field \\"spec.foo\\""');
  const ignored = await server.post(`${DEPLOYMENTS}?fieldValidation=Ignore`, body);
  expect(ignored.headers.warning).toBeUndefined();
  expect(ignored.json.spec).toMatchObject({ replicas: 2 });
  expect(ignored.json.spec.foo).toBeUndefined();
  const patched = await server.patch(
    `${DEPLOYMENTS}/fv?fieldValidation=Strict`,
    { spec: { bar: 1 } },
    STRATEGIC,
  );
  expect(patched.json).toMatchObject({ code: 422, reason: 'Invalid' });
  expect(patched.json.message).toContain('strict decoding error: unknown field "spec.bar"');
  const odd = await server.post(`${DEPLOYMENTS}?fieldValidation=Sure`, body);
  expect(odd.json.message).toContain('fieldValidation: Unsupported value: "Sure"');
});

test('server-side apply creates, owns, conflicts, forces and prunes', async () => {
  const path = `${CONFIG_MAPS}/ssa`;
  const apply = (manager: string, data: object, query = '') =>
    server.patch(
      `${path}?fieldManager=${manager}${query}`,
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ssa' }, data },
      APPLY,
    );
  const created = await apply('one', { a: '1', b: '1' });
  expect(created.code).toBe(201);
  expect(created.json.metadata.managedFields).toMatchObject([
    { manager: 'one', operation: 'Apply', fieldsV1: { 'f:data': { 'f:a': {}, 'f:b': {} } } },
  ]);
  const again = await apply('one', { a: '1', b: '1' });
  expect(again.code).toBe(200);
  expect(again.json.metadata.resourceVersion).toBe(created.json.metadata.resourceVersion);
  const conflict = await apply('two', { a: '2' });
  expect(conflict.json).toMatchObject({
    code: 409,
    reason: 'Conflict',
    message: 'Apply failed with 1 conflict: conflict with "one": .data.a',
    details: {
      causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.data.a' }],
    },
  });
  expect((await apply('two', { a: '2' }, '&force=true')).json.data).toEqual({ a: '2', b: '1' });
  // `b` belongs to nobody else, `a` to another manager: leaving both out removes only one.
  expect((await apply('one', { c: '1' })).json.data).toEqual({ a: '2', c: '1' });
});

test('other writes own what they change', async () => {
  const { json } = await server.post(`${CONFIG_MAPS}?fieldManager=maker`, {
    metadata: { name: 'own' },
    data: { a: '1' },
  });
  expect(json.metadata.managedFields).toMatchObject([{ manager: 'maker', operation: 'Update' }]);
  const patched = await server.patch(`${CONFIG_MAPS}/own`, { data: { a: '2' } }, undefined, {
    headers: { 'user-agent': 'kubectl/v1.32 (linux)' },
  });
  const managers = patched.json.metadata.managedFields.map((each: { manager: string }) => each.manager);
  expect(managers.sort()).toEqual(['kubectl', 'maker']);
  const status = await server.api.patch<{ metadata: { managedFields?: unknown[] } }>(
    'configmaps',
    'default',
    'own',
    {
      data: { b: '1' },
    },
  );
  expect(status.metadata.managedFields).toHaveLength(2);
});

test('apply needs a manager and a configuration that fits', async () => {
  const path = `${CONFIG_MAPS}/fit`;
  const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'fit' } };
  const nameless = await server.patch(path, config, APPLY);
  expect(nameless.json.message).toBe(
    'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
  );
  const forced = await server.patch(`${path}?force=true`, {});
  expect(forced.json.message).toContain('force: Forbidden: may not be specified for non-apply patch');
  const unfit = await server.patch(`${path}?fieldManager=m`, { ...config, foo: 1 }, APPLY);
  expect(unfit.json.message).toContain('.foo: field not declared in schema');
  const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fit}\ndata: {a: "1"}\n';
  expect((await server.patch(`${path}?fieldManager=m`, yaml, APPLY)).code).toBe(201);
  expect((await server.patch(`${path}?fieldManager=m`, 'a: [', APPLY)).json.message).toMatch(
    /^error decoding YAML: /,
  );
});
