import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Store } from '@podwire/store/store';
import type { SyncLog } from '@podwire/sync/client';
import { SyncHub } from '@podwire/sync/hub';
import type { PeerStatus } from '@podwire/sync/source';
import type { ClusterSettings } from '@podwire/sync/types';
import type { Api } from '../api.ts';
import type { LabNode } from '../lab.ts';
import { interestOf } from './interests.ts';
import { hasJoinToken } from './join.ts';
import { NodeRegistry } from './node-registry.ts';
import { ReportApplier } from './reports.ts';
import { storeSource } from './store-source.ts';

/** Leases are for people and programs that look at them: nothing here reads one. */
const LEASE_INTERVAL_MS = 10_000;

export interface SyncServiceOptions {
  api: Api;
  store: Store;
  /** The lab's nodes as they are now. */
  labNodes: () => readonly LabNode[];
  settings: ClusterSettings;
  joinToken: string;
  nowMs: () => number;
  log: SyncLog;
}

export interface SyncService {
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** When the node was last heard of; -Infinity for one that this process has not heard of. */
  lastHeartbeatMs(nodeName: string): number;
  peers(): PeerStatus[];
  stop(): Promise<void>;
}

/** Serves agents and DNS servers: sends them what they shall see of the store, and puts what they report into the API. */
export function startSyncService(options: SyncServiceOptions): SyncService {
  const { api, store, labNodes, settings, joinToken, nowMs, log } = options;
  const source = storeSource(store);
  const nodes = new NodeRegistry({ api, labNodes, nowMs });
  const reports = new ReportApplier({ api, nodes, nowMs });
  const complain = (what: string) => (error: unknown) =>
    log.warn({ error: error instanceof Error ? error.message : String(error) }, what);
  const hub = new SyncHub({
    source,
    settings,
    authenticate: (request) => hasJoinToken(request, joinToken),
    interest: (peer) => interestOf(peer, source),
    onReport: (peer, batch) => reports.apply(peer, batch),
    onRefusal(peer, error) {
      if (peer.role === 'agent') {
        nodes.syncRefused(peer.nodeName, error).catch(complain('node condition not written'));
      }
    },
    nowMs,
    log,
  });
  const leases = setInterval(() => {
    nodes.renewLeases(LEASE_INTERVAL_MS).catch(complain('leases not renewed'));
  }, LEASE_INTERVAL_MS);
  leases.unref();
  return {
    handleUpgrade: (request, socket, head) => hub.handleUpgrade(request, socket, head),
    lastHeartbeatMs: (nodeName) => nodes.lastHeartbeatMs(nodeName),
    peers: () => hub.peers(),
    async stop() {
      clearInterval(leases);
      await hub.close();
    },
  };
}
