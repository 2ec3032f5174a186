/**
 * Service translation where sockets are connected (C: bpf_sock.c): a pod's `connect` or `sendto` to a frontend goes to
 * a backend from its first packet on, and nothing has to translate packets. Made for one pod; given to its stack.
 */

import { parseAddressWords } from '@podwire/wire/address';
import { PROTOCOL_TCP, PROTOCOL_UDP } from '@podwire/wire/protocol';
import type { Pipeline } from './pipeline.ts';
import { EbpfTranslator } from './service/ebpf.ts';
import { BACKEND_ACTIVE, type ServiceValue } from './service/ebpf-maps.ts';

export type SocketProtocol = 'tcp' | 'udp';

export type SocketTranslation =
  | { readonly address: string; readonly port: number }
  | { readonly error: 'EHOSTUNREACH' | 'EPERM' };

export interface SocketLb {
  /** At connect and sendto: where to go instead, or undefined to go where asked. */
  translate(
    protocol: SocketProtocol,
    address: string,
    port: number,
    cookie: number,
  ): SocketTranslation | undefined;
  /** At recvmsg and getpeername: what the socket asked for, when its peer is a backend it was sent to. */
  reverse(
    protocol: SocketProtocol,
    address: string,
    port: number,
    cookie: number,
  ): { address: string; port: number } | undefined;
}

/** cilium_lb4_reverse_sk is a bounded LRU; so is this. */
const REVERSE_CAPACITY = 4096;

export interface SocketLbOptions {
  readonly pipeline: Pipeline;
  readonly nowMs: () => number;
  readonly random32: () => number;
  /** The pod's network namespace: the client of session affinity. Its endpoint id will do. */
  readonly netnsCookie: number;
}

/** Translates nothing while the pipeline runs another mode than ebpf. */
export function createSocketLb(options: SocketLbOptions): SocketLb {
  const { pipeline, nowMs, random32 } = options;
  const reverse = new Map<string, { address: string; port: number }>();

  function choose(services: EbpfTranslator, service: ServiceValue, protocol: SocketProtocol, cookie: number) {
    const { maps, affinity } = services;
    const { affinitySeconds, reverseNat, count } = service;
    if (affinitySeconds > 0) {
      affinity.ofNetns(reverseNat, options.netnsCookie);
      const known = maps.backend(affinity.find(affinitySeconds, nowMs()));
      if (known !== undefined && known.state === BACKEND_ACTIVE) return known;
    }
    // Maglev is not used here: a socket is connected once.
    const slot = (protocol === 'tcp' ? random32() % count : cookie % count) + 1;
    return maps.backend(maps.slot(service, slot));
  }

  return {
    translate(protocol, address, port, cookie) {
      const services = pipeline.services;
      if (!(services instanceof EbpfTranslator)) return undefined;
      const words = parseAddressWords(address);
      if (words === undefined) return undefined;
      const number = protocol === 'tcp' ? PROTOCOL_TCP : PROTOCOL_UDP;
      const service = services.maps.lookup(
        words[0] | 0,
        words[1] | 0,
        words[2] | 0,
        words[3] | 0,
        port,
        number,
        true,
      );
      if (service === undefined) return undefined;
      const backend = service.count === 0 ? undefined : choose(services, service, protocol, cookie);
      if (backend === undefined) return { error: 'EHOSTUNREACH' };
      // The node's loopback, where the API server of a lab on one machine lives, is not the pod's: what the pod sends
      // to the frontend is translated on the node, packet by packet.
      if (isLoopback(backend.endpoint.address)) return undefined;
      if (service.affinitySeconds > 0) {
        services.affinity.ofNetns(service.reverseNat, options.netnsCookie);
        services.affinity.update(backend.id, nowMs());
      }
      const to = { address: backend.endpoint.address, port: backend.port };
      const key = `${cookie} ${protocol} ${to.address} ${to.port}`;
      reverse.delete(key);
      if (reverse.size >= REVERSE_CAPACITY) reverse.delete(reverse.keys().next().value!);
      reverse.set(key, { address, port });
      return to;
    },
    reverse(protocol, address, port, cookie) {
      return reverse.get(`${cookie} ${protocol} ${address} ${port}`);
    },
  };
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}
