/** One line about any frame, in the words of tcpdump. Never throws, also on random bytes. */
import { formatAddressWords, formatIpv4, formatIpv6, formatMac } from './address.ts';
import { ARP_REPLY, ARP_REQUEST, parseArp } from './arp.ts';
import { getSrcMac } from './ethernet.ts';
import { GENEVE_PORT, getGeneveHeaderLength, getGeneveVni, isGeneve } from './geneve.ts';
import * as icmp4 from './icmpv4.ts';
import * as icmp6 from './icmpv6.ts';
import { parseNeighborAdvertisement, parseNeighborSolicitation } from './ndp.ts';
import { DECODE_OK, decodeResultText, Packet } from './packet.ts';
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  protocolName,
} from './protocol.ts';
import { parseSctpChunk, SCTP_HEADER_LENGTH } from './sctp.ts';
import {
  getTcpUrgentPointer,
  parseTcp,
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SYN,
  TCP_URG,
  type TcpOptions,
} from './tcp.ts';
import { getUdpLength } from './udp.ts';
import { getVxlanVni, isVxlan, VXLAN_HEADER_LENGTH, VXLAN_PORT, VXLAN_PORT_LINUX } from './vxlan.ts';

// Tunnels in tunnels deeper than this are not opened.
const MAXIMUM_DEPTH = 3;

const TCP_FLAG_LETTERS = 'FSRP.UEW';

const SCTP_CHUNK_NAMES: Readonly<Record<number, string>> = {
  0: 'DATA',
  1: 'INIT',
  2: 'INIT ACK',
  3: 'SACK',
  4: 'HB REQ',
  5: 'HB ACK',
  6: 'ABORT',
  7: 'SHUTDOWN',
  8: 'SHUTDOWN ACK',
  9: 'OP ERR',
  10: 'COOKIE ECHO',
  11: 'COOKIE ACK',
  14: 'SHUTDOWN COMPLETE',
};

/**
 * Text such as `IP 10.244.1.5.41822 > 10.96.0.9.80: Flags [S], seq 1, win 64240, length 0` of the Ethernet
 * frame in [0, length). VXLAN and Geneve on their usual ports are opened.
 */
export function describe(frame: Uint8Array, length: number = frame.length): string {
  return describeFrame(frame.subarray(0, length), 0);
}

/** As `describe`, for an IP packet without Ethernet in [offset, end). */
export function describeIp(frame: Uint8Array, offset: number, end: number): string {
  const packet = new Packet();
  const result = packet.decodeIp(frame, offset, end);
  return result === DECODE_OK
    ? describePacket(packet, 0)
    : `IP malformed: ${decodeResultText(result)}, length ${end - offset}`;
}

function describeFrame(frame: Uint8Array, depth: number): string {
  const packet = new Packet();
  const result = packet.decode(frame);
  if (result !== DECODE_OK) {
    const layer =
      packet.etherType === ETHERTYPE_IPV4 ? 'IP' : packet.etherType === ETHERTYPE_IPV6 ? 'IP6' : 'Ethernet';
    return `${layer} malformed: ${decodeResultText(result)}, length ${frame.length}`;
  }
  if (packet.l3 >= 0) return describePacket(packet, depth);
  if (packet.etherType === ETHERTYPE_ARP) return describeArp(frame);
  const type = `0x${packet.etherType.toString(16).padStart(4, '0')}`;
  return `${formatMac(getSrcMac(frame, 0))} > ${formatMac(frame)}, ethertype ${type}, length ${frame.length}`;
}

function describeArp(frame: Uint8Array): string {
  const arp = parseArp(frame, 14, frame.length);
  if (!arp) return `ARP malformed, length ${frame.length - 14}`;
  const sender = formatIpv4(arp.senderIp);
  const target = formatIpv4(arp.targetIp);
  if (arp.operation === ARP_REQUEST) return `ARP, Request who-has ${target} tell ${sender}, length 28`;
  if (arp.operation === ARP_REPLY) return `ARP, Reply ${sender} is-at ${formatMac(arp.senderMac)}, length 28`;
  return `ARP, operation ${arp.operation} from ${sender} to ${target}, length 28`;
}

