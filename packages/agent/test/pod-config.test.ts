import type { ConfigMap, Container, Pod, Secret, Service } from 'kubernetes-types/core/v1.js';
import { describe, expect, it } from 'vitest';
import { ContainerConfigError, containerEnvironment } from '../src/pods/env.ts';
import { expand } from '../src/pods/expansion.ts';
import { hostsFile, podHostname, resolvConf } from '../src/pods/resolv-conf.ts';
import { serviceEnvironment, servicesForPod } from '../src/pods/service-env.ts';
import { containerFiles, VolumeError, volumeFiles } from '../src/pods/volumes.ts';

const pod = (spec: object = {}, metadata: object = {}): Pod =>
  ({
    metadata: { name: 'web-1', namespace: 'shop', uid: 'u1', labels: { app: 'web' }, ...metadata },
    spec: { nodeName: 'node-1', serviceAccountName: 'robot', containers: [], ...spec },
  }) as Pod;

describe('$(NAME) expansion', () => {
  // The table of upstream's expand_test.go, with VAR_A=A and so on.
  const values: Record<string, string> = { VAR_A: 'A', VAR_B: 'B', VAR_REF: '$(VAR_A)', VAR_EMPTY: '' };
  it.each([
    ['$(VAR_A)', 'A'],
    ['___$(VAR_B)___', '___B___'],
    ['$(VAR_REF)', '$(VAR_A)'],
    ['$(VAR_A)-$(VAR_A)', 'A-A'],
    ['foo-$(VAR_EMPTY)-bar', 'foo--bar'],
    ['$$(VAR_A)', '$(VAR_A)'],
    ['$$$(VAR_A)', '$A'],
    ['$$$$(VAR_A)', '$$(VAR_A)'],
    ['$(VAR_NOT)', '$(VAR_NOT)'],
    ['$VAR_A', '$VAR_A'],
    ['$(VAR_A', '$(VAR_A'],
    ['f000-$$VAR_A', 'f000-$VAR_A'],
    ['foo\\$(VAR_A)bar', 'foo\\Abar'],
    ['$?_boo_$!', '$?_boo_$!'],
    ['$', '$'],
    ['a$', 'a$'],
    ['$()', '$()'],
  ])('%s -> %s', (text, want) => {
    expect(expand(text, (name) => values[name])).toBe(want);
  });
});

const services = [
  {
    metadata: { name: 'redis-master', namespace: 'shop' },
    spec: { clusterIP: '10.96.0.11', ports: [{ port: 6379, protocol: 'TCP' }] },
  },
  {
    metadata: { name: 'dns', namespace: 'shop' },
    spec: {
      clusterIP: '10.96.0.12',
      ports: [
        { name: 'u-d-p', port: 8083, protocol: 'UDP' },
        { name: 't', port: 8084, protocol: 'TCP' },
      ],
    },
  },
  { metadata: { name: 'headless', namespace: 'shop' }, spec: { clusterIP: 'None', ports: [{ port: 1 }] } },
  { metadata: { name: 'far', namespace: 'other' }, spec: { clusterIP: '10.96.0.13', ports: [{ port: 1 }] } },
  {
    metadata: { name: 'kubernetes', namespace: 'default' },
    spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443 }] },
  },
] as Service[];

describe('service environment', () => {
  it('names services as upstream does', () => {
    expect(Object.fromEntries(serviceEnvironment(services.slice(0, 3)))).toEqual({
      REDIS_MASTER_SERVICE_HOST: '10.96.0.11',
      REDIS_MASTER_SERVICE_PORT: '6379',
      REDIS_MASTER_PORT: 'tcp://10.96.0.11:6379',
      REDIS_MASTER_PORT_6379_TCP: 'tcp://10.96.0.11:6379',
      REDIS_MASTER_PORT_6379_TCP_PROTO: 'tcp',
      REDIS_MASTER_PORT_6379_TCP_PORT: '6379',
      REDIS_MASTER_PORT_6379_TCP_ADDR: '10.96.0.11',
      DNS_SERVICE_HOST: '10.96.0.12',
      DNS_SERVICE_PORT: '8083',
      DNS_SERVICE_PORT_U_D_P: '8083',
      DNS_SERVICE_PORT_T: '8084',
      DNS_PORT: 'udp://10.96.0.12:8083',
      DNS_PORT_8083_UDP: 'udp://10.96.0.12:8083',
      DNS_PORT_8083_UDP_PROTO: 'udp',
      DNS_PORT_8083_UDP_PORT: '8083',
      DNS_PORT_8083_UDP_ADDR: '10.96.0.12',
      DNS_PORT_8084_TCP: 'tcp://10.96.0.12:8084',
      DNS_PORT_8084_TCP_PROTO: 'tcp',
      DNS_PORT_8084_TCP_PORT: '8084',
      DNS_PORT_8084_TCP_ADDR: '10.96.0.12',
    });
  });

  it('tells a pod of its own namespace and of the API server', () => {
    const names = (links: boolean, namespace = 'shop') =>
      servicesForPod(services, namespace, links).map(({ metadata }) => metadata!.name);
    expect(names(true)).toEqual(['redis-master', 'dns', 'headless', 'kubernetes']);
    expect(names(false)).toEqual(['kubernetes']);
    expect(names(false, 'default')).toEqual(['kubernetes']);
  });
});

