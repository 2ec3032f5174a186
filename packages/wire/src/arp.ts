/**
 * ARP for IPv4 over Ethernet (RFC 826).
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------------------------------+-------------------------------+
 *    |       Hardware type (1)       |    Protocol type (0x0800)     |
 *    +---------------+---------------+-------------------------------+
 *    | HW length (6) | Pr length (4) |           Operation           |
 *    +---------------+---------------+-------------------------------+
 *    |                        Sender MAC                             |
 *    |                               +-------------------------------+
 *    |                               |          Sender IP            |
 *    +-------------------------------+-------------------------------+
 *    |           Sender IP           |          Target MAC           |
 *    +-------------------------------+                               |
 *    |                                                               |
 *    +---------------------------------------------------------------+
 *    |                          Target IP                            |
 *    +---------------------------------------------------------------+
 */
import { copyBytes, readU16, readU32, writeU16, writeU32 } from './big-endian.ts';
import { ETHERTYPE_IPV4 } from './protocol.ts';

export const ARP_LENGTH = 28;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

const HARDWARE_TYPE = 0;
const PROTOCOL_TYPE = 2;
const HARDWARE_LENGTH = 4;
const PROTOCOL_LENGTH = 5;
const OPERATION = 6;
const SENDER_MAC = 8;
const SENDER_IP = 14;
const TARGET_MAC = 18;
const TARGET_IP = 24;

/** IPs are uint32; MACs 6 bytes, views into the frame when parsed. */
export interface ArpHeader {
  operation: number;
  senderMac: Uint8Array;
  senderIp: number;
  targetMac: Uint8Array;
  targetIp: number;
}

/** Whether [offset, end) is ARP of IPv4 over Ethernet; the getters below are valid only then. */
export function isArp(frame: Uint8Array, offset: number, end: number): boolean {
  return (
    end <= frame.length &&
    end - offset >= ARP_LENGTH &&
    readU16(frame, offset + HARDWARE_TYPE) === 1 &&
    readU16(frame, offset + PROTOCOL_TYPE) === ETHERTYPE_IPV4 &&
    frame[offset + HARDWARE_LENGTH] === 6 &&
    frame[offset + PROTOCOL_LENGTH] === 4
  );
}

export function getArpOperation(frame: Uint8Array, offset: number): number {
  return readU16(frame, offset + OPERATION);
}
export function setArpOperation(frame: Uint8Array, offset: number, operation: number): void {
  writeU16(frame, offset + OPERATION, operation);
}
export function getArpSenderIp(frame: Uint8Array, offset: number): number {
  return readU32(frame, offset + SENDER_IP);
}
export function setArpSenderIp(frame: Uint8Array, offset: number, address: number): void {
  writeU32(frame, offset + SENDER_IP, address);
}
export function getArpTargetIp(frame: Uint8Array, offset: number): number {
  return readU32(frame, offset + TARGET_IP);
}
export function setArpTargetIp(frame: Uint8Array, offset: number, address: number): void {
  writeU32(frame, offset + TARGET_IP, address);
}
export function getArpSenderMac(frame: Uint8Array, offset: number): Uint8Array {
  return frame.subarray(offset + SENDER_MAC, offset + SENDER_MAC + 6);
}
export function setArpSenderMac(frame: Uint8Array, offset: number, mac: Readonly<Uint8Array>): void {
  copyBytes(mac as Uint8Array, 0, frame, offset + SENDER_MAC, 6);
}
export function getArpTargetMac(frame: Uint8Array, offset: number): Uint8Array {
  return frame.subarray(offset + TARGET_MAC, offset + TARGET_MAC + 6);
}
export function setArpTargetMac(frame: Uint8Array, offset: number, mac: Readonly<Uint8Array>): void {
  copyBytes(mac as Uint8Array, 0, frame, offset + TARGET_MAC, 6);
}

export function parseArp(frame: Uint8Array, offset: number, end: number): ArpHeader | undefined {
  if (!isArp(frame, offset, end)) return undefined;
  return {
    operation: getArpOperation(frame, offset),
    senderMac: getArpSenderMac(frame, offset),
    senderIp: getArpSenderIp(frame, offset),
    targetMac: getArpTargetMac(frame, offset),
    targetIp: getArpTargetIp(frame, offset),
  };
}

export function emitArp(header: ArpHeader, frame: Uint8Array, offset: number): number {
  writeU16(frame, offset + HARDWARE_TYPE, 1);
  writeU16(frame, offset + PROTOCOL_TYPE, ETHERTYPE_IPV4);
  frame[offset + HARDWARE_LENGTH] = 6;
  frame[offset + PROTOCOL_LENGTH] = 4;
  setArpOperation(frame, offset, header.operation);
  setArpSenderMac(frame, offset, header.senderMac);
  setArpSenderIp(frame, offset, header.senderIp);
  setArpTargetMac(frame, offset, header.targetMac);
  setArpTargetIp(frame, offset, header.targetIp);
  return ARP_LENGTH;
}
