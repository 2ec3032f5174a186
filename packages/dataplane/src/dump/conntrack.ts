/** Flows as `conntrack -L` prints them where packets are counted (libnetfilter_conntrack, snprintf_default.c). */

import {
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '@podwire/wire/protocol';
import type { ConntrackEntry, ConntrackTuple } from '../conntrack-entry.ts';

const NAMES: Readonly<Record<number, string>> = {
  [PROTOCOL_ICMP]: 'icmp',
  [PROTOCOL_TCP]: 'tcp',
  [PROTOCOL_UDP]: 'udp',
  [PROTOCOL_ICMPV6]: 'icmpv6',
  [PROTOCOL_SCTP]: 'sctp',
};
const ECHO_REQUEST: Readonly<Record<number, number>> = { [PROTOCOL_ICMP]: 8, [PROTOCOL_ICMPV6]: 128 };
const ECHO_REPLY: Readonly<Record<number, number>> = { [PROTOCOL_ICMP]: 0, [PROTOCOL_ICMPV6]: 129 };

/** One line a flow. What is no flow of the kernel's kind (a backend choice of ebpf mode) is left out. */
export function conntrackList(entries: readonly ConntrackEntry[]): string {
  return entries
    .filter(({ isServiceChoice }) => !isServiceChoice)
    .map((entry) => `${flowText(entry)}\n`)
    .join('');
}

function flowText(entry: ConntrackEntry): string {
  const { protocol, state, original, reply, expiresInSeconds } = entry;
  const parts = [`${(NAMES[protocol] ?? 'unknown').padEnd(8)} ${protocol}`, `${expiresInSeconds}`];
  if (state !== '') parts.push(state);
  parts.push(tupleText(original, protocol, ECHO_REQUEST));
  if (!entry.seenReply) parts.push('[UNREPLIED]');
  parts.push(tupleText(reply, protocol, ECHO_REPLY));
  if (entry.assured) parts.push('[ASSURED]');
  parts.push('mark=0 use=1');
  return parts.join(' ');
}

function tupleText(
  tuple: ConntrackTuple,
  protocol: number,
  icmpTypes: Readonly<Record<number, number>>,
): string {
  const { source, destination, sourcePort, destinationPort, packets, bytes } = tuple;
  const type = icmpTypes[protocol];
  const ports =
    type !== undefined
      ? `type=${type} code=0 id=${sourcePort} `
      : protocol in NAMES
        ? `sport=${sourcePort} dport=${destinationPort} `
        : '';
  return `src=${source} dst=${destination} ${ports}packets=${packets} bytes=${bytes}`;
}
