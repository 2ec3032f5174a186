/**
 * The neighbour table: ARP (RFC 826) for IPv4 and Neighbour Discovery (RFC 4861) for IPv6 over one Ethernet
 * link. A packet whose next hop is not yet known waits in a bounded queue; when nobody answers, each waiting
 * packet is reported as unreachable, as by an ICMP "host unreachable" of our own.
 */
import {
  ARP_LENGTH,
  ARP_REPLY,
  ARP_REQUEST,
  emitArp,
  getArpOperation,
  getArpSenderIp,
  getArpTargetIp,
  isArp,
} from '@podwire/wire/arp';
import { internetChecksum, pseudoHeaderSum } from '@podwire/wire/checksum';
import { ETHERTYPE_ARP, ETHERTYPE_IPV6, PROTOCOL_ICMPV6 } from '@podwire/wire/protocol';
import type { Core } from './core.ts';
import {
  ANY_V6,
  addressKey,
  addressOfWords,
  type IpAddress,
  isMulticast,
  isUnspecified,
  readAddress,
  writeAddress,
} from './ip-address.ts';
import type { Deadline } from './timers.ts';

const L3 = 14;
const RETRY_LIMIT = 3;
/** After this long without a sign of life the next packet also asks whether the neighbour still answers. */
const REACHABLE_MS = 30_000;
const NEIGHBOR_LIMIT = 1024;
const PENDING_LIMIT = 64;
const PENDING_BYTES_LIMIT = 212_992;

const NEIGHBOR_SOLICITATION = 135;
const NEIGHBOR_ADVERTISEMENT = 136;

export class Neighbor implements Deadline {
  readonly address: IpAddress;
  readonly mac = new Uint8Array(6);
  /** Whether `mac` may be used. */
  resolved = false;
  /** Whether it left the table: holders look it up again. */
  gone = false;
  confirmedMs = 0;
  attempts = 0;
  pending: Uint8Array[] = [];
  pendingBytes = 0;
  dueMs = 0;
  heapIndex = -1;
  readonly #table: NeighborTable;

  constructor(table: NeighborTable, address: IpAddress) {
    this.#table = table;
    this.address = address;
  }

  expire(nowMs: number): void {
    this.#table.retry(this, nowMs);
  }
}

export class NeighborTable {
  readonly #core: () => Core;
  readonly #retryMs: number;
  readonly #entries = new Map<number | string, Neighbor>();
  readonly #onUnreachable: (frame: Uint8Array) => void;
  /** Set on a point-to-point link: every next hop has this address and nothing is asked. */
  readonly #fixedMac: Uint8Array | undefined;

  constructor(
    core: () => Core,
    retryMs: number,
    fixedMac: Uint8Array | undefined,
    onUnreachable: (frame: Uint8Array) => void,
  ) {
    this.#core = core;
    this.#retryMs = retryMs;
    this.#fixedMac = fixedMac;
    this.#onUnreachable = onUnreachable;
  }

  get size(): number {
    return this.#entries.size;
  }

