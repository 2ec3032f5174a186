/** Virtual and real servers as `ipvsadm -Ln` prints them (ipvsadm.c, print_service_entry). */

import type { BackendFlows } from '../backend-flows.ts';
import { protocolText } from '../service/chain-names.ts';
import type { RealServer, VirtualServer } from '../service/ipvs-servers.ts';

/** The connection table's size says nothing here: it is what the kernel has by default. */
const HEADING = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
`;

/** Sorted by protocol, address and port, as ipvsadm does; both families. */
export function ipvsadmList(servers: readonly VirtualServer[], flows: BackendFlows): string {
  const sorted = [...servers].sort(compare);
  return HEADING + sorted.map((virtual) => virtualText(virtual, flows)).join('');
}

function compare(a: VirtualServer, b: VirtualServer): number {
  const differences = [
    a.servicePort.protocol - b.servicePort.protocol,
    ...a.words.map((word, i) => (word >>> 0) - (b.words[i] >>> 0)),
    a.port - b.port,
  ];
  return differences.find((difference) => difference !== 0) ?? 0;
}

function virtualText(virtual: VirtualServer, flows: BackendFlows): string {
  const { servicePort, address, port, schedulerName, timeoutSeconds, servers } = virtual;
  const protocol = protocolText(servicePort).toUpperCase().padEnd(4);
  const persistence = timeoutSeconds > 0 ? ` persistent ${timeoutSeconds}` : '';
  const line = `${protocol} ${hostPort(address, port)} ${schedulerName}${persistence}\n`;
  return line + servers.map((server) => serverText(server, flows)).join('');
}

function serverText({ id, endpoint, port, weight }: RealServer, flows: BackendFlows): string {
  const at = hostPort(endpoint.address, port).padEnd(28);
  const active = String(flows.activeOf(id)).padEnd(10);
  const inactive = String(flows.inactiveOf(id)).padEnd(10);
  return `  -> ${at} ${'Masq'.padEnd(7)} ${String(weight).padEnd(6)} ${active} ${inactive}\n`;
}

function hostPort(address: string, port: number): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}