function source(p: Packet): string {
  return formatAddressWords(p.src0, p.src1, p.src2, p.src3);
}

function destination(p: Packet): string {
  return formatAddressWords(p.dst0, p.dst1, p.dst2, p.dst3);
}

/** As `describe`, for a packet decoded without error whose `l3` is >= 0. */
export function describePacket(packet: Packet, depth = 0): string {
  const name = packet.version === 4 ? 'IP' : 'IP6';
  const hasPorts = packet.l4 >= 0 && packet.icmpType < 0;
  const from = hasPorts ? `${source(packet)}.${packet.srcPort}` : source(packet);
  const to = hasPorts ? `${destination(packet)}.${packet.dstPort}` : destination(packet);
  return `${name} ${from} > ${to}: ${describeUpper(packet, depth)}${describeFragment(packet)}`;
}

// The older tcpdump form: (frag id:size@offset+).
function describeFragment(p: Packet): string {
  if (!p.moreFragments && p.fragmentOffset === 0) return '';
  const size = p.totalLength - p.headerLength;
  return ` (frag ${p.identification}:${size}@${p.fragmentOffset}${p.moreFragments ? '+' : ''})`;
}

function describeUpper(p: Packet, depth: number): string {
  if (p.icmpType >= 0) return p.version === 4 ? describeIcmpv4(p) : describeIcmpv6(p);
  if (p.l4 >= 0) {
    if (p.protocol === PROTOCOL_TCP) return describeTcp(p);
    if (p.protocol === PROTOCOL_UDP) return describeUdp(p, depth);
    if (p.protocol === PROTOCOL_SCTP) return describeSctp(p);
  }
  return `${protocolName(p.protocol)}, length ${p.totalLength - p.headerLength}`;
}

function describeTcp(p: Packet): string {
  let letters = '';
  for (let bit = 0; bit < 8; bit++) if (p.tcpFlags & (1 << bit)) letters += TCP_FLAG_LETTERS[bit];
  const length = p.end - p.payload;
  let text = `Flags [${letters || 'none'}]`;
  const header = parseTcp(p.frame, p.l4, p.end);
  if (!header) return `${text}, malformed options, length ${length}`;
  if (length > 0 || p.tcpFlags & (TCP_SYN | TCP_FIN | TCP_RST)) {
    text += `, seq ${header.sequence}`;
    if (length > 0) text += `:${(header.sequence + length) >>> 0}`;
  }
  if (p.tcpFlags & TCP_ACK) text += `, ack ${header.acknowledgment}`;
  text += `, win ${header.window}`;
  if (p.tcpFlags & TCP_URG) text += `, urg ${getTcpUrgentPointer(p.frame, p.l4)}`;
  const options = describeTcpOptions(header.options);
  if (options) text += `, options [${options}]`;
  return `${text}, length ${length}`;
}

function describeTcpOptions(options: TcpOptions): string {
  const parts: string[] = [];
  if (options.maxSegmentSize !== undefined) parts.push(`mss ${options.maxSegmentSize}`);
  if (options.sackPermitted) parts.push('sackOK');
  if (options.timestamps) parts.push(`TS val ${options.timestamps.value} ecr ${options.timestamps.echo}`);
  if (options.windowScale !== undefined) parts.push(`wscale ${options.windowScale}`);
  if (options.sackBlocks) {
    const blocks = options.sackBlocks.map((b) => `{${b.left}:${b.right}}`).join('');
    parts.push(`sack ${options.sackBlocks.length} ${blocks}`);
  }
  return parts.join(',');
}

