import { describe, expect, it } from 'vitest';
import { compileTables } from '../src/tables.ts';
import { vtepMac } from '../src/vtep-mac.ts';
import { input, node, service, slice } from './objects.ts';

const pod = (id: number) => ({
  id,
  namespace: 'web',
  name: `api-${id}`,
  addresses: [`10.244.1.${id}`],
  mac: `0a:00:00:00:00:0${id}`,
});

describe('tables of a node', () => {
  it('names the node, its tunnel neighbours and its routes', () => {
    const tables = compileTables(input({ localEndpoints: [pod(7)] }));
    expect(tables.node).toEqual({
      name: 'node-1',
      addresses: ['172.18.0.1'],
      gatewayAddress: { v4: '10.244.1.1', v6: 'fd00:10:244:1::1' },
      vtepMac: vtepMac('node-1'),
      vni: 1,
      mtu: 1450,
      zone: '',
      tunnelPort: 8472,
    });
    expect(tables.vteps).toEqual([
      { node: 'node-2', address: '172.18.0.2', port: 8472, mac: vtepMac('node-2') },
    ]);
    expect(Object.fromEntries(tables.routes.map(({ prefix, target }) => [prefix, target.kind]))).toEqual({
      '10.244.1.7/32': 'endpoint',
      '172.18.0.1/32': 'host',
      '10.244.1.1/32': 'host',
      'fd00:10:244:1::1/128': 'host',
      '10.244.1.0/24': 'unreachable',
      'fd00:10:244:1::/64': 'unreachable',
      '10.244.2.0/24': 'vtep',
      'fd00:10:244:2::/64': 'vtep',
      '172.18.0.2/32': 'vtep',
      '10.96.0.0/16': 'blackhole',
      '10.244.0.0/16': 'blackhole',
    });
  });

  it('takes the MAC a node announces, and derives it otherwise', () => {
    const announced = node(2);
    announced.metadata!.annotations = { 'podwire.dev/vtep-mac': '66:01:02:03:04:05' };
    expect(compileTables(input({ nodes: [node(1), announced] })).vteps[0].mac).toBe('66:01:02:03:04:05');
    // sha1sum of "node-1" begins b36828398e.
    expect(vtepMac('node-1')).toBe('66:b3:68:28:39:8e');
  });

  it('works before its own Node object arrived, and without any tunnel address of another', () => {
    const silent = { ...node(2), status: {} };
    const tables = compileTables(input({ nodes: [silent] }));
    expect(tables.node.addresses).toEqual([]);
    expect(tables.vteps).toEqual([]);
  });
});

describe('reuse of the previous snapshot', () => {
  const services = [service({}), service({ clusterIP: '10.96.0.10', clusterIPs: ['10.96.0.10'] }, {}, 'db')];
  const slices = [
    slice([{ at: '10.244.1.5', on: 1 }]),
    slice([{ at: '10.244.2.5', on: 2 }], { name: 'db-1', service: 'db' }),
  ];
  const first = compileTables(input({ services, endpointSlices: slices, localEndpoints: [pod(5)] }));

  it('is the same object when nothing changed', () => {
    const again = input({ services: [...services], endpointSlices: [...slices], localEndpoints: [pod(5)] });
    expect(compileTables(again, first)).toBe(first);
  });

  it('keeps the other service when the endpoints of one change, and raises the epoch', () => {
    const changed = [
      slices[0],
      slice([{ at: '10.244.2.6', on: 2 }], { name: 'db-1', service: 'db', version: '2' }),
    ];
    const next = compileTables(input({ services, endpointSlices: changed, localEndpoints: [pod(5)] }), first);
    expect(next.epoch).toBe(first.epoch + 1);
    expect(next.services[0]).toBe(first.services[0]);
    expect(next.services[1]).not.toBe(first.services[1]);
    expect(next.services[1].endpoints[0].address).toBe('10.244.2.6');
    expect(next.routes).toBe(first.routes);
    expect(next.node).toBe(first.node);
  });

  it('keeps a service port whose object changed in ways that do not matter', () => {
    const relabelled = service(
      {},
      { metadata: { ...services[0].metadata, resourceVersion: '9', labels: { a: 'b' } } },
    );
    const next = compileTables(
      input({ services: [relabelled, services[1]], endpointSlices: slices, localEndpoints: [pod(5)] }),
      first,
    );
    expect(next).toBe(first);
  });

  it('compiles services again when the node moves to another zone', () => {
    const hinted = [
      slice([
        { at: '10.244.1.5', on: 1, hints: { forZones: [{ name: 'a' }] } },
        { at: '10.244.2.5', on: 2, hints: { forZones: [{ name: 'b' }] } },
      ]),
    ];
    const a = compileTables(
      input({ services, endpointSlices: hinted, nodes: [node(1, { zone: 'a' }), node(2)] }),
    );
    expect(a.services[0].clusterEndpoints.map((item) => item.address)).toEqual(['10.244.1.5']);
    const b = compileTables(
      input({ services, endpointSlices: hinted, nodes: [node(1, { zone: 'b' }), node(2)] }),
      a,
    );
    expect(b.services[0].clusterEndpoints.map((item) => item.address)).toEqual(['10.244.2.5']);
  });
});