const config = {
  configMap: (_namespace: string, name: string) =>
    name === 'settings' ? ({ data: { color: 'red', 'a.conf': 'x=1\n' } } as unknown as ConfigMap) : undefined,
  secret: (_namespace: string, name: string) =>
    name === 'keys' ? ({ data: { token: 'c2VjcmV0' } } as unknown as Secret) : undefined,
};
const where = { podIPs: ['10.244.1.5', 'fd00::5'], hostIPs: ['127.0.0.11'], nodeName: 'node-1' };
const node = { cpu: '4', memory: '1Gi', 'ephemeral-storage': '1Gi' };
const environment = (container: Partial<Container>, links = new Map<string, string>()) =>
  containerEnvironment({
    pod: pod(),
    container: { name: 'c', ...container } as Container,
    where,
    node,
    config,
    services: links,
  });

describe('container environment', () => {
  it('takes values from everywhere, later over earlier, services last', () => {
    const env = environment(
      {
        envFrom: [{ prefix: 'S_', configMapRef: { name: 'settings' } }, { secretRef: { name: 'keys' } }],
        env: [
          { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'color' } } },
          { name: 'token', value: 'over' },
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.podIPs' } } },
          { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
          { name: 'ACCOUNT', valueFrom: { fieldRef: { fieldPath: 'spec.serviceAccountName' } } },
          { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
          { name: 'MILLIS', valueFrom: { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } } },
          { name: 'URL', value: 'http://$(WEB_SERVICE_HOST)/$(COLOR)?$(NOT)' },
          { name: 'WEB_SERVICE_PORT', value: '' },
          { name: 'GONE', valueFrom: { configMapKeyRef: { name: 'no', key: 'x', optional: true } } },
        ],
        resources: { requests: { cpu: '250m' } },
      },
      new Map([
        ['WEB_SERVICE_HOST', '10.96.0.9'],
        ['WEB_SERVICE_PORT', '80'],
      ]),
    );
    expect(env).toEqual({
      S_color: 'red',
      'S_a.conf': 'x=1\n',
      token: 'over',
      COLOR: 'red',
      IP: '10.244.1.5',
      IPS: '10.244.1.5,fd00::5',
      LABEL: 'web',
      ACCOUNT: 'robot',
      CPU: '4',
      MILLIS: '250',
      URL: 'http://10.96.0.9/red?$(NOT)',
      WEB_SERVICE_PORT: '',
      WEB_SERVICE_HOST: '10.96.0.9',
    });
  });

  it.each([
    [
      { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'no', key: 'k' } } }] },
      'configmap "no" not found',
    ],
    [
      { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'no', key: 'k' } } }] },
      'secret "no" not found',
    ],
    [
      { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'k' } } }] },
      "couldn't find key k in ConfigMap shop/settings",
    ],
    [
      { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'keys', key: 'k' } } }] },
      "couldn't find key k in Secret shop/keys",
    ],
    [{ envFrom: [{ configMapRef: { name: 'no' } }] }, 'configmap "no" not found'],
    [
      { env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.nothing' } } }] },
      'unsupported fieldPath: spec.nothing',
    ],
  ])('says what is missing: %#', (container, message) => {
    expect(() => environment(container)).toThrow(new ContainerConfigError(message));
  });
});

