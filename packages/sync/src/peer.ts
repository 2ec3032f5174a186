import type { KubeObject } from '@podwire/kube/object';
import { type EncodedResource, emitDelta, emitServerFrame, emitSnapshotChunk } from './codec.ts';
import type { Encoder } from './encoder.ts';
import type { Ack, Nack, ResourceKey } from './gen/sync-proto.ts';
import type { Interest, SourceEvent, SyncSource, View } from './source.ts';
import { CLOSE, type CloseCode } from './types.ts';

export interface PeerLimits {
  /** Snapshots and deltas are cut into messages of about this size. */
  chunkBytes: number;
  /** A peer with more changes waiting is disconnected; it comes back and resumes, or takes a snapshot. */
  maxPending: number;
  /** A peer that neither accepts nor refuses an update for so long is disconnected. */
  answerMs: number;
  /** Refused changes are offered again after this long, or with the next change. */
  refusedRetryMs: number;
}

export const DEFAULT_PEER_LIMITS: PeerLimits = {
  chunkBytes: 256 << 10,
  maxPending: 20_000,
  answerMs: 15_000,
  refusedRetryMs: 5_000,
};

export interface PeerOptions {
  source: SyncSource;
  encoder: Encoder;
  interest: Interest;
  limits: PeerLimits;
  nowMs: () => number;
  /** Queues one message; `sent` is called once it has left the process, or the link is gone. */
  send(message: Uint8Array, sent?: () => void): void;
  close(code: CloseCode, reason: string): void;
  /** An update was accepted (error '') or refused. */
  onAnswer(error: string): void;
}

/** A change that waits: the object as it is now, or its disappearance. */
interface Waiting {
  key: ResourceKey;
  object: KubeObject | undefined;
  view: View | undefined;
}

type Phase =
  | { name: 'idle' }
  | { name: 'sending'; update: InFlight }
  | { name: 'unanswered'; update: InFlight; sinceMs: number };

interface InFlight {
  nonce: string;
  kind: 'snapshot' | 'delta';
  revision: number;
  /** What a refusal puts back. */
  changes: Map<string, Waiting>;
  replaced: readonly string[];
}

/**
 * What the controller keeps for one connected peer: which revision it stands at, what waits for it, and the one update that is not
 * yet answered. Memory per peer is bounded by the number of objects: a change waits as a reference to the shared object, and a
 * newer change of the same key takes its place.
 */
