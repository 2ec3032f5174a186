/**
 * Builders of whole, correct frames from readable options, for tests, ICMP errors and tools. They allocate.
 * @throws Error when an address or MAC does not parse: a mistake of the caller, not of a packet
 */
import { parseAddress, parseAddressWords, parseIpv4, parseMac } from './address.ts';
import { ARP_LENGTH, ARP_REPLY, emitArp } from './arp.ts';
import { copyBytes } from './big-endian.ts';
import { BROADCAST_MAC, ETHERNET_HEADER_LENGTH, emitEthernet, multicastMac6 } from './ethernet.ts';
import { icmpErrorFor } from './icmp-error.ts';
import { emitIcmpv4, ICMPV4_ECHO_REPLY, ICMPV4_ECHO_REQUEST, ICMPV4_HEADER_LENGTH } from './icmpv4.ts';
import { emitIcmpv6, ICMPV6_ECHO_REPLY, ICMPV6_ECHO_REQUEST } from './icmpv6.ts';
import { emitIpv4Header, IPV4_MINIMUM_HEADER_LENGTH } from './ipv4.ts';
import { emitIpv6Header, IPV6_HEADER_LENGTH, solicitedNodeAddress } from './ipv6.ts';
import { emitNeighborAdvertisement, emitNeighborSolicitation } from './ndp.ts';
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from './protocol.ts';
import { emitSctp, SCTP_HEADER_LENGTH } from './sctp.ts';
import { emitTcp, TCP_MINIMUM_HEADER_LENGTH, type TcpOptions, tcpOptionsLength } from './tcp.ts';
import { fillTransportChecksum } from './transport-checksum.ts';
import { emitUdp, UDP_HEADER_LENGTH } from './udp.ts';
import { emitVxlan, VXLAN_HEADER_LENGTH, VXLAN_PORT_LINUX } from './vxlan.ts';

/** What every IP frame has. Both addresses are of one version. */
export interface IpFrameOptions {
  src: string;
  dst: string;
  /** Default 02:00:00:00:00:01. */
  srcMac?: string;
  /** Default 02:00:00:00:00:02. */
  dstMac?: string;
  /** Default 64. */
  ttl?: number;
  dscp?: number;
  ecn?: number;
  /** IPv4 only, default 0. */
  identification?: number;
  /** IPv4 only, default true. */
  dontFragment?: boolean;
}

export interface TcpFrameOptions extends IpFrameOptions {
  srcPort: number;
  dstPort: number;
  /** TCP_ bits of tcp.ts. */
  flags: number;
  sequence?: number;
  acknowledgment?: number;
  /** Default 64240. */
  window?: number;
  urgentPointer?: number;
  options?: TcpOptions;
  payload?: Uint8Array | string;
}

export interface UdpFrameOptions extends IpFrameOptions {
  srcPort: number;
  dstPort: number;
  payload?: Uint8Array | string;
  /** Leave the checksum 0, as VXLAN over IPv4 may (RFC 7348 5). */
  noChecksum?: boolean;
}

export interface IcmpEchoFrameOptions extends IpFrameOptions {
  /** A reply instead of a request. */
  reply?: boolean;
  id: number;
  sequence: number;
  payload?: Uint8Array | string;
}

export interface IcmpErrorFrameOptions {
  /** The Ethernet frame the error is about; the error goes back to its source, MACs turned round. */
  about: Uint8Array;
  /** Address of the reporting router or host. */
  src: string;
  type: number;
  code: number;
  /** Second word of the message: MTU or pointer. */
  rest?: number;
}

export interface SctpFrameOptions extends IpFrameOptions {
  srcPort: number;
  dstPort: number;
  verificationTag: number;
  /** Whole chunks, padded to 4 bytes. */
  chunks: Uint8Array;
}

export interface RawIpFrameOptions extends IpFrameOptions {
  protocol: number;
  payload: Uint8Array;
}

export interface ArpFrameOptions {
  operation: number;
  senderMac: string;
  senderIp: string;
  /** Default 00:00:00:00:00:00, unknown. */
  targetMac?: string;
  targetIp: string;
}

export interface NeighborSolicitationFrameOptions {
  srcMac: string;
  src: string;
  target: string;
}

export interface NeighborAdvertisementFrameOptions {
  srcMac: string;
  dstMac: string;
  src: string;
  dst: string;
  target: string;
  router?: boolean;
  solicited?: boolean;
  override?: boolean;
}

export interface VxlanFrameOptions extends IpFrameOptions {
  srcPort: number;
  /** Default 8472. */
  dstPort?: number;
  vni: number;
  inner: Uint8Array;
  noChecksum?: boolean;
}

function mac(text: string): Uint8Array {
  const bytes = parseMac(text);
  if (!bytes) throw new Error(`Cannot build a frame with the MAC "${text}": expected aa:bb:cc:dd:ee:ff`);
  return bytes;
}

function address(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (!bytes) throw new Error(`Cannot build a frame with the address "${text}": it is no IP address`);
  return bytes;
}

