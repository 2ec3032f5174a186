/** A cluster of three nodes and seeded Services of every kind, as Kubernetes objects. */

import type { CompileInput } from '@podwire/compile/tables';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import type { NetworkPlan, Place } from './network.ts';

type Service = CompileInput['services'][number];
type EndpointSlice = CompileInput['endpointSlices'][number];

export const PLAN: NetworkPlan = {
  node: { name: 'node-1', kind: 'node', addresses: ['172.18.0.1', 'fd18::1'] },
  gateways: ['10.244.1.1', 'fd00:10:244:1::1'],
  pods: [pod(1, 5), pod(1, 6), pod(1, 7), pod(2, 5), pod(3, 5)],
  outside: {
    name: 'outside',
    kind: 'outside',
    addresses: ['192.0.2.10', '192.0.2.200', '198.18.0.9', '2001:db8::10', '2001:db8:1::9'],
  },
  ports: [8080, 8081, 5353],
};

function pod(n: number, last: number): Place {
  return {
    name: `pod-${n}-${last}`,
    kind: n === 1 ? 'pod' : 'remote',
    addresses: [`10.244.${n}.${last}`, `fd00:10:244:${n}::${last}`],
  };
}

// No two of them touch: nft writes such as one.
const RANGES = ['192.0.2.0/25', '192.0.2.192/26', '198.18.0.0/16', '10.244.0.0/16', '172.18.0.0/24'];
const RANGES_6 = ['2001:db8::/64', '2001:db8:1::/64', 'fd00:10:244::/48', 'fd18::/64'];

/** Services svc-0 to svc-(count-1), both families each; the last few are plain, for counting their spread. */
export function generateInput(
  seed: number,
  count: number,
): Omit<CompileInput, 'mode'> & { readonly spread: readonly string[] } {
  const random32 = seededRandom32(seed);
  const below = (n: number): number => random32() % n;
  const chance = (percent: number): boolean => below(100) < percent;
  const some = <T>(items: readonly T[], percent: number): T[] => items.filter(() => chance(percent));
  const services: Service[] = [];
  const endpointSlices: EndpointSlice[] = [];
  const spread: string[] = [];

  const add = (i: number, spec: Service['spec'], chosen: readonly Place[], targetPort: number): void => {
    const name = `svc-${i}`;
    const protocol = spec!.ports![0].protocol;
    const type = spec!.type;
    const address = (v4: string, v6: string): string[] => [
      `${v4}.${i + 1}`,
      `${v6}::${(i + 1).toString(16)}`,
    ];
    services.push({
      metadata: { namespace: 'web', name },
      spec: { clusterIPs: address('10.96.0', 'fd00:10:96'), ...spec },
      status:
        type === 'LoadBalancer'
          ? { loadBalancer: { ingress: address('203.0.113', '2001:db8:113').map((ip) => ({ ip })) } }
          : {},
    });
    for (const [family, addressType] of ['IPv4', 'IPv6'].entries()) {
      const endpoints = chosen.map((place) => {
        const isTerminating = !spread.includes(name) && chance(15);
        const conditions = {
          ready: !isTerminating && (spread.includes(name) || chance(90)),
          serving: !isTerminating || chance(60),
          terminating: isTerminating,
        };
        return {
          addresses: [place.addresses[family]],
          nodeName: `node-${place.name.split('-')[1]}`,
          conditions,
        };
      });
      endpointSlices.push({
        metadata: {
          namespace: 'web',
          name: `${name}-${family}`,
          labels: { 'kubernetes.io/service-name': name },
        },
        addressType,
        ports: [{ name: 'p', port: targetPort, protocol }],
        endpoints,
      });
    }
  };

  for (let i = 0; i < count; i++) {
    const type = ['ClusterIP', 'NodePort', 'LoadBalancer'][below(3)];
    const isNodePort = type !== 'ClusterIP';
    const ports = [{ name: 'p', port: 1 + below(999), protocol: chance(60) ? 'TCP' : 'UDP' }];
    if (isNodePort) Object.assign(ports[0], { nodePort: 30_000 + i });
    const spec: Service['spec'] = {
      type,
      ports,
      internalTrafficPolicy: chance(25) ? 'Local' : 'Cluster',
      externalTrafficPolicy: isNodePort && chance(45) ? 'Local' : 'Cluster',
      externalIPs: chance(30) ? [`198.51.100.${i + 1}`, `2001:db8:51::${(i + 1).toString(16)}`] : [],
      ...(type === 'LoadBalancer' && chance(60)
        ? { loadBalancerSourceRanges: [...some(RANGES, 40), ...some(RANGES_6, 40), '192.168.77.0/24'] }
        : {}),
      ...(chance(20)
        ? { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } } }
        : {}),
    };
    // One in six has endpoints on other nodes only.
    const kind = below(6);
    const eligible = PLAN.pods.filter((place) => kind !== 0 || place.kind === 'remote');
    add(i, spec, some(eligible, [100, 0, 20, 40, 70, 100][kind]), PLAN.ports[below(3)]);
  }
  for (const [j, backends] of [2, 3, 5].entries()) {
    const i = count + j;
    spread.push(`svc-${i}`);
    const ports = [{ name: 'p', port: 80, protocol: j === 1 ? 'UDP' : 'TCP', nodePort: 30_000 + i }];
    add(i, { type: 'NodePort', ports }, PLAN.pods.slice(0, backends), 8080);
  }
  return {
    nodeName: 'node-1',
    vni: 1,
    mtu: 1450,
    clusterCidrs: ['10.244.0.0/16', 'fd00:10:244::/48'],
    serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'],
    nodes: [1, 2, 3].map((n) => ({
      metadata: { name: `node-${n}` },
      spec: { podCIDRs: [`10.244.${n}.0/24`, `fd00:10:244:${n}::/64`] },
      status: {
        addresses: [`172.18.0.${n}`, `fd18::${n}`].map((address) => ({ type: 'InternalIP', address })),
      },
    })),
    services,
    endpointSlices,
    localEndpoints: PLAN.pods
      .filter(({ kind }) => kind === 'pod')
      .map(({ name, addresses }, id) => ({
        id,
        namespace: 'web',
        name,
        addresses,
        mac: `0a:00:00:00:01:0${id}`,
      })),
    spread,
  };
}
