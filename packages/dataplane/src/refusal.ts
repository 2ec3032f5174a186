/** Answers a packet that is not forwarded with an ICMP error, where one may be sent. */

import { ETHERNET_HEADER_LENGTH, setDstMac, setSrcMac } from '@podwire/wire/ethernet';
import { emitIcmpError, ICMP_ERROR_FRAME_MAXIMUM_LENGTH } from '@podwire/wire/icmp-error';
import { DECODE_OK, Packet } from '@podwire/wire/packet';
import type { Words } from './address-words.ts';
import type { PipelineCounters } from './counters.ts';
import { type IcmpErrorKind, IcmpErrorLimiter, mayAnswerWithError, PACKET_TOO_BIG } from './icmp-error.ts';
import { sourceText, wordsText } from './packet-text.ts';
import type { PreparedEndpoint, PreparedTables } from './prepared.ts';
import { GATEWAY_MAC } from './source-check.ts';

export class Refusal {
  /** The frame of the last error. */
  readonly frame = new Uint8Array(ICMP_ERROR_FRAME_MAXIMUM_LENGTH);
  readonly #packet = new Packet();
  readonly #limiter = new IcmpErrorLimiter();
  readonly #counters: PipelineCounters;
  #source: Words = [0, 0, 0, 0];

  constructor(counters: PipelineCounters) {
    this.#counters = counters;
  }

  /**
   * Writes an error about a packet as it arrived: what was rewritten since is none of the sender's business.
   *
   * @param original the frame, its Ethernet header at `start`, its IP packet's end at `end`
   * @param sender the pod it came from, undefined for the host and the underlay
   * @returns the length of the frame, 0 when no error may be sent
   */
  write(
    kind: IcmpErrorKind,
    original: Uint8Array,
    start: number,
    end: number,
    sender: PreparedEndpoint | undefined,
    prepared: PreparedTables,
    nowMs: number,
  ): number {
    const packet = this.#packet;
    if (packet.decodeIp(original, start + ETHERNET_HEADER_LENGTH, end) !== DECODE_OK) return 0;
    const source = this.#sourceOf(packet, prepared);
    if (source === undefined || !mayAnswerWithError(packet)) return 0;
    if (!this.#limiter.allow(kind, nowMs)) {
      this.#counters.errorsSuppressed++;
      return 0;
    }
    this.#source = source;
    const [type, code] = packet.version === 4 ? kind.v4 : kind.v6;
    const rest = kind === PACKET_TOO_BIG ? prepared.tables.node.mtu : 0;
    const src: [number, number, number, number] = [source[0], source[1], source[2], source[3]];
    const length = emitIcmpError(packet, { type, code, rest, src }, this.frame);
    setDstMac(this.frame, 0, sender === undefined ? GATEWAY_MAC : sender.mac);
    setSrcMac(this.frame, 0, sender === undefined ? prepared.vtepMac : GATEWAY_MAC);
    return length;
  }

  /** Words for the error last written. */
  text(kind: IcmpErrorKind): string {
    return `ICMP ${kind.name} from ${wordsText(this.#source)} to ${sourceText(this.#packet)}`;
  }

  // The address that was asked, when it is the node's; else the node's overlay address.
  #sourceOf(packet: Packet, prepared: PreparedTables): Words | undefined {
    const { dst0, dst1, dst2, dst3 } = packet;
    if (prepared.localAddresses.has(dst0 | 0, dst1 | 0, dst2 | 0, dst3 | 0)) return [dst0, dst1, dst2, dst3];
    return packet.version === 4 ? prepared.gateway4 : prepared.gateway6;
  }
}
