import { formatMicroTime, formatTime, jsonEquals, type ObjectMeta } from '@podwire/kube/object';
import type { NodeDescription } from '@podwire/sync/types';
import type { Api } from '../api.ts';
import type { LabNode } from '../lab.ts';

interface NodeCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastHeartbeatTime?: string;
  lastTransitionTime?: string;
}

interface NodeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: { taints?: { key: string; value?: string; effect: string }[]; [field: string]: unknown };
  status?: Partial<NodeDescription['status']> & { conditions?: NodeCondition[] };
}

interface LeaseObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec: { holderIdentity: string; leaseDurationSeconds: number; renewTime: string; acquireTime?: string };
}

interface Heartbeat {
  atMs: number;
  ready: boolean;
  reason: string;
  message: string;
}

export interface NodeRegistryOptions {
  api: Api;
  /** The lab's nodes as they are now: some are added while it runs. */
  labNodes: () => readonly LabNode[];
  nowMs: () => number;
}

const LEASES = 'leases.coordination.k8s.io';
const LEASE_NAMESPACE = 'kube-node-lease';
/** Kubelet's leaseDurationSeconds. */
const LEASE_DURATION_SECONDS = 40;

/** Set while an agent refuses what it is sent and works with older state. */
const SYNC_REFUSED = 'SyncRefused';

const HEALTHY: readonly NodeCondition[] = [
  {
    type: 'MemoryPressure',
    status: 'False',
    reason: 'KubeletHasSufficientMemory',
    message: 'kubelet has sufficient memory available',
  },
  {
    type: 'DiskPressure',
    status: 'False',
    reason: 'KubeletHasNoDiskPressure',
    message: 'kubelet has no disk pressure',
  },
  {
    type: 'PIDPressure',
    status: 'False',
    reason: 'KubeletHasSufficientPID',
    message: 'kubelet has sufficient PID available',
  },
];

/**
 * The Node objects behind the agents: registers them, keeps their last heartbeat in memory, and writes only when a condition
 * changes. Whether a silent node is NotReady is for the node lifecycle loop to say.
 */
export class NodeRegistry {
  readonly #api: Api;
  readonly #labNodes: () => readonly LabNode[];
  readonly #nowMs: () => number;
  readonly #heartbeats = new Map<string, Heartbeat>();

  constructor(options: NodeRegistryOptions) {
    this.#api = options.api;
    this.#labNodes = options.labNodes;
    this.#nowMs = options.nowMs;
  }

  /** When the node was last heard of; -Infinity for one that this process has not heard of. */
  lastHeartbeatMs(nodeName: string): number {
    return this.#heartbeats.get(nodeName)?.atMs ?? -Infinity;
  }

  async heartbeat(nodeName: string, ready: boolean, reason = '', message = ''): Promise<void> {
    this.#heartbeats.set(nodeName, { atMs: this.#nowMs(), ready, reason, message });
    const node = this.#get(nodeName);
    // All that a heartbeat vouches for, so that a node marked Unknown is whole again with one write.
    if (node !== undefined) await this.#writeConditions(node, [...HEALTHY, this.#readyCondition(nodeName)]);
  }

