/**
 * What GET /metrics tells about this node.
 */
import type { Datapath } from './datapath.ts';
import type { Egress } from './egress.ts';
import type { HostStack } from './host-stack.ts';
import { dropMetric, formatMetrics, type Metric, single } from './metrics.ts';
import type { NodePorts } from './node-ports.ts';
import type { PodManager } from './pods/pod-manager.ts';
import type { UdpUnderlay } from './underlay/udp-underlay.ts';

export interface MetricSources {
  readonly datapath: Datapath;
  readonly host: HostStack;
  readonly underlay: UdpUnderlay;
  readonly nodePorts: NodePorts;
  readonly egress: Egress;
  readonly pods: PodManager;
  readonly isConnected: () => boolean;
  readonly revision: () => number;
  readonly counters: { readonly containerRestarts: number };
}

export function agentMetrics(sources: MetricSources): string {
  const { datapath, host, underlay, nodePorts, egress, pods } = sources;
  const { counters, pipeline } = datapath;
  const memory = process.memoryUsage();
  const cpu = process.cpuUsage();
  const packets: Metric = {
    name: 'podwire_packets_total',
    help: 'Frames by where they came from.',
    type: 'counter',
    samples: [
      { labels: { from: 'pod' }, value: counters.fromPod },
      { labels: { from: 'host' }, value: counters.fromHost },
      { labels: { from: 'underlay' }, value: counters.fromUnderlay },
    ],
  };
  const verdicts: Metric = {
    name: 'podwire_verdicts_total',
    help: 'Packets by what the data plane decided.',
    type: 'counter',
    samples: Object.entries(pipeline.counters.verdicts).map(([verdict, value]) => ({
      labels: { verdict },
      value,
    })),
  };
  return formatMetrics([
    packets,
    verdicts,
    dropMetric(pipeline.counters.drops.entries()),
    single('podwire_bytes_total', 'counter', 'Bytes of all frames.', counters.bytesIn),
    single('podwire_queue_overflow_total', 'counter', 'Frames lost to a full queue.', counters.overflowed),
    single(
      'podwire_undeliverable_total',
      'counter',
      'Frames for pods that are gone.',
      counters.undeliverable,
    ),
    single('podwire_reply_loops_total', 'counter', 'Answers stopped for looping.', counters.looped),
    single('podwire_datapath_errors_total', 'counter', 'Frames lost to a bug.', counters.failed),
    single(
      'podwire_egress_prohibited_total',
      'counter',
      'Packets kept in the cluster.',
      host.gate.prohibited,
    ),
    single('podwire_conntrack_entries', 'gauge', 'Flows being tracked.', pipeline.conntrack.size),
    single('podwire_underlay_sent_total', 'counter', 'Datagrams sent on the tunnel port.', underlay.sent),
    single('podwire_underlay_received_total', 'counter', 'Datagrams received there.', underlay.received),
    single('podwire_underlay_send_errors_total', 'counter', 'Datagrams not sent.', underlay.sendErrors),
    single('podwire_node_port_connections', 'gauge', 'Clients of node ports.', nodePorts.connections),
    single('podwire_egress_connections', 'gauge', 'Connections out of the cluster.', egress.connections),
    single('podwire_pods', 'gauge', 'Pods on this node.', pods.size),
    single(
      'podwire_container_restarts_total',
      'counter',
      'Containers restarted.',
      sources.counters.containerRestarts,
    ),
    single(
      'podwire_sync_connected',
      'gauge',
      '1 while the controller is there.',
      sources.isConnected() ? 1 : 0,
    ),
    single('podwire_sync_revision', 'gauge', 'Revision of the state in use.', sources.revision()),
    single('podwire_tables_epoch', 'gauge', 'Number of table snapshots.', datapath.tables.epoch),
    single('process_resident_memory_bytes', 'gauge', 'Resident memory.', memory.rss),
    single('nodejs_heap_size_used_bytes', 'gauge', 'Heap in use.', memory.heapUsed),
    single('nodejs_heap_size_total_bytes', 'gauge', 'Heap reserved.', memory.heapTotal),
    single('nodejs_external_memory_bytes', 'gauge', 'Memory of buffers and native objects.', memory.external),
    single('process_cpu_seconds_total', 'counter', 'Processor time.', (cpu.user + cpu.system) / 1e6),
  ]);
}
