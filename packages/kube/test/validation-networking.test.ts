import { describe, expect, test } from 'vitest';
import { isStrictSubset, parseAddressBits, parsePrefixBits } from '../src/validation/ip-address.ts';
import { type Change, changed, createTexts, updateTexts } from './kind-harness.ts';

const metadata = { name: 'a', namespace: 'ns' };

describe('a NetworkPolicy', () => {
  const POLICY = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata,
    spec: { podSelector: {} },
  };

  test.each<[string, Change[], string[]]>([
    ['is right', [], []],
    [
      'says all it can',
      [
        [
          'spec.ingress',
          [
            {
              from: [{ podSelector: {}, namespaceSelector: {} }],
              ports: [{ port: 'web' }, { port: 1, endPort: 2 }, {}],
            },
            {},
          ],
        ],
        ['spec.egress', [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }] }]],
        ['spec.policyTypes', ['Ingress', 'Egress']],
      ],
      [],
    ],
    [
      'has odd ports',
      [
        [
          'spec.ingress',
          [
            {
              ports: [
                { port: 0, protocol: 'ICMP' },
                { port: 'UP' },
                { port: 9, endPort: 8 },
                { port: 'web', endPort: 8 },
                { endPort: 8 },
                { port: 9, endPort: 70000 },
              ],
            },
          ],
        ],
      ],
      [
        'spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"',
        'spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
        'spec.ingress[0].ports[1].port: Invalid value: "UP": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        'spec.ingress[0].ports[1].port: Invalid value: "UP": must contain at least one letter (a-z)',
        'spec.ingress[0].ports[2].endPort: Invalid value: 8: must be greater than or equal to `port`',
        'spec.ingress[0].ports[3].endPort: Invalid value: 8: may not be specified when `port` is non-numeric',
        'spec.ingress[0].ports[4].endPort: Invalid value: 8: may not be specified when `port` is not specified',
        'spec.ingress[0].ports[5].endPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
      ],
    ],
    [
      'has odd peers',
      [
        [
          'spec.egress',
          [
            {
              to: [
                {},
                { ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} },
                { ipBlock: {} },
                { ipBlock: { cidr: '10.0.0.0' } },
                { ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16', '10.0.0.0/8', 'fd00::/64', 'x'] } },
                { ipBlock: { cidr: 'fd00::/48', except: ['fd00:0:0:1::/64'] } },
              ],
            },
          ],
        ],
      ],
      [
        'spec.egress[0].to[0]: Required value: must specify a peer',
        'spec.egress[0].to[1]: Forbidden: may not specify both ipBlock and another peer',
        'spec.egress[0].to[2].ipBlock.cidr: Required value',
        'spec.egress[0].to[3].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        'spec.egress[0].to[4].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        'spec.egress[0].to[4].ipBlock.except[1]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`',
        'spec.egress[0].to[4].ipBlock.except[2]: Invalid value: "fd00::/64": must be a strict subset of `cidr`',
        'spec.egress[0].to[4].ipBlock.except[3]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
      ],
    ],
    [
      'has odd types',
      [['spec.policyTypes', ['In']]],
      ['spec.policyTypes[0]: Unsupported value: "In": supported values: "Ingress", "Egress"'],
    ],
    [
      'has too many types',
      [['spec.policyTypes', ['Ingress', 'Egress', 'Ingress']]],
      [
        'spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes',
      ],
    ],
    [
      'selects oddly',
      [['spec.podSelector', { matchLabels: { a: '!' } }]],
      [expect.stringContaining('spec.podSelector.matchLabels: Invalid value: "!"') as unknown as string],
    ],
  ])('%s', (_name, changes, expected) => {
    expect(createTexts(changed(POLICY, ...changes))).toEqual(expected);
    expect(updateTexts(changed(POLICY), changed(POLICY, ...changes))).toEqual(expected);
  });
});

