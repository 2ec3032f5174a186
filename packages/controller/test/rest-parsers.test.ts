import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evaluateJsonPath } from '../src/rest/json-path.ts';
import { negotiate, parseAccept } from '../src/rest/negotiation.ts';
import { parseResourcePath } from '../src/rest/path.ts';
import { parseProxyName } from '../src/rest/proxy.ts';

test.each([
  ['/api/v1/pods', ['', 'v1', '', 'pods', '', '', '']],
  ['/api/v1/nodes/n1', ['', 'v1', '', 'nodes', 'n1', '', '']],
  ['/api/v1/namespaces', ['', 'v1', '', 'namespaces', '', '', '']],
  ['/api/v1/namespaces/a', ['', 'v1', '', 'namespaces', 'a', '', '']],
  ['/api/v1/namespaces/a/status', ['', 'v1', '', 'namespaces', 'a', 'status', '']],
  ['/api/v1/namespaces/a/finalize', ['', 'v1', '', 'namespaces', 'a', 'finalize', '']],
  ['/api/v1/namespaces/a/pods', ['', 'v1', 'a', 'pods', '', '', '']],
  ['/api/v1/namespaces/a/pods/b/log', ['', 'v1', 'a', 'pods', 'b', 'log', '']],
  ['/api/v1/namespaces/a/pods/b/proxy', ['', 'v1', 'a', 'pods', 'b', 'proxy', '']],
  ['/api/v1/namespaces/a/pods/b/proxy/', ['', 'v1', 'a', 'pods', 'b', 'proxy', '/']],
  ['/api/v1/nodes/n:1/proxy/x%2Fy/z', ['', 'v1', '', 'nodes', 'n:1', 'proxy', '/x%2Fy/z']],
  ['/apis/apps/v1/namespaces/a/deployments/b/scale', ['apps', 'v1', 'a', 'deployments', 'b', 'scale', '']],
  [
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Ax',
    ['rbac.authorization.k8s.io', 'v1', '', 'clusterroles', 'system:x', '', ''],
  ],
])('path %s', (path, expected) => {
  const parsed = parseResourcePath(path)!;
  const { group, version, namespace, plural, name, subresource, tail } = parsed;
  expect([group, version, namespace, plural, name, subresource, tail]).toEqual(expected);
});

test.each([
  '/',
  '/api',
  '/api/v1',
  '/apis/apps/v1',
  '/metrics',
  '/api/v1/pods/a/log/more',
  '/api/v1/namespaces//pods/a',
  '/api/v1/pods/%zz',
])('%s names no resource', (path) => {
  expect(parseResourcePath(path)).toBeUndefined();
});

test.each([
  ['a', { scheme: '', name: 'a', port: '' }],
  ['a:80', { scheme: '', name: 'a', port: '80' }],
  ['https:a:', { scheme: 'https', name: 'a', port: '' }],
  ['http:a:web', { scheme: 'http', name: 'a', port: 'web' }],
  ['ftp:a:1', undefined],
  ['a:b:c:d', undefined],
])('proxy name %s', (text, expected) => {
  expect(parseProxyName(text)).toEqual(expected);
});

test('Accept is taken by quality, then order', () => {
  expect(parseAccept('text/html;q=0.5, application/yaml, application/json').map(({ type }) => type)).toEqual([
    'application/yaml',
    'application/json',
    'text/html',
  ]);
  expect(negotiate('application/yaml;q=0.1,application/json', [])).toEqual({ format: 'json' });
  expect(negotiate('application/json;as=Table;v=v1beta1;g=meta.k8s.io', ['Table'])).toEqual({
    format: 'json',
    as: 'Table',
    version: 'v1beta1',
  });
  expect(negotiate('application/json;as=Table;v=v9;g=meta.k8s.io,application/json', ['Table'])).toEqual({
    format: 'json',
  });
  expect(() => negotiate('text/html', [])).toThrow(
    'only the following media types are accepted: application/json, application/yaml',
  );
});

const object = {
  spec: {
    size: 3,
    'a.b': 'dotted',
    list: [
      { name: 'x', port: 1 },
      { name: 'y', port: 2 },
    ],
  },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Old', status: 'False' },
    ],
  },
};

test.each([
  ['.spec.size', [3]],
  ['{.spec.size}', [3]],
  ['$.spec.size', [3]],
  ['.spec.nothing', []],
  ['.spec.list[0].name', ['x']],
  ['.spec.list[-1].name', ['y']],
  ['.spec.list[*].port', [1, 2]],
  [".spec['a.b']", ['dotted']],
  ['.spec.a\\.b', ['dotted']],
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  [".status.conditions[?(@.type == 'Ready')].status", ['True']],
  ['.status.conditions[?(@.type!="Ready")].status', ['False']],
  ['.spec.list[?(@.port==2)].name', ['y']],
  ['.spec.list[', []],
])('JSONPath %s', (path, expected) => {
  expect(evaluateJsonPath(path, object)).toEqual(expected);
});

test('no text makes a parser throw what is not an answer', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      parseResourcePath(`/api/v1/${text}`);
      parseProxyName(text);
      parseAccept(text);
      evaluateJsonPath(text, object);
    }),
  );
});