  lookup(address: IpAddress): Neighbor {
    const key = addressKey(address);
    let neighbor = this.#entries.get(key);
    if (neighbor === undefined) {
      if (this.#entries.size >= NEIGHBOR_LIMIT) this.#evict();
      neighbor = new Neighbor(this, address);
      this.#entries.set(key, neighbor);
      if (this.#fixedMac !== undefined) {
        neighbor.mac.set(this.#fixedMac);
        neighbor.resolved = true;
        neighbor.confirmedMs = Infinity;
      }
    }
    return neighbor;
  }

  /** Asks for the MAC address of a neighbour unless that is under way. */
  resolve(neighbor: Neighbor, nowMs: number): void {
    if (neighbor.attempts > 0) return;
    neighbor.attempts = 1;
    this.#ask(neighbor);
    this.#core().timers.wake(neighbor, nowMs + this.#retryMs);
  }

  /** Keeps a copy of a frame until its neighbour is known; the oldest give way. */
  hold(neighbor: Neighbor, frame: Uint8Array): void {
    while (
      neighbor.pending.length > 0 &&
      (neighbor.pending.length >= PENDING_LIMIT || neighbor.pendingBytes + frame.length > PENDING_BYTES_LIMIT)
    ) {
      neighbor.pendingBytes -= neighbor.pending.shift()!.length;
      this.#core().statistics.queueDrops++;
    }
    neighbor.pending.push(frame.slice());
    neighbor.pendingBytes += frame.length;
  }

  /** A known neighbour was used: after a while without confirmation it is asked again (RFC 4861 7.3). */
  used(neighbor: Neighbor, nowMs: number): void {
    if (nowMs - neighbor.confirmedMs > REACHABLE_MS) this.resolve(neighbor, nowMs);
  }

  /** Transport progress is a sign of life (RFC 4861 7.3.1). */
  confirm(neighbor: Neighbor, nowMs: number): void {
    if (!neighbor.resolved || this.#fixedMac !== undefined) return;
    neighbor.confirmedMs = nowMs;
    neighbor.attempts = 0;
  }

  retry(neighbor: Neighbor, nowMs: number): void {
    if (neighbor.gone || neighbor.attempts === 0) return;
    if (neighbor.attempts < RETRY_LIMIT) {
      neighbor.attempts++;
      this.#ask(neighbor);
      this.#core().timers.wake(neighbor, nowMs + this.#retryMs);
      return;
    }
    this.#core().statistics.neighborFailures++;
    this.#delete(neighbor);
    const pending = neighbor.pending;
    neighbor.pending = [];
    neighbor.pendingBytes = 0;
    for (const frame of pending) this.#onUnreachable(frame);
  }

  /** Takes an ARP packet in the frame being received. */
  receiveArp(frame: Uint8Array, length: number): void {
    const core = this.#core();
    if (!isArp(frame, L3, length)) {
      core.statistics.malformedFrames++;
      return;
    }
    const operation = getArpOperation(frame, L3);
    const sender = addressOfWords(0, 0, 0xffff, getArpSenderIp(frame, L3));
    const target = addressOfWords(0, 0, 0xffff, getArpTargetIp(frame, L3));
    const forUs = core.routes.isOwn(target);
    if (!isUnspecified(sender) && !core.routes.isOwn(sender)) {
      // RFC 826: a known sender is updated in any case. An unknown one is learned when it asks for us, and, as
      // in Linux, not from an answer that nobody asked for.
      this.#learn(sender, frame, L3 + 8, forUs && operation === ARP_REQUEST, true);
    }
    if (operation === ARP_REQUEST && forUs) {
      const reply = new Uint8Array(L3 + ARP_LENGTH);
      const senderMac = frame.slice(L3 + 8, L3 + 14);
      reply.set(senderMac, 0);
      reply.set(core.mac, 6);
      reply[12] = ETHERTYPE_ARP >>> 8;
      reply[13] = ETHERTYPE_ARP & 255;
      emitArp(
        {
          operation: ARP_REPLY,
          senderMac: core.mac,
          senderIp: target.w3 >>> 0,
          targetMac: senderMac,
          targetIp: sender.w3 >>> 0,
        },
        reply,
        L3,
      );
      core.queueFrame(reply);
    }
  }

  /**
   * Takes a Neighbour Solicitation or Advertisement: the ICMPv6 message [l4, end) of the frame being received,
   * whose checksum is already verified.
   */
  receiveNeighborDiscovery(frame: Uint8Array, l4: number, end: number): void {
    const core = this.#core();
    // RFC 4861 7.1: hop limit 255 proves that it was sent on this link.
    if (frame[L3 + 7] !== 255 || frame[l4 + 1] !== 0 || end - l4 < 24) {
      core.statistics.malformedFrames++;
      return;
    }
    const source = readAddress(frame, L3 + 8, 6);
    const target = readAddress(frame, l4 + 8, 6);
    if (isMulticast(target)) return;
    const solicitation = frame[l4] === NEIGHBOR_SOLICITATION;
    const linkAddress = findLinkAddress(frame, l4 + 24, end, solicitation ? 1 : 2);
    if (linkAddress === -1) {
      core.statistics.malformedFrames++;
      return;
    }
    if (!solicitation) {
      const override = (frame[l4 + 4] & 0x20) !== 0;
      if (linkAddress > 0 && !core.routes.isOwn(target)) {
        this.#learn(target, frame, linkAddress, false, override);
      }
      return;
    }
    if (!core.routes.isOwn(target)) return;
    const probe = isUnspecified(source);
    if (linkAddress > 0 && !probe) this.#learn(source, frame, linkAddress, true, true);
    this.#advertise(target, probe ? undefined : source, frame.slice(6, 12));
  }

  close(): void {
    for (const neighbor of this.#entries.values()) neighbor.gone = true;
    this.#entries.clear();
  }

  #learn(address: IpAddress, frame: Uint8Array, macAt: number, create: boolean, override: boolean): void {
    if (this.#fixedMac !== undefined || (frame[macAt] & 1) === 1) return;
    const known = this.#entries.get(addressKey(address));
    if (known === undefined && !create) return;
    const core = this.#core();
    const neighbor = known ?? this.lookup(address);
    if (neighbor.resolved && !override) {
      for (let i = 0; i < 6; i++) if (neighbor.mac[i] !== frame[macAt + i]) return;
    }
    for (let i = 0; i < 6; i++) neighbor.mac[i] = frame[macAt + i];
    neighbor.resolved = true;
    neighbor.confirmedMs = core.nowMs();
    neighbor.attempts = 0;
    core.timers.cancel(neighbor);
    const pending = neighbor.pending;
    if (pending.length === 0) return;
    neighbor.pending = [];
    neighbor.pendingBytes = 0;
    for (const held of pending) {
      held.set(neighbor.mac, 0);
      core.queueFrame(held);
    }
  }

  #delete(neighbor: Neighbor): void {
    neighbor.gone = true;
    this.#core().timers.cancel(neighbor);
    this.#entries.delete(addressKey(neighbor.address));
  }

  #evict(): void {
    for (const neighbor of this.#entries.values()) {
      if (neighbor.pending.length === 0) {
        this.#delete(neighbor);
        return;
      }
    }
    for (const neighbor of this.#entries.values()) {
      this.#delete(neighbor);
      return;
    }
  }

  #ask(neighbor: Neighbor): void {
    const core = this.#core();
    const address = neighbor.address;
    if (address.version === 4) {
      const source = core.routes.sourceFor(address);
      const request = new Uint8Array(L3 + ARP_LENGTH);
      // RFC 4861 7.3.3 asks a known neighbour by unicast; Linux does the same with ARP.
      if (neighbor.resolved) request.set(neighbor.mac, 0);
      else request.fill(0xff, 0, 6);
      request.set(core.mac, 6);
      request[12] = ETHERTYPE_ARP >>> 8;
      request[13] = ETHERTYPE_ARP & 255;
      emitArp(
        {
          operation: ARP_REQUEST,
          senderMac: core.mac,
          senderIp: source === undefined ? 0 : source.w3 >>> 0,
          targetMac: new Uint8Array(6),
          targetIp: address.w3 >>> 0,
        },
        request,
        L3,
      );
      core.queueFrame(request);
      return;
    }
    // RFC 4291 2.7.1: the solicited-node group ff02::1:ffXX:XXXX.
    const group = addressOfWords(0xff020000, 0, 1, 0xff000000 | (address.w3 & 0xffffff));
    const message = neighborMessage(
      core,
      core.routes.sourceFor(address) ?? ANY_V6,
      neighbor.resolved ? address : group,
      NEIGHBOR_SOLICITATION,
      0,
      address,
    );
    if (neighbor.resolved) message.set(neighbor.mac, 0);
    else setGroupMac(message, group);
    core.queueFrame(message);
  }

  #advertise(target: IpAddress, to: IpAddress | undefined, mac: Uint8Array): void {
    const core = this.#core();
    const allNodes = addressOfWords(0xff020000, 0, 0, 1);
    const message = neighborMessage(
      core,
      target,
      to ?? allNodes,
      NEIGHBOR_ADVERTISEMENT,
      to === undefined ? 0x20 : 0x60,
      target,
    );
    if (to === undefined) setGroupMac(message, allNodes);
    else message.set(mac, 0);
    core.queueFrame(message);
  }
}

