import { describe, expect, it } from 'vitest';
import { compileTables } from '../src/tables.ts';
import { type EndpointText, input, node, service, slice } from './objects.ts';

const ready = { ready: true, serving: true, terminating: false };
const draining = { ready: false, serving: true, terminating: true };
const gone = { ready: false, serving: false, terminating: true };
const starting = { ready: false, serving: false, terminating: false };
const zones = (...names: string[]) => ({ forZones: names.map((name) => ({ name })) });
const nodesHint = (...names: string[]) => ({ forNodes: names.map((name) => ({ name })) }) as never;

describe('endpoint choice on node-1 in zone a', () => {
  const cases: { name: string; endpoints: EndpointText[]; cluster: string[]; local: string[] }[] = [
    {
      name: 'ready ones only',
      endpoints: [
        { at: '10.244.1.1', on: 1, conditions: ready },
        { at: '10.244.2.2', on: 2, conditions: ready },
        { at: '10.244.2.3', on: 2, conditions: starting },
        { at: '10.244.1.4', on: 1, conditions: draining },
      ],
      cluster: ['10.244.1.1', '10.244.2.2'],
      local: ['10.244.1.1'],
    },
    {
      name: 'unset conditions mean ready',
      endpoints: [{ at: '10.244.2.2', on: 2 }],
      cluster: ['10.244.2.2'],
      local: [],
    },
    {
      name: 'serving while terminating when none is ready',
      endpoints: [
        { at: '10.244.1.1', on: 1, conditions: draining },
        { at: '10.244.2.2', on: 2, conditions: draining },
        { at: '10.244.2.3', on: 2, conditions: gone },
        { at: '10.244.2.4', on: 2, conditions: starting },
      ],
      cluster: ['10.244.1.1', '10.244.2.2'],
      local: ['10.244.1.1'],
    },
    {
      name: 'the local list falls back on its own',
      endpoints: [
        { at: '10.244.1.1', on: 1, conditions: draining },
        { at: '10.244.2.2', on: 2, conditions: ready },
      ],
      cluster: ['10.244.2.2'],
      local: ['10.244.1.1'],
    },
    {
      name: 'zone hints leave the others to other zones',
      endpoints: [
        { at: '10.244.1.1', on: 1, hints: zones('a') },
        { at: '10.244.2.2', on: 2, hints: zones('b') },
        { at: '10.244.2.3', on: 2, hints: zones('a', 'b') },
      ],
      cluster: ['10.244.1.1', '10.244.2.3'],
      local: ['10.244.1.1'],
    },
    {
      name: 'zone hints are ignored when one ready endpoint has none',
      endpoints: [
        { at: '10.244.1.1', on: 1, hints: zones('a') },
        { at: '10.244.2.2', on: 2 },
      ],
      cluster: ['10.244.1.1', '10.244.2.2'],
      local: ['10.244.1.1'],
    },
    {
      name: 'zone hints are ignored when none points here',
      endpoints: [{ at: '10.244.2.2', on: 2, hints: zones('b') }],
      cluster: ['10.244.2.2'],
      local: [],
    },
    {
      name: 'node hints come before zone hints',
      endpoints: [
        { at: '10.244.1.1', on: 1, hints: { ...zones('a'), ...(nodesHint('node-1') as object) } },
        { at: '10.244.2.2', on: 2, hints: { ...zones('a'), ...(nodesHint('node-2') as object) } },
      ],
      cluster: ['10.244.1.1'],
      local: ['10.244.1.1'],
    },
  ];
  it.each(cases)('$name', ({ endpoints, cluster, local }) => {
    const tables = compileTables(
      input({
        services: [service({})],
        endpointSlices: [slice(endpoints)],
        nodes: [node(1, { zone: 'a' }), node(2)],
      }),
    );
    const [port] = tables.services;
    expect(port.clusterEndpoints.map((item) => item.address)).toEqual(cluster);
    expect(port.localEndpoints.map((item) => item.address)).toEqual(local);
    expect(port.endpoints.length).toBe(endpoints.length);
  });
});

