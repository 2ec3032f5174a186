/**
 * Neighbor discovery messages (RFC 4861 4) with their options. `emitX` writes the whole ICMPv6 message with a
 * zero checksum; `fillIcmpv6Checksum` comes after. A receiver also checks that the hop limit is 255
 * (RFC 4861 7.1), which is the IPv6 layer's to know.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------+---------------+-------------------------------+
 *    |  135 NS/136 NA|    Code 0     |          Checksum             |
 *    +-+-+-+---------+---------------+-------------------------------+
 *    |R|S|O|                     Reserved                            |
 *    +-+-+-+---------------------------------------------------------+
 *    |                       Target Address (16)                     |
 *    +---------------+---------------+-------------------------------+
 *    |  Option type  |  Length (x8)  |   Link-layer address ...      |
 *    +---------------+---------------+-------------------------------+
 */
import { copyBytes, readU16, readU32, writeU16, writeU32 } from './big-endian.ts';
import {
  emitIcmpv6,
  getIcmpv6Type,
  ICMPV6_NEIGHBOR_ADVERTISEMENT,
  ICMPV6_NEIGHBOR_SOLICITATION,
  ICMPV6_ROUTER_ADVERTISEMENT,
  ICMPV6_ROUTER_SOLICITATION,
} from './icmpv6.ts';

export const NDP_OPTION_SOURCE_LINK_LAYER = 1;
export const NDP_OPTION_TARGET_LINK_LAYER = 2;
export const NDP_OPTION_PREFIX_INFORMATION = 3;
export const NDP_OPTION_MTU = 5;

const TARGET = 8;
const NEIGHBOR_OPTIONS = 24;
const ROUTER_SOLICITATION_OPTIONS = 8;
const ROUTER_ADVERTISEMENT_OPTIONS = 16;

const FLAG_ROUTER = 0x80;
const FLAG_SOLICITED = 0x40;
const FLAG_OVERRIDE = 0x20;

/** Who has `target`? Addresses and MACs are bytes, views into the frame when parsed. */
export interface NeighborSolicitation {
  target: Uint8Array;
  sourceMac?: Uint8Array;
}

/** `target` is at `targetMac`. */
export interface NeighborAdvertisement {
  router: boolean;
  solicited: boolean;
  override: boolean;
  target: Uint8Array;
  targetMac?: Uint8Array;
}

export interface RouterSolicitation {
  sourceMac?: Uint8Array;
}

/** Prefix information option (RFC 4861 4.6.2). */
export interface PrefixInformation {
  prefixLength: number;
  onLink: boolean;
  autonomous: boolean;
  validLifetimeSeconds: number;
  preferredLifetimeSeconds: number;
  prefix: Uint8Array;
}

export interface RouterAdvertisement {
  hopLimit: number;
  managed: boolean;
  otherConfiguration: boolean;
  routerLifetimeSeconds: number;
  reachableTimeMs: number;
  retransmissionTimerMs: number;
  sourceMac?: Uint8Array;
  mtu?: number;
  prefixes: PrefixInformation[];
}

/**
 * Offset of the first option of this type in [start, end), -1 when there is none, -2 when an option is
 * malformed (length 0 or past the end: RFC 4861 4.6 discards the packet).
 */
export function findNdpOption(frame: Uint8Array, start: number, end: number, type: number): number {
  let found = -1;
  let at = start;
  while (at < end) {
    const length = at + 1 < end ? frame[at + 1] * 8 : 0;
    if (length === 0 || at + length > end) return -2;
    if (found < 0 && frame[at] === type) found = at;
    at += length;
  }
  return found;
}

/** Offset of the 16-byte target of a neighbor solicitation or advertisement at `offset`. */
export function ndpTargetOffset(offset: number): number {
  return offset + TARGET;
}

function optionMac(
  frame: Uint8Array,
  start: number,
  end: number,
  type: number,
): Uint8Array | undefined | false {
  const at = findNdpOption(frame, start, end, type);
  if (at === -2) return false;
  return at === -1 ? undefined : frame.subarray(at + 2, at + 8);
}

function emitMacOption(type: number, mac: Uint8Array, frame: Uint8Array, offset: number): number {
  frame[offset] = type;
  frame[offset + 1] = 1;
  copyBytes(mac, 0, frame, offset + 2, 6);
  return 8;
}

