/** Numbers of the layers: EtherTypes (IEEE 802, RFC 9542) and IP protocols (IANA protocol-numbers). */

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
/** Transparent Ethernet bridging: what Geneve and NVGRE say when they carry an Ethernet frame. */
export const ETHERTYPE_TEB = 0x6558;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;

export const PROTOCOL_HOP_BY_HOP = 0;
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_IGMP = 2;
export const PROTOCOL_IPIP = 4;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_IPV6 = 41;
export const PROTOCOL_ROUTING = 43;
export const PROTOCOL_FRAGMENT = 44;
export const PROTOCOL_GRE = 47;
export const PROTOCOL_ESP = 50;
export const PROTOCOL_AH = 51;
export const PROTOCOL_ICMPV6 = 58;
export const PROTOCOL_NO_NEXT_HEADER = 59;
export const PROTOCOL_DESTINATION_OPTIONS = 60;
export const PROTOCOL_SCTP = 132;
export const PROTOCOL_MOBILITY = 135;

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  [PROTOCOL_HOP_BY_HOP]: 'hop-by-hop',
  [PROTOCOL_ICMP]: 'icmp',
  [PROTOCOL_IGMP]: 'igmp',
  [PROTOCOL_IPIP]: 'ipip',
  [PROTOCOL_TCP]: 'tcp',
  [PROTOCOL_UDP]: 'udp',
  [PROTOCOL_IPV6]: 'ipv6',
  [PROTOCOL_ROUTING]: 'routing',
  [PROTOCOL_FRAGMENT]: 'fragment',
  [PROTOCOL_GRE]: 'gre',
  [PROTOCOL_ESP]: 'esp',
  [PROTOCOL_AH]: 'ah',
  [PROTOCOL_ICMPV6]: 'icmp6',
  [PROTOCOL_NO_NEXT_HEADER]: 'no-next-header',
  [PROTOCOL_DESTINATION_OPTIONS]: 'destination-options',
  [PROTOCOL_SCTP]: 'sctp',
  [PROTOCOL_MOBILITY]: 'mobility',
};

/** Lower-case name such as `tcp`, or `ip-proto-N` for a number without one here. */
export function protocolName(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? `ip-proto-${protocol}`;
}
