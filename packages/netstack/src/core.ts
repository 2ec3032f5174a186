/**
 * What the parts of one stack share. `NetStack` builds it; the functions of the other modules take it first.
 */
import type { Packet } from '@podwire/wire/packet';
import type { IcmpTable } from './icmp-table.ts';
import type { IpAddress } from './ip-address.ts';
import type { HashKey } from './keyed-hash.ts';
import type { NeighborTable } from './link.ts';
import type { Reassembly } from './reassembly.ts';
import type { Destination, RouteTable } from './routes.ts';

import type { Statistics } from './statistics.ts';
import type { TcpEndpointTable } from './tcp/table.ts';
import type { TimerQueue } from './timers.ts';
import type { UdpTable } from './udp-table.ts';

/** Translation of destinations where sockets are connected, as an eBPF kube-proxy replacement does it. */
export interface SocketLb {
  /** Called at connect and at each sendto; undefined leaves the destination alone. */
  translate(
    protocol: 'tcp' | 'udp',
    address: string,
    port: number,
    cookie: number,
  ): { address: string; port: number } | { error: 'EHOSTUNREACH' | 'EPERM' } | undefined;
  /** Called at recvmsg with the sender of a datagram; the socket's own memory of what it sent is asked first. */
  reverse?(
    protocol: 'tcp' | 'udp',
    address: string,
    port: number,
    cookie: number,
  ): { address: string; port: number } | undefined;
}

export interface TcpSettings {
  /** Receive buffer of a connection in bytes: the largest window it offers. */
  readonly receiveBufferBytes: number;
  /** Bytes a connection takes from its writer before it pushes back. */
  readonly sendBufferBytes: number;
  readonly timeWaitMs: number;
  readonly finWait2Ms: number;
  readonly delayedAckMs: number;
  readonly minimumRtoMs: number;
  readonly maximumRtoMs: number;
  readonly initialRtoMs: number;
  /** Retransmissions of data before ETIMEDOUT (Linux tcp_retries2). */
  readonly maxRetransmits: number;
  /** Retransmissions of SYN before ETIMEDOUT (Linux tcp_syn_retries). */
  readonly maxSynRetransmits: number;
}

/** Something with events for its user, delivered outside of packet input. */
export interface EventSource {
  deliver(): void;
}

export interface Core {
  readonly nowMs: () => number;
  readonly random32: () => number;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly transmit: (frame: Uint8Array) => void;
  readonly acceptAnyAddress: boolean;
  readonly socketLb: SocketLb | undefined;
  readonly tcpSettings: TcpSettings;
  /** The one buffer in which frames are built; the IP header always stands at 14. */
  readonly out: Uint8Array;
  /** Views of the first bytes of `out`, by length modulo their number. */
  readonly outViews: (Uint8Array | undefined)[];
  /** Decoded view of the frame being received. */
  readonly packet: Packet;
  readonly key: HashKey;
  readonly statistics: Statistics;
  readonly timers: TimerQueue;
  readonly routes: RouteTable;
  readonly neighbors: NeighborTable;
  readonly reassembly: Reassembly;
  readonly tcp: TcpEndpointTable;
  readonly udp: UdpTable;
  readonly icmp: IcmpTable;
  closed: boolean;
  /** Cookie of the next socket. */
  nextCookie: number;
  /** IPv4 identification of the next packet. */
  nextIdentification: number;
  /** Puts the first `length` bytes of `out` on the stack's own input. */
  loopBack(length: number): void;
  /** Runs `source.deliver()` in the next flush. */
  queueEvents(source: EventSource): void;
  /** Puts a complete frame on the link in the next flush: for answers made while a frame is being received. */
  queueFrame(frame: Uint8Array): void;
  /** Sends an upper-layer message with its checksum in the next flush, as `sendMessage` does. */
  queueMessage(destination: Destination, source: IpAddress, protocol: number, message: Uint8Array): void;
  /** Asks for a flush soon, outside of the caller. */
  schedule(): void;
}
