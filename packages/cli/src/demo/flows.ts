import { get } from 'node:http';
import type { ApiClient } from '../api-client.ts';
import { execInPod } from '../exec-client.ts';
import type { PodObject } from '../kube-types.ts';
import type { Lab } from '../lab-file.ts';
import { joinFlow, type PacketPath } from '../trace/join.ts';
import type { Observation } from '../trace/observation.ts';
import { renderPath } from '../trace/render.ts';
import { armAll, collect, findSource, runTrace, type TraceResult } from '../trace/run.ts';
import { parseTarget } from '../trace/target.ts';
import { podsOf, service, waitFor, waitForReady } from './cluster.ts';
import type { Narrator } from './narrator.ts';

/** What every flow of the demo works with. */
export interface DemoContext {
  api: ApiClient;
  lab: Lab;
  narrator: Narrator;
}

const VXLAN_OVERHEAD_BYTES = 50;
const TRACE_TIMEOUT_MS = 5_000;

export async function podToPodSameNode({ api, narrator }: DemoContext): Promise<void> {
  const pods = [...(await podsOf(api, 'app=frontend')), ...(await podsOf(api, 'app=orders'))];
  const pair = pairOf(pods, (a, b) => a.spec.nodeName === b.spec.nodeName);
  narrator.step(
    'Pod to pod on one node',
    'No tunnel and no translation: the node routes between two links of its own.',
  );
  if (!pair)
    return narrator.check(
      'two pods of the shop share a node',
      false,
      pods.map((pod) => pod.spec.nodeName),
    );
  const [from, to] = pair;
  const result = await traceBetween(api, from, `http://${to.status.podIP}:8080/`);
  showFlow(narrator, result);
  const [request] = result.flow;
  narrator.check(
    `${to.metadata.name} answered`,
    result.probe.ok && (result.probe.body ?? '').includes(to.metadata.name),
    result.probe.error,
  );
  narrator.check(
    'one node saw the packet, and it never entered a tunnel',
    request?.observations.length === 1 && request.observations[0]!.verdict === 'deliver',
  );
  narrator.check('source and destination stayed as they were', sameTuple(request));
}

export async function podToPodAcrossNodes({ api, narrator, lab }: DemoContext): Promise<void> {
  const pods = [...(await podsOf(api, 'app=frontend')), ...(await podsOf(api, 'app=orders'))];
  const pair = pairOf(pods, (a, b) => a.spec.nodeName !== b.spec.nodeName);
  narrator.step(
    'Pod to pod across nodes',
    `The packet travels inside VXLAN over real UDP between the nodes' addresses, port 8472.`,
  );
  if (!pair) return narrator.check('two pods of the shop are on different nodes', false);
  const [from, to] = pair;
  const result = await traceBetween(api, from, `http://${to.status.podIP}:8080/`);
  showFlow(narrator, result);
  const [request] = result.flow;
  const outer = request?.observations[0]?.outer;
  const address = (name: string | undefined): string | undefined =>
    lab.nodes.find((node) => node.name === name)?.address;
  narrator.check(
    `${to.metadata.name} answered`,
    result.probe.ok && (result.probe.body ?? '').includes(to.metadata.name),
    result.probe.error,
  );
  narrator.check(
    `outer addresses are the nodes' own: ${address(from.spec.nodeName)} -> ${address(to.spec.nodeName)}`,
    outer?.src === address(from.spec.nodeName) && outer?.dst === address(to.spec.nodeName),
    outer,
  );
  narrator.check(
    `the VNI is ${lab.vni} and the tunnel adds ${VXLAN_OVERHEAD_BYTES} bytes`,
    outer?.vni === lab.vni && outer?.bytes === VXLAN_OVERHEAD_BYTES,
    outer,
  );
  narrator.check('the inner source and destination stayed as they were', sameTuple(request));
}

