import { ApiError } from '@podwire/kube/status';
import { describe, expect, test } from 'vitest';
import { AllocationPool, staticBandSize } from '../src/loops/allocation-pool.ts';
import type { Service, ServiceSpec } from '../src/loops/objects.ts';
import { ServiceAllocator } from '../src/loops/service-allocator.ts';
import { FakeClock } from './loops-harness.ts';

const V4 = ['10.96.0.0/16'];
const DUAL = ['10.96.0.0/16', 'fd00:10:96::/112'];

function allocator(serviceCidrs = V4, nodePorts?: { first: number; last: number }): ServiceAllocator {
  return new ServiceAllocator({
    serviceCidrs,
    random32: new FakeClock(7).random32,
    ...(nodePorts ? { nodePorts } : {}),
  });
}

function service(spec: Partial<ServiceSpec>, name = 'web'): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' } as Service['metadata'],
    spec: {
      type: 'ClusterIP',
      selector: { app: 'web' },
      ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
      ...spec,
    },
  };
}

function created(services: ServiceAllocator, spec: Partial<ServiceSpec>): ServiceSpec {
  const object = service(spec);
  services.create(object).commit();
  return object.spec;
}

function updated(services: ServiceAllocator, old: ServiceSpec, change: Partial<ServiceSpec>): ServiceSpec {
  const object = service(structuredClone({ ...old, ...change }));
  services.update(object, service(old)).commit();
  return object.spec;
}

