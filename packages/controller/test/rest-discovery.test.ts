import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareVersions } from '../src/rest/version-order.ts';
import { TestServer } from './rest-harness.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.close());

type Named = { name: string };
type Group = {
  metadata: { name?: string };
  versions: {
    version: string;
    resources: { resource: string; subresources?: { subresource: string }[] }[];
  }[];
};

test('plain discovery lists versions, groups and resources', async () => {
  expect((await server.get('/api')).json).toMatchObject({
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: '127.0.0.1:6443' }],
  });
  const groups = (await server.get('/apis')).json;
  expect(groups.kind).toBe('APIGroupList');
  expect(groups.groups.map((each: Named) => each.name)).toEqual(
    expect.arrayContaining([
      'apps',
      'batch',
      'discovery.k8s.io',
      'networking.k8s.io',
      'apiextensions.k8s.io',
    ]),
  );
  expect((await server.get('/apis/apps')).json).toEqual({
    kind: 'APIGroup',
    apiVersion: 'v1',
    name: 'apps',
    versions: [{ groupVersion: 'apps/v1', version: 'v1' }],
    preferredVersion: { groupVersion: 'apps/v1', version: 'v1' },
  });
  const apps = (await server.get('/apis/apps/v1')).json;
  expect(apps).toMatchObject({ kind: 'APIResourceList', groupVersion: 'apps/v1' });
  expect(apps.resources).toContainEqual({
    name: 'deployments',
    singularName: 'deployment',
    namespaced: true,
    kind: 'Deployment',
    verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
    shortNames: ['deploy'],
    categories: ['all'],
  });
  expect(apps.resources).toContainEqual({
    name: 'deployments/scale',
    singularName: '',
    namespaced: true,
    group: 'autoscaling',
    version: 'v1',
    kind: 'Scale',
    verbs: ['get', 'patch', 'update'],
  });
  expect((await server.get('/api/v1/')).json.groupVersion).toBe('v1');
});

test.each(['v2', 'v2beta1'])('aggregated discovery %s says the same at once', async (version) => {
  const accept = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList,application/json`;
  const core = await server.get('/api', { accept });
  expect(core.headers['content-type']).toBe(
    `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
  );
  expect(core.json).toMatchObject({
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
  });
  expect(core.json.items).toHaveLength(1);
  const pods = core.json.items[0].versions[0].resources.find(
    (each: { resource: string }) => each.resource === 'pods',
  );
  expect(pods).toMatchObject({
    responseKind: { group: '', version: 'v1', kind: 'Pod' },
    scope: 'Namespaced',
    singularResource: 'pod',
    shortNames: ['po'],
  });
  const all = await server.get('/apis', { accept });
  const names = (all.json.items as Group[]).flatMap((group) =>
    group.versions.flatMap(({ version: groupVersion, resources }) =>
      resources.map((each) => `${group.metadata.name}/${groupVersion}/${each.resource}`),
    ),
  );
  const { groups } = (await server.get('/apis')).json;
  const plain: string[] = [];
  for (const group of groups as { name: string; versions: { groupVersion: string }[] }[]) {
    for (const { groupVersion } of group.versions) {
      const { resources } = (await server.get(`/apis/${groupVersion}`)).json;
      for (const { name } of resources as Named[])
        if (!name.includes('/')) plain.push(`${groupVersion}/${name}`);
    }
  }
  expect(names).toEqual(plain);
});

test('OpenAPI v3 is complete enough for kubectl, and cacheable', async () => {
  const index = (await server.get('/openapi/v3')).json;
  expect(Object.keys(index.paths)).toEqual(expect.arrayContaining(['api/v1', 'apis/apps/v1']));
  const url = index.paths['apis/apps/v1'].serverRelativeURL;
  const document = await server.get(url);
  const path = document.json.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}'];
  expect(path.patch.parameters.map((each: Named) => each.name)).toContain('fieldValidation');
  expect(document.json.components.schemas['io.k8s.api.apps.v1.Deployment'].properties.spec).toBeDefined();
  const cached = await server.get(url, { headers: { 'if-none-match': String(document.headers.etag) } });
  expect(cached).toMatchObject({ code: 304, text: '' });
  expect((await server.get('/openapi/v3/apis/nothing/v1')).code).toBe(404);
  expect((await server.get('/openapi/v2')).json.swagger).toBe('2.0');
});

test('versions are ordered by stability, then age', () => {
  const versions = ['v10', 'foo', 'v1alpha1', 'v2', 'v1beta2', 'bar', 'v1', 'v12alpha1', 'v2beta1'];
  expect(versions.sort(compareVersions)).toEqual([
    'v10',
    'v2',
    'v1',
    'v2beta1',
    'v1beta2',
    'v12alpha1',
    'v1alpha1',
    'bar',
    'foo',
  ]);
});
