/**
 * The edge of the cluster. What pods send to the outside comes to the node's stack; only TCP to allowed addresses (those
 * of the API server) goes on, carried by a real socket of this process. All else is refused: see host-gate.ts.
 */
import { connect } from 'node:net';
import type { Tables } from '@podwire/dataplane/tables';
import type { HostStack } from './host-stack.ts';
import { relay } from './relay.ts';

export interface EgressTarget {
  readonly address: string;
  readonly port: number;
}

/** Where the API server is, as Service default/kubernetes says. */
export function apiServerTargets(tables: Tables): EgressTarget[] {
  return tables.services
    .filter(({ namespace, service }) => namespace === 'default' && service === 'kubernetes')
    .flatMap(({ endpoints }) => endpoints.map(({ address, port }) => ({ address, port })));
}

/** Relays connections of pods to the allowed addresses outside of the cluster. */
export class Egress {
  /** Connections being relayed. */
  connections = 0;
  readonly #host: () => HostStack;
  readonly #listeners = new Map<string, () => void>();

  constructor(host: () => HostStack) {
    this.#host = host;
  }

  allows(address: string, port: number): boolean {
    return this.#listeners.has(`${address} ${port}`);
  }

  /** Makes these the addresses that pods may reach. */
  update(targets: readonly EgressTarget[]): void {
    const wanted = new Set<string>();
    for (const target of targets) {
      const key = `${target.address} ${target.port}`;
      wanted.add(key);
      if (!this.#listeners.has(key)) this.#listeners.set(key, this.#listen(target));
    }
    for (const [key, close] of this.#listeners) {
      if (wanted.has(key)) continue;
      this.#listeners.delete(key);
      close();
    }
  }

  #listen({ address, port }: EgressTarget): () => void {
    return this.#host().listenOutside(address, port, (pod) => {
      const outside = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
      this.connections += 1;
      relay(pod, outside, () => {
        this.connections -= 1;
      });
    });
  }
}
