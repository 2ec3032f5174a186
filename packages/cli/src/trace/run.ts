import { randomBytes } from 'node:crypto';
import type { ApiClient } from '../api-client.ts';
import { Complaint } from '../complaint.ts';
import { isReady, type List, type NodeObject, type PodObject } from '../kube-types.ts';
import { joinFlow, type PacketPath } from './join.ts';
import type { Observation, ProbeResult } from './observation.ts';
import type { TraceTarget } from './target.ts';

/** Where the packets of a trace start. */
export type TraceSource = { kind: 'pod'; pod: PodObject } | { kind: 'host'; node: string };

export interface TraceResult {
  from: string;
  target: TraceTarget;
  probe: ProbeResult;
  /** The query and answer by which the name was found, when one was needed. */
  dns: PacketPath[];
  flow: PacketPath[];
}

const MAX_PACKETS = 4_096;
/** Long enough for the last packets of a flow to be recorded on every node. */
const SETTLE_MS = 60;

/** Finds FROM: `pod`, `namespace/pod`, `host` or `host/NODE`. A prefix of one pod's name is enough. */
export async function findSource(api: ApiClient, text: string): Promise<TraceSource> {
  if (text === 'host' || text.startsWith('host/')) {
    const nodes = (await api.get<List<NodeObject>>('/api/v1/nodes')).items;
    const wanted = text.slice('host/'.length);
    const node = wanted ? nodes.find((n) => n.metadata.name === wanted) : nodes.find(isReady);
    if (!node) {
      throw new Complaint(
        `There is no node "${wanted}"; there are ${nodes.map((n) => n.metadata.name).join(', ')}`,
      );
    }
    return { kind: 'host', node: node.metadata.name };
  }
  const slash = text.indexOf('/');
  const namespace = slash < 0 ? 'default' : text.slice(0, slash);
  const name = text.slice(slash + 1);
  const pods = (await api.get<List<PodObject>>(`/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`))
    .items;
  const running = pods.filter((pod) => pod.status.phase === 'Running' && !pod.metadata.deletionTimestamp);
  const exact = pods.find((pod) => pod.metadata.name === name);
  const byPrefix = running
    .filter((pod) => pod.metadata.name.startsWith(name))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const pod = exact ?? (name === '' ? undefined : byPrefix[0]);
  if (!pod) {
    const there = pods.map((p) => p.metadata.name).slice(0, 5);
    throw new Complaint(
      `There is no pod "${name}" in namespace "${namespace}"${there.length > 0 ? `; there are ${there.join(', ')}${pods.length > 5 ? ', …' : ''}` : ''}`,
    );
  }
  if (pod.status.phase !== 'Running' || !pod.spec.nodeName) {
    throw new Complaint(
      `Cannot trace from pod "${namespace}/${pod.metadata.name}": it is ${pod.status.phase ?? 'Pending'}, not Running`,
    );
  }
  return { kind: 'pod', pod };
}

/** Makes every node record what its data plane does with each packet; returns the recording's id. */
export async function armAll(api: ApiClient, nodes: readonly string[], windowMs: number): Promise<string> {
  const id = `trace-${randomBytes(6).toString('hex')}`;
  const request = { id, windowMs: windowMs + 5_000, maxPackets: MAX_PACKETS };
  await Promise.all(nodes.map((node) => api.node(node, 'POST', '/podwire/trace/arm', request)));
  return id;
}

/** What all nodes recorded; ends the recording. */
export async function collect(api: ApiClient, nodes: readonly string[], id: string): Promise<Observation[]> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const recorded = await Promise.all(
    nodes.map(async (node) => {
      const { observations } = await api.node<{ observations: Omit<Observation, 'node'>[] }>(
        node,
        'GET',
        `/podwire/trace/${id}`,
      );
      await api.node(node, 'DELETE', `/podwire/trace/${id}`);
      return observations.map((observation) => ({ ...observation, node }));
    }),
  );
  return recorded.flat();
}

/** Arms every node, opens one real connection, and joins what the nodes recorded. */
export async function runTrace(
  api: ApiClient,
  source: TraceSource,
  target: TraceTarget,
  timeoutMs: number,
): Promise<TraceResult> {
  const nodes = (await api.get<List<NodeObject>>('/api/v1/nodes')).items
    .filter(isReady)
    .map((node) => node.metadata.name);
  const home = source.kind === 'pod' ? source.pod.spec.nodeName! : source.node;
  const id = await armAll(api, nodes, timeoutMs);
  const probe = await api.node<ProbeResult>(
    home,
    'POST',
    '/podwire/probe',
    {
      ...(source.kind === 'pod'
        ? { namespace: source.pod.metadata.namespace, pod: source.pod.metadata.name, host: target.host }
        : { host: true, target: target.host }),
      port: target.port,
      protocol: target.protocol,
      path: target.path,
      timeoutMs,
    },
    timeoutMs + 10_000,
  );
  const all = await collect(api, nodes, id);
  const fromHere = (o: Observation): boolean =>
    o.node === home &&
    (source.kind === 'pod'
      ? o.hook === 'from-pod' && o.podName === podId(source.pod)
      : o.hook === 'from-host');
  const flow = joinFlow(all, (o) => {
    const tuple = o.tupleIn;
    if (!fromHere(o) || !tuple || tuple.src !== probe.localAddress) return false;
    return target.protocol === 'icmp'
      ? tuple.proto.startsWith('icmp')
      : tuple.sport === probe.localPort && tuple.proto === (target.protocol === 'udp' ? 'udp' : 'tcp');
  });
  const dns = joinFlow(all, (o) => fromHere(o) && o.tupleIn?.dport === 53);
  return { from: source.kind === 'pod' ? podId(source.pod) : `host of ${home}`, target, probe, dns, flow };
}

function podId(pod: PodObject): string {
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}
