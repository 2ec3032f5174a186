import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonEquals, type KubeObject, type ManagedFieldsEntry } from '../src/object.ts';
import {
  differenceOf,
  formatFieldsV1,
  intersectionOf,
  isEmptySet,
  parseFieldsV1,
  pathTexts,
  setsEqual,
  unionOf,
} from '../src/patch/field-set.ts';
import { type FieldWriter, serverSideApply, trackUpdate } from '../src/patch/server-side-apply.ts';
import { compareFields, fieldsOf, mergeFields } from '../src/patch/typed-fields.ts';
import { customResourceSchema, schemaOfKind } from '../src/schema.ts';
import { ApiError } from '../src/status.ts';

const schema = schemaOfKind('apps/v1', 'Deployment')!;
const EARLY = '2024-01-01T00:00:00Z';
const LATE = '2024-02-01T00:00:00Z';

interface Parts {
  labels?: Record<string, string>;
  replicas?: number;
  containers?: Record<string, unknown>[];
  annotations?: Record<string, string>;
}

function deployment({ labels, replicas, containers, annotations }: Parts): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: 'web',
      namespace: 'default',
      ...(labels && { labels }),
      ...(annotations && { annotations }),
    },
    ...((replicas !== undefined || containers) && {
      spec: {
        ...(replicas === undefined ? {} : { replicas }),
        ...(containers && { template: { spec: { containers } } }),
      },
    }),
  };
}

function writer(manager: string, time = EARLY): FieldWriter {
  return { manager, apiVersion: 'apps/v1', time, ignoredFields: ['status'] };
}

function apply(
  manager: string,
  live: KubeObject | undefined,
  config: KubeObject,
  force = false,
  time = EARLY,
): KubeObject {
  return serverSideApply({ ...writer(manager, time), schema, custom: false, live, config, force });
}

function update(manager: string, live: KubeObject | undefined, next: KubeObject, time = EARLY): KubeObject {
  const managedFields = trackUpdate(schema, live, next, writer(manager, time));
  return { ...next, metadata: { ...next.metadata, managedFields } };
}

function paths(object: KubeObject, manager: string, operation = 'Apply'): string[] {
  const entries = (object.metadata.managedFields ?? []).filter(
    (entry: ManagedFieldsEntry) => entry.manager === manager && entry.operation === operation,
  );
  return entries.flatMap((entry: ManagedFieldsEntry) => pathTexts(parseFieldsV1(entry.fieldsV1)));
}

function failure(run: () => unknown): ApiError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError);
    return error as ApiError;
  }
  return expect.unreachable();
}

