/**
 * The edge of the cluster. What pods send to the outside comes to the node's stack; only TCP to allowed addresses (by
 * default the API server's) goes on, carried by a real socket of this process. All else is refused: see host-gate.ts.
 */
import { connect as connectKernel } from 'node:net';
import { ipVersionOf } from '@podwire/wire/address';
import type { HostStack } from './host-stack.ts';
import { relay } from './relay.ts';

export interface EgressTarget {
  readonly address: string;
  readonly port: number;
}

export interface EgressOptions {
  readonly host: HostStack;
  readonly allowed: readonly EgressTarget[];
}

/** Relays connections of pods to the allowed addresses outside of the cluster. */
export class Egress {
  readonly #options: EgressOptions;
  readonly #closers: (() => void)[] = [];
  /** Connections being relayed. */
  open = 0;

  constructor(options: EgressOptions) {
    this.#options = options;
  }

  start(): void {
    for (const { address, port } of this.#options.allowed) {
      if (ipVersionOf(address) === 0) continue;
      const close = this.#options.host.listenOutside(address, port, (pod) => {
        const outside = connectKernel({ host: address, port, allowHalfOpen: true });
        this.open += 1;
        relay(pod, outside, () => {
          this.open -= 1;
        });
      });
      this.#closers.push(close);
    }
  }

  allows(address: string, port: number): boolean {
    return this.#options.allowed.some((target) => target.address === address && target.port === port);
  }

  close(): void {
    for (const close of this.#closers) close();
  }
}
