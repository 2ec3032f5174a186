/**
 * VXLAN header (RFC 7348 5).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-+-+-+-+-+-+-+-+-----------------------------------------------+
 *    |R|R|R|R|I|R|R|R|            Reserved                           |
 *    +-+-+-+-+-+-+-+-+-----------------------------+-----------------+
 *    |                VXLAN Network Identifier     |   Reserved      |
 *    +---------------------------------------------+-----------------+
 */
import { readU24, writeU24 } from './big-endian.ts';

export const VXLAN_HEADER_LENGTH = 8;
/** IANA port (RFC 7348 8.1). */
export const VXLAN_PORT = 4789;
/** The port of Linux's default, flannel and Cilium. */
export const VXLAN_PORT_LINUX = 8472;
/** The I bit: the VNI is valid. */
export const VXLAN_FLAG_VNI = 0x08;

const FLAGS = 0;
const VNI = 4;

/** `vni` is 24 bits. */
export interface VxlanHeader {
  vni: number;
}

export function getVxlanFlags(frame: Uint8Array, offset: number): number {
  return frame[offset + FLAGS];
}
export function getVxlanVni(frame: Uint8Array, offset: number): number {
  return readU24(frame, offset + VNI);
}
export function setVxlanVni(frame: Uint8Array, offset: number, vni: number): void {
  writeU24(frame, offset + VNI, vni);
}

/** Whether [offset, end) starts with a VXLAN header whose VNI is valid; other bits are ignored (RFC 7348 5). */
export function isVxlan(frame: Uint8Array, offset: number, end: number): boolean {
  return (
    end <= frame.length &&
    end - offset >= VXLAN_HEADER_LENGTH &&
    (frame[offset + FLAGS] & VXLAN_FLAG_VNI) !== 0
  );
}

export function parseVxlan(frame: Uint8Array, offset: number, end: number): VxlanHeader | undefined {
  return isVxlan(frame, offset, end) ? { vni: getVxlanVni(frame, offset) } : undefined;
}

/** Writes the 8 bytes; reserved fields are zero. */
export function writeVxlan(frame: Uint8Array, offset: number, vni: number): void {
  frame[offset] = VXLAN_FLAG_VNI;
  writeU24(frame, offset + 1, 0);
  writeU24(frame, offset + VNI, vni);
  frame[offset + 7] = 0;
}

export function emitVxlan(header: VxlanHeader, frame: Uint8Array, offset: number): number {
  writeVxlan(frame, offset, header.vni);
  return VXLAN_HEADER_LENGTH;
}