describe('apply', () => {
  test('creates the object and owns what it names', () => {
    const created = apply(
      'me',
      undefined,
      deployment({ labels: { a: '1' }, replicas: 2, containers: [{ name: 'c', image: 'x' }] }),
    );
    expect(created.spec).toEqual({
      replicas: 2,
      template: { spec: { containers: [{ name: 'c', image: 'x' }] } },
    });
    expect(created.metadata.managedFields).toEqual([
      {
        manager: 'me',
        operation: 'Apply',
        apiVersion: 'apps/v1',
        time: EARLY,
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:metadata': { 'f:labels': { 'f:a': {} } },
          'f:spec': {
            'f:replicas': {},
            'f:template': {
              'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:image': {}, 'f:name': {} } } },
            },
          },
        },
      },
    ]);
  });

  test('a field no longer named is removed; what others own stays', () => {
    const first = apply('me', undefined, deployment({ labels: { a: '1', b: '2' }, replicas: 2 }));
    const shared = apply('you', first, deployment({ labels: { b: '2' } }));
    const second = apply('me', shared, deployment({ labels: { a: '1' } }));
    expect(second.metadata.labels).toEqual({ a: '1', b: '2' });
    expect(second.spec).toBeUndefined();
    expect(second.metadata.name).toBe('web');
    expect(paths(second, 'you')).toEqual(['.metadata.labels.b']);
    const third = apply('you', second, deployment({}));
    expect(third.metadata.labels).toEqual({ a: '1' });
    expect(paths(third, 'you')).toEqual([]);
  });

  test('an unowned field of a live list item survives', () => {
    const created = apply('me', undefined, deployment({ containers: [{ name: 'c', image: 'x' }] }));
    const defaulted = structuredClone(created) as KubeObject & {
      spec: { template: { spec: { containers: object[] } } };
    };
    defaulted.spec.template.spec.containers[0] = { name: 'c', image: 'x', imagePullPolicy: 'Always' };
    const next = apply('me', defaulted, deployment({ containers: [{ name: 'c', image: 'y' }] }));
    expect(next.spec).toEqual({
      template: { spec: { containers: [{ name: 'c', image: 'y', imagePullPolicy: 'Always' }] } },
    });
  });

  test('an empty struct that is named stays when its last field goes', () => {
    const strategy = (more: object) => ({ ...deployment({}), spec: { strategy: { rollingUpdate: more } } });
    const created = apply('me', undefined, strategy({ maxSurge: 1 }));
    const next = apply('me', created, strategy({}));
    expect(next.spec).toEqual({ strategy: { rollingUpdate: {} } });
  });

  test('list items are removed by key and keep the order of the configuration', () => {
    const created = apply(
      'me',
      undefined,
      deployment({ containers: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] }),
    );
    const next = apply('me', created, deployment({ containers: [{ name: 'c' }, { name: 'a' }] }));
    expect(next.spec).toEqual({ template: { spec: { containers: [{ name: 'c' }, { name: 'a' }] } } });
  });

  test('a port without protocol is the TCP port', () => {
    const ports = (more: object) =>
      deployment({ containers: [{ name: 'c', ports: [{ containerPort: 80, ...more }] }] });
    const created = apply('me', undefined, ports({}));
    expect(paths(created, 'me')).toContain(
      '.spec.template.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"].containerPort',
    );
    const next = apply('you', created, ports({ protocol: 'TCP', name: 'http' }));
    expect(next.spec).toEqual({
      template: {
        spec: { containers: [{ name: 'c', ports: [{ containerPort: 80, protocol: 'TCP', name: 'http' }] }] },
      },
    });
  });

  test('applying the same again changes nothing, not even the time', () => {
    const config = deployment({ labels: { a: '1' }, replicas: 2 });
    const created = apply('me', undefined, config);
    expect(apply('me', created, config, false, LATE)).toEqual(created);
    expect(
      apply('me', created, deployment({ labels: { a: '1' }, replicas: 3 }), false, LATE).metadata
        .managedFields?.[0]?.time,
    ).toBe(LATE);
  });

  test('a quantity spelled another way is no change', () => {
    const config = (cpu: unknown) =>
      deployment({ containers: [{ name: 'c', resources: { limits: { cpu } } }] });
    const created = apply('me', undefined, config('1'));
    expect(() => apply('you', created, config(1))).not.toThrow();
    expect(() => apply('you', created, config('1000m'))).not.toThrow();
  });
});

describe('conflicts', () => {
  test('one conflict', () => {
    const live = update('kubectl-create', undefined, deployment({ replicas: 3 }));
    const error = failure(() => apply('me', live, deployment({ replicas: 4 })));
    expect(error.status).toMatchObject({
      code: 409,
      reason: 'Conflict',
      message: 'Apply failed with 1 conflict: conflict with "kubectl-create" using apps/v1: .spec.replicas',
      details: {
        causes: [
          {
            reason: 'FieldManagerConflict',
            message: 'conflict with "kubectl-create" using apps/v1',
            field: '.spec.replicas',
          },
        ],
      },
    });
  });

  test('several, from appliers and others', () => {
    const created = apply('a', undefined, deployment({ containers: [{ name: 'c', image: 'x' }] }));
    const live = update('b', created, { ...created, spec: { ...(created.spec as object), replicas: 3 } });
    const error = failure(() =>
      apply('me', live, deployment({ replicas: 4, containers: [{ name: 'c', image: 'y' }] })),
    );
    expect(error.message).toBe(
      'Apply failed with 2 conflicts: conflicts with "a":\n- .spec.template.spec.containers[name="c"].image\nconflicts with "b" using apps/v1:\n- .spec.replicas',
    );
  });

  test('a subresource is named', () => {
    const entry = trackUpdate(schema, undefined, deployment({ replicas: 3 }), {
      ...writer('hpa'),
      subresource: 'scale',
    });
    const live = deployment({ replicas: 3 });
    live.metadata.managedFields = entry;
    expect(failure(() => apply('me', live, deployment({ replicas: 4 }))).message).toBe(
      'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas',
    );
  });

  test('force takes the field over', () => {
    const live = update('other', undefined, deployment({ replicas: 3, labels: { a: '1' } }));
    const next = apply('me', live, deployment({ replicas: 4 }), true);
    expect(next.spec).toEqual({ replicas: 4 });
    expect(paths(next, 'me')).toEqual(['.spec.replicas']);
    expect(paths(next, 'other', 'Update')).toEqual(['.metadata.labels', '.metadata.labels.a']);
  });

  test('the same value is shared, and then either may not change it alone', () => {
    const first = apply('a', undefined, deployment({ replicas: 3 }));
    const shared = apply('b', first, deployment({ replicas: 3 }));
    expect(paths(shared, 'a')).toEqual(paths(shared, 'b'));
    expect(failure(() => apply('a', shared, deployment({ replicas: 5 }))).message).toContain(
      'conflict with "b": .spec.replicas',
    );
    expect(apply('a', shared, deployment({})).spec).toEqual({ replicas: 3 });
  });

  test('an object nobody tracked belongs to before-first-apply', () => {
    const error = failure(() => apply('me', deployment({ replicas: 3 }), deployment({ replicas: 4 })));
    expect(error.message).toContain('conflict with "before-first-apply" using apps/v1: .spec.replicas');
  });

  test('kubectl may take what its own client-side apply left', () => {
    const config = deployment({ replicas: 3 });
    const text = JSON.stringify(config);
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': text };
    const live = update('kubectl-client-side-apply', undefined, deployment({ replicas: 3, annotations }));
    const next = apply('kubectl', live, deployment({ replicas: 4 }));
    expect(next.spec).toEqual({ replicas: 4 });
    expect(next.metadata.annotations?.['kubectl.kubernetes.io/last-applied-configuration']).toContain(
      '"replicas":4',
    );
    const scaled = update('someone', live, { ...live, spec: { replicas: 5 } });
    expect(failure(() => apply('kubectl', scaled, deployment({ replicas: 4 }))).message).toContain(
      'conflict with "someone"',
    );
  });
});

