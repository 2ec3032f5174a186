import type { KubeObject, ObjectMeta } from '@podwire/kube/object';
import { jsonEquals } from '@podwire/kube/object';
import { ApiError } from '@podwire/kube/status';
import type { PeerIdentity } from '@podwire/sync/source';
import type { PodStatusLike, Report } from '@podwire/sync/types';
import type { Api } from '../api.ts';
import type { NodeRegistry } from './node-registry.ts';
import { mergePodStatus } from './pod-status.ts';

interface PodObject {
  metadata: ObjectMeta;
  spec?: { nodeName?: string };
  status?: PodStatusLike;
}

type PodReport = Extract<Report, { kind: 'podStatus' | 'podDeleted' }>;

/** A report that can never be applied; the message is for the peer's log. */
class Refusal extends Error {}

/** Puts what peers report into the API. */
export class ReportApplier {
  readonly #api: Api;
  readonly #nodes: NodeRegistry;
  readonly #nowMs: () => number;

  constructor(options: { api: Api; nodes: NodeRegistry; nowMs: () => number }) {
    this.#api = options.api;
    this.#nodes = options.nodes;
    this.#nowMs = options.nowMs;
  }

  /**
   * Resolves once all are durable, with a text for each report that never can be. Each takes effect in its turn before anything waits,
   * so order is kept and the whole batch shares a commit. Rejects when the store fails; the peer sends the batch again then.
   */
  apply(peer: PeerIdentity, reports: readonly Report[]): Promise<(string | undefined)[]> {
    return Promise.all(
      reports.map(async (report) => {
        try {
          await this.#applyOne(peer, report);
          return undefined;
        } catch (error) {
          if (error instanceof Refusal) return error.message;
          if (error instanceof ApiError && (error.status.code ?? 500) < 500) return error.message;
          throw error;
        }
      }),
    );
  }

  #applyOne(peer: PeerIdentity, report: Report): Promise<unknown> {
    if (peer.role !== 'agent' && report.kind !== 'event') {
      throw new Refusal(`a ${peer.role} may not report ${report.kind}`);
    }
    switch (report.kind) {
      case 'heartbeat':
        return this.#nodes.heartbeat(peer.nodeName, report.ready, report.reason, report.message);
      case 'node':
        return this.#nodes.describe(peer.nodeName, report.node);
      case 'podStatus':
        return this.#podStatus(peer, report, report.status);
      case 'podDeleted':
        return this.#podDeleted(peer, report);
      case 'event':
        return this.#event(report.event);
    }
  }

  async #podStatus(peer: PeerIdentity, report: PodReport, reported: PodStatusLike): Promise<void> {
    const pod = this.#podOf(peer, report);
    const status = mergePodStatus(pod.status, reported, this.#nowMs());
    if (!jsonEquals(status, pod.status)) {
      await this.#api.update('pods', { ...pod, status }, { subresource: 'status' });
    }
  }

  async #podDeleted(peer: PeerIdentity, report: PodReport): Promise<void> {
    const pod = this.#podOf(peer, report);
    if (pod.metadata.deletionTimestamp === undefined) {
      throw new Refusal(`pod ${report.namespace}/${report.name} is not being deleted`);
    }
    const preconditions = { uid: report.uid };
    await this.#api.delete('pods', report.namespace, report.name, { gracePeriodSeconds: 0, preconditions });
  }

  #podOf(peer: PeerIdentity, { namespace, name, uid }: PodReport): PodObject {
    const pod = this.#api.get<PodObject>('pods', namespace, name);
    if (pod === undefined || pod.metadata.uid !== uid) {
      throw new Refusal(`pod ${namespace}/${name} with uid ${uid} is no more`);
    }
    if (pod.spec?.nodeName !== peer.nodeName) {
      throw new Refusal(
        `pod ${namespace}/${name} is on ${pod.spec?.nodeName ?? 'no node'}, not on ${peer.nodeName}`,
      );
    }
    return pod;
  }

  async #event(event: KubeObject): Promise<void> {
    const { namespace = '', name = '' } = event.metadata;
    const known = this.#api.get<KubeObject>('events', namespace, name);
    if (known === undefined) await this.#api.create('events', event);
    else await this.#api.update('events', { ...event, metadata: { ...known.metadata, ...stamped(event) } });
  }
}

/** An event's own metadata, without what the server sets. */
function stamped(event: KubeObject): ObjectMeta {
  const { resourceVersion: _r, uid: _u, creationTimestamp: _c, ...metadata } = event.metadata;
  return metadata;
}
