import { readFileSync } from 'node:fs';
import type { ServiceMode } from '@podwire/sync/types';

export type IpFamily = 'IPv4' | 'IPv6';

export interface LabTaint {
  key: string;
  value?: string;
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

export interface LabNode {
  name: string;
  /** Underlay address. */
  address: string;
  zone: string;
  labels: Record<string, string>;
  taints: LabTaint[];
}

/** lab.json: a lab file with every default filled in. */
export interface Lab {
  name: string;
  mode: ServiceMode;
  ipFamilies: IpFamily[];
  podCIDRs: string[];
  serviceCIDRs: string[];
  controller: {
    /** Host name or address that agents and clients reach the API server by. */
    address: string;
    port: number;
    /** Address to listen on when it is not `address`: 0.0.0.0 in a container. */
    listen?: string;
    /** Further names and addresses for the server's certificate. */
    names?: string[];
    /** URL in the kubeconfig when clients come another way than agents, such as a published port. */
    kubeconfigServer?: string;
  };
  /** Nodes known beforehand; others may join. */
  nodes: LabNode[];
  probeDelayScale: number;
  nodeGraceSeconds: number;
  evictionSeconds: number;
  vni: number;
  mtu: number;
}

/**
 * Reads lab.json. The command line has checked what people write; this only refuses a file that is not one, and fills in what an
 * older one lacks. Throws an Error with one line.
 */
export function readLab(path: string): Lab {
  let value: Partial<Lab>;
  try {
    value = JSON.parse(readFileSync(path, 'utf8')) as Partial<Lab>;
  } catch (error) {
    throw new Error(`Cannot read the lab file ${path}: ${(error as Error).message}`);
  }
  const { controller } = value;
  if (typeof controller?.address !== 'string') {
    throw new Error(
      `Cannot read the lab file ${path}: controller.address is missing; write it with "podwire up"`,
    );
  }
  const ipFamilies = value.ipFamilies ?? ['IPv4'];
  const ofFamilies = (v4: string, v6: string) => ipFamilies.map((family) => (family === 'IPv4' ? v4 : v6));
  return {
    name: value.name ?? 'lab',
    mode: value.mode ?? 'iptables',
    ipFamilies,
    podCIDRs: value.podCIDRs ?? ofFamilies('10.244.0.0/16', 'fd00:10:244::/48'),
    serviceCIDRs: value.serviceCIDRs ?? ofFamilies('10.96.0.0/16', 'fd00:10:96::/112'),
    controller: { ...controller, port: controller.port ?? 6443 },
    nodes: value.nodes ?? [],
    probeDelayScale: value.probeDelayScale ?? 0.02,
    nodeGraceSeconds: value.nodeGraceSeconds ?? 2,
    evictionSeconds: value.evictionSeconds ?? 1,
    vni: value.vni ?? 1,
    mtu: value.mtu ?? 1450,
  };
}

/** The nodes in the lab file whenever it is asked, for `podwire node add` writes there; those it had before while it cannot be read. */
export function labNodesIn(path: string, { nodes }: Lab): () => readonly LabNode[] {
  return () => {
    try {
      nodes = readLab(path).nodes;
    } catch {
      // Someone is just writing it.
    }
    return nodes;
  };
}