function describeUdp(p: Packet, depth: number): string {
  const { frame, payload, end, dstPort } = p;
  if (depth < MAXIMUM_DEPTH && p.fragmentOffset === 0 && !p.moreFragments) {
    if ((dstPort === VXLAN_PORT_LINUX || dstPort === VXLAN_PORT) && isVxlan(frame, payload, end)) {
      const inner = describeFrame(frame.subarray(payload + VXLAN_HEADER_LENGTH, end), depth + 1);
      return `VXLAN, flags [I] (0x08), vni ${getVxlanVni(frame, payload)}: ${inner}`;
    }
    if (dstPort === GENEVE_PORT && isGeneve(frame, payload, end)) {
      const start = payload + getGeneveHeaderLength(frame, payload);
      const inner = describeFrame(frame.subarray(start, end), depth + 1);
      return `Geneve, vni ${getGeneveVni(frame, payload)}: ${inner}`;
    }
  }
  return `UDP, length ${getUdpLength(frame, p.l4) - 8}`;
}

function describeSctp(p: Packet): string {
  let text = 'sctp';
  for (let at = p.l4 + SCTP_HEADER_LENGTH; at < p.end; ) {
    const chunk = parseSctpChunk(p.frame, at, p.end);
    if (!chunk) break;
    text += ` [${SCTP_CHUNK_NAMES[chunk.type] ?? `chunk ${chunk.type}`}]`;
    at += (chunk.length + 3) & ~3;
  }
  return `${text}, length ${p.end - p.l4}`;
}

function describeIcmpv4(p: Packet): string {
  const { frame, l4, icmpType: type, icmpCode: code } = p;
  const length = p.end - l4;
  if (icmp4.isIcmpv4Echo(type)) {
    const kind = type === icmp4.ICMPV4_ECHO_REQUEST ? 'request' : 'reply';
    return `ICMP echo ${kind}, id ${p.srcPort}, seq ${icmp4.getIcmpv4Sequence(frame, l4)}, length ${length}`;
  }
  if (type === icmp4.ICMPV4_UNREACHABLE) return `ICMP ${unreachable4(p)}, length ${length}`;
  if (type === icmp4.ICMPV4_TIME_EXCEEDED) {
    const kind =
      code === icmp4.ICMPV4_CODE_TTL_EXCEEDED ? 'time exceeded in-transit' : 'ip reassembly time exceeded';
    return `ICMP ${kind}${about(p)}, length ${length}`;
  }
  if (type === icmp4.ICMPV4_REDIRECT) return `ICMP redirect${about(p)}, length ${length}`;
  if (type === icmp4.ICMPV4_PARAMETER_PROBLEM) return `ICMP parameter problem${about(p)}, length ${length}`;
  return `ICMP type ${type} code ${code}, length ${length}`;
}

function unreachable4(p: Packet): string {
  const quoted = quotedPacket(p);
  const host = quoted ? destination(quoted) : '?';
  const protocol = quoted ? protocolName(quoted.protocol) : '?';
  switch (p.icmpCode) {
    case icmp4.ICMPV4_CODE_NET_UNREACHABLE:
      return `net ${host} unreachable`;
    case icmp4.ICMPV4_CODE_HOST_UNREACHABLE:
      return `host ${host} unreachable`;
    case icmp4.ICMPV4_CODE_PROTOCOL_UNREACHABLE:
      return `${host} protocol ${quoted?.protocol ?? '?'} unreachable`;
    case icmp4.ICMPV4_CODE_PORT_UNREACHABLE:
      return `${host} ${protocol} port ${quoted && quoted.l4 >= 0 ? quoted.dstPort : '?'} unreachable`;
    case icmp4.ICMPV4_CODE_FRAGMENTATION_NEEDED:
      return `${host} unreachable - need to frag (mtu ${icmp4.getIcmpv4Mtu(p.frame, p.l4)})`;
    case icmp4.ICMPV4_CODE_NET_PROHIBITED:
      return `net ${host} unreachable - admin prohibited`;
    case icmp4.ICMPV4_CODE_HOST_PROHIBITED:
      return `host ${host} unreachable - admin prohibited`;
    case icmp4.ICMPV4_CODE_ADMIN_PROHIBITED:
      return `host ${host} unreachable - admin prohibited filter`;
    default:
      return `${host} unreachable - code ${p.icmpCode}`;
  }
}

