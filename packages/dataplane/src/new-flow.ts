/** A flow in the making: its two tuples, while its first packet is being decided. */

import type { Packet } from '@podwire/wire/packet';
import type { Words } from './address-words.ts';
import type { Conntrack, FlowTuple } from './conntrack.ts';
import { choosePort, type PortStrategy } from './nat-ports.ts';

export class NewFlow {
  readonly #original = newTuple();
  readonly #reply = newTuple();

  /** Takes the packet as it is now: what later packets of the flow will be found by. */
  begin(packet: Packet): void {
    const original = this.#original;
    original.src0 = packet.src0 | 0;
    original.src1 = packet.src1 | 0;
    original.src2 = packet.src2 | 0;
    original.src3 = packet.src3 | 0;
    original.dst0 = packet.dst0 | 0;
    original.dst1 = packet.dst1 | 0;
    original.dst2 = packet.dst2 | 0;
    original.dst3 = packet.dst3 | 0;
    original.srcPort = packet.srcPort;
    original.dstPort = packet.dstPort;
  }

  /**
   * Settles what answers will look like: from where the packet goes now, to its source or to `source` instead.
   * @param keepPort keep the client's port when no other flow's answers use it
   * @returns false when no port is free
   */
  settle(
    packet: Packet,
    source: Words | undefined,
    strategy: PortStrategy,
    keepPort: boolean,
    conntrack: Conntrack,
    random32: () => number,
    nowMs: number,
  ): boolean {
    const reply = this.#reply;
    reply.src0 = packet.dst0 | 0;
    reply.src1 = packet.dst1 | 0;
    reply.src2 = packet.dst2 | 0;
    reply.src3 = packet.dst3 | 0;
    reply.srcPort = packet.dstPort;
    reply.dst0 = source === undefined ? packet.src0 | 0 : source[0];
    reply.dst1 = source === undefined ? packet.src1 | 0 : source[1];
    reply.dst2 = source === undefined ? packet.src2 | 0 : source[2];
    reply.dst3 = source === undefined ? packet.src3 | 0 : source[3];
    reply.dstPort = packet.srcPort;
    return choosePort(conntrack, reply, packet.protocol, strategy, keepPort, random32, nowMs);
  }

  /** Adds the flow; its reference, or -1 when the table is full. */
  insert(conntrack: Conntrack, packet: Packet, nowMs: number): number {
    return conntrack.insert(this.#original, this.#reply, packet, nowMs);
  }
}

function newTuple(): FlowTuple {
  return { src0: 0, src1: 0, src2: 0, src3: 0, dst0: 0, dst1: 0, dst2: 0, dst3: 0, srcPort: 0, dstPort: 0 };
}
