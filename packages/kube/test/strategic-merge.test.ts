import { describe, expect, test } from 'vitest';
import { strategicMergePatch } from '../src/patch/strategic-merge.ts';
import { schemaOfKind } from '../src/schema.ts';
import { ApiError } from '../src/status.ts';

const pod = schemaOfKind('v1', 'Pod')!;
const deployment = schemaOfKind('apps/v1', 'Deployment')!;
const service = schemaOfKind('v1', 'Service')!;

function patched(schema: typeof pod, original: unknown, patch: unknown): unknown {
  const before = structuredClone([original, patch]);
  const result = strategicMergePatch(schema, original, patch);
  expect([original, patch]).toEqual(before);
  return result;
}

const container = (name: string, image: string, more = {}) => ({ name, image, ...more });

describe('lists with a merge key', () => {
  test('containers merge by name; new ones join', () => {
    // The example of "Update API Objects in Place Using kubectl patch".
    const original = { spec: { containers: [container('patch-demo-ctr', 'nginx')] } };
    const patch = { spec: { containers: [container('patch-demo-ctr-2', 'redis')] } };
    expect(patched(pod, original, patch)).toEqual({
      spec: { containers: [container('patch-demo-ctr-2', 'redis'), container('patch-demo-ctr', 'nginx')] },
    });
  });

  test('an element keeps what the patch does not mention', () => {
    const original = { spec: { containers: [container('a', 'x', { env: [{ name: 'K', value: '1' }] })] } };
    const patch = { spec: { containers: [{ name: 'a', image: 'y', env: [{ name: 'L', value: '2' }] }] } };
    expect(patched(pod, original, patch)).toEqual({
      spec: {
        containers: [
          container('a', 'y', {
            env: [
              { name: 'L', value: '2' },
              { name: 'K', value: '1' },
            ],
          }),
        ],
      },
    });
  });

  test('tolerations have no merge key and are replaced', () => {
    const original = { spec: { tolerations: [{ key: 'a', effect: 'NoSchedule' }] } };
    const patch = { spec: { tolerations: [{ key: 'b', effect: 'NoExecute' }] } };
    expect(patched(pod, original, patch)).toEqual(patch);
  });

  test('$patch: delete takes an element out', () => {
    const original = { spec: { containers: [container('a', 'x'), container('b', 'y')] } };
    const patch = { spec: { containers: [{ name: 'a', $patch: 'delete' }] } };
    expect(patched(pod, original, patch)).toEqual({ spec: { containers: [container('b', 'y')] } });
  });

  test('$patch: replace as an element replaces the list', () => {
    const original = { spec: { containers: [container('a', 'x'), container('b', 'y')] } };
    const patch = { spec: { containers: [{ $patch: 'replace' }, container('c', 'z')] } };
    expect(patched(pod, original, patch)).toEqual({ spec: { containers: [container('c', 'z')] } });
  });

  test('$setElementOrder orders what the sender knows around what it does not', () => {
    const original = {
      spec: { containers: [container('a', '1'), container('server', 's'), container('b', '2')] },
    };
    const patch = {
      spec: {
        '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }, { name: 'c' }],
        containers: [container('a', '9'), container('c', '3')],
      },
    };
    const result = patched(pod, original, patch) as {
      spec: { containers: { name: string; image: string }[] };
    };
    expect(result.spec.containers.map(({ name, image }) => name + image)).toEqual([
      'servers',
      'b2',
      'a9',
      'c3',
    ]);
    expect(Object.keys(result.spec)).toEqual(['containers']);
  });

  test('$setElementOrder alone reorders', () => {
    const original = { spec: { containers: [container('a', '1'), container('b', '2')] } };
    const patch = { spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] } };
    expect(patched(pod, original, patch)).toEqual({
      spec: { containers: [container('b', '2'), container('a', '1')] },
    });
  });

  test('a port of a Service is found by its number', () => {
    const original = { spec: { ports: [{ name: 'http', port: 80, targetPort: 8080 }] } };
    const patch = { spec: { ports: [{ port: 80, targetPort: 9090 }] } };
    expect(patched(service, original, patch)).toEqual({
      spec: { ports: [{ name: 'http', port: 80, targetPort: 9090 }] },
    });
  });
});

