import type { KubeObject } from '@podwire/kube/object';
import { badRequest, internalError } from '@podwire/kube/status';
import type { Api } from '../api.ts';
import type { AgentAddress } from './kubelet-client.ts';

interface NodeObject extends KubeObject {
  status?: {
    addresses?: { type: string; address: string }[];
    daemonEndpoints?: { kubeletEndpoint?: { Port?: number } };
  };
}

const DEFAULT_AGENT_PORT = 10250;

/** Where the agent of a node listens. Throws 500 when the node says no address, 400 when there is no such node. */
export function agentAddress(api: Api, nodeName: string): AgentAddress {
  const node = api.get<NodeObject>('nodes', '', nodeName);
  if (node === undefined) throw badRequest(`node ${JSON.stringify(nodeName)} not found`);
  const found = node.status?.addresses?.find((each) => each.type === 'InternalIP');
  if (found === undefined) {
    const known = JSON.stringify(node.status?.addresses ?? []);
    throw internalError(`no preferred addresses found; known addresses: ${known}`);
  }
  return {
    address: found.address,
    port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? DEFAULT_AGENT_PORT,
  };
}
