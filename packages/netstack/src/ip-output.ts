/**
 * From an upper-layer message in the shared frame buffer to the link: IP header, next hop, fragmentation.
 * The message stands at `upperOffset(version)`; nothing here keeps the buffer.
 */
import { internetChecksum } from '@podwire/wire/checksum';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_FRAGMENT } from '@podwire/wire/protocol';
import type { Core } from './core.ts';
import { type IpAddress, writeAddress } from './ip-address.ts';
import { setGroupMac } from './link.ts';
import { type Destination, ROUTE_GROUP, ROUTE_LINK, ROUTE_LOOPBACK } from './routes.ts';

export const L3 = 14;
export const DEFAULT_TTL = 64;
const VIEW_SLOTS = 16;

/** Where the upper layer starts in a frame that we build. */
export function upperOffset(version: 4 | 6): number {
  return version === 4 ? L3 + 20 : L3 + 40;
}

/** Writes the IP header for `length` bytes of upper layer; IPv4 with its checksum. */
export function writeIpHeader(
  core: Core,
  source: IpAddress,
  destination: IpAddress,
  protocol: number,
  length: number,
  ttl: number,
  dontFragment: boolean,
): void {
  const out = core.out;
  if (destination.version === 6) {
    out[12] = ETHERTYPE_IPV6 >>> 8;
    out[13] = ETHERTYPE_IPV6 & 255;
    out[L3] = 0x60;
    out[L3 + 1] = 0;
    out[L3 + 2] = 0;
    out[L3 + 3] = 0;
    out[L3 + 4] = length >>> 8;
    out[L3 + 5] = length;
    out[L3 + 6] = protocol;
    out[L3 + 7] = ttl;
    writeAddress(out, L3 + 8, source);
    writeAddress(out, L3 + 24, destination);
    return;
  }
  const totalLength = 20 + length;
  const identification = (core.nextIdentification = (core.nextIdentification + 1) & 0xffff);
  out[12] = ETHERTYPE_IPV4 >>> 8;
  out[13] = ETHERTYPE_IPV4 & 255;
  out[L3] = 0x45;
  out[L3 + 1] = 0;
  out[L3 + 2] = totalLength >>> 8;
  out[L3 + 3] = totalLength;
  out[L3 + 4] = identification >>> 8;
  out[L3 + 5] = identification;
  out[L3 + 6] = dontFragment ? 0x40 : 0;
  out[L3 + 7] = 0;
  out[L3 + 8] = ttl;
  out[L3 + 9] = protocol;
  writeAddress(out, L3 + 12, source);
  writeAddress(out, L3 + 16, destination);
  let sum =
    0x4500 +
    totalLength +
    identification +
    (dontFragment ? 0x4000 : 0) +
    ((ttl << 8) | protocol) +
    (source.w3 >>> 16) +
    (source.w3 & 0xffff) +
    (destination.w3 >>> 16) +
    (destination.w3 & 0xffff);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  out[L3 + 10] = ~sum >>> 8;
  out[L3 + 11] = ~sum;
}

/** Ones' complement sum of the pseudo header, unfolded (RFC 9293 3.1, RFC 8200 8.1). */
export function pseudoSum(a: IpAddress, b: IpAddress, protocol: number, length: number): number {
  let sum = protocol + length + halves(a.w3) + halves(b.w3);
  if (a.version === 6) {
    sum += halves(a.w0) + halves(a.w1) + halves(a.w2) + halves(b.w0) + halves(b.w1) + halves(b.w2);
  }
  return sum;
}