describe('an Ingress', () => {
  const backend = { service: { name: 'web', port: { number: 80 } } };
  const path = { path: '/', pathType: 'Prefix', backend };
  const INGRESS = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata,
    spec: { rules: [{ host: 'a.example.com', http: { paths: [path] } }] },
  };
  const AT = 'spec.rules[0].http.paths[0]';

  test.each<[string, Change[], string[]]>([
    ['is right', [], []],
    [
      'is empty',
      [['spec', {}]],
      ['spec: Invalid value: null: either `defaultBackend` or `rules` must be specified'],
    ],
    ['has a default only', [['spec', { defaultBackend: backend }]], []],
    [
      'has odd hosts',
      [['spec.rules', [{ host: '1.2.3.4' }, { host: 'A' }, { host: 'a.*' }]]],
      [
        'spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
        expect.stringContaining(
          'spec.rules[1].host: Invalid value: "A": a lowercase RFC 1123 subdomain',
        ) as unknown as string,
        expect.stringContaining(
          'spec.rules[2].host: Invalid value: "a.*": a wildcard DNS-1123 subdomain',
        ) as unknown as string,
      ],
    ],
    [
      'has no path type',
      [[`${AT}.pathType`, undefined]],
      [`${AT}.pathType: Required value: pathType must be specified`],
    ],
    [
      'has an odd path type',
      [[`${AT}.pathType`, 'Glob']],
      [
        `${AT}.pathType: Unsupported value: "Glob": supported values: "Exact", "ImplementationSpecific", "Prefix"`,
      ],
    ],
    [
      'has an odd path',
      [[`${AT}.path`, 'a//b/..']],
      [
        `${AT}.path: Invalid value: "a//b/..": must be an absolute path`,
        `${AT}.path: Invalid value: "a//b/..": must not contain '//'`,
        `${AT}.path: Invalid value: "a//b/..": cannot end with '/..'`,
      ],
    ],
    ['has no paths', [['spec.rules[0].http.paths', []]], ['spec.rules[0].http.paths: Required value']],
    [
      'has no backend',
      [[`${AT}.backend`, {}]],
      [`${AT}.backend: Invalid value: "": resource or service backend is required`],
    ],
    [
      'has a backend without port',
      [[`${AT}.backend.service.port`, {}]],
      [`${AT}.backend: Required value: port name or number is required`],
    ],
    [
      'has a backend with two ports',
      [[`${AT}.backend.service.port.name`, 'web']],
      [`${AT}.backend: Invalid value: "": cannot set both port name & port number`],
    ],
    [
      'has an odd secret',
      [['spec.tls', [{ hosts: ['A'], secretName: '!' }]]],
      [
        expect.stringContaining('spec.tls[0].hosts[0]: Invalid value: "A"') as unknown as string,
        expect.stringContaining('spec.tls[0].secretName: Invalid value: "!"') as unknown as string,
      ],
    ],
    [
      'names two classes',
      [
        ['spec.ingressClassName', 'a'],
        ['metadata.annotations', { 'kubernetes.io/ingress.class': 'b' }],
      ],
      [
        'annotations.kubernetes.io/ingress.class: Invalid value: "b": must match `ingressClassName` when both are specified',
      ],
    ],
  ])('%s', (_name, changes, expected) => {
    expect(createTexts(changed(INGRESS, ...changes))).toEqual(expected);
  });
});

test('an IngressClass', () => {
  const ingressClass = (spec: object) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata: { name: 'a' },
    spec,
  });
  const right = ingressClass({ controller: 'a.b/c' });
  expect(createTexts(right)).toEqual([]);
  expect(createTexts(ingressClass({}))).toEqual(['spec.controller: Required value']);
  expect(createTexts(ingressClass({ controller: 'a.b/c', parameters: { scope: 'Namespace' } }))).toEqual([
    'spec.parameters.kind: Required value: kind is required',
    'spec.parameters.name: Required value: name is required',
    "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
  ]);
  expect(updateTexts(right, ingressClass({ controller: 'a.b/d' }))).toEqual([
    'spec.controller: Invalid value: "a.b/d": field is immutable',
  ]);
});

