/**
 * Pods on the network: addresses from the node's range, a link to the datapath, and an entry in the tables.
 */
import type { LocalEndpoint } from '@podwire/dataplane/tables';
import { parseIpv4, parseIpv6 } from '@podwire/wire/address';
import type { Datapath, PodLink } from '../datapath.ts';
import type { Ipam } from './ipam.ts';

export interface Attachment {
  readonly id: number;
  readonly addresses: readonly string[];
  readonly mac: string;
  /** Puts the pod's end on the link: from now on it gets its frames. */
  connect(link: PodLink): void;
  /** A frame from the pod; it is copied. */
  send(frame: Uint8Array): void;
  /** Takes the pod off the network; its addresses rest and then are free. */
  detach(): void;
}

export interface PodLinksOptions {
  readonly ipam: Ipam;
  readonly datapath: Datapath;
  /** The set of local endpoints has changed. */
  readonly onChange: () => void;
}

export class PodLinks {
  readonly #options: PodLinksOptions;
  readonly #endpoints = new Map<number, LocalEndpoint>();
  #lastId = 0;

  constructor(options: PodLinksOptions) {
    this.#options = options;
  }

  get endpoints(): LocalEndpoint[] {
    return [...this.#endpoints.values()];
  }

  /** `namespace/name` of the pod at a link. */
  nameOf(endpointId: number): string | undefined {
    const endpoint = this.#endpoints.get(endpointId);
    return endpoint === undefined ? undefined : `${endpoint.namespace}/${endpoint.name}`;
  }

  /** @throws RangeExhausted */
  attach(pod: { uid: string; namespace: string; name: string }): Attachment {
    const { ipam, datapath, onChange } = this.#options;
    const addresses = ipam.allocate(pod.uid);
    // A number is not used again while the agent runs, so a late frame finds nobody.
    const id = ++this.#lastId;
    const mac = podMac(addresses);
    this.#endpoints.set(id, { id, namespace: pod.namespace, name: pod.name, addresses, mac });
    onChange();
    return {
      id,
      addresses,
      mac,
      connect: (link) => datapath.attach(id, link),
      send: (frame) => datapath.fromPod(id, frame),
      detach: () => {
        if (!this.#endpoints.delete(id)) return;
        datapath.detach(id);
        ipam.release(pod.uid);
        onChange();
      },
    };
  }
}

/**
 * The MAC address of a pod's eth0: 0a:58 and the IPv4 address, as the CNI bridge plugin makes it. An IPv6-only pod takes
 * the last four bytes of its address.
 */
export function podMac(addresses: readonly string[]): string {
  for (const address of addresses) {
    const v4 = parseIpv4(address);
    if (v4 !== undefined) return macFrom(v4);
  }
  const v6 = parseIpv6(addresses[0] ?? '::') ?? new Uint8Array(16);
  return macFrom(((v6[12]! << 24) | (v6[13]! << 16) | (v6[14]! << 8) | v6[15]!) >>> 0);
}

function macFrom(word: number): string {
  const bytes = [0x0a, 0x58, word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
