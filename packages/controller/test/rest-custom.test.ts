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

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

const schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'integer', minimum: 1, maximum: 10 },
        replicas: { type: 'integer', default: 1 },
        color: { type: 'string', enum: ['red', 'green'] },
        name: { type: 'string', pattern: '^[a-z]+$', maxLength: 5 },
        ports: {
          type: 'array',
          maxItems: 2,
          items: { type: 'object', properties: { port: { 'x-kubernetes-int-or-string': true } } },
        },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
      },
    },
    status: { type: 'object', properties: { replicas: { type: 'integer' }, phase: { type: 'string' } } },
  },
};

function definition(kind: string, more: object = {}, version: object = {}) {
  const plural = `${kind.toLowerCase()}s`;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.example.com` },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural, kind },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema },
          subresources: {
            status: {},
            scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
          },
          ...version,
        },
      ],
      ...more,
    },
  };
}

const WIDGETS = '/apis/example.com/v1/namespaces/default/widgets';
const widget = (name: string, spec: object = { size: 3 }) => ({ metadata: { name }, spec });

test('a definition becomes a resource at once, and says so', async () => {
  expect((await server.get(WIDGETS)).code).toBe(404);
  const columns = [
    { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase', priority: 1 },
    { name: 'Port', type: 'string', jsonPath: '.spec.ports[*].port' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ];
  const created = await server.post(CRDS, definition('Widget', {}, { additionalPrinterColumns: columns }));
  expect(created.code).toBe(201);
  expect(created.json.spec.names).toMatchObject({ singular: 'widget', listKind: 'WidgetList' });
  expect((await server.post(WIDGETS, widget('first'))).code).toBe(201);
  const { json } = await server.get(`${CRDS}/widgets.example.com`);
  expect(json.status.conditions).toMatchObject([
    { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts' },
    { type: 'Established', status: 'True', reason: 'InitialNamesAccepted' },
  ]);
  expect(json.status).toMatchObject({ acceptedNames: { kind: 'Widget' }, storedVersions: ['v1'] });
  const groups = await server.get('/apis');
  expect(groups.json.groups.map((each: { name: string }) => each.name)).toContain('example.com');
  const resources = await server.get('/apis/example.com/v1');
  expect(resources.json.resources.map((each: { name: string }) => each.name)).toEqual([
    'widgets',
    'widgets/scale',
    'widgets/status',
  ]);
  const openApi = await server.get('/openapi/v3/apis/example.com/v1');
  expect(openApi.json.components.schemas['com.example.v1.Widget'].properties.spec).toBeDefined();
  expect((await server.get('/openapi/v3')).json.paths['apis/example.com/v1']).toBeDefined();
  expect((await server.get(WIDGETS)).json.kind).toBe('WidgetList');
});

test('objects are defaulted, pruned and validated with the words of the API server', async () => {
  const { json } = await server.post(
    WIDGETS,
    widget('w', { size: 3, foo: 1, free: { any: [1] }, labels: { a: 'b' } }),
  );
  expect(json.spec).toEqual({ size: 3, replicas: 1, free: { any: [1] }, labels: { a: 'b' } });
  expect(json.metadata.generation).toBe(1);
  const bad = await server.post(
    WIDGETS,
    widget('bad', { size: 'x', color: 'blue', name: 'TOOLONG', ports: [{}, {}, { port: true }] }),
  );
  expect(bad.json).toMatchObject({
    code: 422,
    reason: 'Invalid',
    details: { name: 'bad', group: 'example.com', kind: 'Widget' },
  });
  expect(
    bad.json.details.causes.map(
      (each: { field: string; message: string }) => `${each.field}: ${each.message}`,
    ),
  ).toEqual([
    'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"',
    'spec.color: Unsupported value: "blue": supported values: "red", "green"',
    'spec.name: Too long: may not be more than 5 bytes',
    'spec.name: Invalid value: "TOOLONG": spec.name in body should match \'^[a-z]+$\'',
    'spec.ports: Too many: 3: must have at most 2 items',
    'spec.ports[2].port: Invalid value: "boolean": spec.ports[2].port in body must be of type integer,string: "boolean"',
  ]);
  const empty = await server.post(WIDGETS, widget('empty', {}));
  expect(empty.json.message).toBe('Widget.example.com "empty" is invalid: spec.size: Required value');
  const range = await server.post(WIDGETS, widget('range', { size: 11 }));
  expect(range.json.message).toContain(
    'spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10',
  );
  const strict = await server.post(
    `${WIDGETS}?fieldValidation=Strict`,
    widget('strict', { size: 1, foo: 1 }),
  );
  expect(strict.json.message).toBe(
    'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.foo"',
  );
});

test('status and scale are subresources, PUT is conditional, strategic patches are not for custom resources', async () => {
  await server.post(WIDGETS, { ...widget('sub'), status: { phase: 'Early' } });
  const path = `${WIDGETS}/sub`;
  expect((await server.get(path)).json.status).toBeUndefined();
  const status = await server.patch(`${path}/status`, {
    metadata: { labels: { a: 'b' } },
    spec: { size: 9 },
    status: { phase: 'Done' },
  });
  expect(status.json).toMatchObject({
    metadata: { generation: 1 },
    spec: { size: 3 },
    status: { phase: 'Done' },
  });
  expect(status.json.metadata.labels).toBeUndefined();
  expect((await server.patch(`${path}/scale`, { spec: { replicas: 4 } })).json.spec.replicas).toBe(4);
  const { json } = await server.get(path);
  expect(json).toMatchObject({ metadata: { generation: 2 }, spec: { replicas: 4 } });
  const blind = await server.put(path, widget('sub'));
  expect(blind.json.message).toContain(
    'metadata.resourceVersion: Invalid value: 0: must be specified for an update',
  );
  expect((await server.put(path, { ...json, spec: { size: 5 } })).json.metadata.generation).toBe(3);
  const strategic = await server.patch(path, {}, 'application/strategic-merge-patch+json');
  expect(strategic.json.code).toBe(415);
  const applied = await server.patch(
    `${path}?fieldManager=m&force=true`,
    { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'sub' }, spec: { size: 6 } },
    'application/apply-patch+yaml',
  );
  expect(applied.json.spec.size).toBe(6);
});

test('tables show the printer columns', async () => {
  await server.post(WIDGETS, widget('table', { size: 4, ports: [{ port: 80 }, { port: 'http' }] }));
  const { json } = await server.get(`${WIDGETS}/table`, {
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
  });
  expect(json.columnDefinitions).toMatchObject([
    { name: 'Name', format: 'name' },
    { name: 'Size', type: 'integer', priority: 0 },
    { name: 'Phase', priority: 1 },
    { name: 'Port' },
    { name: 'Age', type: 'date' },
  ]);
  expect(json.rows[0].cells).toEqual(['table', 4, null, '80,http', expect.stringMatching(/^\d+s$/)]);
});

test('names that are taken are not accepted', async () => {
  const rival = { ...definition('Widget'), metadata: { name: 'gadgets.example.com' } };
  rival.spec.names = { plural: 'gadgets', kind: 'Widget' };
  await server.post(CRDS, rival);
  await new Promise(setImmediate);
  const { json } = await server.get(`${CRDS}/gadgets.example.com`);
  expect(json.status.conditions).toMatchObject([
    { type: 'NamesAccepted', status: 'False', reason: 'KindConflict', message: '"Widget" is already in use' },
    { type: 'Established', status: 'False', reason: 'NotAccepted' },
  ]);
  expect((await server.get('/apis/example.com/v1/namespaces/default/gadgets')).code).toBe(404);
  await server.delete(`${CRDS}/gadgets.example.com`);
});

test('a wrong definition is refused', async () => {
  const misnamed = await server.post(CRDS, { ...definition('Thing'), metadata: { name: 'things' } });
  expect(misnamed.json.message).toContain(
    'metadata.name: Invalid value: "things": must be spec.names.plural+"."+spec.group',
  );
  const schemaless = await server.post(CRDS, definition('Thing', {}, { schema: undefined }));
  expect(schemaless.json.message).toContain(
    'spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required',
  );
});

test('versions of one resource show the same objects', async () => {
  const loose = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const versions = [
    { name: 'v1alpha1', served: true, storage: false, schema: loose },
    { name: 'v2', served: true, storage: true, schema: loose },
    { name: 'v1', served: false, storage: false, schema: loose },
  ];
  await server.post(CRDS, definition('Multi', { scope: 'Cluster', versions }));
  await server.post('/apis/example.com/v1alpha1/multis', { metadata: { name: 'm' }, x: 1 });
  const newer = await server.get('/apis/example.com/v2/multis/m');
  expect(newer.json).toMatchObject({ apiVersion: 'example.com/v2', x: 1 });
  const older = await server.get('/apis/example.com/v1alpha1/multis');
  expect(older.json).toMatchObject({
    apiVersion: 'example.com/v1alpha1',
    items: [{ apiVersion: 'example.com/v1alpha1' }],
  });
  expect((await server.get('/apis/example.com/v1/multis')).code).toBe(404);
  const watch = await server.watch('/apis/example.com/v1alpha1/multis?watch=true');
  expect((await watch.next()).object.apiVersion).toBe('example.com/v1alpha1');
  watch.close();
  const { json } = await server.get('/apis/example.com');
  expect(json.preferredVersion.version).toBe('v2');
});

test('a definition goes after its objects', async () => {
  await server.post(CRDS, definition('Doomed'));
  const path = '/apis/example.com/v1/namespaces/default/doomeds';
  await server.post(path, { metadata: { name: 'free' }, spec: { size: 1 } });
  await server.post(path, { metadata: { name: 'held', finalizers: ['example.com/x'] }, spec: { size: 1 } });
  const deleted = await server.delete(`${CRDS}/doomeds.example.com`);
  expect(deleted.json.metadata.deletionTimestamp).toBeDefined();
  expect((await server.get(`${path}/free`)).code).toBe(404);
  expect((await server.get(`${path}/held`)).json.metadata.deletionTimestamp).toBeDefined();
  await server.patch(`${path}/held`, { metadata: { finalizers: null } });
  expect((await server.get(`${CRDS}/doomeds.example.com`)).code).toBe(404);
  expect((await server.get(path)).code).toBe(404);
  expect((await server.get('/apis/example.com/v1')).json.resources).not.toContainEqual(
    expect.objectContaining({ name: 'doomeds' }),
  );
});
