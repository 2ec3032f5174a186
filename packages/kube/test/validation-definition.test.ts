import { describe, expect, test } from 'vitest';
import { type Change, changed, createTexts, updateTexts } from './kind-harness.ts';

const DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com', finalizers: ['customresourcecleanup.apiextensions.k8s.io'] },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { kind: 'Widget', plural: 'widgets', shortNames: ['wd'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              metadata: { type: 'object' },
              spec: {
                type: 'object',
                required: ['size'],
                properties: {
                  size: { type: 'integer', minimum: 1 },
                  port: {
                    'x-kubernetes-int-or-string': true,
                    anyOf: [{ type: 'integer' }, { type: 'string' }],
                  },
                  tags: { type: 'object', additionalProperties: { type: 'string' } },
                  rest: { 'x-kubernetes-preserve-unknown-fields': true },
                  hosts: {
                    type: 'array',
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['name'],
                    items: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
                  },
                },
              },
            },
          },
        },
        subresources: {
          status: {},
          scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.size' },
        },
        additionalPrinterColumns: [{ name: 'Size', type: 'integer', jsonPath: '.spec.size' }],
      },
    ],
  },
  status: { storedVersions: ['v1'] },
};
const SCHEMA = 'spec.versions[0].schema.openAPIV3Schema';
/** Where the server places what a definition's only version says. */
const SHOWN = 'spec.validation.openAPIV3Schema';
const contains = (text: string) => expect.stringContaining(text) as unknown as string;

describe('a new definition', () => {
  test.each<[string, Change[], string[]]>([
    ['is right', [], []],
    [
      'has another name',
      [['metadata.name', 'gadgets.example.com']],
      ['metadata.name: Invalid value: "gadgets.example.com": must be spec.names.plural+"."+spec.group'],
    ],
    [
      'says nothing',
      [
        ['spec', {}],
        ['status', undefined],
      ],
      [
        'metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group',
        'spec.group: Required value',
        'spec.scope: Required value',
        'spec.versions: Invalid value: null: must have exactly one version marked as storage version',
        'spec.names.plural: Required value',
        'spec.names.singular: Required value',
        'spec.names.kind: Required value',
        'spec.names.listKind: Required value',
      ],
    ],
    [
      'has odd names',
      [
        [
          'spec.names',
          { kind: 'wi_dget', plural: 'widgets', singular: 'W', listKind: 'wi_dget', shortNames: ['1'] },
        ],
      ],
      [
        contains('spec.names.singular: Invalid value: "W": a DNS-1035 label must consist'),
        contains(
          'spec.names.kind: Invalid value: "wi_dget": may have mixed case, but should otherwise match: a DNS-1035',
        ),
        contains('spec.names.listKind: Invalid value: "wi_dget": may have mixed case'),
        'spec.names.listKind: Invalid value: "wi_dget": kind and listKind may not be the same',
        contains('spec.names.shortNames[0]: Invalid value: "1": a DNS-1035'),
      ],
    ],
    [
      'has a group without a domain',
      [
        ['spec.group', 'example'],
        ['metadata.name', 'widgets.example'],
      ],
      ['spec.group: Invalid value: "example": should be a domain with at least one dot'],
    ],
    [
      'has an odd scope',
      [['spec.scope', 'World']],
      ['spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"'],
    ],
    [
      'stores nothing',
      [['spec.versions[0].storage', false]],
      [contains('must have exactly one version marked as storage version')],
    ],
    [
      'has no schema',
      [['spec.versions[0].schema', undefined]],
      [`${SCHEMA}: Required value: schemas are required`],
    ],
    ['has an empty schema', [[SCHEMA, {}]], [`${SHOWN}.type: Required value: must not be empty at the root`]],
    [
      'is no object',
      [[SCHEMA, { type: 'string' }]],
      [
        `${SHOWN}.type: Invalid value: "string": only "object" is allowed as the type at the root of the schema if the status subresource is enabled`,
        `${SHOWN}.type: Invalid value: "string": must be object at the root`,
      ],
    ],
    [
      'has fields without types',
      [
        [
          `${SCHEMA}.properties.spec.properties`,
          { a: {}, b: { type: 'array' }, c: { type: 'array', items: {} } },
        ],
      ],
      [
        `${SHOWN}.properties[spec].properties[a].type: Required value: must not be empty for specified object fields`,
        `${SHOWN}.properties[spec].properties[b].items: Required value: must be specified`,
        `${SHOWN}.properties[spec].properties[c].items.type: Required value: must not be empty for specified array items`,
      ],
    ],
    [
      'has unknown types and keywords',
      [
        [
          `${SCHEMA}.properties.spec.properties`,
          { a: { type: 'text' }, b: { type: 'null' }, c: { type: 'object', $ref: 'x', uniqueItems: true } },
        ],
      ],
      [
        `${SHOWN}.properties[spec].properties[a].type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"`,
        `${SHOWN}.properties[spec].properties[b].type: Forbidden: type cannot be set to null, use nullable as an alternative`,
        `${SHOWN}.properties[spec].properties[c].$ref: Forbidden: $ref is not supported`,
        `${SHOWN}.properties[spec].properties[c].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic`,
      ],
    ],
    [
      'mixes a struct and a map',
      [[`${SCHEMA}.properties.spec.additionalProperties`, { type: 'string' }]],
      [
        `${SHOWN}.properties[spec].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive`,
      ],
    ],
    [
      'has types in branches',
      [[`${SCHEMA}.properties.spec.anyOf`, [{ type: 'object', properties: { size: { default: 1 } } }]]],
      [
        `${SHOWN}.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural`,
        `${SHOWN}.properties[spec].anyOf[0].properties[size].default: Forbidden: must be undefined to be structural`,
      ],
    ],
    [
      'speaks of metadata',
      [[`${SCHEMA}.properties.metadata.properties`, { labels: { type: 'object' } }]],
      [
        `${SHOWN}.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified`,
      ],
    ],
    [
      'has odd lists',
      [
        [`${SCHEMA}.properties.spec.properties.hosts["x-kubernetes-list-map-keys"]`, ['port']],
        [`${SCHEMA}.properties.spec.properties.size["x-kubernetes-list-type"]`, 'bag'],
      ],
      [
        `${SHOWN}.properties[spec].properties[hosts].x-kubernetes-list-map-keys[0]: Invalid value: "port": entries must all be names of item properties`,
        `${SHOWN}.properties[spec].properties[size].x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map"`,
        `${SHOWN}.properties[spec].properties[size].type: Invalid value: "integer": must be array if x-kubernetes-list-type is specified`,
      ],
    ],
    [
      'has an odd pattern',
      [[`${SCHEMA}.properties.spec.properties.size`, { type: 'string', pattern: '(' }]],
      [
        contains(
          `${SHOWN}.properties[spec].properties[size].pattern: Invalid value: "(": must be a valid regular expression, but isn't: `,
        ),
      ],
    ],
    [
      'has two versions that differ',
      [
        [
          'spec.versions[1]',
          {
            name: 'v2',
            served: true,
            storage: false,
            schema: { openAPIV3Schema: { type: 'object', nullable: true } },
          },
        ],
      ],
      ['spec.versions[1].schema.openAPIV3Schema.nullable: Forbidden: nullable cannot be true at the root'],
    ],
    [
      'has a version twice',
      [['spec.versions[1]', { ...DEFINITION.spec.versions[0], storage: false }]],
      [contains('must contain unique version names')],
    ],
    [
      'scales and prints oddly',
      [
        [
          'spec.versions[0].subresources.scale',
          { specReplicasPath: 'spec.x', statusReplicasPath: '.spec.y' },
        ],
        ['spec.versions[0].additionalPrinterColumns', [{ type: 'text', format: 'big', jsonPath: 'x' }]],
      ],
      [
        'spec.versions[0].subresources.scale.specReplicasPath: Invalid value: "spec.x": must be a simple json path starting with .',
        'spec.versions[0].subresources.scale.statusReplicasPath: Invalid value: ".spec.y": should be a json path under .status',
        'spec.versions[0].additionalPrinterColumns[0].name: Required value',
        'spec.versions[0].additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string',
        'spec.versions[0].additionalPrinterColumns[0].format: Invalid value: "big": must be one of byte,date,date-time,double,float,int32,int64,password',
        'spec.versions[0].additionalPrinterColumns[0].JSONPath: Invalid value: "x": must be a simple json path starting with .',
      ],
    ],
    [
      'is converted by nobody',
      [['spec.conversion', { strategy: 'Webhook' }]],
      [
        'spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook',
        'spec.conversion.conversionReviewVersions: Required value',
      ],
    ],
    [
      'is in a protected group',
      [
        ['spec.group', 'x.k8s.io'],
        ['metadata.name', 'widgets.x.k8s.io'],
      ],
      [
        'metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111',
      ],
    ],
    [
      'is in a protected group with leave',
      [
        ['spec.group', 'x.k8s.io'],
        ['metadata.name', 'widgets.x.k8s.io'],
        ['metadata.annotations', { 'api-approved.kubernetes.io': 'https://example.com/1' }],
      ],
      [],
    ],
  ])('%s', (_name, changes, expected) => {
    expect(createTexts(changed(DEFINITION, ...changes))).toEqual(expected);
  });
});

