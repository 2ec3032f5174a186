/**
 * The node agent: everything that makes one emulated node, put together in order.
 *
 *     pods ── links ──┐                      ┌── underlay (UDP) ── other nodes
 *                     ├── datapath/pipeline ─┤
 *     host stack ─────┘                      └── host: gate ── host stack ── node ports, egress, probes
 *
 * Objects come in through the sync client and become tables (for the pipeline) and pods; what pods do goes back as reports.
 */
import { createSocket } from 'node:dgram';
import { join } from 'node:path';
import { vtepMac } from '@podwire/compile/vtep-mac';
import { dump } from '@podwire/dataplane/dump/dump';
import { Pipeline } from '@podwire/dataplane/pipeline';
import type { Tables } from '@podwire/dataplane/tables';
import { SyncClient } from '@podwire/sync/client';
import { type Change, type ClusterSettings, SYNC_PATH } from '@podwire/sync/types';
import type { Node, Pod, Service } from 'kubernetes-types/core/v1.js';
import { agentMetrics } from './agent-metrics.ts';
import { PodLinks } from './cni/attach.ts';
import { gatewayOf, Ipam } from './cni/ipam.ts';
import { Datapath } from './datapath.ts';
import { apiServerTargets, Egress } from './egress.ts';
import { EventRecorder } from './events.ts';
import { HostStack } from './host-stack.ts';
import { kubeletRoutes } from './http/kubelet-routes.ts';
import { podwireRoutes } from './http/podwire-routes.ts';
import { HttpServer, KUBELET_PORT } from './http/server.ts';
import { certifyNode, type JoinFile, makeNodeKey } from './join.ts';
import { NodePorts } from './node-ports.ts';
import { describeNode, Heartbeat, nodeResources } from './node-registration.ts';
import type { AgentLog, PodContext } from './pods/pod-context.ts';
import { PodManager } from './pods/pod-manager.ts';
import { createRuntime } from './pods/runtimes.ts';
import { probeSource } from './probe-sources.ts';
import { ProbePace } from './probes/prober.ts';
import { TokenSource } from './service-account-tokens.ts';
import { TablesFeed } from './tables-feed.ts';
import type { SetTimer } from './timer.ts';
import { TraceRecorder } from './trace.ts';
import { UdpUnderlay } from './underlay/udp-underlay.ts';

export interface AgentOptions {
  readonly name: string;
  /** Underlay address of the node. */
  readonly address: string;
  /** The controller may still be about to write it. */
  readonly join: Promise<JoinFile>;
  /** Existing directory that is the node's alone. */
  readonly stateDir: string;
  readonly heartbeatMs: number;
  readonly nowMs: () => number;
  readonly nowNs: () => bigint;
  readonly random32: () => number;
  readonly setTimer: SetTimer;
  readonly log: AgentLog;
}

export interface Agent {
  /** Stops the pods quickly, says goodbye and closes every socket. */
  stop(): Promise<void>;
}

/** UDP port of the tunnel: Linux's and flannel's default. */
const VXLAN_PORT = 8472;

/** Time that pods get when the agent itself is told to stop. */
const STOP_PODS_MS = 1_000;

/** Time for the last reports to leave. */
const FLUSH_MS = 300;

