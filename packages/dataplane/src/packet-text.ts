/** A packet in a few words, for trace lines: `10.1.1.5:41822 -> 10.96.0.9:80 SYN`. */

import { formatAddressWords } from '@podwire/wire/address';
import type { Packet } from '@podwire/wire/packet';
import {
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  protocolName,
} from '@podwire/wire/protocol';
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN } from '@podwire/wire/tcp';
import type { Words } from './address-words.ts';

/** `10.1.2.7`, or RFC 5952 text. */
export function wordsText(words: Words): string {
  return formatAddressWords(words[0] >>> 0, words[1] >>> 0, words[2] >>> 0, words[3] >>> 0);
}

/** `10.1.2.7:80` or `[fd00::7]:80`; the address alone when there is no port. */
export function endpointText(address: string, port: number): string {
  if (port === 0) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export function sourceText(packet: Packet): string {
  return formatAddressWords(packet.src0, packet.src1, packet.src2, packet.src3);
}

export function destinationText(packet: Packet): string {
  return formatAddressWords(packet.dst0, packet.dst1, packet.dst2, packet.dst3);
}

/** Source, destination and what the packet is. */
export function packetText(packet: Packet): string {
  const hasPorts =
    packet.protocol === PROTOCOL_TCP || packet.protocol === PROTOCOL_UDP || packet.protocol === PROTOCOL_SCTP;
  const from = endpointText(sourceText(packet), hasPorts ? packet.srcPort : 0);
  const to = endpointText(destinationText(packet), hasPorts ? packet.dstPort : 0);
  return `${from} -> ${to} ${kindText(packet)}`;
}

function kindText(packet: Packet): string {
  const part = packet.fragmentOffset > 0 ? ` fragment at ${packet.fragmentOffset}` : '';
  switch (packet.protocol) {
    case PROTOCOL_TCP:
      return packet.l4 < 0 ? `TCP${part}` : tcpFlagsText(packet.tcpFlags);
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
      return packet.l4 < 0 ? `ICMP${part}` : icmpText(packet);
    default:
      return `${protocolName(packet.protocol).toUpperCase()}${part}`;
  }
}

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [TCP_SYN, 'SYN'],
  [TCP_FIN, 'FIN'],
  [TCP_RST, 'RST'],
  [TCP_PSH, 'PSH'],
  [TCP_ACK, 'ACK'],
];

function tcpFlagsText(flags: number): string {
  const names = FLAG_NAMES.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  return names.length === 0 ? 'TCP without flags' : names.join('+');
}

function icmpText(packet: Packet): string {
  const type = packet.icmpType;
  if (type === 8 || type === 128) return `ICMP echo request id ${packet.srcPort}`;
  if (packet.version === 4 ? type === 0 : type === 129) return `ICMP echo reply id ${packet.srcPort}`;
  return `ICMP type ${type} code ${packet.icmpCode}`;
}
