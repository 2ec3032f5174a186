import { join } from 'node:path';
import { execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, root, TestLab } from './lab.ts';

const hasKubectl = execaSync('kubectl', ['version', '--client'], { reject: false }).exitCode === 0;

type Family = 'IPv4' | 'IPv6';

interface Pod {
  metadata: { name: string };
  spec: { nodeName: string };
  status: { podIP: string; podIPs: { ip: string }[] };
}

interface Service {
  spec: { clusterIP: string; clusterIPs: string[]; ipFamilies: Family[] };
}

const familyOf = (address: string): Family => (address.includes(':') ? 'IPv6' : 'IPv4');

describe.skipIf(!hasKubectl).each<[name: string, block: number, ipFamilies: Family[], mode: string]>([
  ['IPv4 and IPv6, mode iptables', 66, ['IPv4', 'IPv6'], 'iptables'],
  ['IPv6 before IPv4, mode ebpf', 67, ['IPv6', 'IPv4'], 'ebpf'],
  ['IPv6 alone, mode iptables', 68, ['IPv6'], 'iptables'],
])(`a lab with %s${hasKubectl ? '' : ' (needs kubectl)'}`, (_, block, ipFamilies, mode) => {
  const lab = new TestLab(block, { ipFamilies, mode });
  let orders: Pod[];
  let client: Pod;
  /** A pod of orders on another node than the client. */
  let server: Pod;
  let service: Service;

  const sh = (script: string) => lab.kubectl(['exec', client.metadata.name, '--', 'sh', '-c', script]);
  const lines = async (script: string): Promise<string[]> => {
    const { exitCode, stdout, stderr } = await sh(script);
    expect({ script, exitCode, stderr }).toEqual({ script, exitCode: 0, stderr: '' });
    return String(stdout).split('\n').filter(Boolean);
  };
  const json = async <T>(...what: string[]): Promise<T> =>
    JSON.parse(await lab.must('get', ...what, '-o', 'json')) as T;
  const pods = async (app: string): Promise<Pod[]> =>
    (await json<{ items: Pod[] }>('pods', '-l', `app=${app}`)).items;
  const ipv6Of = (pod: Pod): string =>
    pod.status.podIPs.map(({ ip }) => ip).find((ip) => familyOf(ip) === 'IPv6')!;

  beforeAll(async () => {
    const { exitCode, stderr } = await lab.up();
    if (exitCode !== 0) throw new Error(stderr);
    await lab.must('apply', '-f', join(root, 'deploy', 'samples', 'shop.yaml'));
    const ports = [{ port: 80, targetPort: 'http' }];
    const spec = { ipFamilyPolicy: 'PreferDualStack', selector: { app: 'orders' }, ports };
    const manifest = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'both' }, spec };
    await lab.must('patch', 'service', 'db', '-p', '{"spec":{"ipFamilyPolicy":"PreferDualStack"}}');
    const applied = await lab.kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) });
    expect(applied.stderr).toBe('');
    await lab.must('wait', '--for=condition=Available', 'deploy', '--all', '--timeout=60s');
    await lab.must('rollout', 'status', 'statefulset/db', '--timeout=60s');
    [client] = (await pods('frontend')) as [Pod];
    orders = await pods('orders');
    server = orders.find((pod) => pod.spec.nodeName !== client.spec.nodeName)!;
    service = await json<Service>('service', 'both');
  }, 120_000);
  afterAll(() => lab.down(), 60_000);

  it('gives each node a pod CIDR and each pod an address of each family, in their order', async () => {
    const nodes = (await json<{ items: { spec: { podCIDR: string; podCIDRs: string[] } }[] }>('nodes')).items;
    for (const { spec } of nodes) {
      expect(spec.podCIDRs.map(familyOf)).toEqual(ipFamilies);
      expect(spec.podCIDR).toBe(spec.podCIDRs[0]);
    }
    for (const { status } of orders) {
      expect(status.podIPs.map(({ ip }) => familyOf(ip))).toEqual(ipFamilies);
      expect(status.podIP).toBe(status.podIPs[0]!.ip);
    }
  });

  it('gives a Service that prefers dual stack a cluster IP of each family, and endpoints in each', async () => {
    expect(service.spec.ipFamilies).toEqual(ipFamilies);
    expect(service.spec.clusterIPs.map(familyOf)).toEqual(ipFamilies);
    expect(service.spec.clusterIP).toBe(service.spec.clusterIPs[0]);
    const { items } = await json<{ items: { addressType: Family; endpoints: { addresses: string[] }[] }[] }>(
      'endpointslices',
      '-l',
      'kubernetes.io/service-name=both',
    );
    expect(items.map(({ addressType }) => addressType).sort()).toEqual([...ipFamilies].sort());
    for (const { addressType, endpoints } of items) {
      expect(endpoints.flatMap(({ addresses }) => addresses).sort()).toEqual(
        orders
          .flatMap(({ status }) => status.podIPs.map(({ ip }) => ip))
          .filter((ip) => familyOf(ip) === addressType)
          .sort(),
      );
    }
  });

  it('gives a Service without a wish the first family alone', async () => {
    const { spec } = await json<Service>('service', 'orders');
    expect(spec.ipFamilies).toEqual([ipFamilies[0]]);
    expect(spec.clusterIPs).toHaveLength(1);
  });

  it('answers AAAA and A with what there is', async () => {
    const of = (family: Family): string[] => service.spec.clusterIPs.filter((ip) => familyOf(ip) === family);
    expect(await lines('dig +short AAAA both.default.svc.cluster.local')).toEqual(of('IPv6'));
    expect(await lines('dig +short A both.default.svc.cluster.local')).toEqual(of('IPv4'));
    const db = (await pods('db')).map(ipv6Of).sort();
    expect((await lines('dig +short AAAA db.default.svc.cluster.local')).sort()).toEqual(db);
    expect(await lines('dig +short AAAA db-1.db.default.svc.cluster.local')).toHaveLength(1);
    const reverse = await lines(`dig +short -x ${of('IPv6')[0]}`);
    expect(reverse).toEqual(['both.default.svc.cluster.local.']);
  });

  it('carries IPv6 between nodes: ping and curl by address', async () => {
    const to = ipv6Of(server);
    const ping = await lines(`ping -6 -c 2 ${to}`);
    // Two routers on the way: each node takes one off.
    expect(ping.filter((line) => line.includes('ttl=62'))).toHaveLength(2);
    const answer = await lines(`curl -6 -g -s -m 5 "http://[${to}]:8080/"`);
    expect(answer[0]).toBe(`pod: ${server.metadata.name}`);
    expect(answer.find((line) => line.startsWith('client: '))).toContain(ipv6Of(client));
  });

  it('carries IPv6 to a cluster IP: by name and by address, to every backend', async () => {
    const vip = service.spec.clusterIPs.find((ip) => familyOf(ip) === 'IPv6')!;
    const seen = new Set<string>();
    await eventually('all backends to answer', async () => {
      for (const line of await lines(
        `for i in 1 2 3; do curl -6 -s -m 5 http://both/; curl -6 -g -s -m 5 "http://[${vip}]/"; done`,
      )) {
        if (line.startsWith('pod: ')) seen.add(line.slice('pod: '.length));
        if (line.startsWith('client: ')) expect(line).toContain(ipv6Of(client));
      }
      return seen.size === orders.length ? true : undefined;
    });
    expect([...seen].sort()).toEqual(orders.map((pod) => pod.metadata.name).sort());
  });

  if (ipFamilies.includes('IPv4'))
    it('carries IPv4 beside it', async () => {
      const vip = service.spec.clusterIPs.find((ip) => familyOf(ip) === 'IPv4')!;
      expect((await lines(`curl -4 -s -m 5 http://both/`))[0]).toMatch(/^pod: orders-/);
      expect((await lines(`curl -s -m 5 http://${vip}/`))[0]).toMatch(/^pod: orders-/);
      const ipv4 = server.status.podIPs.map(({ ip }) => ip).find((ip) => familyOf(ip) === 'IPv4');
      expect(
        (await lines(`ping -4 -c 1 ${ipv4}`)).some((line) => line.includes('1 received, 0% packet loss')),
      ).toBe(true);
      // The API server has an IPv4 address alone.
      expect((await lines('curl -s -k -m 5 https://kubernetes/version'))[0]).toBe('{');
    });

  it('moves bulk over IPv6 unchanged', async () => {
    const listener = lab.must('exec', server.metadata.name, '--', 'sh', '-c', 'nc -l -p 9000 | sha256sum');
    const [sent] = await lines('seq 1 100000 | sha256sum');
    await lines(
      `for i in $(seq 100); do seq 1 100000 | nc -N ${ipv6Of(server)} 9000 2>/dev/null && exit 0; sleep 0.1; done; exit 1`,
    );
    expect((await listener).trim()).toBe(sent);
  });
});
