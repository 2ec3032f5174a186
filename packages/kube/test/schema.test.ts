import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { apiVersionOf, RESOURCES } from '../src/resources.ts';
import {
  componentName,
  componentOfKind,
  componentSchema,
  customResourceSchema,
  messageNameOf,
  resolveSchema,
  type Schema,
  schemaOfKind,
} from '../src/schema.ts';
import { decodeBody, decodeBuiltIn, type FieldValidation, unknownFields } from '../src/schema-decode.ts';
import { duplicateFields } from '../src/schema-duplicates.ts';
import { ApiError } from '../src/status.ts';

function at(schema: Schema, ...path: string[]): Schema {
  let current = schema;
  for (const name of path) current = resolveSchema(resolveSchema(current).properties?.[name] ?? {}) as Schema;
  return current;
}

function propertyOf(component: string, name: string): Schema {
  return componentSchema(component)?.properties?.[name] ?? {};
}

describe('schemas', () => {
  test('component names and back', () => {
    expect(componentName('core/v1.Pod')).toBe('io.k8s.api.core.v1.Pod');
    expect(componentOfKind('apps/v1', 'Deployment')).toBe('io.k8s.api.apps.v1.Deployment');
    expect(componentOfKind('v1', 'DeleteOptions')).toBe('io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions');
    expect(componentOfKind('apps/v1', 'Nothing')).toBeUndefined();
    for (const name of [
      'core/v1.Pod',
      'meta/v1.Time',
      'resource.Quantity',
      'apiextensions/v1.JSONSchemaProps',
    ]) {
      expect(messageNameOf(componentName(name))).toBe(name);
    }
  });

  test('every served kind and its list have a schema', () => {
    for (const info of RESOURCES) {
      expect(schemaOfKind(apiVersionOf(info), info.kind), info.kind).toBeDefined();
      if (!info.virtual)
        expect(schemaOfKind(apiVersionOf(info), `${info.kind}List`), info.kind).toBeDefined();
    }
  });

  test('merge markers', () => {
    expect(propertyOf('io.k8s.api.core.v1.PodSpec', 'containers')).toMatchObject({
      type: 'array',
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'name',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    });
    expect(propertyOf('io.k8s.api.core.v1.ServiceSpec', 'ports')).toMatchObject({
      'x-kubernetes-patch-merge-key': 'port',
      'x-kubernetes-list-map-keys': ['port', 'protocol'],
    });
    expect(propertyOf('io.k8s.api.core.v1.PodSpec', 'volumes')).toMatchObject({
      'x-kubernetes-patch-strategy': 'merge,retainKeys',
    });
    expect(propertyOf('io.k8s.api.apps.v1.DeploymentSpec', 'strategy')).toMatchObject({
      'x-kubernetes-patch-strategy': 'retainKeys',
    });
    expect(propertyOf('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', 'finalizers')).toMatchObject({
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-list-type': 'set',
    });
  });

  test('types, formats, inlined structs and required fields', () => {
    const pod = schemaOfKind('v1', 'Pod')!;
    expect(at(pod, 'spec').required).toEqual(['containers']);
    expect(at(pod, 'spec', 'terminationGracePeriodSeconds')).toMatchObject({
      type: 'integer',
      format: 'int64',
    });
    expect(Object.keys(componentSchema('io.k8s.api.core.v1.Volume')?.properties ?? {})).toEqual(
      expect.arrayContaining(['name', 'emptyDir', 'configMap', 'secret', 'hostPath']),
    );
    expect(propertyOf('io.k8s.api.core.v1.Probe', 'httpGet').$ref).toContain('HTTPGetAction');
    expect(componentSchema('io.k8s.apimachinery.pkg.util.intstr.IntOrString')).toMatchObject({
      format: 'int-or-string',
    });
    expect(propertyOf('io.k8s.api.core.v1.Secret', 'data').additionalProperties).toEqual({
      type: 'string',
      format: 'byte',
    });
    expect(
      resolveSchema(propertyOf('io.k8s.api.core.v1.PersistentVolumeSpec', 'claimRef'))[
        'x-kubernetes-map-type'
      ],
    ).toBe('granular');
  });
});

