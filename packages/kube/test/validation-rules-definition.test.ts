import type { Change } from './kind-harness.ts';
import { type Row, testRows } from './rule-rows.ts';

/** The rules of definitions that people meet seldom, one row each. */

const SCHEMA = 'spec.versions[0].schema.openAPIV3Schema';
const SHOWN = 'spec.validation.openAPIV3Schema';
const property = (schema: object): Change => [`${SCHEMA}.properties`, { p: schema }];

const ROWS: Row[] = [
  ['definition', [[`${SCHEMA}.properties`, { metadata: { type: 'object', properties: { name: {} } } }]], []],
  [
    'definition',
    [[`${SCHEMA}.properties`, { p: { type: 'object', properties: { metadata: {} } } }]],
    [
      `${SHOWN}.properties[p].properties[metadata].type: Required value: must not be empty for specified object fields`,
    ],
  ],
  [
    'definition',
    [
      ['spec.group', '!.b'],
      ['metadata.name', 'xs.!.b'],
    ],
    ['metadata.name: Invalid value: "xs.!.b"', 'spec.group: Invalid value: "!.b"'],
  ],
  [
    'definition',
    [['spec.preserveUnknownFields', true]],
    ['spec.preserveUnknownFields: Invalid value: true: cannot set to true'],
  ],
  ['definition', [['spec.versions[0].name', '1']], ['spec.versions[0].name: Invalid value: "1"']],
  [
    'definition',
    [['spec.versions[0].deprecationWarning', 'x']],
    ['spec.versions[0].deprecationWarning: Invalid value: "x": can only be set for deprecated versions'],
  ],
  [
    'definition',
    [
      [
        'spec.versions[0].subresources.scale',
        { specReplicasPath: '', statusReplicasPath: '.status.x', labelSelectorPath: '.x' },
      ],
    ],
    [
      'spec.versions[0].subresources.scale.specReplicasPath: Required value',
      'spec.versions[0].subresources.scale.labelSelectorPath: Invalid value: ".x": should be a json path under either .spec or .status',
    ],
  ],
  [
    'definition',
    [['spec.versions[0].additionalPrinterColumns', [{ name: 'n' }]]],
    [
      'spec.versions[0].additionalPrinterColumns[0].type: Required value: must be one of boolean,date,integer,number,string',
      'spec.versions[0].additionalPrinterColumns[0].JSONPath: Required value',
    ],
  ],
  [
    'definition',
    [
      [
        'spec.conversion',
        { strategy: 'None', webhook: { clientConfig: {}, conversionReviewVersions: ['v1'] } },
      ],
    ],
    [
      'spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook',
      'spec.conversion.conversionReviewVersions: Forbidden',
    ],
  ],
  [
    'definition',
    [
      [
        'spec.conversion',
        {
          strategy: 'Webhook',
          webhook: { clientConfig: { url: 'https://x', service: {} }, conversionReviewVersions: ['v7'] },
        },
      ],
    ],
    [
      'spec.conversion.webhookClientConfig: Required value: exactly one of url or service is required',
      'spec.conversion.conversionReviewVersions: Invalid value: ["v7"]: must include at least one of v1, v1beta1',
    ],
  ],
  [
    'definition',
    [
      [
        'spec.conversion',
        {
          strategy: 'Webhook',
          webhook: { clientConfig: { url: 'https://x' }, conversionReviewVersions: ['v1'] },
        },
      ],
    ],
    [],
  ],
  [
    'definition',
    [['status', { acceptedNames: {}, storedVersions: [] }]],
    ['status.storedVersions: Invalid value: []: must have at least one stored version'],
  ],
  [
    'definition',
    [['status', { storedVersions: ['v0'] }]],
    [
      'status.storedVersions: Invalid value: ["v0"]: must have the storage version v1',
      'status.storedVersions[0]: Invalid value: "v0": missing from spec.versions',
    ],
  ],
  [
    'definition',
    [
      ['spec.group', 'k8s.io'],
      ['metadata.name', 'xs.k8s.io'],
      ['metadata.annotations', { 'api-approved.kubernetes.io': 'yes' }],
    ],
    [
      'metadata.annotations[api-approved.kubernetes.io]: Invalid value: "yes": protected groups must have approval annotation',
    ],
  ],
  [
    'definition',
    [
      ['spec.group', 'k8s.io'],
      ['metadata.name', 'xs.k8s.io'],
      ['metadata.annotations', { 'api-approved.kubernetes.io': 'unapproved, a trial' }],
    ],
    [],
  ],
  [
    'definition',
    [[SCHEMA, { type: 'object', additionalProperties: { type: 'string' } }]],
    [`${SHOWN}.additionalProperties: Forbidden: must not be used at the root`],
  ],
  [
    'definition',
    [property({ type: 'array', items: [{ type: 'string' }] })],
    [`${SHOWN}.properties[p].items: Forbidden: items must be a schema object and not an array`],
  ],
  [
    'definition',
    [property({ type: 'object', 'x-kubernetes-preserve-unknown-fields': false })],
    [
      `${SHOWN}.properties[p].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined`,
    ],
  ],
  [
    'definition',
    [property({ 'x-kubernetes-embedded-resource': true })],
    [
      `${SHOWN}.properties[p].type: Required value: must be object if x-kubernetes-embedded-resource is true`,
      `${SHOWN}.properties[p].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without`,
    ],
  ],
  [
    'definition',
    [
      property({
        type: 'string',
        'x-kubernetes-embedded-resource': true,
        'x-kubernetes-preserve-unknown-fields': true,
        additionalProperties: true,
      }),
    ],
    [
      `${SHOWN}.properties[p].type: Invalid value: "string": must be object if`,
      `${SHOWN}.properties[p].additionalProperties: Forbidden: must not be used if x-kubernetes-embedded-resource is set`,
    ],
  ],
  [
    'definition',
    [
      property({
        type: 'object',
        'x-kubernetes-embedded-resource': true,
        properties: { kind: { type: 'integer' }, metadata: { type: 'string' } },
      }),
    ],
    [
      `${SHOWN}.properties[p].properties[kind].type: Invalid value: "integer": must be string`,
      `${SHOWN}.properties[p].properties[metadata].type: Invalid value: "string": must be object`,
    ],
  ],
  [
    'definition',
    [property({ 'x-kubernetes-int-or-string': true, 'x-kubernetes-preserve-unknown-fields': true })],
    [
      `${SHOWN}.properties[p].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true`,
    ],
  ],
  [
    'definition',
    [
      property({
        'x-kubernetes-int-or-string': true,
        allOf: [{ anyOf: [{ type: 'integer' }, { type: 'string' }] }, { maximum: 5 }],
      }),
    ],
    [],
  ],
  [
    'definition',
    [property({ type: 'object', 'x-kubernetes-map-type': 'bag' })],
    [
      `${SHOWN}.properties[p].x-kubernetes-map-type: Unsupported value: "bag": supported values: "granular", "atomic"`,
    ],
  ],
  [
    'definition',
    [property({ type: 'array', items: { type: 'string' }, 'x-kubernetes-list-map-keys': ['a'] })],
    [
      `${SHOWN}.properties[p].x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty`,
    ],
  ],
  [
    'definition',
    [property({ type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'map' })],
    [
      `${SHOWN}.properties[p].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map`,
    ],
  ],
  [
    'definition',
    [
      property({
        type: 'array',
        items: { type: 'object', properties: { a: { type: 'string' } } },
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['a'],
      }),
    ],
    [
      `${SHOWN}.properties[p].items.properties[a].default: Required value: this property is in x-kubernetes-list-map-keys`,
    ],
  ],
  [
    'definition',
    [
      property({
        type: 'array',
        items: { type: 'object', properties: { a: { type: 'string', default: 'x' } } },
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['a'],
      }),
    ],
    [],
  ],
  [
    'definition',
    [property({ type: 'object', not: { type: 'string', items: { title: 'x' } } })],
    [
      `${SHOWN}.properties[p].not.type: Forbidden: must be empty to be structural`,
      `${SHOWN}.properties[p].not.items.title: Forbidden: must be empty to be structural`,
    ],
  ],
  [
    'definition',
    [property({ type: 'object', oneOf: [{ pattern: '(' }] })],
    [`${SHOWN}.properties[p].oneOf[0].pattern: Invalid value: "("`],
  ],
];

testRows(ROWS);