describe('refused configurations', () => {
  test.each<[string, KubeObject, string]>([
    [
      'unknown field',
      { ...deployment({}), spec: { foo: 1 } },
      'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema',
    ],
    ['no key', deployment({ containers: [{ image: 'x' }] }), 'an element that omits key field "name"'],
    [
      'repeated key',
      deployment({ containers: [{ name: 'c' }, { name: 'c' }] }),
      'duplicate entries for key {"name":"c"}',
    ],
    ['wrong type', { ...deployment({}), spec: { replicas: 'x' } }, 'cannot unmarshal string'],
    [
      'other version',
      { ...deployment({}), apiVersion: 'apps/v2' },
      'Incorrect version specified in apply patch',
    ],
    [
      'managedFields',
      { ...deployment({}), metadata: { name: 'web', managedFields: [] } },
      'metadata.managedFields must be nil',
    ],
  ])('%s', (_, config, text) => {
    const error = failure(() => apply('me', undefined, config));
    expect(error.code).toBe(400);
    expect(error.message).toContain(text);
  });
});

describe('other writes', () => {
  test('own what they change and take it from the others', () => {
    const live = apply('me', undefined, deployment({ replicas: 3, labels: { a: '1' } }));
    const scaled = update('scaler', live, { ...live, spec: { replicas: 5 } }, LATE);
    expect(paths(scaled, 'me')).toEqual(['.metadata.labels.a']);
    expect(paths(scaled, 'scaler', 'Update')).toEqual(['.spec.replicas']);
    expect(scaled.metadata.managedFields?.map(({ manager, time }) => [manager, time])).toEqual([
      ['me', EARLY],
      ['scaler', LATE],
    ]);
    expect(failure(() => apply('me', scaled, deployment({ replicas: 3 }))).code).toBe(409);
  });

  test('a write without changes leaves no trace', () => {
    const live = update('a', undefined, deployment({ replicas: 3 }));
    expect(update('b', live, live, LATE)).toEqual(live);
    expect(update('a', live, live, LATE)).toEqual(live);
  });

  test('removed fields have no owner', () => {
    const live = update('a', undefined, deployment({ replicas: 3, labels: { a: '1', b: '2' } }));
    const next = update('b', live, { ...live, metadata: { ...live.metadata, labels: { a: '1' } } });
    expect(paths(next, 'a', 'Update')).toEqual(['.metadata.labels', '.metadata.labels.a', '.spec.replicas']);
    expect(paths(next, 'b', 'Update')).toEqual([]);
  });

  test('ignored fields are never owned', () => {
    const next = { ...deployment({ replicas: 1 }), status: { replicas: 1 } };
    expect(paths(update('a', undefined, next), 'a', 'Update')).toEqual(['.spec.replicas']);
    const status = trackUpdate(schema, undefined, next, {
      ...writer('c'),
      subresource: 'status',
      ignoredFields: ['spec'],
    });
    expect(status).toMatchObject([{ subresource: 'status', fieldsV1: { 'f:status': { 'f:replicas': {} } } }]);
  });

  test('managedFields may be set and reset by a client', () => {
    const live = update('a', undefined, deployment({ replicas: 3 }));
    const reset = { ...live, metadata: { ...live.metadata, managedFields: [{}] } };
    expect(trackUpdate(schema, live, reset, writer('b'))).toEqual([]);
    const renamed = structuredClone(live);
    renamed.metadata.managedFields![0]!.manager = 'z';
    expect(paths(update('b', live, renamed), 'z', 'Update')).toEqual(['.spec.replicas']);
  });
});