describe('service ports', () => {
  const compile = (...args: Parameters<typeof service>) =>
    compileTables(
      input({ services: [service(...args)], endpointSlices: [slice([{ at: '10.244.2.5', on: 2 }])] }),
    ).services;

  it('carries what a LoadBalancer Service says', () => {
    const [port] = compile(
      {
        type: 'LoadBalancer',
        clusterIPs: ['10.96.0.9'],
        ports: [{ name: '', port: 80, nodePort: 30080, protocol: 'TCP' }],
        externalIPs: ['198.51.100.1', '2001:db8::1'],
        loadBalancerSourceRanges: [' 192.0.2.0/24', 'fd00::/8', 'nonsense'],
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Local',
        healthCheckNodePort: 31000,
        sessionAffinity: 'ClientIP',
      },
      {
        status: {
          loadBalancer: { ingress: [{ ip: '203.0.113.1' }, { ip: '203.0.113.2', ipMode: 'Proxy' }] },
        },
      },
    );
    expect(port).toMatchObject({
      name: 'web/api',
      clusterIp: '10.96.0.9',
      port: 80,
      nodePort: 30080,
      protocol: 6,
      externalIps: ['198.51.100.1'],
      loadBalancerIps: ['203.0.113.1'],
      sourceRanges: ['192.0.2.0/24'],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Local',
      healthCheckNodePort: 31000,
      affinitySeconds: 10_800,
    });
    expect(port.endpoints[0]).toMatchObject({
      address: '10.244.2.5',
      port: 8080,
      local: false,
      nodeName: 'node-2',
    });
  });

  it('has no ports for headless, ExternalName and foreign-proxy Services', () => {
    expect(compile({ clusterIP: 'None', clusterIPs: ['None'] })).toEqual([]);
    expect(compile({ type: 'ExternalName', externalName: 'example.com' })).toEqual([]);
    const labels = { 'service.kubernetes.io/service-proxy-name': 'other' };
    expect(compile({}, { metadata: { namespace: 'web', name: 'api', labels } })).toEqual([]);
  });

  it('resolves named ports slice by slice and by protocol', () => {
    const tables = compileTables(
      input({
        services: [
          service({
            ports: [
              { name: 'dns', port: 53, protocol: 'UDP', targetPort: 'dns' },
              { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 'dns' },
            ],
          }),
        ],
        endpointSlices: [
          slice([{ at: '10.244.1.5' }], {
            ports: [
              { name: 'dns', port: 5353, protocol: 'UDP' },
              { name: 'dns-tcp', port: 5353, protocol: 'TCP' },
            ],
          }),
          slice([{ at: '10.244.1.6' }], {
            name: 'api-2',
            ports: [{ name: 'dns', port: 1053, protocol: 'UDP' }],
          }),
        ],
      }),
    );
    const ends = tables.services.map((port) => port.endpoints.map((item) => `${item.address}:${item.port}`));
    expect(tables.services.map((port) => [port.name, port.protocol])).toEqual([
      ['web/api:dns', 17],
      ['web/api:dns-tcp', 6],
    ]);
    expect(ends).toEqual([['10.244.1.5:5353', '10.244.1.6:1053'], ['10.244.1.5:5353']]);
  });

  it('is dual-stack when the Service is', () => {
    const tables = compileTables(
      input({
        services: [service({ clusterIPs: ['10.96.0.9', 'FD00:10:96::9'] })],
        endpointSlices: [
          slice([{ at: '10.244.1.5' }]),
          slice([{ at: 'fd00:10:244:1::0005' }], { name: 'api-6', family: 'IPv6' }),
        ],
      }),
    );
    expect(tables.services.map((port) => [port.version, port.clusterIp, port.endpoints[0].address])).toEqual([
      [4, '10.96.0.9', '10.244.1.5'],
      [6, 'fd00:10:96::9', 'fd00:10:244:1::5'],
    ]);
  });

  it('counts an endpoint that stands in two slices once', () => {
    const twice = [slice([{ at: '10.244.1.5' }]), slice([{ at: '10.244.1.5' }], { name: 'api-2' })];
    const [port] = compileTables(input({ services: [service({})], endpointSlices: twice })).services;
    expect(port.clusterEndpoints.length).toBe(1);
  });
});