const deployment = (spec: unknown) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'x' },
  spec,
});

function decode(object: Record<string, unknown>, fieldValidation: FieldValidation = 'Warn'): string[] {
  const { apiVersion, kind } = object as { apiVersion: string; kind: string };
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1);
  const schema = schemaOfKind(apiVersion, kind)!;
  return decodeBody({ schema, custom: false, kind, version, object, fieldValidation });
}

const inContainer = (more: object) =>
  deployment({ template: { spec: { containers: [{ name: 'c', ...more }] } } });

describe('decoding bodies', () => {
  test.each([
    [
      deployment({ replicas: '3' }),
      'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      deployment({ replicas: 1.5 }),
      'json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      deployment({ replicas: 2 ** 31 }),
      'json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      inContainer({ env: [{ name: 'a', value: 1 }] }),
      'json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string',
    ],
    [
      deployment({ template: { spec: { containers: {} } } }),
      'json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container',
    ],
    [
      deployment({ paused: 'yes' }),
      'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool',
    ],
    [
      inContainer({ resources: { limits: { cpu: 'x' } } }),
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [
      deployment({ strategy: { rollingUpdate: { maxSurge: true } } }),
      'json: cannot unmarshal bool into Go value of type int32',
    ],
    [{ apiVersion: 'v1', kind: 'Secret', data: { k: '@' } }, 'illegal base64 data at input byte 0'],
    [
      { apiVersion: 'v1', kind: 'Pod', spec: [] },
      'json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec',
    ],
  ])('wrong type %#', (object, text) => {
    const kind = object.kind;
    try {
      decode(object);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ApiError);
      expect((error as ApiError).code).toBe(400);
      expect((error as ApiError).message).toBe(
        `${kind} in version "v1" cannot be handled as a ${kind}: ${text}`,
      );
    }
  });

  test('unknown fields are dropped and told', () => {
    const object = inContainer({ imag: 'x', image: 'y' });
    (object.spec as Record<string, unknown>).foo = 1;
    expect(decode(object)).toEqual([
      'unknown field "spec.template.spec.containers[0].imag"',
      'unknown field "spec.foo"',
    ]);
    expect(object.spec).toEqual({ template: { spec: { containers: [{ name: 'c', image: 'y' }] } } });
  });

  test('Strict refuses, Ignore is silent', () => {
    expect(() => decode(deployment({ foo: 1, bar: 2 }), 'Strict')).toThrow(
      'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.foo", unknown field "spec.bar"',
    );
    const object = deployment({ foo: 1 });
    expect(decode(object, 'Ignore')).toEqual([]);
    expect(object.spec).toEqual({});
  });

  test('nulls vanish, quantities become canonical', () => {
    const object = inContainer({
      command: null,
      resources: { limits: { cpu: 1, memory: '1024Mi' }, requests: null },
    });
    (object.metadata as Record<string, unknown>).creationTimestamp = null;
    expect(decode(object)).toEqual([]);
    expect(object).toEqual({
      ...deployment({
        template: {
          spec: { containers: [{ name: 'c', resources: { limits: { cpu: '1', memory: '1Gi' } } }] },
        },
      }),
    });
  });

  test('raw extensions are left alone', () => {
    const object = {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: { name: 'r' },
      revision: 1,
      data: { spec: { anything: [null] } },
    };
    expect(decode(object)).toEqual([]);
    expect(object.data).toEqual({ spec: { anything: [null] } });
  });

  test('the sample manifests have no unknown field', () => {
    const text = readFileSync(new URL('../../../deploy/samples/shop.yaml', import.meta.url), 'utf8');
    const objects = parseAllDocuments(text).map(
      (document) => document.toJSON() as Record<string, unknown> | null,
    );
    expect(objects.length).toBeGreaterThan(3);
    for (const object of objects) if (object) expect(decode(object)).toEqual([]);
  });

  test('any JSON as a Pod is decoded or refused with 400', () => {
    const schema = schemaOfKind('v1', 'Pod')!;
    const value = fc.jsonValue({ maxDepth: 3 });
    const spec = fc.dictionary(
      fc.constantFrom('containers', 'volumes', 'nodeName', 'hostNetwork', 'x'),
      value,
    );
    const container = fc.dictionary(
      fc.constantFrom('name', 'ports', 'env', 'resources', 'livenessProbe'),
      value,
    );
    const pod = fc.record({
      metadata: value,
      spec: fc.oneof(spec, fc.record({ containers: fc.array(container) })),
    });
    fc.assert(
      fc.property(pod, (object) => {
        try {
          decodeBody({
            schema,
            custom: false,
            kind: 'Pod',
            version: 'v1',
            object: structuredClone(object) as Record<string, unknown>,
            fieldValidation: 'Warn',
          });
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
        }
      }),
    );
  });

  test('decoding twice changes nothing more', () => {
    const object = inContainer({ resources: { requests: { cpu: '0.10' } }, x: 1 });
    const schema = schemaOfKind('apps/v1', 'Deployment')!;
    decodeBuiltIn(schema, object, 'Deployment');
    const once = structuredClone(object);
    expect(decodeBuiltIn(schema, object, 'Deployment')).toEqual([]);
    expect(object).toEqual(once);
  });
});

