/**
 * Embedded pods: a network stack in this process, one end of a link whose other end is the datapath. Pods on the host's
 * network use the node's own stack.
 */
import { NetStack, type StackOptions } from '@podwire/netstack/stack';
import { type ContainerSpec, startContainer } from '@podwire/workload/container';
import type { Sandbox } from '@podwire/workload/types';
import type { Pod } from 'kubernetes-types/core/v1.js';
import type { Attachment } from '../cni/attach.ts';
import { stackLoopback } from '../host-stack.ts';
import type { PodContext } from './pod-context.ts';
import type { PodRuntime } from './pod-runtime.ts';
import { hostsFile, podHostname, resolvConf } from './resolv-conf.ts';

/** The next hop of every pod, which the data plane answers for. */
export const POD_GATEWAY = { v4: '169.254.1.1', v6: 'fe80::1' } as const;

export interface SandboxParts {
  readonly context: PodContext;
  readonly pod: Pod;
  readonly podIPs: readonly string[];
  readonly stack: NetStack;
  readonly mac: string;
  readonly close: () => void;
}

/** A pod with a stack of its own. */
export function embeddedRuntime(
  context: PodContext,
  pod: Pod,
  attachment: Attachment,
  socketLb: StackOptions['socketLb'],
): PodRuntime {
  const { addresses, mac } = attachment;
  const stack = new NetStack({
    nowMs: context.nowMs,
    random32: context.random32,
    interface: { name: 'eth0', mac, mtu: context.settings.mtu, transmit: attachment.send },
    addresses: addresses.map((address) => ({ address, prefixLength: address.includes(':') ? 128 : 32 })),
    gateway: POD_GATEWAY,
    loopback: stackLoopback(context.nodeAddresses),
    ...(socketLb !== undefined && { socketLb }),
  });
  attachment.connect(stack);
  return builtInRuntime({
    context,
    pod,
    podIPs: addresses,
    stack,
    mac,
    close: () => {
      stack.close();
      attachment.detach();
    },
  });
}

/** Runs containers as built-in workloads over `stack`. */
export function builtInRuntime(parts: SandboxParts): PodRuntime {
  const { context, pod, podIPs, stack } = parts;
  const { clusterDomain, clusterDNS, mtu } = context.settings;
  const resolver = resolvConf(pod, { dnsAddresses: clusterDNS, domain: clusterDomain });
  const { hostname } = podHostname(pod, clusterDomain);
  const hosts = hostsFile(pod, podIPs, clusterDomain);
  const sandbox: Sandbox = {
    namespace: pod.metadata!.namespace!,
    podName: pod.metadata!.name!,
    podUid: pod.metadata!.uid!,
    nodeName: context.nodeName,
    hostname: pod.spec?.hostNetwork === true ? context.nodeName : hostname,
    podIPs: [...podIPs],
    stack,
    resolvConf: resolver,
    hostsFile: hosts,
    interfaceMac: parts.mac,
    mtu,
  };
  const clock = { nowMs: context.nowMs, random32: context.random32 };
  return {
    podIPs,
    sandbox,
    start(spec: ContainerSpec, output) {
      const files = spec.files as Map<string, string>;
      files.set('/etc/resolv.conf', resolver.text);
      files.set('/etc/hosts', hosts);
      files.set('/etc/hostname', `${sandbox.hostname}\n`);
      return startContainer(sandbox, spec, output, clock);
    },
    // Running containers read their files from the map itself.
    filesChanged() {},
    dial: (port) => stack.connectTcp({ host: podIPs[0]?.includes(':') ? '::1' : '127.0.0.1', port }),
    close: parts.close,
  };
}
