/**
 * The service map of ebpf mode as `cilium bpf lb list` prints it (C: cilium-dbg, bpf_lb_list.go): slot 0 of a
 * frontend says what it is, the other slots its backends.
 */

import { protocolText } from '../service/chain-names.ts';
import type { EbpfMaps, ServiceValue } from '../service/ebpf-maps.ts';
import { SCOPE_INTERNAL } from '../service/ebpf-maps.ts';

const ADDRESS_HEADING = 'SERVICE ADDRESS';
const BACKEND_HEADING = 'BACKEND ADDRESS (REVNAT_ID) (SLOT)';
/** Between columns, as Go's tabwriter is set there. */
const GAP = 3;

/** Rows sorted by address; both families. */
export function ciliumLbList(maps: EbpfMaps): string {
  const frontends = maps
    .list()
    .map((value) => ({ address: addressText(value), backends: rowsOf(maps, value) }));
  frontends.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  const rows = frontends.flatMap(({ address, backends }) =>
    backends.map((backend, slot) => [`${address} (${slot})`, backend]),
  );
  rows.unshift([ADDRESS_HEADING, BACKEND_HEADING]);
  const width = rows.reduce((most, [left]) => Math.max(most, left.length), 0) + GAP;
  return rows.map(([left, right]) => `${left.padEnd(width)}${right}\n`).join('');
}

// What stands at the frontend itself, then at each slot.
function rowsOf(maps: EbpfMaps, value: ServiceValue): string[] {
  const { reverseNat } = value;
  const none = value.port.version === 4 ? '0.0.0.0:0' : '[::]:0';
  const rows = [`${none} (${reverseNat}) (0) [${flagsOf(value).join(', ')}]`];
  for (let slot = 1; slot <= value.count; slot++) {
    const backend = maps.backend(maps.slot(value, slot));
    if (backend === undefined) continue;
    const at = hostPort(backend.endpoint.address, backend.port);
    rows.push(`${at}/${protocolText(value.port).toUpperCase()} (${reverseNat}) (${slot})`);
  }
  return rows;
}

function addressText({ frontendAddress, frontend, port, scope }: ServiceValue): string {
  const at = hostPort(frontendAddress, frontend.port);
  return `${at}/${protocolText(port).toUpperCase()}${scope === SCOPE_INTERNAL ? '/i' : ''}`;
}

function hostPort(address: string, port: number): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function flagsOf({ kind, port, affinitySeconds, sourceRanges, hasTwoScopes }: ServiceValue): string[] {
  const flags: string[] = [kind];
  if (kind !== 'ClusterIP' && port.externalTrafficPolicy === 'Local') flags.push('Local');
  if (port.internalTrafficPolicy === 'Local') flags.push('InternalLocal');
  if (hasTwoScopes) flags.push('two-scopes');
  if (affinitySeconds > 0) flags.push('sessionAffinity');
  if (sourceRanges !== undefined) flags.push('check source-range');
  if (kind === 'ClusterIP') flags.push('non-routable');
  return flags;
}
