/** Choosing the source port of a translated flow, so that its answers can be told from those of every other flow. */

import {
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '@podwire/wire/protocol';
import type { Conntrack, FlowTuple } from './conntrack.ts';

export type PortStrategy =
  /** The kernel: a random place to start (MASQUERADE --random-fully), up to 128 ports, then half as many again. */
  | 'linux'
  /** Cilium: the client's own port when free, else up to 32 random tries above the NodePort range. */
  | 'cilium';

const LINUX_ATTEMPTS = 128;
const CILIUM_TRIES = 32;
const CILIUM_MINIMUM = 32_768;

/**
 * Sets the port at which answers to `reply` arrive (its destination port, or the echo id) to a free one.
 *
 * @param keepIfFree try the port the client uses first (always so for cilium)
 * @returns false when none was found, or the protocol has no ports and the tuple is taken
 */
export function choosePort(
  conntrack: Conntrack,
  reply: FlowTuple,
  protocol: number,
  strategy: PortStrategy,
  keepIfFree: boolean,
  random32: () => number,
  nowMs: number,
): boolean {
  const isIcmp = protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6;
  if (!isIcmp && protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP && protocol !== PROTOCOL_SCTP) {
    return !conntrack.isTaken(reply, protocol, nowMs);
  }
  const original = reply.dstPort;
  if ((keepIfFree || strategy === 'cilium') && !conntrack.isTaken(reply, protocol, nowMs)) return true;
  let minimum = 1024;
  let size = 64_512;
  if (isIcmp) {
    minimum = 0;
    size = 65_536;
  } else if (strategy === 'cilium') {
    minimum = CILIUM_MINIMUM;
    size = 65_536 - CILIUM_MINIMUM;
  } else if (original < 512) {
    // A privileged port stays one (nf_nat_core.c): some servers ask for it.
    minimum = 1;
    size = 511;
  } else if (original < 1024) {
    minimum = 600;
    size = 424;
  }

  let attempts = strategy === 'cilium' ? CILIUM_TRIES : Math.min(size, LINUX_ATTEMPTS);
  for (;;) {
    let at = Math.floor(((random32() >>> 16) * size) / 65_536);
    for (let i = 0; i < attempts; i++) {
      reply.dstPort = minimum + at;
      if (isIcmp) reply.srcPort = reply.dstPort;
      if (!conntrack.isTaken(reply, protocol, nowMs)) return true;
      at = (at + 1) % size;
    }
    if (strategy === 'cilium' || attempts >= size || attempts < 16) return false;
    attempts = attempts >> 1;
  }
}