function halves(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

/**
 * Sends the upper-layer message of `length` bytes in the frame buffer, in fragments when it does not fit the
 * path. False when there is no route.
 */
export function sendMessage(
  core: Core,
  destination: Destination,
  source: IpAddress,
  protocol: number,
  length: number,
  ttl: number,
): boolean {
  const version = destination.address.version;
  const headerLength = version === 4 ? 20 : 40;
  if (destination.epoch !== core.routes.epoch) core.routes.refresh(destination);
  const mtu = core.routes.mtuOf(destination, core.nowMs());
  if (headerLength + length <= mtu) {
    writeIpHeader(
      core,
      source,
      destination.address,
      protocol,
      length,
      ttl,
      !destination.mayFragment && version === 4,
    );
    return sendFrame(core, destination, L3 + headerLength + length);
  }
  return version === 4
    ? sendFragments4(core, destination, source, protocol, length, ttl, mtu)
    : sendFragments6(core, destination, source, protocol, length, ttl, mtu);
}

/** Puts the frame whose IP packet stands complete in the buffer on the link. False when there is no route. */
export function sendFrame(core: Core, destination: Destination, frameLength: number): boolean {
  if (destination.epoch !== core.routes.epoch) core.routes.refresh(destination);
  if (destination.kind === ROUTE_LINK) {
    let neighbor = destination.neighbor;
    if (neighbor === undefined || neighbor.gone) {
      neighbor = destination.neighbor = core.neighbors.lookup(destination.nextHop);
    }
    const out = core.out;
    const ownMac = core.mac;
    const mac = neighbor.mac;
    for (let i = 0; i < 6; i++) {
      out[i] = mac[i];
      out[6 + i] = ownMac[i];
    }
    if (neighbor.resolved) {
      const nowMs = core.nowMs();
      core.neighbors.used(neighbor, nowMs);
      emit(core, frameLength);
    } else {
      core.neighbors.hold(neighbor, frameView(core, frameLength));
      core.neighbors.resolve(neighbor, core.nowMs());
    }
    return true;
  }
  if (destination.kind === ROUTE_LOOPBACK) {
    core.out.fill(0, 0, 12);
    core.loopBack(frameLength);
    return true;
  }
  if (destination.kind === ROUTE_GROUP) {
    setGroupMac(core.out, destination.address);
    core.out.set(core.mac, 6);
    emit(core, frameLength);
    return true;
  }
  core.statistics.noRoute++;
  return false;
}

function emit(core: Core, frameLength: number): void {
  core.statistics.framesOut++;
  core.statistics.bytesOut += frameLength;
  core.transmit(frameView(core, frameLength));
}

// Bulk transfer sends the same few lengths again and again: their views are kept rather than made anew.
function frameView(core: Core, length: number): Uint8Array {
  const slot = length & (VIEW_SLOTS - 1);
  const view = core.outViews[slot];
  if (view !== undefined && view.length === length) return view;
  return (core.outViews[slot] = core.out.subarray(0, length));
}

// RFC 791 3.2: every fragment but the last carries a multiple of 8 bytes.
function sendFragments4(
  core: Core,
  destination: Destination,
  source: IpAddress,
  protocol: number,
  length: number,
  ttl: number,
  mtu: number,
): boolean {
  const out = core.out;
  const l4 = upperOffset(4);
  const message = out.slice(l4, l4 + length);
  const room = (mtu - 20) & ~7;
  const identification = (core.nextIdentification = (core.nextIdentification + 1) & 0xffff);
  for (let at = 0; at < length; at += room) {
    const size = Math.min(room, length - at);
    out.set(message.subarray(at, at + size), l4);
    writeIpHeader(core, source, destination.address, protocol, size, ttl, false);
    const word = (at >>> 3) | (at + size < length ? 0x2000 : 0);
    out[L3 + 4] = identification >>> 8;
    out[L3 + 5] = identification;
    out[L3 + 6] = word >>> 8;
    out[L3 + 7] = word;
    out[L3 + 10] = 0;
    out[L3 + 11] = 0;
    const checksum = internetChecksum(out, L3, l4);
    out[L3 + 10] = checksum >>> 8;
    out[L3 + 11] = checksum;
    core.statistics.fragmentsCreated++;
    if (!sendFrame(core, destination, l4 + size)) return false;
  }
  return true;
}

// RFC 8200 4.5.
function sendFragments6(
  core: Core,
  destination: Destination,
  source: IpAddress,
  protocol: number,
  length: number,
  ttl: number,
  mtu: number,
): boolean {
  const out = core.out;
  const l4 = upperOffset(6);
  const message = out.slice(l4, l4 + length);
  const room = (mtu - 48) & ~7;
  const identification = core.random32() | 0;
  for (let at = 0; at < length; at += room) {
    const size = Math.min(room, length - at);
    out[l4] = protocol;
    out[l4 + 1] = 0;
    const word = at | (at + size < length ? 1 : 0);
    out[l4 + 2] = word >>> 8;
    out[l4 + 3] = word;
    out[l4 + 4] = identification >>> 24;
    out[l4 + 5] = identification >>> 16;
    out[l4 + 6] = identification >>> 8;
    out[l4 + 7] = identification;
    out.set(message.subarray(at, at + size), l4 + 8);
    writeIpHeader(core, source, destination.address, PROTOCOL_FRAGMENT, size + 8, ttl, false);
    core.statistics.fragmentsCreated++;
    if (!sendFrame(core, destination, l4 + 8 + size)) return false;
  }
  return true;
}
