/**
 * Moves frames between the pods of this node, its own stack and the tunnel, as the pipeline decides. It owns the
 * pipeline; nothing else calls it.
 *
 * What a pod or the host sends is copied into a queue and taken out of it in one go, after the sender's own code has
 * returned: two stacks of one process that talk to each other never call into each other's middle.
 */
import type { Outcome } from '@podwire/dataplane/outcome';
import type { Pipeline } from '@podwire/dataplane/pipeline';
import type { Tables } from '@podwire/dataplane/tables';
import { PacketTrace } from '@podwire/dataplane/trace';
import { FROM_HOST, FROM_POD, FrameRing } from './frame-ring.ts';
import type { Incoming, TraceRecorder } from './trace.ts';

/** The far end of a pod's link: takes a frame and keeps no reference to it. */
export interface PodLink {
  receive(frame: Uint8Array): void;
}

export interface DatapathOptions {
  readonly pipeline: Pipeline;
  /** Sends `buffer[start, start + length)`; must copy or consume it at once. */
  readonly sendUnderlay: (
    buffer: Uint8Array,
    start: number,
    length: number,
    address: string,
    port: number,
  ) => void;
  /** A frame for the node itself, or for outside of the cluster; must not keep it. */
  readonly toHost: (frame: Uint8Array) => void;
  readonly recorder: TraceRecorder;
  /** Told of an exception while a frame was handled: a bug, which costs that frame and nothing else. */
  readonly onError: (error: unknown) => void;
}

/** Frames waiting; more are dropped, as a network device's queue does. */
const QUEUE_FRAMES = 8192;

/** Frames handled before timers and sockets get their turn. */
const BURST_FRAMES = 256;

/** How often an answer of the data plane may cause another answer. */
const MAX_HOPS = 4;

/** What went through, for metrics. All counters only grow. */
export interface DatapathCounters {
  fromPod: number;
  fromHost: number;
  fromUnderlay: number;
  bytesIn: number;
  delivered: number;
  encapsulated: number;
  toHost: number;
  replied: number;
  /** The queue was full. */
  overflowed: number;
  /** Answers to answers to answers. */
  looped: number;
  /** The pod has gone meanwhile. */
  undeliverable: number;
  /** An exception while a frame was handled. */
  failed: number;
}

export class Datapath {
  readonly counters: DatapathCounters = {
    fromPod: 0,
    fromHost: 0,
    fromUnderlay: 0,
    bytesIn: 0,
    delivered: 0,
    encapsulated: 0,
    toHost: 0,
    replied: 0,
    overflowed: 0,
    looped: 0,
    undeliverable: 0,
    failed: 0,
  };
  readonly pipeline: Pipeline;
  readonly #options: DatapathOptions;
  readonly #recorder: TraceRecorder;
  readonly #links = new Map<number, PodLink>();
  readonly #queue = new FrameRing(QUEUE_FRAMES);
  #scheduled = false;
  #closed = false;

  constructor(options: DatapathOptions) {
    this.#options = options;
    this.pipeline = options.pipeline;
    this.#recorder = options.recorder;
  }

  get tables(): Tables {
    return this.pipeline.tables;
  }

  /** Swaps the snapshot the pipeline decides from. */
  setTables(tables: Tables): void {
    this.pipeline.tables = tables;
  }

  attach(endpointId: number, link: PodLink): void {
    this.#links.set(endpointId, link);
  }

  detach(endpointId: number): void {
    this.#links.delete(endpointId);
  }

  /** Stops forwarding: what is still queued, or comes later, is forgotten. */
  close(): void {
    this.#closed = true;
  }

  /** A frame that a pod sent. It is copied. */
  fromPod(endpointId: number, frame: Uint8Array): void {
    this.#enqueue(FROM_POD, endpointId, 0, frame);
  }

  /** A frame that the node's own stack sent. It is copied. */
  fromHost(frame: Uint8Array): void {
    this.#enqueue(FROM_HOST, -1, 0, frame);
  }