describe('endpoints', () => {
  const SLICE = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata,
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }],
    ports: [{ port: 80 }],
  };

  test.each<[string, Change[], string[]]>([
    ['are right', [], []],
    ['are of loopback, as the nodes of a lab are', [['endpoints', [{ addresses: ['127.0.0.11'] }]]], []],
    ['have no type', [['addressType', '']], ['addressType: Required value']],
    [
      'have an odd type',
      [['addressType', 'IP']],
      ['addressType: Unsupported value: "IP": supported values: "FQDN", "IPv4", "IPv6"'],
    ],
    [
      'have odd addresses',
      [
        [
          'endpoints',
          [
            { addresses: [] },
            { addresses: ['fd00::1'], hostname: 'a.b', nodeName: '' },
            { addresses: ['224.0.0.1'] },
          ],
        ],
      ],
      [
        'endpoints[0].addresses: Required value: must contain at least 1 address',
        'endpoints[1].addresses[0]: Invalid value: "fd00::1": must be a valid IPv4 address',
        expect.stringContaining('endpoints[1].nodeName: Invalid value: ""') as unknown as string,
        'endpoints[1].hostname: Invalid value: "a.b": must not contain dots',
        'endpoints[2].addresses[0]: Invalid value: "224.0.0.1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
      ],
    ],
    [
      'have names',
      [
        ['addressType', 'FQDN'],
        ['endpoints', [{ addresses: ['a.b.c.', 'single'] }]],
      ],
      [
        'endpoints[0].addresses[1]: Invalid value: "single": should be a domain with at least two segments separated by dots',
      ],
    ],
    [
      'have odd ports',
      [
        [
          'ports',
          [
            { name: 'a', port: 1 },
            { name: 'a', protocol: 'X', appProtocol: 'a b' },
          ],
        ],
      ],
      [
        'ports[1].name: Duplicate value: "a"',
        'ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
        expect.stringContaining('ports[1].appProtocol: Invalid value: "a b"') as unknown as string,
      ],
    ],
    [
      'are too many',
      [['endpoints', Array.from({ length: 1001 }, () => ({ addresses: ['10.0.0.1'] }))]],
      ['endpoints: Too many: 1001: must have at most 1000 items'],
    ],
  ])('in a slice: %s', (_name, changes, expected) => {
    expect(createTexts(changed(SLICE, ...changes))).toEqual(expected);
  });

  test('a slice keeps its type', () => {
    const other = changed(SLICE, ['addressType', 'IPv6'], ['endpoints', []]);
    expect(updateTexts(SLICE as never, other)).toEqual([
      'addressType: Invalid value: "IPv6": field is immutable',
    ]);
  });

  test('of the older kind', () => {
    const endpoints = (subsets: object[]) => ({ apiVersion: 'v1', kind: 'Endpoints', metadata, subsets });
    expect(createTexts(endpoints([{ addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 80 }] }]))).toEqual([]);
    expect(
      createTexts(endpoints([{}, { addresses: [{ ip: 'x' }], ports: [{ port: 0 }, { port: 1 }] }])),
    ).toEqual([
      'subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`',
      'subsets[1].addresses[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      'subsets[1].addresses[0].ip: Invalid value: "x": must be a valid IP address',
      'subsets[1].ports[0].name: Required value',
      'subsets[1].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
      'subsets[1].ports[1].name: Required value',
    ]);
  });
});

describe('addresses', () => {
  test.each([
    ['10.0.0.1', 4, 0x0a000001n],
    ['::', 6, 0n],
    ['::1', 6, 1n],
    ['fe80::1:2', 6, (0xfe80n << 112n) | 0x10002n],
    ['1:2:3:4:5:6:7:8', 6, 0x00010002000300040005000600070008n],
    ['64:ff9b::1.2.3.4', 6, (0x64ff9bn << 96n) | 0x01020304n],
    ['1:2:3:4:5:6:1.2.3.4', 6, 0x00010002000300040005000601020304n],
  ])('%s', (text, version, bits) => {
    expect(parseAddressBits(text)).toEqual({ version, bits });
  });

  test.each(['', '10.0.0', '010.0.0.1', '1.2.3.4.5', ':::', 'fe80::1%eth0', 'x', '1.2.3.4/8'])(
    'not %j',
    (text) => {
      expect(parseAddressBits(text)).toBeUndefined();
    },
  );

  test.each(['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0', '/8', '10.0.0.0/-1'])(
    'no prefix %j',
    (text) => {
      expect(parsePrefixBits(text)).toBeUndefined();
    },
  );

  test('subsets', () => {
    const subset = (inner: string, outer: string) =>
      isStrictSubset(parsePrefixBits(inner)!, parsePrefixBits(outer)!);
    expect(subset('10.1.0.0/16', '10.0.0.0/8')).toBe(true);
    expect(subset('10.0.0.0/8', '10.0.0.0/8')).toBe(false);
    expect(subset('10.0.0.0/7', '10.0.0.0/8')).toBe(false);
    expect(subset('0.0.0.1/32', '0.0.0.0/0')).toBe(true);
    expect(subset('fd00::/64', '0.0.0.0/0')).toBe(false);
  });
});
