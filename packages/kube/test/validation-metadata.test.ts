import { describe, expect, test } from 'vitest';
import { formatFieldError } from '../src/field-error.ts';
import type { KubeObject } from '../src/object.ts';
import { validateCreate, validateUpdate } from '../src/validation/validate.ts';
import { type Change, changed, createTexts, ready, updateTexts } from './kind-harness.ts';

const CONFIG = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'ns' } };

const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const OWNER = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u', controller: true };

describe('metadata of a new object', () => {
  test.each<[string, Change[], string[]]>([
    ['is right', [], []],
    [
      'has no name',
      [['metadata.name', '']],
      ['metadata.name: Required value: name or generateName is required'],
    ],
    [
      'has a bad name',
      [['metadata.name', 'A_b']],
      [`metadata.name: Invalid value: "A_b": ${SUBDOMAIN_TEXT}`],
    ],
    ['was named by the server', [['metadata.generateName', 'abc-']], []],
    [
      'has a bad base of a name',
      [['metadata.generateName', 'Abc-']],
      [`metadata.generateName: Invalid value: "Abc-": ${SUBDOMAIN_TEXT}`],
    ],
    [
      'has a bad namespace',
      [['metadata.namespace', 'a.b']],
      ['metadata.namespace: Invalid value: "a.b": must not contain dots'],
    ],
    [
      'has bad labels',
      [['metadata.labels', { '-x': 'v', ok: 'not ok', 'a.b/c': 'fine' }]],
      [
        `metadata.labels: Invalid value: "-x": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
        `metadata.labels: Invalid value: "not ok": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
      ],
    ],
    [
      'has too much in its annotations',
      [['metadata.annotations', { big: 'x'.repeat(256 * 1024) }]],
      ['metadata.annotations: Too long: may not be more than 262144 bytes'],
    ],
    ['may have upper-case annotation domains', [['metadata.annotations', { 'Example.com/X': '' }]], []],
    [
      'has a finalizer nobody knows',
      [['metadata.finalizers', ['mine', 'example.com/mine', 'orphan']]],
      [
        'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
      ],
    ],
    [
      'wants its dependents both kept and deleted',
      [['metadata.finalizers', ['orphan', 'foregroundDeletion']]],
      [
        'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set',
      ],
    ],
    [
      'has an empty owner',
      [['metadata.ownerReferences', [{ apiVersion: '', kind: '', name: '', uid: '' }]]],
      [
        'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
        'metadata.ownerReferences.kind: Invalid value: "": must not be empty',
        'metadata.ownerReferences.name: Invalid value: "": must not be empty',
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
      ],
    ],
    [
      'has two controllers',
      [['metadata.ownerReferences', [OWNER, { ...OWNER, name: 'q' }]]],
      [
        `metadata.ownerReferences: Invalid value: ${JSON.stringify([OWNER, { ...OWNER, name: 'q' }])}: Only one reference can have Controller set to true. Found "true" in references for Pod/p and Pod/q`,
      ],
    ],
    [
      'is owned by an Event',
      [['metadata.ownerReferences', [{ ...OWNER, kind: 'Event' }]]],
      [
        `metadata.ownerReferences: Invalid value: ${JSON.stringify({ ...OWNER, kind: 'Event' })}: /v1, Kind=Event is disallowed from being an owner`,
      ],
    ],
    [
      'has odd managed fields',
      [['metadata.managedFields', [{ manager: 'x'.repeat(129), operation: 'Do', fieldsType: 'V2' }]]],
      [
        'metadata.managedFields[0].operation: Invalid value: "Do": must be `Apply` or `Update`',
        'metadata.managedFields[0].fieldsType: Invalid value: "V2": must be `FieldsV1`',
        'metadata.managedFields[0].manager: Too long: may not be more than 128 bytes',
      ],
    ],
  ])('%s', (_name, changes, expected) => {
    expect(createTexts(changed(CONFIG, ...changes))).toEqual(expected);
  });

  test.each<[string, string, string, string[]]>([
    ['v1', 'Pod', 'a.b', []],
    ['v1', 'Service', '1a', ['metadata.name: Invalid value: "1a": a DNS-1035 label must consist']],
    ['v1', 'Namespace', 'a.b', ['metadata.name: Invalid value: "a.b": must not contain dots']],
    ['apps/v1', 'StatefulSet', 'a.b', ['metadata.name: Invalid value: "a.b": must not contain dots']],
    ['rbac.authorization.k8s.io/v1', 'Role', 'system:node', []],
    [
      'rbac.authorization.k8s.io/v1',
      'ClusterRole',
      'a/b',
      ['metadata.name: Invalid value: "a/b": may not contain \'/\''],
    ],
    [
      'batch/v1',
      'CronJob',
      'a'.repeat(53),
      [`metadata.name: Invalid value: "${'a'.repeat(53)}": must be no more than 52`],
    ],
  ])('%s %s may be named %s?', (apiVersion, kind, name, expected) => {
    const texts = createTexts({ apiVersion, kind, metadata: { name } }).filter((text) =>
      text.startsWith('metadata.name'),
    );
    expect(texts.map((text, i) => text.slice(0, expected[i]?.length))).toEqual(expected);
  });

  test('a cluster-scoped object has no namespace', () => {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a', namespace: 'x' } };
    expect(createTexts(node)).toEqual(['metadata.namespace: Forbidden: not allowed on this type']);
  });

  test('kinds of other people have the same metadata, with any finalizer', () => {
    const info = { group: 'example.com', plural: 'widgets', namespaced: true };
    const widget = {
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      metadata: { name: 'A', finalizers: ['mine'] },
    };
    expect(validateCreate(info, widget).map(formatFieldError)).toEqual([
      `metadata.name: Invalid value: "A": ${SUBDOMAIN_TEXT}`,
      'metadata.namespace: Required value',
    ]);
  });
});

