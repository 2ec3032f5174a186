/**
 * Where a requested probe starts: a pod's own stack and resolver, or the node's.
 */
import type { ClusterSettings } from '@podwire/sync/types';
import type { HostStack } from './host-stack.ts';
import { HttpError } from './http/server.ts';
import type { PodManager } from './pods/pod-manager.ts';
import type { ProbeFrom, ProbeSource } from './probe-request.ts';

/** @throws HttpError when there is no such pod, or it runs elsewhere than in this process */
export function probeSource(
  from: ProbeFrom,
  pods: PodManager,
  host: HostStack,
  settings: ClusterSettings,
): ProbeSource {
  if (from.kind === 'host') return { stack: host.stack, resolve: hostResolver(host, settings) };
  const where = `${from.namespace}/${from.name}`;
  const worker = pods.find(from.namespace, from.name);
  if (worker === undefined)
    throw new HttpError(404, `Cannot probe from pod ${where}: it is not on this node`);
  const sandbox = worker.network?.sandbox;
  if (sandbox === undefined) {
    const why = worker.network === undefined ? 'it is not running' : 'it is a process of its own';
    throw new HttpError(400, `Cannot probe from pod ${where}: ${why}`);
  }
  return {
    stack: sandbox.stack,
    resolve: async (name, signal) => {
      const { resolveHost } = await import('@podwire/workload/resolver');
      return resolveHost(sandbox, name, { signal });
    },
  };
}

/** The node asks the cluster's DNS too, so that a probe may name a Service. */
function hostResolver(host: HostStack, settings: ClusterSettings): ProbeSource['resolve'] {
  return async (name, signal) => {
    const { resolveHost } = await import('@podwire/workload/resolver');
    const resolvConf = {
      nameservers: settings.clusterDNS,
      searches: [`svc.${settings.clusterDomain}`, settings.clusterDomain],
      ndots: 5,
    };
    const podIPs = host.stack.addresses.map(({ address }) => address);
    const sandbox = {
      namespace: '',
      podName: '',
      podUid: '',
      nodeName: '',
      hostname: '',
      podIPs,
      stack: host.stack,
      resolvConf,
      hostsFile: '',
      interfaceMac: host.mac,
      mtu: settings.mtu,
    };
    return resolveHost(sandbox, name, { signal });
  };
}
