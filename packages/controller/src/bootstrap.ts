import { jsonEquals } from '@podwire/kube/object';
import { ApiError } from '@podwire/kube/status';
import { ipVersionOf } from '@podwire/wire/address';
import { nthAddress, parseCidr } from '@podwire/wire/cidr';
import type { Api } from './api.ts';

export interface BootstrapOptions {
  /** One prefix, or one of each IP version; the first one's family is the cluster's default. */
  serviceCidrs: readonly string[];
  /** Where the API server is reached: an IP address, and its port. */
  apiServer: { address: string; port: number };
  /** Nodes expected; with two or more, the DNS servers run on different ones. */
  nodeCount: number;
  /** Default cluster.local. */
  clusterDomain?: string;
}

interface ObjectLike {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    resourceVersion?: string;
  };
  [field: string]: unknown;
}

const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
/** Places of the well-known addresses in the service CIDR. */
const API_SERVICE_INDEX = 1;
const DNS_SERVICE_INDEX = 10;

/** The cluster's DNS servers' addresses, one for each service CIDR. */
export function dnsAddresses(serviceCidrs: readonly string[]): string[] {
  return serviceAddresses(serviceCidrs, DNS_SERVICE_INDEX);
}

/**
 * Makes what every cluster has: the first namespaces, the Service `kubernetes` with the API server behind it, runtime classes and
 * the cluster DNS. What is there already stays as people left it, except where the API server is.
 */
export async function bootstrap(api: Api, options: BootstrapOptions): Promise<void> {
  const namespaces = NAMESPACES.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
  await Promise.all(namespaces.map((namespace) => ensure(api, 'namespaces', namespace)));
  await Promise.all([
    ensure(api, 'services', apiService(options)),
    keep(api, 'endpoints', apiEndpoints(options)),
    keep(api, 'endpointslices.discovery.k8s.io', apiEndpointSlice(options)),
    ...['embedded', 'external'].map((name) => ensure(api, 'runtimeclasses.node.k8s.io', runtimeClass(name))),
    ensure(api, 'serviceaccounts', dnsServiceAccount()),
    ensure(api, 'configmaps', dnsConfig(options)),
    ensure(api, 'services', dnsService(options)),
    ensure(api, 'deployments.apps', dnsDeployment(options)),
  ]);
}

async function ensure(api: Api, resource: string, object: ObjectLike): Promise<void> {
  const { name, namespace = '' } = object.metadata;
  if (api.get(resource, namespace, name) !== undefined) return;
  try {
    await api.create(resource, object);
  } catch (error) {
    if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
  }
}

/** Creates the object, or puts back its content where it differs. */
async function keep(api: Api, resource: string, object: ObjectLike): Promise<void> {
  const { name, namespace = '' } = object.metadata;
  const existing = api.get<ObjectLike>(resource, namespace, name);
  if (existing === undefined) {
    await ensure(api, resource, object);
    return;
  }
  const next = { ...existing, ...object, metadata: { ...existing.metadata, ...object.metadata } };
  if (!jsonEquals(existing, next)) await api.update(resource, next);
}

function serviceAddresses(serviceCidrs: readonly string[], index: number): string[] {
  return serviceCidrs.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === undefined)
      throw new Error(`Cannot use service CIDR ${JSON.stringify(text)}: it is not a prefix`);
    return nthAddress(cidr, index);
  });
}

function apiService({ serviceCidrs, apiServer }: BootstrapOptions): ObjectLike {
  const clusterIPs = serviceAddresses(serviceCidrs, API_SERVICE_INDEX);
  // A Service leads to endpoints of its own family, and the API server has one address.
  const version = ipVersionOf(apiServer.address);
  const clusterIP = clusterIPs.find((address) => ipVersionOf(address) === version) ?? clusterIPs[0];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { component: 'apiserver', provider: 'kubernetes' },
    },
    spec: {
      type: 'ClusterIP',
      clusterIP,
      clusterIPs: [clusterIP],
      ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: apiServer.port }],
    },
  };
}

function apiEndpoints({ apiServer }: BootstrapOptions): ObjectLike {
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
    },
    subsets: [
      {
        addresses: [{ ip: apiServer.address }],
        ports: [{ name: 'https', port: apiServer.port, protocol: 'TCP' }],
      },
    ],
  };
}

function apiEndpointSlice({ apiServer }: BootstrapOptions): ObjectLike {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': 'kubernetes' },
    },
    addressType: ipVersionOf(apiServer.address) === 6 ? 'IPv6' : 'IPv4',
    endpoints: [{ addresses: [apiServer.address], conditions: { ready: true } }],
    ports: [{ name: 'https', port: apiServer.port, protocol: 'TCP' }],
  };
}

