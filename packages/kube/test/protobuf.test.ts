import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isJsonObject } from '../src/object.ts';
import { decodeProtobuf, isProtobufEnvelope } from '../src/protobuf.ts';
import { ApiError } from '../src/status.ts';

interface Fixture {
  command: string;
  base64: string;
  object: unknown;
}

const fixtures = JSON.parse(
  readFileSync(new URL('./fixtures/kubectl-protobuf.json', import.meta.url), 'utf8'),
) as Fixture[];

/** kubectl prints nulls for zero times and nil lists; decoding leaves them out. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isJsonObject(value)) return value;
  const kept = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(kept.map(([key, member]) => [key, withoutNulls(member)]));
}

// A writer small enough to see that it is right: field number, then value.
function varint(value: number): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}

function int(number: number, value: number): number[] {
  return [...varint(number * 8), ...varint(value)];
}

function bytes(number: number, value: number[] | string): number[] {
  const content = typeof value === 'string' ? [...Buffer.from(value)] : value;
  return [...varint(number * 8 + 2), ...varint(content.length), ...content];
}

function envelope(apiVersion: string, kind: string, raw: number[], more: number[] = []): Uint8Array {
  const typeMeta = [...bytes(1, apiVersion), ...bytes(2, kind)];
  return Uint8Array.from([0x6b, 0x38, 0x73, 0, ...bytes(1, typeMeta), ...bytes(2, raw), ...more]);
}

function refusal(body: Uint8Array): string {
  try {
    decodeProtobuf(body);
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).code).toBe(400);
    return (error as ApiError).message;
  }
  return expect.unreachable();
}

describe('what kubectl 1.32 sends', () => {
  test.each(fixtures)('$command', ({ base64, object }) => {
    const body = Buffer.from(base64, 'base64');
    expect(isProtobufEnvelope(body)).toBe(true);
    expect(decodeProtobuf(body)).toEqual(withoutNulls(object));
  });
});

describe('special types', () => {
  const time = (seconds: number, nanos = 0) => [...int(1, seconds), ...int(2, nanos)];

  test('Time, and its zero value', () => {
    const meta = [...bytes(1, 'a'), ...bytes(8, time(1_700_000_000)), ...bytes(9, [])];
    expect(decodeProtobuf(envelope('v1', 'ConfigMap', bytes(1, meta)))).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'a', creationTimestamp: '2023-11-14T22:13:20Z' },
    });
  });

  test('MicroTime', () => {
    const spec = [...bytes(1, 'holder'), ...int(2, 15), ...bytes(3, time(1, 234_567_000))];
    expect(decodeProtobuf(envelope('coordination.k8s.io/v1', 'Lease', bytes(2, spec))).spec).toEqual({
      holderIdentity: 'holder',
      leaseDurationSeconds: 15,
      acquireTime: '1970-01-01T00:00:01.234567Z',
    });
  });

  test('IntOrString, Quantity and pointers to zero', () => {
    const port = (target: number[]) => bytes(1, [...bytes(1, 'p'), ...int(3, 80), ...bytes(4, target)]);
    const ports = [
      ...port([...int(1, 1), ...bytes(3, 'http')]),
      ...port([...int(1, 0), ...int(2, 8080)]),
      ...port([]),
    ];
    const service = decodeProtobuf(envelope('v1', 'Service', bytes(2, ports)));
    expect(service.spec).toEqual({
      ports: [
        { name: 'p', port: 80, targetPort: 'http' },
        { name: 'p', port: 80, targetPort: 8080 },
        { name: 'p', port: 80 },
      ],
    });
    // Deployment.spec: 1 replicas is a pointer, 5 minReadySeconds is not.
    const deployment = decodeProtobuf(
      envelope('apps/v1', 'Deployment', bytes(2, [...int(1, 0), ...int(5, 0)])),
    );
    expect(deployment.spec).toEqual({ replicas: 0 });
    const hard = bytes(1, [...bytes(1, 'cpu'), ...bytes(2, bytes(1, '1000m'))]);
    expect(decodeProtobuf(envelope('v1', 'ResourceQuota', bytes(2, hard))).spec).toEqual({
      hard: { cpu: '1' },
    });
  });

  test('bytes, maps, negative numbers', () => {
    const data = bytes(2, [...bytes(1, 'k'), ...bytes(2, [0xff, 0])]);
    expect(decodeProtobuf(envelope('v1', 'Secret', data)).data).toEqual({ k: '/wA=' });
    expect(decodeProtobuf(envelope('scheduling.k8s.io/v1', 'PriorityClass', int(2, -5))).value).toBe(-5);
    const proto = bytes(2, [...bytes(1, '__proto__'), ...bytes(2, 'x')]);
    const object = decodeProtobuf(envelope('v1', 'ConfigMap', proto));
    expect(Object.keys(object.data as object)).toEqual(['__proto__']);
  });

  test('a list that JSON does not wrap', () => {
    const user = bytes(4, [...bytes(1, 'scopes'), ...bytes(2, [...bytes(1, 'a'), ...bytes(1, 'b')])]);
    const review = decodeProtobuf(
      envelope('authentication.k8s.io/v1', 'TokenReview', bytes(3, bytes(2, user))),
    );
    expect(review.status).toMatchObject({ user: { extra: { scopes: ['a', 'b'] } } });
  });

  test('raw extensions and fieldsV1 are JSON', () => {
    const data = bytes(2, bytes(1, '{"a":[1]}'));
    expect(decodeProtobuf(envelope('apps/v1', 'ControllerRevision', data)).data).toEqual({ a: [1] });
    const managed = bytes(17, [
      ...bytes(1, 'm'),
      ...bytes(6, 'FieldsV1'),
      ...bytes(7, bytes(1, '{"f:a":{}}')),
    ]);
    expect(decodeProtobuf(envelope('v1', 'ConfigMap', bytes(1, managed))).metadata).toEqual({
      managedFields: [{ manager: 'm', fieldsType: 'FieldsV1', fieldsV1: { 'f:a': {} } }],
    });
  });

  test('options kinds exist in every group', () => {
    const options = [...int(1, 0), ...bytes(4, 'Background')];
    for (const apiVersion of ['v1', 'apps/v1', 'meta.k8s.io/v1']) {
      expect(decodeProtobuf(envelope(apiVersion, 'DeleteOptions', options))).toEqual({
        apiVersion,
        kind: 'DeleteOptions',
        gracePeriodSeconds: 0,
        propagationPolicy: 'Background',
      });
    }
  });

  test('JSON inside the envelope, and unknown fields', () => {
    const json = envelope('', '', [...Buffer.from('{"kind":"X"}')], bytes(4, 'application/json'));
    expect(decodeProtobuf(json)).toEqual({ kind: 'X' });
    const later = [
      ...int(500, 1),
      ...bytes(501, 'x'),
      ...varint(502 * 8 + 1),
      ...Array(8).fill(0),
      ...bytes(4, []),
    ];
    expect(decodeProtobuf(envelope('v1', 'Namespace', later))).toMatchObject({ kind: 'Namespace' });
  });
});

describe('hostile bodies', () => {
  test.each<[string, Uint8Array, string]>([
    ['JSON', Uint8Array.from(Buffer.from('{}')), 'does not start with'],
    ['nothing', new Uint8Array(0), 'does not start with'],
    ['magic only', Uint8Array.from([0x6b, 0x38, 0x73, 0]), 'no kind "" is registered'],
    ['unknown kind', envelope('v1', 'Nothing', []), 'no kind "Nothing" is registered for version "v1"'],
    ['a type that is no kind', envelope('v1', 'PodSpec', []), 'no kind "PodSpec"'],
    ['cut value', envelope('v1', 'ConfigMap', [0x0a, 0x7f]), 'ends past its message'],
    [
      'endless number',
      envelope('v1', 'Node', [0x98, 0x06, ...Array(11).fill(0xff)]),
      'longer than ten bytes',
    ],
    ['field number zero', envelope('v1', 'ConfigMap', [0x02, 0x00]), 'field number 0'],
    ['group', envelope('v1', 'ConfigMap', [0xa3, 0x06]), 'wire type 3'],
    ['wrong wire type', envelope('v1', 'ConfigMap', int(1, 5)), 'does not fit a message'],
    ['encoded content', envelope('v1', 'ConfigMap', [], bytes(3, 'gzip')), 'content encoding'],
    ['raw that is not JSON', envelope('apps/v1', 'ControllerRevision', bytes(2, bytes(1, '{'))), 'not JSON'],
    ['time out of range', envelope('v1', 'ConfigMap', bytes(1, bytes(8, int(1, 1e15)))), 'out of range'],
  ])('%s', (_, body, text) => {
    expect(refusal(body)).toContain(text);
  });

  test('deep nesting is refused', () => {
    let schema: number[] = [];
    for (let i = 0; i < 2000; i++) schema = bytes(28, schema);
    const version = bytes(7, [...bytes(1, 'v1'), ...bytes(4, bytes(1, schema))]);
    expect(
      refusal(envelope('apiextensions.k8s.io/v1', 'CustomResourceDefinition', bytes(2, version))),
    ).toContain('nested');
  });

  test('every cut and every flipped byte of a real body decodes or is refused', () => {
    for (const { base64 } of fixtures) {
      const body = Buffer.from(base64, 'base64');
      for (let i = 0; i < body.length; i++) {
        const flipped = Buffer.from(body);
        flipped[i] = (flipped[i] as number) ^ 0xff;
        for (const hostile of [body.subarray(0, i), flipped]) {
          try {
            decodeProtobuf(hostile);
          } catch (error) {
            expect(error).toBeInstanceOf(ApiError);
          }
        }
      }
    }
  });

  test('random bytes', () => {
    const kind = fc.constantFrom('Pod', 'Service', 'Secret', 'Event', 'Node');
    fc.assert(
      fc.property(kind, fc.uint8Array({ maxLength: 200 }), (name, raw) => {
        for (const body of [envelope('v1', name, [...raw]), Uint8Array.from([0x6b, 0x38, 0x73, 0, ...raw])]) {
          try {
            decodeProtobuf(body);
          } catch (error) {
            expect(error).toBeInstanceOf(ApiError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