describe('custom resources', () => {
  const crd = {
    spec: {
      group: 'example.com',
      names: { kind: 'Widget', plural: 'widgets' },
      versions: [
        {
          name: 'v1',
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: {
                  type: 'object',
                  properties: {
                    tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
                    steps: {
                      type: 'array',
                      items: { type: 'object', properties: { n: { type: 'integer' } } },
                    },
                    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                  },
                },
              },
            },
          },
        },
      ],
    },
  };
  const widgetSchema = customResourceSchema(crd, 'v1')!;
  const widget = (spec: unknown): KubeObject => ({
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    metadata: { name: 'w' },
    spec,
  });
  const applyWidget = (manager: string, live: KubeObject | undefined, spec: unknown) =>
    serverSideApply({
      schema: widgetSchema,
      custom: true,
      live,
      config: widget(spec),
      force: false,
      manager,
      apiVersion: 'example.com/v1',
      time: EARLY,
    });

  test('sets are owned by value, atomic lists whole, free-form parts member by member', () => {
    const first = applyWidget('a', undefined, { tags: ['x'], steps: [{ n: 1 }], free: { deep: { k: 1 } } });
    expect(paths(first, 'a')).toEqual([
      '.spec.free.deep',
      '.spec.free.deep.k',
      '.spec.steps',
      '.spec.tags[="x"]',
    ]);
    const second = applyWidget('b', first, { tags: ['y'] });
    expect(second.spec).toMatchObject({ tags: ['x', 'y'] });
    const third = applyWidget('a', second, {});
    expect(third.spec).toEqual({ tags: ['y'] });
  });
});

describe('field sets', () => {
  const element = fc.constantFrom('f:a', 'f:b', 'k:{"name":"x"}', 'v:1');
  const set = fc.array(fc.array(element, { minLength: 1, maxLength: 3 }), { maxLength: 6 }).map((list) =>
    list.reduce((all, path) => {
      const fields = path.reduceRight<object>((inner, part) => ({ [part]: inner }), {});
      return unionOf(all, parseFieldsV1(fields));
    }, parseFieldsV1({})),
  );

  test('the stored form round-trips', () => {
    fc.assert(
      fc.property(set, (a) => {
        expect(setsEqual(parseFieldsV1(formatFieldsV1(a)), a)).toBe(true);
      }),
    );
  });

  test('set algebra', () => {
    const has = (of: Parameters<typeof pathTexts>[0]) => new Set(pathTexts(of));
    fc.assert(
      fc.property(set, set, (a, b) => {
        expect(has(unionOf(a, b))).toEqual(new Set([...has(a), ...has(b)]));
        expect(has(differenceOf(a, b))).toEqual(has(a).difference(has(b)));
        expect(has(intersectionOf(a, b))).toEqual(has(a).intersection(has(b)));
        expect(isEmptySet(differenceOf(a, a))).toBe(true);
      }),
    );
  });

  test('hostile managedFields are read as something', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(pathTexts(parseFieldsV1(value))).toBeDefined();
      }),
    );
    let deep: object = {};
    for (let i = 0; i < 5000; i++) deep = { 'f:a': deep };
    expect(pathTexts(parseFieldsV1(deep)).length).toBe(1);
  });
});

test('what a configuration merges in is what it owns, and comparing finds it', () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const container = fc.record({ name, image: fc.constantFrom('x', 'y') }, { requiredKeys: ['name'] });
  const config = fc
    .record(
      {
        labels: fc.dictionary(name, fc.constantFrom('1', '2'), { minKeys: 1 }),
        replicas: fc.integer({ min: 0, max: 3 }),
        containers: fc.uniqueArray(container, { selector: (c) => c.name, minLength: 1 }),
      },
      { requiredKeys: [] },
    )
    .map((parts) => deployment(parts as Parts));
  fc.assert(
    fc.property(config, config, (a, b) => {
      const merged = mergeFields(a, b, schema);
      const change = compareFields(a, merged, schema);
      expect(isEmptySet(change.removed)).toBe(true);
      const owned = fieldsOf(b, schema);
      expect(isEmptySet(differenceOf(change.modified, owned))).toBe(true);
      expect(jsonEquals(mergeFields(merged, b, schema), merged)).toBe(true);
      // Applying both by one manager leaves exactly the second configuration.
      const first = apply('me', undefined, a);
      const second = apply('me', first, b);
      const { managedFields: _, ...metadata } = second.metadata;
      const left = { ...second, metadata };
      expect(jsonEquals(left, b)).toBe(true);
    }),
  );
});
