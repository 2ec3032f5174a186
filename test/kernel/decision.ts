/** What the data plane decides for the first packet of a connection, in the words in which peers report. */

import { Pipeline } from '@podwire/dataplane/pipeline';
import type { Tables } from '@podwire/dataplane/tables';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { formatAddressWords } from '@podwire/wire/address';
import { buildTcp, buildUdp, buildVxlanPayload } from '@podwire/wire/build';
import { Packet } from '@podwire/wire/packet';
import type { Place } from './network.ts';
import type { Protocol, Result } from './peer.ts';

export interface Case {
  readonly service: string;
  /** `nodePort`, `clusterIP`, … */
  readonly frontend: string;
  readonly place: Place;
  readonly from: string;
  readonly protocol: Protocol;
  readonly to: string;
  readonly port: number;
  readonly affinitySeconds: number;
}

/** `answered by ADDRESS PORT, seen as ADDRESS`, or the verdict alone. */
export function resultText({ verdict, backend, seen, error }: Omit<Result, 'id'>): string {
  if (verdict !== 'answered') return error === undefined ? verdict : `${verdict} (${error})`;
  return `answered by ${backend}, seen as ${seen}`;
}

const GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee';
const SYN = 2;
const VXLAN_HEADER = 8;

export class Decider {
  readonly tables: Tables;
  readonly pipeline: Pipeline;
  readonly #packet = new Packet();
  #nowMs = 1_000_000_000;
  #port = 0;

  constructor(tables: Tables, seed: number) {
    this.tables = tables;
    this.pipeline = new Pipeline({ nowMs: () => this.#nowMs, random32: seededRandom32(seed), tables });
  }

  /** Everything that can become of such a connection, over many tries; affinity is let run out between them. */
  possible(what: Case): Set<string> {
    const results = new Set<string>();
    for (let i = 0; i < 80; i++) {
      results.add(this.decide(what));
      this.#nowMs += (what.affinitySeconds + 1) * 1000;
    }
    return results;
  }

  /** One connection, from another source port than any before it. */
  decide(what: Case): string {
    this.#port = (this.#port + 1) % 40_000;
    const { node, endpoints, vteps } = this.tables;
    const { place } = what;
    const own = endpoints.find(({ name }) => name === place.name);
    const vtep = vteps.find((candidate) => candidate.node === `node-${place.name.split('-')[1]}`);
    const options = {
      src: what.from,
      srcPort: 20_000 + this.#port,
      dst: what.to,
      dstPort: what.port,
      srcMac: own?.mac ?? (place.kind === 'remote' ? vtep!.mac : node.vtepMac),
      dstMac: place.kind === 'remote' ? node.vtepMac : GATEWAY_MAC,
    };
    const frame =
      what.protocol === 'tcp'
        ? buildTcp({ ...options, flags: SYN })
        : buildUdp({ ...options, payload: 'who are you' });
    const { pipeline } = this;
    const tunnelled = place.kind === 'remote' ? buildVxlanPayload(node.vni, frame) : frame;
    const outcome = own
      ? pipeline.fromPod(own.id, frame, frame.length)
      : place.kind === 'remote'
        ? pipeline.fromUnderlay(tunnelled, tunnelled.length, vtep!.address)
        : pipeline.fromHost(frame, frame.length);
    switch (outcome.verdict) {
      case 'reply':
        return 'refused';
      case 'drop':
        return 'silent';
      case 'host': {
        this.#packet.decode(outcome.frame);
        // Nobody listens on the node; what is not for the node is lost outside.
        const isLocal = [...node.addresses, ...Object.values(node.gatewayAddress)].includes(
          this.#destination(),
        );
        return isLocal ? 'refused' : 'silent';
      }
      default: {
        this.#packet.decode(outcome.frame.subarray(outcome.verdict === 'encap' ? VXLAN_HEADER : 0));
        const { src0, src1, src2, src3, dstPort } = this.#packet;
        const backend = `${this.#destination()} ${dstPort}`;
        return resultText({ verdict: 'answered', backend, seen: formatAddressWords(src0, src1, src2, src3) });
      }
    }
  }

  #destination(): string {
    const { dst0, dst1, dst2, dst3 } = this.#packet;
    return formatAddressWords(dst0, dst1, dst2, dst3);
  }
}