describe('volumes', () => {
  const context = {
    pod: pod({}, { annotations: { note: 'a "b"\nc' } }),
    where,
    node,
    config,
    clusterCaPem: 'CA',
    serviceAccountToken: (namespace: string, account: string) => `${namespace}/${account}`,
  };
  const files = (volume: object) => Object.fromEntries(volumeFiles({ name: 'v', ...volume }, context));

  it('become files', () => {
    expect(files({ configMap: { name: 'settings' } })).toEqual({ color: 'red', 'a.conf': 'x=1\n' });
    expect(files({ configMap: { name: 'settings', items: [{ key: 'color', path: 'deep/c' }] } })).toEqual({
      'deep/c': 'red',
    });
    expect(files({ secret: { secretName: 'keys' } })).toEqual({ token: 'secret' });
    expect(files({ emptyDir: {} })).toEqual({});
    expect(files({ configMap: { name: 'no', optional: true } })).toEqual({});
    expect(
      files({
        downwardAPI: {
          items: [
            { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
            { path: 'notes', fieldRef: { fieldPath: 'metadata.annotations' } },
          ],
        },
      }),
    ).toEqual({ labels: 'app="web"\n', notes: 'note="a \\"b\\"\\nc"\n' });
    expect(
      files({
        projected: {
          sources: [
            { serviceAccountToken: { path: 'token' } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            {
              downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] },
            },
          ],
        },
      }),
    ).toEqual({ token: 'shop/robot', 'ca.crt': 'CA', namespace: 'shop' });
  });

  it('say what is missing', () => {
    expect(() => files({ configMap: { name: 'no' } })).toThrow(new VolumeError('configmap "no" not found'));
    expect(() => files({ secret: { secretName: 'no' } })).toThrow(new VolumeError('secret "no" not found'));
    expect(() => files({ configMap: { name: 'settings', items: [{ key: 'x', path: 'x' }] } })).toThrow(
      'configmap references non-existent config key: x',
    );
  });

  it('are mounted where the container says', () => {
    const volumes = new Map([
      [
        'v',
        new Map([
          ['color', 'red'],
          ['dir/x', '1'],
          ['dir/y', '2'],
        ]),
      ],
    ]);
    const mount = (mounts: object[]) => {
      const container = { name: 'c', volumeMounts: mounts } as unknown as Container;
      const found = Object.fromEntries(containerFiles(container, volumes, { NAME: 'dir' }, context));
      for (const path of Object.keys(found)) if (path.startsWith('/var/run/secrets')) delete found[path];
      return found;
    };
    expect(mount([{ name: 'v', mountPath: '/etc/v/' }])).toEqual({
      '/etc/v/color': 'red',
      '/etc/v/dir/x': '1',
      '/etc/v/dir/y': '2',
    });
    expect(mount([{ name: 'v', mountPath: '/etc/c.conf', subPath: 'color' }])).toEqual({
      '/etc/c.conf': 'red',
    });
    expect(mount([{ name: 'v', mountPath: '/d', subPathExpr: '$(NAME)' }])).toEqual({
      '/d/x': '1',
      '/d/y': '2',
    });
  });

  it('give every container its service account, unless it asks for none', () => {
    const container = { name: 'c' } as Container;
    const at = '/var/run/secrets/kubernetes.io/serviceaccount';
    expect(Object.fromEntries(containerFiles(container, new Map(), {}, context))).toEqual({
      [`${at}/token`]: 'shop/robot',
      [`${at}/ca.crt`]: 'CA',
      [`${at}/namespace`]: 'shop',
    });
    const none = { ...context, pod: pod({ automountServiceAccountToken: false }) };
    expect(containerFiles(container, new Map(), {}, none).size).toBe(0);
  });
});

describe('resolv.conf', () => {
  const cluster = { dnsAddresses: ['10.96.0.10'], domain: 'cluster.local' };
  it.each([
    [
      {},
      'search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n',
      5,
    ],
    [{ dnsPolicy: 'Default' }, '', 1],
    [{ hostNetwork: true }, '', 1],
    [
      { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' },
      'search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n',
      5,
    ],
    [
      {
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['192.0.2.1'],
          searches: ['ns1.svc.cluster-domain.example'],
          options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
        },
      },
      'search ns1.svc.cluster-domain.example\nnameserver 192.0.2.1\noptions ndots:2 edns0\n',
      2,
    ],
    [
      { dnsConfig: { nameservers: ['192.0.2.1', '10.96.0.10'], options: [{ name: 'ndots', value: '1' }] } },
      'search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\nnameserver 192.0.2.1\noptions ndots:1\n',
      1,
    ],
  ])('of %j', (spec, text, ndots) => {
    const made = resolvConf(pod(spec), cluster);
    expect(made.text).toBe(text);
    expect(made.ndots).toBe(ndots);
  });

  it('goes with a host name and a hosts file', () => {
    const db = pod(
      { hostname: 'db-0', subdomain: 'db', hostAliases: [{ ip: '192.0.2.9', hostnames: ['a', 'b'] }] },
      { name: 'other' },
    );
    expect(podHostname(db, 'cluster.local').hostname).toBe('db-0');
    const text = hostsFile(db, ['10.244.1.5'], 'cluster.local');
    expect(text).toContain('10.244.1.5\tdb-0.db.shop.svc.cluster.local\tdb-0\n');
    expect(text.endsWith('\n# Entries added by HostAliases.\n192.0.2.9\ta\tb\n')).toBe(true);
    db.spec!.setHostnameAsFQDN = true;
    expect(podHostname(db, 'cluster.local').hostname).toBe('db-0.db.shop.svc.cluster.local');
    expect(hostsFile(pod(), ['10.244.1.5'], 'cluster.local')).toContain('10.244.1.5\tweb-1\n');
  });
});