function runtimeClass(name: string): ObjectLike {
  return { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name }, handler: name };
}

const DNS_NAMESPACE = 'kube-system';
const DNS_LABELS = { 'k8s-app': 'kube-dns' };

function dnsServiceAccount(): ObjectLike {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'coredns', namespace: DNS_NAMESPACE },
  };
}

function dnsConfig({ clusterDomain = 'cluster.local' }: BootstrapOptions): ObjectLike {
  const Corefile = `.:53 {
    errors
    health
    ready
    kubernetes ${clusterDomain} in-addr.arpa ip6.arpa {
       pods insecure
       ttl 5
    }
    prometheus :9153
    cache 30 {
       disable success ${clusterDomain}
       disable denial ${clusterDomain}
    }
    reload
    loadbalance
}
`;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'coredns', namespace: DNS_NAMESPACE },
    data: { Corefile },
  };
}

function dnsService({ serviceCidrs }: BootstrapOptions): ObjectLike {
  const clusterIPs = dnsAddresses(serviceCidrs);
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'kube-dns',
      namespace: DNS_NAMESPACE,
      labels: { ...DNS_LABELS, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
      annotations: { 'prometheus.io/port': '9153', 'prometheus.io/scrape': 'true' },
    },
    spec: {
      type: 'ClusterIP',
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilyPolicy: clusterIPs.length > 1 ? 'RequireDualStack' : 'SingleStack',
      selector: DNS_LABELS,
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53, targetPort: 53 },
        { name: 'dns-tcp', protocol: 'TCP', port: 53, targetPort: 53 },
        { name: 'metrics', protocol: 'TCP', port: 9153, targetPort: 9153 },
      ],
    },
  };
}

function dnsDeployment({ nodeCount }: BootstrapOptions): ObjectLike {
  // The first server starts on the first node there is; the second waits for a second node rather than share the first one's fate.
  const spread =
    nodeCount > 1
      ? { whenUnsatisfiable: 'DoNotSchedule', minDomains: 2, nodeTaintsPolicy: 'Honor' }
      : { whenUnsatisfiable: 'ScheduleAnyway' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: 'coredns',
      namespace: DNS_NAMESPACE,
      labels: { ...DNS_LABELS, 'kubernetes.io/name': 'CoreDNS' },
    },
    spec: {
      replicas: 2,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
      selector: { matchLabels: DNS_LABELS },
      template: {
        metadata: { labels: DNS_LABELS },
        spec: {
          runtimeClassName: 'external',
          serviceAccountName: 'coredns',
          // It watches through its node's credential.
          automountServiceAccountToken: false,
          priorityClassName: 'system-cluster-critical',
          dnsPolicy: 'Default',
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          tolerations: [
            { key: 'CriticalAddonsOnly', operator: 'Exists' },
            { key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' },
          ],
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              labelSelector: { matchLabels: DNS_LABELS },
              matchLabelKeys: ['pod-template-hash'],
              ...spread,
            },
          ],
          containers: [dnsContainer()],
          volumes: [
            {
              name: 'config-volume',
              configMap: { name: 'coredns', items: [{ key: 'Corefile', path: 'Corefile' }] },
            },
          ],
        },
      },
    },
  };
}

function dnsContainer(): Record<string, unknown> {
  return {
    name: 'coredns',
    image: 'podwire/coredns',
    imagePullPolicy: 'IfNotPresent',
    args: ['-conf', '/etc/coredns/Corefile'],
    ports: [
      { name: 'dns', containerPort: 53, protocol: 'UDP' },
      { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
      { name: 'metrics', containerPort: 9153, protocol: 'TCP' },
    ],
    resources: { requests: { cpu: '100m', memory: '70Mi' }, limits: { memory: '170Mi' } },
    livenessProbe: {
      httpGet: { path: '/health', port: 8080, scheme: 'HTTP' },
      initialDelaySeconds: 60,
      periodSeconds: 60,
      timeoutSeconds: 5,
      failureThreshold: 5,
    },
    // Asked often while it starts, so that names resolve as soon as they can, and seldom from then on: periods are scaled down, and a
    // lab where nothing happens should cost next to nothing.
    startupProbe: {
      httpGet: { path: '/ready', port: 8181, scheme: 'HTTP' },
      periodSeconds: 1,
      failureThreshold: 600,
    },
    readinessProbe: { httpGet: { path: '/ready', port: 8181, scheme: 'HTTP' }, periodSeconds: 20 },
    volumeMounts: [{ name: 'config-volume', mountPath: '/etc/coredns', readOnly: true }],
  };
}
