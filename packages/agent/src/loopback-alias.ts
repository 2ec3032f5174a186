/**
 * In a lab on one machine the nodes' addresses are loopback addresses of the real host: 127.0.0.11, .12, … An IP stack
 * keeps all of 127/8 to itself (RFC 1122, 3.2.1.3), so the node's own emulated stack could neither send to such an
 * address over its link nor take a packet from it. On that link 127.a.b.c therefore goes by the name 0.a.b.c, a range in
 * which no host can be (RFC 1122, 3.2.1.3 (a)). The stack sees the alias, the data plane the true address.
 */
import { readU16, writeU16 } from '@podwire/wire/big-endian';
import { sumBytes, updateChecksumSum } from '@podwire/wire/checksum';
import { DECODE_OK, Packet } from '@podwire/wire/packet';
import { PROTOCOL_TCP, PROTOCOL_UDP } from '@podwire/wire/protocol';

const LOOPBACK = 127;
const ALIAS = 0;

/** `127.0.0.11` is `0.0.0.11` to the node's stack; other addresses are themselves. */
export function toAlias(address: string): string {
  return address.startsWith('127.') ? `${ALIAS}${address.slice(3)}` : address;
}

/** The true address behind an alias. */
export function fromAlias(address: string): string {
  return /^0\.(?!0\.0\.0$)/.test(address) ? `${LOOPBACK}${address.slice(1)}` : address;
}

const packet = new Packet();
const quoted = new Packet();

/** Rewrites the addresses of a frame that comes to the stack, in place. */
export function aliasIncoming(frame: Uint8Array): void {
  rewrite(frame, LOOPBACK, ALIAS);
}

/** Rewrites the addresses of a frame that the stack sends, in place. */
export function aliasOutgoing(frame: Uint8Array): void {
  rewrite(frame, ALIAS, LOOPBACK);
}

function rewrite(frame: Uint8Array, from: number, to: number): void {
  if (packet.decode(frame) !== DECODE_OK || packet.l3 < 0 || packet.version !== 4) return;
  // An ICMP error's checksum covers the packet it quotes, with that packet's own checksums.
  if (packet.quoted >= 0) {
    if (quoted.decodeQuoted(frame, packet.quoted, packet.end) === DECODE_OK && quoted.l3 >= 0) {
      const before = sumBytes(frame, packet.quoted, packet.end);
      rewritePacket(frame, quoted, from, to);
      adjust(frame, packet.l4 + 2, before, sumBytes(frame, packet.quoted, packet.end));
    }
  }
  rewritePacket(frame, packet, from, to);
}

function rewritePacket(frame: Uint8Array, view: Packet, from: number, to: number): void {
  rewriteAddress(frame, view, view.l3 + 12, from, to);
  rewriteAddress(frame, view, view.l3 + 16, from, to);
}

function rewriteAddress(frame: Uint8Array, view: Packet, at: number, from: number, to: number): void {
  if (frame[at] !== from) return;
  // 0.0.0.0 is nobody, and no alias.
  if (from === ALIAS && frame[at + 1] === 0 && frame[at + 2] === 0 && frame[at + 3] === 0) return;
  const low = frame[at + 1]!;
  const before = (from << 8) | low;
  const after = (to << 8) | low;
  frame[at] = to;
  adjust(frame, view.l3 + 10, before, after);
  const checksum = transportChecksum(frame, view);
  if (checksum < 0) return;
  adjust(frame, checksum, before, after);
  // RFC 768: a computed 0 is sent as all ones.
  if (view.protocol === PROTOCOL_UDP && readU16(frame, checksum) === 0) writeU16(frame, checksum, 0xffff);
}

/** Offset of the checksum that covers the pseudo header, -1 when the packet has none here. */
function transportChecksum(frame: Uint8Array, view: Packet): number {
  if (view.l4 < 0) return -1;
  if (view.protocol === PROTOCOL_TCP) return view.l4 + 18 <= view.end ? view.l4 + 16 : -1;
  if (view.protocol !== PROTOCOL_UDP) return -1;
  // RFC 768: zero says that the sender made none.
  return readU16(frame, view.l4 + 6) === 0 ? -1 : view.l4 + 6;
}

/** Brings the checksum at an offset up to date after a word, or the sum of a range, has changed. */
function adjust(frame: Uint8Array, at: number, before: number, after: number): void {
  writeU16(frame, at, updateChecksumSum(readU16(frame, at), before, after));
}