  /** A datagram of the tunnel, from the event loop. */
  fromUnderlay(datagram: Uint8Array, outerSource: string): void {
    if (this.#closed) return;
    this.counters.fromUnderlay += 1;
    this.counters.bytesIn += datagram.length;
    try {
      if (this.#recorder.armed) {
        const incoming = this.#recorder.before('from-underlay', -1, datagram, datagram.length, outerSource);
        const trace = new PacketTrace();
        const outcome = this.pipeline.fromUnderlay(datagram, datagram.length, outerSource, trace);
        this.#traced(incoming, outcome, trace, 0);
      } else {
        this.#act(this.pipeline.fromUnderlay(datagram, datagram.length, outerSource), 0);
      }
    } catch (error) {
      this.counters.failed += 1;
      this.#options.onError(error);
    }
  }

  #enqueue(origin: number, endpointId: number, hops: number, frame: Uint8Array): void {
    if (this.#closed) return;
    if (!this.#queue.push(origin, endpointId, hops, frame)) {
      this.counters.overflowed += 1;
      return;
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(this.#drain);
    }
  }

  readonly #drain = (): void => {
    const queue = this.#queue;
    for (let handled = 0; queue.size > 0; handled++) {
      if (handled === BURST_FRAMES) {
        setImmediate(this.#drain);
        return;
      }
      if (!this.#closed) this.#forward();
      queue.drop();
    }
    this.#scheduled = false;
  };

  /** Handles the frame at the head of the queue. */
  #forward(): void {
    const { buffer, length, origin, endpointId, hops } = this.#queue;
    this.counters.bytesIn += length;
    try {
      if (this.#recorder.armed) {
        const hook = origin === FROM_POD ? 'from-pod' : 'from-host';
        const incoming = this.#recorder.before(hook, endpointId, buffer, length);
        const trace = new PacketTrace();
        this.#traced(incoming, this.#decide(origin, endpointId, buffer, length, trace), trace, hops);
      } else {
        this.#act(this.#decide(origin, endpointId, buffer, length), hops);
      }
    } catch (error) {
      this.counters.failed += 1;
      this.#options.onError(error);
    }
  }

  #decide(
    origin: number,
    endpointId: number,
    frame: Uint8Array,
    length: number,
    trace?: PacketTrace,
  ): Outcome {
    if (origin === FROM_POD) {
      this.counters.fromPod += 1;
      return this.pipeline.fromPod(endpointId, frame, length, trace);
    }
    this.counters.fromHost += 1;
    return this.pipeline.fromHost(frame, length, trace);
  }

  #traced(incoming: Incoming, outcome: Outcome, trace: PacketTrace, hops: number): void {
    this.#recorder.after(incoming, outcome, trace, this.pipeline.tables.node.vni);
    this.#act(outcome, hops);
  }

  #act(first: Outcome, hops: number): void {
    this.#place(first, hops);
    if (!first.more) return;
    for (let next = this.pipeline.nextFragment(); next !== undefined; next = this.pipeline.nextFragment()) {
      this.#place(next, hops);
    }
  }

  #place(outcome: Outcome, hops: number): void {
    const counters = this.counters;
    switch (outcome.verdict) {
      case 'deliver':
        counters.delivered += 1;
        this.#deliver(outcome);
        return;
      case 'encap':
        counters.encapsulated += 1;
        this.#options.sendUnderlay(
          outcome.buffer,
          outcome.start,
          outcome.length,
          outcome.vtep.address,
          outcome.vtep.port,
        );
        return;
      case 'host':
        counters.toHost += 1;
        this.#options.toHost(outcome.frame);
        return;
      case 'reply':
        counters.replied += 1;
        if (outcome.endpointId >= 0) this.#deliver(outcome);
        else if (hops < MAX_HOPS) this.#enqueue(FROM_HOST, -1, hops + 1, outcome.frame);
        else counters.looped += 1;
        return;
      case 'drop':
        return; // counted by the pipeline
    }
  }

  #deliver(outcome: Outcome): void {
    const link = this.#links.get(outcome.endpointId);
    if (link === undefined) this.counters.undeliverable += 1;
    else link.receive(outcome.frame);
  }
}