/** Writes the Ethernet destination of an IP group: 33:33 (RFC 2464) or 01:00:5e (RFC 1112), or broadcast. */
export function setGroupMac(frame: Uint8Array, group: IpAddress): void {
  if (group.version === 6) {
    frame[0] = 0x33;
    frame[1] = 0x33;
    writeGroupTail(frame, group.w3);
  } else if (isMulticast(group)) {
    frame[0] = 0x01;
    frame[1] = 0x00;
    writeGroupTail(frame, 0x5e000000 | (group.w3 & 0x7fffff));
  } else {
    frame.fill(0xff, 0, 6);
  }
}

function writeGroupTail(frame: Uint8Array, word: number): void {
  frame[2] = word >>> 24;
  frame[3] = word >>> 16;
  frame[4] = word >>> 8;
  frame[5] = word;
}

// A whole frame but for the Ethernet destination: NS (RFC 4861 4.3) or NA (4.4) with our link-layer address.
function neighborMessage(
  core: Core,
  source: IpAddress,
  destination: IpAddress,
  type: number,
  flags: number,
  target: IpAddress,
): Uint8Array {
  const length = 32;
  const frame = new Uint8Array(L3 + 40 + length);
  frame.set(core.mac, 6);
  frame[12] = ETHERTYPE_IPV6 >>> 8;
  frame[13] = ETHERTYPE_IPV6 & 255;
  frame[L3] = 0x60;
  frame[L3 + 5] = length;
  frame[L3 + 6] = PROTOCOL_ICMPV6;
  frame[L3 + 7] = 255;
  writeAddress(frame, L3 + 8, source);
  writeAddress(frame, L3 + 24, destination);
  const l4 = L3 + 40;
  frame[l4] = type;
  frame[l4 + 4] = flags;
  writeAddress(frame, l4 + 8, target);
  frame[l4 + 24] = type === NEIGHBOR_SOLICITATION ? 1 : 2;
  frame[l4 + 25] = 1;
  frame.set(core.mac, l4 + 26);
  const checksum = internetChecksum(
    frame,
    l4,
    frame.length,
    pseudoHeaderSum(frame, L3, 6, PROTOCOL_ICMPV6, length),
  );
  frame[l4 + 2] = checksum >>> 8;
  frame[l4 + 3] = checksum;
  return frame;
}

// Where the link-layer address option of `type` has its address, 0 when absent, -1 when an option has no length.
function findLinkAddress(frame: Uint8Array, start: number, end: number, type: number): number {
  let at = start;
  while (at + 2 <= end) {
    const length = frame[at + 1] * 8;
    if (length === 0) return -1;
    if (frame[at] === type && length === 8 && at + 8 <= end) return at + 2;
    at += length;
  }
  return 0;
}
