/**
 * Keeps the data plane's tables in step with what the cluster says and which pods are here.
 */
import { compileTables } from '@podwire/compile/tables';
import { type LocalEndpoint, SERVICE_MODES, type Tables } from '@podwire/dataplane/tables';
import type { Change, ClusterSettings, SyncState } from '@podwire/sync/types';
import type { Node, Service } from 'kubernetes-types/core/v1.js';
import type { EndpointSlice } from 'kubernetes-types/discovery/v1.js';

export interface TablesFeedOptions {
  readonly nodeName: string;
  readonly settings: ClusterSettings;
  readonly state: SyncState;
  readonly endpoints: () => LocalEndpoint[];
  /** A new snapshot; the old one stays valid for whoever holds it. */
  readonly publish: (tables: Tables) => void;
}

export class TablesFeed {
  readonly #options: TablesFeedOptions;
  #tables: Tables | undefined;
  #queued = false;

  constructor(options: TablesFeedOptions) {
    this.#options = options;
  }

  /** Whether a change can touch the tables: a Node that only tells that it is alive does not. */
  static concerns({ resource, object, previous }: Change): boolean {
    if (resource === 'services' || resource === 'endpointslices.discovery.k8s.io') return true;
    if (resource !== 'nodes') return false;
    return previous === undefined || nodeFacts(object as Node) !== nodeFacts(previous as Node);
  }

  /** Compiles soon: once for everything that changes in this turn, and before any frame sent after it. */
  refresh(): void {
    if (this.#queued) return;
    this.#queued = true;
    queueMicrotask(() => {
      this.#queued = false;
      this.#options.publish(this.compile());
    });
  }

  compile(): Tables {
    const { nodeName, settings, state, endpoints } = this.#options;
    this.#tables = compileTables(
      {
        nodeName,
        mode: serviceMode(state.get<Node>('nodes', '', nodeName)) ?? settings.mode,
        vni: settings.vni,
        mtu: settings.mtu,
        clusterCidrs: settings.podCIDRs,
        serviceCidrs: settings.serviceCIDRs,
        nodes: [...state.list<Node>('nodes')],
        services: [...state.list<Service>('services')],
        endpointSlices: [...state.list<EndpointSlice>('endpointslices.discovery.k8s.io')],
        localEndpoints: endpoints(),
      },
      this.#tables,
    );
    return this.#tables;
  }
}

/**
 * The mode one node runs in, when its Node says another than the lab's: `kubectl annotate node node-1
 * podwire.dev/service-mode=ebpf`. Connections keep the backend that conntrack holds for them.
 */
function serviceMode(node: Node | undefined): ClusterSettings['mode'] | undefined {
  const wanted = node?.metadata?.annotations?.['podwire.dev/service-mode'];
  return SERVICE_MODES.find((mode) => mode === wanted);
}

function nodeFacts({ metadata, spec, status }: Node): string {
  return JSON.stringify([metadata?.annotations, metadata?.labels, spec?.podCIDRs, status?.addresses]);
}
