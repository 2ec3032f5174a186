import { type Cidr, containsCidr, formatCidr, nthSubnet, parseCidr } from '@podwire/wire/cidr';
import { type Loop, type LoopContext, loopOf, recorderFor, startQueue } from './loop.ts';
import type { Node } from './objects.ts';

export interface NodeIpamOptions {
  /** The cluster's pod CIDRs, at most one of each IP version. */
  podCidrs: readonly string[];
  /** Prefix length of each node's share; default 24 and 64. */
  nodeMaskSizeV4?: number;
  nodeMaskSizeV6?: number;
}

interface Share {
  cidr: Cidr;
  prefixLength: number;
  count: number;
}

/** Largest number of node CIDRs of one family that are kept track of. */
const MOST_SHARES = 65536;

/**
 * Gives each Node its part of the cluster's pod CIDRs. Node `name-N` gets part N if it is free, so that addresses tell where a pod
 * runs; any other the first free one. Source for the rest: pkg/controller/nodeipam/ipam/range_allocator.go.
 */
export function startNodeIpamController(context: LoopContext, options: NodeIpamOptions): Loop {
  const { api } = context;
  const events = recorderFor(context, 'cidrAllocator');
  const queue = startQueue(context, 'node-ipam-controller', reconcile);
  const shares = options.podCidrs.map((text) => shareOf(text, options));
  const takenBy = shares.map(() => new Map<number, string>());
  const waiting = new Set<string>();

  for (const node of api.list<Node>('nodes')) occupy(node);
  const stopNodes = api.watch<Node>('nodes', ({ type, object }) => {
    const { name } = object.metadata;
    if (type !== 'DELETED') {
      if (podCidrsOf(object).length === 0) queue.add(name);
      return;
    }
    release(name);
    waiting.delete(name);
    for (const other of waiting) queue.add(other);
  });

  async function reconcile(name: string): Promise<undefined> {
    const node = api.get<Node>('nodes', '', name);
    if (node === undefined) {
      release(name);
      return;
    }
    if (podCidrsOf(node).length > 0) {
      occupy(node);
      return;
    }
    const indices = shares.map((share, i) => freeIndex(share, takenBy[i], name));
    if (indices.includes(-1)) {
      waiting.add(name);
      events.record(node, 'Normal', 'CIDRNotAvailable', `Node ${name} status is now: CIDRNotAvailable`);
      return;
    }
    waiting.delete(name);
    indices.forEach((index, i) => {
      takenBy[i].set(index, name);
    });
    const podCIDRs = shares.map((share, i) => nthSubnet(share.cidr, share.prefixLength, indices[i]));
    try {
      await api.patch('nodes', '', name, { spec: { podCIDR: podCIDRs[0], podCIDRs } });
    } catch (error) {
      release(name);
      throw error;
    }
  }

  function occupy(node: Node): void {
    for (const text of podCidrsOf(node)) {
      const cidr = parseCidr(text);
      shares.forEach((share, i) => {
        if (cidr === undefined || cidr.prefixLength !== share.prefixLength || !containsCidr(share.cidr, cidr))
          return;
        takenBy[i].set(subnetIndex(share, cidr), node.metadata.name);
      });
    }
  }

  function release(name: string): void {
    for (const taken of takenBy) {
      for (const [index, owner] of taken) if (owner === name) taken.delete(index);
    }
  }

  return loopOf(queue, stopNodes);
}

function podCidrsOf(node: Node): string[] {
  const { podCIDRs, podCIDR } = node.spec ?? {};
  return podCIDRs ?? (podCIDR ? [podCIDR] : []);
}

function shareOf(text: string, options: NodeIpamOptions): Share {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`Cannot use pod CIDR ${JSON.stringify(text)}: it is not a prefix`);
  const prefixLength = cidr.version === 4 ? (options.nodeMaskSizeV4 ?? 24) : (options.nodeMaskSizeV6 ?? 64);
  if (prefixLength < cidr.prefixLength) {
    throw new Error(
      `Cannot divide pod CIDR ${formatCidr(cidr)} into /${prefixLength} for each node: choose a longer node mask or a shorter pod CIDR`,
    );
  }
  return { cidr, prefixLength, count: Math.min(2 ** (prefixLength - cidr.prefixLength), MOST_SHARES) };
}

function freeIndex(share: Share, taken: ReadonlyMap<number, string>, nodeName: string): number {
  const number = Number(/-(\d+)$/.exec(nodeName)?.[1] ?? -1);
  if (number >= 0 && number < share.count && !taken.has(number)) return number;
  for (let i = 0; i < share.count; i++) if (!taken.has(i)) return i;
  return -1;
}

/** Which of the share's subnets this is: the bits between the two prefix lengths. */
function subnetIndex(share: Share, subnet: Cidr): number {
  let index = 0;
  for (let bit = share.cidr.prefixLength; bit < share.prefixLength; bit++) {
    index = index * 2 + ((subnet.bytes[bit >>> 3] >>> (7 - (bit & 7))) & 1);
  }
  return index;
}