export class Peer {
  /** Revision the peer has acknowledged. */
  revision = 0;
  /** Text of the last refusal, '' once an update is accepted. */
  refusal = '';
  readonly #options: PeerOptions;
  readonly #waiting = new Map<string, Waiting>();
  #replaced: readonly string[] = [];
  #phase: Phase = { name: 'idle' };
  /** Newest revision of which everything is in `#waiting` or sent. */
  #seen = 0;
  #needsSnapshot = true;
  #mustSpeak = false;
  #holdUntilMs = 0;
  #nonces = 0;
  #closed = false;

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#waiting.size;
  }

  /** First update: a delta from `resumeRevision` when history reaches back to it, else a snapshot. Returns whether it resumed. */
  resume(resumeRevision: number | undefined): boolean {
    const { source, interest } = this.#options;
    this.#seen = source.revision();
    const past =
      resumeRevision === undefined || resumeRevision > this.#seen
        ? undefined
        : source.history(resumeRevision);
    if (resumeRevision === undefined || past === undefined) return false;
    this.#needsSnapshot = false;
    this.revision = resumeRevision;
    const unscoped = new Set(interest.resources.filter((resource) => !interest.scoped.includes(resource)));
    for (const { resource, object, type } of past) {
      if (unscoped.has(resource)) this.#wait(resource, object, type !== 'DELETED');
    }
    // Which of the scoped objects the peer held is not known here, so it gets them all and drops the others.
    this.#replaced = interest.scoped;
    for (const resource of interest.scoped) {
      for (const object of source.list(resource)) {
        if (interest.view(resource, object)) this.#wait(resource, object, true);
      }
    }
    this.#mustSpeak = true;
    return true;
  }

  /** Takes note of an event; `flush` sends it. `unchangedIn` says whether a view shows no difference. */
  offer(event: SourceEvent, unchangedIn: (view: View) => boolean): void {
    const { source, interest } = this.#options;
    if (this.#closed || event.revision <= this.#seen) return;
    this.#seen = event.revision;
    const scopes = interest.observe(event);
    const view = interest.view(event.resource, event.object);
    if (this.#needsSnapshot) {
      if (view) this.#holdUntilMs = 0;
      return;
    }
    const before = event.previous && interest.view(event.resource, event.previous);
    const alike = event.type === 'MODIFIED' && view !== undefined && view === before && unchangedIn(view);
    if ((view ?? before) !== undefined && !alike) {
      this.#wait(event.resource, event.object, event.type !== 'DELETED');
    }
    if (scopes.length > 0) source.revision();
    for (const { resource, namespace } of scopes) {
      for (const object of source.list(resource, namespace)) this.#wait(resource, object, true);
    }
    if (this.#waiting.size > this.#options.limits.maxPending) {
      this.#close(CLOSE.slowConsumer, `${this.#waiting.size} changes wait`);
    }
  }

  /** Sends what waits, unless an update is unanswered. */
  flush(): void {
    if (this.#closed || this.#phase.name !== 'idle' || this.#options.nowMs() < this.#holdUntilMs) return;
    if (this.#needsSnapshot) this.#sendSnapshot();
    else if (this.#waiting.size > 0 || this.#mustSpeak) this.#sendDelta();
  }

  /** Called now and then: retries what was refused, notices a peer that does not answer, moves an idle peer's revision on. */
  tick(): void {
    const nowMs = this.#options.nowMs();
    if (this.#phase.name === 'unanswered' && nowMs - this.#phase.sinceMs > this.#options.limits.answerMs) {
      this.#close(CLOSE.slowConsumer, `no answer to an update for ${nowMs - this.#phase.sinceMs} ms`);
    }
    // Else a peer that nothing concerns would fall out of the history window and need a snapshot when it reconnects.
    if (this.#phase.name === 'idle' && this.revision < this.#seen) this.#mustSpeak = true;
    this.flush();
  }

  answered(answer: Ack | Nack): void {
    const phase = this.#phase;
    if (phase.name !== 'unanswered' || phase.update.nonce !== answer.nonce) {
      this.#close(CLOSE.unexpectedFrame, 'answer to no update');
      return;
    }
    this.#phase = { name: 'idle' };
    const { update } = phase;
    if ('error' in answer) {
      this.refusal = answer.error === '' ? 'refused without a reason' : answer.error;
      this.#putBack(update);
      this.#holdUntilMs = this.#options.nowMs() + this.#options.limits.refusedRetryMs;
      this.#options.onAnswer(this.refusal);
      return;
    }
    this.revision = update.revision;
    this.#holdUntilMs = 0;
    this.refusal = '';
    this.#options.onAnswer('');
    this.flush();
  }

  /** The link is gone. */
  end(): void {
    this.#closed = true;
    this.#waiting.clear();
  }

  #close(code: CloseCode, reason: string): void {
    if (this.#closed) return;
    this.end();
    this.#options.close(code, reason);
  }

  #wait(resource: string, object: KubeObject, present: boolean): void {
    const { namespace = '', name = '' } = object.metadata;
    const view = present ? this.#options.interest.view(resource, object) : undefined;
    const id = `${resource}/${namespace}/${name}`;
    // A key that comes again goes to the end: order within an update means nothing, but the map stays fair.
    this.#waiting.delete(id);
    this.#waiting.set(id, { key: { resource, namespace, name }, object: view && object, view });
    if (this.refusal !== '') this.#holdUntilMs = 0;
  }

  #putBack(update: InFlight): void {
    if (update.kind === 'snapshot') {
      this.#needsSnapshot = true;
      this.#waiting.clear();
      return;
    }
    for (const [id, change] of update.changes) if (!this.#waiting.has(id)) this.#waiting.set(id, change);
    this.#replaced = update.replaced;
    this.#mustSpeak = true;
  }

  #sendSnapshot(): void {
    const { source, interest, encoder } = this.#options;
    const nonce = String(++this.#nonces);
    const revision = source.revision();
    this.#seen = revision;
    const objects: { resource: string; object: KubeObject; view: View }[] = [];
    for (const resource of interest.resources) {
      for (const object of source.list(resource)) {
        const view = interest.view(resource, object);
        if (view) objects.push({ resource, object, view });
      }
    }
    this.#needsSnapshot = false;
    this.#mustSpeak = false;
    this.#waiting.clear();
    this.#replaced = [];
    const update: InFlight = { nonce, kind: 'snapshot', revision, changes: new Map(), replaced: [] };
    this.#phase = { name: 'sending', update };
    const begin = { nonce, revision, resourceCount: objects.length };
    this.#options.send(emitServerFrame({ kind: 'snapshotBegin', value: begin }));
    let next = 0;
    // The next chunk is made when the last has left: a slow peer holds no encoded copy of the cluster in our memory.
    const sendNext = (): void => {
      if (this.#closed) return;
      const chunk: EncodedResource[] = [];
      for (let bytes = 0; next < objects.length && bytes < this.#options.limits.chunkBytes; next++) {
        const { resource, object, view } = objects[next]!;
        const encoded = encoder.encode(resource, object, view);
        bytes += encoded.length;
        chunk.push(encoded);
      }
      if (chunk.length > 0) {
        this.#options.send(emitSnapshotChunk(chunk), sendNext);
        return;
      }
      this.#phase = { name: 'unanswered', update, sinceMs: this.#options.nowMs() };
      this.#options.send(emitServerFrame({ kind: 'snapshotEnd', value: { nonce } }));
    };
    sendNext();
  }

  #sendDelta(): void {
    const { encoder, limits } = this.#options;
    const nonce = String(++this.#nonces);
    const changes = new Map(this.#waiting);
    const update: InFlight = {
      nonce,
      kind: 'delta',
      revision: this.#seen,
      changes,
      replaced: this.#replaced,
    };
    this.#waiting.clear();
    this.#replaced = [];
    this.#mustSpeak = false;
    this.#phase = { name: 'sending', update };
    const entries = [...changes.values()];
    let next = 0;
    const sendNext = (): void => {
      if (this.#closed) return;
      const removed: ResourceKey[] = [];
      const resources: EncodedResource[] = [];
      const first = next === 0;
      for (let bytes = 0; next < entries.length && bytes < limits.chunkBytes; next++) {
        const { key, object, view } = entries[next]!;
        if (object && view) {
          const encoded = encoder.encode(key.resource, object, view);
          bytes += encoded.length;
          resources.push(encoded);
        } else {
          bytes += key.resource.length + key.namespace.length + key.name.length + 8;
          removed.push(key);
        }
      }
      const more = next < entries.length;
      const message = emitDelta(
        {
          nonce,
          fromRevision: this.revision,
          toRevision: update.revision,
          more,
          replaced: first ? [...update.replaced] : [],
          removed,
        },
        resources,
      );
      if (more) this.#options.send(message, sendNext);
      else {
        this.#phase = { name: 'unanswered', update, sinceMs: this.#options.nowMs() };
        this.#options.send(message);
      }
    };
    sendNext();
  }
}