function ipv4(text: string): number {
  const value = parseIpv4(text);
  if (value === undefined) {
    throw new Error(`Cannot build a frame with the address "${text}": it is no IPv4 address`);
  }
  return value;
}

function bytesOf(payload: Uint8Array | string | undefined): Uint8Array {
  if (payload === undefined) return new Uint8Array(0);
  return typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
}

interface Layout {
  frame: Uint8Array;
  version: 4 | 6;
  l3: number;
  l4: number;
}

// A frame with Ethernet and IP headers in place and `length` zero bytes of IP payload.
function ipFrame(o: IpFrameOptions, protocol: number, length: number): Layout {
  const src = address(o.src);
  const dst = address(o.dst);
  if (src.length !== dst.length) {
    throw new Error(`Cannot build a frame from ${o.src} to ${o.dst}: they are of different IP versions`);
  }
  const version = src.length === 4 ? 4 : 6;
  const l3 = ETHERNET_HEADER_LENGTH;
  const l4 = l3 + (version === 4 ? IPV4_MINIMUM_HEADER_LENGTH : IPV6_HEADER_LENGTH);
  const frame = new Uint8Array(l4 + length);
  emitEthernet(
    {
      dstMac: mac(o.dstMac ?? '02:00:00:00:00:02'),
      srcMac: mac(o.srcMac ?? '02:00:00:00:00:01'),
      etherType: version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6,
    },
    frame,
    0,
  );
  if (version === 4) {
    emitIpv4Header(
      {
        dscp: o.dscp ?? 0,
        ecn: o.ecn ?? 0,
        totalLength: IPV4_MINIMUM_HEADER_LENGTH + length,
        identification: o.identification ?? 0,
        dontFragment: o.dontFragment ?? true,
        moreFragments: false,
        fragmentOffset: 0,
        ttl: o.ttl ?? 64,
        protocol,
        src: ipv4(o.src),
        dst: ipv4(o.dst),
        options: new Uint8Array(0),
      },
      frame,
      l3,
    );
  } else {
    emitIpv6Header(
      {
        trafficClass: ((o.dscp ?? 0) << 2) | (o.ecn ?? 0),
        flowLabel: 0,
        payloadLength: length,
        nextHeader: protocol,
        hopLimit: o.ttl ?? 64,
        src,
        dst,
      },
      frame,
      l3,
    );
  }
  return { frame, version, l3, l4 };
}

function finish(layout: Layout, protocol: number): Uint8Array {
  fillTransportChecksum(layout.frame, layout.version, layout.l3, protocol, layout.l4, layout.frame.length);
  return layout.frame;
}

/** A TCP segment in an Ethernet frame. */
export function buildTcp(o: TcpFrameOptions): Uint8Array {
  const payload = bytesOf(o.payload);
  const options = o.options ?? {};
  const headerLength = TCP_MINIMUM_HEADER_LENGTH + tcpOptionsLength(options);
  const layout = ipFrame(o, PROTOCOL_TCP, headerLength + payload.length);
  emitTcp(
    {
      srcPort: o.srcPort,
      dstPort: o.dstPort,
      sequence: o.sequence ?? 0,
      acknowledgment: o.acknowledgment ?? 0,
      flags: o.flags,
      window: o.window ?? 64240,
      checksum: 0,
      urgentPointer: o.urgentPointer ?? 0,
      options,
    },
    layout.frame,
    layout.l4,
  );
  layout.frame.set(payload, layout.l4 + headerLength);
  return finish(layout, PROTOCOL_TCP);
}

/** A UDP datagram in an Ethernet frame. */
export function buildUdp(o: UdpFrameOptions): Uint8Array {
  const payload = bytesOf(o.payload);
  const length = UDP_HEADER_LENGTH + payload.length;
  const layout = ipFrame(o, PROTOCOL_UDP, length);
  emitUdp({ srcPort: o.srcPort, dstPort: o.dstPort, length, checksum: 0 }, layout.frame, layout.l4);
  layout.frame.set(payload, layout.l4 + UDP_HEADER_LENGTH);
  return o.noChecksum ? layout.frame : finish(layout, PROTOCOL_UDP);
}

/** An ICMP or ICMPv6 echo request or reply, by the version of the addresses. */
export function buildIcmpEcho(o: IcmpEchoFrameOptions): Uint8Array {
  const payload = bytesOf(o.payload);
  const isV6 = o.src.includes(':');
  const protocol = isV6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP;
  const layout = ipFrame(o, protocol, ICMPV4_HEADER_LENGTH + payload.length);
  const rest = ((o.id << 16) | o.sequence) >>> 0;
  if (isV6) {
    const type = o.reply ? ICMPV6_ECHO_REPLY : ICMPV6_ECHO_REQUEST;
    emitIcmpv6({ type, code: 0, checksum: 0, rest }, layout.frame, layout.l4);
  } else {
    const type = o.reply ? ICMPV4_ECHO_REPLY : ICMPV4_ECHO_REQUEST;
    emitIcmpv4({ type, code: 0, checksum: 0, rest }, layout.frame, layout.l4);
  }
  layout.frame.set(payload, layout.l4 + ICMPV4_HEADER_LENGTH);
  return finish(layout, protocol);
}

