import { describe, expect, test } from 'vitest';
import { type Change, changed, createTexts, updateTexts } from './kind-harness.ts';

const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'a', namespace: 'ns' },
  spec: { ports: [{ port: 80 }], selector: { app: 'a' } },
};

describe('a new Service', () => {
  test.each<[string, Change[], string[]]>([
    ['is right', [], []],
    ['has no ports', [['spec.ports', []]], ['spec.ports: Required value']],
    [
      'is headless without ports',
      [
        ['spec.ports', []],
        ['spec.clusterIP', 'None'],
      ],
      [],
    ],
    [
      'has a port out of range',
      [['spec.ports[0]', { port: 70000, targetPort: 80 }]],
      ['spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive'],
    ],
    [
      'has a target port out of range',
      [['spec.ports[0].targetPort', -1]],
      ['spec.ports[0].targetPort: Invalid value: -1: must be between 1 and 65535, inclusive'],
    ],
    [
      'has a bad name of a target port',
      [['spec.ports[0].targetPort', 'a--b']],
      ['spec.ports[0].targetPort: Invalid value: "a--b": must not contain consecutive hyphens'],
    ],
    [
      'has an unknown protocol',
      [['spec.ports[0].protocol', 'tcp']],
      ['spec.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"'],
    ],
    [
      'has two ports without names',
      [['spec.ports[1]', { port: 81 }]],
      ['spec.ports[0].name: Required value', 'spec.ports[1].name: Required value'],
    ],
    [
      'has two ports of one name and number',
      [
        [
          'spec.ports',
          [
            { name: 'a', port: 80 },
            { name: 'a', port: 80 },
          ],
        ],
      ],
      [
        'spec.ports[1].name: Duplicate value: "a"',
        'spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80,"targetPort":0}',
      ],
    ],
    [
      'has one number for two protocols',
      [
        [
          'spec.ports',
          [
            { name: 'a', port: 53 },
            { name: 'b', port: 53, protocol: 'UDP' },
          ],
        ],
      ],
      [],
    ],
    [
      'has a node port without the type',
      [['spec.ports[0].nodePort', 30000]],
      ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ],
    [
      'has a node port twice',
      [
        ['spec.type', 'NodePort'],
        [
          'spec.ports',
          [
            { name: 'a', port: 1, nodePort: 30000 },
            { name: 'b', port: 2, nodePort: 30000 },
          ],
        ],
      ],
      ['spec.ports[1].nodePort: Duplicate value: 30000'],
    ],
    [
      'has an unknown type',
      [['spec.type', 'Clusterip']],
      [
        'spec.type: Unsupported value: "Clusterip": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
      ],
    ],
    [
      'has no address but wants node ports',
      [
        ['spec.type', 'NodePort'],
        ['spec.clusterIP', 'None'],
      ],
      ['spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services'],
    ],
    ['is an alias', [['spec', { type: 'ExternalName', externalName: 'x.example.com.' }]], []],
    ['is an alias of nothing', [['spec', { type: 'ExternalName' }]], ['spec.externalName: Required value']],
    [
      'is an alias with an address',
      [['spec', { type: 'ExternalName', externalName: 'x', clusterIP: '1.2.3.4', ipFamilies: ['IPv4'] }]],
      [
        'spec.clusterIPs: Forbidden: may not be set for ExternalName services',
        'spec.ipFamilies: Forbidden: may not be set for ExternalName services',
      ],
    ],
    [
      'has a bad address',
      [['spec.clusterIP', 'x']],
      [
        'spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ],
    ],
    [
      'has addresses that do not agree',
      [
        ['spec.clusterIP', '10.0.0.1'],
        ['spec.clusterIPs', ['10.0.0.2']],
      ],
      ['spec.clusterIPs: Invalid value: ["10.0.0.2"]: first value must match `clusterIP`'],
    ],
    [
      'has two addresses of one family',
      [
        ['spec.clusterIP', '10.0.0.1'],
        ['spec.clusterIPs', ['10.0.0.1', '10.0.0.2']],
      ],
      [
        'spec.clusterIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each IP family',
      ],
    ],
    [
      'has an address of the other family',
      [
        ['spec.clusterIP', 'fd00::1'],
        ['spec.ipFamilies', ['IPv4']],
      ],
      [
        'spec.clusterIPs[0]: Invalid value: "fd00::1": expected an IPv4 value as indicated by `ipFamilies[0]`',
      ],
    ],
    [
      'has odd families',
      [
        ['spec.ipFamilies', ['ipv4', 'ipv4']],
        ['spec.ipFamilyPolicy', 'Both'],
      ],
      [
        'spec.ipFamilies[0]: Unsupported value: "ipv4": supported values: "IPv4", "IPv6"',
        'spec.ipFamilies[1]: Unsupported value: "ipv4": supported values: "IPv4", "IPv6"',
        'spec.ipFamilies[1]: Duplicate value: "ipv4"',
        'spec.ipFamilyPolicy: Unsupported value: "Both": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"',
      ],
    ],
    [
      'has unknown policies',
      [
        ['spec.type', 'NodePort'],
        ['spec.internalTrafficPolicy', 'local'],
        ['spec.externalTrafficPolicy', 'None'],
        ['spec.sessionAffinity', 'Yes'],
      ],
      [
        'spec.sessionAffinity: Unsupported value: "Yes": supported values: "ClientIP", "None"',
        'spec.externalTrafficPolicy: Unsupported value: "None": supported values: "Cluster", "Local"',
        'spec.internalTrafficPolicy: Unsupported value: "local": supported values: "Cluster", "Local"',
      ],
    ],
    [
      'has an external policy but nothing external',
      [['spec.externalTrafficPolicy', 'Local']],
      [
        'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
      ],
    ],
    [
      'remembers clients too long',
      [
        ['spec.sessionAffinity', 'ClientIP'],
        ['spec.sessionAffinityConfig.clientIP.timeoutSeconds', 86401],
      ],
      [
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400',
      ],
    ],
    [
      'has sources and is no load balancer',
      [['spec.loadBalancerSourceRanges', ['10.0.0.0/8']]],
      ["spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    ],
    [
      'has bad sources',
      [
        ['spec.type', 'LoadBalancer'],
        ['spec.loadBalancerSourceRanges', [' 10.0.0.0/8 ', '10.0.0.0/33']],
      ],
      [
        'spec.LoadBalancerSourceRanges[1]: Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
      ],
    ],
    [
      'balances the port of the kubelet',
      [
        ['spec.type', 'LoadBalancer'],
        ['spec.ports[0].port', 10250],
      ],
      [
        'spec.ports[0]: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet',
      ],
    ],
    [
      'has fields of load balancers',
      [
        ['spec.loadBalancerClass', 'a.b/c'],
        ['spec.allocateLoadBalancerNodePorts', true],
        ['spec.healthCheckNodePort', 30000],
      ],
      [
        "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
        "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        "spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
      ],
    ],
    [
      'has external addresses of no use',
      [['spec.externalIPs', ['0.0.0.0', '169.254.1.1', 'x', '010.0.0.1', '1.2.3.4']]],
      [
        'spec.externalIPs[0]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)',
        'spec.externalIPs[1]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
        'spec.externalIPs[2]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        'spec.externalIPs[3]: Invalid value: "010.0.0.1": must not have leading 0s',
      ],
    ],
    [
      'has an odd distribution',
      [['spec.trafficDistribution', 'Near']],
      [expect.stringContaining('spec.trafficDistribution: Unsupported value: "Near"') as unknown as string],
    ],
  ])('%s', (_name, changes, expected) => {
    expect(createTexts(changed(SERVICE, ...changes))).toEqual(expected);
  });
});

const ALLOCATED: Change[] = [
  ['spec.clusterIP', '10.96.0.1'],
  ['spec.clusterIPs', ['10.96.0.1']],
  ['spec.ipFamilies', ['IPv4']],
  ['spec.ipFamilyPolicy', 'SingleStack'],
];
const DUAL: Change[] = [
  ['spec.clusterIP', '10.96.0.1'],
  ['spec.clusterIPs', ['10.96.0.1', 'fd00::1']],
  ['spec.ipFamilies', ['IPv4', 'IPv6']],
  ['spec.ipFamilyPolicy', 'PreferDualStack'],
];

describe('a changed Service', () => {
  test.each<[string, Change[], Change[], string[]]>([
    ['same', ALLOCATED, ALLOCATED, []],
    [
      'address',
      ALLOCATED,
      [...ALLOCATED, ['spec.clusterIP', '10.96.0.2'], ['spec.clusterIPs', ['10.96.0.2']]],
      ['spec.clusterIPs[0]: Invalid value: ["10.96.0.2"]: may not change once set'],
    ],
    [
      'no address any more',
      ALLOCATED,
      [...ALLOCATED, ['spec.clusterIP', ''], ['spec.clusterIPs', []]],
      ['spec.clusterIPs[0]: Invalid value: []: primary clusterIP can not be unset'],
    ],
    [
      'headless',
      ALLOCATED,
      [...ALLOCATED, ['spec.clusterIP', 'None'], ['spec.clusterIPs', ['None']]],
      ['spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set'],
    ],
    ['one more address', ALLOCATED, DUAL, []],
    [
      'one address less, though two are wanted',
      DUAL,
      [...ALLOCATED, ['spec.ipFamilyPolicy', 'PreferDualStack']],
      [
        'spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to \'SingleStack\' when releasing the secondary clusterIP',
        'spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to \'SingleStack\' when releasing the secondary ipFamily',
      ],
    ],
    [
      'families turned round',
      DUAL,
      [...DUAL, ['spec.ipFamilies', ['IPv6', 'IPv4']], ['spec.clusterIPs', ['10.96.0.1', 'fd00::1']]],
      [
        'spec.ipFamilies[0]: Invalid value: ["IPv6","IPv4"]: may not change once set',
        'spec.clusterIPs[0]: Invalid value: "10.96.0.1": expected an IPv6 value as indicated by `ipFamilies[0]`',
        'spec.clusterIPs[1]: Invalid value: "fd00::1": expected an IPv4 value as indicated by `ipFamilies[1]`',
      ],
    ],
    [
      'families of a headless one',
      [
        ['spec.clusterIP', 'None'],
        ['spec.ipFamilies', ['IPv4']],
      ],
      [
        ['spec.clusterIP', 'None'],
        ['spec.ipFamilies', ['IPv6']],
      ],
      [],
    ],
    [
      'second address first',
      ALLOCATED,
      [
        ...DUAL,
        ['spec.clusterIP', 'fd00::1'],
        ['spec.clusterIPs', ['fd00::1', '10.96.0.1']],
        ['spec.ipFamilies', ['IPv6', 'IPv4']],
      ],
      [
        'spec.clusterIPs[0]: Invalid value: ["fd00::1","10.96.0.1"]: may not change once set',
        'spec.ipFamilies[0]: Invalid value: ["fd00::1","10.96.0.1"]: may not change once set',
      ],
    ],
    ['one address less', DUAL, ALLOCATED, []],
    ['an alias now', ALLOCATED, [['spec', { type: 'ExternalName', externalName: 'x' }]], []],
    [
      'family',
      ALLOCATED,
      [...ALLOCATED, ['spec.ipFamilies', ['IPv6']], ['spec.clusterIPs', ['10.96.0.1']]],
      [
        'spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set',
        'spec.clusterIPs[0]: Invalid value: "10.96.0.1": expected an IPv6 value as indicated by `ipFamilies[0]`',
      ],
    ],
    [
      'class of its load balancer',
      [
        ['spec.type', 'LoadBalancer'],
        ['spec.loadBalancerClass', 'a.b/c'],
      ],
      [
        ['spec.type', 'LoadBalancer'],
        ['spec.loadBalancerClass', 'a.b/d'],
      ],
      ['spec.loadBalancerClass: Invalid value: "a.b/d": may not change once set'],
    ],
    [
      'health check port',
      [
        ['spec.type', 'LoadBalancer'],
        ['spec.externalTrafficPolicy', 'Local'],
        ['spec.healthCheckNodePort', 30001],
      ],
      [
        ['spec.type', 'LoadBalancer'],
        ['spec.externalTrafficPolicy', 'Local'],
        ['spec.healthCheckNodePort', 30002],
      ],
      ['spec.healthCheckNodePort: Forbidden: field is immutable'],
    ],
  ])('%s', (_name, before, after, expected) => {
    expect(updateTexts(changed(SERVICE, ...before), changed(SERVICE, ...after))).toEqual(expected);
  });

  test('status', () => {
    const withIngress = (type: string, ingress: object) =>
      changed(SERVICE, ['spec.type', type], ['status.loadBalancer.ingress', [ingress]]);
    const before = changed(SERVICE, ['spec.type', 'LoadBalancer']);
    expect(updateTexts(before, withIngress('LoadBalancer', { ip: '1.2.3.4' }), 'status')).toEqual([]);
    expect(updateTexts(SERVICE as never, withIngress('ClusterIP', { ip: '1.2.3.4' }), 'status')).toEqual([
      "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
    ]);
    expect(updateTexts(before, withIngress('LoadBalancer', { hostname: '1.2.3.4' }), 'status')).toEqual([
      'status.loadBalancer.ingress[0].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
    ]);
  });
});