/** Joins the cluster and runs the node. Rejects with an Error of one line when it cannot. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { name, address, nowMs, random32, setTimer, log } = options;
  const resources = nodeResources();
  const nodeKey = makeNodeKey();
  const [underlay, joinFile] = await Promise.all([
    bound(`${address}:${VXLAN_PORT} (UDP)`, openUnderlay(options)),
    options.join,
  ]);
  const sync = new SyncClient({
    url: `${joinFile.url.replace(/^http/, 'ws').replace(/\/$/, '')}${SYNC_PATH}`,
    ca: joinFile.caPem,
    token: joinFile.token,
    role: 'agent',
    nodeName: name,
    node: describeNode(name, address, resources),
    nowMs,
    random32,
    log,
  });
  const report = sync.report.bind(sync);
  const heartbeat = new Heartbeat({ intervalMs: options.heartbeatMs, report, setTimer });
  sync.on('disconnected', ({ code, reason }) => {
    log.warn({ code, reason }, 'the controller is gone; forwarding goes on with the last tables');
  });
  sync.on('connected', () => heartbeat.beat());
  sync.connect();
  const credentials = certifyNode(joinFile, { name, addresses: [address] }, nodeKey, {
    setTimer,
    onRetry: (err) => log.debug({ err }, 'the controller is not there yet'),
  });
  credentials.catch(() => {}); // awaited below, when the pods are already under way
  const { settings, podCidrs } = await admission(sync, name);
  log.info({ podCidrs, mode: settings.mode }, 'the cluster has let this node in');

  const ipam = new Ipam({ nowMs, file: join(options.stateDir, 'ipam.json') });
  ipam.configure(podCidrs);
  const gateways = podCidrs.map(gatewayOf);
  const feed = new TablesFeed({
    nodeName: name,
    settings,
    state: sync.state,
    endpoints: () => links?.endpoints ?? [],
    publish: (tables) => publish(tables),
  });
  let links: PodLinks | undefined;
  const pipeline = new Pipeline({ nowMs, random32, tables: feed.compile() });
  const recorder = new TraceRecorder({
    nowMs,
    nowNs: options.nowNs,
    nodeAddress: address,
    podName: (id) => links?.nameOf(id),
  });
  const egress = new Egress(() => host);
  const events = new EventRecorder({
    nodeName: name,
    nowMs,
    random32,
    send: (event) => report({ kind: 'event', event: event as never }),
  });
  const host: HostStack = new HostStack({
    nowMs,
    random32,
    mac: vtepMac(name),
    mtu: settings.mtu,
    nodeAddresses: [address],
    gateways,
    allowsTcp: (to, port) => egress.allows(to, port),
    hasUdp: (to, port) => nodePorts.hasUdp(to, port),
    datapath: () => datapath,
  });
  const datapath: Datapath = new Datapath({
    pipeline,
    sendUnderlay: (buffer, start, length, to, port) => underlay.send(buffer, start, length, to, port),
    toHost: (frame) => host.receive(frame),
    recorder,
    onError: (err) => log.error({ err }, 'a frame was lost to a bug'),
  });
  const nodePorts = new NodePorts({
    addresses: [address],
    host,
    events,
    setTimer,
    log,
    serviceUid: (namespace, service) =>
      sync.state.get<Service>('services', namespace, service)?.metadata?.uid ?? '',
  });
  const podLinks = new PodLinks({ ipam, datapath, onChange: () => feed.refresh() });
  links = podLinks;
  const publish = (tables: Tables): void => {
    if (tables === pipeline.tables) return;
    datapath.setTables(tables);
    nodePorts.update(tables.services);
    egress.update(apiServerTargets(tables));
  };
  nodePorts.update(pipeline.tables.services);
  egress.update(apiServerTargets(pipeline.tables));
  underlay.onDatagram = (datagram, source) => datapath.fromUnderlay(datagram, source);

  const tokens = new TokenSource({
    url: joinFile.url,
    credentials,
    setTimer,
    onChange: (namespace) => pods.configurationChanged(namespace),
    onError: (err) => log.debug({ err }, 'no service account token yet'),
  });
  const counters = { containerRestarts: 0 };
  const context: PodContext = {
    nodeName: name,
    nodeAddresses: [address],
    resources,
    settings,
    state: sync.state,
    hostStack: host,
    events,
    report,
    nowMs,
    random32,
    setTimer,
    log,
    clusterCaPem: joinFile.caPem,
    serviceAccountToken: (namespace, account) => tokens.get(namespace, account),
    pace: new ProbePace(),
    images: new Set(),
    counters,
    createRuntime: (pod) =>
      createRuntime(pod, {
        context,
        links: podLinks,
        pipeline,
        socketDirectory: join(options.stateDir, 'sockets'),
        sync: { url: joinFile.url, caPem: joinFile.caPem, token: joinFile.token, nodeName: name },
      }),
  };
  const pods = new PodManager(context);
  forgetStrangers(ipam, sync, name);

  sync.on('change', (changes: readonly Change[]) => {
    if (changes.some(TablesFeed.concerns)) feed.refresh();
    pods.apply(changes);
  });
  sync.on('synced', () => pods.reconcile());
  // What changed while the parts above were made.
  feed.refresh();
  pods.reconcile();

  const server = await bound(
    `${address}:${KUBELET_PORT}`,
    HttpServer.open({
      address,
      port: KUBELET_PORT,
      ...(await credentials),
      joinToken: joinFile.token,
      routes: [
        ...kubeletRoutes(pods, nowMs),
        ...podwireRoutes({
          recorder,
          probeSource: (from) => probeSource(from, pods, host, settings),
          tables: () => pipeline.tables,
          conntrack: (limit) => ({
            size: pipeline.conntrack.size,
            max: pipeline.conntrack.maxFlows,
            entries: pipeline.conntrack.list(nowMs(), limit),
          }),
          dump: (format) => dump(pipeline, format, nowMs()),
          metrics: () =>
            agentMetrics({
              datapath,
              host,
              underlay,
              nodePorts,
              egress,
              pods,
              isConnected: () => sync.connected,
              revision: () => sync.state.revision,
              counters,
            }),
          unhealthy: () => undefined,
          nowMs,
        }),
      ],
      onError: (err, path) => log.error({ err, path }, 'a request failed'),
    }),
  );
  heartbeat.ready();
  log.info({ address }, 'the node is ready');

  return {
    async stop() {
      heartbeat.leaving();
      await pods.stop(STOP_PODS_MS);
      tokens.close();
      nodePorts.close();
      egress.update([]);
      host.close();
      datapath.close();
      server.close();
      await underlay.close();
      await sync.close({ flushMs: FLUSH_MS });
    },
  };
}

async function openUnderlay(options: AgentOptions): Promise<UdpUnderlay> {
  const { address, log } = options;
  const socket = createSocket({
    type: address.includes(':') ? 'udp6' : 'udp4',
    // Every address here is numeric: nothing is to be looked up, and no turn of the event loop lost with it.
    lookup: (hostname, _options, done) => done(null, hostname, hostname.includes(':') ? 6 : 4),
  });
  return UdpUnderlay.open({
    socket,
    address,
    port: VXLAN_PORT,
    onError: (err) => log.warn({ err }, 'the tunnel socket reports an error'),
  });
}

/** Names what a socket could not be bound to. */
async function bound<T>(what: string, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new Error(
        `Cannot listen on ${what}: the address is in use; is another agent of this node running?`,
      );
    }
    if (code === 'EADDRNOTAVAIL') {
      throw new Error(`Cannot listen on ${what}: this machine has no such address; add it or choose another`);
    }
    throw new Error(`Cannot listen on ${what}: ${message}`);
  }
}

/** Waits until the controller has told the settings and given the node its pod CIDRs. */
function admission(
  sync: SyncClient,
  name: string,
): Promise<{ settings: ClusterSettings; podCidrs: string[] }> {
  return new Promise((resolve) => {
    const look = () => {
      const podCidrs = sync.state.get<Node>('nodes', '', name)?.spec?.podCIDRs ?? [];
      if (sync.settings === undefined || !sync.state.synced || podCidrs.length === 0) return;
      sync.off('change', look);
      sync.off('synced', look);
      resolve({ settings: sync.settings, podCidrs });
    };
    sync.on('change', look);
    sync.on('synced', look);
    look();
  });
}

/** Gives back the addresses of pods that went away while no agent ran. */
function forgetStrangers(ipam: Ipam, sync: SyncClient, nodeName: string): void {
  const known = new Set<string>();
  for (const pod of sync.state.list<Pod>('pods')) {
    if (pod.spec?.nodeName === nodeName) known.add(pod.metadata?.uid ?? '');
  }
  for (const owner of ipam.owners()) if (!known.has(owner)) ipam.release(owner);
}