function isMessage(frame: Uint8Array, offset: number, end: number, type: number, minimum: number): boolean {
  return (
    end <= frame.length &&
    end - offset >= minimum &&
    getIcmpv6Type(frame, offset) === type &&
    frame[offset + 1] === 0
  );
}

export function parseNeighborSolicitation(
  frame: Uint8Array,
  offset: number,
  end: number,
): NeighborSolicitation | undefined {
  if (!isMessage(frame, offset, end, ICMPV6_NEIGHBOR_SOLICITATION, NEIGHBOR_OPTIONS)) return undefined;
  const mac = optionMac(frame, offset + NEIGHBOR_OPTIONS, end, NDP_OPTION_SOURCE_LINK_LAYER);
  if (mac === false) return undefined;
  const message: NeighborSolicitation = {
    target: frame.subarray(offset + TARGET, offset + NEIGHBOR_OPTIONS),
  };
  if (mac) message.sourceMac = mac;
  return message;
}

export function emitNeighborSolicitation(
  message: NeighborSolicitation,
  frame: Uint8Array,
  offset: number,
): number {
  emitIcmpv6({ type: ICMPV6_NEIGHBOR_SOLICITATION, code: 0, checksum: 0, rest: 0 }, frame, offset);
  copyBytes(message.target, 0, frame, offset + TARGET, 16);
  if (!message.sourceMac) return NEIGHBOR_OPTIONS;
  return (
    NEIGHBOR_OPTIONS +
    emitMacOption(NDP_OPTION_SOURCE_LINK_LAYER, message.sourceMac, frame, offset + NEIGHBOR_OPTIONS)
  );
}

export function parseNeighborAdvertisement(
  frame: Uint8Array,
  offset: number,
  end: number,
): NeighborAdvertisement | undefined {
  if (!isMessage(frame, offset, end, ICMPV6_NEIGHBOR_ADVERTISEMENT, NEIGHBOR_OPTIONS)) return undefined;
  const mac = optionMac(frame, offset + NEIGHBOR_OPTIONS, end, NDP_OPTION_TARGET_LINK_LAYER);
  if (mac === false) return undefined;
  const flags = frame[offset + 4];
  const message: NeighborAdvertisement = {
    router: (flags & FLAG_ROUTER) !== 0,
    solicited: (flags & FLAG_SOLICITED) !== 0,
    override: (flags & FLAG_OVERRIDE) !== 0,
    target: frame.subarray(offset + TARGET, offset + NEIGHBOR_OPTIONS),
  };
  if (mac) message.targetMac = mac;
  return message;
}

export function emitNeighborAdvertisement(
  message: NeighborAdvertisement,
  frame: Uint8Array,
  offset: number,
): number {
  const flags =
    (message.router ? FLAG_ROUTER : 0) |
    (message.solicited ? FLAG_SOLICITED : 0) |
    (message.override ? FLAG_OVERRIDE : 0);
  const rest = flags * 0x1000000;
  emitIcmpv6({ type: ICMPV6_NEIGHBOR_ADVERTISEMENT, code: 0, checksum: 0, rest }, frame, offset);
  copyBytes(message.target, 0, frame, offset + TARGET, 16);
  if (!message.targetMac) return NEIGHBOR_OPTIONS;
  return (
    NEIGHBOR_OPTIONS +
    emitMacOption(NDP_OPTION_TARGET_LINK_LAYER, message.targetMac, frame, offset + NEIGHBOR_OPTIONS)
  );
}

export function parseRouterSolicitation(
  frame: Uint8Array,
  offset: number,
  end: number,
): RouterSolicitation | undefined {
  if (!isMessage(frame, offset, end, ICMPV6_ROUTER_SOLICITATION, ROUTER_SOLICITATION_OPTIONS))
    return undefined;
  const mac = optionMac(frame, offset + ROUTER_SOLICITATION_OPTIONS, end, NDP_OPTION_SOURCE_LINK_LAYER);
  if (mac === false) return undefined;
  return mac ? { sourceMac: mac } : {};
}