describe('metadata of a changed object', () => {
  test.each<[string, Change[], Change[], string[]]>([
    ['same', [], [], []],
    ['name', [], [['metadata.name', 'b']], ['metadata.name: Invalid value: "b": field is immutable']],
    ['uid', [], [['metadata.uid', 'x']], ['metadata.uid: Invalid value: "x": field is immutable']],
    [
      'creation',
      [['metadata.creationTimestamp', '2024-01-01T00:00:00Z']],
      [['metadata.creationTimestamp', '2025-01-01T00:00:00Z']],
      ['metadata.creationTimestamp: Invalid value: "2025-01-01T00:00:00Z": field is immutable'],
    ],
    [
      'generation',
      [['metadata.generation', 3]],
      [['metadata.generation', 2]],
      ['metadata.generation: Invalid value: 2: must not be decremented'],
    ],
    [
      'finalizers while it is being deleted',
      [
        ['metadata.deletionTimestamp', '2024-01-01T00:00:00Z'],
        ['metadata.finalizers', ['a.b/c']],
      ],
      [
        ['metadata.deletionTimestamp', '2024-01-01T00:00:00Z'],
        ['metadata.finalizers', ['a.b/c', 'x.y/z', 'd.e/f']],
      ],
      [
        'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"d.e/f", "x.y/z"}',
      ],
    ],
    [
      'labels',
      [],
      [['metadata.labels', { a: '.' }]],
      [expect.stringContaining('metadata.labels: Invalid value: "."') as unknown as string],
    ],
  ])('%s', (_name, before, after, expected) => {
    expect(updateTexts(changed(CONFIG, ...before), changed(CONFIG, ...after))).toEqual(expected);
  });

  test('stale rules do not forbid what is not changed', () => {
    const set = ready(
      changed({ apiVersion: 'apps/v1', kind: 'StatefulSet' }, ['metadata.name', 'a.b']) as KubeObject,
    );
    const texts = validateUpdate({ group: 'apps', plural: 'statefulsets', namespaced: true }, set, set);
    expect(texts.filter((error) => error.field === 'metadata.name')).toEqual([]);
  });
});

test('labels of names are checked as labels', () => {
  expect(createTexts({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'A' } })).toEqual([
    `metadata.name: Invalid value: "A": ${LABEL_TEXT}`,
  ]);
});