export async function podToClusterIp(
  { api, narrator, lab }: DemoContext,
  mode: 'iptables' | 'ebpf',
): Promise<void> {
  narrator.step(
    `Pod to ClusterIP, ${mode} mode`,
    mode === 'iptables'
      ? 'As kube-proxy: the first packet of a connection walks the chains, later ones are one conntrack lookup.'
      : 'As Cilium: the address is translated when the socket connects, so no packet carries the ClusterIP.',
  );
  await setMode(api, lab, mode);
  const orders = await service(api, 'orders');
  const endpoints = (await podsOf(api, 'app=orders')).map((pod) => pod.status.podIP!);
  const [from] = await podsOf(api, 'app=frontend');
  const result = await traceBetween(api, from!, `http://${orders.spec.clusterIP}:80/`);
  showFlow(narrator, result);
  const request = result.flow[0];
  const first = request?.observations[0];
  const translated = first?.tupleOut ?? first?.tupleIn;
  narrator.check('the request was answered', result.probe.ok, result.probe.error);
  narrator.check(
    `the packet went to a backend (${endpoints.join(', ')}), port 8080`,
    endpoints.includes(translated?.dst ?? '') && translated?.dport === 8080,
    translated,
  );
  if (mode === 'iptables') {
    const chains = (first?.steps ?? [])
      .map((step) => step.text + JSON.stringify(step.detail ?? {}))
      .join(' ');
    narrator.check(
      `the pod sent it to ${orders.spec.clusterIP}:80; the node's data plane chose the backend`,
      first?.tupleIn?.dst === orders.spec.clusterIP,
      first?.tupleIn,
    );
    narrator.check(
      'the trace names the chains it walked (KUBE-SVC-…, KUBE-SEP-…)',
      /KUBE-SVC-/.test(chains) && /KUBE-SEP-/.test(chains),
      chains.slice(0, 200),
    );
  } else {
    narrator.check(
      'the packet left the pod with the backend as its destination already',
      endpoints.includes(first?.tupleIn?.dst ?? ''),
      first?.tupleIn,
    );
  }
}

/** Switches every node of the lab; the annotation is read by each node's agent. */
async function setMode(api: ApiClient, lab: Lab, mode: string): Promise<void> {
  await Promise.all(
    lab.nodes.map((node) =>
      api.json(
        'PATCH',
        `/api/v1/nodes/${node.name}`,
        { metadata: { annotations: { 'podwire.dev/service-mode': mode } } },
        'application/merge-patch+json',
      ),
    ),
  );
  for (const node of lab.nodes) {
    await waitFor(`${node.name} to run in ${mode} mode`, 5_000, async () => {
      const tables = await api.node<{ mode: string }>(node.name, 'GET', '/podwire/tables');
      return tables.mode === mode || undefined;
    });
  }
}

export async function nodePortFromHost({ api, narrator, lab }: DemoContext): Promise<void> {
  const node = lab.nodes[0]!;
  const url = `http://${node.address}:30080/`;
  narrator.step(
    'NodePort from the host',
    `curl ${url} from this machine: a kernel socket on the node's address, then the data plane.`,
  );
  const nodes = lab.nodes.map((n) => n.name);
  const id = await armAll(api, nodes, TRACE_TIMEOUT_MS);
  const answer = await httpGet(url);
  const all = await collect(api, nodes, id);
  const flow = joinFlow(
    all,
    (o: Observation) => o.node === node.name && o.hook === 'from-host' && o.tupleIn?.dport === 30_080,
  );
  if (flow[0]) narrator.show(`-> ${renderPath(flow[0])}`);
  narrator.show(`HTTP ${answer.status}, ${answer.body.split('\n')[0]}`);
  const frontends = await podsOf(api, 'app=frontend');
  const first = flow[0]?.observations[0];
  narrator.check(
    'a frontend pod answered the host',
    answer.status === 200 && frontends.some((pod) => answer.body.includes(pod.metadata.name)),
    answer,
  );
  narrator.check(
    'the node port became a frontend pod, port 8080',
    frontends.some((pod) => pod.status.podIP === first?.tupleOut?.dst) && first?.tupleOut?.dport === 8080,
    first?.tupleOut,
  );
  narrator.check(
    'the source became the node (externalTrafficPolicy Cluster), so that the answer comes back here',
    first !== undefined && first.tupleOut?.src !== first.tupleIn?.src,
    first?.tupleOut,
  );
}