describe('custom resources', () => {
  const crd = {
    spec: {
      group: 'stable.example.com',
      names: { kind: 'CronTab', plural: 'crontabs' },
      versions: [
        {
          name: 'v1',
          served: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: {
                  type: 'object',
                  properties: {
                    image: { type: 'string' },
                    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                    labels: { type: 'object', additionalProperties: { type: 'string' } },
                  },
                },
              },
            },
          },
        },
      ],
    },
  };

  test('unknown members are dropped unless preserved', () => {
    const schema = customResourceSchema(crd, 'v1')!;
    expect(customResourceSchema(crd, 'v1')).toBe(schema);
    expect(customResourceSchema(crd, 'v2')).toBeUndefined();
    const object = {
      apiVersion: 'stable.example.com/v1',
      kind: 'CronTab',
      metadata: { name: 'a', nope: 1 },
      spec: { image: 'x', free: { any: { thing: 1 } }, labels: { a: 'b' }, other: 1 },
      extra: true,
    };
    const expected = ['unknown field "metadata.nope"', 'unknown field "spec.other"', 'unknown field "extra"'];
    expect(unknownFields(schema, object)).toEqual(expected);
    expect(object.extra).toBe(true);
    const warnings = decodeBody({
      schema,
      custom: true,
      kind: 'CronTab',
      version: 'v1',
      object,
      fieldValidation: 'Warn',
    });
    expect(warnings).toEqual(expected);
    expect(object).toEqual({
      apiVersion: 'stable.example.com/v1',
      kind: 'CronTab',
      metadata: { name: 'a' },
      spec: { image: 'x', free: { any: { thing: 1 } }, labels: { a: 'b' } },
    });
  });
});

describe('duplicate fields', () => {
  test.each([
    ['{"a":1,"a":2}', ['duplicate field "a"']],
    ['{"spec":{"replicas":1,"x":{"y":1},"replicas":2}}', ['duplicate field "spec.replicas"']],
    ['{"a":[{"b":1},{"b":1,"b":2}]}', ['duplicate field "a[1].b"']],
    ['{"a":"{\\"a\\":1","b":"\\\\","c":{"a":1}}', []],
    ['{"a":{"x":1},"b":{"x":1}}', []],
    ['[]', []],
    ['{"a', []],
    ['}}]]', []],
  ])('%s', (text, expected) => {
    expect(duplicateFields(text)).toEqual(expected);
  });

  test('absurd nesting is refused', () => {
    expect(() => duplicateFields(`${'['.repeat(2000)}${']'.repeat(2000)}`)).toThrow(SyntaxError);
    expect(() => duplicateFields('{"a":'.repeat(1_000_000))).toThrow('exceeded max depth');
    expect(duplicateFields(`${'['.repeat(900)}${']'.repeat(900)}`)).toEqual([]);
  });

  test('JSON made from objects has none, and any text ends', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(duplicateFields(JSON.stringify(value))).toEqual([]);
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(Array.isArray(duplicateFields(text))).toBe(true);
      }),
    );
  });
});