/** An ICMP or ICMPv6 error about another frame. */
export function buildIcmpError(o: IcmpErrorFrameOptions): Uint8Array {
  const src = parseAddressWords(o.src);
  if (!src) throw new Error(`Cannot build an ICMP error from "${o.src}": it is no IP address`);
  const frame = icmpErrorFor(o.about, { type: o.type, code: o.code, rest: o.rest ?? 0, src });
  if (!frame)
    throw new Error('Cannot build an ICMP error: the frame it is about is no well-formed IP packet');
  return frame;
}

/** An SCTP packet in an Ethernet frame. */
export function buildSctp(o: SctpFrameOptions): Uint8Array {
  const layout = ipFrame(o, PROTOCOL_SCTP, SCTP_HEADER_LENGTH + o.chunks.length);
  emitSctp(
    { srcPort: o.srcPort, dstPort: o.dstPort, verificationTag: o.verificationTag, checksum: 0 },
    layout.frame,
    layout.l4,
  );
  layout.frame.set(o.chunks, layout.l4 + SCTP_HEADER_LENGTH);
  return finish(layout, PROTOCOL_SCTP);
}

/** Any IP payload in an Ethernet frame; no transport checksum is filled. */
export function buildIp(o: RawIpFrameOptions): Uint8Array {
  const layout = ipFrame(o, o.protocol, o.payload.length);
  layout.frame.set(o.payload, layout.l4);
  return layout.frame;
}

/** An ARP frame: requests go to everybody, replies to `targetMac`. */
export function buildArp(o: ArpFrameOptions): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER_LENGTH + ARP_LENGTH);
  const senderMac = mac(o.senderMac);
  const targetMac = mac(o.targetMac ?? '00:00:00:00:00:00');
  const dstMac = o.operation === ARP_REPLY ? targetMac : (BROADCAST_MAC as Uint8Array);
  emitEthernet({ dstMac, srcMac: senderMac, etherType: ETHERTYPE_ARP }, frame, 0);
  emitArp(
    {
      operation: o.operation,
      senderMac,
      senderIp: ipv4(o.senderIp),
      targetMac,
      targetIp: ipv4(o.targetIp),
    },
    frame,
    ETHERNET_HEADER_LENGTH,
  );
  return frame;
}

/** A neighbor solicitation to the target's solicited-node group (RFC 4861 7.2.2). */
export function buildNeighborSolicitation(o: NeighborSolicitationFrameOptions): Uint8Array {
  const target = address(o.target);
  const group = solicitedNodeAddress(target);
  const dad = o.src === '::';
  const layout = ipFrame(
    { src: o.src, dst: o.target, srcMac: o.srcMac, ttl: 255 },
    PROTOCOL_ICMPV6,
    dad ? 24 : 32,
  );
  copyBytes(group, 0, layout.frame, layout.l3 + 24, 16);
  copyBytes(multicastMac6(group), 0, layout.frame, 0, 6);
  // RFC 4861 4.3: no source link-layer option when the source is unspecified.
  emitNeighborSolicitation(dad ? { target } : { target, sourceMac: mac(o.srcMac) }, layout.frame, layout.l4);
  return finish(layout, PROTOCOL_ICMPV6);
}

/** A neighbor advertisement of `target` at `srcMac`; solicited and override by default. */
export function buildNeighborAdvertisement(o: NeighborAdvertisementFrameOptions): Uint8Array {
  const layout = ipFrame(
    { src: o.src, dst: o.dst, srcMac: o.srcMac, dstMac: o.dstMac, ttl: 255 },
    PROTOCOL_ICMPV6,
    32,
  );
  emitNeighborAdvertisement(
    {
      router: o.router ?? false,
      solicited: o.solicited ?? true,
      override: o.override ?? true,
      target: address(o.target),
      targetMac: mac(o.srcMac),
    },
    layout.frame,
    layout.l4,
  );
  return finish(layout, PROTOCOL_ICMPV6);
}

/** The UDP payload of a VXLAN packet: header and inner Ethernet frame. */
export function buildVxlanPayload(vni: number, inner: Uint8Array): Uint8Array {
  const payload = new Uint8Array(VXLAN_HEADER_LENGTH + inner.length);
  emitVxlan({ vni }, payload, 0);
  payload.set(inner, VXLAN_HEADER_LENGTH);
  return payload;
}

/** A whole outer frame that carries `inner` in VXLAN. */
export function buildVxlan(o: VxlanFrameOptions): Uint8Array {
  return buildUdp({
    ...o,
    dstPort: o.dstPort ?? VXLAN_PORT_LINUX,
    payload: buildVxlanPayload(o.vni, o.inner),
  });
}