function describeIcmpv6(p: Packet): string {
  const { frame, l4, icmpType: type, icmpCode: code } = p;
  const length = p.end - l4;
  switch (type) {
    case icmp6.ICMPV6_ECHO_REQUEST:
    case icmp6.ICMPV6_ECHO_REPLY: {
      const kind = type === icmp6.ICMPV6_ECHO_REQUEST ? 'request' : 'reply';
      return `ICMP6, echo ${kind}, id ${p.srcPort}, seq ${icmp6.getIcmpv6Sequence(frame, l4)}, length ${length}`;
    }
    case icmp6.ICMPV6_UNREACHABLE:
      return `ICMP6, destination unreachable, ${unreachable6(p)}, length ${length}`;
    case icmp6.ICMPV6_PACKET_TOO_BIG:
      return `ICMP6, packet too big, mtu ${icmp6.getIcmpv6Mtu(frame, l4)}, length ${length}`;
    case icmp6.ICMPV6_TIME_EXCEEDED:
      return code === icmp6.ICMPV6_CODE_HOP_LIMIT_EXCEEDED
        ? `ICMP6, time exceeded in-transit${about(p)}, length ${length}`
        : `ICMP6, time exceeded (reassembly)${about(p)}, length ${length}`;
    case icmp6.ICMPV6_PARAMETER_PROBLEM:
      return `ICMP6, parameter problem${about(p)}, length ${length}`;
    case icmp6.ICMPV6_ROUTER_SOLICITATION:
      return `ICMP6, router solicitation, length ${length}`;
    case icmp6.ICMPV6_ROUTER_ADVERTISEMENT:
      return `ICMP6, router advertisement, length ${length}`;
    case icmp6.ICMPV6_NEIGHBOR_SOLICITATION: {
      const message = parseNeighborSolicitation(frame, l4, p.end);
      const target = message ? `who has ${formatIpv6(message.target)}` : 'malformed';
      return `ICMP6, neighbor solicitation, ${target}, length ${length}`;
    }
    case icmp6.ICMPV6_NEIGHBOR_ADVERTISEMENT: {
      const message = parseNeighborAdvertisement(frame, l4, p.end);
      const target = message ? `tgt is ${formatIpv6(message.target)}` : 'malformed';
      return `ICMP6, neighbor advertisement, ${target}, length ${length}`;
    }
    default:
      return `ICMP6, type ${type} code ${code}, length ${length}`;
  }
}

function unreachable6(p: Packet): string {
  const quoted = quotedPacket(p);
  const host = quoted ? destination(quoted) : '?';
  switch (p.icmpCode) {
    case icmp6.ICMPV6_CODE_NO_ROUTE:
      return `unreachable route ${host}`;
    case icmp6.ICMPV6_CODE_ADMIN_PROHIBITED:
      return `unreachable prohibited ${host}`;
    case icmp6.ICMPV6_CODE_ADDRESS_UNREACHABLE:
      return `unreachable address ${host}`;
    case icmp6.ICMPV6_CODE_PORT_UNREACHABLE: {
      const port = quoted && quoted.l4 >= 0 ? quoted.dstPort : '?';
      return `unreachable port, ${host} ${quoted ? protocolName(quoted.protocol) : '?'} port ${port}`;
    }
    default:
      return `unreachable code ${p.icmpCode} ${host}`;
  }
}

function about(p: Packet): string {
  const quoted = quotedPacket(p);
  return quoted ? ` for ${destination(quoted)}` : '';
}

function quotedPacket(p: Packet): Packet | undefined {
  const quoted = new Packet();
  return p.quoted >= 0 && quoted.decodeQuoted(p.frame, p.quoted, p.end) === DECODE_OK ? quoted : undefined;
}
