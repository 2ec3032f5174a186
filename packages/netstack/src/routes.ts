/**
 * Own addresses, next hops and path MTUs. A `Destination` is what the stack knows of one remote address; the
 * sockets that talk to it keep a reference, so that the usual packet needs no lookup.
 */
import {
  ANY_V4,
  addressKey,
  formatIpAddress,
  type IpAddress,
  isLimitedBroadcast,
  isLinkLocalV6,
  isMulticast,
  LOOPBACK_V4,
  LOOPBACK_V6,
  sameAddress,
  samePrefix,
} from './ip-address.ts';
import type { Neighbor } from './link.ts';

/** Linux's loopback has 65536, which no IPv4 packet can fill. */
const LOOPBACK_MTU = 65_535;
/** RFC 1191 6.3: a raised path MTU is tried again after 10 minutes. */
const PATH_MTU_LIFETIME_MS = 600_000;
/** Linux net.ipv4.route.min_pmtu: below this a sender lets routers fragment instead. */
const MINIMUM_PATH_MTU_V4 = 552;
const MINIMUM_PATH_MTU_V6 = 1280;
const DESTINATION_LIMIT = 1024;

export const ROUTE_NONE = 0;
export const ROUTE_LOOPBACK = 1;
export const ROUTE_LINK = 2;
/** To a group: the MAC address follows from the IP address. */
export const ROUTE_GROUP = 3;

/**
 * Which addresses never leave the stack. True: 127.0.0.0/8 and ::1 (RFC 1122 3.2.1.3). 'host': 127.0.0.1 and ::1
 * alone. False: none.
 */
export type LoopbackScope = boolean | 'host';

export interface OwnAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
}

export interface Destination {
  readonly address: IpAddress;
  /** One of ROUTE_*. */
  kind: number;
  nextHop: IpAddress;
  neighbor: Neighbor | undefined;
  linkMtu: number;
  /** What ICMP told, or 0. */
  learnedMtu: number;
  learnedUntilMs: number;
  /** A path MTU below the minimum was told: send without don't-fragment. */
  mayFragment: boolean;
  /** The route table's epoch in which `kind` and `nextHop` were found. */
  epoch: number;
}

export class RouteTable {
  readonly #mtu: number;
  readonly #onlinkDefault: boolean;
  readonly #own: OwnAddress[] = [];
  readonly #destinations = new Map<number | string, Destination>();
  readonly #gatewayV4: IpAddress | undefined;
  readonly #gatewayV6: IpAddress | undefined;
  readonly #loopback: LoopbackScope;
  epoch = 0;

  constructor(o: {
    mtu: number;
    gatewayV4: IpAddress | undefined;
    gatewayV6: IpAddress | undefined;
    /** Without a gateway, every address is taken to be on the link. */
    onlinkDefault: boolean;
    loopback: LoopbackScope;
  }) {
    this.#mtu = o.mtu;
    this.#gatewayV4 = o.gatewayV4;
    this.#gatewayV6 = o.gatewayV6;
    this.#onlinkDefault = o.onlinkDefault;
    this.#loopback = o.loopback;
  }

  /** Number of remote addresses it knows something of. */
  get size(): number {
    return this.#destinations.size;
  }

  get own(): readonly OwnAddress[] {
    return this.#own;
  }

  add(address: IpAddress, prefixLength: number): void {
    this.remove(address);
    this.#own.push({ address, prefixLength });
    this.epoch++;
  }

  remove(address: IpAddress): boolean {
    const i = this.#own.findIndex((own) => sameAddress(own.address, address));
    if (i < 0) return false;
    this.#own.splice(i, 1);
    this.epoch++;
    return true;
  }

  /** Whether the words are an address of the interface (loopback addresses are not). */
  isOwnWords(w0: number, w1: number, w2: number, w3: number): boolean {
    const own = this.#own;
    for (let i = 0; i < own.length; i++) {
      const a = own[i].address;
      if (a.w3 === w3 && a.w2 === w2 && a.w1 === w1 && a.w0 === w0) return true;
    }
    return false;
  }

  isOwn(a: IpAddress): boolean {
    return this.isOwnWords(a.w0, a.w1, a.w2, a.w3);
  }

