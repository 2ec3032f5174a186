import type { KubeObject } from '@podwire/kube/object';
import type { Api } from '../api.ts';
import type { ResourceType } from './resource-types.ts';

/** One write on its way into the store. */
export interface AdmissionRequest {
  readonly operation: 'CREATE' | 'UPDATE';
  readonly type: ResourceType;
  /** '' for cluster-scoped resources. */
  readonly namespace: string;
  /** '' for the object itself. */
  readonly subresource: string;
  /** As it will be stored. `mutate` may change it; nobody else holds it. */
  readonly object: KubeObject;
  readonly old: KubeObject | undefined;
  readonly dryRun: boolean;
}

/** What a plugin took while it changed an object: kept once the write is durable, given back when there is none. */
export interface Reservation {
  commit(): void;
  revert(): void;
}

/**
 * A step between a request and the store. Everything runs within the request's own turn, so that a plugin sees every earlier
 * write and none comes between it and the store. Refusal is a thrown ApiError.
 */
export interface AdmissionPlugin {
  readonly name: string;
  /** Resource ids it is for; all without it. */
  readonly resources?: readonly string[];
  /** After defaulting and system fields, before validation. */
  mutate?(request: AdmissionRequest, api: Api): Reservation | undefined;
  /** After validation. */
  validate?(request: AdmissionRequest, api: Api): void;
  /** Before a deletion is planned. */
  checkDelete?(type: ResourceType, object: KubeObject): void;
  /** After an object's removal became durable. */
  removed?(object: KubeObject): void;
}

/** The reservations of one request as one. */
export class Reservations implements Reservation {
  readonly #taken: Reservation[] = [];

  add(reservation: Reservation | undefined): void {
    if (reservation !== undefined) this.#taken.push(reservation);
  }

  commit(): void {
    for (const each of this.#taken) each.commit();
  }

  revert(): void {
    for (const each of this.#taken.toReversed()) each.revert();
  }
}

export function appliesTo(plugin: AdmissionPlugin, type: ResourceType): boolean {
  return plugin.resources === undefined || plugin.resources.includes(type.id);
}
