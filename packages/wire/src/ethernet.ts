/**
 * Ethernet II (IEEE 802.3, no VLAN tag, no FCS).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------------------------------+-------------------------------+
 *    |                      Destination address                      |
 *    |                               +-------------------------------+
 *    |                               |                               |
 *    +-------------------------------+        Source address         |
 *    |                                                               |
 *    +-------------------------------+-------------------------------+
 *    |           EtherType           |
 *    +-------------------------------+
 */
import { copyBytes, readU16, writeU16 } from './big-endian.ts';

export const ETHERNET_HEADER_LENGTH = 14;
export const MAC_LENGTH = 6;
const DESTINATION = 0;
const SOURCE = 6;
const ETHER_TYPE = 12;

/** ff:ff:ff:ff:ff:ff */
export const BROADCAST_MAC: Readonly<Uint8Array> = new Uint8Array(6).fill(0xff);

/** MACs are 6-byte arrays; parsed ones are views into the frame. */
export interface EthernetHeader {
  dstMac: Uint8Array;
  srcMac: Uint8Array;
  etherType: number;
}

export function getEtherType(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + ETHER_TYPE);
}
export function setEtherType(frame: Uint8Array, offset: number, etherType: number): void {
  writeU16(frame, offset + ETHER_TYPE, etherType);
}

/** View of the destination MAC (allocates the view). */
export function getDstMac(frame: Uint8Array, offset: number): Uint8Array {
  return frame.subarray(offset + DESTINATION, offset + DESTINATION + MAC_LENGTH);
}
export function setDstMac(frame: Uint8Array, offset: number, mac: Readonly<Uint8Array>): void {
  copyBytes(mac as Uint8Array, 0, frame, offset + DESTINATION, MAC_LENGTH);
}

/** View of the source MAC (allocates the view). */
export function getSrcMac(frame: Uint8Array, offset: number): Uint8Array {
  return frame.subarray(offset + SOURCE, offset + SOURCE + MAC_LENGTH);
}
export function setSrcMac(frame: Uint8Array, offset: number, mac: Readonly<Uint8Array>): void {
  copyBytes(mac as Uint8Array, 0, frame, offset + SOURCE, MAC_LENGTH);
}

/** Whether the frame goes to `mac`. */
export function isDstMac(frame: Uint8Array, offset: number, mac: Readonly<Uint8Array>): boolean {
  for (let i = 0; i < MAC_LENGTH; i++) if (frame[offset + i] !== mac[i]) return false;
  return true;
}

/** Whether the destination has the group bit: broadcast or multicast (IEEE 802 8.2). */
export function isGroupDstMac(frame: Uint8Array, offset: number): boolean {
  return (frame[offset + DESTINATION] & 1) === 1;
}

/** Turns the frame round: source becomes destination. */
export function swapMacs(frame: Uint8Array, offset: number): void {
  for (let i = 0; i < MAC_LENGTH; i++) {
    const byte = frame[offset + i];
    frame[offset + i] = frame[offset + SOURCE + i];
    frame[offset + SOURCE + i] = byte;
  }
}

/** Group MAC of an IPv6 multicast address: 33:33 and its last four bytes (RFC 2464 7). */
export function multicastMac6(address: Uint8Array, offset = 0): Uint8Array {
  const mac = new Uint8Array([0x33, 0x33, 0, 0, 0, 0]);
  copyBytes(address, offset + 12, mac, 2, 4);
  return mac;
}

/** Group MAC of an IPv4 multicast address: 01:00:5e and its low 23 bits (RFC 1112 6.4). */
export function multicastMac4(address: number): Uint8Array {
  return new Uint8Array([0x01, 0x00, 0x5e, (address >>> 16) & 0x7f, (address >>> 8) & 0xff, address & 0xff]);
}

export function parseEthernet(frame: Uint8Array, offset: number, end: number): EthernetHeader | undefined {
  if (end > frame.length || end - offset < ETHERNET_HEADER_LENGTH) return undefined;
  return {
    dstMac: getDstMac(frame, offset),
    srcMac: getSrcMac(frame, offset),
    etherType: getEtherType(frame, offset),
  };
}

export function emitEthernet(header: EthernetHeader, frame: Uint8Array, offset: number): number {
  setDstMac(frame, offset, header.dstMac);
  setSrcMac(frame, offset, header.srcMac);
  setEtherType(frame, offset, header.etherType);
  return ETHERNET_HEADER_LENGTH;
}