  /** Creates the Node or brings it up to date. What others wrote on it stays. */
  async describe(nodeName: string, description: NodeDescription): Promise<void> {
    const labNode = this.#labNodes().find(({ name }) => name === nodeName);
    const labels = labelsOf(nodeName, description, labNode);
    const { annotations, status } = description;
    const nowMs = this.#nowMs();
    const node = this.#get(nodeName);
    const before = node?.status?.conditions;
    // An agent that finds a restarted controller describes its node before its next heartbeat: what was known of it holds until then.
    const isJudged = before?.some(({ type }) => type === 'Ready') && !this.#heartbeats.has(nodeName);
    const vouchedFor = isJudged ? [] : [...HEALTHY, this.#readyCondition(nodeName)];
    const conditions = mergeConditions(before, vouchedFor, nowMs);
    if (node === undefined) {
      const taints = description.taints ?? labNode?.taints ?? [];
      const created = await this.#api.create<NodeObject>('nodes', {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: nodeName, labels, annotations },
        spec: taints.length > 0 ? { taints } : {},
        status: { ...status, conditions },
      });
      await this.#renewLease(created, nowMs);
      return;
    }
    const writes: Promise<unknown>[] = [];
    const { metadata } = node;
    if (!includes(metadata.labels, labels) || !includes(metadata.annotations, annotations)) {
      writes.push(this.#api.patch('nodes', '', nodeName, { metadata: { labels, annotations } }));
    }
    const wanted = { ...node.status, ...status, conditions };
    if (!jsonEquals(wanted, node.status)) {
      writes.push(this.#api.patch('nodes', '', nodeName, { status: wanted }, { subresource: 'status' }));
    }
    await Promise.all(writes);
  }

  /** Shows on the Node that its agent refuses an update ('' when it accepts again). */
  async syncRefused(nodeName: string, error: string): Promise<void> {
    const node = this.#get(nodeName);
    const shown = node?.status?.conditions?.find(({ type }) => type === SYNC_REFUSED);
    if (node === undefined || (error === '' && shown === undefined)) return;
    const condition =
      error === ''
        ? {
            type: SYNC_REFUSED,
            status: 'False',
            reason: 'StateAccepted',
            message: 'the agent works with the newest state',
          }
        : { type: SYNC_REFUSED, status: 'True', reason: 'StateRefused', message: error };
    await this.#writeConditions(node, [condition]);
  }

  /** Renews the Lease of each node heard of within the last `withinMs`; the writes share one commit. */
  async renewLeases(withinMs: number): Promise<void> {
    const nowMs = this.#nowMs();
    const writes: Promise<unknown>[] = [];
    for (const [nodeName, { atMs }] of this.#heartbeats) {
      const node = this.#get(nodeName);
      if (node !== undefined && nowMs - atMs <= withinMs) writes.push(this.#renewLease(node, nowMs));
    }
    await Promise.all(writes);
  }

  #renewLease(node: NodeObject, nowMs: number): Promise<unknown> {
    const { name = '', uid = '' } = node.metadata;
    const renewTime = formatMicroTime(nowMs);
    if (this.#api.get<LeaseObject>(LEASES, LEASE_NAMESPACE, name) !== undefined) {
      return this.#api.patch(LEASES, LEASE_NAMESPACE, name, { spec: { renewTime } });
    }
    return this.#api.create<LeaseObject>(LEASES, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name,
        namespace: LEASE_NAMESPACE,
        ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid }],
      },
      spec: { holderIdentity: name, leaseDurationSeconds: LEASE_DURATION_SECONDS, renewTime },
    });
  }

  #get(nodeName: string): NodeObject | undefined {
    return this.#api.get<NodeObject>('nodes', '', nodeName);
  }

  #readyCondition(nodeName: string): NodeCondition {
    const heartbeat = this.#heartbeats.get(nodeName);
    const ready = heartbeat?.ready === true;
    return {
      type: 'Ready',
      status: ready ? 'True' : 'False',
      reason: heartbeat?.reason || (ready ? 'KubeletReady' : 'KubeletNotReady'),
      message:
        heartbeat?.message ||
        (ready ? 'kubelet is posting ready status' : 'kubelet has not posted ready status yet'),
    };
  }

  async #writeConditions(node: NodeObject, wanted: readonly NodeCondition[]): Promise<void> {
    const before = node.status?.conditions;
    const conditions = mergeConditions(before, wanted, this.#nowMs());
    if (conditions === before) return;
    const { name = '' } = node.metadata;
    await this.#api.patch('nodes', '', name, { status: { conditions } }, { subresource: 'status' });
  }
}

function labelsOf(
  nodeName: string,
  { labels }: NodeDescription,
  labNode: LabNode | undefined,
): Record<string, string> {
  return {
    'kubernetes.io/hostname': nodeName,
    'kubernetes.io/os': 'linux',
    ...(labNode ? { 'topology.kubernetes.io/zone': labNode.zone, ...labNode.labels } : {}),
    ...labels,
  };
}

/** The list itself when nothing differs but times. */
function mergeConditions(
  before: NodeCondition[] | undefined,
  wanted: readonly NodeCondition[],
  nowMs: number,
): NodeCondition[] {
  const now = formatTime(nowMs);
  let after = before ?? [];
  for (const condition of wanted) {
    const old = after.find(({ type }) => type === condition.type);
    const same = (['status', 'reason', 'message'] as const).every(
      (field) => old?.[field] === condition[field],
    );
    if (old !== undefined && same) continue;
    const lastTransitionTime = old?.status === condition.status ? (old.lastTransitionTime ?? now) : now;
    const next = { ...condition, lastHeartbeatTime: now, lastTransitionTime };
    after = old === undefined ? [...after, next] : after.map((each) => (each === old ? next : each));
  }
  return after;
}

function includes(have: Record<string, string> | undefined, want: Record<string, string>): boolean {
  return Object.entries(want).every(([key, value]) => have?.[key] === value);
}