export function emitRouterSolicitation(
  message: RouterSolicitation,
  frame: Uint8Array,
  offset: number,
): number {
  emitIcmpv6({ type: ICMPV6_ROUTER_SOLICITATION, code: 0, checksum: 0, rest: 0 }, frame, offset);
  if (!message.sourceMac) return ROUTER_SOLICITATION_OPTIONS;
  const at = offset + ROUTER_SOLICITATION_OPTIONS;
  return (
    ROUTER_SOLICITATION_OPTIONS + emitMacOption(NDP_OPTION_SOURCE_LINK_LAYER, message.sourceMac, frame, at)
  );
}

export function parseRouterAdvertisement(
  frame: Uint8Array,
  offset: number,
  end: number,
): RouterAdvertisement | undefined {
  if (!isMessage(frame, offset, end, ICMPV6_ROUTER_ADVERTISEMENT, ROUTER_ADVERTISEMENT_OPTIONS))
    return undefined;
  const start = offset + ROUTER_ADVERTISEMENT_OPTIONS;
  const mac = optionMac(frame, start, end, NDP_OPTION_SOURCE_LINK_LAYER);
  if (mac === false) return undefined;
  const message: RouterAdvertisement = {
    hopLimit: frame[offset + 4],
    managed: (frame[offset + 5] & 0x80) !== 0,
    otherConfiguration: (frame[offset + 5] & 0x40) !== 0,
    routerLifetimeSeconds: readU16(frame, offset + 6),
    reachableTimeMs: readU32(frame, offset + 8),
    retransmissionTimerMs: readU32(frame, offset + 12),
    prefixes: [],
  };
  if (mac) message.sourceMac = mac;
  // Lengths were checked by the search above; this loop ends.
  for (let at = start; at < end; at += frame[at + 1] * 8) {
    const length = frame[at + 1] * 8;
    if (frame[at] === NDP_OPTION_MTU && length === 8) {
      message.mtu = readU32(frame, at + 4);
    } else if (frame[at] === NDP_OPTION_PREFIX_INFORMATION && length === 32) {
      message.prefixes.push({
        prefixLength: frame[at + 2],
        onLink: (frame[at + 3] & 0x80) !== 0,
        autonomous: (frame[at + 3] & 0x40) !== 0,
        validLifetimeSeconds: readU32(frame, at + 4),
        preferredLifetimeSeconds: readU32(frame, at + 8),
        prefix: frame.subarray(at + 16, at + 32),
      });
    }
  }
  return message;
}

export function emitRouterAdvertisement(
  message: RouterAdvertisement,
  frame: Uint8Array,
  offset: number,
): number {
  emitIcmpv6({ type: ICMPV6_ROUTER_ADVERTISEMENT, code: 0, checksum: 0, rest: 0 }, frame, offset);
  frame[offset + 4] = message.hopLimit;
  frame[offset + 5] = (message.managed ? 0x80 : 0) | (message.otherConfiguration ? 0x40 : 0);
  writeU16(frame, offset + 6, message.routerLifetimeSeconds);
  writeU32(frame, offset + 8, message.reachableTimeMs);
  writeU32(frame, offset + 12, message.retransmissionTimerMs);
  let at = offset + ROUTER_ADVERTISEMENT_OPTIONS;
  if (message.sourceMac) at += emitMacOption(NDP_OPTION_SOURCE_LINK_LAYER, message.sourceMac, frame, at);
  if (message.mtu !== undefined) {
    frame[at] = NDP_OPTION_MTU;
    frame[at + 1] = 1;
    writeU16(frame, at + 2, 0);
    writeU32(frame, at + 4, message.mtu);
    at += 8;
  }
  for (const prefix of message.prefixes) {
    frame[at] = NDP_OPTION_PREFIX_INFORMATION;
    frame[at + 1] = 4;
    frame[at + 2] = prefix.prefixLength;
    frame[at + 3] = (prefix.onLink ? 0x80 : 0) | (prefix.autonomous ? 0x40 : 0);
    writeU32(frame, at + 4, prefix.validLifetimeSeconds);
    writeU32(frame, at + 8, prefix.preferredLifetimeSeconds);
    writeU32(frame, at + 12, 0);
    copyBytes(prefix.prefix, 0, frame, at + 16, 16);
    at += 32;
  }
  return at - offset;
}
