import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import type { KubeObject } from '@podwire/kube/object';
import { badRequest, notFound, serviceUnavailable } from '@podwire/kube/status';
import type { ConnectContext, ConnectTarget } from './connect.ts';
import { forwardedHeaders, type HeaderRewrite } from './forward.ts';
import { agentAddress } from './node-address.ts';

interface Pod extends KubeObject {
  spec?: { nodeName?: string; containers?: { ports?: { containerPort: number }[] }[] };
}

interface Service extends KubeObject {
  spec?: { ports?: { name?: string; port: number }[] };
}

interface EndpointSlice extends KubeObject {
  ports?: { name?: string; port?: number }[];
  endpoints?: {
    conditions?: { ready?: boolean };
    targetRef?: { kind?: string; name?: string; namespace?: string };
  }[];
}

/** What `[scheme:]name[:port]` in a proxy path names. */
export interface ProxyName {
  scheme: string;
  name: string;
  port: string;
}

export function parseProxyName(text: string): ProxyName | undefined {
  const parts = text.split(':');
  if (parts.length === 1) return { scheme: '', name: text, port: '' };
  if (parts.length === 2) return { scheme: '', name: parts[0]!, port: parts[1]! };
  if (parts.length !== 3 || !['', 'http', 'https'].includes(parts[0]!)) return undefined;
  return { scheme: parts[0]!, name: parts[1]!, port: parts[2]! };
}

/**
 * Opens a request to what `/api/v1/{nodes,pods,services}/[SCHEME:]NAME[:PORT]/proxy/PATH` names: a node's agent directly, pods
 * and the ready pods of Services through the agent of their node. Throws 400, 404 and 503.
 */
export async function openProxy(
  context: ConnectContext,
  request: IncomingMessage,
  url: URL,
  target: ConnectTarget,
  upgrade: boolean,
): Promise<{ outgoing: ClientRequest; rewrite: HeaderRewrite }> {
  const parsed = parseProxyName(target.name);
  if (parsed === undefined)
    throw badRequest(`invalid ${target.type.info.singular} request ${JSON.stringify(target.name)}`);
  const path = `${target.tail || '/'}${url.search}`;
  const headers = forwardedHeaders(request, upgrade);
  const method = request.method ?? 'GET';
  const rewrite = locationBelow(url.pathname.slice(0, url.pathname.length - target.tail.length));
  if (target.type.id === 'nodes') {
    const agent = agentAddress(context.api, parsed.name);
    if (parsed.port === '' || Number(parsed.port) === agent.port) {
      return { outgoing: context.kubelet.request({ ...agent, method, path, headers }), rewrite };
    }
    const outgoing = httpRequest({ host: agent.address, port: Number(parsed.port), method, path, headers });
    return { outgoing, rewrite };
  }
  const backend =
    target.type.id === 'services'
      ? serviceBackend(context, target.namespace, parsed)
      : podBackend(context, target.namespace, parsed);
  let stream: Duplex;
  try {
    stream = await context.kubelet.dial(
      agentAddress(context.api, backend.nodeName),
      target.namespace,
      backend.pod,
      backend.port,
    );
  } catch (error) {
    throw serviceUnavailable(`error trying to reach service: ${(error as Error).message}`);
  }
  // Neither end checks the other's name: the pod is whoever the node says it is.
  if (parsed.scheme === 'https') stream = tlsConnect({ socket: stream, rejectUnauthorized: false });
  const outgoing = httpRequest({
    createConnection: () => stream,
    method,
    path,
    headers: { ...headers, host: request.headers.host ?? 'localhost' },
  });
  return { outgoing, rewrite };
}

interface Backend {
  nodeName: string;
  pod: string;
  port: number;
}

function podBackend({ api }: ConnectContext, namespace: string, { name, port }: ProxyName): Backend {
  const pod = api.get<Pod>('pods', namespace, name);
  if (pod === undefined) throw notFound('pods', name);
  const declared = pod.spec?.containers?.flatMap((each) => each.ports ?? [])[0]?.containerPort;
  const number = port === '' ? (declared ?? 80) : Number(port);
  if (!isPort(number)) throw badRequest(`invalid pod request "${name}:${port}"`);
  const nodeName = pod.spec?.nodeName;
  if (!nodeName) throw badRequest(`address not allowed: pod ${name} does not have a host assigned`);
  return { nodeName, pod: name, port: number };
}

function serviceBackend(
  { api, random32 }: ConnectContext,
  namespace: string,
  { name, port }: ProxyName,
): Backend {
  const service = api.get<Service>('services', namespace, name);
  if (service === undefined) throw notFound('services', name);
  const ports = service.spec?.ports ?? [];
  const wanted =
    port === '' && ports.length === 1
      ? ports[0]
      : ports.find((each) => each.name === port || String(each.port) === port);
  const unavailable = () => serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`);
  if (wanted === undefined)
    throw serviceUnavailable(
      `no service port ${JSON.stringify(port)} found for service ${JSON.stringify(name)}`,
    );
  const backends: Backend[] = [];
  for (const slice of api.list<EndpointSlice>('endpointslices.discovery.k8s.io', { namespace })) {
    if (slice.metadata.labels?.['kubernetes.io/service-name'] !== name) continue;
    const number = slice.ports?.find((each) => (each.name ?? '') === (wanted.name ?? ''))?.port;
    for (const { conditions, targetRef } of slice.endpoints ?? []) {
      if (number === undefined || conditions?.ready === false || targetRef?.kind !== 'Pod') continue;
      const nodeName = api.get<Pod>('pods', namespace, targetRef.name ?? '')?.spec?.nodeName;
      if (nodeName !== undefined) backends.push({ nodeName, pod: targetRef.name!, port: number });
    }
  }
  if (backends.length === 0) throw unavailable();
  return backends[random32() % backends.length]!;
}

function isPort(number: number): boolean {
  return Number.isInteger(number) && number > 0 && number < 65_536;
}

/** A redirect to a path of the backend must stay below the proxy's own path. */
function locationBelow(prefix: string): HeaderRewrite {
  return (headers: OutgoingHttpHeaders) => {
    const { location } = headers;
    if (typeof location === 'string' && location.startsWith('/')) headers.location = `${prefix}${location}`;
  };
}
