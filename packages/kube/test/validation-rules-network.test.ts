import { type Row, testRows } from './rule-rows.ts';

/** The rules of the network that people meet seldom, one row each. */

const ROWS: Row[] = [
  [
    'service',
    [
      [
        'metadata.annotations',
        { 'service.kubernetes.io/topology-mode': 'a', 'service.kubernetes.io/topology-aware-hints': 'b' },
      ],
    ],
    [
      'metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "a": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified',
    ],
  ],
  ['service', [['spec.selector', { a: '!' }]], ['spec.selector: Invalid value: "!"']],
  [
    'service',
    [['spec', { type: 'ExternalName', externalName: 'x', ipFamilyPolicy: 'SingleStack' }]],
    ['spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services'],
  ],
  [
    'service',
    [['spec.clusterIPs', ['10.0.0.1']]],
    ['spec.clusterIPs: Invalid value: ["10.0.0.1"]: must be empty when `clusterIP` is not specified'],
  ],
  [
    'service',
    [
      ['spec.clusterIP', 'None'],
      ['spec.clusterIPs', ['None', '10.0.0.1']],
    ],
    ['spec.clusterIPs: Invalid value: ["None","10.0.0.1"]: \'None\' must be the first and only value'],
  ],
  [
    'service',
    [
      ['spec.clusterIP', '1.1.1.1'],
      ['spec.clusterIPs', ['1.1.1.1', '::1', '::2']],
    ],
    ['spec.clusterIPs: Invalid value: ["1.1.1.1","::1","::2"]: may only hold up to 2 values'],
  ],
  [
    'service',
    [
      ['spec.type', 'LoadBalancer'],
      ['spec.externalTrafficPolicy', 'Local'],
    ],
    ['spec.healthCheckNodePort: Required value'],
  ],
  [
    'service',
    [
      ['spec.type', 'LoadBalancer'],
      ['spec.externalTrafficPolicy', 'Local'],
      ['spec.healthCheckNodePort', 70000],
    ],
    ['spec.healthCheckNodePort: Invalid value: 70000: must be between 1 and 65535, inclusive'],
  ],
  [
    'service',
    [
      [
        'metadata.annotations',
        { 'service.beta.kubernetes.io/load-balancer-source-ranges': ' 10.0.0.0/8 , x' },
      ],
    ],
    [
      "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Forbidden: may only be used when `type` is 'LoadBalancer'",
      'metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: "x"',
    ],
  ],
  ['service', [['spec.ports[0].appProtocol', 'a b']], ['spec.ports[0].appProtocol: Invalid value: "a b"']],
  [
    'ingress',
    [['spec.defaultBackend.resource', { kind: 'k', name: 'n' }]],
    ['spec.defaultBackend: Invalid value: "": cannot set both resource and service backends'],
  ],
  [
    'ingress',
    [['spec.defaultBackend', { resource: { apiGroup: '!', kind: '', name: 'a/b' } }]],
    [
      'spec.defaultBackend.resource.apiGroup: Invalid value: "!"',
      'spec.defaultBackend.resource.kind: Required value: kind is required',
      'spec.defaultBackend.resource.name: Invalid value: "a/b": may not contain \'/\'',
    ],
  ],
  [
    'ingress',
    [['spec.defaultBackend.service.name', '']],
    ['spec.defaultBackend.service.name: Required value'],
  ],
  [
    'ingress',
    [['spec.defaultBackend.service', { name: 's', port: { number: 70000 } }]],
    ['spec.defaultBackend.service.port.number: Invalid value: 70000'],
  ],
  [
    'ingress',
    [['spec.defaultBackend.service', { name: 's', port: { name: 'A' } }]],
    [
      'spec.defaultBackend.service.port.name: Invalid value: "A"',
      'spec.defaultBackend.service.port.name: Invalid value: "A"',
    ],
  ],
  ['ingress', [['spec.ingressClassName', '!']], ['spec.ingressClassName: Invalid value: "!"']],
  [
    'class',
    [['spec.parameters.scope', 'World']],
    ['spec.parameters.scope: Unsupported value: "World": supported values: "Cluster", "Namespace"'],
  ],
  [
    'class',
    [['spec.parameters.namespace', 'x']],
    ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
  ],
  [
    'class',
    [
      ['spec.parameters.scope', 'Namespace'],
      ['spec.parameters.namespace', '!'],
    ],
    ['spec.parameters.namespace: Invalid value: "!"'],
  ],
  [
    'slice',
    [['endpoints', [{ addresses: ['', 'A', `${'a'.repeat(64)}.b`] }]]],
    [
      'endpoints[0].addresses[0]: Required value',
      'endpoints[0].addresses[1]: Invalid value: "A"',
      `endpoints[0].addresses[2]: Invalid value: "${'a'.repeat(64)}": must be no more than 63 characters`,
    ],
  ],
  [
    'slice',
    [
      [
        'endpoints[0].deprecatedTopology',
        Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, ''])),
      ],
    ],
    ['endpoints[0].deprecatedTopology: Too many: 17: must have at most 16 items'],
  ],
  [
    'slice',
    [['endpoints[0].hints', { forZones: [{ name: 'a' }, { name: 'a' }, { name: '!' }] }]],
    [
      'endpoints[0].hints.forZones[1].name: Duplicate value: "a"',
      'endpoints[0].hints.forZones[2].name: Invalid value: "!"',
    ],
  ],
  [
    'policy',
    [
      [
        'spec.ingress',
        [
          {
            from: [
              {
                podSelector: { matchExpressions: [{ key: 'a', operator: 'In', values: [] }] },
                namespaceSelector: { matchLabels: { '!': 'x' } },
              },
            ],
          },
        ],
      ],
    ],
    [
      "spec.ingress[0].from[0].podSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
      'spec.ingress[0].from[0].namespaceSelector.matchLabels: Invalid value: "!"',
    ],
  ],
];

testRows(ROWS);
