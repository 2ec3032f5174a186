/**
 * What the data plane decides from: one immutable snapshot, swapped by one reference.
 *
 * A table says what is, in the words of the network (addresses, ports, MACs), and carries the Kubernetes names
 * only so that a trace or a dump can speak them. Nothing here is read byte by byte on the packet path: the
 * pipeline prepares its own lookup structures when a snapshot is assigned, reusing whatever did not change by
 * object identity. A producer therefore keeps the old object when its content is the same.
 */

import type { PolicyTables } from './policy.ts';

/** Which real system's service translation is reproduced. */
export type ServiceMode = (typeof SERVICE_MODES)[number];
export const SERVICE_MODES = ['iptables', 'ipvs', 'nftables', 'ebpf'] as const;

export interface Tables {
  /** Grows with every snapshot that differs; cached verdicts of an older epoch are checked again. */
  readonly epoch: number;
  readonly mode: ServiceMode;
  readonly node: NodeEntry;
  /** Pod address ranges of the whole cluster: a source outside is masqueraded when it uses a Service. */
  readonly clusterCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  /** The pods of this node. */
  readonly endpoints: readonly LocalEndpoint[];
  /** The other nodes, as tunnel endpoints. */
  readonly vteps: readonly VtepEntry[];
  /** Longest prefix wins; a destination that no prefix covers goes to the host. */
  readonly routes: readonly RouteEntry[];
  /** One entry per Service, port and IP family. */
  readonly services: readonly ServicePort[];
  readonly options?: ServiceOptions;
  /** Absent: no pod is selected by any policy. */
  readonly policy?: PolicyTables;
}

export interface NodeEntry {
  readonly name: string;
  /** The node's own (underlay) addresses, both families: a NodePort answers on each of them. */
  readonly addresses: readonly string[];
  /**
   * The node's address inside the overlay (the .1 of its pod CIDR): source of masqueraded flows and of the ICMP
   * errors the node makes. Owned by the host stack, as the node addresses are.
   */
  readonly gatewayAddress: { readonly v4?: string; readonly v6?: string };
  /** Inner Ethernet source on the tunnel, and the MAC of the host stack's interface. */
  readonly vtepMac: string;
  readonly vni: number;
  /** Largest inner IP packet that fits the tunnel, in bytes (1450 on a 1500-byte underlay). */
  readonly mtu: number;
  readonly zone?: string;
  /** UDP port of the tunnel (8472). */
  readonly tunnelPort: number;
}

/** A pod of this node and its end of the link. */
export interface LocalEndpoint {
  /** Small non-negative integer, unique on the node for as long as the pod lives. */
  readonly id: number;
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly mac: string;
  readonly hostNetwork?: false;
}

export interface VtepEntry {
  readonly node: string;
  /** Underlay address of the other node. */
  readonly address: string;
  readonly port: number;
  /** Inner Ethernet destination. */
  readonly mac: string;
}

export type RouteTarget =
  | { readonly kind: 'endpoint'; readonly endpointId: number }
  | { readonly kind: 'vtep'; readonly vtep: VtepEntry }
  | { readonly kind: 'host' }
  /** Dropped with an ICMP host unreachable (an address of this node's pod CIDR that no pod holds). */
  | { readonly kind: 'unreachable'; readonly text: string }
  /** Dropped in silence (a service address that nothing translated leaves by the default route and is lost). */
  | { readonly kind: 'blackhole'; readonly text: string };

export interface RouteEntry {
  /** CIDR text, e.g. `10.244.2.0/24`. */
  readonly prefix: string;
  readonly target: RouteTarget;
}

/** IP protocol numbers a Service can carry. */
export type ServiceProtocol = 6 | 17 | 132;

/**
 * One port of one Service in one IP family. `endpoints` is what EndpointSlices list; the other two lists are the
 * choice made from it (ready, else serving and terminating; topology hints; locality), so that every mode starts
 * from the same facts.
 */
export interface ServicePort {
  /** `namespace/name` with `:portName` when the port has a name, as kube-proxy writes it in comments. */
  readonly name: string;
  readonly namespace: string;
  readonly service: string;
  readonly portName: string;
  readonly version: 4 | 6;
  readonly protocol: ServiceProtocol;
  readonly clusterIp: string;
  readonly port: number;
  /** 0 when the Service has none. */
  readonly nodePort: number;
  readonly externalIps: readonly string[];
  readonly loadBalancerIps: readonly string[];
  /** CIDRs of spec.loadBalancerSourceRanges in this family. */
  readonly sourceRanges: readonly string[];
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  readonly externalTrafficPolicy: 'Cluster' | 'Local';
  /** 0 without `sessionAffinity: ClientIP`. */
  readonly affinitySeconds: number;
  /** 0 when the Service has none. */
  readonly healthCheckNodePort: number;
  /** Every endpoint of the port, whatever its state. */
  readonly endpoints: readonly ServiceEndpoint[];
  /** Used where the traffic policy is Cluster. */
  readonly clusterEndpoints: readonly ServiceEndpoint[];
  /** Used where the traffic policy is Local. */
  readonly localEndpoints: readonly ServiceEndpoint[];
}

export interface ServiceEndpoint {
  readonly address: string;
  readonly port: number;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** Runs on this node. */
  readonly local: boolean;
  readonly nodeName: string;
  readonly zone: string;
  /** `namespace/pod`, or '' when the endpoint names no pod. */
  readonly target: string;
}

export interface ServiceOptions {
  /** kube-proxy --masquerade-all. */
  readonly masqueradeAll?: boolean;
  /** Cilium's bpf-lb-algorithm. Default random. */
  readonly algorithm?: 'random' | 'maglev';
  /** Cilium's maglev table size: one of the listed primes. Default 16381. */
  readonly maglevTableSize?: number;
  /** kube-proxy --ipvs-scheduler. Default rr. */
  readonly ipvsScheduler?: 'rr' | 'wrr' | 'lc' | 'wlc' | 'sed' | 'nq' | 'sh' | 'dh' | 'mh';
  /** Inclusive. Default 30000 to 32767. */
  readonly nodePortRange?: { readonly min: number; readonly max: number };
}