describe('objects', () => {
  test('null removes a member and is no error where there is none', () => {
    const original = { metadata: { labels: { a: '1', b: '2' } } };
    const patch = { metadata: { labels: { a: null, c: null }, annotations: { x: null, y: '1' } } };
    expect(patched(pod, original, patch)).toEqual({
      metadata: { labels: { b: '2' }, annotations: { y: '1' } },
    });
  });

  test('$patch: replace and $patch: delete', () => {
    const original = { metadata: { labels: { a: '1', b: '2' } } };
    expect(patched(pod, original, { metadata: { labels: { $patch: 'replace', c: '3' } } })).toEqual({
      metadata: { labels: { c: '3' } },
    });
    expect(patched(pod, original, { metadata: { labels: { $patch: 'delete' } } })).toEqual({
      metadata: { labels: {} },
    });
  });

  test('$retainKeys: switching the deployment strategy drops rollingUpdate', () => {
    const original = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } };
    const patch = { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } };
    expect(patched(deployment, original, patch)).toEqual({ spec: { strategy: { type: 'Recreate' } } });
  });

  test('$retainKeys in a volume: another source replaces the first', () => {
    const original = { spec: { volumes: [{ name: 'v', emptyDir: {} }] } };
    const patch = {
      spec: { volumes: [{ $retainKeys: ['configMap', 'name'], name: 'v', configMap: { name: 'c' } }] },
    };
    expect(patched(pod, original, patch)).toEqual({
      spec: { volumes: [{ name: 'v', configMap: { name: 'c' } }] },
    });
  });

  test('a value of another type replaces', () => {
    expect(patched(pod, { spec: { containers: 'x' } }, { spec: { containers: [] } })).toEqual({
      spec: { containers: [] },
    });
  });
});

describe('lists of scalars', () => {
  test('finalizers merge without repeats', () => {
    const original = { metadata: { finalizers: ['a', 'b'] } };
    const patch = { metadata: { finalizers: ['c', 'a'] } };
    const result = patched(pod, original, patch) as { metadata: { finalizers: string[] } };
    expect([...result.metadata.finalizers].sort()).toEqual(['a', 'b', 'c']);
  });

  test('$deleteFromPrimitiveList', () => {
    const original = { metadata: { finalizers: ['a', 'b', 'c'] } };
    const patch = {
      metadata: { '$deleteFromPrimitiveList/finalizers': ['b'], '$setElementOrder/finalizers': ['c', 'a'] },
    };
    expect(patched(pod, original, patch)).toEqual({ metadata: { finalizers: ['c', 'a'] } });
  });

  test('commands are replaced', () => {
    const original = { spec: { containers: [container('a', 'x', { command: ['a', 'b'] })] } };
    const patch = { spec: { containers: [{ name: 'a', command: ['c'] }] } };
    expect(patched(pod, original, patch)).toEqual({
      spec: { containers: [container('a', 'x', { command: ['c'] })] },
    });
  });
});

describe('refused', () => {
  const original = { spec: { containers: [container('a', 'x')] }, metadata: { finalizers: ['a'] } };
  test.each<[string, unknown, number, string]>([
    [
      'no merge key',
      { spec: { containers: [{ image: 'y' }] } },
      400,
      'does not contain declared merge key: name',
    ],
    ['unknown directive', { spec: { $patch: 'merge' } }, 400, 'unknown patch type: merge'],
    [
      'unknown directive in a list',
      { spec: { containers: [{ $patch: 'x', name: 'a' }] } },
      400,
      'unknown patch type: x',
    ],
    ['retainKeys not a list', { spec: { $retainKeys: 'a' } }, 400, 'invalid patch format of retainKeys'],
    [
      'retainKeys without a key',
      { spec: { $retainKeys: [], nodeName: 'n' } },
      400,
      'invalid patch format of retainKeys',
    ],
    [
      'delete list not a list',
      { metadata: { '$deleteFromPrimitiveList/finalizers': 'a' } },
      400,
      'primitive list',
    ],
    ['order not a list', { metadata: { '$setElementOrder/finalizers': 'a' } }, 400, 'setElementOrder list'],
    [
      'order without an element',
      { spec: { '$setElementOrder/containers': [{ name: 'a' }], containers: [container('b', 'y')] } },
      400,
      'The order in patch list',
    ],
    ['lists of lists', { metadata: { finalizers: [['b']] } }, 422, 'lists of lists are not supported'],
    ['not an object', ['x'], 400, 'invalid JSON document'],
  ])('%s', (_, patch, code, text) => {
    try {
      strategicMergePatch(pod, original, patch);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ApiError);
      expect((error as ApiError).code).toBe(code);
      expect((error as ApiError).message).toContain(text);
    }
  });
});