export async function dnsAnswers({ api, narrator }: DemoContext): Promise<void> {
  narrator.step(
    'DNS',
    'Asked with dig inside a pod; the query itself travels to the kube-dns Service like any packet.',
  );
  const [pod] = await podsOf(api, 'app=frontend');
  const dig = async (...args: string[]): Promise<string[]> => {
    const { stdout } = await execInPod(api, 'default', pod!.metadata.name, ['dig', '+short', ...args]);
    narrator.show(`dig +short ${args.join(' ')}\n${stdout.trimEnd().replace(/^/gm, '  ')}`);
    return stdout.trim().split('\n').filter(Boolean).sort();
  };
  const orders = await service(api, 'orders');
  const databases = await podsOf(api, 'app=db');
  const addresses = databases.map((db) => db.status.podIP!).sort();
  const a = await dig('orders.default.svc.cluster.local', 'A');
  narrator.check(
    `a Service name is its ClusterIP, ${orders.spec.clusterIP}`,
    a.length === 1 && a[0] === orders.spec.clusterIP,
    a,
  );
  const srv = await dig('_http._tcp.orders.default.svc.cluster.local', 'SRV');
  narrator.check(
    'SRV tells the port of a named port: 80',
    srv.length === 1 && / 80 orders\.default\.svc\.cluster\.local\.$/.test(srv[0]!),
    srv,
  );
  const headless = await dig('db.default.svc.cluster.local', 'A');
  narrator.check(
    'a headless name is its pods',
    JSON.stringify(headless) === JSON.stringify(addresses),
    headless,
  );
  const stable = await dig('db-0.db.default.svc.cluster.local', 'A');
  narrator.check(
    `db-0 of the StatefulSet has a name of its own`,
    stable[0] === databases.find((db) => db.metadata.name === 'db-0')?.status.podIP,
    stable,
  );
}

export async function wholeWay({ api, narrator }: DemoContext): Promise<void> {
  narrator.step(
    'The whole way by name',
    'frontend calls orders, orders calls db-0.db: three pods, two names, one request.',
  );
  const [from] = await podsOf(api, 'app=frontend');
  const result = await execInPod(api, 'default', from!.metadata.name, ['curl', '-s', 'http://frontend/']);
  narrator.show(result.stdout.trimEnd());
  narrator.check(
    'frontend reached orders by name',
    /ORDERS_ADDR orders:80 -> 200 orders-/.test(result.stdout),
    result.stderr,
  );
  narrator.check('orders reached db-0 by name', /DB_ADDR db-0\.db:5432 -> 200 db-0/.test(result.stdout));
}

