/** The packet's way through a node. */

import { Outcome } from './outcome.ts';
import type { Tables } from './tables.ts';
import type { PacketTrace } from './trace.ts';

export interface PipelineOptions {
  readonly nowMs: () => number;
  /** Uniform unsigned 32-bit integers. */
  readonly random32: () => number;
  readonly tables: Tables;
}

export class Pipeline {
  #tables: Tables;
  readonly #outcome = new Outcome();

  constructor(options: PipelineOptions) {
    this.#tables = options.tables;
  }

  get tables(): Tables {
    return this.#tables;
  }

  set tables(next: Tables) {
    this.#tables = next;
  }

  /** A frame from the pod's end of its link. */
  fromPod(_endpointId: number, _frame: Uint8Array, _length: number, _trace?: PacketTrace): Outcome {
    return this.#outcome;
  }

  /** A UDP payload that arrived on the tunnel port from `outerSource` (address text). */
  fromUnderlay(_datagram: Uint8Array, _length: number, _outerSource: string, _trace?: PacketTrace): Outcome {
    return this.#outcome;
  }

  /** A frame from the node's own stack. */
  fromHost(_frame: Uint8Array, _length: number, _trace?: PacketTrace): Outcome {
    return this.#outcome;
  }

  /** The next piece of a packet that was fragmented, or undefined when there is none left. */
  nextFragment(): Outcome | undefined {
    return undefined;
  }
}
