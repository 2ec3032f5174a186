import { expect, test } from 'vitest';
import { findMessage, packageOfGroup } from '../src/descriptor.ts';
import {
  apiVersionOf,
  findResource,
  findResourceByKind,
  RESOURCES,
  resourceId,
  resourcePath,
  subresourceInfo,
} from '../src/resources.ts';

test('resource ids are plural, dot, group', () => {
  const ids = RESOURCES.map(resourceId);
  expect(ids).toContain('pods');
  expect(ids).toContain('deployments.apps');
  expect(ids).toContain('endpointslices.discovery.k8s.io');
  expect(new Set(ids).size).toBe(ids.length);
});

test('every kind is one the API types describe', () => {
  for (const info of RESOURCES) {
    const message = findMessage(`${packageOfGroup(info.group, info.version)}.${info.kind}`);
    expect(message?.isKind, `${apiVersionOf(info)} ${info.kind}`).toBe(true);
  }
});

test.each([
  ['pods', ['po'], true, ['all']],
  ['services', ['svc'], true, ['all']],
  ['deployments.apps', ['deploy'], true, ['all']],
  ['statefulsets.apps', ['sts'], true, ['all']],
  ['jobs.batch', [], true, ['all']],
  ['configmaps', ['cm'], true, []],
  ['nodes', ['no'], false, []],
  ['networkpolicies.networking.k8s.io', ['netpol'], true, []],
  ['customresourcedefinitions.apiextensions.k8s.io', ['crd', 'crds'], false, ['api-extensions']],
  ['persistentvolumeclaims', ['pvc'], true, []],
  ['horizontalpodautoscalers.autoscaling', ['hpa'], true, ['all']],
])('%s has short names %j', (id, shortNames, namespaced, categories) => {
  const info = findResource(id);
  expect(info).toMatchObject({ shortNames, namespaced, categories });
});

test('short names are not shared, except by the two views of events', () => {
  const seen = new Map<string, string>();
  for (const info of RESOURCES) {
    for (const name of info.shortNames) {
      if (name !== 'ev') expect(seen.get(name), name).toBeUndefined();
      seen.set(name, info.kind);
    }
  }
});

test('verbs', () => {
  expect(findResource('pods')?.verbs).toEqual([
    'create',
    'delete',
    'deletecollection',
    'get',
    'list',
    'patch',
    'update',
    'watch',
  ]);
  expect(findResource('namespaces')?.verbs).not.toContain('deletecollection');
  const review = findResource('selfsubjectaccessreviews.authorization.k8s.io');
  expect(review).toMatchObject({ verbs: ['create'], virtual: true, namespaced: false });
});

test('subresources name their own kinds', () => {
  const pods = findResource('pods')!;
  const deployments = findResourceByKind('apps/v1', 'Deployment')!;
  expect(subresourceInfo(pods, 'eviction')).toMatchObject({
    kind: 'Eviction',
    group: 'policy',
    verbs: ['create'],
  });
  expect(subresourceInfo(pods, 'exec')).toMatchObject({ kind: 'PodExecOptions', verbs: ['create', 'get'] });
  expect(subresourceInfo(deployments, 'scale')).toMatchObject({
    kind: 'Scale',
    group: 'autoscaling',
    version: 'v1',
  });
  expect(subresourceInfo(deployments, 'status')).toMatchObject({ kind: 'Deployment', group: 'apps' });
});

test('paths', () => {
  const pods = findResource('pods')!;
  const deployments = findResource('deployments.apps')!;
  expect(resourcePath(pods, 'default', 'a', 'log')).toBe('/api/v1/namespaces/default/pods/a/log');
  expect(resourcePath(deployments, '')).toBe('/apis/apps/v1/deployments');
  expect(resourcePath(findResource('nodes')!, '', 'n1')).toBe('/api/v1/nodes/n1');
});
