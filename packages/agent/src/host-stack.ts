/**
 * The node's own network stack: it has the node's addresses and the gateway of its pod CIDR, probes pods, and stands for
 * clients and servers outside of the cluster. Its link's other end is the data plane, also for the node's own addresses:
 * a connection to nodeIP:nodePort has to pass the data plane to be translated.
 */
import { NetStack } from '@podwire/netstack/stack';
import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import type { UdpSocket } from '@podwire/netstack/udp-socket';
import type { Datapath } from './datapath.ts';
import { HostGate } from './host-gate.ts';

export interface HostStackOptions {
  readonly nowMs: () => number;
  readonly random32: () => number;
  readonly mac: string;
  readonly mtu: number;
  readonly nodeAddresses: readonly string[];
  readonly gateways: readonly string[];
  readonly allowsTcp: (address: string, port: number) => boolean;
  readonly hasUdp: (address: string, port: number) => boolean;
  readonly datapath: () => Datapath;
}

/** What the data plane answers to on every link. */
const GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee';

/**
 * What of loopback the stacks of a node and of its pods keep to themselves. In a lab on one machine the nodes' addresses
 * are loopback addresses of the real host (127.0.0.11, .12, …): to the stacks these are addresses like any other, behind
 * their link, and only 127.0.0.1 is their own.
 */
export function stackLoopback(nodeAddresses: readonly string[]): 'host' | true {
  return nodeAddresses.some((address) => address.startsWith('127.')) ? 'host' : true;
}

export class HostStack {
  readonly stack: NetStack;
  readonly gate: HostGate;
  readonly mac: string;

  constructor(options: HostStackOptions) {
    const { gateways, nodeAddresses } = options;
    this.mac = options.mac;
    this.stack = new NetStack({
      nowMs: options.nowMs,
      random32: options.random32,
      interface: {
        name: 'podwire0',
        mac: options.mac,
        mtu: options.mtu,
        neighborMac: GATEWAY_MAC,
        transmit: (frame) => options.datapath().fromHost(frame),
      },
      // The node's own addresses are accepted as any other; what is sent to them takes the link.
      addresses: gateways.map((address) => ({ address, prefixLength: address.includes(':') ? 128 : 32 })),
      acceptAnyAddress: true,
      loopback: stackLoopback(nodeAddresses),
    });
    this.gate = new HostGate({
      own: [...nodeAddresses, ...gateways],
      allowsTcp: options.allowsTcp,
      hasUdp: options.hasUdp,
      accept: (frame) => this.stack.receive(frame),
      reply: (frame) => options.datapath().fromHost(frame),
    });
  }

  /** A frame that the data plane hands to the node. */
  receive(frame: Uint8Array): void {
    this.gate.receive(frame);
  }

  /** Connects to any address, from any address. */
  connectTcp(o: {
    host: string;
    port: number;
    localAddress?: string;
    localPort?: number;
    connectTimeoutMs?: number;
  }): TcpSocket {
    return this.stack.connectTcp(o);
  }

  /** A UDP socket at any address that talks to one peer. */
  connectUdp(local: { host: string; port: number }, peer: { host: string; port: number }): UdpSocket {
    const socket = this.stack.bindUdp(local);
    socket.connect(peer.port, peer.host);
    return socket;
  }

  /** Listens for connections to an address outside of the cluster. */
  listenOutside(address: string, port: number, onConnection: (socket: TcpSocket) => void): () => void {
    const listener = this.stack.listenTcp({ host: address, port }, onConnection);
    return () => listener.close();
  }

  close(): void {
    this.stack.close();
  }
}
