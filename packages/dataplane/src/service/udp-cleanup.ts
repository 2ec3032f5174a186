/**
 * kube-proxy's conntrack clean-up (K: conntrack/cleanup.go): a UDP flow whose backend is gone, or that was let pass
 * untranslated while its service had none, is forgotten, so that its next packet chooses anew. TCP is never touched.
 */

import { PROTOCOL_UDP } from '@podwire/wire/protocol';
import type { ConntrackEntry } from '../conntrack-entry.ts';
import type { ServicePort, Tables } from '../tables.ts';
import type { TranslatorContext } from './translator.ts';

/** Removes stale UDP flows of service ports that changed or went. */
export function forgetStaleUdpFlows(
  context: TranslatorContext,
  changed: readonly ServicePort[],
  removed: readonly ServicePort[],
  tables: Tables,
): void {
  const isUdp = (port: ServicePort): boolean => port.protocol === PROTOCOL_UDP;
  if (context.conntrack.size === 0 || (!changed.some(isUdp) && !removed.some(isUdp))) return;

  // Every frontend of a UDP service, old or new, with the backends it may have now.
  const allowed = new Map<string, Set<string>>();
  for (const port of removed) {
    if (isUdp(port)) for (const key of frontendKeys(port, tables)) allowed.set(key, new Set());
  }
  for (const port of tables.services) {
    if (!isUdp(port)) continue;
    const serving = port.endpoints.filter((endpoint) => endpoint.ready || endpoint.serving);
    const backends = new Set(serving.map((endpoint) => `${endpoint.address} ${endpoint.port}`));
    for (const key of frontendKeys(port, tables)) allowed.set(key, backends);
  }
  const isStale = (entry: ConntrackEntry): boolean => {
    if (entry.isServiceChoice) return false;
    const backends = allowed.get(`${entry.original.destination} ${entry.original.destinationPort}`);
    return backends !== undefined && !backends.has(`${entry.reply.source} ${entry.reply.sourcePort}`);
  };
  context.conntrack.removeWhere(PROTOCOL_UDP, isStale, context.nowMs());
}

function frontendKeys(port: ServicePort, tables: Tables): string[] {
  const keys = [port.clusterIp, ...port.externalIps, ...port.loadBalancerIps].map(
    (address) => `${address} ${port.port}`,
  );
  if (port.nodePort !== 0)
    for (const address of tables.node.addresses) keys.push(`${address} ${port.nodePort}`);
  return keys;
}
