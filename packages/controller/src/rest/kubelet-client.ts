import type { ClientRequest, OutgoingHttpHeaders } from 'node:http';
import { Agent, request } from 'node:https';
import type { Duplex } from 'node:stream';

export interface AgentAddress {
  address: string;
  port: number;
}

export interface AgentRequest extends AgentAddress {
  method: string;
  /** Path and query, encoded. */
  path: string;
  headers: OutgoingHttpHeaders;
}

/** How the API server reaches the HTTPS endpoint of a node's agent. */
export interface KubeletClient {
  /** An open request; the caller writes its body and ends it. */
  request(target: AgentRequest): ClientRequest;
  /** A byte stream to a TCP port inside a pod, through the agent of its node. */
  dial(agent: AgentAddress, namespace: string, pod: string, port: number): Promise<Duplex>;
  close(): void;
}

/** Connects with a client certificate and accepts only certificates of `ca`. All in PEM. */
export function createKubeletClient(tls: { ca: string; cert: string; key: string }): KubeletClient {
  const agent = new Agent({ ...tls, keepAlive: true, maxFreeSockets: 4 });
  return {
    request({ address, port, method, path, headers }) {
      // An upgraded socket is never given back to the pool, so it gets one of its own.
      const connection = headers.upgrade === undefined ? { agent } : { ...tls, agent: false };
      return request({ host: address, port, method, path, headers, ...connection });
    },
    async dial(target, namespace, pod, port) {
      const { dialThroughPortForward } = await import('./port-forward-stream.ts');
      return dialThroughPortForward(tls, target, namespace, pod, port);
    },
    close: () => agent.destroy(),
  };
}
