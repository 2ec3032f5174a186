import { afterEach, expect, test } from 'vitest';
import { bootstrap, dnsAddresses } from '../src/bootstrap.ts';
import type { Deployment, EndpointSlice, Endpoints, Pod, Service } from '../src/loops/objects.ts';
import { isPodReady } from '../src/loops/pod-state.ts';
import { TestCluster } from './loops-harness.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const OPTIONS = {
  serviceCidrs: ['10.96.0.0/16'],
  apiServer: { address: '127.0.0.10', port: 6443 },
  nodeCount: 3,
};

test('a cluster has its first namespaces, its API Service and its DNS', async () => {
  cluster = await TestCluster.start();
  await bootstrap(cluster.api, OPTIONS);
  await cluster.settle();
  const names = cluster.api.list<Pod>('namespaces').map((each) => each.metadata.name);
  expect(names).toEqual(['default', 'kube-node-lease', 'kube-public', 'kube-system']);
  expect(cluster.get<Service>('services', 'kubernetes').spec).toMatchObject({
    clusterIP: '10.96.0.1',
    ports: [{ name: 'https', port: 443, targetPort: 6443 }],
  });
  expect(cluster.get<Endpoints>('endpoints', 'kubernetes').subsets).toEqual([
    { addresses: [{ ip: '127.0.0.10' }], ports: [{ name: 'https', port: 6443, protocol: 'TCP' }] },
  ]);
  const slices = cluster.list<EndpointSlice>('endpointslices.discovery.k8s.io');
  expect(slices.map((slice) => [slice.metadata.name, slice.endpoints[0].addresses])).toEqual([
    ['kubernetes', ['127.0.0.10']],
  ]);
  expect(cluster.get<Service>('services', 'kube-dns', 'kube-system').spec.clusterIPs).toEqual(['10.96.0.10']);
  const dns = cluster.pods({ 'k8s-app': 'kube-dns' }, 'kube-system');
  expect(dns.filter(isPodReady)).toHaveLength(2);
  expect(new Set(dns.map((each) => each.spec.nodeName)).size).toBe(2);
  expect(dns[0].spec.runtimeClassName).toBe('external');
  const [slice] = cluster.list<EndpointSlice>('endpointslices.discovery.k8s.io', 'kube-system');
  expect(slice.ports!.map(({ name, port, protocol }) => `${name} ${port}/${protocol}`).sort()).toEqual([
    'dns 53/UDP',
    'dns-tcp 53/TCP',
    'metrics 9153/TCP',
  ]);
});

test('starting again changes nothing but where the API server is', async () => {
  cluster = await TestCluster.start();
  await bootstrap(cluster.api, OPTIONS);
  await cluster.settle();
  await cluster.patch('deployments.apps', 'coredns', { spec: { replicas: 3 } }, 'kube-system');
  await cluster.patch('configmaps', 'coredns', { data: { Corefile: '. {\n}\n' } }, 'kube-system');
  const revision = cluster.store.revision;
  await bootstrap(cluster.api, OPTIONS);
  await cluster.settle();
  expect(cluster.store.revision).toBe(revision);
  await bootstrap(cluster.api, { ...OPTIONS, apiServer: { address: '172.18.0.2', port: 6443 } });
  await cluster.settle();
  expect(cluster.get<Deployment>('deployments.apps', 'coredns', 'kube-system').spec.replicas).toBe(3);
  expect(cluster.get('configmaps', 'coredns', 'kube-system')).toMatchObject({
    data: { Corefile: '. {\n}\n' },
  });
  const [slice] = cluster.list<EndpointSlice>('endpointslices.discovery.k8s.io');
  expect(slice.endpoints[0].addresses).toEqual(['172.18.0.2']);
  expect(cluster.get<Endpoints>('endpoints', 'kubernetes').subsets![0].addresses).toEqual([
    { ip: '172.18.0.2' },
  ]);
});

test('the first DNS server does not wait for a second node', async () => {
  cluster = await TestCluster.start({ nodes: 1 });
  await bootstrap(cluster.api, OPTIONS);
  await cluster.settle();
  const dns = () => cluster.pods({ 'k8s-app': 'kube-dns' }, 'kube-system');
  expect(dns().filter(isPodReady)).toHaveLength(1);
  await cluster.addNode('node-2', 2);
  await cluster.settle();
  expect(dns().filter(isPodReady)).toHaveLength(2);
});

test('two families', async () => {
  const serviceCidrs = ['10.96.0.0/16', 'fd00:10:96::/112'];
  expect(dnsAddresses(serviceCidrs)).toEqual(['10.96.0.10', 'fd00:10:96::a']);
  cluster = await TestCluster.start({
    serviceCidrs,
    settings: { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/48'] },
  });
  await bootstrap(cluster.api, { ...OPTIONS, serviceCidrs });
  await cluster.settle();
  expect(cluster.get<Service>('services', 'kube-dns', 'kube-system').spec).toMatchObject({
    clusterIPs: ['10.96.0.10', 'fd00:10:96::a'],
    ipFamilies: ['IPv4', 'IPv6'],
  });
  expect(cluster.get<Service>('services', 'kubernetes').spec.clusterIPs).toEqual(['10.96.0.1']);
});

test('the Service of the API server has the family of its address, whichever comes first', async () => {
  const serviceCidrs = ['fd00:10:96::/112', '10.96.0.0/16'];
  cluster = await TestCluster.start({
    serviceCidrs,
    settings: { podCidrs: ['fd00:10:244::/48', '10.244.0.0/16'] },
  });
  await bootstrap(cluster.api, { ...OPTIONS, serviceCidrs });
  expect(cluster.get<Service>('services', 'kubernetes').spec).toMatchObject({
    clusterIPs: ['10.96.0.1'],
    ipFamilies: ['IPv4'],
  });
});
