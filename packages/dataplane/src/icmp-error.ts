/** Which ICMP error a refusal becomes, whether it may be sent, and how many (RFC 1812 4.3.2, RFC 4443 2.4). */

import { isIcmpv4Error } from '@podwire/wire/icmpv4';
import { isIpv4Multicast } from '@podwire/wire/ipv4';
import { isIpv6Multicast } from '@podwire/wire/ipv6';
import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from '@podwire/wire/protocol';

/** One meaning, both versions. */
export interface IcmpErrorKind {
  readonly name: string;
  readonly v4: readonly [type: number, code: number];
  readonly v6: readonly [type: number, code: number];
}
export const PORT_UNREACHABLE: IcmpErrorKind = { name: 'port unreachable', v4: [3, 3], v6: [1, 4] };
export const HOST_UNREACHABLE: IcmpErrorKind = { name: 'host unreachable', v4: [3, 1], v6: [1, 3] };
export const TTL_EXCEEDED: IcmpErrorKind = { name: 'time exceeded', v4: [11, 0], v6: [3, 0] };
export const PACKET_TOO_BIG: IcmpErrorKind = { name: 'fragmentation needed', v4: [3, 4], v6: [2, 0] };

/**
 * Whether an error may be sent about a packet: not about errors, later fragments, or packets to or from a group
 * (RFC 1812 4.3.2.7). Call with the packet as it arrived. A source in 127/8 is answered: the nodes of a lab on one
 * machine live there.
 */
export function mayAnswerWithError(packet: Packet): boolean {
  if (packet.l3 < 0 || packet.fragmentOffset > 0) return false;
  if (packet.version === 4) {
    if (packet.protocol === PROTOCOL_ICMP && (packet.icmpType < 0 || isIcmpv4Error(packet.icmpType)))
      return false;
    return (
      !isIpv4Multicast(packet.dst3) &&
      packet.dst3 !== 0xffffffff &&
      !isIpv4Multicast(packet.src3) &&
      packet.src3 !== 0 &&
      packet.src3 !== 0xffffffff
    );
  }
  // RFC 4443 2.4 (e): not about ICMPv6 errors, whose types are below 128.
  if (packet.protocol === PROTOCOL_ICMPV6 && packet.icmpType < 128) return false;
  return (
    !isIpv6Multicast(packet.frame, packet.l3 + 8) &&
    !isIpv6Multicast(packet.frame, packet.l3 + 24) &&
    (packet.src0 | packet.src1 | packet.src2 | packet.src3) !== 0
  );
}

/**
 * A token bucket over all errors (Linux icmp_msgs_per_sec 1000, icmp_msgs_burst 50). "Fragmentation needed" is
 * exempt, as it is in Linux: without it a connection stalls.
 */
export class IcmpErrorLimiter {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledMs = Number.NEGATIVE_INFINITY;

  constructor(perSecond = 1000, burst = 50) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  allow(kind: IcmpErrorKind, nowMs: number): boolean {
    if (kind === PACKET_TOO_BIG) return true;
    const elapsedMs = nowMs - this.#filledMs;
    if (elapsedMs > 0) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (elapsedMs * this.#perSecond) / 1000);
      this.#filledMs = nowMs;
    }
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
