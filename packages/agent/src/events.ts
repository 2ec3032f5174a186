/**
 * Events of this node. The same thing happening again raises the count of the Event that is there, as the correlator of
 * upstream's client-go does.
 */
import type { ObjectReference, Event as V1Event } from 'kubernetes-types/core/v1.js';

export interface EventTarget {
  readonly kind: 'Pod' | 'Node' | 'Service';
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion?: string;
  /** `spec.containers{web}` */
  readonly fieldPath?: string;
}

export interface EventRecorderOptions {
  readonly nodeName: string;
  readonly nowMs: () => number;
  readonly random32: () => number;
  readonly send: (event: V1Event) => void;
}

/** Distinct Events remembered for counting. */
const MAX_REMEMBERED = 1000;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #known = new Map<string, V1Event>();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  normal(target: EventTarget, reason: string, message: string): void {
    this.#record('Normal', target, reason, message);
  }

  warning(target: EventTarget, reason: string, message: string): void {
    this.#record('Warning', target, reason, message);
  }

  #record(type: string, target: EventTarget, reason: string, message: string): void {
    const now = new Date(this.#options.nowMs()).toISOString().replace(/\.\d+Z$/, 'Z');
    const key = [target.uid, target.fieldPath, type, reason, message].join('\n');
    const known = this.#known.get(key);
    const event: V1Event =
      known === undefined
        ? this.#create(type, target, reason, message, now)
        : { ...known, count: known.count! + 1, lastTimestamp: now };
    this.#known.delete(key);
    this.#known.set(key, event);
    if (this.#known.size > MAX_REMEMBERED) this.#known.delete(this.#known.keys().next().value!);
    this.#options.send(event);
  }

  #create(type: string, target: EventTarget, reason: string, message: string, now: string): V1Event {
    const hex = () => this.#options.random32().toString(16).padStart(8, '0');
    const namespace = target.namespace === '' ? 'default' : target.namespace;
    const involvedObject: ObjectReference = {
      apiVersion: 'v1',
      kind: target.kind,
      name: target.name,
      uid: target.uid,
    };
    if (target.namespace !== '') involvedObject.namespace = target.namespace;
    if (target.resourceVersion !== undefined) involvedObject.resourceVersion = target.resourceVersion;
    if (target.fieldPath !== undefined) involvedObject.fieldPath = target.fieldPath;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${target.name}.${hex()}${hex()}`, namespace },
      involvedObject,
      reason,
      message,
      type,
      source: { component: 'kubelet', host: this.#options.nodeName },
      reportingComponent: 'kubelet',
      reportingInstance: this.#options.nodeName,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    };
  }
}