describe('a changed definition', () => {
  const established: Change = ['status.conditions', [{ type: 'Established', status: 'True' }]];
  test.each<[string, Change[], Change[], string[]]>([
    ['same', [established], [established], []],
    [
      'scope and kind once established',
      [established],
      [established, ['spec.scope', 'Cluster'], ['spec.names.kind', 'Gadget']],
      [
        'spec.scope: Invalid value: "Cluster": field is immutable',
        'spec.names.kind: Invalid value: "Gadget": field is immutable',
      ],
    ],
    ['scope before that', [], [['spec.scope', 'Cluster']], []],
    ['group', [], [['spec.group', 'x.y']], ['spec.group: Invalid value: "x.y": field is immutable']],
    [
      'a stored version gone',
      [],
      [
        ['spec.versions[0].name', 'v2'],
        ['status.storedVersions', ['v1', 'v2']],
      ],
      [
        contains(
          'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage version',
        ),
      ],
    ],
  ])('%s', (_name, before, after, expected) => {
    expect(updateTexts(changed(DEFINITION, ...before), changed(DEFINITION, ...after))).toEqual(expected);
  });
});

test('a schema of absurd depth is refused, not followed', () => {
  let schema: object = { type: 'string' };
  for (let i = 0; i < 200; i++) schema = { type: 'object', properties: { a: schema } };
  const texts = createTexts(changed(DEFINITION, [SCHEMA, schema]));
  expect(texts).toHaveLength(1);
  expect(texts[0]).toMatch(/: Forbidden: must not nest deeper than 100 levels$/);
});