function refusal(act: () => unknown): { code: number; message: string } {
  try {
    act();
  } catch (error) {
    if (error instanceof ApiError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('the pool', () => {
  const bands: [size: number, least: number, most: number, step: number, band: number][] = [
    [16, 16, 256, 16, 0],
    [256, 16, 256, 16, 16],
    [1024, 16, 256, 16, 64],
    [65536, 16, 256, 16, 256],
    [2768, 16, 128, 32, 86],
  ];
  test.each(bands)(
    'of %i leaves out a band of min(max(%i, size/%3$i), %i)',
    (size, least, most, step, band) => {
      expect(staticBandSize(size, least, most, step)).toBe(band);
    },
  );

  test('touches the static band last and then is full', () => {
    const pool = new AllocationPool({ size: 20, staticBand: 5, random32: new FakeClock(3).random32 });
    const first = Array.from({ length: 15 }, () => pool.allocateNext());
    expect(first.sort((a, b) => a - b)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    const rest = Array.from({ length: 5 }, () => pool.allocateNext());
    expect(rest.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
    expect(pool.allocateNext()).toBe(-1);
    pool.release(9);
    expect(pool.allocateNext()).toBe(9);
  });
});

describe('cluster IPs', () => {
  test('come from above the static band and fill all fields', () => {
    const spec = created(allocator(), {});
    expect(spec).toMatchObject({
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      clusterIPs: [spec.clusterIP],
    });
    const [, , third, fourth] = spec.clusterIP!.split('.').map(Number);
    expect(spec.clusterIP).toMatch(/^10\.96\./);
    expect(third * 256 + fourth).toBeGreaterThan(256);
  });

  test('asked for are given once', () => {
    const services = allocator();
    expect(created(services, { clusterIP: '10.96.0.10' }).clusterIPs).toEqual(['10.96.0.10']);
    expect(refusal(() => created(services, { clusterIP: '10.96.0.10' }))).toEqual({
      code: 422,
      message:
        'Service "web" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated',
    });
  });

  const outOfRange = ['10.97.0.1', '10.96.0.0', '10.96.255.255'];
  test.each(outOfRange)('%s is not in the range', (clusterIP) => {
    expect(refusal(() => created(allocator(), { clusterIP })).message).toBe(
      `Service "web" is invalid: spec.clusterIPs: Invalid value: ["${clusterIP}"]: failed to allocate IP ${clusterIP}: provided IP ${clusterIP} is not in the valid range`,
    );
  });

  test('run out, and come back with a deleted Service', () => {
    const services = allocator(['10.0.0.0/29']);
    const specs = Array.from({ length: 6 }, () => created(services, {}));
    expect(specs.map((spec) => spec.clusterIP).sort()).toEqual([1, 2, 3, 4, 5, 6].map((i) => `10.0.0.${i}`));
    expect(refusal(() => created(services, {}))).toEqual({
      code: 500,
      message: 'Internal error occurred: failed to allocate a serviceIP: range is full',
    });
    services.release(service(specs[3]));
    expect(created(services, {}).clusterIP).toBe(specs[3].clusterIP);
  });

  test('taken for a write that fails are free again', () => {
    const services = allocator();
    services.create(service({ clusterIP: '10.96.0.7', type: 'NodePort' })).revert();
    expect(created(services, { clusterIP: '10.96.0.7' }).clusterIP).toBe('10.96.0.7');
    const ports = [
      { name: 'a', port: 80, nodePort: 31000 },
      { name: 'b', port: 81, nodePort: 99 },
    ];
    refusal(() => created(services, { type: 'NodePort', clusterIP: '10.96.0.8', ports }));
    expect(
      created(services, { clusterIP: '10.96.0.8', type: 'NodePort', ports: ports.slice(0, 1) }).clusterIP,
    ).toBe('10.96.0.8');
  });

  test('are not for headless and ExternalName Services', () => {
    const services = allocator();
    expect(created(services, { clusterIP: 'None' })).toMatchObject({
      clusterIP: 'None',
      clusterIPs: ['None'],
      ipFamilies: ['IPv4'],
    });
    const external = created(services, { type: 'ExternalName', externalName: 'example.com' });
    expect(external).not.toHaveProperty('clusterIP');
    expect(external).not.toHaveProperty('ipFamilies');
  });

  test('are known again after a restart', () => {
    const before = allocator();
    const kept = [created(before, { clusterIP: '10.96.0.1' }), created(before, { type: 'NodePort' })];
    const after = allocator();
    after.restore(kept.map((spec) => service(spec)));
    for (const { clusterIP } of kept) {
      expect(refusal(() => created(after, { clusterIP })).message).toContain('already allocated');
    }
    const { nodePort } = kept[1].ports![0];
    expect(
      refusal(() => created(after, { type: 'NodePort', ports: [{ port: 80, nodePort }] })).message,
    ).toContain(`spec.ports[0].nodePort: Invalid value: ${nodePort}: provided port is already allocated`);
  });
});

describe('IP families', () => {
  const cases: {
    name: string;
    cidrs: string[];
    spec: Partial<ServiceSpec>;
    families: string[];
    policy: string;
    ips: RegExp;
  }[] = [
    {
      name: 'single stack by default',
      cidrs: DUAL,
      spec: {},
      families: ['IPv4'],
      policy: 'SingleStack',
      ips: /^10\.96[\d.]+$/,
    },
    {
      name: 'IPv6 alone',
      cidrs: DUAL,
      spec: { ipFamilies: ['IPv6'] },
      families: ['IPv6'],
      policy: 'SingleStack',
      ips: /^fd00:10:96::[\da-f]+$/,
    },
    {
      name: 'prefer on dual',
      cidrs: DUAL,
      spec: { ipFamilyPolicy: 'PreferDualStack' },
      families: ['IPv4', 'IPv6'],
      policy: 'PreferDualStack',
      ips: /^10\.96[\d.]+,fd00:10:96::[\da-f]+$/,
    },
    {
      name: 'prefer on single',
      cidrs: V4,
      spec: { ipFamilyPolicy: 'PreferDualStack' },
      families: ['IPv4'],
      policy: 'PreferDualStack',
      ips: /^10\.96[\d.]+$/,
    },
    {
      name: 'require, IPv6 first',
      cidrs: DUAL,
      spec: { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6'] },
      families: ['IPv6', 'IPv4'],
      policy: 'RequireDualStack',
      ips: /^fd00:10:96::[\da-f]+,10\.96[\d.]+$/,
    },
    {
      name: 'inferred from an address',
      cidrs: DUAL,
      spec: { clusterIP: 'fd00:10:96::a' },
      families: ['IPv6'],
      policy: 'SingleStack',
      ips: /^fd00:10:96::a$/,
    },
    {
      name: 'headless without selector',
      cidrs: V4,
      spec: { clusterIP: 'None', selector: undefined },
      families: ['IPv4', 'IPv6'],
      policy: 'RequireDualStack',
      ips: /^None$/,
    },
  ];
  test.each(cases)('$name', ({ cidrs, spec, families, policy, ips }) => {
    const result = created(allocator(cidrs), spec);
    expect(result.ipFamilies).toEqual(families);
    expect(result.ipFamilyPolicy).toBe(policy);
    expect(result.clusterIPs!.join()).toMatch(ips);
    expect(result.clusterIP).toBe(result.clusterIPs![0]);
  });

  const refusals: { cidrs: string[]; spec: Partial<ServiceSpec>; text: string }[] = [
    {
      cidrs: V4,
      spec: { ipFamilyPolicy: 'RequireDualStack' },
      text: 'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
    },
    {
      cidrs: V4,
      spec: { ipFamilies: ['IPv6'] },
      text: 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
    },
    {
      cidrs: DUAL,
      spec: { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv4', 'IPv6'] },
      text: `spec.ipFamilyPolicy: Invalid value: "SingleStack": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified`,
    },
    {
      cidrs: V4,
      spec: { clusterIP: 'fd00::1' },
      text: 'spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster',
    },
  ];
  test.each(refusals)('$text', ({ cidrs, spec, text }) => {
    expect(refusal(() => created(allocator(cidrs), spec))).toEqual({
      code: 422,
      message: `Service "web" is invalid: ${text}`,
    });
  });

  test('a second address is added and given back', () => {
    const services = allocator(DUAL);
    const single = created(services, {});
    const dual = updated(services, single, { ipFamilyPolicy: 'RequireDualStack' });
    expect(dual.clusterIPs).toEqual([single.clusterIP, expect.stringMatching(/^fd00:10:96::/)]);
    const again = updated(services, dual, { ipFamilyPolicy: 'SingleStack' });
    expect(again.clusterIPs).toEqual([single.clusterIP]);
    expect(again.ipFamilies).toEqual(['IPv4']);
    expect(created(services, { clusterIP: dual.clusterIPs![1] }).clusterIP).toBe(dual.clusterIPs![1]);
    expect(refusal(() => updated(services, dual, { clusterIPs: [dual.clusterIPs![0]] })).message).toContain(
      "must be 'SingleStack' to release the secondary cluster IP",
    );
  });
});

describe('node ports', () => {
  test('are given above the static band, one for the TCP and UDP side of a port', () => {
    const ports = [
      { name: 'dns', protocol: 'UDP', port: 53 },
      { name: 'dns-tcp', protocol: 'TCP', port: 53 },
      { name: 'web', protocol: 'TCP', port: 80 },
    ];
    const spec = created(allocator(), { type: 'NodePort', ports });
    const [dns, dnsTcp, web] = spec.ports!.map((port) => port.nodePort!);
    expect(dns).toBe(dnsTcp);
    expect(web).not.toBe(dns);
    for (const port of [dns, web]) expect(port >= 30086 && port <= 32767).toBe(true);
  });

  test('asked for are checked', () => {
    const services = allocator();
    const ports = (nodePort: number) => [{ name: 'http', protocol: 'TCP', port: 80, nodePort }];
    expect(created(services, { type: 'NodePort', ports: ports(30080) }).ports![0].nodePort).toBe(30080);
    expect(refusal(() => created(services, { type: 'NodePort', ports: ports(30080) }))).toEqual({
      code: 422,
      message:
        'Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated',
    });
    expect(refusal(() => created(services, { type: 'NodePort', ports: ports(80) })).message).toBe(
      'Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
    );
  });

  test('run out', () => {
    const services = allocator(V4, { first: 30000, last: 30001 });
    for (let i = 0; i < 2; i++) created(services, { type: 'NodePort' });
    expect(refusal(() => created(services, { type: 'NodePort' })).message).toBe(
      'Internal error occurred: failed to allocate a nodePort: range is full',
    );
  });

  test('stay with a port that is replaced without naming them, and follow a change of type', () => {
    const services = allocator();
    const spec = created(services, { type: 'NodePort' });
    const { nodePort } = spec.ports![0];
    const bare: Partial<ServiceSpec> = {
      clusterIP: undefined,
      clusterIPs: undefined,
      ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
    };
    const kept = updated(services, spec, bare);
    expect(kept.ports![0].nodePort).toBe(nodePort);
    expect(kept.clusterIPs).toEqual(spec.clusterIPs);
    const balanced = updated(services, kept, { type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
    expect(balanced.healthCheckNodePort).toBeGreaterThan(30085);
    const plain = updated(services, balanced, { type: 'ClusterIP' });
    expect(plain.ports![0]).not.toHaveProperty('nodePort');
    expect(plain).not.toHaveProperty('healthCheckNodePort');
    const ports = [nodePort, balanced.healthCheckNodePort].map((port, i) => ({
      name: `p${i}`,
      port: i + 1,
      nodePort: port,
    }));
    expect(created(services, { type: 'NodePort', ports }).ports).toHaveLength(2);
  });

  test('are given back with the address when a Service becomes ExternalName, and taken anew', () => {
    const services = allocator();
    const spec = created(services, { type: 'NodePort' });
    const external = updated(services, spec, { type: 'ExternalName', externalName: 'example.com' });
    expect(external).not.toHaveProperty('clusterIP');
    expect(external).not.toHaveProperty('ipFamilies');
    expect(created(services, { clusterIP: spec.clusterIP }).clusterIP).toBe(spec.clusterIP);
    expect(updated(services, external, { type: 'ClusterIP' }).clusterIP).toMatch(/^10\.96\./);
  });

  test('are not given to a load balancer that does without', () => {
    const spec = created(allocator(), { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false });
    expect(spec.ports![0]).not.toHaveProperty('nodePort');
  });
});
