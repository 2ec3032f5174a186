/**
 * What the node's stack takes of the packets that the data plane hands to the host. A pod may send anywhere; addresses
 * that are neither the node's own nor allowed as egress are refused here with an ICMP error, so that the stack, which
 * accepts any address for the sake of forwarding, answers for nobody else.
 */
import { type AddressWords, formatAddressWords, parseAddressWords } from '@podwire/wire/address';
import {
  emitIcmpError,
  ICMP_ERROR_FRAME_MAXIMUM_LENGTH,
  mayTriggerIcmpError,
} from '@podwire/wire/icmp-error';
import { DECODE_OK, Packet } from '@podwire/wire/packet';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '@podwire/wire/protocol';

/** RFC 1812 5.2.7.1: destination unreachable, communication administratively prohibited. */
const PROHIBITED_V4 = { type: 3, code: 13 };
/** RFC 4443 3.1. */
const PROHIBITED_V6 = { type: 1, code: 1 };

const ECHO_REQUEST_V4 = 8;
const ECHO_REQUEST_V6 = 128;
const SYN = 0x02;
const ACK = 0x10;

export interface HostGateOptions {
  /** The node's own addresses: underlay and gateways. */
  readonly own: readonly string[];
  /** Whether a connection to the outside is carried on. */
  readonly allowsTcp: (address: string, port: number) => boolean;
  /** Whether a UDP socket of the host waits for answers at an address that is not the node's own. */
  readonly hasUdp: (address: string, port: number) => boolean;
  /** A frame for the node's stack. */
  readonly accept: (frame: Uint8Array) => void;
  /** Sends an answer into the data plane; it is copied. */
  readonly reply: (frame: Uint8Array) => void;
}

export class HostGate {
  /** Packets refused because they wanted to leave the cluster. */
  prohibited = 0;
  readonly #options: HostGateOptions;
  readonly #own: ReadonlySet<string>;
  readonly #source: { v4: AddressWords | undefined; v6: AddressWords | undefined };
  readonly #packet = new Packet();
  readonly #out = new Uint8Array(ICMP_ERROR_FRAME_MAXIMUM_LENGTH);

  constructor(options: HostGateOptions) {
    this.#options = options;
    this.#own = new Set(options.own);
    const words = (isV6: boolean) => {
      // The gateway's address comes last: errors come from the pods' first hop.
      const text = options.own.findLast((address) => address.includes(':') === isV6);
      return text === undefined ? undefined : parseAddressWords(text);
    };
    this.#source = { v4: words(false), v6: words(true) };
  }

  receive(frame: Uint8Array): void {
    const packet = this.#packet;
    if (packet.decode(frame) !== DECODE_OK) return;
    if (packet.l3 < 0 || this.#isWelcome(packet)) this.#options.accept(frame);
    else this.#prohibit(packet);
  }

  #isWelcome(packet: Packet): boolean {
    const address = formatAddressWords(packet.dst0, packet.dst1, packet.dst2, packet.dst3);
    if (this.#own.has(address)) return true;
    switch (packet.protocol) {
      case PROTOCOL_TCP: {
        // What is no opening belongs to a connection the stack has, or it answers with a reset.
        const isOpening = (packet.tcpFlags & (SYN | ACK)) === SYN;
        return !isOpening || this.#options.allowsTcp(address, packet.dstPort);
      }
      case PROTOCOL_UDP:
        return packet.l4 >= 0 && this.#options.hasUdp(address, packet.dstPort);
      case PROTOCOL_ICMP:
        return packet.icmpType !== ECHO_REQUEST_V4;
      case PROTOCOL_ICMPV6:
        return packet.icmpType !== ECHO_REQUEST_V6;
      default:
        return false;
    }
  }

  #prohibit(packet: Packet): void {
    this.prohibited += 1;
    const isV4 = packet.version === 4;
    const src = isV4 ? this.#source.v4 : this.#source.v6;
    if (src === undefined || !mayTriggerIcmpError(packet)) return;
    const kind = isV4 ? PROHIBITED_V4 : PROHIBITED_V6;
    const length = emitIcmpError(packet, { ...kind, rest: 0, src }, this.#out);
    this.#options.reply(this.#out.subarray(0, length));
  }
}
