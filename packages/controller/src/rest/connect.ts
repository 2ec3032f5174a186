import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { KubeObject } from '@podwire/kube/object';
import { badRequest, methodNotAllowedOnPath, notFound, toApiError } from '@podwire/kube/status';
import type { Api } from '../api.ts';
import { type Exchange, sendText } from './exchange.ts';
import {
  forwardedHeaders,
  forwardText,
  forwardUpgrade,
  forwardWhole,
  refuseUpgrade,
  textResponse,
} from './forward.ts';
import type { KubeletClient } from './kubelet-client.ts';
import { agentAddress } from './node-address.ts';
import { openProxy } from './proxy.ts';
import type { Target } from './resource-handlers.ts';

/** Subresources that lead to a node or a pod instead of the store. */
export const CONNECT_SUBRESOURCES: readonly string[] = ['attach', 'exec', 'log', 'portforward', 'proxy'];

export interface ConnectContext {
  api: Api;
  kubelet: KubeletClient;
  random32: () => number;
}

interface PodObject extends KubeObject {
  spec: {
    nodeName?: string;
    containers: { name: string }[];
    initContainers?: { name: string }[];
    ephemeralContainers?: { name: string }[];
  };
}

export interface ConnectTarget extends Target {
  /** Of a proxy: what follows `/proxy`, encoded, with its leading slash. */
  tail: string;
}

/** /log, and /proxy without an upgrade. */
export async function handleConnect(
  context: ConnectContext,
  exchange: Exchange,
  target: ConnectTarget,
): Promise<void> {
  if (target.subresource === 'log') return readLog(context, exchange, target);
  if (target.subresource === 'proxy') {
    const { method } = exchange.request;
    if (target.tail === '' && (method === 'GET' || method === 'HEAD')) {
      // Relative links of the page must resolve below the proxy's path.
      const location = `${exchange.url.pathname}/${exchange.url.search}`;
      exchange.response.writeHead(301, { Location: location, 'Content-Length': 0 }).end();
      return;
    }
    const { outgoing, rewrite } = await openProxy(context, exchange.request, exchange.url, target, false);
    return forwardWhole(exchange, outgoing, rewrite);
  }
  // Streams are asked for with an upgrade, which does not come this way.
  const { method } = exchange.request;
  if (method !== 'GET' && method !== 'POST') throw methodNotAllowedOnPath();
  podOf(context, target);
  throw badRequest('Upgrade request required');
}

/**
 * /exec, /attach, /portforward and /proxy of a client that asks for an upgrade, to SPDY or WebSocket as it and the agent agree;
 * /log over WebSocket only.
 */
export async function upgradeConnect(
  context: ConnectContext,
  request: IncomingMessage,
  url: URL,
  client: Duplex,
  head: Buffer,
  target: ConnectTarget,
): Promise<void> {
  try {
    if (target.subresource === 'log') return await upgradeLog(context, request, url, client, head, target);
    const outgoing =
      target.subresource === 'proxy'
        ? (await openProxy(context, request, url, target, true)).outgoing
        : agentRequestOf(context, request, url, target);
    forwardUpgrade(client, head, outgoing);
  } catch (error) {
    refuseUpgrade(client, toApiError(error));
  }
}

function podOf({ api }: ConnectContext, { type, namespace, name }: Target): PodObject {
  const pod = api.get<PodObject>(type.id, namespace, name);
  if (pod === undefined) throw notFound(type.id, name);
  return pod;
}

/** exec and attach go to a container, portforward to the pod. */
function agentRequestOf(
  context: ConnectContext,
  request: IncomingMessage,
  url: URL,
  target: ConnectTarget,
): ClientRequest {
  const pod = podOf(context, target);
  const query = new URLSearchParams(url.search);
  let path: string;
  if (target.subresource === 'portforward') path = podPath('portForward', target);
  else {
    const container = chooseContainer(pod, query.get('container') ?? '');
    query.delete('container');
    path = `${podPath(target.subresource, target)}/${encodeURIComponent(container)}`;
  }
  const { nodeName } = pod.spec;
  if (!nodeName) throw badRequest(`pod ${target.name} does not have a host assigned`);
  const headers = forwardedHeaders(request, request.headers.upgrade !== undefined);
  return context.kubelet.request({
    ...agentAddress(context.api, nodeName),
    method: request.method ?? 'GET',
    path: withQuery(path, query),
    headers,
  });
}

async function readLog(context: ConnectContext, exchange: Exchange, target: Target): Promise<void> {
  if (exchange.request.method !== 'GET') throw methodNotAllowedOnPath();
  const outgoing = logRequest(context, exchange.url, target);
  if (outgoing === undefined) return sendText(exchange, 200, 'text/plain', '');
  return forwardText(exchange, outgoing);
}

/** Undefined for a pod without a node: nothing has run yet, so nothing was logged. */
function logRequest(context: ConnectContext, url: URL, target: Target): ClientRequest | undefined {
  const pod = podOf(context, target);
  const query = new URLSearchParams(url.search);
  const container = chooseContainer(pod, query.get('container') ?? '');
  query.delete('container');
  const { nodeName } = pod.spec;
  if (!nodeName) return undefined;
  const path = `${podPath('containerLogs', target)}/${encodeURIComponent(container)}`;
  const agent = agentAddress(context.api, nodeName);
  return context.kubelet.request({ ...agent, method: 'GET', path: withQuery(path, query), headers: {} });
}

/** /log over a WebSocket, for browsers: each message is a piece of text. */
async function upgradeLog(
  context: ConnectContext,
  request: IncomingMessage,
  url: URL,
  client: Duplex,
  head: Buffer,
  target: Target,
): Promise<void> {
  const outgoing = logRequest(context, url, target);
  const incoming = outgoing === undefined ? undefined : await textResponse(outgoing);
  const { acceptWebSocket } = await import('./websocket.ts');
  const sender = await acceptWebSocket(request, client, head);
  sender.onClose(() => outgoing?.destroy());
  try {
    for await (const chunk of (incoming ?? []) as AsyncIterable<Buffer>) sender.send(chunk);
  } catch {
    // The agent went away in the middle: this is as much of the log as there is.
  }
  sender.end();
}

function podPath(verb: string, { namespace, name }: Target): string {
  return `/${verb}/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

function withQuery(path: string, query: URLSearchParams): string {
  const text = query.toString();
  return text === '' ? path : `${path}?${text}`;
}

/** The container asked for, or the only one (pkg/registry/core/pod/strategy.go). Throws 400. */
function chooseContainer(pod: PodObject, name: string): string {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  const podName = pod.metadata.name ?? '';
  const names = (list: readonly { name: string }[]) => `[${list.map((each) => each.name).join(' ')}]`;
  if (name !== '') {
    const known = [...containers, ...initContainers, ...ephemeralContainers].some(
      (each) => each.name === name,
    );
    if (!known) throw badRequest(`container ${name} is not valid for pod ${podName}`);
    return name;
  }
  const marked = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'];
  if (marked !== undefined && containers.some((each) => each.name === marked)) return marked;
  if (containers.length === 1) return containers[0]!.name;
  const init = initContainers.length > 0 ? ` or one of the init containers: ${names(initContainers)}` : '';
  throw badRequest(
    `a container name must be specified for pod ${podName}, choose one of: ${names(containers)}${init}`,
  );
}
