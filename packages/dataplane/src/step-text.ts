/** The lines of a trace that need more than a constant. Called only when somebody traces. */

import type { Packet } from '@podwire/wire/packet';
import type { Conntrack } from './conntrack.ts';
import { destinationText, endpointText, packetText, sourceText } from './packet-text.ts';
import { type PreparedRoute, ROUTE_ENDPOINT, ROUTE_VTEP } from './prepared.ts';
import { LOOPBACK, MASQUERADE, type ServiceDecision } from './service/translator.ts';
import type { NodeEntry } from './tables.ts';
import type { PacketTrace } from './trace.ts';

const VXLAN_OVERHEAD_V4 = 50;
const VXLAN_OVERHEAD_V6 = 70;

export function traceFlow(trace: PacketTrace, conntrack: Conntrack, reference: number): void {
  const state =
    conntrack.stateNameOf(reference) || (conntrack.isAnswered(reference) ? 'answered' : 'unanswered');
  const direction = (reference & 1) === 1 ? 'reply' : 'original';
  const service = conntrack.serviceOf(reference);
  const suffix = service === '' ? '' : `, svc ${service}`;
  const text = `known flow, ${direction} direction, ${state}${suffix}`;
  trace.add('conntrack', 'ok', text, { state, direction, service });
}

/** After the destination of a packet of a known flow was rewritten. */
export function traceFlowDestination(trace: PacketTrace, packet: Packet, reference: number): void {
  const to = endpointText(destinationText(packet), packet.dstPort);
  if ((reference & 1) === 1) trace.add('snat', 'translate', `un-SNAT -> ${to}`);
  else trace.add('service', 'translate', `DNAT -> ${to}  (as its flow)`);
}

/** After the source of a packet of a known flow was rewritten from `before`. */
export function traceFlowSource(trace: PacketTrace, packet: Packet, reference: number, before: string): void {
  const to = endpointText(sourceText(packet), packet.srcPort);
  if ((reference & 1) === 1) trace.add('service', 'translate', `un-DNAT: source ${before} -> ${to}`);
  else trace.add('snat', 'translate', `SNAT -> ${to}  (as its flow)`);
}

/** After the source of a new flow was settled. */
export function traceSnat(
  trace: PacketTrace,
  packet: Packet,
  decision: ServiceDecision,
  nodeName: string,
): void {
  const to = endpointText(sourceText(packet), packet.srcPort);
  const why =
    decision.sourceChange === MASQUERADE
      ? `masquerade to node ${nodeName}`
      : decision.sourceChange === LOOPBACK
        ? 'service loopback: the backend is the client itself'
        : "another flow's answers use that port";
  trace.add('snat', 'translate', `SNAT -> ${to}  (${why})`);
}

export function traceRoute(trace: PacketTrace, packet: Packet, route: PreparedRoute): void {
  const to =
    route.kind === ROUTE_ENDPOINT
      ? `pod ${route.endpoint!.name} on this node`
      : route.kind === ROUTE_VTEP
        ? `node ${route.vtep!.vtep.node}`
        : "the node's own stack";
  const { prefix } = route;
  trace.add('route', 'ok', `${destinationText(packet)} by ${prefix} -> ${to}`, { prefix });
}

export function traceEncap(trace: PacketTrace, packet: Packet, node: NodeEntry, remote: string): void {
  const isV6 = remote.includes(':');
  const own = node.addresses.find((address) => address.includes(':') === isV6) ?? node.name;
  const overhead = isV6 ? VXLAN_OVERHEAD_V6 : VXLAN_OVERHEAD_V4;
  const fragments = packet.totalLength > node.mtu ? `, in fragments of at most ${node.mtu} bytes` : '';
  const text = `VXLAN vni=${node.vni} ${own} -> ${remote}  (+${overhead} B)${fragments}  ${packetText(packet)}`;
  trace.add('encap', 'send', text, {
    vni: node.vni,
    outerSource: own,
    outerDestination: remote,
    overhead,
  });
}