  /** Whether the words are a loopback address of this stack: it never is on the link. */
  isLoopbackWords(w0: number, w1: number, w2: number, w3: number): boolean {
    if (w0 !== 0 || w1 !== 0 || this.#loopback === false) return false;
    if (w2 === 0) return w3 === LOOPBACK_V6.w3;
    return w2 === 0xffff && (this.#loopback === 'host' ? w3 === LOOPBACK_V4.w3 : w3 >>> 24 === 127);
  }

  isLoopback(a: IpAddress): boolean {
    return this.isLoopbackWords(a.w0, a.w1, a.w2, a.w3);
  }

  /** Whether packets to it stay inside the stack. */
  isLocal(a: IpAddress): boolean {
    return this.isOwn(a) || this.isLoopback(a);
  }

  /** 255.255.255.255 or the all-ones address of an own IPv4 prefix. */
  isBroadcast(a: IpAddress): boolean {
    if (a.version !== 4) return false;
    if (isLimitedBroadcast(a)) return true;
    for (const { address, prefixLength } of this.#own) {
      if (prefixLength < 31 && samePrefix(address, a, prefixLength)) {
        const hostBits = 0xffffffff >>> prefixLength;
        if ((a.w3 & hostBits) === (hostBits | 0)) return true;
      }
    }
    return false;
  }

  /** The address to send from, undefined when the stack has none of that version. */
  sourceFor(destination: IpAddress): IpAddress | undefined {
    if (this.isOwn(destination)) return destination;
    if (this.isLoopback(destination)) return destination.version === 4 ? LOOPBACK_V4 : LOOPBACK_V6;
    let first: IpAddress | undefined;
    for (const { address, prefixLength } of this.#own) {
      if (address.version !== destination.version) continue;
      if (isLinkLocalV6(destination) === isLinkLocalV6(address)) {
        if (samePrefix(address, destination, prefixLength)) return address;
        if (first === undefined || isLinkLocalV6(first) !== isLinkLocalV6(destination)) first = address;
      }
      first ??= address;
    }
    return first;
  }

  lookup(address: IpAddress): Destination {
    const key = addressKey(address);
    let destination = this.#destinations.get(key);
    if (destination === undefined) {
      if (this.#destinations.size >= DESTINATION_LIMIT) {
        const oldest = this.#destinations.keys().next();
        if (!oldest.done) this.#destinations.delete(oldest.value);
      }
      destination = {
        address,
        kind: ROUTE_NONE,
        nextHop: ANY_V4,
        neighbor: undefined,
        linkMtu: 0,
        learnedMtu: 0,
        learnedUntilMs: 0,
        mayFragment: false,
        epoch: -1,
      };
      this.#destinations.set(key, destination);
    }
    if (destination.epoch !== this.epoch) this.refresh(destination);
    return destination;
  }

  /** Finds the route again after own addresses changed. */
  refresh(destination: Destination): void {
    const address = destination.address;
    destination.epoch = this.epoch;
    destination.neighbor = undefined;
    destination.linkMtu = this.#mtu;
    if (this.isLocal(address)) {
      destination.kind = ROUTE_LOOPBACK;
      destination.linkMtu = LOOPBACK_MTU;
      return;
    }
    if (isMulticast(address) || this.isBroadcast(address)) {
      destination.kind = ROUTE_GROUP;
      return;
    }
    const gateway = address.version === 4 ? this.#gatewayV4 : this.#gatewayV6;
    const onlink =
      isLinkLocalV6(address) ||
      (gateway === undefined && this.#onlinkDefault) ||
      this.#own.some((own) => samePrefix(own.address, address, own.prefixLength));
    const nextHop = onlink ? address : gateway;
    destination.kind = nextHop === undefined ? ROUTE_NONE : ROUTE_LINK;
    if (nextHop !== undefined) destination.nextHop = nextHop;
  }

  /** Largest IP packet in bytes for the path. */
  mtuOf(destination: Destination, nowMs: number): number {
    if (destination.learnedMtu === 0) return destination.linkMtu;
    if (nowMs >= destination.learnedUntilMs) {
      destination.learnedMtu = 0;
      destination.mayFragment = false;
      return destination.linkMtu;
    }
    return Math.min(destination.learnedMtu, destination.linkMtu);
  }

  /**
   * Takes the MTU of an ICMP "fragmentation needed" or "packet too big" (RFC 1191, RFC 8201). True when the
   * path MTU fell.
   */
  learnMtu(destination: Destination, mtu: number, nowMs: number): boolean {
    const minimum = destination.address.version === 4 ? MINIMUM_PATH_MTU_V4 : MINIMUM_PATH_MTU_V6;
    const before = this.mtuOf(destination, nowMs);
    const told = Math.max(mtu, minimum);
    if (mtu < minimum && destination.address.version === 4) destination.mayFragment = true;
    if (told >= before) return false;
    destination.learnedMtu = told;
    destination.learnedUntilMs = nowMs + PATH_MTU_LIFETIME_MS;
    return true;
  }

  describeOwn(): { address: string; prefixLength: number }[] {
    return this.#own.map((own) => ({
      address: formatIpAddress(own.address),
      prefixLength: own.prefixLength,
    }));
  }
}
