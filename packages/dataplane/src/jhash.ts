/**
 * Bob Jenkins' lookup3 hash as Linux and Cilium use it (include/linux/jhash.h, bpf/lib/jhash.h) to spread packets over
 * a Maglev table. Results are unsigned 32-bit; nothing allocates.
 */

import type { Packet } from '@podwire/wire/packet';

const INITIAL = 0xdeadbeef;

let a = 0;
let b = 0;
let c = 0;

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function mix(): void {
  a = ((a - c) ^ rotate(c, 4)) | 0;
  c = (c + b) | 0;
  b = ((b - a) ^ rotate(a, 6)) | 0;
  a = (a + c) | 0;
  c = ((c - b) ^ rotate(b, 8)) | 0;
  b = (b + a) | 0;
  a = ((a - c) ^ rotate(c, 16)) | 0;
  c = (c + b) | 0;
  b = ((b - a) ^ rotate(a, 19)) | 0;
  a = (a + c) | 0;
  c = ((c - b) ^ rotate(b, 4)) | 0;
  b = (b + a) | 0;
}

function final(): void {
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
}

/** `jhash_3words`: three words and a seed. */
export function jhash3Words(first: number, second: number, third: number, seed: number): number {
  const start = (INITIAL + 12 + seed) | 0;
  a = (first + start) | 0;
  b = (second + start) | 0;
  c = (third + start) | 0;
  final();
  return c >>> 0;
}

function swap32(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

function swap16(half: number): number {
  return ((half & 0xff) << 8) | (half >>> 8);
}

/**
 * The hash of a packet to a service: source, both ports and protocol; the destination is left out so that one backend
 * is chosen behind several frontends (C: bpf/lib/hash.h). Words are taken as a little-endian machine reads them from
 * the packet.
 *
 * @param sourcePort 0 with session affinity
 */
export function hashOfClient(packet: Packet, sourcePort: number, seedV4: number, seedV6: number): number {
  const ports = (swap16(packet.dstPort) << 16) | swap16(sourcePort);
  if (packet.version === 4) return jhash3Words(swap32(packet.src3), ports, packet.protocol, seedV4);
  a = swap32(packet.src0);
  b = swap32(packet.src1);
  c = swap32(packet.src2);
  mix();
  a = (a + swap32(packet.src3)) | 0;
  b = (b + ports) | 0;
  c = (c + packet.protocol) | 0;
  mix();
  a = (a + seedV6) | 0;
  final();
  return c >>> 0;
}
