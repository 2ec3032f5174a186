import type { KubeObject } from '@podwire/kube/object';

/** Version of proto/sync.proto spoken here; a controller refuses any other. */
export const PROTOCOL_VERSION = 1;

/** Path of the WebSocket on the controller. */
export const SYNC_PATH = '/podwire/v1/sync';

/** Path of the HTTPS endpoint that certifies an agent's key; see join.ts. */
export const JOIN_PATH = '/podwire/v1/join';

/** What a peer is; it decides what the controller shows it. */
export type Role = 'agent' | 'dns';

/** How Services are carried out: as kube-proxy does in its three modes, or as Cilium does. */
export type ServiceMode = 'iptables' | 'ipvs' | 'nftables' | 'ebpf';

/** What every node must agree on; it comes with Welcome and so needs no flag on the agent's command line. */
export interface ClusterSettings {
  name: string;
  mode: ServiceMode;
  ipFamilies: ('IPv4' | 'IPv6')[];
  podCIDRs: string[];
  serviceCIDRs: string[];
  /** DNS zone of the cluster: `cluster.local`. */
  clusterDomain: string;
  /** Addresses of Service kube-system/kube-dns, one per address family. */
  clusterDNS: string[];
  vni: number;
  /** MTU of pod interfaces. */
  mtu: number;
  /** Multiplies initialDelaySeconds and periodSeconds of every probe. */
  probeDelayScale: number;
}

/** One object's change in a peer's state. */
export interface Change<T = KubeObject> {
  /** 'pods', 'endpointslices.discovery.k8s.io' … as `resourceId` of kube/resources.ts. */
  resource: string;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** The newest state; the last known one for DELETED. */
  object: T;
  /** The state before MODIFIED. */
  previous?: T;
}

/** What a peer knows. It is kept while the controller is away. */
export interface SyncState {
  /** Identity of the controller's store, '' before the first snapshot. */
  readonly instanceId: string;
  /** Store revision this state stands at, 0 before the first snapshot. */
  readonly revision: number;
  /** True once a whole snapshot has been applied; stays true while disconnected. */
  readonly synced: boolean;
  /** `namespace` is '' for cluster-scoped resources. Objects are shared: never mutate one. */
  get<T = KubeObject>(resource: string, namespace: string, name: string): T | undefined;
  /** Objects in no promised order. The array is shared until the next change: never mutate it. */
  list<T = KubeObject>(resource: string, namespace?: string): readonly T[];
}

/** An agent's Node as it describes itself. The controller adds conditions, zone and pod CIDRs. */
export interface NodeDescription {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  /** Given to the Node when it is made, and never again. */
  taints?: { key: string; value?: string; effect: string }[];
  status: {
    addresses: { type: string; address: string }[];
    capacity: Record<string, string>;
    allocatable: Record<string, string>;
    nodeInfo: Record<string, string>;
    daemonEndpoints?: { kubeletEndpoint: { Port: number } };
    images?: { names: string[]; sizeBytes?: number }[];
  };
}

/**
 * What a peer tells the controller. Reports of one key are merged, newest wins, and kept until the controller has made them durable.
 * Heartbeats are not: one that cannot leave at once is worth nothing.
 */
export type Report =
  /** Sent every half second or so, and at once when `ready` changes. */
  | { kind: 'heartbeat'; ready: boolean; reason?: string; message?: string }
  | { kind: 'node'; node: NodeDescription }
  | { kind: 'podStatus'; namespace: string; name: string; uid: string; status: PodStatusLike }
  /** The pod had a deletionTimestamp, its containers have stopped and its address is free: remove the object. */
  | { kind: 'podDeleted'; namespace: string; name: string; uid: string }
  /** A v1 Event with metadata.namespace and metadata.name; the same name again updates it. */
  | { kind: 'event'; event: KubeObject };

/** A v1 PodStatus; conditions the node does not own are kept by the controller. */
export interface PodStatusLike {
  phase?: string;
  conditions?: { type: string; status: string; [field: string]: unknown }[];
  [field: string]: unknown;
}

/** Close codes of the WebSocket and what each means. */
export const CLOSE = {
  /** The controller or the client shuts down. */
  goingAway: 1001,
  /** A message is longer than `maxFrameBytes`. */
  frameTooLong: 1009,
  /** Our own bug. */
  internal: 1011,
  /** A message is not a frame of proto/sync.proto. */
  malformedFrame: 4000,
  /** The peer speaks another protocol version. */
  unsupportedVersion: 4001,
  /** Hello has no usable role or node name, or did not come in time. */
  badHello: 4002,
  /** The peer does not answer updates, or falls too far behind. */
  slowConsumer: 4003,
  /** Nothing was heard from the peer for too long. */
  silent: 4004,
  /** Another connection of the same node took over. */
  replaced: 4005,
  /** A well-formed frame at a moment it may not come. */
  unexpectedFrame: 4006,
  /** More resources or items than the limit. */
  tooMany: 4007,
} as const;

export type CloseCode = (typeof CLOSE)[keyof typeof CLOSE];
