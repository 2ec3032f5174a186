/**
 * The one closed list of reasons for which a packet is not forwarded. Numbers and texts are Cilium's
 * (pkg/monitor/api/drop.go), so that metrics, traces and Hubble flows agree. A site that drops names exactly one.
 */

export const DROP_REASONS = {
  invalidSourceMac: 130,
  invalidDestinationMac: 131,
  invalidSourceIp: 132,
  policyDenied: 133,
  invalidPacket: 134,
  conntrackTruncated: 135,
  fragmentationNeeded: 136,
  conntrackUnknownL4: 137,
  unsupportedL3: 139,
  unknownL4: 142,
  noTunnelKey: 147,
  unknownL3Target: 150,
  staleOrUnroutableIp: 151,
  noLocalEndpoint: 152,
  conntrackInsertFailed: 155,
  invalidExtensionHeader: 156,
  fragmentationUnsupported: 157,
  serviceBackendNotFound: 158,
  noTunnelEndpoint: 160,
  conntrackInvalid: 163,
  hostUnreachable: 164,
  unsupportedL2: 166,
  noNatMapping: 167,
  natUnsupportedProtocol: 168,
  fibLookupFailed: 169,
  encapsulationProhibited: 170,
  invalidIdentity: 171,
  unknownSender: 172,
  isClusterIp: 174,
  firstFragmentNotFound: 175,
  forbiddenIcmp6: 176,
  notInSourceRange: 177,
  policyDenyRule: 181,
  wrongVni: 183,
  authRequired: 189,
  unencrypted: 195,
  ttlExceeded: 196,
  rateLimited: 198,
  hostNotReady: 202,
  endpointNotReady: 203,
} as const;

export type DropReasonName = keyof typeof DROP_REASONS;
/** 0 means the packet was not dropped. */
export type DropReason = 0 | (typeof DROP_REASONS)[DropReasonName];

const TEXTS: Record<DropReasonName, string> = {
  invalidSourceMac: 'Invalid source mac',
  invalidDestinationMac: 'Invalid destination mac',
  invalidSourceIp: 'Invalid source ip',
  policyDenied: 'Policy denied',
  invalidPacket: 'Invalid packet',
  conntrackTruncated: 'CT: Truncated or invalid header',
  fragmentationNeeded: 'Fragmentation needed',
  conntrackUnknownL4: 'CT: Unknown L4 protocol',
  unsupportedL3: 'Unsupported L3 protocol',
  unknownL4: 'Unknown L4 protocol',
  noTunnelKey: 'Error retrieving tunnel key',
  unknownL3Target: 'Unknown L3 target address',
  staleOrUnroutableIp: 'Stale or unroutable IP',
  noLocalEndpoint: 'No matching local container found',
  conntrackInsertFailed: 'CT: Map insertion failed',
  invalidExtensionHeader: 'Invalid IPv6 extension header',
  fragmentationUnsupported: 'IP fragmentation not supported',
  serviceBackendNotFound: 'Service backend not found',
  noTunnelEndpoint: 'No tunnel/encapsulation endpoint (datapath BUG!)',
  conntrackInvalid: 'Unknown connection tracking state',
  hostUnreachable: 'Local host is unreachable',
  unsupportedL2: 'Unsupported L2 protocol',
  noNatMapping: 'No mapping for NAT masquerade',
  natUnsupportedProtocol: 'Unsupported protocol for NAT masquerade',
  fibLookupFailed: 'FIB lookup failed',
  encapsulationProhibited: 'Encapsulation traffic is prohibited',
  invalidIdentity: 'Invalid identity',
  unknownSender: 'Unknown sender',
  isClusterIp: 'Is a ClusterIP',
  firstFragmentNotFound: 'First logical datagram fragment not found',
  forbiddenIcmp6: 'Forbidden ICMPv6 message',
  notInSourceRange: 'Denied by LB src range check',
  policyDenyRule: 'Policy denied by denylist',
  wrongVni: 'Incorrect VNI from VTEP',
  authRequired: 'Authentication required',
  unencrypted: 'Traffic is unencrypted',
  ttlExceeded: 'TTL exceeded',
  rateLimited: 'Rate limited',
  hostNotReady: 'Host datapath not ready',
  endpointNotReady: 'Endpoint policy program not available',
};

const NAMES = new Map<number, DropReasonName>(
  (Object.entries(DROP_REASONS) as [DropReasonName, number][]).map(([name, code]) => [code, name]),
);

/** `invalidSourceIp` for 132; undefined for a number outside the list. */
export function dropReasonName(reason: number): DropReasonName | undefined {
  return NAMES.get(reason);
}

/** The text people see, e.g. `Invalid source ip`; `Forwarded` for 0. */
export function dropReasonText(reason: number): string {
  if (reason === 0) return 'Forwarded';
  const name = NAMES.get(reason);
  return name === undefined ? `Unknown reason ${reason}` : TEXTS[name];
}