export async function confusedFacts({ api, narrator }: DemoContext): Promise<void> {
  narrator.step('Facts people confuse');
  const [from] = await podsOf(api, 'app=frontend');
  const orders = await service(api, 'orders');
  const vip = orders.spec.clusterIP!;
  const run = (...command: string[]) => execInPod(api, 'default', from!.metadata.name, command);

  const ping = await run('ping', '-c', '2', '-i', '0.2', '-W', '1', vip);
  narrator.show(`$ ping -c 2 ${vip}\n${ping.stdout.trimEnd()}`);
  narrator.check(
    'a ClusterIP answers no ping',
    ping.exitCode === 1 && /100% packet loss/.test(ping.stdout),
    ping,
  );
  const ip = await run('ip', 'addr');
  narrator.check(
    'a ClusterIP is on no interface of the pod',
    !ip.stdout.includes(vip) && ip.stdout.includes(from!.status.podIP!),
    ip.stdout,
  );

  const answers = new Set<string>();
  for (let i = 0; i < 5; i++)
    answers.add((await run('dig', '+short', 'orders.default.svc.cluster.local')).stdout.trim());
  narrator.check(
    'DNS balances nothing: five answers, always the one ClusterIP',
    answers.size === 1 && answers.has(vip),
    [...answers],
  );

  await scale(api, 'orders', 0);
  await waitForReady(api, 'app=orders', 0);
  const empty = (await run('dig', '+short', 'orders.default.svc.cluster.local')).stdout.trim();
  narrator.check('DNS gives the ClusterIP even when no pod is behind it', empty === vip, empty);
  const refused = await waitFor('the Service without endpoints to refuse', 5_000, async () => {
    const attempt = await run('curl', '-s', '-S', '-m', '2', 'http://orders/');
    return attempt.exitCode === 7 ? attempt : undefined;
  });
  narrator.show(`$ curl http://orders/\n${refused.stderr.trimEnd()}`);
  narrator.check('a connection to it is refused', refused.exitCode === 7, refused);
  await scale(api, 'orders', 3);
  const before = (await waitForReady(api, 'app=orders', 3))[0]!;
  await api.json('DELETE', `/api/v1/namespaces/default/pods/${before.metadata.name}?gracePeriodSeconds=1`);
  const after = await waitFor('the replaced pod', 20_000, async () => {
    const pods = await podsOf(api, 'app=orders');
    const ready =
      pods.length === 3 &&
      !pods.some((pod) => pod.metadata.name === before.metadata.name) &&
      pods.every((pod) => pod.status.podIP);
    return ready ? pods : undefined;
  });
  narrator.check(
    `a replaced pod has another IP than ${before.status.podIP}`,
    after.every((pod) => pod.status.podIP !== before.status.podIP),
    after.map((pod) => pod.status.podIP),
  );
  narrator.check(`the Service kept ${vip}`, (await service(api, 'orders')).spec.clusterIP === vip);
  await waitForReady(api, 'app=orders', 3);
}

async function scale(api: ApiClient, name: string, replicas: number): Promise<void> {
  await api.json(
    'PATCH',
    `/apis/apps/v1/namespaces/default/deployments/${name}`,
    { spec: { replicas } },
    'application/merge-patch+json',
  );
}

async function traceBetween(api: ApiClient, from: PodObject, to: string): Promise<TraceResult> {
  const source = await findSource(api, `${from.metadata.namespace}/${from.metadata.name}`);
  return runTrace(api, source, parseTarget(to, false), TRACE_TIMEOUT_MS);
}

/** The first packet each way. */
function showFlow(narrator: Narrator, result: TraceResult): void {
  const request = result.flow.find((path) => path.direction === 'request');
  const reply = result.flow.find((path) => path.direction === 'reply');
  if (request) narrator.show(`-> ${renderPath(request)}`);
  if (reply) narrator.show(`<- ${renderPath(reply)}`);
  narrator.show(`   ${result.flow.length} packets in all, ${result.probe.ms.toFixed(1)} ms`);
}

function sameTuple(path: PacketPath | undefined): boolean {
  const sent = path?.observations[0]?.tupleIn;
  const last = path?.observations.at(-1);
  const got = last?.tupleOut ?? last?.tupleIn;
  return (
    sent !== undefined &&
    got !== undefined &&
    sent.src === got.src &&
    sent.dst === got.dst &&
    sent.sport === got.sport &&
    sent.dport === got.dport
  );
}

function pairOf(
  pods: PodObject[],
  fits: (a: PodObject, b: PodObject) => boolean,
): [PodObject, PodObject] | undefined {
  for (const a of pods) for (const b of pods) if (a !== b && fits(a, b)) return [a, b];
  return undefined;
}

function httpGet(url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false, timeout: TRACE_TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    }).on('error', reject);
  });
}
