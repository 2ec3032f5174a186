/** What the pipeline decided about one packet. */

import type { DropReason } from './drop-reasons.ts';
import type { VtepEntry } from './tables.ts';

export type Verdict = 'deliver' | 'encap' | 'host' | 'reply' | 'drop';

const NO_VTEP: VtepEntry = { node: '', address: '', port: 0, mac: '00:00:00:00:00:00' };

/**
 * One reused object, valid until the next call into the pipeline; its bytes live in the pipeline's own buffer.
 *
 * - `deliver`: an Ethernet frame for the local pod `endpointId`.
 * - `encap`: a VXLAN payload (header and inner frame) for the UDP socket, to `vtep`.
 * - `host`: an Ethernet frame for the node's own stack.
 * - `reply`: a packet the data plane made in answer (ICMP error, ARP or ND answer). With `endpointId` >= 0 deliver
 *   it to that pod; otherwise pass it to `fromHost`. `reason` says why when it stands for a refused packet.
 * - `drop`: `reason` says why.
 *
 * When `more` is true the packet became several (fragments): ask `pipeline.nextFragment()` for the others, in
 * order, until it returns undefined, before any other call.
 */
export class Outcome {
  verdict: Verdict = 'drop';
  /** The bytes are `buffer[start, start + length)`: for callers that can send a slice without a view. */
  buffer: Uint8Array = new Uint8Array(0);
  start = 0;
  length = 0;
  endpointId = -1;
  vtep: VtepEntry = NO_VTEP;
  /** Outer UDP source port from the inner flow's hash, 49152 to 65535 (RFC 7348 section 5). */
  sourcePort = 0;
  reason: DropReason = 0;
  more = false;

  /** A view of the bytes; makes a small object, so the forwarding loop may prefer buffer/start/length. */
  get frame(): Uint8Array {
    return this.buffer.subarray(this.start, this.start + this.length);
  }
}
