/** ICMP messages that a stack sends of itself: echo replies and errors about packets it received. */
import { internetChecksum } from '@podwire/wire/checksum';
import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from '@podwire/wire/protocol';
import type { Core } from './core.ts';
import { type IpAddress, isMulticast, isUnspecified, readAddress } from './ip-address.ts';
import { pseudoSum } from './ip-output.ts';

/** RFC 1812 4.3.2.3: as much of the packet as fits in 576 bytes; RFC 4443 3.1: in 1280 bytes. */
const QUOTE_LIMIT_V4 = 576 - 28;
const QUOTE_LIMIT_V6 = 1280 - 48;

/** Answers the echo request in `packet`, whose checksum is right (RFC 1122 3.2.2.6, RFC 4443 4.2). */
export function replyEcho(core: Core, packet: Packet): void {
  const version = packet.version === 4 ? 4 : 6;
  const frame = packet.frame;
  const at = packet.l3 + (version === 4 ? 12 : 8);
  const remote = readAddress(frame, at, version);
  const asked = readAddress(frame, at + (version === 4 ? 4 : 16), version);
  // RFC 4443 4.2: a request to a group is answered from an address of our own.
  const local = isMulticast(asked) ? core.routes.sourceFor(remote) : asked;
  if (local === undefined || isMulticast(remote) || isUnspecified(remote)) return;
  const message = frame.slice(packet.l4, packet.end);
  message[0] = version === 4 ? 0 : 129;
  queueMessage(core, local, remote, message);
}

export function replyPortUnreachable(core: Core, packet: Packet): void {
  replyError(core, packet, packet.version === 4 ? 3 : 1, packet.version === 4 ? 3 : 4, 0);
}

export function replyProtocolUnreachable(core: Core, packet: Packet): void {
  if (packet.version === 4) replyError(core, packet, 3, 2, 0);
  // RFC 4443 3.4: parameter problem, unrecognized next header, which stands before the upper header.
  else if (packet.protocol !== 59) replyError(core, packet, 4, 1, packet.headerLength === 40 ? 6 : 40);
}

// RFC 1122 3.2.2 and RFC 4443 2.4 (e) say when no error may be sent; errors about ICMP never are here.
function replyError(core: Core, packet: Packet, type: number, code: number, word: number): void {
  const version = packet.version === 4 ? 4 : 6;
  const frame = packet.frame;
  const at = packet.l3 + (version === 4 ? 12 : 8);
  const remote = readAddress(frame, at, version);
  const local = readAddress(frame, at + (version === 4 ? 4 : 16), version);
  if (isUnspecified(remote) || isMulticast(remote) || isMulticast(local)) return;
  if (core.routes.isBroadcast(remote) || core.routes.isBroadcast(local)) return;
  if (!core.icmp.mayError(core.nowMs())) {
    core.statistics.icmpRateLimited++;
    return;
  }
  const quoted = Math.min(packet.end - packet.l3, version === 4 ? QUOTE_LIMIT_V4 : QUOTE_LIMIT_V6);
  const message = new Uint8Array(8 + quoted);
  message[0] = type;
  message[1] = code;
  message[7] = word;
  message.set(frame.subarray(packet.l3, packet.l3 + quoted), 8);
  queueMessage(core, local, remote, message);
}

// Completes and queues an ICMP message: it is made while a frame is being received.
function queueMessage(core: Core, local: IpAddress, remote: IpAddress, message: Uint8Array): void {
  const version = remote.version;
  const protocol = version === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
  message[2] = 0;
  message[3] = 0;
  const seed = version === 4 ? 0 : pseudoSum(local, remote, protocol, message.length);
  const checksum = internetChecksum(message, 0, message.length, seed);
  message[2] = checksum >>> 8;
  message[3] = checksum;
  core.statistics.icmpOut++;
  const destination = core.routes.lookup(remote);
  core.queueMessage(destination, local, protocol, message);
}
